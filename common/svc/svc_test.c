/* SPDX-License-Identifier: Apache-2.0 */
/* Whole lives of a small service: this program runs itself again with SVC_TEST set to what the service shall be like. */
#include "common/svc/svc.h"

#include "common/base/clock.h"
#include "common/conf/conf_table.h"
#include "common/svc/svc_process_test.h"

/* ── the service ── */

struct tiny {
	struct svc *svc;
	const char *mode;
	struct wheel_timer timer, early;
	struct svc_turn turns[SVC_RANK_COUNT];
	uint64_t began_ms;
	int round, order;
	bool needed;
};

static bool is_mode(const struct tiny *t, const char *mode)
{
	return strcmp(t->mode, mode) == 0;
}

static void on_timer(struct wheel_timer *timer)
{
	struct tiny *t = CONTAINER_OF(timer, struct tiny, timer);

	if (clock_ms() - t->began_ms < 100)
		svc_fail(t->svc, 99); /* early */
	if (is_mode(t, "fails"))
		svc_fail(t->svc, 1);
	else if (is_mode(t, "stuck"))
		for (;;)
			pause();
	else if (is_mode(t, "slow drain"))
		svc_drained(t->svc);
	else
		t->needed = true;
}

/* Each hook must run in its place of the round, and `more` must keep the loop from sleeping. */
static bool on_turn(void *ctx)
{
	struct tiny *t = ctx;
	int rank = t->order++ % SVC_RANK_COUNT;

	if (rank == SVC_RANK_COUNT - 1 && ++t->round == 1000) {
		if (clock_ms() - t->began_ms > 5000)
			svc_fail(t->svc, 98);
		for (int i = 0; i < SVC_RANK_COUNT; i++) /* while one of them runs */
			svc_turn_remove(&t->turns[i]);
		svc_fail(t->svc, 7);
	}
	return true;
}

static bool rank_first(void *ctx)
{
	struct tiny *t = ctx;

	if (t->order % SVC_RANK_COUNT != 0)
		svc_fail(t->svc, 97);
	return on_turn(ctx);
}

static int tiny_start(struct svc *svc, void *self)
{
	struct tiny *t = self;

	t->svc = svc;
	t->began_ms = clock_ms();
	if (is_mode(t, "wrong config"))
		return E_CONFIG;
	if (is_mode(t, "cannot start"))
		return E_IO;
	wheel_timer_init(&t->timer, on_timer);
	if (is_mode(t, "fails") || is_mode(t, "stuck") || is_mode(t, "needy"))
		svc_arm(svc, &t->timer, clock_ms() + 100);
	if (is_mode(t, "hooks")) {
		/* Added in another order than they run in. */
		t->turns[3] = (struct svc_turn){ .fn = on_turn, .ctx = t };
		t->turns[2] = (struct svc_turn){ .fn = on_turn, .ctx = t };
		t->turns[1] = (struct svc_turn){ .fn = on_turn, .ctx = t };
		t->turns[0] = (struct svc_turn){ .fn = rank_first, .ctx = t };
		svc_turn_add(svc, SVC_RANK_SLEEP, &t->turns[3]);
		svc_turn_add(svc, SVC_RANK_FLUSH, &t->turns[2]);
		svc_turn_add(svc, SVC_RANK_RECEIVE, &t->turns[0]);
		svc_turn_add(svc, SVC_RANK_WORK, &t->turns[1]);
	}
	svc_notify(svc, "serving", 4321);
	svc_notify(svc, "serving", 4322); /* not told again */
	return 0;
}

static void tiny_drain(struct svc *svc, void *self)
{
	struct tiny *t = self;

	t->began_ms = clock_ms();
	if (is_mode(t, "slow drain")) {
		if (svc_drain_left_ms(svc) < 29000)
			svc_fail(svc, 96);
		svc_arm(svc, &t->timer, clock_ms() + 600);
	} else if (!is_mode(t, "stuck drain")) {
		svc_drained(svc);
	}
}

static void tiny_stop(struct svc *svc, void *self)
{
	svc_cancel(svc, &((struct tiny *)self)->timer);
}

