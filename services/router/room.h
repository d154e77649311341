/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room of this shard: the edges that hold it and its recent messages.
 *
 *   room ── oldest ▶ entry ▶ entry ▶ newest      each entry refers to a message, shared by the rooms it was sent to,
 *                                                and stands in router->history, too, in the order of time.
 *
 * Bounds: messages and bytes per room, bytes of all rooms, age. What is dropped before a position is remembered (dropped_place), so that a
 * replay which cannot be whole is noticed. A room that edges have held stays for as long as somebody may come back to it.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_ROOM_H
#define ROOMWIRE_ROUTER_ROOM_H

#include "services/router/router.h"

/* Encoded once, sent to every edge, kept for replay. Reference-counted. */
struct message {
	uint32_t refs;
	uint32_t payload_count;
	uint64_t place;
	uint64_t at_ms; /* monotonic */
	uint64_t bytes;
	uint64_t
		spared; /* hash of the only room it was kept from, as a sender's own; 0: of none, or several */
	struct blob *body; /* the DELIVER */
	struct blob *payload[];
};

struct entry {
	struct list all; /* on router->history */
	struct entry *newer, *older;
	struct room *room;
	struct message *message;
};

struct holder {
	struct peer *peer;
	uint32_t slot; /* in peer->rooms */
	bool live;     /* somebody is there */
};

struct room {
	struct router *router;
	struct holder *edges; /* dense */
	uint32_t edge_count, edge_cap, live_count;
	bool own; /* of a socket itself */
	struct entry *oldest, *newest;
	uint32_t history_count;
	uint64_t history_bytes;
	uint64_t dropped_place; /* newest place that is no longer in the history */
	uint64_t
		dropped_spared; /* of that message, and of all that were dropped behind dropped_other_place */
	uint64_t dropped_other_place;
	uint64_t restored_upto; /* of places before this life, those up to here are known */
	uint64_t vacant_ms;     /* since when no edge holds it; 0: never one did, or one does */
	struct list vacant;     /* on router->vacant */
	uint32_t key_bytes;
	char key[];
};

struct str room_key_of(const void *room); /* for the map */
struct room *room_find(struct router *router, struct str key);
/* Find or make; NULL when there are too many, or no memory. */
struct room *room_get(struct router *router, struct str key);
/* 0 also when it is there already. E_NOMEM: a room without edges and history is freed. */
int room_add_edge(struct room *room, struct peer *peer) MUST_CHECK;
/* Whether somebody is there, or the edge holds it for those who are away. Harmless for one that does not hold it. */
void room_set_live(struct room *room, const struct peer *peer, bool live);
bool room_is_live(const struct room *room); /* NULL: no */
void room_remove_edge(struct room *room, struct peer *peer);
void room_remove_peer(struct peer *peer); /* from all rooms */

/* Is something missing behind this place? */
bool room_has_gap(const struct room *room, uint64_t since);
/* That was not kept from this socket: who only sends misses nothing. */
bool room_has_gap_for(const struct room *room, uint64_t since, struct str sid);
/* An edge of the life before this one knows the room's messages behind `from`, up to `upto`. */
void room_restore(struct room *room, uint64_t from, uint64_t upto);
/* Remember a message (referenced, not TAKEN). Without memory the room's history is dropped instead: noticed as a gap, never silent.
 * A room that no edge holds is freed when nothing stays of its history. */
void room_remember(struct room *room, struct message *message);
void room_sweep(struct router *router); /* drop what is too old */
void room_free_all(struct router *router);

struct str message_key_of(const void *message); /* its place, for the map */
void message_note_except(struct message *message, const struct wire_list *except);
void message_unref(struct message **message);

#endif
