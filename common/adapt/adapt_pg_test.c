/* SPDX-License-Identifier: Apache-2.0 */
/* Against a real PostgreSQL on a private port, folder and socket, started here (as user postgres, where this is root). */
#include "common/adapt/adapt_pg_server_test.h"

#include "common/adapt/adapt_pg.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

#define WAIT_MS 20000
#define TIMEOUT_MS 700

static struct svc svc;
static uv_loop_t loop;
static char logged[1 << 16];

static void keep_line(struct str text, void *ctx)
{
	size_t n = strlen(logged);

	(void)ctx;
	if (n + text.n + 1 < sizeof(logged)) {
		memcpy(logged + n, text.p, text.n);
		logged[n + text.n] = 0;
	}
}

static size_t logged_times(const char *word)
{
	size_t count = 0;

	for (const char *at = logged; (at = strstr(at, word)) != NULL; at++)
		count++;
	return count;
}

/* ── the adapter ── */

static struct adapt_pg *pg;

static void turn(void)
{
	clock_expire();
	uv_run(&loop, UV_RUN_NOWAIT);
	usleep(500);
}

#define run_until(condition) \
	do { \
		uint64_t end_ms = clock_exact_ns() / 1000000 + WAIT_MS; \
		while (!(condition)) { \
			turn(); \
			if (clock_exact_ns() / 1000000 > end_ms) \
				fail_msg("not within %d ms: %s", WAIT_MS, #condition); \
		} \
	} while (0)

static bool is_up(void)
{
	char reason[SVC_REASON_BYTES];

	return adapt_pg_up(pg, reason);
}

static const char *sslmode;

static void open_with(const char *password, const char *host, const char *port)
{
	char uri[512];

	snprintf(uri, sizeof(uri),
		 *host == '/' ? "postgresql:///"
				"postgres?user=roomwire&password=%s&host=%s&port=%s&sslmode=%s"
			      : "postgres://roomwire:%s@/postgres?host=%s&port=%s&sslmode=%s",
		 password, host, port, sslmode);
	assert_int_equal(adapt_pg_open(&svc, uri, &pg), 0);
}

static void open_it(const char *host)
{
	char port[16];

	snprintf(port, sizeof(port), "%d", server.port);
	open_with(PASSWORD, host, port);
	run_until(is_up());
}

static int setup(void **state)
{
	(void)state;
	memset(&svc, 0, sizeof(svc));
	uv_loop_init(&loop);
	svc.loop = &loop;
	conf_init(&svc.conf);
	svc.conf.database_timeout_ms = TIMEOUT_MS;
	*logged = 0;
	sslmode = "disable";
	log_capture(keep_line, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	adapt_pg_close(&pg);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	conf_fini(&svc.conf);
	log_capture(NULL, NULL);
	assert_null(strstr(logged, PASSWORD));
	return 0;
}

struct answer {
	int calls, err, rows, order;
	char text[64], message[128];
};
static int answered;

static void on_answer(void *ctx, int err, const struct adapt_pg_result *result, const char *message)
{
	struct answer *a = ctx;

	a->calls++;
	a->err = err;
	a->order = ++answered;
	a->rows = result ? result->rows : -1;
	if (result && result->rows)
		assert_int_equal(str_copy(adapt_pg_text(result, 0, 0), a->text, sizeof(a->text)),
				 0);
	if (message)
		snprintf(a->message, sizeof(a->message), "%s", message);
}

static int ask(const char *sql, const char *param, struct answer *a)
{
	struct str params[1] = { str_of(param) };

	memset(a, 0, sizeof(*a));
	return adapt_pg_query(pg, sql, params, param ? 1 : 0, on_answer, a);
}

static void expect(const char *sql, const char *param, int err, const char *text)
{
	struct answer a;

	assert_int_equal(ask(sql, param, &a), 0);
	assert_int_equal(a.calls, 0);
	run_until(a.calls);
	if (a.err != err)
		fail_msg("%s (%s): got %s, want %s: %s", sql, param ? param : "", err_name(a.err),
			 err_name(err), a.message);
	if (text)
		assert_string_equal(a.text, text);
}

#define SAY "SELECT $1::text"
#define WRONG "SELECT nothing FROM no_such_table WHERE $1 = 'x'"
#define SLEEP "SELECT pg_sleep($1::float)"

static void test_query_when_up_then_rows_and_texts(void **state)
{
	struct answer a;

	(void)state;
	open_it("127.0.0.1");
	expect(SAY, "hello", 0, "hello");
	expect(SAY, "it's \"quoted\"; DROP TABLE x; --", 0, "it's \"quoted\"; DROP TABLE x; --");
	expect(SAY, "", 0, "");
	expect("SELECT NULL", NULL, 0, "");
	expect("SELECT count(*) FROM pg_prepared_statements WHERE statement = '" SAY "'", NULL, 0,
	       "1");
	assert_int_equal(ask("SELECT 1 WHERE $1 = 'no'", "yes", &a), 0);
	run_until(a.calls);
	assert_int_equal(a.err, 0);
	assert_int_equal(a.rows, 0);
	assert_int_equal(
		adapt_pg_query(pg, SAY, (struct str[]){ str_make("a\0b", 3) }, 1, on_answer, &a),
		E_SYNTAX);
}

static void test_open_when_host_is_a_name_a_list_or_a_socket_then_connected(void **state)
{
	static const char *const hosts[] = { "localhost", "127.0.0.1,localhost", server.folder };
	char ports[32];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(hosts); i++) {
		open_it(hosts[i]);
		expect(SAY, hosts[i], 0, hosts[i]);
		adapt_pg_close(&pg);
	}
	snprintf(ports, sizeof(ports), "%d,%d", free_port(), server.port);
	open_with(PASSWORD, "127.0.0.1,localhost", ports);
	run_until(is_up());
	expect("SELECT inet_server_port()::text = $1", strchr(ports, ',') + 1, 0, "t");
}

static void test_query_when_many_then_answered_in_order_through_the_bounds(void **state)
{
	enum { COUNT = 500 };
	static struct answer answers[COUNT];
	char param[16];

	(void)state;
	svc.conf.database_in_flight = 16;
	open_it("127.0.0.1");
	answered = 0;
	for (int i = 0; i < COUNT; i++) {
		snprintf(param, sizeof(param), "%d", i);
		assert_int_equal(ask(SAY, param, &answers[i]), 0);
	}
	run_until(answered == COUNT);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(answers[i].calls, 1);
		assert_int_equal(answers[i].err, 0);
		assert_int_equal(answers[i].order, i + 1);
		snprintf(param, sizeof(param), "%d", i);
		assert_string_equal(answers[i].text, param);
	}
}

