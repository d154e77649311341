/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clients/router_query.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"

#define LENGTH_BYTES 4u

/* Whom a question was put to. */
struct asked {
	const struct bus_link *link; /* only compared */
	struct blob *payload;        /* OWNED; NULL: has not answered */
	struct router_found found;
};

struct question {
	struct router_query *query;
	struct wheel_timer timer;
	uint64_t ref; /* in query->questions */
	router_found_fn fn;
	void *ctx;
	uint32_t count, answered;
	struct asked asked[];
};

struct router_query {
	struct svc *svc;
	struct router_clnt *clnt;
	size_t max_under_way;
	struct map questions;
	uint64_t last_ref;
};

static struct str key_of(const void *question)
{
	return str_make((const char *)&((const struct question *)question)->ref, sizeof(uint64_t));
}

int router_query_open(struct svc *svc, struct router_clnt *clnt, size_t max_under_way,
		      struct router_query **query)
{
	struct router_query *q = mem_need(sizeof(*q));

	q->svc = svc;
	q->clnt = clnt;
	q->max_under_way = max_under_way;
	map_init(&q->questions, key_of);
	*query = q;
	return 0;
}

static void forget(struct question *question)
{
	struct router_query *q = question->query;

	svc_cancel(q->svc, &question->timer);
	map_del(&q->questions, key_of(question));
	metrics_set(METRIC_API_QUERIES_PENDING, map_count(&q->questions));
	for (uint32_t i = 0; i < question->count; i++)
		blob_unref(&question->asked[i].payload);
	mem_free(question);
}

static void fail(struct question *question, int err)
{
	router_found_fn fn = question->fn;
	void *ctx = question->ctx;

	forget(question);
	metrics_inc(METRIC_API_QUERIES_FAILED);
	fn(ctx, err, NULL, 0);
}

static void on_timeout(struct wheel_timer *timer)
{
	fail(CONTAINER_OF(timer, struct question, timer), E_TIMEOUT);
}

void router_query_close(struct router_query **query)
{
	struct router_query *q = *query;
	size_t at = 0;
	struct question *question;

	*query = NULL;
	if (!q)
		return;
	while ((question = map_next(&q->questions, &at)) != NULL) {
		fail(question, E_CLOSED);
		at = 0;
	}
	map_fini(&q->questions);
	mem_free(q);
}

static void set_ref(enum wire_id id, void *message, uint64_t ref)
{
	if (id == WIRE_QUERY_ROOMS)
		((struct wire_query_rooms *)message)->ref = ref;
	else if (id == WIRE_QUERY_FIGURES)
		((struct wire_query_figures *)message)->ref = ref;
	else
		((struct wire_query_sockets *)message)->ref = ref;
}

/* Whom to ask: all, or the one that keeps the user's sessions (as edges find it: services/edge/record.c). */
static int find_links(struct router_clnt *clnt, struct str user_id,
		      struct bus_link *links[ROUTER_QUERY_MOST], uint32_t *count)
{
	struct buf key = BUF_INIT(1024);
	struct bus_link *link = NULL;

	*count = 0;
	if (user_id.n) {
		buf_addz(&key, "session,");
		buf_add(&key, user_id);
		link = key.failed ? NULL : router_clnt_link(clnt, buf_str(&key));
		buf_fini(&key);
		if (link)
			links[(*count)++] = link;
	} else {
		while ((link = router_clnt_next(clnt, link)) != NULL) {
			if (*count == ROUTER_QUERY_MOST)
				return E_FULL;
			links[(*count)++] = link;
		}
	}
	for (uint32_t i = 0; i < *count; i++)
		if (!bus_link_up(links[i]))
			return E_UNAVAILABLE;
	return *count ? 0 : E_UNAVAILABLE;
}

static struct question *make(struct router_query *q, struct bus_link *const *links, uint32_t count,
			     router_found_fn fn, void *ctx)
{
	struct question *question = mem_try(sizeof(*question) + count * sizeof(question->asked[0]));

	if (!question)
		return NULL;
	question->query = q;
	question->ref = ++q->last_ref;
	question->fn = fn;
	question->ctx = ctx;
	question->count = count;
	for (uint32_t i = 0; i < count; i++)
		question->asked[i].link = links[i];
	wheel_timer_init(&question->timer, on_timeout);
	if (map_put(&q->questions, question)) {
		mem_free(question);
		return NULL;
	}
	metrics_set(METRIC_API_QUERIES_PENDING, map_count(&q->questions));
	return question;
}

