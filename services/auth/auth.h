/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The auth process: judges tokens and permissions.
 *
 *   edge ──VERIFY──▶ auth_verify.c ─▶ adapt_jwt ─▶ the profile's user ──VERIFIED──▶
 *   edge ──ALLOW───▶ auth_allow.c ─▶ auth_cache ─▶ auth_rules ─▶ adapt_pg ──ALLOWED──▶
 *                                     (identical questions under way are joined: one query, many askers)
 *
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_AUTH_AUTH_H
#define ROOMWIRE_AUTH_AUTH_H

#include "common/adapt/adapt_jwt.h"
#include "common/adapt/adapt_pg.h"
#include "common/base/map.h"
#include "common/base/slab.h"
#include "common/bus/bus_rpc.h"
#include "common/profile/profile.h"
#include "services/auth/auth_cache.h"

struct auth {
	struct svc *svc;
	struct bus_answerer *answerer;
	struct adapt_jwt *jwt;   /* NULL: the profile asks for no token */
	struct adapt_pg *pg;     /* NULL: no DATABASE_URL, the profile's embedded rules answer */
	struct auth_cache cache; /* answers a query was needed for */
	struct map asks;         /* struct ask by key: questions that wait for the database */
	struct slab waiters;     /* who waits for them; bounded by auth_max_waiting */
	bool draining;
	struct buf key;    /* of the question at hand */
	struct buf quoted; /* its arguments as JSON */
	struct buf text;   /* rendered parameters; a user id */
	struct buf user;   /* rendered user */
};

int auth_start(struct svc *svc, void *self);
void auth_drain(struct svc *svc, void *self);
void auth_stop(struct svc *svc, void *self);
void auth_dump(struct svc *svc, void *self, struct buf *out);
bool auth_database_ready(void *self,
			 char reason[SVC_REASON_BYTES]); /* also when none is configured */

/* auth_verify.c: is the token good, and who is it? Answered at once. */
void auth_on_verify(struct auth *auth, const struct bus_question *q, const struct wire_verify *m);

/* auth_allow.c: may the user do that? Answered at once, or when the database has answered. */
#define AUTH_WAITER_BYTES (sizeof(struct list) + sizeof(struct bus_question))
struct str auth_ask_key(const void *object);
void auth_on_allow(struct auth *auth, const struct bus_question *q, const struct wire_allow *m);

#endif
