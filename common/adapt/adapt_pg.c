/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries in their order, and time; one query is in adapt_pg_query.c, the connection in adapt_pg_conn.c.
 *
 *   PG_AWAY ──timer──▶ PG_CONNECTING ──opened──▶ PG_UP
 *      ▲──────failed, late──────┴──────failed, late──┘      (all queries fail, back-off)
 *
 *   adapt_pg_query ─▶ waiting ─▶ sent ─▶ its answer      at most database_in_flight in sent, in the order of libpq's own queue
 */
#include "common/adapt/adapt_pg.h"

#include <stdio.h>

#include "common/adapt/adapt_pg_conn.h"
#include "common/adapt/adapt_pg_query.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MOST_MS 5000u
#define CONNECT_TIMEOUT_MS 5000u
#define PING_AFTER_MS 5000u /* an idle connection is asked for a sign of life */
#define MAX_PARAMS 64

enum pg_state { PG_AWAY = 0, PG_CONNECTING, PG_UP };

struct adapt_pg {
	struct svc *svc;
	struct pg_target *target;
	struct pg_conn *conn; /* NULL while PG_AWAY */
	enum pg_state state;
	bool broken;         /* libpq refused a query: the timer gives the connection up */
	uint64_t connection; /* number of the present one */
	unsigned attempts;   /* timed out, so the next address goes first */
	uint32_t backoff_ms;
	uint64_t timer_due_ms; /* 0: not armed */
	uint64_t heard_ms;     /* last answer */
	uv_timer_t timer;      /* its close callback frees the adapter */
	struct list waiting, sent;
	size_t waiting_count, sent_count;
	struct map statements;
	bool closed;
	char reason[SVC_REASON_BYTES];
};

static void arm(struct adapt_pg *pg, uint64_t due_ms);

static void count_pending(const struct adapt_pg *pg)
{
	metrics_set(METRIC_QUERIES_PENDING, pg->waiting_count + pg->sent_count);
}

static void end_all(struct adapt_pg *pg, int err, const char *message)
{
	struct list mine, *node;

	list_init(&mine);
	while ((node = list_pop(&pg->sent)) != NULL || (node = list_pop(&pg->waiting)) != NULL)
		list_append(&mine, node);
	pg->sent_count = pg->waiting_count = 0;
	count_pending(pg);
	while ((node = list_pop(&mine)) != NULL)
		pg_query_end(CONTAINER_OF(node, struct pg_query, node), err, message);
}

/* ── up and down ── */

static void give_up(struct adapt_pg *pg, const char *reason)
{
	uint32_t wait_ms = pg->backoff_ms / 2 + rnd_below(pg->backoff_ms / 2 + 1);
	bool news = pg->state == PG_UP || strcmp(pg->reason, reason) != 0;

	if (news)
		log_warn("postgresql",
			 pg->state == PG_UP ? "the connection is lost" : "no connection",
			 KV_Z("reason", reason),
			 KV_U("queries_failed", pg->sent_count + pg->waiting_count),
			 KV_U("retry_ms", wait_ms));
	snprintf(pg->reason, sizeof(pg->reason), "%s", reason);
	pg->state = PG_AWAY;
	pg->broken = false;
	metrics_set(METRIC_DATABASE_UP, 0);
	pg_conn_close(&pg->conn);
	pg->backoff_ms = pg->backoff_ms * 2 < BACKOFF_MOST_MS ? pg->backoff_ms * 2
							      : BACKOFF_MOST_MS;
	pg->timer_due_ms = 0; /* of the state that has ended */
	arm(pg, clock_ms() + wait_ms);
	end_all(pg, E_UNAVAILABLE, pg->reason);
}

static void on_failed(void *ctx, const char *reason)
{
	give_up(ctx, reason);
}

/* ── sending ── */