int router_query_ask(struct router_query *query, enum wire_id id, void *message, struct str user_id,
		     uint64_t deadline_ms, router_found_fn fn, void *ctx, uint64_t *ticket)
{
	struct bus_link *links[ROUTER_QUERY_MOST];
	struct question *question;
	struct blob *body;
	uint32_t count;
	int err;

	if (map_count(&query->questions) >= query->max_under_way)
		return E_FULL;
	err = find_links(query->clnt, user_id, links, &count);
	if (err)
		return err;
	question = make(query, links, count, fn, ctx);
	if (!question)
		return E_NOMEM;
	set_ref(id, message, question->ref);
	body = wire_pack(id, message);
	err = body ? 0 : E_RANGE;
	for (uint32_t i = 0; i < count && !err; i++)
		err = bus_link_send(links[i], body, NULL, 0, false, NULL);
	blob_unref(&body);
	if (err) {
		forget(question);
		return err == E_RANGE || err == E_NOMEM ? err : E_UNAVAILABLE;
	}
	*ticket = question->ref;
	svc_arm(query->svc, &question->timer, deadline_ms);
	return 0;
}

static struct question *find(struct router_query *q, uint64_t ref)
{
	return map_get(&q->questions, str_make((const char *)&ref, sizeof(ref)));
}

void router_query_cancel(struct router_query *query, uint64_t ticket)
{
	struct question *question = query ? find(query, ticket) : NULL;

	if (question)
		forget(question);
}

static void complete(struct question *question)
{
	struct router_found found[ROUTER_QUERY_MOST];
	struct blob *kept[ROUTER_QUERY_MOST];
	router_found_fn fn = question->fn;
	void *ctx = question->ctx;
	uint32_t count = question->count;

	for (uint32_t i = 0; i < count; i++) {
		found[i] = question->asked[i].found;
		kept[i] = blob_ref(question->asked[i].payload);
	}
	forget(question);
	metrics_inc(METRIC_API_QUERIES);
	fn(ctx, 0, found, count);
	for (uint32_t i = 0; i < count; i++)
		blob_unref(&kept[i]);
}

static struct asked *asked_of(struct question *question, const struct bus_link *link)
{
	for (uint32_t i = 0; i < question->count; i++)
		if (question->asked[i].link == link && !question->asked[i].payload)
			return &question->asked[i];
	return NULL;
}

bool router_query_on_message(struct router_query *query, const struct bus_link *link,
			     const struct bus_message *m)
{
	struct question *question;
	struct asked *asked;

	if (m->id != WIRE_FOUND)
		return false;
	question = query ? find(query, m->any.found.ref) : NULL;
	asked = question ? asked_of(question, link) : NULL;
	if (!asked)
		return true; /* too late: nobody waits for it */
	if (m->any.found.code.n || m->payload_count != 1) {
		fail(question, E_UNAVAILABLE);
		return true;
	}
	asked->payload = blob_copy(m->payload[0]);
	if (!asked->payload) {
		fail(question, E_NOMEM);
		return true;
	}
	asked->found = (struct router_found){ .more = m->any.found.more,
					      .total = m->any.found.total,
					      .away = m->any.found.away,
					      .parts = blob_str(asked->payload) };
	if (++question->answered == question->count)
		complete(question);
	return true;
}

void router_query_on_lost(struct router_query *query, const struct bus_link *link)
{
	uint64_t last_ref = query ? query->last_ref : 0; /* callbacks may ask anew */
	struct question *question;
	size_t at = 0;

	while (query && (question = map_next(&query->questions, &at)) != NULL) {
		if (question->ref > last_ref || !asked_of(question, link))
			continue;
		fail(question, E_UNAVAILABLE);
		at = 0;
	}
}

int router_query_part(struct str *parts, enum wire_id *id, union wire_any *any)
{
	const unsigned char *p = (const unsigned char *)parts->p;
	uint32_t n;
	int err;

	if (parts->n == 0)
		return E_NOTFOUND;
	if (parts->n < LENGTH_BYTES)
		return E_TRUNCATED;
	n = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	if (n > parts->n - LENGTH_BYTES)
		return E_TRUNCATED;
	err = wire_unpack(str_make(parts->p + LENGTH_BYTES, n), id, any);
	*parts = str_skip(*parts, LENGTH_BYTES + n);
	return err;
}