static void tiny_dump(struct svc *svc, void *self, struct buf *out)
{
	(void)svc;
	(void)self;
	buf_addz(out, "line one\nline two\n");
}

static bool need_holds(void *self, char reason[SVC_REASON_BYTES])
{
	struct tiny *t = self;

	snprintf(reason, SVC_REASON_BYTES, "not \"yet\"");
	return t->needed || !is_mode(t, "needy");
}

static int be_the_service(int argc, char **argv)
{
	static const struct svc_need needs[] = { { "postgresql", need_holds }, { NULL, NULL } };
	static const struct svc_spec spec = {
		.name = "tiny",
		.job = "is tested",
		.user = CONF_ROUTER,
		.needs = needs,
		.start = tiny_start,
		.drain = tiny_drain,
		.stop = tiny_stop,
		.dump = tiny_dump,
	};
	static struct tiny tiny;

	tiny.mode = getenv("SVC_TEST");
	return svc_main(argc, argv, &spec, &tiny);
}

/* ── tests ── */

static void test_service_serves_its_pages_and_ends_with_0_when_asked(void **state)
{
	struct process p;

	(void)state;
	start_serving(&p, "plain", NULL);
	expect_page(&p, "/healthz", "HTTP/1.1 200 OK",
		    "{\"ok\":true,\"name\":\"roomwire-tiny\",\"instance\":\"tiny-");
	expect_page(&p, "/readyz", "HTTP/1.1 200 OK", "{\"ready\":true}");
	expect_page(&p, "/metrics", "HTTP/1.1 200 OK", "\nroomwire_state 1\n");
	expect_page(&p, "/metrics", "HTTP/1.1 200 OK", "\nprocess_cpu_seconds_total ");
	expect_page(&p, "/", "HTTP/1.1 404 Not Found", "{\"code\":\"NOT_FOUND\"");
	kill(p.pid, SIGUSR1);
	expect_logged(&p, "dump \"line two\"");
	expect_logged(&p, "dump \"need postgresql: holds\"");
	kill(p.pid, SIGINT); /* not for a supervised process */
	expect_page(&p, "/healthz", "HTTP/1.1 200 OK", "\"state\":\"ready\"");
	kill(p.pid, SIGTERM);
	expect_exit(&p, 0);
	expect_logged(&p, "state\" from=draining to=stopping");
	assert_int_equal(count_logged(&p, "to=ready"), 1);
	buf_fini(&p.log);
}

static void test_unsupervised_service_ends_with_0_on_ctrl_c(void **state)
{
	struct process p;

	(void)state;
	start(&p, "plain", false, NULL);
	expect_logged(&p, "to=ready");
	kill(p.pid, SIGINT);
	expect_exit(&p, 0);
	buf_fini(&p.log);
}

static void test_need_that_does_not_hold_degrades_until_it_does(void **state)
{
	struct process p;

	(void)state;
	start_serving(&p, "needy", NULL);
	expect_page(&p, "/readyz", "HTTP/1.1 503",
		    "{\"ready\":false,\"failing\":[{\"component\":\"postgresql\",\"reason\":\"not "
		    "\\\"yet\\\"\"}]}");
	expect_logged(&p, "from=starting to=degraded");
	expect_logged(&p, "from=degraded to=ready");
	expect_page(&p, "/readyz", "HTTP/1.1 200", "{\"ready\":true}");
	kill(p.pid, SIGTERM);
	expect_exit(&p, 0);
	buf_fini(&p.log);
}

static void test_draining_service_is_not_ready_and_ends_when_drained(void **state)
{
	struct process p;

	(void)state;
	start_serving(&p, "slow drain", NULL);
	kill(p.pid, SIGTERM);
	expect_logged(&p, "to=draining");
	expect_page(&p, "/readyz", "HTTP/1.1 503", "[{\"component\":\"draining\",\"reason\":");
	expect_exit(&p, 0);
	assert_int_equal(count_logged(&p, "took too long"), 0);
	buf_fini(&p.log);
}

