/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/acks.h"
#include "services/router/egress.h"
#include "services/router/life.h"
#include "services/router/persist.h"
#include "services/router/room.h"
#include "services/router/session.h"

#define AWAITED_FIRST 64u
#define EDGES_TOLD_MAX 1000u

static struct peer *create(struct router *router, struct bus_link *link)
{
	struct peer *peer = mem_try(sizeof(*peer));

	if (!peer)
		return NULL;
	peer->router = router;
	peer->link = link;
	peer->edge = str_is(str_of(bus_link_role(link)), "edge");
	list_init(&peer->published);
	list_init(&peer->asked);
	list_init(&peer->sessions);
	list_append(&router->peers, &peer->node);
	bus_link_set_user(link, peer);
	if (peer->edge)
		metrics_inc(METRIC_EDGES);
	return peer;
}

/* Nothing it has not acknowledged is waited for any more: it will be told from history, or is gone. */
static void stop_waiting(struct peer *peer)
{
	while (peer->awaited_count > 0) {
		struct pending *pending = peer->awaited[peer->awaited_head].pending;

		peer->awaited_head = (peer->awaited_head + 1) & (peer->awaited_cap - 1);
		peer->awaited_count--;
		publish_release(peer->router, pending);
	}
}

/* Nobody waits for the answers to what it published. */
static void orphan(struct peer *peer)
{
	struct list *node;

	while ((node = list_pop(&peer->published)) != NULL)
		CONTAINER_OF(node, struct pending, node)->publisher = NULL;
	while ((node = list_pop(&peer->asked)) != NULL) {
		struct asker *asker = CONTAINER_OF(node, struct asker, peer_node);

		list_remove(&asker->node);
		slab_put(&peer->router->askers, asker);
	}
}

static void forget_state(struct peer *peer)
{
	stop_waiting(peer);
	orphan(peer);
	acks_forget_peer(peer);
	settle_forget(peer);
	persist_forget_peer(peer);
	life_forget_peer(peer);
	egress_forget_peer(peer);
	session_forget_peer(peer);
	room_remove_peer(peer);
	peer->synced = false;
}

void peer_say(struct peer *peer, enum wire_id id, const void *message)
{
	int err = bus_link_send_msg(peer->link, id, message, true);

	if (!err || err == E_CLOSED)
		return;
	log_warn("router", "a message to a peer does not fit its link: the link is set up anew",
		 KV_Z("peer", bus_link_peer(peer->link)), KV_ERR(err));
	bus_link_reset(peer->link);
}

static uint32_t list_edges(struct router *router, struct str *names, struct str *endpoints,
			   struct str *tags)
{
	uint32_t n = 0;

	LIST_EACH(&router->peers, node, next) {
		const struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (!peer->edge || n == EDGES_TOLD_MAX)
			continue;
		names[n] = str_of(bus_link_peer(peer->link));
		endpoints[n] = str_of(peer->endpoint);
		tags[n++] = str_of(peer->tag);
	}
	return n;
}

/*
 * A publisher tells them to the next router, should this one die: that one waits for them before it accepts anything. An edge forwards requests to
 * the others.
 */
static void tell_edges_to(struct peer *peer)
{
	struct str names[EDGES_TOLD_MAX], endpoints[EDGES_TOLD_MAX], tags[EDGES_TOLD_MAX];
	uint32_t n = list_edges(peer->router, names, endpoints, tags);
	struct wire_edges m = { .names = { .count = n, .items = names },
				.endpoints = { .count = n, .items = endpoints },
				.tags = { .count = n, .items = tags },
				.life = life_is_wanted(peer->router) };

	peer_say(peer, WIRE_EDGES, &m); /* it must not miss this */
}

void peer_tell_edges(struct router *router)
{
	LIST_EACH(&router->peers, node, next)
		tell_edges_to(CONTAINER_OF(node, struct peer, node));
}

void peer_on_advertise(struct peer *peer, const struct wire_advertise *m)
{
	if (str_copy(m->endpoint, peer->endpoint, sizeof(peer->endpoint)) ||
	    str_copy(m->tag, peer->tag, sizeof(peer->tag)))
		metrics_inc(METRIC_WIRE_BAD);
	peer_tell_edges(peer->router);
}

void peer_on_gone(void *ctx, struct bus_link *link)
{
	struct peer *peer = bus_link_user(link);

	(void)ctx;
	if (peer)
		stop_waiting(peer);
}

void peer_on_up(void *ctx, struct bus_link *link, bool resumed)
{
	struct router *router = ctx;
	struct peer *peer = bus_link_user(link);

	if (peer && resumed)
		return;
	if (peer)
		forget_state(peer);
	else if (!create(router, link))
		log_error("router", "out of memory: a peer is not served",
			  KV_Z("peer", bus_link_peer(link)));
	peer = bus_link_user(link);
	if (peer)
		tell_edges_to(peer);
}

void peer_on_down(void *ctx, struct bus_link *link)
{
	struct peer *peer = bus_link_user(link);

	(void)ctx;
	if (!peer)
		return;
	bus_link_set_user(link, NULL);
	forget_state(peer);
	list_remove(&peer->node);
	if (peer->edge) {
		metrics_dec(METRIC_EDGES);
		peer_tell_edges(peer->router);
	}
	mem_free(peer->awaited);
	mem_free(peer);
}

static int grow_awaited(struct peer *peer)
{
	uint32_t cap = peer->awaited_cap ? peer->awaited_cap * 2 : AWAITED_FIRST;
	struct awaited *ring = mem_try(cap * sizeof(*ring));

	if (!ring)
		return E_NOMEM;
	for (uint32_t i = 0; i < peer->awaited_count; i++)
		ring[i] = peer->awaited[(peer->awaited_head + i) & (peer->awaited_cap - 1)];
	mem_free(peer->awaited);
	peer->awaited = ring;
	peer->awaited_cap = cap;
	peer->awaited_head = 0;
	return 0;
}

int peer_await(struct peer *peer, uint64_t number, struct pending *pending)
{
	/* Bounded by the link: it holds no more than LINK_UNACKED_COUNT messages. */
	if (peer->awaited_count == peer->awaited_cap && grow_awaited(peer))
		return E_NOMEM;
	peer->awaited[(peer->awaited_head + peer->awaited_count) & (peer->awaited_cap - 1)] =
		(struct awaited){ number, pending };
	peer->awaited_count++;
	return 0;
}

void peer_on_acked(void *ctx, struct bus_link *link, uint64_t number)
{
	struct router *router = ctx;
	struct peer *peer = bus_link_user(link);

	if (peer)
		egress_on_acked(peer, number);
	while (peer && peer->awaited_count > 0 &&
	       peer->awaited[peer->awaited_head].number <= number) {
		struct pending *pending = peer->awaited[peer->awaited_head].pending;

		peer->awaited_head = (peer->awaited_head + 1) & (peer->awaited_cap - 1);
		peer->awaited_count--;
		publish_release(router, pending);
	}
}
