/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to routers played by hand: all answer, or there is nothing. */
#include "common/clients/router_query.h"

#include "common/base/base_test.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/clients/router_clnt_test.h"
#include "common/metrics/metrics.h"

#define WITHIN_MS 300u

struct asking {
	struct fixture f; /* its router client is not opened by clnt_open: it has other handlers */
	struct router_query *query;
};

struct outcome {
	unsigned calls;
	int err;
	uint32_t count;
	uint64_t total;
	char parts[100];
	struct asking *again; /* asks once more from inside */
	uint64_t ticket;
};

static void on_router_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct asking *a = ctx;

	assert_true(router_query_on_message(a->query, link, m) || m->id == WIRE_SUBSCRIBED);
}

static void on_router_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch)
{
	struct asking *a = ctx;

	(void)old_epoch;
	router_query_on_lost(a->query, link);
}

static void on_found(void *ctx, int err, const struct router_found *found, uint32_t count);

static int ask(struct asking *a, struct str user_id, struct outcome *o)
{
	struct wire_query_rooms m = { .limit = 10, .prefix = STR("/,") };

	return router_query_ask(a->query, WIRE_QUERY_ROOMS, &m, user_id, clock_ms() + WITHIN_MS,
				on_found, o, &o->ticket);
}

static void on_found(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	struct outcome *o = ctx;
	struct asking *again = o->again;

	o->calls++;
	o->err = err;
	o->count = count;
	for (uint32_t i = 0; i < count; i++) {
		size_t n = strlen(o->parts);

		o->total += found[i].total;
		snprintf(o->parts + n, sizeof(o->parts) - n, STR_FMT ";", STR_ARG(found[i].parts));
	}
	o->again = NULL;
	if (again)
		assert_int_equal(ask(again, STR_NONE, o), 0);
}

static void asking_open(struct asking *a, int routers)
{
	static const struct router_clnt_handlers handlers = { .fresh = on_router_fresh,
							      .message = on_router_message };
	struct router_clnt_spec spec = {
		.handlers = &handlers, .ctx = a, .max_in_flight = 10, .max_bytes = 10000
	};
	struct fixture *f = &a->f;
	char endpoints[300];

	memset(a, 0, sizeof(*a));
	world_open(&f->world);
	hand_open(&f->router[0], &f->world, f->world.endpoint);
	hand_open(&f->router[1], &f->world, f->world.second);
	snprintf(endpoints, sizeof(endpoints), "%s,%s", f->world.endpoint, f->world.second);
	spec.svc = end_open(&f->end, &f->world, "ingest", "ingest-0");
	spec.endpoints = endpoints;
	assert_int_equal(router_clnt_open(&spec, &f->clnt), 0);
	assert_int_equal(router_query_open(spec.svc, f->clnt, 3, &a->query), 0);
	for (int i = 0; i < routers; i++)
		hand_welcome(&f->router[i], 1 + (uint64_t)i, false, 0);
	for (struct bus_link *link = NULL;
	     (link = router_clnt_next(f->clnt, link)) != NULL && routers > 0; routers--)
		RUN_UNTIL(&f->world, bus_link_up(link));
}

static void asking_close(struct asking *a)
{
	router_query_close(&a->query);
	fixture_close(&a->f);
	assert_int_equal(metrics_values[METRIC_API_QUERIES_PENDING], 0);
}

static uint64_t asked(struct asking *a, int router)
{
	const struct seen *seen = script_wait(&a->f.router[router].script, WIRE_QUERY_ROOMS);

	assert_int_equal(seen->first, 0); /* not counted */
	return seen->any.query_rooms.ref;
}

static void answer(struct asking *a, int router, uint64_t ref, const char *code, const char *parts)
{
	struct wire_found m = { .ref = ref, .code = str_of(code), .total = 2 };
	struct script *s = &a->f.router[router].script;
	struct blob *body = wire_pack(WIRE_FOUND, &m);
	char envelope[BUS_ENVELOPE_BYTES];
	struct str frames[4] = { str_make(s->peer, s->peer_bytes), bus_envelope(envelope, 0, 0),
				 blob_str(body), str_of(parts) };

	assert_int_equal(adapt_zmq_send(s->sock, frames, parts ? 4 : 3), 0);
	blob_unref(&body);
}

static void test_all_routers_answer_then_the_callback_runs_once(void **state)
{
	struct asking a;
	struct outcome o = { 0 };
	uint64_t ref;

	(void)state;
	asking_open(&a, 2);
	assert_int_equal(ask(&a, STR_NONE, &o), 0);
	ref = asked(&a, 0);
	assert_int_equal(asked(&a, 1), ref);
	answer(&a, 1, ref, "", "two");
	answer(&a, 1, ref, "", "twice"); /* is dropped */
	answer(&a, 1, ref + 1, "", "of another");
	for (uint64_t from_ns = clock_exact_ns(); clock_exact_ns() - from_ns < 20000000;)
		uv_run(&a.f.world.loop, UV_RUN_NOWAIT);
	assert_int_equal(o.calls, 0);
	answer(&a, 0, ref, "", "one");
	RUN_UNTIL(&a.f.world, o.calls > 0);
	assert_int_equal(o.err, 0);
	assert_int_equal(o.count, 2);
	assert_int_equal(o.total, 4);
	assert_string_equal(o.parts, "one;two;");
	asking_close(&a);
	assert_int_equal(o.calls, 1);
}

