/* SPDX-License-Identifier: Apache-2.0 */
/* adapt_amqp against a real RabbitMQ: publishing with confirms, what cannot be routed, what is bounded, and what a loss of the connection means. */
#include "common/adapt/adapt_amqp_server_test.h"

#include "common/adapt/adapt_amqp.h"
#include "common/adapt/adapt_amqp_line.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/svc/svc_process.h"

#define WAIT_MS 60000
#define EXCHANGE "t.events"
#define QUEUE "t.realtime"

static struct svc_process process;
static uv_loop_t loop;
static struct adapt_amqp *amqp;
static struct list held;
static int taken, redelivered, proved, unproved, buried, answered;
static char last_code[64];
static const char *const keys[] = { "good", NULL };

static void nap(uv_timer_t *timer)
{
	(void)timer;
}

#define run_until(condition) \
	do { \
		uint64_t end_ns = clock_exact_ns() + (uint64_t)WAIT_MS * 1000000; \
		while (!(condition) && clock_exact_ns() < end_ns) \
			turn_loop(); \
		assert_true(condition); \
	} while (0)

static void turn_loop(void)
{
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, nap, 5, 0);
	uv_run(&loop, UV_RUN_ONCE);
	uv_timer_stop(&timer);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void on_delivery(void *ctx, struct amqp_delivery *d)
{
	assert_ptr_equal(ctx, &process);
	taken++;
	redelivered += d->redelivered;
	list_append(&held, &d->node);
}

static void on_settled(void *ctx, struct amqp_delivery *d)
{
	assert_ptr_equal(ctx, &process);
	proved += d->proved;
	unproved += !d->proved;
}

static void on_buried(void *ctx, struct amqp_delivery *d)
{
	assert_ptr_equal(ctx, &process);
	buried++;
	adapt_amqp_ack(amqp, d);
}

static void on_answer(void *ctx, struct str code)
{
	assert_ptr_equal(ctx, &process);
	answered++;
	snprintf(last_code, sizeof(last_code), STR_FMT, STR_ARG(code));
}

static bool is_up(void)
{
	char reason[SVC_REASON_BYTES];

	return adapt_amqp_up(amqp, reason);
}

static struct amqp_delivery *next(void)
{
	struct list *node = list_pop(&held);

	return node ? CONTAINER_OF(node, struct amqp_delivery, node) : NULL;
}

static int publish(const char *exchange, const char *key, const char *id, struct str body)
{
	return adapt_amqp_publish(amqp, str_of(exchange), str_of(key), str_of(id), body, on_answer,
				  &process);
}

static void open_it(const char *queue, const char *type)
{
	struct adapt_amqp_spec spec = {
		.svc = &process.svc,
		.url = server.url,
		.exchange = EXCHANGE,
		.queue = queue,
		.queue_type = type,
		.keys = keys,
		.prefetch = 100,
		.on_delivery = on_delivery,
		.on_settled = on_settled,
		.on_buried = on_buried,
		.ctx = &process,
	};

	assert_int_equal(adapt_amqp_open(&spec, &amqp), 0);
}

static int setup(void **state)
{
	static struct svc_spec spec = { .name = "test" };

	(void)state;
	memset(&process, 0, sizeof(process));
	assert_int_equal(uv_loop_init(&loop), 0);
	process.svc.spec = &spec;
	process.svc.loop = &loop;
	process.svc.instance = "test";
	list_init(&held);
	taken = redelivered = proved = unproved = buried = answered = 0;
	snprintf(last_code, sizeof(last_code), "none");
	return 0;
}

