/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router: orders messages, knows which edges hold a room, keeps the recent history of rooms.
 *
 *   ingest, edge ──PUBLISH──▶ publish.c ─▶ place, history ─▶ DELIVER to each edge that holds a room ──acked──▶ PUBLISHED
 *   edge ──SUBSCRIBE──▶ subscribe.c ─▶ replay from history ─▶ SUBSCRIBED
 *
 * All of it is soft state: a router that was started anew is told by the edges what they hold, and repeats to them what came meanwhile.
 */
#ifndef ROOMWIRE_ROUTER_ROUTER_H
#define ROOMWIRE_ROUTER_ROUTER_H

#include "common/base/idset.h"
#include "common/base/map.h"
#include "common/base/slab.h"
#include "common/bus/bus_link.h"
#include "common/svc/svc.h"

struct room;

/* An event that edges have not all acknowledged. */
struct pending {
	struct list node;       /* on publisher->published; alone when the publisher is gone */
	struct list askers;     /* struct asker: the same event came again meanwhile */
	struct peer *publisher; /* NULL: gone, nobody waits for the answer */
	uint64_t ref;
	uint64_t uid_high, uid_low;
	uint32_t wait; /* edges that have not acknowledged */
};

/* A further PUBLISH of a pending event. */
struct asker {
	struct list node;      /* on pending->askers */
	struct list peer_node; /* on publisher->asked */
	struct peer *publisher;
	uint64_t ref;
};

/* A message on a link that a pending event waits for. */
struct awaited {
	uint64_t number;
	struct pending *pending;
};

/* The other end of a link: an edge, or an ingest. */
struct peer {
	struct list node; /* on router->peers */
	struct router *router;
	struct bus_link *link;
	bool edge;
	bool synced;   /* has told its rooms */
	uint64_t mark; /* serial of the message at hand: sent once, whatever rooms it holds */
	struct awaited *awaited; /* ring, in order of number; OWNED */
	uint32_t awaited_cap, awaited_head, awaited_count;
	struct list published;    /* struct pending */
	struct list asked;        /* struct asker */
	struct membership *rooms; /* dense; OWNED */
	uint32_t room_count, room_cap;
};

struct membership {
	struct room *room;
	uint32_t index; /* in room->edges */
};

/* An edge that the router before us had. */
struct awaited_edge {
	struct awaited_edge *next;
	char name[65];
};

struct router {
	struct svc *svc;
	struct bus_server *server;
	struct list peers;
	struct map rooms;    /* struct room by key */
	struct list history; /* struct entry of all rooms, oldest first */
	uint64_t history_bytes, history_count;
	uint64_t place; /* of the newest message */
	uint64_t
		forgotten_place; /* newest place that was dropped from the history of a room which is no longer there */
	uint64_t mark;
	struct idset ids; /* note: the struct pending, while there is one */
	struct slab pendings, askers;
	struct wheel_timer sweep;
	struct wheel_timer settle;
	uint64_t settle_until_ms, settle_at_latest_ms;
	bool settled;
	struct awaited_edge *
		awaited_edges; /* OWNED list: publishers know of them, they have not come back yet */
	struct buf key;        /* room key under construction */
};

int router_start(struct svc *svc, void *self);
void router_stop(struct svc *svc, void *self);
bool router_redis_ready(void *self, char reason[SVC_REASON_BYTES]);
void router_dump(struct svc *svc, void *self, struct buf *out);

/* peer.c */
void peer_on_up(void *ctx, struct bus_link *link, bool resumed);
void peer_on_down(void *ctx, struct bus_link *link);
void peer_on_acked(void *ctx, struct bus_link *link, uint64_t number);
/* Tell publishers which edges there are. */
void peer_tell_edges(struct router *router);
/* pending is answered when the link has acknowledged this number. */
int peer_await(struct peer *peer, uint64_t number, struct pending *pending) MUST_CHECK;

/* publish.c */
void publish_on_message(struct peer *peer, const struct bus_message *m);
/* One edge fewer to wait for. */
void publish_release(struct router *router, struct pending *pending);

/* subscribe.c */
void subscribe_on_subscribe(struct peer *peer, const struct wire_subscribe *m);
void subscribe_on_unsubscribe(struct peer *peer, const struct wire_unsubscribe *m);

#endif
