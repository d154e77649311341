/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of questions: who answers, and who asks. */
#ifndef ROOMWIRE_BUS_BUS_RPC_ENDS_TEST_H
#define ROOMWIRE_BUS_BUS_RPC_ENDS_TEST_H

#include "common/bus/bus_hand_test.h"
#include "common/bus/bus_rpc.h"
#include "common/metrics/metrics.h"

/* A replica: answers ALLOW with its name, or keeps the questions. */
struct replica {
	struct end end;
	struct bus_answerer *answerer;
	const char *name;
	bool keeps;
	struct bus_question last;
	unsigned asked;
};

static inline void answer(struct replica *r)
{
	struct wire_allowed m = { .code = str_of(r->name) };

	bus_answerer_reply(r->answerer, &r->last, WIRE_ALLOWED, &m);
}

static inline void on_question(void *ctx, const struct bus_question *q, enum wire_id id,
			       const union wire_any *any)
{
	struct replica *r = ctx;

	assert_int_equal(id, WIRE_ALLOW);
	assert_str(any->allow.check, STR("may"));
	assert_true(q->due_ms > clock_ms() && q->due_ms <= clock_ms() + 600000);
	r->asked++;
	r->last = *q;
	if (!r->keeps)
		answer(r);
}

static inline void replica_open(struct replica *r, struct world *w, const char *name,
				const char *endpoint)
{
	*r = (struct replica){ .name = name };
	end_open(&r->end, w, "auth", name);
	assert_int_equal(
		bus_answerer_open(&r->end.process.svc, endpoint, on_question, r, &r->answerer), 0);
}

static inline void replica_close(struct replica *r)
{
	bus_answerer_close(&r->answerer);
	end_close(&r->end);
}

/* Who asks. */
struct asker {
	struct world world;
	struct end end;
	struct svc *svc;
	struct bus_rpc *rpc, *closing;
	char endpoints[200];
};

struct outcome {
	unsigned calls;
	int err;
	char code[65];
	uint64_t id;
};

static inline void on_answer(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct outcome *o = ctx;

	o->calls++;
	o->err = err;
	if (err)
		return;
	assert_int_equal(id, WIRE_ALLOWED);
	assert_int_equal(str_copy(any->allowed.code, o->code, sizeof(o->code)), 0);
}

static inline int ask(struct asker *a, uint64_t within_ms, bool idempotent, struct outcome *o)
{
	struct wire_allow m = { .check = STR("may"), .user_id = STR("u-1") };

	*o = (struct outcome){ 0 };
	return bus_rpc_call(a->rpc, WIRE_ALLOW, &m, clock_ms() + within_ms, idempotent, on_answer,
			    o, &o->id);
}

static inline void asker_open(struct asker *a)
{
	memset(a, 0, sizeof(*a));
	world_open(&a->world);
	snprintf(a->endpoints, sizeof(a->endpoints), "%s, %s", a->world.endpoint, a->world.second);
	a->svc = end_open(&a->end, &a->world, "edge", "edge-0");
	assert_int_equal(bus_rpc_open(a->svc, a->endpoints, "auth", &a->rpc), 0);
}

static inline void asker_close(struct asker *a)
{
	bus_rpc_close(&a->rpc);
	end_close(&a->end);
	world_close(&a->world);
	assert_int_equal(metrics_values[METRIC_LINKS_UP], 0);
}

#endif
