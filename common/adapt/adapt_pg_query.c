/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_pg_query.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define NAME_BYTES 40

/* ── statements ── */

static struct str statement_key(const void *object)
{
	return ((const struct pg_statement *)object)->sql;
}

void pg_statements_init(struct map *statements)
{
	map_init(statements, statement_key);
}

void pg_statements_fini(struct map *statements)
{
	MAP_EACH(statements, struct pg_statement, s)
		mem_free(s);
	map_fini(statements);
}

struct pg_statement *pg_statements_find(struct map *statements, const char *sql)
{
	struct pg_statement *s = map_get(statements, str_of(sql));

	if (s)
		return s;
	s = mem_try(sizeof(*s));
	if (!s)
		return NULL;
	s->sql = str_of(sql);
	s->number = (unsigned)map_count(statements);
	if (map_put(statements, s)) {
		mem_free(s);
		return NULL;
	}
	return s;
}

/* ── sending ── */

struct pg_query *pg_query_new(const char *sql, const struct str *params, int param_count)
{
	size_t text_bytes = 0;
	struct pg_query *q;
	char *at;

	for (int i = 0; i < param_count; i++)
		text_bytes += params[i].n + 1;
	q = mem_try(sizeof(*q) + (size_t)param_count * sizeof(*q->params) + text_bytes);
	if (!q)
		return NULL;
	list_init(&q->node);
	q->sql = sql;
	q->param_count = param_count;
	q->asked_ms = clock_ms();
	at = (char *)&q->params[param_count];
	for (int i = 0; i < param_count; i++) {
		q->params[i] = at;
		if (params[i].n)
			memcpy(at, params[i].p, params[i].n);
		at += params[i].n + 1; /* zeroed memory: terminated */
	}
	return q;
}

static void statement_name(const struct pg_statement *s, char name[NAME_BYTES])
{
	snprintf(name, NAME_BYTES, "rw_%u_%u", s->number, s->revision);
}

static bool send_commands(struct pg_query *q, PGconn *libpq, uint64_t connection)
{
	struct pg_statement *s = q->statement;
	char name[NAME_BYTES];

	if (!q->sql)
		return true;
	if (s && s->connection != connection) {
		s->connection = connection;
		s->state = STATEMENT_NEW;
	}
	if (!s || s->state == STATEMENT_SENT)
		return PQsendQueryParams(libpq, q->sql, q->param_count, NULL, q->params, NULL, NULL,
					 0);
	statement_name(s, name);
	q->by_name = true;
	q->revision = s->revision;
	if (s->state == STATEMENT_NEW) {
		if (!PQsendPrepare(libpq, name, q->sql, 0, NULL))
			return false;
		s->state = STATEMENT_SENT;
		q->parsing = true;
	}
	return PQsendQueryPrepared(libpq, name, q->param_count, q->params, NULL, NULL, 0);
}

bool pg_query_send(struct pg_query *q, PGconn *libpq, uint64_t connection)
{
	q->sent_ms = clock_ms();
	q->sent_ns = clock_exact_ns();
	return send_commands(q, libpq, connection) && PQpipelineSync(libpq);
}

/* ── answers ── */

void pg_query_take(struct pg_query *q, PGresult *result)
{
	bool parsed = q->parsing && PQresultStatus(result) == PGRES_COMMAND_OK;

	if (q->parsing && q->statement->revision == q->revision)
		q->statement->state = parsed ? STATEMENT_READY : STATEMENT_NEW;
	q->parsing = false;
	if (parsed || q->result) /* the latter: aborted, as its Parse failed before */
		PQclear(result);
	else
		q->result = result;
}

static void tell_and_free(struct pg_query *q, int err, const struct adapt_pg_result *result,
			  const char *message)
{
	if (q->fn) {
		metrics_inc(err ? METRIC_QUERIES_FAILED : METRIC_QUERIES);
		q->fn(q->ctx, err, result, message);
	}
	PQclear(q->result);
	mem_free(q);
}

/* The database is in no state to answer (PostgreSQL 15, appendix A), as opposed to: the question is wrong. */
static bool is_outage(const char *sqlstate)
{
	static const char *const classes[] = { "08", "40", "53", "57", "58" };

	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (!strncmp(sqlstate, classes[i], 2))
			return true;
	return false;
}

/* The server lost the statement (26000), or its plan (0A000: a table was altered): parse it anew next time. */
static bool is_stale(const struct pg_query *q, const char *sqlstate)
{
	return q->by_name && q->statement->revision == q->revision &&
	       (!strcmp(sqlstate, "26000") || !strcmp(sqlstate, "0A000"));
}

static void tell_wrong_sql(const struct pg_query *q, const char *sqlstate, const char *message)
{
	if (!q->statement) {
		log_warn("postgresql", "a setting was refused", KV_Z("sql", q->sql ? q->sql : ""),
			 KV_Z("message", message));
		return;
	}
	if (q->statement->told)
		return;
	q->statement->told = true;
	log_error("postgresql", "a query was refused; it is told once until it works",
		  KV_STR("sql", q->statement->sql), KV_Z("sqlstate", sqlstate),
		  KV_Z("message", message));
}

static void end_refused(struct pg_query *q)
{
	const char *sqlstate = PQresultErrorField(q->result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(q->result, PG_DIAG_MESSAGE_PRIMARY);

	sqlstate = sqlstate ? sqlstate : "";
	message = message ? message : "no reason given";
	if (is_stale(q, sqlstate)) {
		q->statement->state = STATEMENT_NEW;
		q->statement->revision++;
		tell_and_free(q, E_UNAVAILABLE, NULL, message);
	} else if (is_outage(sqlstate)) {
		log_warn("postgresql", "a query was not carried out", KV_Z("sqlstate", sqlstate),
			 KV_Z("message", message));
		tell_and_free(q, E_UNAVAILABLE, NULL, message);
	} else {
		tell_wrong_sql(q, sqlstate, message);
		tell_and_free(q, E_FAIL, NULL, message);
	}
}

void pg_query_end_answered(struct pg_query *q)
{
	ExecStatusType status = PQresultStatus(q->result);
	struct adapt_pg_result result = { 0, 0, q->result };

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
		end_refused(q);
		return;
	}
	if (q->statement)
		q->statement->told = false;
	result.rows = PQntuples(q->result);
	result.columns = PQnfields(q->result);
	tell_and_free(q, 0, &result, NULL);
}

void pg_query_end(struct pg_query *q, int err, const char *message)
{
	tell_and_free(q, err, NULL, message);
}
