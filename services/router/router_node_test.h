/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the router: an edge or a publisher, played by hand over a real link. */
#ifndef ROOMWIRE_ROUTER_ROUTER_NODE_TEST_H
#define ROOMWIRE_ROUTER_ROUTER_NODE_TEST_H

#include "common/bus/bus_hand_test.h"

#define KEPT_PAYLOADS 3

/* An edge or a publisher. What it was told stays readable, texts too, until node_forget. */
struct node {
	struct script script; /* first: a script's handler gets a pointer to it */
	const char *name, *role;
	uint64_t epoch, sent, acked;
	uint64_t heard, heard_ack; /* newest number and acknowledgement of the router's */
	uint64_t last_place;       /* of the newest DELIVER that was looked at */
	struct blob *body[SEEN_MAX], *payload[SEEN_MAX][KEPT_PAYLOADS];
};

static inline void node_on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct node *n = ctx;
	size_t at = n->script.count;
	struct seen *seen = &n->script.seen[at];

	script_on_frames(&n->script, frames, frame_count);
	n->body[at] = blob_copy(frames[1]);
	for (size_t i = 0; i < KEPT_PAYLOADS && 2 + i < frame_count; i++)
		n->payload[at][i] = blob_copy(frames[2 + i]);
	assert_int_equal(wire_unpack(blob_str(n->body[at]), &seen->id, &seen->any), 0);
	if (seen->id == WIRE_WELCOME)
		n->heard = n->heard_ack = 0;
	if (seen->first > n->heard)
		n->heard = seen->first;
	n->heard_ack = seen->second;
	uv_stop(&n->script.world->loop); /* whoever waits for it looks before the loop sleeps */
}

static inline struct blob *node_payload(const struct node *n, const struct seen *seen, size_t at)
{
	return n->payload[seen - n->script.seen][at];
}

/* What it was told is gone: a test of many steps has room for more. */
static inline void node_forget(struct node *n)
{
	for (size_t i = 0; i < n->script.count; i++) {
		blob_unref(&n->body[i]);
		for (size_t j = 0; j < KEPT_PAYLOADS; j++)
			blob_unref(&n->payload[i][j]);
	}
	n->script.count = n->script.looked_at = 0;
}

static inline void node_open(struct node *n, struct world *w, const char *role, const char *name,
			     uint64_t epoch)
{
	struct script *s = &n->script;
	char identity[64];

	memset(n, 0, sizeof(*n));
	n->role = role;
	n->name = name;
	n->epoch = epoch;
	s->world = w;
	snprintf(identity, sizeof(identity), "%s/%llu", name, (unsigned long long)epoch);
	end_open(&s->end, w, "script", "script");
	assert_int_equal(adapt_zmq_open(&s->end.process.svc, ADAPT_ZMQ_DEALER, identity,
					w->endpoint, node_on_frames, n, &s->sock),
			 0);
}

static inline void node_close(struct node *n)
{
	if (!n->script.sock)
		return;
	script_close(&n->script);
	node_forget(n);
}

static inline void node_say(struct node *n, enum wire_id id, const void *message)
{
	script_say(&n->script, ++n->sent, n->acked, id, message);
}

static inline void node_hello(struct node *n, uint64_t nonce, const struct wire_list *known)
{
	struct wire_hello m = { .version = WIRE_VERSION,
				.name = str_of(n->name),
				.role = str_of(n->role),
				.epoch = n->epoch,
				.nonce = nonce };

	if (known)
		m.known = *known;
	n->sent = n->acked = 0;
	script_say(&n->script, 0, 0, WIRE_HELLO, &m);
}

static inline void node_greet(struct node *n, uint64_t nonce)
{
	node_hello(n, nonce, NULL);
	while (script_wait(&n->script, WIRE_WELCOME)->any.welcome.nonce != nonce)
		;
}

static inline void node_synced(struct node *n)
{
	struct wire_synced m = { 0 };

	node_say(n, WIRE_SYNCED, &m);
}

/* Everything that came so far is acknowledged. */
static inline void node_ack(struct node *n)
{
	struct wire_pong pong = { .sent = n->sent };

	n->acked = n->heard;
	script_say(&n->script, 0, n->acked, WIRE_PONG, &pong);
}

/* The router has handled what was said, and what it answered has come. */
static inline void node_sync(struct node *n)
{
	struct wire_ping ping = { .sent = n->sent };
	size_t looked_at = n->script.looked_at;

	RUN_UNTIL(n->script.world, n->heard_ack >= n->sent);
	for (int i = 0; i < 2; i++) {
		n->script.looked_at = n->script.count;
		script_say(&n->script, 0, n->acked, WIRE_PING, &ping);
		script_wait(&n->script, WIRE_PONG);
	}
	n->script.looked_at = looked_at;
}

#endif
