/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/handover.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/edge/forward.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"

#define EARLY_BYTES_MAX (1u << 20)
#define HAND_MS 5000u

/* What came by the WebSocket before the session was here. */
struct early_message {
	struct list node;
	struct blob *data;
	bool binary;
};

enum away_state { AWAY_OPEN = 0, AWAY_PROBED, AWAY_TAKING };

/* A WebSocket whose session is at another edge. */
struct away {
	struct ws_link *link;
	struct other *other;
	enum away_state state;
	uint64_t call; /* under way; 0: none */
	struct list early;
	size_t early_bytes;
	char sid[EDGE_ID_BYTES];
};

/* ── where the WebSocket is ── */

static void end(struct ws_link *link)
{
	ws_detach(link, 1000, NULL); /* `closed` follows */
}

static void on_timeout(struct wheel_timer *timer)
{
	end(CONTAINER_OF(timer, struct ws_link, timer));
}

void handover_begin(struct edge *edge, struct str sid, struct http_exchange *x)
{
	struct ws_link *link;
	struct away *away;
	struct str key;

	if (!cors_allows_websocket(edge, x)) {
		front_refuse(edge, x, FRONT_FORBIDDEN);
		return;
	}
	if (!ws_is_handshake(x, &key)) {
		front_refuse(edge, x, FRONT_BAD_REQUEST);
		return;
	}
	away = mem_try(sizeof(*away));
	if (!away) {
		front_turn_away(edge, x, 503);
		return;
	}
	memcpy(away->sid, sid.p, EDGE_ID_BYTES); /* sid may go with the exchange */
	list_init(&away->early);
	link = ws_take_socket(edge, x, NULL, key);
	if (!link) {
		mem_free(away);
		return;
	}
	away->link = link;
	link->away = away;
	wheel_timer_init(&link->timer, on_timeout);
	svc_arm(edge->svc, &link->timer,
		clock_ms() + (uint64_t)edge->svc->conf.handshake_timeout_ms);
}

/* Its answer would come to somebody who is gone. */
static void cancel(struct away *away)
{
	if (away->call)
		bus_rpc_cancel(away->other->rpc, away->call);
	away->call = 0;
}

static int ask(struct away *away, enum forward_kind kind, bus_rpc_fn fn)
{
	struct edge *edge = away->link->edge;
	struct other *other = forward_find(edge, str_make(away->sid, EDGE_ID_BYTES));
	struct wire_forward m = { .sid = str_make(away->sid, EDGE_ID_BYTES), .kind = kind };
	int err;

	cancel(away);
	if (!other)
		return E_UNAVAILABLE;
	away->other = other;
	err = forward_ask(edge, other, &m, fn, away, &away->call);
	if (err)
		away->call = 0;
	return err;
}

static void on_probed(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct away *away = ctx;

	away->call = 0;
	if (err || id != WIRE_FORWARDED || any->forwarded.status != 200)
		end(away->link);
	else
		ws_write_text(away->link, STR("3probe"));
}

static void free_away(struct away *away)
{
	struct list *node;

	cancel(away);
	while ((node = list_pop(&away->early)) != NULL) {
		struct early_message *m = CONTAINER_OF(node, struct early_message, node);

		blob_unref(&m->data);
		mem_free(m);
	}
	mem_free(away);
}

/* The session is here: go on with what came meanwhile. */
static void arrive(struct ws_link *link, struct session *s)
{
	struct away *away = link->away;
	struct list *node;

	link->away = NULL;
	svc_cancel(link->edge->svc, &link->timer);
	while ((node = list_pop(&away->early)) != NULL) {
		struct early_message *m = CONTAINER_OF(node, struct early_message, node);

		if (link->session == s)
			ws_link_handlers.message(link, blob_str(m->data), m->binary);
		blob_unref(&m->data);
		mem_free(m);
	}
	free_away(away);
}

static void on_taken(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	struct away *away = ctx;
	struct ws_link *link = away->link;
	struct session *s = NULL;

	away->call = 0;
	if (!err && id == WIRE_FORWARDED && any->forwarded.status == 200)
		s = handover_unpack(link->edge, any->forwarded.body, link);
	if (!s) {
		end(link);
		return;
	}
	metrics_inc(METRIC_HANDED_IN);
	arrive(link, s);
	session_flush(s);
}

static void keep_early(struct away *away, struct str data, bool binary)
{
	struct early_message *m = mem_try(sizeof(*m));

	if (m)
		m->data = blob_copy(data);
	away->early_bytes += data.n + sizeof(*m);
	if (!m || !m->data || away->early_bytes > EARLY_BYTES_MAX) {
		if (m)
			blob_unref(&m->data);
		mem_free(m);
		end(away->link);
		return;
	}
	m->binary = binary;
	list_append(&away->early, &m->node);
}