/* What TLS has decrypted and libpq has not yet read shows at no socket: nothing may be left lying there. */
static void test_query_when_over_tls_then_large_and_many_answers_arrive(void **state)
{
	enum { COUNT = 200 };
	static struct answer answers[COUNT];
	char param[16];

	(void)state;
	sslmode = "require";
	open_it("localhost");
	expect("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", NULL, 0, "t");
	for (int round = 0; round < 3; round++) {
		answered = 0;
		for (int i = 0; i < COUNT; i++) {
			snprintf(param, sizeof(param), "%d", i * 97 % 20000);
			assert_int_equal(ask("SELECT length(x), x FROM repeat('x', $1::int) AS x",
					     param, &answers[i]),
					 0);
		}
		run_until(answered == COUNT);
		for (int i = 0; i < COUNT; i++) {
			snprintf(param, sizeof(param), "%d", i * 97 % 20000);
			assert_int_equal(answers[i].err, 0);
			assert_string_equal(answers[i].text, param);
		}
	}
	assert_int_equal(logged_times("the connection is lost"), 0);
}

static void test_query_when_too_many_wait_then_full(void **state)
{
	static struct answer answers[16];
	int accepted = 0;

	(void)state;
	svc.conf.database_in_flight = 2;
	svc.conf.auth_max_waiting = 3;
	open_it("127.0.0.1");
	answered = 0;
	while (accepted < 16 && ask(SAY, "x", &answers[accepted]) == 0)
		accepted++;
	/* two in flight, or one beside the first settings of the connection; three waiting */
	assert_in_range(accepted, 4, 5);
	assert_int_equal(ask(SAY, "x", &answers[15]), E_FULL);
	run_until(answered == accepted);
	expect(SAY, "room again", 0, "room again");
}

