/* SPDX-License-Identifier: Apache-2.0 */
/* What the process would talk to: questions' answers and queries are caught here instead of in common/bus and common/adapt/adapt_pg. */
#ifndef ROOMWIRE_AUTH_AUTH_ENDS_TEST_H
#define ROOMWIRE_AUTH_AUTH_ENDS_TEST_H

#include "common/base/base_test.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "services/auth/auth.h"

struct query {
	const char *sql;
	char params[2][64];
	int param_count;
	adapt_pg_fn fn;
	void *ctx;
};
static struct query queries[64];
static int query_count, pg_refuses;
static bool pg_opened;

int adapt_pg_open(struct svc *svc, const char *uri, struct adapt_pg **pg)
{
	(void)svc;
	if (!strcmp(uri, "bad"))
		return E_CONFIG;
	pg_opened = true;
	*pg = (struct adapt_pg *)&queries;
	return 0;
}

void adapt_pg_close(struct adapt_pg **pg)
{
	bool was_open = *pg != NULL;

	*pg = NULL;
	for (int i = 0; was_open && i < query_count; i++)
		if (queries[i].fn)
			queries[i].fn(queries[i].ctx, E_CLOSED, NULL, "closed");
}

int adapt_pg_query(struct adapt_pg *pg, const char *sql, const struct str *params, int param_count,
		   adapt_pg_fn fn, void *ctx)
{
	struct query *q = &queries[query_count];

	assert_non_null(pg);
	if (pg_refuses)
		return pg_refuses;
	assert_in_range(query_count++, 0, COUNT_OF(queries) - 1);
	*q = (struct query){ .sql = sql, .param_count = param_count, .fn = fn, .ctx = ctx };
	for (int i = 0; i < param_count; i++)
		assert_int_equal(str_copy(params[i], q->params[i], sizeof(q->params[i])), 0);
	return 0;
}

bool adapt_pg_up(const struct adapt_pg *pg, char reason[SVC_REASON_BYTES])
{
	(void)pg;
	snprintf(reason, SVC_REASON_BYTES, "%s", err_name(pg_refuses));
	return !pg_refuses;
}

static void answer_query(int i, int err, int rows)
{
	struct adapt_pg_result result = { rows, 1, NULL };
	adapt_pg_fn fn = queries[i].fn;

	queries[i].fn = NULL;
	fn(queries[i].ctx, err, err ? NULL : &result, err ? "why" : NULL);
}

struct reply {
	enum wire_id id;
	char code[65], message[257], user_id[257], user[512];
	uint64_t expires_ms;
	int count;
};
static struct reply replies[4096];
static bus_question_fn question_fn;
static void *question_ctx;

int bus_answerer_open(struct svc *svc, const char *endpoint, bus_question_fn fn, void *ctx,
		      struct bus_answerer **a)
{
	(void)svc;
	(void)endpoint;
	question_fn = fn;
	question_ctx = ctx;
	*a = (struct bus_answerer *)&replies;
	return 0;
}

void bus_answerer_close(struct bus_answerer **a)
{
	*a = NULL;
}

void bus_answerer_reply(struct bus_answerer *a, const struct bus_question *q, enum wire_id id,
			const void *message)
{
	struct reply *r = &replies[q->request];
	struct blob *body;

	mem_fail_at(0);                /* failing allocations are for those who ask */
	body = wire_pack(id, message); /* it must fit the wire */
	assert_non_null(a);
	assert_non_null(body);
	blob_unref(&body);
	r->id = id;
	r->count++;
	if (id == WIRE_ALLOWED) {
		const struct wire_allowed *m = message;

		assert_int_equal(str_copy(m->code, r->code, sizeof(r->code)) |
					 str_copy(m->message, r->message, sizeof(r->message)),
				 0);
	} else {
		const struct wire_verified *m = message;

		assert_int_equal(str_copy(m->code, r->code, sizeof(r->code)) |
					 str_copy(m->user_id, r->user_id, sizeof(r->user_id)) |
					 str_copy(m->user, r->user, sizeof(r->user)),
				 0);
		r->expires_ms = m->expires_ms;
	}
}

#endif