static void send_query(struct adapt_pg *pg, struct pg_query *q)
{
	PGconn *libpq = pg_conn_libpq(pg->conn);

	list_append(&pg->sent, &q->node);
	pg->sent_count++;
	if (pg_query_send(q, libpq, pg->connection)) {
		if (PQflush(libpq) == 1)
			pg_conn_want_write(pg->conn, true);
		arm(pg, q->sent_ms + (uint64_t)pg->svc->conf.database_timeout_ms);
	} else {
		pg->broken = true; /* not given up here: no callback runs inside adapt_pg_query */
		arm(pg, clock_ms());
	}
}

static void fill_pipe(struct adapt_pg *pg)
{
	struct list *node;

	while (pg->state == PG_UP && !pg->broken &&
	       pg->sent_count < (size_t)pg->svc->conf.database_in_flight &&
	       (node = list_pop(&pg->waiting)) != NULL) {
		pg->waiting_count--;
		send_query(pg, CONTAINER_OF(node, struct pg_query, node));
	}
}

/* ── receiving ── */

static void finish_head(struct adapt_pg *pg, struct pg_query *q)
{
	list_remove(&q->node);
	pg->sent_count--;
	pg->heard_ms = clock_ms();
	pg->backoff_ms = BACKOFF_FIRST_MS;
	if (q->fn)
		metrics_observe_ns(METRIC_H_QUERY, clock_exact_ns() - q->sent_ns);
	fill_pipe(pg);
	count_pending(pg);
	if (q->sql)
		pg_query_end_answered(q);
	else
		pg_query_end(q, 0, NULL); /* a ping: nobody is told */
}

static void take_result(struct adapt_pg *pg, PGresult *result)
{
	struct pg_query *q = CONTAINER_OF(list_first(&pg->sent), struct pg_query, node);

	if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) {
		pg_query_take(q, result);
		return;
	}
	PQclear(result);
	finish_head(pg, q);
}

/* Everything that is there; the number of results, or -1 when the connection is gone (and perhaps the adapter closed). */
static int take_results(struct adapt_pg *pg)
{
	PGconn *libpq = pg_conn_libpq(pg->conn);
	uint64_t connection = pg->connection;
	int count = 0, empty = 0;

	if (!PQconsumeInput(libpq) || PQstatus(libpq) == CONNECTION_BAD)
		return -1;
	while (!PQisBusy(libpq) && pg->sent_count) {
		PGresult *result = PQgetResult(libpq);

		if (PQstatus(libpq) == CONNECTION_BAD || (!result && ++empty > 2)) {
			PQclear(result);
			return -1;
		}
		if (!result)
			continue; /* between a unit's results */
		empty = 0;
		count++;
		take_result(pg, result);
		if (pg->closed || pg->connection != connection || pg->state != PG_UP)
			return 0;
	}
	return count;
}

static void give_up_with_libpq_s_reason(struct adapt_pg *pg)
{
	char reason[SVC_REASON_BYTES];

	pg_target_reason(pg->target, PQerrorMessage(pg_conn_libpq(pg->conn)), reason);
	give_up(pg, *reason ? reason : "the server closed the connection");
}

static void on_ready(void *ctx)
{
	struct adapt_pg *pg = ctx;
	PGconn *libpq = pg_conn_libpq(pg->conn);
	int count, flushed;

	do
		count = take_results(pg);
	while (count > 0 &&
	       PQsslInUse(libpq)); /* what TLS has decrypted no longer shows at the socket */
	if (pg->closed || pg->state != PG_UP)
		return;
	flushed = count < 0 ? -1 : PQflush(libpq);
	if (flushed < 0)
		give_up_with_libpq_s_reason(pg);
	else
		pg_conn_want_write(pg->conn, flushed == 1);
}

/* ── a connection comes up ── */

