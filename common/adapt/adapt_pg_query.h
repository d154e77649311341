/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One query: what is sent for it, and how it ends; used by adapt_pg.c only, which knows when.
 *
 * Each is one unit: [Parse,] Bind, Execute, Sync. Its statement is parsed by name in the unit that needs it first; until the server has
 * confirmed that, other queries of the same statement are parsed without a name, so that a Parse that fails takes nobody with it.
 */
#ifndef ROOMWIRE_ADAPT_PG_QUERY_H
#define ROOMWIRE_ADAPT_PG_QUERY_H

#include <libpq-fe.h>

#include "common/adapt/adapt_pg.h"
#include "common/base/map.h"

/* A text of SQL, as the server knows it. */
struct pg_statement {
	struct str sql;            /* BORROWED; terminated */
	unsigned number, revision; /* its name on the server */
	enum { STATEMENT_NEW = 0, STATEMENT_SENT, STATEMENT_READY } state;
	uint64_t connection; /* that state belongs to */
	bool told;           /* its error is in the log */
};

struct pg_query {
	struct list node;               /* on pg->waiting or pg->sent */
	struct pg_statement *statement; /* NULL: our own */
	const char *sql;                /* NULL: a ping, nothing but its Sync */
	adapt_pg_fn fn;                 /* NULL: our own */
	void *ctx;
	uint64_t asked_ms, sent_ms, sent_ns;
	bool parsing; /* the answer to its Parse comes first */
	bool by_name;
	unsigned revision; /* of the statement, when it was sent */
	PGresult *result;  /* OWNED: the first that counts */
	int param_count;
	const char *params[]; /* texts behind them in the same block */
};

/* The statement of a text, made when it is new; NULL when out of memory. The map owns it: pg_statements_fini. */
void pg_statements_init(struct map *statements);
void pg_statements_fini(struct map *statements);
struct pg_statement *pg_statements_find(struct map *statements, const char *sql);

struct pg_query *pg_query_new(const char *sql, const struct str *params,
			      int param_count); /* parameters are COPIED */
/* Put the unit into libpq's buffer; connection is the number of the present one. False: the connection is of no use any more. */
bool pg_query_send(struct pg_query *q, PGconn *libpq, uint64_t connection) MUST_CHECK;
void pg_query_take(struct pg_query *q,
		   PGresult *result); /* TAKEN: any result of the unit but its Sync */
/* The unit is complete: tell who asked, and free it. */
void pg_query_end_answered(struct pg_query *q);
/* The same with an error and no result. */
void pg_query_end(struct pg_query *q, int err, const char *message);

#endif
