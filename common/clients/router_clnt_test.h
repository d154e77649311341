/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of router_clnt: routers played by hand, and what became of each publish. */
#ifndef ROOMWIRE_CLIENTS_ROUTER_CLNT_TEST_H
#define ROOMWIRE_CLIENTS_ROUTER_CLNT_TEST_H

#include "common/bus/bus_hand_test.h"
#include "common/clients/router_clnt_impl.h"

#define CALLS_MAX 300
#define ROUTERS 2
#define EVENT_ROOMS_MAX 4

struct hand {
	struct script script; /* first: its handler gets a pointer to it */
	const char *endpoint;
	uint64_t sent, hello_nonce;
	struct blob *body[SEEN_MAX]; /* so that texts stay readable */
};

struct fixture {
	struct world world;
	struct end end;
	struct router_clnt *clnt;
	struct hand router[ROUTERS];
	unsigned fresh, messages, edges, edge_count;
	uint64_t fresh_epoch;
	struct bus_link *fresh_link;
	unsigned order[CALLS_MAX]; /* calls in the order of their callbacks */
	size_t called;
};

struct call {
	struct fixture *f;
	unsigned number, calls;
	int err;
	bool duplicate;
	char code[65];
};

static inline void hand_on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct hand *h = ctx;
	size_t at = h->script.count;
	struct seen *seen = &h->script.seen[at];

	script_on_frames(&h->script, frames, frame_count);
	if (h->script.count == at)
		return;
	h->body[at] = blob_copy(frames[2]);
	assert_int_equal(wire_unpack(blob_str(h->body[at]), &seen->id, &seen->any), 0);
	uv_stop(&h->script.world->loop); /* whoever waits for it looks before the loop sleeps */
}

static inline void hand_forget(struct hand *h)
{
	for (size_t i = 0; i < h->script.count; i++)
		blob_unref(&h->body[i]);
	h->script.count = h->script.looked_at = 0;
}

static inline void hand_close(struct hand *h)
{
	if (!h->script.sock)
		return;
	script_close(&h->script);
	hand_forget(h);
}

static inline void hand_open(struct hand *h, struct world *w, const char *endpoint)
{
	struct script *s = &h->script;

	memset(h, 0, sizeof(*h));
	h->endpoint = endpoint;
	s->world = w;
	s->routes = true;
	end_open(&s->end, w, "script", "script");
	assert_int_equal(adapt_zmq_open(&s->end.process.svc, ADAPT_ZMQ_ROUTER, NULL, endpoint,
					hand_on_frames, h, &s->sock),
			 0);
}

static inline void hand_welcome(struct hand *h, uint64_t epoch, bool resumed, uint64_t received)
{
	struct wire_welcome m = { .version = WIRE_VERSION,
				  .name = STR("router-0"),
				  .epoch = epoch,
				  .resumed = resumed,
				  .received = received };

	do
		m.nonce = script_wait(&h->script, WIRE_HELLO)->any.hello.nonce;
	while (m.nonce == h->hello_nonce);
	h->hello_nonce = m.nonce;
	if (!resumed)
		h->sent = 0;
	script_say(&h->script, 0, 0, WIRE_WELCOME, &m);
}

/* ack: up to which message this acknowledges. */
static inline void hand_answer(struct hand *h, uint64_t ack, uint64_t ref, const char *code,
			       bool duplicate)
{
	struct wire_published m = { .ref = ref, .code = str_of(code), .duplicate = duplicate };

	script_say(&h->script, ++h->sent, ack, WIRE_PUBLISHED, &m);
}

static inline void call_done(void *ctx, int err, struct str code, bool duplicate)
{
	struct call *c = ctx;

	c->calls++;
	c->err = err;
	assert_int_equal(str_copy(code, c->code, sizeof(c->code)), 0);
	c->duplicate = duplicate;
	c->f->order[c->f->called++] = c->number;
}

static inline int call_publish(struct call *call, struct wire_publish *m, uint64_t lane,
			       const char *const *rooms)
{
	struct str names[EVENT_ROOMS_MAX];
	struct blob *payload = blob_copy(STR("{}"));
	uint32_t n = 0;
	int err;

	for (; rooms && n < EVENT_ROOMS_MAX && rooms[n]; n++)
		names[n] = str_of(rooms[n]);
	m->nsp = STR("/");
	m->event = STR("e");
	m->rooms = (struct wire_list){ .count = n, .items = names };
	err = router_clnt_publish(call->f->clnt, m, &payload, 1, lane, call_done, call);
	blob_unref(&payload);
	return err;
}

static inline void on_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch)
{
	struct fixture *f = ctx;

	f->fresh++;
	f->fresh_link = link;
	f->fresh_epoch = old_epoch;
	router_clnt_synced(f->clnt, link);
}

static inline void on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct fixture *f = ctx;

	(void)link;
	assert_int_equal(m->id, WIRE_SUBSCRIBED);
	f->messages++;
}

static inline void on_edges(void *ctx, struct bus_link *link, const struct wire_edges *m)
{
	struct fixture *f = ctx;

	assert_ptr_equal(link, f->fresh_link);
	f->edges++;
	f->edge_count = m->names.count;
}

static inline void clnt_open(struct fixture *f, const char *endpoints, size_t max_in_flight,
			     size_t max_bytes)
{
	static const struct router_clnt_handlers handlers = { .fresh = on_fresh,
							      .message = on_message,
							      .edges = on_edges };
	struct router_clnt_spec spec = { .endpoints = endpoints,
					 .handlers = &handlers,
					 .ctx = f,
					 .max_in_flight = max_in_flight,
					 .max_bytes = max_bytes };

	spec.svc = end_open(&f->end, &f->world, "edge", "edge-0");
	assert_int_equal(router_clnt_open(&spec, &f->clnt), 0);
}

static inline void fixture_close(struct fixture *f)
{
	router_clnt_close(&f->clnt);
	assert_null(f->clnt);
	end_close(&f->end);
	for (int i = 0; i < ROUTERS; i++)
		hand_close(&f->router[i]);
	world_close(&f->world);
}

#endif
