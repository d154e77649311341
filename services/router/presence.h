/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is in a room, by user: of the sessions this router keeps (all of one user are kept by the same router) it knows the first one that joins a room
 * with ITEM_PRESENCE and the end of the last one, and tells an edge (ROOM_USER), which does what the profile wants.
 *
 *                  first one                 left the room, or closed in order
 *   (none) ─────────────────────▶ there ───────────────────────────────────────▶ (none), told
 *                                  │ ▲  last one's connection is gone            ▲
 *                                  ▼ │ another one comes: nobody is told         │
 *                                 leaving, on router->leaving ── PRESENCE_GRACE ─┘
 *
 * A session whose client is away (parked) is none. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_PRESENCE_H
#define ROOMWIRE_ROUTER_PRESENCE_H

#include "services/router/session.h"

struct str presence_key_of(const void *attendance); /* for the map */
void presence_init(struct router *router);
void presence_fini(struct router *router);
/* Rooms, owner or parking of the session have changed. */
void presence_sync(struct session *s);
/* The session is not in this room any more. left: it was its will; else its connection has ended. */
void presence_leave(struct session *s, struct session_room *room, bool left);
/* Its client has closed in order: it is in none of its rooms any more, though it may come back to them. */
void presence_leave_all(struct session *s);
/* Another router keeps the session now, and says what is to be said; should it come back here, it is told anew. */
void presence_pass(struct session *s);

#endif