static void test_drain_that_never_ends_is_cut_at_its_deadline_or_by_a_second_signal(void **state)
{
	char *const args[] = { "--set", "drain_seconds=1", NULL };
	struct process p;
	uint64_t began_ns;

	(void)state;
	start_serving(&p, "stuck drain", args);
	kill(p.pid, SIGTERM);
	expect_exit(&p, 0);
	assert_int_equal(count_logged(&p, "the drain took too long"), 1);
	buf_fini(&p.log);

	start_serving(&p, "stuck drain", NULL);
	kill(p.pid, SIGTERM);
	expect_logged(&p, "to=draining");
	began_ns = clock_exact_ns();
	kill(p.pid, SIGTERM);
	expect_exit(&p, 0);
	assert_true(clock_exact_ns() - began_ns < 5000000000u);
	buf_fini(&p.log);
}

static const struct {
	const char *mode;
	int code;
} ends[] = {
	{ "wrong config", 2 },
	{ "cannot start", 1 },
	{ "fails", 1 },
	{ "hooks", 7 },
};

static void test_exit_codes_tell_how_it_ended(void **state)
{
	struct process p;

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		start(&p, ends[i].mode, true, NULL);
		expect_exit(&p, ends[i].code);
		buf_fini(&p.log);
	}
}

static void test_port_of_another_process_is_an_error(void **state)
{
	struct process first, second;
	char text[32];
	char *const args[] = { "--set", text, NULL };

	(void)state;
	start_serving(&first, "plain", NULL);
	snprintf(text, sizeof(text), "ops_port=%d", first.ops_port);
	start(&second, "plain", true, args);
	expect_exit(&second, 1);
	assert_int_equal(count_logged(&second, "reason=\"Address already in use\""), 1);
	kill(first.pid, SIGTERM);
	expect_exit(&first, 0);
	buf_fini(&first.log);
	buf_fini(&second.log);
}

static void test_wrong_options_are_all_told_with_exit_code_2(void **state)
{
	char *const args[] = { "--config", "/nowhere.yaml", "--set",   "portt=1", "--set",
			       "port=x",   "--set",         "novalue", NULL };
	char *const unknown[] = { "--bogus", "--set", NULL };
	struct process p;

	(void)state;
	setenv("MAX_ROOMS", "none", 1);
	start(&p, "plain", false, args);
	unsetenv("MAX_ROOMS");
	expect_exit(&p, 2);
	assert_int_equal(count_logged(&p, "roomwire-tiny: /nowhere.yaml: cannot be read: "), 1);
	assert_int_equal(count_logged(&p, "roomwire-tiny: --set: portt: "), 1);
	assert_int_equal(count_logged(&p, "roomwire-tiny: --set: port: found \"x\", allowed: whole "
					  "number 0 to 65535\n"),
			 1);
	assert_int_equal(
		count_logged(&p, "roomwire-tiny: --set: found \"novalue\", allowed: KEY=VALUE\n"),
		1);
	assert_int_equal(count_logged(&p, "roomwire-tiny: environment: MAX_ROOMS: found \"none\""),
			 1);
	buf_fini(&p.log);
	start(&p, "plain", false, unknown);
	expect_exit(&p, 2);
	assert_int_equal(count_logged(&p, "command line: "), 2);
	buf_fini(&p.log);
}

static void test_help_lists_every_option_of_the_process(void **state)
{
	char *const args[] = { "--help", NULL };
	struct process p;

	(void)state;
	start(&p, "plain", false, args);
	expect_exit(&p, 0);
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++) {
		char want[128];

		snprintf(want, sizeof(want), "  %s (%s): ", conf_rows[i].field, conf_rows[i].env);
		assert_int_equal(count_logged(&p, want), conf_rows[i].users & CONF_ROUTER ? 1 : 0);
	}
	buf_fini(&p.log);
}

