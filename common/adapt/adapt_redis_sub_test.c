/* SPDX-License-Identifier: Apache-2.0 */
/* Subscribers, against a real redis-server on a private port. */
#include "common/adapt/adapt_redis_use_test.h"

static struct {
	int count;
	char channel[64], payload[64], pattern[64];
} got;
static int sub_ups, sub_downs;
static bool close_at_message;

static void on_message(void *ctx, struct str channel, struct str payload, struct str pattern)
{
	assert_ptr_equal(ctx, &got);
	got.count++;
	snprintf(got.channel, sizeof(got.channel), STR_FMT, STR_ARG(channel));
	if (str_copy(payload, got.payload, sizeof(got.payload)))
		snprintf(got.payload, sizeof(got.payload), "%zu bytes", payload.n);
	assert_int_equal(str_copy(pattern, got.pattern, sizeof(got.pattern)), 0);
	if (close_at_message)
		adapt_redis_close(&subscriber);
}

static void on_sub_up(void *ctx)
{
	(void)ctx;
	sub_ups++;
}

static void on_sub_down(void *ctx, const char *reason)
{
	(void)ctx;
	(void)reason;
	sub_downs++;
}

static void open_both(void)
{
	struct adapt_redis_spec spec = spec_of(NULL);

	memset(&got, 0, sizeof(got));
	sub_ups = sub_downs = 0;
	close_at_message = false;
	open_up();
	assert_int_equal(metrics_values[METRIC_REDIS_UP], 1);
	spec.handlers = (struct adapt_redis_handlers){ on_sub_up, on_sub_down, on_message, &got };
	assert_int_equal(adapt_redis_open(&spec, &subscriber), 0);
	assert_int_equal(metrics_values[METRIC_REDIS_UP], 0); /* all of them, or none */
}

static void subscribe(const char *channel, bool pattern)
{
	assert_int_equal(adapt_redis_subscribe(subscriber, str_of(channel), pattern), 0);
}

/* How many got it. */
static int published(const char *channel, const char *payload)
{
	const struct str argv[] = { STR("PUBLISH"), str_of(channel), str_of(payload) };
	struct answer a = { .calls = 0 };

	assert_int_equal(adapt_redis_command(redis, argv, 3, on_answer, &a), 0);
	run_until(a.calls);
	return (int)a.integer;
}

static void test_subscribe_before_and_after_it_is_up_then_messages(void **state)
{
	const struct str publish[] = { STR("PUBLISH"), STR("a"), STR("\0\r\n") };

	(void)state;
	open_both();
	subscribe("a", false);
	run_until(sub_ups == 1);
	assert_int_equal(metrics_values[METRIC_REDIS_UP], 1);
	assert_int_equal(published("a", "one"), 1);
	run_until(got.count == 1);
	assert_string_equal(got.channel, "a");
	assert_string_equal(got.payload, "one");
	assert_string_equal(got.pattern, "");
	subscribe("n.*", true);
	subscribe("n.*", true); /* twice is once */
	run_until(published("n.x", "two"));
	run_until(got.count == 2);
	assert_string_equal(got.channel, "n.x");
	assert_string_equal(got.payload, "two");
	assert_string_equal(got.pattern, "n.*");
	assert_int_equal(adapt_redis_command(redis, publish, 3, NULL, NULL), 0);
	run_until(got.count == 3);
	assert_memory_equal(got.payload, "\0\r\n", 3);
}

static void test_unsubscribe_then_no_more_messages_and_still_up(void **state)
{
	uint64_t began_ms;

	(void)state;
	open_both();
	subscribe("a", false);
	run_until(sub_ups == 1);
	adapt_redis_unsubscribe(subscriber, STR("a"), true); /* another one: nothing */
	assert_int_equal(published("a", "x"), 1);
	adapt_redis_unsubscribe(subscriber, STR("a"), false);
	adapt_redis_unsubscribe(subscriber, STR("a"), false);
	run_until(published("a", "x") == 0);
	began_ms = now_ms();
	run_until(now_ms() > began_ms + 2 * TIMEOUT_MS + 200); /* pinged both ways: */
	subscribe("b", false);
	run_until(published("b", "x"));
	began_ms = now_ms();
	run_until(now_ms() > began_ms + 2 * TIMEOUT_MS + 200); /* … PONG is an array now */
	assert_int_equal(sub_downs, 0);
}