/* A query nobody waits for any more ends on the server, too, when its connection is gone. */
static void limit_statements(struct adapt_pg *pg)
{
	char milliseconds[24];
	struct str param = { milliseconds, 0 };
	struct pg_query *q;

	param.n = (size_t)snprintf(milliseconds, sizeof(milliseconds), "%lld",
				   (long long)pg->svc->conf.database_timeout_ms + 1000);
	q = pg_query_new("SELECT set_config('statement_timeout', $1, false)", &param, 1);
	if (q)
		send_query(pg, q);
}

static void on_opened(void *ctx)
{
	struct adapt_pg *pg = ctx;
	PGconn *libpq = pg_conn_libpq(pg->conn);

	if (!PQenterPipelineMode(libpq)) {
		give_up(pg, "the server cannot do pipelines");
		return;
	}
	pg->state = PG_UP;
	pg->connection++;
	pg->heard_ms = clock_ms();
	*pg->reason = 0;
	metrics_set(METRIC_DATABASE_UP, 1);
	log_info("postgresql", "connected", KV_I("server_version", PQserverVersion(libpq)),
		 KV_B("tls", PQsslInUse(libpq)));
	pg->timer_due_ms = 0;
	arm(pg, clock_ms() + PING_AFTER_MS);
	limit_statements(pg);
}

static void connect_now(struct adapt_pg *pg)
{
	struct pg_conn_hooks hooks = { on_opened, on_ready, on_failed, pg };
	char reason[SVC_REASON_BYTES];

	pg->state = PG_CONNECTING;
	arm(pg, clock_ms() + CONNECT_TIMEOUT_MS);
	if (pg_conn_open(pg->svc->loop, pg->target, pg->attempts, &hooks, reason, &pg->conn))
		give_up(pg, reason);
}

/* ── time ── */

static void fail_late_waiting(struct adapt_pg *pg, uint64_t now_ms)
{
	struct list *node;

	while (!pg->closed && (node = list_first(&pg->waiting)) != NULL) {
		struct pg_query *q = CONTAINER_OF(node, struct pg_query, node);

		if (now_ms - q->asked_ms < (uint64_t)pg->svc->conf.database_timeout_ms)
			return;
		list_remove(node);
		pg->waiting_count--;
		count_pending(pg);
		pg_query_end(q, E_UNAVAILABLE, "it waited too long to be sent");
	}
}

static void send_ping(struct adapt_pg *pg)
{
	struct pg_query *q = pg_query_new(NULL, NULL, 0);

	if (q)
		send_query(pg, q);
}

/* What has to be done by when: the oldest query's end, the next sign of life. */
static void watch_time(struct adapt_pg *pg)
{
	uint64_t now_ms = clock_ms(), limit_ms = (uint64_t)pg->svc->conf.database_timeout_ms,
		 due_ms;
	char reason[SVC_REASON_BYTES];
	struct list *head;

	fail_late_waiting(pg, now_ms);
	if (pg->closed || pg->state != PG_UP)
		return;
	if (pg->broken) {
		give_up_with_libpq_s_reason(pg);
		return;
	}
	head = list_first(&pg->sent);
	if (head && now_ms >= CONTAINER_OF(head, struct pg_query, node)->sent_ms + limit_ms) {
		snprintf(reason, sizeof(reason), "no answer within %llu ms",
			 (unsigned long long)limit_ms);
		give_up(pg, reason);
		return;
	}
	if (!head && now_ms >= pg->heard_ms + PING_AFTER_MS) {
		send_ping(pg);
		head = list_first(&pg->sent);
	}
	due_ms = head ? CONTAINER_OF(head, struct pg_query, node)->sent_ms + limit_ms
		      : pg->heard_ms + PING_AFTER_MS;
	if (head && (head = list_first(&pg->waiting)) != NULL &&
	    CONTAINER_OF(head, struct pg_query, node)->asked_ms + limit_ms < due_ms)
		due_ms = CONTAINER_OF(head, struct pg_query, node)->asked_ms + limit_ms;
	arm(pg, due_ms);
}

