/* SPDX-License-Identifier: Apache-2.0 */
/* Commands and getting in, against a real redis-server on a private port, started and stopped here. */
#include "common/adapt/adapt_redis_use_test.h"

/* ── commands ── */

static void test_command_when_answered_then_each_type_and_binary_safe(void **state)
{
	const struct str set[] = { STR("SET"), STR("b\0n"), STR("\0\r\n\xff") };
	const struct str get[] = { STR("GET"), STR("b\0n") };
	struct answer a = { .calls = 0 };

	(void)state;
	open_up();
	assert_int_equal(ups, 1);
	assert_string_equal(said("SET k v").text, "OK");
	assert_int_equal(said("SET k v").type, REDIS_STATUS);
	assert_string_equal(said("GET k").text, "v");
	assert_int_equal(said("GET k").type, REDIS_STRING);
	assert_int_equal(said("GET none").type, REDIS_NIL);
	assert_int_equal(said("INCRBY n -42").integer, -42);
	assert_int_equal(said("LPUSH k x").err, E_FAIL);
	assert_int_equal(said("LPUSH k x").type, REDIS_ERROR);
	assert_non_null(strstr(said("LPUSH k x").text, "WRONGTYPE"));
	assert_int_equal(adapt_redis_command(redis, set, 3, on_answer, &a), 0);
	assert_int_equal(adapt_redis_command(redis, get, 2, NULL, NULL), 0); /* nobody is told */
	assert_int_equal(adapt_redis_command(redis, get, 2, on_answer, &a), 0);
	run_until(a.calls == 2);
	assert_memory_equal(a.text, "\0\r\n\xff", 4);
}

static char nested[256];

static void on_nested(void *ctx, int err, const struct redis_reply *r)
{
	const struct redis_reply *entry = adapt_redis_item(adapt_redis_item(r, 0), 1);
	const struct redis_reply *fields = adapt_redis_item(adapt_redis_item(entry, 0), 1);

	(void)ctx;
	assert_int_equal(err, 0);
	snprintf(nested, sizeof(nested), STR_FMT " " STR_FMT "=" STR_FMT " %d",
		 STR_ARG(adapt_redis_item(adapt_redis_item(r, 0), 0)->text),
		 STR_ARG(adapt_redis_item(fields, 0)->text),
		 STR_ARG(adapt_redis_item(fields, 1)->text), (int)adapt_redis_item(r, 9)->type);
}

static void test_command_when_the_answer_is_nested_then_walked(void **state)
{
	const struct str read[] = { STR("XREAD"), STR("STREAMS"), STR("s"), STR("0") };

	(void)state;
	open_up();
	said("XADD s * field value");
	*nested = 0;
	assert_int_equal(adapt_redis_command(redis, read, 4, on_nested, NULL), 0);
	run_until(*nested);
	assert_string_equal(nested, "s field=value 0");
}

static void test_pipeline_of_10000_is_answered_in_order_and_leaves_in_few_writes(void **state)
{
	uint64_t began_ns;

	(void)state;
	open_up();
	began_ns = clock_exact_ns();
	for (int i = 0; i < PIPELINE; i++)
		assert_int_equal(ask(&many[i], "INCR n"), 0);
	assert_int_equal(ended(0, PIPELINE), 0);
	assert_int_equal(metrics_values[METRIC_REDIS_PENDING], PIPELINE);
	run_until(many[PIPELINE - 1].calls);
	print_message("%d commands in %llu us\n", PIPELINE,
		      (unsigned long long)(clock_exact_ns() - began_ns) / 1000);
	for (int i = 0; i < PIPELINE; i++) {
		assert_int_equal(many[i].integer, i + 1);
		assert_true(i == 0 || many[i].order == many[i - 1].order + 1);
	}
	assert_int_equal(downs, 0);
}

static void test_large_values_go_both_ways(void **state)
{
	struct answer a = { .calls = 0 };
	size_t n = (size_t)24 << 20;
	char *value = malloc(n);
	struct str set[] = { STR("SET"), STR("big"), str_make(value, n) };

	(void)state;
	assert_non_null(value);
	memset(value, 'x', n);
	open_up();
	assert_int_equal(adapt_redis_command(redis, set, 3, on_answer, &a), 0);
	free(value); /* COPIED */
	run_until(a.calls);
	assert_string_equal(a.text, "OK");
	assert_string_equal(said("GET big").text, "25165824 bytes");
}

static void test_command_when_bounds_are_reached_then_full_and_room_again_later(void **state)
{
	struct adapt_redis_spec spec = spec_of(NULL);
	struct answer a, b, c;
	char large[600];

	(void)state;
	start_server("");
	spec.max_commands = 2;
	spec.max_bytes = 500;
	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
	run_until(adapt_redis_up(redis));
	assert_int_equal(ask(&a, "PING"), 0);
	assert_int_equal(ask(&b, "PING"), 0);
	assert_int_equal(ask(&c, "PING"), E_FULL);
	run_until(a.calls && b.calls);
	memset(large, 'x', sizeof(large));
	large[300] = 0;
	assert_int_equal(ask(&a, large), 0);
	assert_int_equal(ask(&b, large), E_FULL);
	run_until(a.calls);
	large[300] = 'x';
	large[599] = 0;
	assert_int_equal(ask(&a, large), E_TOOBIG);
	assert_int_equal(c.calls, 0);
	assert_int_equal(downs, 0);
}

