/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/room.h"

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
	room_remove_peer(peer);
	peer->synced = false;
}

/* A publisher tells them to the next router, should this one die: that one waits for them before it accepts anything. */
static void tell_edges_to(struct peer *publisher)
{
	struct str names[EDGES_TOLD_MAX];
	struct wire_edges m = { .names = { .count = 0, .items = names } };

	LIST_EACH(&publisher->router->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && m.names.count < EDGES_TOLD_MAX)
			names[m.names.count++] = str_of(bus_link_peer(peer->link));
	}
	if (bus_link_send_msg(publisher->link, WIRE_EDGES, &m, true))
		log_debug("router", "not told now: it is told when the link is up again");
}

void peer_tell_edges(struct router *router)
{
	LIST_EACH(&router->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (!peer->edge)
			tell_edges_to(peer);
	}
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
	if (peer && !peer->edge)
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

	while (peer && peer->awaited_count > 0 &&
	       peer->awaited[peer->awaited_head].number <= number) {
		struct pending *pending = peer->awaited[peer->awaited_head].pending;

		peer->awaited_head = (peer->awaited_head + 1) & (peer->awaited_cap - 1);
		peer->awaited_count--;
		publish_release(router, pending);
	}
}
