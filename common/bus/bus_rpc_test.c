/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_rpc.h"

#include "common/bus/bus_rpc_ends_test.h"

static void test_question_is_answered(void **state)
{
	struct replica r;
	struct outcome o;
	struct asker a;

	(void)state;
	asker_open(&a);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 10000, true, &o), 0);
	assert_int_equal(o.calls, 0);
	assert_int_equal(bus_rpc_pending(a.rpc), 1);
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(o.err, 0);
	assert_string_equal(o.code, "auth-a");
	assert_int_equal(bus_rpc_pending(a.rpc), 0);
	replica_close(&r);
	asker_close(&a);
}

static void test_question_before_anybody_is_up_waits(void **state)
{
	struct outcome o, late;
	struct replica r;
	struct asker a;

	(void)state;
	asker_open(&a);
	assert_int_equal(ask(&a, 60000, false, &o), 0);
	assert_int_equal(ask(&a, 30, true, &late), 0);
	RUN_UNTIL(&a.world, late.calls);
	assert_int_equal(late.err, E_UNAVAILABLE);
	assert_int_equal(o.calls, 0);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(o.err, 0);
	assert_int_equal(r.asked, 1);
	replica_close(&r);
	asker_close(&a);
}

static void test_unanswered_question_times_out_and_late_answer_is_ignored(void **state)
{
	struct outcome o, next;
	struct replica r;
	struct asker a;

	(void)state;
	asker_open(&a);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	r.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 50, false, &o), 0);
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(o.err, E_TIMEOUT);
	assert_int_equal(r.asked, 1);
	answer(&r);
	r.keeps = false;
	assert_int_equal(ask(&a, 10000, false, &next), 0);
	RUN_UNTIL(&a.world, next.calls); /* behind the late one */
	assert_int_equal(o.calls, 1);
	replica_close(&r);
	asker_close(&a);
}

/* Half of the deadline: another one is asked; whoever answers first counts, and once. */
static void test_idempotent_question_is_asked_once_more_elsewhere(void **state)
{
	struct replica r, s;
	struct outcome o;
	struct asker a;

	(void)state;
	asker_open(&a);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	replica_open(&s, &a.world, "auth-b", a.world.second);
	r.keeps = s.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 2);
	assert_int_equal(ask(&a, 400, true, &o), 0);
	RUN_UNTIL(&a.world, r.asked == 1 && s.asked == 1);
	answer(&r);
	answer(&s);
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(ask(&a, 100, false, &o), 0); /* not this one */
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(o.err, E_TIMEOUT);
	assert_int_equal(r.asked + s.asked, 3);
	replica_close(&r);
	replica_close(&s);
	asker_close(&a);
}

static void test_questions_are_spread_over_those_with_the_fewest(void **state)
{
	struct outcome o[40];
	struct replica r, s;
	struct asker a;

	(void)state;
	asker_open(&a);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	replica_open(&s, &a.world, "auth-b", a.world.second);
	r.keeps = s.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 2);
	for (size_t i = 0; i < COUNT_OF(o); i++)
		assert_int_equal(ask(&a, 60000, false, &o[i]), 0);
	RUN_UNTIL(&a.world, r.asked + s.asked == COUNT_OF(o));
	assert_int_equal(r.asked, s.asked);
	replica_close(&r);
	replica_close(&s);
	asker_close(&a);
	assert_int_equal(o[0].err, E_CLOSED);
}

static void test_replica_that_closes_has_its_questions_asked_elsewhere(void **state)
{
	struct outcome o, once;
	struct replica r, s;
	struct asker a;

	(void)state;
	asker_open(&a);
	a.svc->conf.link_timeout_ms = 150;
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	r.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 60000, true, &o), 0);
	assert_int_equal(ask(&a, 500, false, &once), 0);
	RUN_UNTIL(&a.world, r.asked == 2);
	replica_close(&r);
	replica_open(&s, &a.world, "auth-b", a.world.second);
	RUN_UNTIL(&a.world, o.calls);
	assert_string_equal(o.code, "auth-b");
	RUN_UNTIL(&a.world, once.calls); /* it may have been acted upon: not asked again */
	assert_int_equal(once.err, E_UNAVAILABLE);
	assert_int_equal(s.asked, 1);
	replica_close(&s);
	asker_close(&a);
}