static void test_reply_when_larger_than_allowed_then_the_connection_is_given_up(void **state)
{
	struct adapt_redis_spec spec = spec_of(NULL);

	(void)state;
	start_server("");
	spec.max_reply_bytes = 20000;
	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
	run_until(adapt_redis_up(redis));
	assert_int_equal(said("SETRANGE big 9000 x").err, 0);
	assert_string_equal(said("GET big").text, "9001 bytes");
	said("SETRANGE big 100000 x");
	assert_int_equal(said("GET big").err, E_UNAVAILABLE);
	assert_non_null(strstr(down_reason, "larger"));
	run_until(ups == 2);
}

static uint64_t system_writes(void)
{
	unsigned long long count = 0;
	char line[64];
	FILE *file = fopen("/proc/self/io", "r");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "syscw: %llu", &count) == 1)
			break;
	if (file)
		fclose(file);
	return count;
}

static void test_commands_of_one_turn_leave_in_one_write(void **state)
{
	uint64_t before;

	(void)state;
	open_up();
	before = system_writes();
	if (!before)
		skip();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(ask(&many[i], "INCR n"), 0);
	assert_int_equal(system_writes(), before);
	turn();
	assert_int_equal(system_writes(), before + 1);
	run_until(many[999].calls);
	assert_int_equal(system_writes(), before + 1);
}

/* ── getting in ── */

static void test_open_when_refused_then_told_once_and_up_when_there_is_a_server(void **state)
{
	uint64_t began_ms = now_ms();

	(void)state;
	open_it();
	run_until(now_ms() > began_ms + 700);
	assert_int_equal(logged_times("no connection"), 1);
	assert_non_null(strstr(reason_now(), "refused"));
	assert_int_equal(downs, 0);
	start_server("");
	run_until(ups == 1);
}

static void test_open_when_the_name_is_looked_up_then_up(void **state)
{
	struct adapt_redis_spec spec = spec_of(NULL);

	(void)state;
	start_server("");
	spec.host = "localhost";
	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
	run_until(ups == 1);
	adapt_redis_close(&redis);
	spec.host = "no-such-host.invalid";
	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
	turn();
	turn();
	adapt_redis_close(&redis); /* while it is looked up, perhaps */
	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
	run_until(strstr(reason_now(), "not known") || strstr(reason_now(), "not told"));
}

static void test_open_when_not_usable_then_config_error_without_secrets(void **state)
{
	struct adapt_redis_spec spec = spec_of("redis://me:" PASSWORD "@h:x");

	(void)state;
	assert_int_equal(adapt_redis_open(&spec, &redis), E_CONFIG);
	assert_int_equal(logged_times("the port is not a number"), 1);
	spec.url = "rediss://me:" PASSWORD "@h";
	assert_int_equal(adapt_redis_open(&spec, &redis), E_CONFIG);
	spec.url = "";
	spec.port = 0;
	assert_int_equal(adapt_redis_open(&spec, &redis), E_CONFIG);
	assert_null(redis);
}

static void open_url(const char *credentials, const char *path)
{
	char url[256];
	struct adapt_redis_spec spec;

	snprintf(url, sizeof(url), "redis://%s@127.0.0.1:%d%s", credentials, server.port, path);
	spec = spec_of(url);
	adapt_redis_close(&redis);
	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
	memset(url, 'x', sizeof(url)); /* COPIED */
}

static void test_auth_and_select(void **state)
{
	(void)state;
	start_server(PASSWORD);
	open_it();
	run_until(strstr(reason_now(), "NOAUTH"));
	open_url(":" PASSWORD "-wrong", "");
	run_until(strstr(reason_now(), "WRONGPASS"));
	open_url("nobody:" PASSWORD, "");
	run_until(strstr(reason_now(), "WRONGPASS"));
	assert_int_equal(ups, 0);
	open_url(":" PASSWORD, "/3");
	run_until(adapt_redis_up(redis));
	said("SET only here");
	open_url("default:" PASSWORD, "/3");
	run_until(adapt_redis_up(redis));
	assert_string_equal(said("GET only").text, "here");
	said("SELECT 0");
	assert_int_equal(said("GET only").type, REDIS_NIL);
	open_url(":" PASSWORD, "/99");
	run_until(strstr(reason_now(), "DB index"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		ROW(test_command_when_answered_then_each_type_and_binary_safe),
		ROW(test_command_when_the_answer_is_nested_then_walked),
		ROW(test_pipeline_of_10000_is_answered_in_order_and_leaves_in_few_writes),
		ROW(test_large_values_go_both_ways),
		ROW(test_command_when_bounds_are_reached_then_full_and_room_again_later),
		ROW(test_reply_when_larger_than_allowed_then_the_connection_is_given_up),
		ROW(test_commands_of_one_turn_leave_in_one_write),
		ROW(test_open_when_refused_then_told_once_and_up_when_there_is_a_server),
		ROW(test_open_when_the_name_is_looked_up_then_up),
		ROW(test_open_when_not_usable_then_config_error_without_secrets),
		ROW(test_auth_and_select),
	};

	return cmocka_run_group_tests(tests, make_server, remove_server);
}
