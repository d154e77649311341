/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/forward.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "services/edge/handover.h"
#include "services/edge/shard.h"
#include "services/edge/room.h"

#define STRAY_MS 200u
#define STRAYS_MAX 10000u
#define OTHER_KEPT_MS 30000u /* a router that was started anew does not name all of them at once */
#define EXTRA_MS 5000u
#define BODY_BYTES_MAX 3145728u /* see bus.def */

#define TEXT "text/plain; charset=UTF-8"

/* A request that is with another edge. */
struct errand {
	struct edge *edge;
	struct http_exchange *x;
	struct other *other;
	uint64_t call, get;
	enum forward_kind kind;
	char sid[EDGE_ID_BYTES];
};

/* A request for an edge that is not known. */
struct stray {
	struct list node; /* on edge->strays */
	struct edge *edge;
	struct http_exchange *x;
	const struct http_request *request;
	bool websocket;
	struct wheel_timer timer;
	char sid[EDGE_ID_BYTES];
};

struct str forward_name_of(const void *other)
{
	return str_of(((const struct other *)other)->name);
}

const char *forward_endpoint(const struct edge *edge)
{
	const struct conf *conf = &edge->svc->conf;

	return conf->edge_endpoint[0] ? conf->edge_endpoint : conf->edge_bind;
}

/* ── the other edges ── */

struct other *forward_find(struct edge *edge, struct str sid)
{
	if (sid.n != EDGE_ID_BYTES || memcmp(sid.p, edge->tag, EDGE_TAG_BYTES) == 0)
		return NULL;
	MAP_EACH(&edge->others, struct other, other) {
		if (memcmp(other->tag, sid.p, EDGE_TAG_BYTES) == 0 && other->rpc)
			return other;
	}
	return NULL;
}

static void drop_other(struct edge *edge, struct other *other)
{
	map_del(&edge->others, forward_name_of(other));
	bus_rpc_close(&other->rpc); /* what was asked there is answered with E_CLOSED */
	mem_free(other);
}

static struct other *other_of(struct edge *edge, struct str name)
{
	struct other *other = map_get(&edge->others, name);

	if (other)
		return other;
	other = mem_try(sizeof(*other));
	if (!other)
		return NULL;
	if (str_copy(name, other->name, sizeof(other->name)) || map_put(&edge->others, other)) {
		mem_free(other);
		return NULL;
	}
	return other;
}

static void note(struct edge *edge, struct str name, struct str endpoint, struct str tag)
{
	struct other *other;

	if (str_is(name, edge->svc->instance) || endpoint.n == 0 || tag.n != EDGE_TAG_BYTES)
		return;
	other = other_of(edge, name);
	if (!other)
		return;
	other->listed_ms = clock_ms();
	memcpy(other->tag, tag.p, EDGE_TAG_BYTES);
	if (other->rpc && str_is(endpoint, other->endpoint))
		return;
	bus_rpc_close(&other->rpc);
	if (str_copy(endpoint, other->endpoint, sizeof(other->endpoint)) ||
	    bus_rpc_open(edge->svc, other->endpoint, "edge", &other->rpc))
		log_warn("forward",
			 "an edge's endpoint cannot be used: its clients' requests are not passed "
			 "on",
			 KV_Z("edge", other->name), KV_STR("endpoint", endpoint));
}

static void retry_strays(struct edge *edge);

void forward_on_edges(void *ctx, struct bus_link *link, const struct wire_edges *m)
{
	struct edge *edge = ctx;
	struct wire_list_walk names, endpoints, tags;
	struct str name, endpoint, tag;

	(void)link;
	if (m->life && !edge->life_wanted) {
		edge->life_wanted = true;
		room_tell_life(edge);
	}
	if (!edge->forwards)
		return;
	wire_list_walk(&m->names, &names);
	wire_list_walk(&m->endpoints, &endpoints);
	wire_list_walk(&m->tags, &tags);
	while (wire_list_next(&names, &name) && wire_list_next(&endpoints, &endpoint) &&
	       wire_list_next(&tags, &tag))
		note(edge, name, endpoint, tag);
	retry_strays(edge);
}