static void on_timer(uv_timer_t *timer)
{
	struct adapt_pg *pg = timer->data;

	pg->timer_due_ms = 0;
	if (pg->state == PG_AWAY) {
		connect_now(pg);
	} else if (pg->state == PG_CONNECTING) {
		pg->attempts++;
		give_up(pg, "the server does not answer");
	} else {
		watch_time(pg);
	}
}

/* One timer for everything. Within a state the earlier end wins: firing too early only looks again. */
static void arm(struct adapt_pg *pg, uint64_t due_ms)
{
	uint64_t now_ms = clock_ms();

	if (pg->timer_due_ms && pg->timer_due_ms <= due_ms)
		return;
	pg->timer_due_ms = due_ms;
	uv_update_time(pg->svc->loop);
	uv_timer_start(&pg->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* ── from outside ── */

int adapt_pg_open(struct svc *svc, const char *uri, struct adapt_pg **pg)
{
	struct pg_target *target;
	struct adapt_pg *p;
	int err = pg_target_parse(uri, &target);

	if (err)
		return err;
	p = mem_need(sizeof(*p));
	p->svc = svc;
	p->target = target;
	p->backoff_ms = BACKOFF_FIRST_MS;
	list_init(&p->waiting);
	list_init(&p->sent);
	pg_statements_init(&p->statements);
	snprintf(p->reason, sizeof(p->reason), "not connected yet");
	uv_timer_init(svc->loop, &p->timer);
	p->timer.data = p;
	arm(p, clock_ms());
	*pg = p;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct adapt_pg *pg = handle->data;

	pg_target_free(&pg->target);
	pg_statements_fini(&pg->statements);
	mem_free(pg);
}

void adapt_pg_close(struct adapt_pg **pg)
{
	struct adapt_pg *p = *pg;

	*pg = NULL;
	if (!p)
		return;
	p->closed = true;
	p->state = PG_AWAY;
	snprintf(p->reason, sizeof(p->reason), "closed");
	pg_conn_close(&p->conn);
	metrics_set(METRIC_DATABASE_UP, 0);
	uv_close(
		(uv_handle_t *)&p->timer,
		on_timer_closed); /* the memory goes at the end of the turn: callbacks may be on the stack */
	end_all(p, E_CLOSED, p->reason);
}

int adapt_pg_query(struct adapt_pg *pg, const char *sql, const struct str *params, int param_count,
		   adapt_pg_fn fn, void *ctx)
{
	struct pg_statement *statement;
	struct pg_query *q;

	if (pg->state != PG_UP || pg->broken)
		return E_UNAVAILABLE;
	for (int i = 0; i < param_count; i++)
		if (params[i].n && memchr(params[i].p, 0, params[i].n))
			return E_SYNTAX;
	if (param_count > MAX_PARAMS)
		return E_RANGE;
	if (pg->sent_count >= (size_t)pg->svc->conf.database_in_flight &&
	    pg->waiting_count >= (size_t)pg->svc->conf.auth_max_waiting)
		return E_FULL;
	statement = pg_statements_find(&pg->statements, sql);
	q = statement ? pg_query_new(sql, params, param_count) : NULL;
	if (!q)
		return E_NOMEM;
	q->statement = statement;
	q->fn = fn;
	q->ctx = ctx;
	list_append(&pg->waiting, &q->node);
	pg->waiting_count++;
	fill_pipe(pg);
	count_pending(pg);
	return 0;
}

bool adapt_pg_up(const struct adapt_pg *pg, char reason[SVC_REASON_BYTES])
{
	if (pg->state == PG_UP && !pg->broken)
		return true;
	snprintf(reason, SVC_REASON_BYTES, "%s", pg->reason);
	return false;
}

struct str adapt_pg_text(const struct adapt_pg_result *r, int row, int column)
{
	const PGresult *result = r->handle;

	if (row < 0 || row >= r->rows || column < 0 || column >= r->columns)
		return STR_NONE;
	return str_make(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}