void handover_on_message(struct ws_link *link, struct str data, bool binary)
{
	struct away *away = link->away;
	int err = 0;

	if (away->state == AWAY_TAKING) {
		keep_early(away, data, binary);
		return;
	}
	if (!binary && away->state == AWAY_OPEN && str_is(data, "2probe")) {
		away->state = AWAY_PROBED;
		err = ask(away, FORWARD_PROBE, on_probed);
	} else if (!binary && away->state == AWAY_PROBED && str_is(data, "5")) {
		away->state = AWAY_TAKING;
		err = ask(away, FORWARD_TAKE, on_taken);
	} else {
		err = E_SYNTAX;
	}
	if (err)
		end(link);
}

static void on_nothing(void *ctx, int err, enum wire_id id, const union wire_any *any)
{
	(void)ctx;
	(void)err;
	(void)id;
	(void)any;
}

void handover_on_closed(struct ws_link *link)
{
	struct away *away = link->away;

	link->away = NULL;
	if (!away)
		return;
	if (away->state != AWAY_OPEN && ask(away, FORWARD_UNPROBE, on_nothing) == 0)
		away->call = 0; /* nothing of it comes back to this one */
	free_away(away);
}

void handover_go_on(struct sock *sock)
{
	struct restore *r = sock->restore;

	if (!r || sock->op || sock->unconfirmed > 0 || !sock->session)
		return;
	if (!r->gap && restore_replay(sock) == OP_WAIT)
		return;
	if (r->gap) {
		record_end(sock);
		session_close(sock->session, METRIC_CLOSED_GAP);
		return;
	}
	sock->state = SOCK_CONNECTED;
	restore_end(sock);
	sock_send_held(sock);
	if (sock->session)
		token_watch(sock);
	if (sock->session)
		sock_unpark(sock);
}

/* ── where the session is ── */

static void reply(struct edge *edge, const struct bus_question *q, uint64_t status, struct str body)
{
	struct wire_forwarded m = { .status = status, .refusal = FRONT_BAD_REQUEST, .body = body };

	bus_answerer_reply(edge->forwards, q, WIRE_FORWARDED, &m);
}

void handover_on_question(struct edge *edge, struct session *s, const struct wire_forward *m,
			  const struct bus_question *q)
{
	if (m->kind == FORWARD_UNPROBE) {
		s->probed_away_until_ms = 0;
		handover_cancel(s);
		reply(edge, q, 200, STR_NONE);
		return;
	}
	if (s->ws || s->probe || s->handing ||
	    (m->kind == FORWARD_PROBE && s->probed_away_until_ms > clock_ms())) {
		reply(edge, q, 400, STR_NONE);
		return;
	}
	if (m->kind == FORWARD_PROBE) {
		s->probed_away_until_ms =
			clock_ms() + (uint64_t)edge->svc->conf.handshake_timeout_ms;
		reply(edge, q, 200, STR_NONE);
		polling_make_way(s);
		return;
	}
	s->handing = mem_try(sizeof(*s->handing));
	if (!s->handing) {
		reply(edge, q, 400, STR_NONE);
		return;
	}
	s->handing->session = s;
	s->handing->question = *q;
	s->handing->since_ms = clock_ms();
	list_append(&edge->handing, &s->handing->node);
	polling_make_way(s);
}

void handover_cancel(struct session *s)
{
	struct handing *h = s->handing;

	s->handing = NULL;
	if (!h)
		return;
	reply(s->edge, &h->question, 400, STR_NONE);
	list_remove(&h->node);
	mem_free(h);
}

/* Nothing of it is under way that could not be told. */
static bool is_at_rest(const struct session *s)
{
	if (s->assembly || s->poll)
		return false;
	LIST_EACH((struct list *)(uintptr_t)&s->socks, node, next) {
		const struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (sock->op || sock->restore || sock->save_ref || sock->unconfirmed ||
		    !list_empty(&sock->inbox))
			return false;
	}
	return true;
}

static void hand_over(struct session *s)
{
	struct edge *edge = s->edge;
	struct handing *h = s->handing;
	struct buf body = BUF_INIT(3u << 20);
	int err = handover_pack(s, &body);

	s->handing = NULL;
	list_remove(&h->node);
	reply(edge, &h->question, err ? 400 : 200, err ? STR_NONE : buf_str(&body));
	mem_free(h);
	buf_fini(&body);
	if (err) {
		session_close(s, METRIC_CLOSED_TRANSPORT);
		return;
	}
	/* Parked for the routers until the other edge claims it; nothing of it stays here. */
	metrics_inc(METRIC_HANDED_OVER);
	session_drop_queue(s);
	session_close(s, METRIC_CLOSED_MOVED);
}

void handover_step(struct edge *edge)
{
	uint64_t now = edge->handing.next == &edge->handing ? 0 : clock_ms();

	LIST_EACH(&edge->handing, node, next) {
		struct handing *h = CONTAINER_OF(node, struct handing, node);

		if (is_at_rest(h->session))
			hand_over(h->session);
		else if (now - h->since_ms > HAND_MS)
			session_close(h->session, METRIC_CLOSED_TRANSPORT);
	}
}