/* A new process behind the same endpoint shows itself by its epoch; what the old one was asked is asked again at once. */
static void test_replica_started_anew_is_asked_again(void **state)
{
	struct wire_allowed allowed = { .code = STR("new") };
	struct wire_pong pong = { 0 };
	const struct seen *q;
	struct outcome o, once;
	struct script r;
	struct asker a;

	(void)state;
	asker_open(&a);
	script_open(&r, &a.world, ADAPT_ZMQ_ROUTER, NULL, a.world.endpoint);
	script_wait(&r, WIRE_PING);
	script_say(&r, 0, 1, WIRE_PONG, &pong);
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 60000, true, &o), 0);
	assert_int_equal(ask(&a, 60000, false, &once), 0);
	script_wait(&r, WIRE_ALLOW);
	script_wait(&r, WIRE_ALLOW);
	script_say(&r, 0, 1, WIRE_PONG, &pong); /* the same one */
	script_wait(&r, WIRE_PING);
	script_say(&r, 0, 2, WIRE_PONG, &pong);
	q = script_wait(&r, WIRE_ALLOW);
	assert_int_equal(q->first, o.id);
	assert_true(q->second > 30000 && q->second <= 60000);
	script_say(&r, q->first, 0, WIRE_ALLOWED, &allowed);
	RUN_UNTIL(&a.world, o.calls);
	assert_string_equal(o.code, "new");
	script_say(&r, 0, 3, WIRE_PONG, &pong);
	script_wait(&r, WIRE_PING);
	script_wait(&r, WIRE_PING);
	assert_int_equal(script_count(&r, WIRE_ALLOW), 3);
	assert_int_equal(once.calls, 0);
	script_close(&r);
	asker_close(&a);
	assert_int_equal(once.err, E_CLOSED);
}

/* A process that starts again and again is asked three times, no more. */
static void test_question_is_asked_three_times_at_most(void **state)
{
	struct wire_pong pong = { 0 };
	struct outcome o;
	struct script r;
	struct asker a;

	(void)state;
	asker_open(&a);
	script_open(&r, &a.world, ADAPT_ZMQ_ROUTER, NULL, a.world.endpoint);
	script_wait(&r, WIRE_PING);
	script_say(&r, 0, 1, WIRE_PONG, &pong);
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 400, true, &o), 0);
	for (uint64_t epoch = 2; !o.calls; epoch++) {
		script_say(&r, 0, epoch, WIRE_PONG, &pong);
		uv_run(&a.world.loop, UV_RUN_ONCE);
	}
	assert_int_equal(o.err, E_UNAVAILABLE);
	assert_int_equal(script_count(&r, WIRE_ALLOW), 3);
	script_close(&r);
	asker_close(&a);
}

static void test_cancelled_question_never_calls_back(void **state)
{
	struct outcome o, next;
	struct replica r;
	struct asker a;

	(void)state;
	asker_open(&a);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 10000, true, &o), 0);
	bus_rpc_cancel(a.rpc, o.id);
	bus_rpc_cancel(a.rpc, o.id);
	bus_rpc_cancel(a.rpc, 12345);
	assert_int_equal(bus_rpc_pending(a.rpc), 0);
	assert_int_equal(ask(&a, 10000, true, &next), 0);
	RUN_UNTIL(&a.world, next.calls);
	assert_int_equal(o.calls, 0);
	replica_close(&r);
	asker_close(&a);
}

static void test_bounds_are_kept(void **state)
{
	static char long_name[65];
	struct wire_allow m = { .check = str_make(long_name, 65) };
	struct outcome o[11];
	struct asker a;

	(void)state;
	asker_open(&a);
	a.svc->conf.max_calls = 10;
	assert_int_equal(bus_rpc_call(a.rpc, WIRE_ALLOW, &m, clock_ms() + 1000, true, on_answer,
				      &o[0], &o[0].id),
			 E_RANGE);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(ask(&a, 60000, true, &o[i]), 0);
	assert_int_equal(ask(&a, 60000, true, &o[10]), E_FULL);
	bus_rpc_cancel(a.rpc, o[3].id);
	assert_int_equal(ask(&a, 60000, true, &o[10]), 0);
	asker_close(&a);
	for (size_t i = 0; i < COUNT_OF(o); i++) {
		assert_int_equal(o[i].calls, i == 3 ? 0 : 1);
		assert_int_equal(o[i].err, i == 3 ? 0 : E_CLOSED);
	}
}

static void test_answer_that_does_not_decode_is_unavailable(void **state)
{
	struct wire_pong pong = { 0 };
	char envelope[BUS_ENVELOPE_BYTES];
	struct outcome o;
	struct script r;
	struct asker a;

	(void)state;
	asker_open(&a);
	script_open(&r, &a.world, ADAPT_ZMQ_ROUTER, NULL, a.world.endpoint);
	script_wait(&r, WIRE_PING);
	script_say(&r, 0, 1, WIRE_PONG, &pong);
	script_say_frames(&r, STR("?"), STR("?"));
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 60000, true, &o), 0);
	script_wait(&r, WIRE_ALLOW);
	script_say_frames(&r, bus_envelope(envelope, o.id + 1, 0), STR("\xc1")); /* nobody's */
	script_say_frames(&r, bus_envelope(envelope, o.id, 0), STR("\xc1"));
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(o.err, E_UNAVAILABLE);
	script_close(&r);
	asker_close(&a);
}

