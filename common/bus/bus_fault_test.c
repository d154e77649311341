/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_fault.h"

#include "common/bus/bus_lossy_test.h"
#include "common/bus/bus_pair_test.h"
#include "common/bus/bus_rpc.h"
#include "common/metrics/metrics.h"

/* ── what is asked for ── */

static void test_spec_is_read(void **state)
{
	struct bus_fault_rates r;
	const char *why;

	(void)state;
	assert_int_equal(
		bus_fault_read(STR("drop=0.01, double=1,delay=.02:5-50,reorder=1e-3,seed=7"), &r,
			       &why),
		0);
	assert_int_equal(r.drop, 10000);
	assert_int_equal(r.twice, 1000000);
	assert_int_equal(r.delay, 20000);
	assert_int_equal(r.delay_min_ms, 5);
	assert_int_equal(r.delay_max_ms, 50);
	assert_int_equal(r.reorder, 1000);
	assert_int_equal(r.seed, 7);
	assert_int_equal(bus_fault_read(STR(""), &r, &why), 0);
	assert_int_equal(r.drop + r.twice + r.delay + r.reorder, 0);
}

static void test_wrong_spec_is_refused(void **state)
{
	static const char *const rows[] = {
		"drop",
		"drop=",
		"drop=2",
		"drop=-1",
		"drop=0.1x",
		"drop=nan",
		"drop= 0.1",
		"lose=0.1",
		"delay=0.1",
		"delay=0.1:5",
		"delay=0.1:0-5",
		"delay=0.1:9-5",
		"delay=2:1-5",
		"delay=0.1:5-5x",
		"delay=0.1:1-60001",
		"seed=x",
		"double=1.01",
		"drop=0,drop=0",
		"drop=0.1;double=0",
	};
	struct bus_fault_rates r;
	const char *why;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		if (bus_fault_read(str_of(rows[i]), &r, &why) != E_CONFIG)
			fail_msg("taken: %s", rows[i]);
		assert_non_null(why);
	}
}

/* ── what happens ── */

#define TOLD_MAX 4096

/* A destination that keeps the numbers it was sent. */
struct sink {
	struct world world;
	struct end end;
	struct bus_fault *fault;
	unsigned told[TOLD_MAX];
	size_t count;
};

static int sink_take(void *to, const struct str *frames, size_t frame_count)
{
	struct sink *s = to;

	assert_int_equal(frame_count, 2);
	assert_int_equal(frames[0].n, 0);
	assert_true(s->count < TOLD_MAX);
	memcpy(&s->told[s->count++], frames[1].p, sizeof(unsigned));
	return 0;
}

static void sink_open(struct sink *s, const char *spec)
{
	struct bus_fault_rates rates;
	const char *why;

	memset(s, 0, sizeof(*s));
	assert_int_equal(bus_fault_read(str_of(spec), &rates, &why), 0);
	world_open(&s->world);
	end_open(&s->end, &s->world, "sink", "sink");
	s->fault = bus_fault_new(&rates, sink_take);
}

static void sink_say(struct sink *s, unsigned number)
{
	struct str frames[2] = { STR(""), str_make((const char *)&number, sizeof(number)) };

	assert_int_equal(bus_fault_pass(s->fault, &s->end.process.svc, s, frames, 2), 0);
}

static void sink_close(struct sink *s)
{
	bus_fault_forget(s->fault, s);
	bus_fault_free(&s->fault);
	assert_null(s->fault);
	end_close(&s->end);
	world_close(&s->world);
}

static void test_nothing_happens_where_nothing_is_asked_for(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "seed=5");
	for (unsigned i = 0; i < 1000; i++)
		sink_say(&s, i);
	assert_int_equal(s.count, 1000);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(s.told[i], i);
	sink_close(&s);
}

