/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL through libpq's pipeline mode on the libuv loop.
 *
 * thread     loop thread. blocking: never (name lookups of the URI happen in libuv's pool).
 * ownership  SQL texts are BORROWED for the life of the adapter (they come from the profile); parameters are COPIED.
 * ordering   answers come in the order of the questions; each is its own unit of work (one sync each): an error fails only itself.
 *
 * Connects at once and again after a loss, with back-off and jitter (100 ms to 5 s). Statements are prepared once per connection by name.
 * While there is no connection, or a query is older than database_timeout_ms, queries fail with E_UNAVAILABLE.
 */
#ifndef ROOMWIRE_ADAPT_PG_H
#define ROOMWIRE_ADAPT_PG_H

#include "common/svc/svc.h"

struct adapt_pg;

struct adapt_pg_result {
	int rows, columns;
	const void *handle; /* PGresult */
};
/* err 0, E_UNAVAILABLE (no connection, lost, too late), E_FAIL (the database refused the query: `message`). Runs once per query,
 * never before adapt_pg_query returned. */
typedef void (*adapt_pg_fn)(void *ctx, int err, const struct adapt_pg_result *result,
			    const char *message);

int adapt_pg_open(struct svc *svc, const char *uri,
		  struct adapt_pg **pg) MUST_CHECK; /* E_CONFIG: the URI does not parse */
void adapt_pg_close(struct adapt_pg **pg);          /* pending callbacks run with E_CLOSED */
/* params: param_count texts. E_FULL (too many waiting), E_NOMEM: fn does not run. While down: E_UNAVAILABLE at once. */
int adapt_pg_query(struct adapt_pg *pg, const char *sql, const struct str *params, int param_count,
		   adapt_pg_fn fn, void *ctx) MUST_CHECK;
bool adapt_pg_up(const struct adapt_pg *pg,
		 char reason[SVC_REASON_BYTES]); /* reason: no credentials */
/* Text of a field, BORROWED until the callback returns; empty for NULL. */
struct str adapt_pg_text(const struct adapt_pg_result *r, int row, int column);

#endif
