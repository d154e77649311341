/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that die, stop, refuse or talk nonsense; closing; memory that fails. */
#include "common/adapt/adapt_redis_use_test.h"

/* ── losses ── */

static void test_server_when_killed_amid_a_pipeline_then_each_callback_once(void **state)
{
	size_t good;

	(void)state;
	open_up();
	said("SETRANGE big 20000 x");
	for (int i = 0; i < PIPELINE; i++)
		assert_int_equal(ask(&many[i], "GET big"), 0);
	run_until(many[10].calls);
	stop_server(SIGKILL);
	run_until(downs);
	good = ended(0, PIPELINE);
	print_message("answered before: %zu\n", good);
	assert_true(good > 10 && good < PIPELINE);
	assert_int_equal(good + ended(E_UNAVAILABLE, PIPELINE), PIPELINE);
	for (size_t i = 1; i < PIPELINE; i++)
		assert_true(many[i].order == many[i - 1].order + 1);
	run_until(strstr(reason_now(), "refused"));
	start_server("");
	run_until(ups == 2);
	assert_int_equal(said("INCR n").integer, 1);
	assert_int_equal(logged_times("the connection is lost"), 1);
}

static void test_server_when_restarted_then_up_again_every_time(void **state)
{
	struct answer a;

	(void)state;
	open_up();
	for (int i = 1; i <= 3; i++) {
		stop_server(SIGTERM);
		run_until(downs == i);
		assert_int_equal(ask(&a, "PING"), E_CLOSED);
		start_server("");
		run_until(ups == i + 1);
		assert_string_equal(said("PING").text, "PONG");
	}
}

static void test_server_when_stopped_under_commands_then_noticed_in_time_and_back(void **state)
{
	uint64_t began_ms, took_ms;

	(void)state;
	open_up();
	kill(server.pid, SIGSTOP);
	began_ms = now_ms();
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(&many[i], "INCR n"), 0);
	run_until(downs);
	took_ms = now_ms() - began_ms;
	assert_int_equal(ended(E_TIMEOUT, 100), 100);
	assert_in_range(took_ms, TIMEOUT_MS, TIMEOUT_MS + 1500);
	assert_non_null(strstr(down_reason, "no answer within 600 ms"));
	run_until(strstr(logged, "no connection") || now_ms() > began_ms + 3 * TIMEOUT_MS);
	assert_int_equal(ups, 1);
	kill(server.pid, SIGCONT);
	run_until(ups == 2);
	assert_string_equal(said("PING").text, "PONG");
}

static void test_server_when_stopped_amid_a_large_write_then_given_up_and_back(void **state)
{
	size_t n = (size_t)24 << 20;
	char *value = calloc(1, n);
	struct str set[] = { STR("SET"), STR("big"), str_make(value, n) };
	struct answer a = { .calls = 0 };

	(void)state;
	assert_non_null(value);
	open_up();
	kill(server.pid, SIGSTOP);
	assert_int_equal(adapt_redis_command(redis, set, 3, on_answer, &a), 0);
	free(value);
	for (int i = 0; i < 100; i++) { /* some with it, the others wait behind it */
		assert_int_equal(ask(&many[i], "INCR n"), 0);
		if (i == 50)
			turn();
	}
	run_until(downs);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, E_TIMEOUT);
	assert_int_equal(ended(E_TIMEOUT, 100), 100);
	kill(server.pid, SIGCONT);
	run_until(ups == 2);
	assert_int_equal(said("EXISTS big").integer, 0);
}

static void test_server_when_stopped_while_idle_then_noticed(void **state)
{
	uint64_t began_ms;

	(void)state;
	open_up();
	kill(server.pid, SIGSTOP);
	began_ms = now_ms();
	run_until(downs);
	assert_in_range(now_ms() - began_ms, TIMEOUT_MS, 2 * TIMEOUT_MS + 1500);
	kill(server.pid, SIGCONT);
	run_until(ups == 2);
}

static void test_idle_connection_stays_up_by_pings(void **state)
{
	uint64_t began_ms = now_ms();

	(void)state;
	open_up();
	run_until(now_ms() > began_ms + 4 * TIMEOUT_MS);
	assert_int_equal(downs, 0);
}

static void test_own_process_when_it_sleeps_then_answers_that_wait_still_count(void **state)
{
	struct answer a;

	(void)state;
	open_up();
	assert_int_equal(ask(&a, "PING"), 0);
	turn();
	usleep((TIMEOUT_MS + 200) * 1000);
	run_until(a.calls);
	assert_int_equal(a.err, 0);
	assert_int_equal(downs, 0);
}

static void test_greeting_when_refused_again_and_again_then_tried_with_back_off(void **state)
{
	uint64_t began_ms = now_ms();

	(void)state;
	fake_start();
	open_it();
	while (now_ms() < began_ms + 1500) {
		turn();
		usleep(500);
		if (fake_accept())
			fake_say("-LOADING Redis is loading the dataset in memory\r\n");
	}
	assert_in_range(fake_accepted, 3, 7); /* 100, 200, 400, 800 ms, less up to half */
	assert_non_null(strstr(reason_now(), "LOADING"));
	assert_int_equal(logged_times("no connection"), 1);
	assert_int_equal(ups, 0);
}

static void fake_greeted(void)
{
	run_until(fake_accept());
	run_until(fake_hears("PING"));
	fake_say("+PONG\r\n");
	run_until(adapt_redis_up(redis));
}

