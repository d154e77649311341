/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to PostgreSQL while it is being made and while it lives; used by adapt_pg.c only.
 *
 * thread     loop thread. blocking: never: names are looked up by uv_getaddrinfo and handed to libpq as hostaddr=, because
 *            libpq itself would wait for getaddrinfo; host= stays for TLS.
 * ownership  the target must outlive the connection.
 * ordering   opened once, then ready any number of times, then failed at most once: pg_conn_close is the answer to it. No hook runs
 *            inside a call made by the owner.
 */
#ifndef ROOMWIRE_ADAPT_PG_CONN_H
#define ROOMWIRE_ADAPT_PG_CONN_H

#include <libpq-fe.h>

#include "common/svc/svc.h"

/* Where to connect to: the parsed URI. */
struct pg_target;
int pg_target_parse(const char *uri, struct pg_target **target) MUST_CHECK; /* E_CONFIG */
void pg_target_free(struct pg_target **target); /* nulls; accepts NULL inside */
/* One line of text from libpq for people: without the password, should it be in there. */
void pg_target_reason(const struct pg_target *target, const char *text,
		      char reason[SVC_REASON_BYTES]);

struct pg_conn;
struct pg_conn_hooks {
	void (*opened)(void *ctx);
	void (*ready)(void *ctx); /* there is something to read, or room to write */
	void (*failed)(void *ctx, const char *reason);
	void *ctx;
};

/* Begin to connect; of several addresses number `first` (modulo their count) is tried first. E_UNAVAILABLE with the reason, E_NOMEM. */
int pg_conn_open(uv_loop_t *loop, const struct pg_target *target, unsigned first,
		 const struct pg_conn_hooks *hooks, char reason[SVC_REASON_BYTES],
		 struct pg_conn **conn) MUST_CHECK;
void pg_conn_close(struct pg_conn **conn); /* nulls; accepts NULL inside; no hook runs any more */
PGconn *pg_conn_libpq(const struct pg_conn *conn); /* once opened */
void pg_conn_want_write(struct pg_conn *conn, bool wanted);

#endif
