/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of the router: a whole one, with nodes around it. */
#ifndef ROOMWIRE_ROUTER_ROUTER_TEST_H
#define ROOMWIRE_ROUTER_ROUTER_TEST_H

#include "common/metrics/metrics.h"
#include "services/router/router.h"
#include "services/router/router_node_test.h"

#define ROOMS_MAX 3
#define EDGES 3

struct fixture {
	struct world world;
	struct end end;
	struct router router;
	struct node edge[EDGES], ingest;
};

/* settle_ms 0: it has settled at once. */
static inline void router_open(struct fixture *f, int64_t settle_ms)
{
	struct svc *svc;

	memset(f, 0, sizeof(*f));
	world_open(&f->world);
	metrics_values[METRIC_EDGES] = metrics_values[METRIC_SESSIONS_PARKED] = 0;
	svc = end_open(&f->end, &f->world, "router", "router-0");
	svc->conf.router_settle_ms = settle_ms;
	free(svc->conf.router_bind);
	svc->conf.router_bind = str_dup(str_of(f->world.endpoint));
	assert_int_equal(router_start(svc, &f->router), 0);
}

static inline void edge_open(struct fixture *f, int i)
{
	static const char *const names[EDGES] = { "edge-0", "edge-1", "edge-2" };

	node_open(&f->edge[i], &f->world, "edge", names[i], 1 + (uint64_t)i);
	node_greet(&f->edge[i], 1);
}

static inline void ingest_open(struct fixture *f)
{
	node_open(&f->ingest, &f->world, "ingest", "ingest-0", 9);
	node_greet(&f->ingest, 1);
}

/* Two edges and an ingest. */
static inline void fixture_open(struct fixture *f)
{
	router_open(f, 0);
	edge_open(f, 0);
	edge_open(f, 1);
	ingest_open(f);
}

/* Until nothing is on its way: ZeroMQ 4.3 may abort when both ends of a connection are closed in the middle of a message. */
static inline void fixture_quiet(struct fixture *f)
{
	uint64_t since_ns = clock_exact_ns();
	size_t before = 0, count;

	while (clock_exact_ns() - since_ns < 3000000) {
		uv_run(&f->world.loop, UV_RUN_NOWAIT);
		count = f->ingest.script.count;
		for (int i = 0; i < EDGES; i++)
			count += f->edge[i].script.count;
		if (count != before)
			since_ns = clock_exact_ns();
		before = count;
	}
}

static inline void fixture_close(struct fixture *f)
{
	fixture_quiet(f);
	router_stop(&f->end.process.svc, &f->router);
	fixture_quiet(f);
	for (int i = 0; i < EDGES; i++)
		node_close(&f->edge[i]);
	node_close(&f->ingest);
	assert_int_equal(f->router.pendings.live + f->router.askers.live, 0);
	assert_int_equal(metrics_values[METRIC_SESSIONS_PARKED], 0);
	assert_int_equal(metrics_values[METRIC_EDGES], 0);
	end_close(&f->end);
	world_close(&f->world);
}

/* The next life of an edge: a process of the same name. */
static inline void edge_reborn(struct fixture *f, int i, uint64_t epoch)
{
	const char *name = f->edge[i].name;

	node_close(&f->edge[i]);
	node_open(&f->edge[i], &f->world, "edge", name, epoch);
	node_greet(&f->edge[i], 1);
}

/* ── messages ── */

static inline struct peer *peer_of(const struct fixture *f, const struct node *n)
{
	const struct list *head = &f->router.peers;

	for (struct list *node = head->next; node != head; node = node->next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (strcmp(bus_link_peer(peer->link), n->name) == 0)
			return peer;
	}
	fail_msg("the router does not know %s", n->name);
	return NULL;
}

static inline void subscribe_known(struct node *n, const char *room, uint64_t epoch, uint64_t from,
				   uint64_t since)
{
	struct wire_subscribe m = {
		.room = str_of(room), .epoch = epoch, .since = since, .known_from = from
	};

	node_say(n, WIRE_SUBSCRIBE, &m);
}

static inline void subscribe_since(struct node *n, const char *room, uint64_t since)
{
	subscribe_known(n, room, bus_epoch(), 0, since);
}

static inline void subscribe(struct node *n, const char *room)
{
	subscribe_known(n, room, 0, 0, 0);
	script_wait(&n->script, WIRE_SUBSCRIBED);
}

struct publish {
	uint64_t ref, uid;
	const char *rooms[ROOMS_MAX + 1];
	bool is_volatile;
	uint64_t attachments; /* claimed; one payload frame is sent */
	uint64_t ack, ack_ms;
};

static inline void publish(struct node *n, struct publish p)
{
	struct str rooms[ROOMS_MAX];
	struct wire_publish m = { .ref = p.ref,
				  .uid_low = p.uid,
				  .nsp = STR("/"),
				  .event = STR("e"),
				  .is_volatile = p.is_volatile,
				  .attachments = p.attachments,
				  .ack = p.ack,
				  .ack_ms = p.ack_ms };
	char envelope[BUS_ENVELOPE_BYTES];
	struct blob *body;
	struct str frames[3];

	m.rooms.items = rooms;
	while (m.rooms.count < ROOMS_MAX && p.rooms[m.rooms.count]) {
		rooms[m.rooms.count] = str_of(p.rooms[m.rooms.count]);
		m.rooms.count++;
	}
	body = wire_pack(WIRE_PUBLISH, &m);
	assert_non_null(body);
	frames[0] = bus_envelope(envelope, p.is_volatile ? 0 : ++n->sent, n->acked);
	frames[1] = blob_str(body);
	frames[2] = STR("{\"payload\":1}");
	assert_int_equal(adapt_zmq_send(n->script.sock, frames, 3), 0);
	blob_unref(&body);
}

static inline void expect_published(struct node *n, uint64_t ref, bool duplicate)
{
	const struct seen *seen = script_wait(&n->script, WIRE_PUBLISHED);

	assert_int_equal(seen->any.published.ref, ref);
	assert_int_equal(seen->any.published.duplicate, duplicate);
	assert_str(seen->any.published.code, STR_NONE);
}

/* The next message is this one, behind those before it. Its place. */
static inline uint64_t expect_deliver(struct node *n, uint64_t uid)
{
	const struct wire_deliver *d = &script_wait(&n->script, WIRE_DELIVER)->any.deliver;

	assert_int_equal(d->uid_low, uid);
	assert_true(d->place > n->last_place);
	n->last_place = d->place;
	return d->place;
}

static inline bool expect_subscribed(struct node *n) /* whether there is a gap */
{
	return script_wait(&n->script, WIRE_SUBSCRIBED)->any.subscribed.gap;
}

#endif