static void test_server_when_it_talks_nonsense_then_given_up_and_tried_again(void **state)
{
	static const struct {
		const char *said, *reason;
	} cases[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", "no answer of a Redis" },
		{ "+OK\r\n+OK\r\n", "nobody asked for" },
		{ "+OK\r\n-ERR max number of clients reached\r\n", "max number of clients" },
		{ "*2147483647\r\n", "larger" },
	};
	struct answer a;

	(void)state;
	fake_start();
	open_it();
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		fake_greeted();
		assert_int_equal(ask(&a, "GET x"), 0);
		run_until(fake_hears("GET"));
		fake_say(cases[i].said);
		run_until(downs == (int)i + 1);
		assert_int_equal(a.calls, 1);
		assert_non_null(strstr(down_reason, cases[i].reason));
	}
}

/* ── the end ── */

static void on_answer_ask(void *ctx, int err, const struct redis_reply *reply)
{
	struct str ping[] = { STR("PING") };

	on_answer(ctx, err, reply);
	if (err == E_CLOSED)
		assert_int_equal(adapt_redis_command(redis, ping, 1, on_answer, ctx), E_CLOSED);
}

static void test_close_when_commands_are_under_way_then_each_ends_once(void **state)
{
	struct str ping[] = { STR("PING") };
	struct answer last = { .calls = 0 };

	(void)state;
	open_up();
	for (int i = 0; i < 100; i++)
		assert_int_equal(ask(&many[i], "INCR n"), 0);
	turn();
	for (int i = 100; i < 200; i++)
		assert_int_equal(ask(&many[i], "INCR n"), 0);
	assert_int_equal(adapt_redis_command(redis, ping, 1, on_answer_ask, &last), 0);
	adapt_redis_close(&redis);
	assert_null(redis);
	assert_int_equal(last.calls, 1);
	assert_int_equal(ended(0, 200) + ended(E_CLOSED, 200), 200);
	for (int i = 0; i < 100; i++)
		turn();
	assert_int_equal(downs, 0);
	assert_int_equal(ended(0, 200) + ended(E_CLOSED, 200), 200);
	adapt_redis_close(&redis);
}

static void on_answer_close(void *ctx, int err, const struct redis_reply *reply)
{
	on_answer(ctx, err, reply);
	adapt_redis_close(&redis);
	if (reply)
		assert_int_equal(reply->type, REDIS_STATUS); /* still there */
}

static void test_close_when_inside_a_callback_then_the_others_end_at_once(void **state)
{
	struct str ping[] = { STR("PING") };
	struct answer first;

	(void)state;
	for (int killed = 0; killed < 2; killed++) {
		memset(&first, 0, sizeof(first));
		open_up();
		if (killed)
			kill(server.pid, SIGSTOP);
		assert_int_equal(adapt_redis_command(redis, ping, 1, on_answer_close, &first), 0);
		for (int i = 0; i < 10; i++)
			assert_int_equal(ask(&many[i], "INCR n"), 0);
		turn();
		if (killed)
			stop_server(SIGKILL);
		run_until(first.calls);
		assert_int_equal(ended(E_CLOSED, 10), 10);
		assert_null(redis);
		assert_int_equal(downs, 0); /* whoever closes knows */
		stop_server(SIGKILL);
	}
}

/* From a fresh adapter each time: the back-off grows with every loss. */
static void open_fresh(void)
{
	ups = 0;
	adapt_redis_close(&redis);
	open_it();
	run_until(ups);
}

static void test_memory_when_it_fails_amid_commands_then_each_callback_once(void **state)
{
	(void)state;
	start_server("");
	for (uint64_t n = 1; n < 80; n += n < 10 ? 1 : 9) {
		int accepted = 0, err;

		open_fresh();
		mem_fail_at(n);
		for (int i = 0; i < 70; i++) { /* more than the queue has room for at first */
			err = ask(&many[accepted], "PING");
			assert_true(err == 0 || err == E_NOMEM);
			accepted += err == 0;
		}
		assert_true(accepted >= 69);
		run_until(many[accepted - 1].calls);
		mem_fail_at(0);
		for (int i = 0; i < accepted; i++) {
			assert_int_equal(many[i].calls, 1);
			assert_true(many[i].err == 0 || many[i].err == E_UNAVAILABLE);
		}
		run_until(adapt_redis_up(redis));
	}
}

static void test_memory_when_it_fails_while_connecting_then_up_all_the_same(void **state)
{
	(void)state;
	start_server("");
	for (uint64_t n = 1; n < 12; n++) {
		mem_fail_at(n);
		open_fresh();
		mem_fail_at(0);
		assert_string_equal(said("PING").text, "PONG");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		ROW(test_server_when_killed_amid_a_pipeline_then_each_callback_once),
		ROW(test_server_when_restarted_then_up_again_every_time),
		ROW(test_server_when_stopped_under_commands_then_noticed_in_time_and_back),
		ROW(test_server_when_stopped_amid_a_large_write_then_given_up_and_back),
		ROW(test_server_when_stopped_while_idle_then_noticed),
		ROW(test_idle_connection_stays_up_by_pings),
		ROW(test_own_process_when_it_sleeps_then_answers_that_wait_still_count),
		ROW(test_greeting_when_refused_again_and_again_then_tried_with_back_off),
		ROW(test_server_when_it_talks_nonsense_then_given_up_and_tried_again),
		ROW(test_close_when_commands_are_under_way_then_each_ends_once),
		ROW(test_close_when_inside_a_callback_then_the_others_end_at_once),
		ROW(test_memory_when_it_fails_amid_commands_then_each_callback_once),
		ROW(test_memory_when_it_fails_while_connecting_then_up_all_the_same),
	};

	return cmocka_run_group_tests(tests, make_server, remove_server);
}