static void test_query_when_sql_is_wrong_then_only_it_fails(void **state)
{
	enum { COUNT = 60 };
	static struct answer answers[COUNT];

	(void)state;
	open_it("127.0.0.1");
	for (int round = 0; round < 2; round++) {
		answered = 0;
		for (int i = 0; i < COUNT;
		     i++) /* every third is wrong; every fifth fails over its value */
			assert_int_equal(ask(i % 3 == 1   ? WRONG
					     : i % 5 == 0 ? "SELECT $1::uuid"
							  : SAY,
					     "x", &answers[i]),
					 0);
		run_until(answered == COUNT);
		for (int i = 0; i < COUNT; i++)
			assert_int_equal(answers[i].err, i % 3 == 1 || i % 5 == 0 ? E_FAIL : 0);
	}
	assert_non_null(strstr(answers[1].message, "no_such_table"));
	assert_int_equal(logged_times("a query was refused"), 2); /* once per statement */
	assert_int_equal(logged_times("no_such_table WHERE"), 1);
	assert_true(is_up());
	expect("CREATE TABLE no_such_table AS SELECT 1 AS nothing", NULL, 0, NULL);
	expect(WRONG, "x", 0, "1");
	expect("DROP TABLE no_such_table", NULL, 0, NULL);
}

static void test_query_when_statements_are_lost_then_parsed_anew(void **state)
{
	(void)state;
	open_it("127.0.0.1");
	expect(SAY, "a", 0, "a");
	expect("DEALLOCATE ALL", NULL, 0, NULL);
	expect(SAY, "b", E_UNAVAILABLE, NULL);
	expect(SAY, "c", 0, "c");
	expect("CREATE TABLE altered AS SELECT 1 AS one", NULL, 0, NULL);
	expect("SELECT * FROM altered", NULL, 0, "1");
	expect("ALTER TABLE altered ADD COLUMN two int", NULL, 0, NULL);
	expect("SELECT * FROM altered", NULL, E_UNAVAILABLE, NULL);
	expect("SELECT * FROM altered", NULL, 0, "1");
	expect("DROP TABLE altered", NULL, 0, NULL);
}

static void test_query_when_past_the_deadline_then_unavailable_and_connected_anew(void **state)
{
	struct answer before, slow, behind;
	uint64_t start_ms, took_ms;

	(void)state;
	open_it("127.0.0.1");
	start_ms = clock_exact_ns() / 1000000;
	assert_int_equal(ask(SAY, "before", &before), 0);
	assert_int_equal(ask(SLEEP, "30", &slow), 0);
	assert_int_equal(ask(SAY, "behind", &behind), 0);
	run_until(slow.calls && behind.calls);
	took_ms = clock_exact_ns() / 1000000 - start_ms;
	assert_int_equal(before.err, 0);
	assert_int_equal(slow.err, E_UNAVAILABLE);
	assert_int_equal(behind.err, E_UNAVAILABLE);
	assert_in_range(took_ms, TIMEOUT_MS - 50, TIMEOUT_MS + 1000);
	assert_false(is_up());
	assert_int_equal(ask(SAY, "down", &behind), E_UNAVAILABLE);
	run_until(is_up());
	expect(SAY, "again", 0, "again");
	/* what nobody waits for ends on the server, too */
	struct answer left = { 0 };
	do {
		assert_true(clock_exact_ns() / 1000000 < start_ms + WAIT_MS);
		assert_int_equal(ask("SELECT count(*) FROM pg_stat_activity WHERE query = '" SLEEP
				     "' AND state = 'active'",
				     NULL, &left),
				 0);
		run_until(left.calls);
	} while (strcmp(left.text, "0") != 0);
}

