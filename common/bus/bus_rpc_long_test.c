/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that take long, and large ones: those of one edge to another. */
#include "common/bus/bus_rpc_ends_test.h"

/* It may have been acted upon, so nobody else is asked; but nobody needs to wait for the deadline either. */
static void test_question_to_a_replica_that_is_gone_fails_soon(void **state)
{
	struct outcome once, again;
	struct replica r, s;
	struct asker a;

	(void)state;
	for (int other = 0; other < 2; other++) {
		asker_open(&a);
		a.svc->conf.link_timeout_ms = 600000;
		a.svc->conf.link_gone_ms = 100;
		replica_open(&r, &a.world, "auth-a", a.world.endpoint);
		r.keeps = true;
		RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
		assert_int_equal(ask(&a, 600000, false, &once), 0);
		RUN_UNTIL(&a.world, r.asked == 1);
		if (other) {
			replica_open(&s, &a.world, "auth-b", a.world.second);
			RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 2);
		}
		replica_close(&r);
		RUN_UNTIL(&a.world, once.calls);
		assert_int_equal(once.err, E_UNAVAILABLE);
		assert_int_equal(ask(&a, 600000, false, &again), 0); /* nobody had this one */
		if (!other)
			replica_open(&s, &a.world, "auth-b", a.world.second);
		RUN_UNTIL(&a.world, again.calls);
		assert_int_equal(again.err, 0);
		assert_int_equal(s.asked, 1);
		replica_close(&s);
		asker_close(&a);
	}
}

/* As long-polls do that one edge passes on to another: many timeouts long. */
static void test_long_question_waits_while_its_replica_is_there(void **state)
{
	struct outcome once, idempotent;
	struct replica r;
	uint64_t since_ns;
	struct asker a;

	(void)state;
	asker_open(&a);
	a.svc->conf.link_timeout_ms = 150;
	a.svc->conf.link_gone_ms = 50;
	replica_open(&r, &a.world, "auth-a", a.world.endpoint);
	r.keeps = true;
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	assert_int_equal(ask(&a, 60000, true, &idempotent), 0);
	RUN_UNTIL(&a.world, r.asked == 1);
	answer(&r);
	RUN_UNTIL(&a.world, idempotent.calls);
	assert_int_equal(ask(&a, 60000, true, &idempotent), 0);
	assert_int_equal(ask(&a, 60000, false, &once), 0);
	since_ns = clock_exact_ns();
	RUN_UNTIL(&a.world, clock_exact_ns() - since_ns > 1500000000ull);
	assert_int_equal(idempotent.calls + once.calls, 0);
	assert_int_equal(r.asked, 3); /* and nobody was asked twice */
	answer(&r);
	RUN_UNTIL(&a.world, once.calls);
	assert_int_equal(once.err, 0);
	replica_close(&r);
	asker_close(&a);
}

/* ── large bodies ── */

#define LARGE_BYTES 3145728u

static void echo(void *ctx, const struct bus_question *q, enum wire_id id,
		 const union wire_any *any)
{
	struct wire_forwarded m = { .status = 200, .body = any->forward.body };

	assert_int_equal(id, WIRE_FORWARD);
	bus_answerer_reply(*(struct bus_answerer **)ctx, q, WIRE_FORWARDED, &m);
}

static void on_echo(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	assert_int_equal(err, 0);
	assert_int_equal(id, WIRE_FORWARDED);
	assert_int_equal(any->forwarded.body.n, LARGE_BYTES);
	assert_int_equal(any->forwarded.body.p[LARGE_BYTES - 1], 'x');
	++*(unsigned *)ctx;
}

static void test_large_bodies_pass_both_ways(void **state)
{
	struct wire_forward m = { .sid = STR("AbCd-1"), .kind = 2 };
	struct bus_answerer *answerer;
	struct blob *body = blob_new(LARGE_BYTES);
	unsigned answers = 0;
	struct asker a;
	struct end end;
	uint64_t id;

	(void)state;
	memset(body->data, 'x', LARGE_BYTES);
	m.body = blob_str(body);
	asker_open(&a);
	end_open(&end, &a.world, "edge", "edge-1");
	assert_int_equal(bus_answerer_open(&end.process.svc, a.world.endpoint, echo,
					   (void *)&answerer, &answerer),
			 0);
	RUN_UNTIL(&a.world, bus_rpc_up(a.rpc) == 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(bus_rpc_call(a.rpc, WIRE_FORWARD, &m, clock_ms() + 20000, false,
					      on_echo, &answers, &id),
				 0);
	RUN_UNTIL(&a.world, answers == 3);
	bus_answerer_close(&answerer);
	end_close(&end);
	asker_close(&a);
	blob_unref(&body);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question_to_a_replica_that_is_gone_fails_soon),
		cmocka_unit_test(test_long_question_waits_while_its_replica_is_there),
		cmocka_unit_test(test_large_bodies_pass_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