static void test_drop_and_double_keep_their_rates_and_the_seed_repeats(void **state)
{
	size_t counts[2];
	struct sink s;

	(void)state;
	for (int run = 0; run < 2; run++) {
		sink_open(&s, "drop=0.1,double=0.2,seed=42");
		for (unsigned i = 0; i < 2000; i++)
			sink_say(&s, i);
		assert_in_range(bus_fault_counts(s.fault)->dropped, 140, 260);
		assert_in_range(bus_fault_counts(s.fault)->doubled, 280, 440);
		assert_int_equal(s.count, bus_fault_counts(s.fault)->passed +
						  bus_fault_counts(s.fault)->doubled);
		counts[run] = s.count;
		sink_close(&s);
	}
	assert_int_equal(counts[0], counts[1]);
}

static void test_delayed_messages_come_later_and_all_of_them(void **state)
{
	uint64_t since_ns = clock_exact_ns();
	struct sink s;

	(void)state;
	sink_open(&s, "delay=1:20-60");
	for (unsigned i = 0; i < 100; i++)
		sink_say(&s, i);
	assert_int_equal(s.count, 0);
	RUN_UNTIL(&s.world, s.count > 0);
	assert_true(clock_exact_ns() - since_ns > 15000000);
	RUN_UNTIL(&s.world, s.count == 100);
	sink_close(&s);
}

static void test_reordered_message_comes_behind_the_next_or_alone(void **state)
{
	static bool came[1001];
	struct sink s;

	(void)state;
	sink_open(&s, "reorder=1");
	sink_say(&s, 1);
	sink_say(&s, 2);
	assert_int_equal(s.count, 0);
	RUN_UNTIL(&s.world, s.count == 2); /* nothing came */
	sink_close(&s);
	sink_open(&s, "reorder=0.3,seed=3");
	for (unsigned i = 1; i <= 1000; i++)
		sink_say(&s, i);
	assert_in_range(bus_fault_counts(s.fault)->reordered, 200, 400);
	RUN_UNTIL(&s.world, s.count == 1000);
	for (unsigned i = 0; i < 1000; i++) {
		assert_in_range(s.told[i] + 10, i, i + 20);
		assert_false(came[s.told[i]]);
		came[s.told[i]] = true;
	}
	sink_close(&s);
}

static void test_late_messages_are_bounded_and_forgotten(void **state)
{
	struct sink s;

	(void)state;
	sink_open(&s, "delay=1:60000-60000");
	for (unsigned i = 0; i < BUS_FAULT_KEPT_MAX + 5; i++)
		sink_say(&s, i);
	assert_int_equal(s.count, 5); /* no room: at once */
	assert_int_equal(s.told[0], BUS_FAULT_KEPT_MAX);
	sink_close(&s); /* no timer is left */
}

/* ── what counts makes good for it ── */

static void test_link_under_faults_delivers_everything_once_and_in_order(void **state)
{
	const uint64_t count = 20000;
	uint64_t said[2] = { 0 };
	struct side router, edge;
	struct lossy lossy;
	struct world w;

	(void)state;
	world_open(&w);
	side_init(&router, &w, "router", "router-0");
	side_init(&edge, &w, "edge", "edge-0");
	side_bind(&router, w.second);
	lossy_open(&lossy, &w, "drop=0.01,double=0.01,delay=0.01:1-20,reorder=0.01,seed=11");
	side_connect(&edge, w.endpoint);
	RUN_UNTIL(&w, router.ups == 1 && edge.ups == 1);
	memset(metrics_values, 0, sizeof(metrics_values));
	metrics_set(METRIC_LINKS_UP, 2);
	while (said[0] < count || said[1] < count) { /* handlers assert order */
		for (int i = 0; i < 100; i++) {
			if (said[0] < count && bus_link_unacked(edge.link) < 1000)
				assert_int_equal(side_send(&edge, ++said[0]), 0);
			if (said[1] < count && bus_link_unacked(router.link) < 1000)
				assert_int_equal(side_send(&router, ++said[1]), 0);
		}
		uv_run(&w.loop, UV_RUN_ONCE);
	}
	RUN_UNTIL(&w, bus_link_unacked(edge.link) == 0 && bus_link_unacked(router.link) == 0);
	assert_int_equal(router.got, count);
	assert_int_equal(edge.got, count);
	assert_int_equal(edge.ups, edge.resumed_ups + 1);
	assert_int_equal(router.ups, router.resumed_ups + 1);
	assert_int_equal(edge.downs + router.downs + router.gones, 0);
	assert_true(metrics_values[METRIC_LINK_GAPS] > 0);
	assert_true(metrics_values[METRIC_LINK_DOUBLES] > 0);
	assert_true(bus_fault_counts(lossy.fault)->dropped > 0);
	side_close(&edge);
	side_close(&router);
	lossy_close(&lossy);
	world_close(&w);
}