static void test_answerer_passes_over_nonsense(void **state)
{
	struct wire_allow m = { .check = STR("may") };
	struct wire_ping ping = { 0 };
	char envelope[BUS_ENVELOPE_BYTES];
	struct replica r;
	struct script s;
	struct world w;

	(void)state;
	world_open(&w);
	replica_open(&r, &w, "auth-a", w.endpoint);
	script_open(&s, &w, ADAPT_ZMQ_DEALER, NULL, w.endpoint);
	script_say_frames(&s, STR("x"), STR("\x91\x12"));
	script_say_frames(&s, bus_envelope(envelope, 1, 1), STR("\xc1"));
	script_say_frames(&s, bus_envelope(envelope, 1, 1), STR("\x91\xcd\x7f\x7f"));
	script_say(&s, 0, 7, WIRE_PING, &ping);
	assert_int_equal(script_wait(&s, WIRE_PONG)->second, bus_epoch());
	script_say(&s, 5, UINT64_MAX, WIRE_ALLOW, &m); /* on_question: not believed */
	assert_int_equal(script_wait(&s, WIRE_ALLOWED)->first, 5);
	assert_int_equal(r.asked, 1);
	assert_int_equal(s.count, 3); /* and the RESYNC to its connection */
	script_close(&s);
	replica_close(&r);
	world_close(&w);
}

/* The only one there is has enough to do. */
static void test_slow_replica_is_not_asked_twice(void **state)
{
	struct replica r;
	struct outcome o;
	struct asker a;

	(void)state;
	asker_open(&a);
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	r.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 200, true, &o), 0);
	RUN_UNTIL(&a.world, o.calls);
	assert_int_equal(o.err, E_TIMEOUT);
	assert_int_equal(r.asked, 1);
	replica_close(&r);
	asker_close(&a);
}

/* A connection that ended is noticed before any timeout; so is the next one. */
static void test_replica_that_goes_and_comes_is_noticed_at_once(void **state)
{
	struct replica r, s;
	struct outcome o;
	struct asker a;

	(void)state;
	asker_open(&a);
	a.svc->conf.link_timeout_ms = 60000;
	a.svc->conf.link_heartbeat_ms = 60000;
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	r.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	replica_open(&s, &a.world, "auth-b", a.world.second);
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 2);
	s.keeps = true;
	assert_int_equal(ask(&a, 60000, true, &o), 0);
	RUN_UNTIL(&a.world, r.asked + s.asked == 1);
	if (r.asked) {
		replica_close(&r);
		RUN_UNTIL(&a.world, s.asked == 1);
		replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	} else {
		replica_close(&s);
		RUN_UNTIL(&a.world, r.asked == 1);
		replica_open(&s, &a.world, "auth-b", a.world.second);
	}
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 2);
	assert_int_equal(o.calls, 0);
	replica_close(&r);
	replica_close(&s);
	asker_close(&a);
	assert_int_equal(o.err, E_CLOSED);
}

static void ask_in_callback(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct asker *a = ctx;
	struct outcome o;

	(void)id;
	(void)any;
	assert_int_equal(err, E_CLOSED);
	a->rpc = a->closing;
	assert_int_equal(ask(a, 1000, true, &o), E_CLOSED);
	a->rpc = NULL;
}

static void test_nothing_can_be_asked_while_closing(void **state)
{
	struct wire_allow m = { .check = STR("may") };
	struct asker a;
	uint64_t id;

	(void)state;
	asker_open(&a);
	a.closing = a.rpc;
	for (int i = 0; i < 3; i++)
		assert_int_equal(bus_rpc_call(a.rpc, WIRE_ALLOW, &m, clock_ms() + 1000, true,
					      ask_in_callback, &a, &id),
				 0);
	asker_close(&a);
}

static void test_endpoints_that_are_none_are_refused(void **state)
{
	static const char *const wrong[] = { "nonsense",        "ipc://",
					     "tcp://127.0.0.1", "tcp://127.0.0.1:0",
					     "tcp://:1",        "ipc:///tmp/x,http://a:1" };
	struct bus_rpc *rpc = NULL;
	struct world w;
	struct end e;

	(void)state;
	world_open(&w);
	end_open(&e, &w, "edge", "edge-0");
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		assert_int_equal(bus_rpc_open(&e.process.svc, wrong[i], "auth", &rpc), E_CONFIG);
		assert_null(rpc);
	}
	end_close(&e);
	world_close(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question_is_answered),
		cmocka_unit_test(test_question_before_anybody_is_up_waits),
		cmocka_unit_test(test_unanswered_question_times_out_and_late_answer_is_ignored),
		cmocka_unit_test(test_idempotent_question_is_asked_once_more_elsewhere),
		cmocka_unit_test(test_questions_are_spread_over_those_with_the_fewest),
		cmocka_unit_test(test_replica_that_closes_has_its_questions_asked_elsewhere),
		cmocka_unit_test(test_replica_started_anew_is_asked_again),
		cmocka_unit_test(test_question_is_asked_three_times_at_most),
		cmocka_unit_test(test_cancelled_question_never_calls_back),
		cmocka_unit_test(test_bounds_are_kept),
		cmocka_unit_test(test_answer_that_does_not_decode_is_unavailable),
		cmocka_unit_test(test_answerer_passes_over_nonsense),
		cmocka_unit_test(test_slow_replica_is_not_asked_twice),
		cmocka_unit_test(test_replica_that_goes_and_comes_is_noticed_at_once),
		cmocka_unit_test(test_nothing_can_be_asked_while_closing),
		cmocka_unit_test(test_endpoints_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
