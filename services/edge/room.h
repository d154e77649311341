/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room as this edge sees it: its local members, and whether the router knows that the edge holds it.
 *
 *        first member            SUBSCRIBED                 last member leaves
 *   (none) ──SUBSCRIBE──▶ pending ─────────▶ confirmed ──UNSUBSCRIBE──▶ (none)
 *
 * A join is answered only when the room is confirmed: whatever is published after the answer arrives. After a router came back without
 * knowing us, every room is told again; its members notice nothing. Sockets whose client is away hold their rooms, so that what comes
 * meanwhile survives the router. Each socket is in a room of its own, named by its id.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_ROOM_H
#define ROOMWIRE_EDGE_ROOM_H

#include "proto/item.h"
#include "services/edge/shard.h"

#define ROOM_KEY_BYTES 1024

struct sock;

struct member {
	struct sock *sock;
	uint32_t slot; /* in sock->rooms */
};

/* A socket in a room. */
struct membership {
	struct room *room;
	uint32_t index;  /* in room->members; of a parked socket: nothing */
	uint32_t shard;  /* whose place `joined` is */
	uint64_t joined; /* place behind which messages are for this socket; 0: not known yet */
	uint64_t
		leaves; /* place of the command to leave it, which came while it was waiting; 0: none */
	bool waiting;    /* for the router's confirmation: nothing is delivered to it yet */
	bool saved;      /* the session's router was told */
	bool stale;      /* recovered, and not yet claimed again by the namespace's rules */
	bool presence;   /* others hear when its user comes to it, and is gone from it */
	bool by_connect; /* by the namespace's rules, not by an event */
	bool out;        /* being recovered: it was told to leave, see command.h */
};

struct room {
	struct edge *edge;
	struct list node;       /* on shard->rooms or shard->untold */
	struct list due;        /* on shard->due */
	struct shard *shard;    /* NULL: no router is known */
	struct shard *old;      /* it belonged to this one: publishers may not know better yet */
	struct member *members; /* dense */
	uint32_t count, cap;
	uint32_t holds;      /* parked sockets */
	bool own;            /* of a socket itself, or of all */
	bool told_vacant;    /* the router was told that nobody is here */
	uint32_t pending;    /* SUBSCRIBEs without an answer yet */
	bool filling;        /* told with `since`, and not answered: see fill.c */
	bool confirmed;      /* the router has answered since it was told last */
	uint64_t since;      /* all messages up to here were handled; 0: it was never confirmed */
	uint64_t known_from; /* behind this, the edge's history has all messages of the room */
	uint32_t key_bytes;
	char key[]; /* namespace ',' name */
};

struct str room_key_of(const void *room); /* for the map */
struct str room_name_of(const struct room *room);
/*
 * Make the key of a room: appended to out, BORROWED from it. E_RANGE: the name is empty or too long.
 */
int room_key(struct str nsp, struct str name, struct buf *out, struct str *key) MUST_CHECK;
struct room *room_find(struct edge *edge, struct str key);
/* How many rooms every socket has of itself. */
uint32_t room_own_count(const struct edge *edge);
bool room_has(const struct sock *sock, struct str key);
struct membership *room_membership(const struct sock *sock, const struct room *room); /* or NULL */
/*
 * Join; harmless when in it. item: NULL, or place and shard it was joined at in an earlier life. 0 (the socket's `unconfirmed` says whether the router
 * must confirm it first), E_FULL: too many rooms; E_NOMEM.
 */
int room_join(struct sock *sock, struct str key, const struct item *item,
	      struct membership **membership) MUST_CHECK;
/*
 * Join by a command with this place (command.h): what was sent to the room behind it is delivered, also where this edge held no such room yet.
 * Errors as of room_join.
 */
int room_join_at(struct sock *sock, struct str key, uint64_t place,
		 struct membership **membership) MUST_CHECK;
/* The same for a parked socket, which holds it. */
int room_hold(struct sock *sock, struct str key, const struct item *item) MUST_CHECK;
/* As the socket's session has it: BORROWED from the room. */
struct item room_item(const struct membership *m);
/* All rooms of a session (items of proto/bus.def): joined, or (by a parked socket) held. The first error; also E_TRUNCATED, E_RANGE of an item. */
int room_take_all(struct sock *sock, const struct wire_list *rooms) MUST_CHECK;
bool room_leave(struct sock *sock, struct str key); /* false: was not in it */
/*
 * Leave by a command with this place. A room that is still being filled is left when it is: what was sent to it before is delivered yet. False: was not
 * in it, or is not out of it yet.
 */
bool room_leave_at(struct sock *sock, struct str key, uint64_t place);
void room_leave_due(
	struct shard *shard); /* its rooms are filled: those that were waited for are left */
void room_leave_unconfirmed(struct sock *sock);
void room_leave_stale(struct sock *sock); /* and tell the session's router */
void room_leave_all(struct sock *sock);
/* The client is away: its rooms are held without it. */
void room_park_all(struct sock *sock);

/* For shard.c: subscribe (again), to the room's shard. 0, or why the link does not take it now. */
int room_tell(struct room *room) MUST_CHECK;
void room_untell(struct room *room); /* the router knows nothing of it any more */
void room_move(struct room *room, struct shard *owner);
/* Routers want to know whether somebody is here: those where nobody is are told. */
void room_tell_life(struct edge *edge);
/* Something of it was lost to this edge: its members are closed, and not recovered. */
void room_tell_gap(struct room *room);
void room_on_subscribed(struct shard *shard, const struct wire_subscribed *m);

#endif