/* An edge that no router has named for a while, and that does not answer, is gone. */
void forward_sweep(struct edge *edge)
{
	uint64_t now = clock_ms();

	MAP_EACH(&edge->others, struct other, other) {
		if (other->rpc && bus_rpc_up(other->rpc) > 0)
			other->listed_ms = now;
		else if (now - other->listed_ms > OTHER_KEPT_MS)
			drop_other(edge, other);
	}
}

int forward_ask(struct edge *edge, struct other *other, const struct wire_forward *m, bus_rpc_fn fn,
		void *ctx, uint64_t *call)
{
	const struct conf *conf = &edge->svc->conf;
	uint64_t most_ms = (uint64_t)conf->ping_interval_ms + (uint64_t)conf->ping_timeout_ms;

	if (m->body.n > BODY_BYTES_MAX)
		return E_TOOBIG;
	return bus_rpc_call(other->rpc, WIRE_FORWARD, m, clock_ms() + most_ms + EXTRA_MS, false, fn,
			    ctx, call);
}

/* ── a request on its way ── */

static void on_forwarded(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct errand *e = ctx;
	const struct wire_forwarded *m = any ? &any->forwarded : NULL;

	if (err || !m || id != WIRE_FORWARDED || m->status == 0)
		front_refuse(e->edge, e->x, FRONT_SESSION_UNKNOWN);
	else if (m->status != 200)
		front_refuse(e->edge, e->x,
			     m->refusal <= FRONT_BAD_VERSION ? (enum front_refusal)m->refusal
							     : FRONT_BAD_REQUEST);
	else
		front_answer(e->edge, e->x, 200, e->kind == FORWARD_GET ? TEXT : "text/html",
			     m->body);
	mem_free(e);
}

static void on_nothing(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	(void)ctx;
	(void)err;
	(void)id;
	(void)any;
}

static void on_gone(struct http_exchange *x, void *user)
{
	struct errand *e = user;
	struct wire_forward m = { .sid = str_make(e->sid, EDGE_ID_BYTES),
				  .kind = FORWARD_GONE,
				  .get = e->get };
	uint64_t call;

	(void)x;
	bus_rpc_cancel(e->other->rpc, e->call);
	if (e->kind == FORWARD_GET && forward_ask(e->edge, e->other, &m, on_nothing, NULL, &call))
		log_debug("forward", "not told that a client is gone: its session times out");
	mem_free(e);
}

static bool send_out(struct edge *edge, struct other *other, struct str sid,
		     struct http_exchange *x, const struct http_request *request)
{
	bool get = request->method == HTTP_METHOD_GET;
	struct errand *e;
	struct wire_forward m = { .sid = sid,
				  .kind = get ? FORWARD_GET : FORWARD_POST,
				  .get = ++edge->last_ref,
				  .body = request->body };

	if (!get && request->method != HTTP_METHOD_POST) {
		front_refuse(edge, x, FRONT_BAD_REQUEST);
		return true;
	}
	e = mem_try(sizeof(*e));
	if (!e)
		return false;
	*e = (struct errand){ .edge = edge,
			      .x = x,
			      .other = other,
			      .get = m.get,
			      .kind = (enum forward_kind)m.kind };
	memcpy(e->sid, sid.p, EDGE_ID_BYTES);
	if (forward_ask(edge, other, &m, on_forwarded, e, &e->call)) {
		mem_free(e);
		return false;
	}
	metrics_inc(METRIC_FORWARDS);
	http_on_gone(x, on_gone, e);
	return true;
}

static bool pass_on(struct edge *edge, struct str sid, struct http_exchange *x,
		    const struct http_request *request, bool websocket)
{
	struct other *other = forward_find(edge, sid);

	if (!other)
		return false;
	if (websocket != request->upgrade || !front_is_version_4(request))
		front_refuse(edge, x, FRONT_BAD_REQUEST);
	else if (websocket)
		handover_begin(edge, sid, x);
	else
		return send_out(edge, other, sid, x, request);
	return true;
}

/* ── strays ── */

static void free_stray(struct stray *s)
{
	list_remove(&s->node);
	s->edge->stray_count--;
	svc_cancel(s->edge->svc, &s->timer);
	mem_free(s);
}

static void on_stray_gone(struct http_exchange *x, void *user)
{
	(void)x;
	free_stray(user);
}

