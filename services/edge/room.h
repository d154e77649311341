/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room as this edge sees it: its local members, and whether the router knows that the edge holds it.
 *
 *        first member            SUBSCRIBED                 last member leaves
 *   (none) ──SUBSCRIBE──▶ pending ─────────▶ confirmed ──UNSUBSCRIBE──▶ (none)
 *
 * A join is answered only when the room is confirmed: whatever is published after the answer arrives. After a router came back without
 * knowing us, every room is told again; its members notice nothing.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_ROOM_H
#define ROOMWIRE_EDGE_ROOM_H

#include "services/edge/edge.h"

#define ROOM_KEY_BYTES 1024

struct sock;

struct member {
	struct sock *sock;
	uint32_t slot; /* in sock->rooms */
};

struct room {
	struct edge *edge;
	struct member *members; /* dense */
	uint32_t count, cap;
	uint32_t pending;    /* SUBSCRIBEs without an answer yet */
	bool confirmed;      /* was once: the router may have sent us something */
	struct list waiters; /* struct op */
	uint32_t key_bytes;
	char key[]; /* namespace ',' name */
};

struct str room_key_of(const void *room); /* for the map */
/*
 * Make the key of a room: appended to out, BORROWED from it. E_RANGE: the name is empty or too long.
 */
int room_key(struct str nsp, struct str name, struct buf *out, struct str *key) MUST_CHECK;
struct room *room_find(struct edge *edge, struct str key);
bool room_has(const struct sock *sock, struct str key);
/*
 * 0: joined (or already in) and confirmed; E_AGAIN: joined, wait on *room for the router; E_FULL: too many rooms; E_NOMEM.
 */
int room_join(struct sock *sock, struct str key, struct room **room) MUST_CHECK;
void room_leave(struct sock *sock, struct str key); /* harmless when not in it */
void room_leave_all(struct sock *sock);

/* From the routers. */
void room_on_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch);
void room_on_subscribed(struct edge *edge, const struct wire_subscribed *m);

#endif
