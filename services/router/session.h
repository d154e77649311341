/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client can come back to: a socket's ids, its user, its rooms with the place each was joined at. Told by the edge that has the client; survives
 * that edge.
 *
 *             SESSION              SESSION_PARKED, edge forgotten
 *   (none) ─────────────▶ owned ────────────────────────────────▶ parked ── recovery window over ──▶ (none)
 *                          ▲ ▲                                      │
 *                          │ └───────────── RESUME ────────────────┘         SESSION_ENDED: (none), from either
 *                          └── RESUME by another edge: the first one is told SESSION_TAKEN
 *
 * Of two claims the one with the greater generation holds; each RESUME begins a new one. Bounds: MAX_SESSIONS (the one parked longest goes first).
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_SESSION_H
#define ROOMWIRE_ROUTER_SESSION_H

#include "common/base/tree.h"
#include "proto/item.h"
#include "services/router/router.h"

#define SESSION_ID_BYTES 64

struct roll;
struct session_user;

struct session_room {
	uint64_t place; /* joined at */
	uint32_t shard; /* whose place it is */
	uint8_t bits;
	bool counted; /* for presence.h */
	struct session *session;
	struct roll *roll;     /* which has its name; NULL: the socket's own room */
	struct tree_node node; /* in roll->members */
};

struct session {
	struct list node; /* on owner->sessions, or router->parked */
	struct router *router;
	struct peer *owner;         /* NULL: parked */
	struct session_user *user;  /* NULL: nobody in particular */
	struct tree_node user_node; /* in user->sessions */
	struct tree_node sid_node;  /* in router->sids */
	uint64_t generation;
	uint64_t parked_ms;          /* monotonic; 0: its client is there */
	struct session_room **rooms; /* OWNED */
	uint32_t room_count, room_cap;
	bool attends; /* has been in a room with ITEM_PRESENCE */
	uint8_t pid_bytes, sid_bytes, conn_bytes, nsp_bytes;
	uint16_t user_bytes;
	char conn[SESSION_ID_BYTES];
	char text[]; /* pid, namespace ',' socket id, user id */
};

/* The session's rooms: list is the caller's to fini, also after an error. 0, E_NOMEM, E_TOOBIG. */
int session_rooms(const struct session *s, struct item_list *list,
		  struct wire_list *rooms) MUST_CHECK;
struct str session_sid_of(const struct session *s);
struct str session_nsp_of(const struct session *s);
struct str session_user_id_of(const struct session *s);
struct str session_key_of(const struct session *s); /* namespace ',' socket id */
struct str session_room_name(const struct session_room *room);
void session_own(struct session *s, struct peer *peer);
struct str session_pid_of(const void *session); /* for the map */

void session_on_session(struct peer *peer, const struct wire_session *m);
void session_on_rooms(struct peer *peer, const struct wire_session_rooms *m);
void session_on_parked(struct peer *peer, const struct wire_session_parked *m);
void session_on_ended(struct peer *peer, const struct wire_session_ended *m);
void session_on_resume(struct peer *peer, const struct wire_resume *m);
/* Answer SESSION or SESSION_ROOMS; code "": kept. */
void session_answer(struct peer *peer, uint64_t ref, struct str pid, const char *code);
/* The session as a SESSION message: OWNED by caller, NULL when out of memory. And one that was read, unless its edge has told it already. */
struct blob *session_pack(const struct session *s);
void session_restore(struct router *router, const struct wire_session *m);
void session_forget_peer(struct peer *peer); /* what it had is parked from now on */
/* Sessions of nobody are given to edges that are there, soon. */
void session_foster_soon(struct router *router);
void session_foster_init(struct router *router);
/* SIGTERM: edges get what only this router has, then svc_drained is called. */
void session_drain(struct router *router);
void session_sweep(struct router *router);
void session_free_all(struct router *router);

#endif
