/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room of this shard: the edges that hold it and its recent messages.
 *
 *   room ── oldest ▶ entry ▶ entry ▶ newest      each entry refers to a message, shared by the rooms it was sent to,
 *                                                and stands in router->history, too, in the order of time.
 *
 * Bounds: messages and bytes per room, bytes of all rooms, age. What is dropped before a position is remembered (dropped_place), so that a
 * replay which cannot be whole is noticed. Thread: loop thread.
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
	struct blob *body; /* the DELIVER */
	struct blob *payload[];
};

struct entry {
	struct list all; /* on router->history */
	struct entry *newer;
	struct room *room;
	struct message *message;
};

struct holder {
	struct peer *peer;
	uint32_t slot; /* in peer->rooms */
};

struct room {
	struct router *router;
	struct holder *edges; /* dense */
	uint32_t edge_count, edge_cap;
	struct entry *oldest, *newest;
	uint32_t history_count;
	uint64_t history_bytes;
	uint64_t dropped_place; /* newest place that is no longer in the history */
	uint32_t key_bytes;
	char key[];
};

struct str room_key_of(const void *room); /* for the map */
struct room *room_find(struct router *router, struct str key);
/* Find or make; NULL when there are too many, or no memory. */
struct room *room_get(struct router *router, struct str key);
/* 0 also when it is there already. E_NOMEM: a room without edges and history is freed. */
int room_add_edge(struct room *room, struct peer *peer) MUST_CHECK;
void room_remove_edge(struct room *room, struct peer *peer);
void room_remove_peer(struct peer *peer); /* from all rooms */

/* Remember a message (referenced, not TAKEN). Without memory the room's history is dropped instead: noticed as a gap, never silent.
 * A room that no edge holds is freed when nothing stays of its history. */
void room_remember(struct room *room, struct message *message);
void room_sweep(struct router *router); /* drop what is too old */
void room_free_all(struct router *router);

void message_unref(struct message **message);

#endif