static void on_stray_timeout(struct wheel_timer *timer)
{
	struct stray *s = CONTAINER_OF(timer, struct stray, timer);
	struct edge *edge = s->edge;
	struct http_exchange *x = s->x;

	free_stray(s);
	front_refuse(edge, x, FRONT_SESSION_UNKNOWN);
}

static void retry_strays(struct edge *edge)
{
	LIST_EACH(&edge->strays, node, next) {
		struct stray *s = CONTAINER_OF(node, struct stray, node), copy = *s;

		if (!forward_find(edge, str_make(s->sid, EDGE_ID_BYTES)))
			continue;
		free_stray(s);
		http_on_gone(copy.x, NULL, NULL);
		if (!pass_on(edge, str_make(copy.sid, EDGE_ID_BYTES), copy.x, copy.request,
			     copy.websocket))
			front_refuse(edge, copy.x, FRONT_SESSION_UNKNOWN);
	}
}

static bool wait_for_edge(struct edge *edge, struct str sid, struct http_exchange *x,
			  const struct http_request *request, bool websocket)
{
	struct stray *s = mem_try(sizeof(*s));

	if (!s)
		return false;
	s->edge = edge;
	s->x = x;
	s->request = request;
	s->websocket = websocket;
	memcpy(s->sid, sid.p, EDGE_ID_BYTES);
	wheel_timer_init(&s->timer, on_stray_timeout);
	list_append(&edge->strays, &s->node);
	edge->stray_count++;
	svc_arm(edge->svc, &s->timer, clock_ms() + STRAY_MS);
	http_on_gone(x, on_stray_gone, s);
	return true;
}

bool forward_request(struct edge *edge, struct str sid, struct http_exchange *x,
		     const struct http_request *request, bool websocket)
{
	if (!edge->forwards || sid.n != EDGE_ID_BYTES ||
	    memcmp(sid.p, edge->tag, EDGE_TAG_BYTES) == 0)
		return false;
	if (forward_find(edge, sid))
		return pass_on(edge, sid, x, request, websocket);
	return edge->stray_count < STRAYS_MAX && wait_for_edge(edge, sid, x, request, websocket);
}

/* ── requests of other edges ── */

static void on_question(void *ctx, const struct bus_question *q, enum wire_id id,
			const union wire_any *any)
{
	struct edge *edge = ctx;
	const struct wire_forward *m = &any->forward;
	struct asker from = { .x = NULL, .question = *q, .get = id == WIRE_FORWARD ? m->get : 0 };
	struct wire_forwarded unknown = { .status = 0 };
	struct session *s = id == WIRE_FORWARD ? session_find(edge, m->sid) : NULL;

	if (!s) {
		bus_answerer_reply(edge->forwards, q, WIRE_FORWARDED, &unknown);
		return;
	}
	metrics_inc(METRIC_FORWARDS_IN);
	if (m->kind == FORWARD_GONE) {
		if (s->poll && !s->poll->x && s->poll->get == m->get)
			polling_gone(s);
		bus_answerer_reply(edge->forwards, q, WIRE_FORWARDED, &unknown);
	} else if (m->kind == FORWARD_UNPROBE || m->kind == FORWARD_PROBE ||
		   m->kind == FORWARD_TAKE) {
		handover_on_question(edge, s, m, q);
	} else if (s->ws || s->handing) {
		front_refuse_asker(edge, &from, FRONT_BAD_REQUEST);
	} else if (m->kind == FORWARD_GET) {
		polling_get(edge, s, &from);
	} else {
		polling_post(edge, s, &from, m->body);
	}
}

int forward_open(struct edge *edge)
{
	map_init(&edge->others, forward_name_of);
	list_init(&edge->strays);
	if (!edge->svc->conf.edge_bind[0])
		return 0;
	return bus_answerer_open(edge->svc, edge->svc->conf.edge_bind, on_question, edge,
				 &edge->forwards);
}

void forward_close(struct edge *edge)
{
	struct list *node;

	while ((node = list_first(&edge->strays)) != NULL)
		free_stray(CONTAINER_OF(node, struct stray, node));
	MAP_EACH(&edge->others, struct other, other)
		drop_other(edge, other);
	map_fini(&edge->others);
	bus_answerer_close(&edge->forwards);
}