static void test_query_when_waiting_too_long_then_unavailable_alone(void **state)
{
	struct answer first, second, waiting;

	(void)state;
	svc.conf.database_in_flight = 1;
	open_it("127.0.0.1");
	expect(SAY, "settled", 0, "settled");
	assert_int_equal(ask(SLEEP, "0.5", &first), 0);
	assert_int_equal(ask(SLEEP, "0.5", &second), 0);
	assert_int_equal(ask(SAY, "waits", &waiting), 0);
	run_until(waiting.calls);
	assert_int_equal(waiting.err, E_UNAVAILABLE);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 0);
	run_until(second.calls);
	assert_int_equal(first.err, 0);
	assert_int_equal(second.err, 0);
	assert_true(is_up());
}

static void test_server_when_killed_and_started_again_then_back(void **state)
{
	static const int how[] = { SIGINT, SIGKILL };
	char reason[SVC_REASON_BYTES];
	struct answer a;

	(void)state;
	open_it("127.0.0.1");
	for (size_t i = 0; i < COUNT_OF(how); i++) {
		expect(SAY, "up", 0, "up");
		assert_int_equal(ask(SLEEP, "30", &a), 0);
		turn();
		stop_server(how[i]);
		run_until(a.calls);
		assert_int_equal(a.err, E_UNAVAILABLE);
		assert_false(adapt_pg_up(pg, reason));
		assert_true(*reason);
		assert_null(strstr(reason, PASSWORD));
		assert_int_equal(ask(SAY, "down", &a), E_UNAVAILABLE);
		start_server();
		run_until(is_up());
	}
	expect(SAY, "back", 0, "back");
}

static void test_connection_when_ended_by_the_administrator_then_back(void **state)
{
	struct answer a;

	(void)state;
	open_it(server.folder);
	assert_int_equal(ask("SELECT pg_terminate_backend(pg_backend_pid())", NULL, &a), 0);
	run_until(a.calls);
	assert_int_equal(a.err, E_UNAVAILABLE);
	run_until(is_up());
	expect(SAY, "back", 0, "back");
}

static void test_server_when_frozen_then_unavailable_in_time_and_back_when_thawed(void **state)
{
	uint64_t start_ms;
	struct answer a;

	(void)state;
	open_it("127.0.0.1");
	expect(SAY, "up", 0, "up");
	signal_server(SIGSTOP);
	start_ms = clock_exact_ns() / 1000000;
	assert_int_equal(ask(SAY, "frozen", &a), 0);
	run_until(a.calls);
	assert_int_equal(a.err, E_UNAVAILABLE);
	assert_in_range(clock_exact_ns() / 1000000 - start_ms, 0, TIMEOUT_MS + 1000);
	run_until(!is_up());
	signal_server(SIGCONT);
	run_until(is_up());
	expect(SAY, "thawed", 0, "thawed");
}

static void test_connection_when_idle_then_a_frozen_server_is_noticed(void **state)
{
	(void)state;
	open_it("127.0.0.1");
	signal_server(SIGSTOP);
	run_until(!is_up());
	signal_server(SIGCONT);
	run_until(is_up());
}

static void test_any_call_when_memory_is_short_then_tried_again_or_refused(void **state)
{
	char port[16];
	struct answer a;

	(void)state;
	snprintf(port, sizeof(port), "%d", server.port);
	for (uint64_t n = 1; n <= 8; n++) {
		open_with(PASSWORD, "localhost", port);
		mem_fail_at(n);
		run_until(is_up());
		mem_fail_at(n);
		if (ask(SAY, "x", &a) == 0)
			run_until(a.calls);
		mem_fail_at(0);
		expect(SAY, "y", 0, "y");
		adapt_pg_close(&pg);
		turn();
	}
}