/* ── questions ── */

#define CALLS 2000

struct tally {
	unsigned answers[CALLS];
	unsigned answered, failed, asked;
	struct bus_answerer *answerer;
};

struct asked {
	struct tally *tally;
	unsigned index;
};

static void on_question(void *ctx, const struct bus_question *q, enum wire_id id,
			const union wire_any *any)
{
	struct tally *t = ctx;
	struct wire_allowed m = { .code = any->allow.user_id };

	assert_int_equal(id, WIRE_ALLOW);
	t->asked++;
	bus_answerer_reply(t->answerer, q, WIRE_ALLOWED, &m);
}

static void on_answer(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct asked *a = ctx;
	uint64_t index;

	assert_int_equal(a->tally->answers[a->index]++, 0);
	if (err) {
		assert_true(err == E_TIMEOUT || err == E_UNAVAILABLE);
		a->tally->failed++;
		return;
	}
	assert_int_equal(id, WIRE_ALLOWED);
	assert_int_equal(str_to_u64(any->allowed.code, &index), 0);
	assert_int_equal(index, a->index); /* its own answer */
	a->tally->answered++;
}

static void test_questions_under_faults_are_answered_once_or_fail(void **state)
{
	static struct asked asked[CALLS];
	static struct tally t;
	struct wire_allow m = { .check = STR("may") };
	struct end asker, answerer;
	struct lossy lossy;
	struct bus_rpc *rpc;
	struct world w;
	uint64_t id;
	char user[8];

	(void)state;
	t = (struct tally){ 0 };
	world_open(&w);
	end_open(&answerer, &w, "auth", "auth-0");
	assert_int_equal(
		bus_answerer_open(&answerer.process.svc, w.second, on_question, &t, &t.answerer),
		0);
	lossy_open(&lossy, &w, "drop=0.02,double=0.05,delay=0.05:1-30,reorder=0.05,seed=5");
	end_open(&asker, &w, "edge", "edge-0");
	assert_int_equal(bus_rpc_open(&asker.process.svc, w.endpoint, "auth", &rpc), 0);
	RUN_UNTIL(&w, bus_rpc_up(rpc) == 1);
	for (unsigned i = 0; i < CALLS; i++) {
		asked[i] = (struct asked){ &t, i };
		snprintf(user, sizeof(user), "%u", i);
		m.user_id = str_of(user);
		assert_int_equal(bus_rpc_call(rpc, WIRE_ALLOW, &m, clock_ms() + 500, i % 2,
					      on_answer, &asked[i], &id),
				 0);
		if (i % 50 == 49)
			uv_run(&w.loop, UV_RUN_ONCE);
	}
	RUN_UNTIL(&w, t.answered + t.failed == CALLS);
	assert_int_equal(bus_rpc_pending(rpc), 0);
	assert_in_range(t.answered, CALLS * 90 / 100, CALLS - 1);
	bus_rpc_close(&rpc);
	bus_answerer_close(&t.answerer);
	lossy_close(&lossy);
	end_close(&asker);
	end_close(&answerer);
	world_close(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spec_is_read),
		cmocka_unit_test(test_wrong_spec_is_refused),
		cmocka_unit_test(test_nothing_happens_where_nothing_is_asked_for),
		cmocka_unit_test(test_drop_and_double_keep_their_rates_and_the_seed_repeats),
		cmocka_unit_test(test_delayed_messages_come_later_and_all_of_them),
		cmocka_unit_test(test_reordered_message_comes_behind_the_next_or_alone),
		cmocka_unit_test(test_late_messages_are_bounded_and_forgotten),
		cmocka_unit_test(test_link_under_faults_delivers_everything_once_and_in_order),
		cmocka_unit_test(test_questions_under_faults_are_answered_once_or_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