static void test_check_print_config_and_version_only_print(void **state)
{
	static const struct {
		const char *option, *heard;
	} prints[] = { { "--check", "roomwire-tiny: the configuration is good\n" },
		       { "--print-config",
			 "ops_port                     1234  (command line)  # operations port" },
		       { "--version", "libuv 1." } };
	struct process p;

	(void)state;
	for (size_t i = 0; i < sizeof(prints) / sizeof(prints[0]); i++) {
		char *const args[] = { (char *)(uintptr_t)prints[i].option, "--set",
				       "ops_port=1234", NULL };

		start(&p, "plain", false, args);
		expect_exit(&p, 0);
		assert_int_equal(count_logged(&p, prints[i].heard), 1);
		buf_fini(&p.log);
	}
}

static void test_watchdog_ends_a_stuck_process_and_says_where_it_was(void **state)
{
	char *const args[] = { "--set", "watchdog_ms=200", NULL };
	struct process p;
	int status;

	(void)state;
	start(&p, "stuck", true, args);
	status = end_of(&p);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_int_equal(count_logged(&p, "watchdog \"the loop does not turn, ending the process\" "
					  "at=timers watchdog_ms=200"),
			 1);
	assert_true(count_logged(&p, "(+0x") + count_logged(&p, "[0x") > 2); /* a backtrace */
	buf_fini(&p.log);
}

static void test_watchdog_forgives_a_stopped_process(void **state)
{
	char *const args[] = { "--set", "watchdog_ms=200", NULL };
	struct process p;

	(void)state;
	start_serving(&p, "plain", args);
	for (int i = 0; i < 5; i++) {
		usleep(30000);
		kill(p.pid, SIGSTOP);
		usleep(400000);
		kill(p.pid, SIGCONT);
	}
	expect_page(&p, "/healthz", "HTTP/1.1 200", "\"ok\":true");
	kill(p.pid, SIGTERM);
	expect_exit(&p, 0);
	buf_fini(&p.log);
}

static void test_killed_supervisor_leaves_no_orphan(void **state)
{
	struct process p;
	int report[2];
	pid_t supervisor, service = 0;

	(void)state;
	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	supervisor = fork();
	if (supervisor == 0) {
		start_serving(&p, "plain", NULL);
		if (write(report[1], &p.pid, sizeof(p.pid)) != sizeof(p.pid))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(report[0], &service, sizeof(service)), sizeof(service));
	kill(supervisor, SIGKILL);
	waitpid(supervisor, NULL, 0);
	for (int i = 0; i < WAIT_MS / 5 && kill(service, 0) == 0; i++) {
		char path[64], line[256] = "";
		FILE *f;

		/* It may stay a zombie where nobody reaps. */
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)service);
		f = fopen(path, "re");
		if (f) {
			if (!fgets(line, sizeof(line), f))
				line[0] = 0;
			fclose(f);
		}
		if (strstr(line, ") Z "))
			break;
		usleep(5000);
		assert_true(i < WAIT_MS / 5 - 1);
	}
	close(report[0]);
	close(report[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_serves_its_pages_and_ends_with_0_when_asked),
		cmocka_unit_test(test_unsupervised_service_ends_with_0_on_ctrl_c),
		cmocka_unit_test(test_need_that_does_not_hold_degrades_until_it_does),
		cmocka_unit_test(test_draining_service_is_not_ready_and_ends_when_drained),
		cmocka_unit_test(
			test_drain_that_never_ends_is_cut_at_its_deadline_or_by_a_second_signal),
		cmocka_unit_test(test_exit_codes_tell_how_it_ended),
		cmocka_unit_test(test_port_of_another_process_is_an_error),
		cmocka_unit_test(test_wrong_options_are_all_told_with_exit_code_2),
		cmocka_unit_test(test_help_lists_every_option_of_the_process),
		cmocka_unit_test(test_check_print_config_and_version_only_print),
		cmocka_unit_test(test_watchdog_ends_a_stuck_process_and_says_where_it_was),
		cmocka_unit_test(test_watchdog_forgives_a_stopped_process),
		cmocka_unit_test(test_killed_supervisor_leaves_no_orphan),
	};

	if (getenv("SVC_TEST"))
		return be_the_service(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
