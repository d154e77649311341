/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that comes back: its session is asked for (RESUME), its rooms are joined again with the places they were joined at, and what it missed
 * of them is asked for (REPLAY) from each router they belong to. Only when all of that is there is the CONNECT answered, with the old ids; when
 * something is missing it is answered as a fresh one.
 *
 *   ASKING ──RESUMED──▶ JOINING ──rooms confirmed──▶ REPLAYING ──REPEATED by all──▶ done: recovered
 *      └── unknown ──────────────┴── a gap ─────────────┴──▶ fresh
 *
 * A session that is handed over by another edge at an upgrade goes the same way, from JOINING on.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_RESTORE_H
#define ROOMWIRE_EDGE_RESTORE_H

#include "services/edge/op.h"
#include "services/edge/shard.h"

enum restore_state { RESTORE_ASKING = 0, RESTORE_JOINING, RESTORE_REPLAYING, RESTORE_DONE };

struct restore_part {
	struct shard *shard;
	bool done;
};

struct restore {
	struct sock *sock;
	enum restore_state state;
	uint64_t ref; /* key in edge->restores */
	struct shard *home;
	char pid[EDGE_ID_BYTES];
	struct offset had; /* what the client has had */
	bool gap;
	bool commanded;           /* a command is among what was kept */
	bool woken;               /* see restore_on_filled */
	struct wheel_timer timer; /* handed over by another edge: until then it is all there */
	struct tail_item **kept;  /* OWNED: what it is sent when it is greeted */
	uint32_t kept_count, kept_cap;
	size_t kept_bytes;
	uint32_t part_count;
	struct restore_part parts[OFFSET_SHARDS_MAX];
};

struct str restore_key_of(const void *restore); /* for the map */

/* The CONNECT names a session: OP_WAIT, or OP_GO_ON when it is nothing to come back to. */
enum op_next restore_begin(struct op *op);
/* A handed-over socket: its rooms are joined already. NULL when out of memory. */
struct restore *restore_handed(struct sock *sock, const struct offset *had);
/* Its rooms are confirmed: OP_WAIT until what it missed is there. */
enum op_next restore_replay(struct sock *sock);
void restore_free(struct sock *sock); /* harmless when there is none */
/* Is what the shard delivers now behind what it repeats? */
bool restore_takes_live(const struct sock *sock, const struct shard *shard);
/* Something for it (COPIED), repeated or new. Past MAX_UNSENT_BYTES and REPLAY_BYTES it is a gap. */
void restore_keep(struct sock *sock, struct shard *shard, const struct bus_message *m);
/* All that was kept is held for the socket, in the order of places of all shards, and the restore is over. */
void restore_end(struct sock *sock);

/* The link's router was started anew, or is not there any more. */
void restore_begin_anew(struct edge *edge, struct shard *shard);
/* A shard's rooms are filled: restores that waited for that go on. */
void restore_on_filled(struct edge *edge);
void restore_on_resumed(struct edge *edge, const struct wire_resumed *m);
void restore_on_repeat(struct shard *shard, const struct bus_message *m);
void restore_on_repeated(struct shard *shard, const struct wire_repeated *m);

#endif