static void test_server_when_restarted_or_stopped_then_subscribed_again(void **state)
{
	(void)state;
	open_both();
	subscribe("a", false);
	subscribe("p*", true);
	run_until(sub_ups == 1);
	stop_server(SIGKILL);
	run_until(sub_downs == 1 && downs == 1);
	subscribe("while-down", false);
	start_server("");
	run_until(sub_ups == 2 && ups == 2);
	assert_int_equal(published("a", "x"), 1); /* up says that it is */
	assert_int_equal(published("px", "x"), 1);
	assert_int_equal(published("while-down", "x"), 1);
	run_until(got.count == 3);
	kill(server.pid, SIGSTOP);
	run_until(sub_downs == 2);
	kill(server.pid, SIGCONT);
	run_until(sub_ups == 3 && adapt_redis_up(redis));
	run_until(published("a", "again") >= 1);
	run_until(!strcmp(got.payload, "again"));
}

static void test_many_messages_in_a_burst_then_all_of_them(void **state)
{
	char payload[16];

	(void)state;
	open_both();
	subscribe("a", false);
	run_until(sub_ups == 1);
	for (int i = 0; i < PIPELINE; i++) {
		const struct str argv[] = { STR("PUBLISH"), STR("a"), str_of(payload) };

		snprintf(payload, sizeof(payload), "%d", i);
		assert_int_equal(adapt_redis_command(redis, argv, 3, NULL, NULL), 0);
	}
	run_until(got.count == PIPELINE);
	assert_string_equal(got.payload, "9999");
}

static void test_close_when_inside_a_message_then_no_more(void **state)
{
	(void)state;
	open_both();
	subscribe("a", false);
	run_until(sub_ups == 1);
	close_at_message = true;
	for (int i = 0; i < 10; i++) {
		const struct str argv[] = { STR("PUBLISH"), STR("a"), STR("x") };

		assert_int_equal(adapt_redis_command(redis, argv, 3, NULL, NULL), 0);
	}
	run_until(!subscriber);
	assert_string_equal(said("PING").text, "PONG");
	assert_int_equal(got.count, 1);
}

static void test_subscribe_when_bounds_are_reached_then_told(void **state)
{
	static char name[ADAPT_REDIS_CHANNEL_BYTES + 2];

	(void)state;
	open_both();
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(adapt_redis_subscribe(subscriber, str_of(name), false), E_TOOBIG);
	mem_fail_at(1);
	assert_int_equal(adapt_redis_subscribe(subscriber, STR("a"), false), E_NOMEM);
	for (int i = 0; i < ADAPT_REDIS_CHANNELS; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		subscribe(name, false);
	}
	assert_int_equal(adapt_redis_subscribe(subscriber, STR("a"), false), E_FULL);
	run_until(sub_ups == 1);
	assert_int_equal(published("c0", "x") + published("c4095", "x"), 2);
}

static void test_memory_when_a_subscription_cannot_be_asked_for_then_by_the_next_connection(
	void **state)
{
	char channel[512] = "";

	(void)state;
	open_both();
	run_until(sub_ups == 1);
	memset(channel, 'x', sizeof(channel) - 1);
	mem_fail_at(2); /* the subscription is remembered, its command not written */
	subscribe(channel, false);
	mem_fail_at(0);
	assert_false(adapt_redis_up(subscriber));
	assert_int_equal(sub_downs, 0); /* nothing runs inside the call */
	run_until(sub_ups == 2);
	assert_int_equal(sub_downs, 1);
	assert_int_equal(published(channel, "x"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		ROW(test_subscribe_before_and_after_it_is_up_then_messages),
		ROW(test_unsubscribe_then_no_more_messages_and_still_up),
		ROW(test_server_when_restarted_or_stopped_then_subscribed_again),
		ROW(test_many_messages_in_a_burst_then_all_of_them),
		ROW(test_close_when_inside_a_message_then_no_more),
		ROW(test_subscribe_when_bounds_are_reached_then_told),
		ROW(test_memory_when_a_subscription_cannot_be_asked_for_then_by_the_next_connection),
	};

	return cmocka_run_group_tests(tests, make_server, remove_server);
}
