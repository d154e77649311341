/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is in a room, of the sessions this router keeps: in the order of user and socket id, so that it can be read page by page, counted, and asked
 * for one user, without looking at anybody else. All rolls stand in the order of their keys. A room that a socket has for itself has no roll:
 * router->sids finds its session. Members of one room are spread over the routers by their users; the room's order and history are with the room's
 * own router (room.h).
 *
 *   router->rolls ── roll "/,ticket:42" ── members ── session_room ──▶ session
 *
 * Bounds: those of sessions and of their rooms. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_ROLL_H
#define ROOMWIRE_ROUTER_ROLL_H

#include "services/router/session.h"

struct roll {
	struct tree_node node; /* in router->rolls */
	struct tree members;   /* struct session_room */
	uint32_t count;        /* of them */
	uint32_t away;         /* those whose client is away */
	uint32_t users;        /* theirs, each once */
	uint16_t nsp_bytes, key_bytes;
	char key[]; /* namespace ',' name */
};

struct str roll_key_of(const struct roll *roll);
struct str roll_name_of(const struct roll *roll);
struct roll *roll_find(struct router *router, struct str key);
/* The room is in session->rooms from now on: find or make its roll and enter it. E_NOMEM: nothing has changed. */
int roll_enter(struct session_room *room, struct str nsp, struct str name) MUST_CHECK;
void roll_strike(struct session_room *room); /* may free the roll; harmless when on none */
/* The client of the session has left, or has come back: session->parked_ms has changed. */
void roll_note_away(const struct session *s, bool away);

/* A member by user and socket id; NULL: it is none. */
struct session_room *roll_member(const struct roll *roll, const struct session *s);
/* The first member behind this user's socket. */
struct session_room *roll_behind(const struct roll *roll, struct str user_id, struct str sid);
struct session_room *roll_next(const struct roll *roll, const struct session_room *member);

/* The first roll with a key behind this one; and the next. */
struct roll *roll_first_behind(const struct router *router, struct str key);
struct roll *roll_following(const struct router *router, const struct roll *roll);
/* Bytes, then length: -1, 0, 1. */
int roll_compare(struct str a, struct str b);

#endif
