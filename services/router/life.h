/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is online and which rooms are occupied, told to one ingest, which writes it to a broker (services/ingest/life.c).
 *
 *   subject   a user of this router's sessions, or a room of this shard; here: some client of it is there
 *
 *             here                        LIFE, LIFE_DONE             gone for PRESENCE_GRACE_SECONDS
 *   (none) ─────────▶ untold, here ─────────────────────────▶ told ─────────────────────────────────▶ telling ── LIFE_DONE ──▶ (none)
 *
 * What was told last is kept for each subject, and compared with what is so: however often that changes while a broker is down, at most one change of
 * each is under way, so that those of one subject keep their order and nothing grows. With Redis what was told survives the router, and what changed
 * meanwhile is told by the next one; without, it tells everything that is here again.
 *
 * Nothing is kept until an ingest has asked. Bounds: those of sessions and rooms; LIFE_WINDOW under way. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_LIFE_H
#define ROOMWIRE_ROUTER_LIFE_H

#include "proto/values.h"
#include "services/router/router.h"

#define LIFE_WINDOW 1000u

struct life;
struct room;

void life_open(struct router *router);
void life_close(struct router *router);
bool life_is_wanted(const struct router *router);
/* Whether one of a user's clients, or of a room's members, is here may have changed. */
void life_note_user(struct router *router, struct str user_id);
void life_note_room(const struct room *room);
/* The router has settled: what was not told anew is gone. */
void life_settled(struct router *router);

void life_on_watch(struct peer *peer, const struct wire_life_watch *m);
void life_on_done(struct peer *peer, const struct wire_life_done *m);
/* Its link begins anew, or is no more: what it was told may be lost. */
void life_forget_peer(struct peer *peer);
/* From Redis: this was told. E_NOMEM. */
int life_restore(struct router *router, struct str key) MUST_CHECK;

#endif