static void test_one_that_does_not_know_or_answer_fails_it(void **state)
{
	struct asking a;
	struct outcome o = { 0 }, late = { 0 }, bad = { 0 };

	(void)state;
	asking_open(&a, 2);
	assert_int_equal(ask(&a, STR_NONE, &o), 0);
	answer(&a, 0, asked(&a, 0), "UNAVAILABLE", "");
	RUN_UNTIL(&a.f.world, o.calls > 0);
	assert_int_equal(o.err, E_UNAVAILABLE);
	assert_int_equal(ask(&a, STR_NONE, &bad), 0);
	answer(&a, 0, asked(&a, 0), "", NULL); /* without parts: no router of ours says that */
	RUN_UNTIL(&a.f.world, bad.calls > 0);
	assert_int_equal(bad.err, E_UNAVAILABLE);
	assert_int_equal(ask(&a, STR_NONE, &late), 0);
	answer(&a, 0, asked(&a, 0), "", "one");
	RUN_UNTIL(&a.f.world, late.calls > 0);
	assert_int_equal(late.err, E_TIMEOUT);
	assert_int_equal(late.count, 0);
	asking_close(&a);
}

static void test_router_that_is_away_is_not_asked(void **state)
{
	struct asking a;
	struct outcome o = { 0 };

	(void)state;
	asking_open(&a, 1);
	assert_int_equal(ask(&a, STR_NONE, &o), E_UNAVAILABLE);
	asking_close(&a);
	assert_int_equal(o.calls, 0);
}

static void test_question_about_a_user_goes_to_the_router_of_its_sessions(void **state)
{
	struct asking a;
	bool used[ROUTERS] = { false };

	(void)state;
	asking_open(&a, 2);
	for (int i = 0; i < 20; i++) {
		struct outcome o = { 0 };
		char user[8], key[32];
		int router;

		snprintf(user, sizeof(user), "u-%d", i);
		snprintf(key, sizeof(key), "session,%s", user);
		router = router_clnt_link(a.f.clnt, str_of(key)) == router_clnt_next(a.f.clnt, NULL)
				 ? 0
				 : 1;
		used[router] = true;
		assert_int_equal(ask(&a, str_of(user), &o), 0);
		answer(&a, router, asked(&a, router), "", "x");
		RUN_UNTIL(&a.f.world, o.calls > 0);
		assert_string_equal(o.parts, "x;");
	}
	assert_true(used[0] && used[1]);
	asking_close(&a);
}

static void test_router_that_is_started_anew_has_lost_the_question(void **state)
{
	struct asking a;
	struct outcome o = { 0 };

	(void)state;
	asking_open(&a, 2);
	o.again = &a; /* the one that is asked from inside is not lost with it */
	assert_int_equal(ask(&a, STR_NONE, &o), 0);
	router_query_on_lost(a.query, router_clnt_next(a.f.clnt, NULL));
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.err, E_UNAVAILABLE);
	router_query_cancel(a.query, o.ticket);
	asking_close(&a);
	assert_int_equal(o.calls, 1);
}

static void test_bounds_cancel_and_close(void **state)
{
	struct asking a;
	struct outcome o[4] = { { 0 } };
	struct wire_query_figures none = { .rooms = { .count = 0 } };

	(void)state;
	asking_open(&a, 2);
	assert_int_equal(router_query_ask(a.query, WIRE_QUERY_FIGURES, &none, STR_NONE,
					  clock_ms() + 10, on_found, &o[3], &o[3].ticket),
			 E_RANGE);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&a, STR_NONE, &o[i]), 0);
	assert_int_equal(metrics_values[METRIC_API_QUERIES_PENDING], 3);
	assert_int_equal(ask(&a, STR_NONE, &o[3]), E_FULL);
	router_query_cancel(a.query, o[1].ticket);
	router_query_cancel(a.query, o[1].ticket);
	assert_int_equal(ask(&a, STR_NONE, &o[3]), 0);
	asking_close(&a);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(o[i].calls, i != 1);
		assert_int_equal(o[i].err, i != 1 ? E_CLOSED : 0);
	}
}

static void test_without_memory_nothing_is_asked(void **state)
{
	struct asking a;
	struct outcome o = { 0 };
	int err = E_NOMEM;

	(void)state;
	asking_open(&a, 2);
	for (uint64_t nth = 1; err; nth++) {
		mem_fail_at(nth);
		err = ask(&a, STR_NONE, &o);
		mem_fail_at(0);
		assert_true(nth < 50);
	}
	asking_close(&a);
	assert_int_equal(o.calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_routers_answer_then_the_callback_runs_once),
		cmocka_unit_test(test_one_that_does_not_know_or_answer_fails_it),
		cmocka_unit_test(test_router_that_is_away_is_not_asked),
		cmocka_unit_test(test_question_about_a_user_goes_to_the_router_of_its_sessions),
		cmocka_unit_test(test_router_that_is_started_anew_has_lost_the_question),
		cmocka_unit_test(test_bounds_cancel_and_close),
		cmocka_unit_test(test_without_memory_nothing_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
