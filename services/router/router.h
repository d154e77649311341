/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The router: orders messages, knows which edges hold a room, keeps the recent history of rooms.
 *
 *   ingest, edge ──PUBLISH──▶ publish.c ─▶ place, history ─▶ DELIVER to each edge that holds a room ──acked──▶ PUBLISHED
 *   edge ──SUBSCRIBE──▶ subscribe.c ─▶ what it missed, from history ─▶ SUBSCRIBED
 *   edge ──SESSION, RESUME──▶ session.c     who may come back to what
 *   edge ──REPLAY──▶ replay.c ─▶ what one client missed ─▶ REPEAT … REPEATED
 *
 * All of it is soft state: a router that was started anew is told by the edges what they hold, and gets back from them the messages they had
 * (settle.c). Places go on across its lives.
 */
#ifndef ROOMWIRE_ROUTER_ROUTER_H
#define ROOMWIRE_ROUTER_ROUTER_H

#include "common/base/idset.h"
#include "common/base/map.h"
#include "common/base/slab.h"
#include "common/base/tree.h"
#include "common/bus/bus_link.h"
#include "common/svc/svc.h"
#include "proto/values.h"

struct acks;
struct egress;
struct room;

/* An event that edges have not all acknowledged. */
struct pending {
	struct list node;       /* on publisher->published; alone when the publisher is gone */
	struct list askers;     /* struct asker: the same event came again meanwhile */
	struct peer *publisher; /* NULL: gone, nobody waits for the answer */
	uint64_t ref;
	uint64_t uid_high, uid_low;
	struct acks *acks; /* while it is sent; NULL: none are wanted, or not taken */
	uint32_t wait;     /* edges that have not acknowledged */
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
	bool synced; /* has told its rooms */
	bool watches_life;
	uint64_t mark; /* serial of the message at hand: sent once, whatever rooms it holds */
	struct awaited *awaited; /* ring, in order of number; OWNED */
	uint32_t awaited_cap, awaited_head, awaited_count;
	struct list published; /* struct pending */
	struct list asked;     /* struct asker */
	struct list sessions;  /* struct session */
	char endpoint[257], tag[17];
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

/* A message that waits until the router has settled. */
struct early {
	struct list node; /* on router->early */
	struct peer *peer;
	struct blob *body;
	uint32_t payload_count;
	struct blob *payload[];
};

struct router {
	struct svc *svc;
	struct persist *persist; /* NULL: Redis is not set */
	struct life *life;
	struct egress *egress; /* NULL: in tests */
	struct bus_server *server;
	struct list peers;
	struct map rooms;    /* struct room by key */
	struct list history; /* struct entry of all rooms, oldest first */
	uint64_t history_bytes, history_count;
	struct list vacant;     /* struct room that no edge holds any more, in the order of time */
	uint64_t place;         /* of the newest message */
	uint64_t born;          /* place this life began at */
	uint64_t floor;         /* of a room that is not known: nothing is known up to this place */
	struct map sessions;    /* struct session by pid */
	struct list parked;     /* struct session of nobody, in the order of time */
	struct map attendances; /* struct attendance: users in rooms, see presence.h */
	struct list leaving;    /* those of them whose last connection has ended */
	struct wheel_timer presence_timer;
	struct map users;    /* struct session_user */
	struct tree sids;    /* struct session by namespace and socket id */
	struct tree rolls;   /* struct roll: rooms with members among the sessions */
	struct map acks;     /* struct acks by number */
	uint64_t last_ack;   /* number of one; those of the next life are greater */
	struct map returned; /* struct message by place, until settled */
	struct list early;   /* struct early, until settled */
	uint64_t mark;
	struct idset ids;    /* note: the struct pending, while there is one */
	struct idset claims; /* note: the owner, see claim.h */
	struct slab pendings, askers;
	struct wheel_timer sweep;
	struct wheel_timer settle;
	struct wheel_timer foster;
	uint64_t replayed_ms; /* when an edge last asked for history */
	uint64_t drain_from_ms, drain_until_ms;
	uint64_t settle_until_ms, settle_at_latest_ms;
	bool settled;
	bool return_lost; /* out of memory: not all that was returned was kept */
	bool vouched;     /* Redis knows of everything that was accepted before this life */
	/* OWNED list: publishers know of them, they have not come back yet */
	struct awaited_edge *awaited_edges;
	struct buf key; /* room key under construction */
};

int router_start(struct svc *svc, void *self);
void router_drain(struct svc *svc, void *self);
void router_stop(struct svc *svc, void *self);
bool router_redis_ready(void *self, char reason[SVC_REASON_BYTES]);
void router_dump(struct svc *svc, void *self, struct buf *out);

/* peer.c */
void peer_on_up(void *ctx, struct bus_link *link, bool resumed);
void peer_on_down(void *ctx, struct bus_link *link);
void peer_on_acked(void *ctx, struct bus_link *link, uint64_t number);
/* Its process cannot be reached: nobody waits for its acknowledgements any more. */
void peer_on_gone(void *ctx, struct bus_link *link);
void peer_on_advertise(struct peer *peer, const struct wire_advertise *m);
/* Say it, counted. Where it does not fit the link is set up anew: the peer comes back and asks or tells again. */
void peer_say(struct peer *peer, enum wire_id id, const void *message);
/* Tell everybody which edges there are. */
void peer_tell_edges(struct router *router);
/* pending is answered when the link has acknowledged this number. */
int peer_await(struct peer *peer, uint64_t number, struct pending *pending) MUST_CHECK;

/* publish.c */
void publish_on_message(struct peer *peer, const struct bus_message *m);
/* One edge fewer to wait for. */
void publish_release(struct router *router, struct pending *pending);

/*
 * Place of the next message: a hybrid logical clock, microseconds since 1970 above a counter. Places of one router grow, those of its next life are
 * greater, and those of several routers are in the order of time as far as their clocks agree.
 */
uint64_t router_next_place(const struct router *router);
/* router.c: a message of a peer, now or when the router has settled */
void router_dispatch(struct peer *peer, const struct bus_message *m);

/* settle.c: after a start, publishers wait until the edges have come back and told what they hold. */
void settle_begin(struct router *router);
void settle_end(struct router *router); /* at the process's end */
void settle_on_held(void *ctx, const struct wire_list *known);
void settle_on_return(struct router *router, const struct bus_message *m);
/* Whether the message must wait until then; it is kept. */
bool settle_defer(struct peer *peer, const struct bus_message *m);
void settle_forget(struct peer *peer);

/* replay.c */
void replay_on_replay(struct peer *peer, const struct wire_replay *m);

/* query.c: what is connected, for ingest */
void query_on_rooms(struct peer *peer, const struct wire_query_rooms *m);
void query_on_figures(struct peer *peer, const struct wire_query_figures *m);
void query_on_sockets(struct peer *peer, const struct wire_query_sockets *m);

/* subscribe.c */
void subscribe_on_subscribe(struct peer *peer, const struct wire_subscribe *m);
void subscribe_on_live(struct peer *peer, const struct wire_room_live *m);
void subscribe_on_unsubscribe(struct peer *peer, const struct wire_unsubscribe *m);

#endif