static int teardown(void **state)
{
	struct amqp_delivery *d;

	(void)state;
	adapt_amqp_close(&amqp);
	while ((d = next()) != NULL)
		adapt_amqp_drop(NULL, d);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

static void test_published_to_a_bound_key_then_confirmed_and_delivered(void **state)
{
	struct amqp_delivery *d;

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	assert_int_equal(publish(EXCHANGE, "good", "id-1", STR("{\"n\":1}")), 0);
	assert_int_equal(answered, 0);
	run_until(answered == 1 && taken == 1);
	assert_string_equal(last_code, "");
	d = next();
	assert_str(d->key, STR("good"));
	assert_str(d->id, STR("id-1"));
	assert_str(d->body, STR("{\"n\":1}"));
	adapt_amqp_ack(amqp, d);
	run_until(proved == 1);
	assert_int_equal(unproved, 0);
}

static void test_published_to_a_key_without_queue_then_unroutable_and_others_are_not(void **state)
{
	struct amqp_delivery *d;

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	for (int i = 0; i < 100; i++)
		assert_int_equal(publish(EXCHANGE, i == 50 ? "nobody" : "good", "", STR("{}")), 0);
	run_until(answered == 100 && taken == 99);
	assert_int_equal(metrics_values[METRIC_RABBITMQ_UNPUBLISHED], 1);
	while ((d = next()) != NULL)
		adapt_amqp_ack(amqp, d);
	run_until(proved == 99);
	assert_int_equal(publish(EXCHANGE, "nobody", "", STR("{}")), 0);
	run_until(answered == 101);
	assert_string_equal(last_code, "UNROUTABLE");
}

static void test_published_past_the_window_then_full(void **state)
{
	int accepted = 0;

	(void)state;
	open_it(QUEUE, "classic");
	while (publish(EXCHANGE, "nobody", "", STR("{}")) == 0)
		accepted++;
	assert_int_equal(accepted, AMQP_WINDOW);
	run_until(answered == accepted);
	assert_int_equal(publish(EXCHANGE, "nobody", "", str_make(server.folder, 8)), 0);
	assert_int_equal(publish(EXCHANGE, "nobody", "", str_make(NULL, AMQP_WINDOW_BYTES)),
			 E_FULL);
}

static void test_exchange_is_not_there_then_unavailable_and_the_next_is_taken(void **state)
{
	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	assert_int_equal(publish("no.such.exchange", "good", "", STR("{}")), 0);
	run_until(answered == 1);
	assert_string_equal(last_code, "UNAVAILABLE");
	run_until(is_up());
	assert_int_equal(publish(EXCHANGE, "nobody", "", STR("{}")), 0);
	run_until(answered == 2);
	assert_string_equal(last_code, "UNROUTABLE");
}

static void test_buried_then_with_the_reason_and_acknowledged(void **state)
{
	struct amqp_delivery *d;

	(void)state;
	open_it("q.quorum", "quorum");
	run_until(is_up());
	assert_int_equal(publish("", "q.quorum", "", STR("poison")), 0);
	run_until(taken == 1);
	d = next();
	adapt_amqp_dead(amqp, d, STR("no \xc3\xa9 good\xff"));
	run_until(buried == 1 && proved == 1);
	adapt_amqp_close(&amqp);
	open_it("q.quorum.dead", "classic"); /* it is a quorum queue and used as it is */
	run_until(taken == 2);
	d = next();
	assert_str(d->body, STR("poison"));
	adapt_amqp_ack(amqp, d);
	run_until(proved == 2);
}

static void test_large_bodies_not_acknowledged_then_no_more_are_read_until_they_are(void **state)
{
	struct str body = { mem_need(1 << 20), 1 << 20 };
	struct amqp_delivery *d;
	uint64_t began_ns;
	int before;

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	for (int i = 0; i < 90; i++) {
		assert_int_equal(publish(EXCHANGE, "good", "", body), 0);
		if (i % 30 == 29)
			run_until(answered == i + 1);
	}
	run_until(taken > 60);
	began_ns = clock_exact_ns();
	while (clock_exact_ns() - began_ns < 3000000000ull)
		turn_loop(); /* heartbeats go on */
	before = taken;
	assert_true(before < 90);
	assert_true(is_up());
	while ((d = next()) != NULL)
		adapt_amqp_ack(amqp, d);
	run_until(taken == 90);
	while ((d = next()) != NULL)
		adapt_amqp_ack(amqp, d);
	run_until(proved == 90);
	assert_int_equal(redelivered, 0);
	mem_free((void *)(uintptr_t)body.p);
}

static void test_broker_killed_then_what_is_unanswered_is_answered_and_comes_again(void **state)
{
	struct amqp_delivery *d;
	uint64_t generation = 0;

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	for (int i = 0; i < 20; i++)
		assert_int_equal(publish(EXCHANGE, "good", "", STR("{}")), 0);
	run_until(taken == 20 && answered == 20);
	stop_server(SIGKILL);
	run_until(!is_up());
	assert_int_equal(publish(EXCHANGE, "good", "", STR("{}")), 0);
	run_until(answered == 21);
	assert_string_equal(last_code, "UNAVAILABLE");
	d = next();
	generation = d->generation;
	adapt_amqp_ack(amqp, d); /* too late */
	start_server();
	run_until(taken == 40);
	assert_int_equal(unproved, 1);
	while ((d = next()) != NULL) {
		if (d->generation == generation)
			adapt_amqp_drop(amqp, d);
		else
			adapt_amqp_ack(amqp, d);
	}
	run_until(proved == 20);
}

static void acknowledge_all(void)
{
	struct amqp_delivery *d;

	while ((d = next()) != NULL)
		adapt_amqp_ack(amqp, d);
}

static void test_broker_stands_still_then_noticed_by_heartbeat_and_back_afterwards(void **state)
{
	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	assert_int_equal(publish(EXCHANGE, "good", "", STR("{}")), 0);
	run_until(taken == 1);
	kill(server.pid, SIGSTOP);
	assert_int_equal(publish(EXCHANGE, "nobody", "", STR("{}")), 0);
	run_until(!is_up() && answered == 2);
	assert_string_equal(last_code, "UNAVAILABLE");
	kill(server.pid, SIGCONT);
	run_until(is_up());
	acknowledge_all(); /* or too late, if that connection was given up, too: then it comes again */
	run_until((acknowledge_all(), proved == 1));
	assert_int_equal(unproved, redelivered);
}

static void test_closed_with_a_stopped_broker_then_at_once_and_all_answered(void **state)
{
	uint64_t began_ns;

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	kill(server.pid, SIGSTOP);
	for (int i = 0; i < 10; i++)
		assert_int_equal(publish(EXCHANGE, "good", "", STR("{}")), 0);
	turn_loop();
	began_ns = clock_exact_ns();
	adapt_amqp_close(&amqp);
	assert_int_equal(answered, 10);
	assert_string_equal(last_code, "UNAVAILABLE");
	assert_true(clock_exact_ns() - began_ns < 4000000000ull);
	kill(server.pid, SIGCONT);
}

/* ── somebody else changes what was declared ── */

static struct amqp_line other;

static void other_opens(void)
{
	assert_int_equal(amqp_line_init(&other, server.url), 0);
	assert_int_equal(amqp_line_open(&other), 0);
}

static void other_deletes(void)
{
	amqp_exchange_delete(other.state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(EXCHANGE), 0);
	assert_int_equal(amqp_line_checked(&other, "delete"), 0);
}

static void other_declares(const char *type, bool durable)
{
	amqp_exchange_declare(other.state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(EXCHANGE),
			      amqp_cstring_bytes(type), 0, durable, 0, 0, amqp_empty_table);
	assert_int_equal(amqp_line_checked(&other, "declare"), 0);
}

/* Again and again: what is published while nothing is bound is lost. */
static void publish_until_taken(void)
{
	uint64_t last_ns = clock_exact_ns() + (uint64_t)WAIT_MS * 1000000;
	int before = taken, sent = answered;

	while (taken == before && clock_exact_ns() < last_ns) {
		assert_int_equal(publish(EXCHANGE, "good", "", STR("{}")), 0);
		sent++;
		run_until(answered == sent);
		turn_loop();
	}
	assert_true(taken > before);
	acknowledge_all();
}

static void test_exchange_made_again_then_bound_again_and_no_connection_lost(void **state)
{
	uint64_t connects = metrics_values[METRIC_RABBITMQ_RECONNECTS];

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	other_opens();
	for (int i = 0; i < 2; i++) {
		other_deletes();
		other_declares("topic", true);
		publish_until_taken();
		assert_true(is_up());
	}
	assert_int_equal(metrics_values[METRIC_RABBITMQ_RECONNECTS], connects + 1);
	amqp_line_fini(&other);
}

static void test_exchange_made_again_as_another_then_told_until_it_is_right_and_bound(void **state)
{
	char reason[SVC_REASON_BYTES];

	(void)state;
	open_it(QUEUE, "classic");
	run_until(is_up());
	other_opens();
	other_deletes();
	other_declares("topic", true);
	publish_until_taken(); /* a check went through: it is known as ours */
	other_deletes();
	other_declares("fanout", true);
	run_until(!is_up());
	assert_false(adapt_amqp_up(amqp, reason));
	assert_non_null(strstr(reason, "PRECONDITION_FAILED"));
	publish_until_taken();
	other_deletes();
	run_until(is_up()); /* declared again as ours */
	publish_until_taken();
	amqp_line_fini(&other);
}

static void test_exchange_of_another_kind_at_first_then_used_as_it_is(void **state)
{
	(void)state;
	other_opens();
	amqp_exchange_delete(other.state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(EXCHANGE), 0);
	other_declares("direct", false);
	open_it(QUEUE, "classic");
	run_until(is_up());
	publish_until_taken();
	other_deletes();
	other_declares("direct", false);
	publish_until_taken();
	assert_true(is_up());
	other_deletes(); /* for the next test */
	amqp_line_fini(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_published_to_a_bound_key_then_confirmed_and_delivered),
		T(test_published_to_a_key_without_queue_then_unroutable_and_others_are_not),
		T(test_published_past_the_window_then_full),
		T(test_exchange_is_not_there_then_unavailable_and_the_next_is_taken),
		T(test_buried_then_with_the_reason_and_acknowledged),
		T(test_large_bodies_not_acknowledged_then_no_more_are_read_until_they_are),
		T(test_broker_killed_then_what_is_unanswered_is_answered_and_comes_again),
		T(test_broker_stands_still_then_noticed_by_heartbeat_and_back_afterwards),
		T(test_closed_with_a_stopped_broker_then_at_once_and_all_answered),
		T(test_exchange_made_again_then_bound_again_and_no_connection_lost),
		T(test_exchange_made_again_as_another_then_told_until_it_is_right_and_bound),
		T(test_exchange_of_another_kind_at_first_then_used_as_it_is),
#undef T
	};

	return cmocka_run_group_tests(tests, make_server, remove_server);
}
