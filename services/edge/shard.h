/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A router, as this edge sees it: the rooms and sessions that belong to it, how far its messages were handled, and the latest of them, which are given
 * back to it when it was started anew.
 *
 *   link up, the router knows nothing of us ─▶ ADVERTISE, RETURN each message of its life before, SUBSCRIBE each room, SESSION each socket, SYNCED
 *
 * told in portions, so that the link never overflows (shard_pump, again with each acknowledgement).
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_SHARD_H
#define ROOMWIRE_EDGE_SHARD_H

#include "services/edge/edge.h"

#define OFFSET_SHARDS_MAX 64
#define OFFSET_SHARD_CHARS 16 /* 12 bytes in base64url */
#define OFFSET_MAX_CHARS (OFFSET_SHARDS_MAX * OFFSET_SHARD_CHARS)

struct room;

/* A delivered message: in one block the DELIVER's body and its payload frames. */
struct tail_item {
	struct list node; /* on shard->tail */
	struct list all;  /* on edge->tail, in the order of time */
	struct shard *shard;
	uint64_t place, at_ms;
	uint32_t payload_count;
	uint32_t kept_as; /* of those with one place: which came first */
	uint32_t body_bytes;
	size_t bytes;
	uint32_t payload_bytes[];
};

struct shard {
	struct list node; /* on edge->shards */
	struct edge *edge;
	struct bus_link *link;
	uint32_t id;        /* hash of the endpoint: the same at every edge */
	uint64_t place;     /* all messages up to here were handled */
	uint64_t old_epoch; /* of the router's life that `since` of the untold rooms belongs to */
	struct list rooms;  /* struct room that were told */
	struct list untold; /* struct room that are still to be told */
	struct list homed;  /* struct sock whose session the router keeps, told */
	struct list homed_untold;
	struct list tail;              /* struct tail_item, oldest first */
	struct tail_item *next_return; /* NULL: nothing (more) to give back */
	uint64_t return_upto;
	bool syncing;
	/* Rooms are filled from history one after another: until the last of them is, see fill.c. */
	uint32_t filling;                         /* rooms that are still to be filled */
	uint64_t filling_ms;                      /* since when */
	uint64_t passed;                          /* what shard_passed was told meanwhile */
	struct tail_item **kept;                  /* OWNED: what came meanwhile */
	uint32_t kept_count, kept_cap, kept_head; /* those before kept_head are done */
	uint32_t kept_sorted;                     /* so many of them are in order */
	size_t kept_bytes;
	uint64_t newest_kept; /* place */
	uint32_t last_kept_as;
	bool finishing; /* they are being delivered */
	struct list
		due; /* struct room that members are to leave when it is filled, see room_leave_later */
};

/* router_clnt's handlers */
void shard_on_added(void *ctx, struct bus_link *link, const char *endpoint);
void shard_on_changed(void *ctx);
void shard_on_removed(void *ctx, struct bus_link *link);
void shard_on_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch);
void shard_on_acked(void *ctx, struct bus_link *link);
void shards_free(struct edge *edge);

/* The shard a room belongs to; NULL while no router is known. */
struct shard *shard_of(struct edge *edge, struct str room_key);
/* All messages of the shard up to this place were handled; while it is being filled, they are only then. */
void shard_passed(struct shard *shard, uint64_t place);

/*
 * Where the edge stands in every shard, as text without quotes; BORROWED until the next shard_passed. A client that has it has got everything of its
 * rooms up to there.
 */
struct str shard_offset(struct edge *edge);

/* Such a text, read: place in each shard. */
struct offset {
	uint32_t count;
	struct offset_place {
		uint32_t shard;
		uint64_t place;
	} places[OFFSET_SHARDS_MAX];
};
int offset_read(struct str text, struct offset *offset) MUST_CHECK; /* 0 or E_SYNTAX */
uint64_t offset_get(const struct offset *offset, uint32_t shard);   /* 0: not in it */
void offset_set(struct offset *offset, uint32_t shard, uint64_t place);
/* Appended to out. */
void offset_write(const struct offset *offset, struct buf *out);

/*
 * fill.c: a link that begins anew replays room by room, so the places of what comes do not grow, and none of them says that all before it was had.
 * Until every room is filled, the shard's messages are kept; then they are delivered in the order of their places. Bound: EDGE_HISTORY_BYTES;
 * past it the members of rooms that are not filled are told that they have missed something.
 */
void fill_begin(struct shard *shard);                             /* its rooms were untold */
bool fill_keep(struct shard *shard, const struct bus_message *m); /* true: kept for later */
void fill_room_begin(struct room *room);                          /* one more, while others go on */
void fill_room_done(struct room *room); /* its answer is there, or it is gone */
void fill_sweep(struct edge *edge); /* a router that does not answer is not waited for for ever */
void fill_drop(struct shard *shard);

/* A copy of a message that is on no list; OWNED by caller (mem_free). NULL when out of memory. */
struct tail_item *tail_copy(struct shard *shard, const struct bus_message *m, uint64_t place);
/* The message of a copy; payload: its frames, room for WIRE_MAX_PAYLOADS. False: it does not decode. */
bool tail_read(const struct tail_item *item, struct bus_message *m, struct str *payload);
/* tail.c: keep a delivered message; what is too old or too much goes. */
void tail_add(struct shard *shard, const struct bus_message *m, uint64_t place);
/* One from before the edge held its rooms, unless it has it: it was asked for, and the rooms' known_from goes down to where that began. */
void tail_add_old(struct shard *shard, const struct bus_message *m);
void tail_sweep(struct edge *edge);
void tail_drop_shard(struct shard *shard);
/* Give one back: 0, or why the link does not take it now. */
int tail_return(struct shard *shard, const struct tail_item *item) MUST_CHECK;

#endif