static void test_open_when_password_is_wrong_then_reason_without_it(void **state)
{
	char reason[SVC_REASON_BYTES] = "", port[16];

	(void)state;
	snprintf(port, sizeof(port), "%d", server.port);
	open_with("wrong-" PASSWORD, "127.0.0.1", port);
	run_until(!adapt_pg_up(pg, reason) && strstr(reason, "authentication failed"));
	assert_null(strstr(reason, PASSWORD));
}

static void test_open_when_uri_is_wrong_then_config_error_without_a_word(void **state)
{
	static const char *const rows[] = { "not-a-uri-" PASSWORD,
					    "postgres://u:" PASSWORD "@h:port:port/db?x=y",
					    "mysql://u:" PASSWORD "@h/db" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(adapt_pg_open(&svc, rows[i], &pg), E_CONFIG);
	assert_string_equal(logged, "");
}

static void test_close_when_queries_are_pending_then_closed_once_each(void **state)
{
	struct answer a, b;

	(void)state;
	svc.conf.database_in_flight = 1;
	open_it("127.0.0.1");
	assert_int_equal(ask(SLEEP, "30", &a), 0);
	assert_int_equal(ask(SAY, "x", &b), 0);
	turn();
	adapt_pg_close(&pg);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.err, E_CLOSED);
	assert_int_equal(b.calls, 1);
	assert_int_equal(b.err, E_CLOSED);
}

static void close_in_callback(void *ctx, int err, const struct adapt_pg_result *result,
			      const char *message)
{
	(void)result;
	(void)message;
	++*(int *)ctx;
	if (err == 0)
		adapt_pg_close(&pg);
}

static void test_close_when_called_by_a_callback_then_nothing_is_touched_again(void **state)
{
	int calls = 0;

	(void)state;
	open_it("127.0.0.1");
	for (int i = 0; i < 3; i++)
		assert_int_equal(adapt_pg_query(pg, SAY, &STR("x"), 1, close_in_callback, &calls),
				 0);
	run_until(calls == 3);
	adapt_pg_close(&pg);
}

static void test_close_when_connecting_or_looking_up_then_clean(void **state)
{
	char port[16];

	(void)state;
	snprintf(port, sizeof(port), "%d", server.port);
	for (int turns = 0; turns < 4; turns++) {
		open_with(PASSWORD, turns % 2 ? "localhost" : "127.0.0.1", port);
		for (int i = 0; i < turns; i++)
			turn();
		adapt_pg_close(&pg);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_query_when_up_then_rows_and_texts),
		TEST(test_open_when_host_is_a_name_a_list_or_a_socket_then_connected),
		TEST(test_query_when_many_then_answered_in_order_through_the_bounds),
		TEST(test_query_when_over_tls_then_large_and_many_answers_arrive),
		TEST(test_query_when_too_many_wait_then_full),
		TEST(test_query_when_sql_is_wrong_then_only_it_fails),
		TEST(test_query_when_statements_are_lost_then_parsed_anew),
		TEST(test_query_when_past_the_deadline_then_unavailable_and_connected_anew),
		TEST(test_query_when_waiting_too_long_then_unavailable_alone),
		TEST(test_server_when_killed_and_started_again_then_back),
		TEST(test_connection_when_ended_by_the_administrator_then_back),
		TEST(test_server_when_frozen_then_unavailable_in_time_and_back_when_thawed),
		TEST(test_connection_when_idle_then_a_frozen_server_is_noticed),
		TEST(test_any_call_when_memory_is_short_then_tried_again_or_refused),
		TEST(test_open_when_password_is_wrong_then_reason_without_it),
		TEST(test_open_when_uri_is_wrong_then_config_error_without_a_word),
		TEST(test_close_when_queries_are_pending_then_closed_once_each),
		TEST(test_close_when_called_by_a_callback_then_nothing_is_touched_again),
		TEST(test_close_when_connecting_or_looking_up_then_clean),
	};

	return cmocka_run_group_tests(tests, make_server, remove_server);
}
