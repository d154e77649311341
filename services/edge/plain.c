/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain dialect (docs/plain.md): one WebSocket is one socket. Its CONNECT is the handshake: it is answered (101, or a refusal) when the token was
 * judged and the session saved, and a client that comes back says `resume` as its first word: then the socket it has just been given makes room for the
 * one it had.
 */
#include "common/sio/plain.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "services/edge/dialect.h"
#include "services/edge/front.h"
#include "services/edge/record.h"

#define STRIKES 20 /* messages in error within a minute: with this one it ends */
#define STRIKE_WINDOW_MS 60000u

/* When the latest errors of a connection were. */
struct strikes {
	uint64_t at_ms[STRIKES - 1];
	uint32_t count;
};

/* ── out ── */

static void say(struct sock *sock, struct str type, struct str args)
{
	struct buf *out = &sock->edge->work;

	buf_reset(out);
	plain_encode(out, type, args, STR_NONE);
	if (out->failed)
		session_close(sock->session, METRIC_CLOSED_SLOW);
	else
		session_send_text(sock->session, buf_str(out));
	buf_reset(out);
}

static void emit(struct sock *sock, struct str event, struct str args,
		 struct blob *const *attachments, uint32_t attachment_count)
{
	(void)attachments; /* nobody can have sent any */
	(void)attachment_count;
	say(sock, event, args);
}

static void ack(struct sock *sock, uint64_t ack_id, struct str args,
		struct blob *const *attachments, uint32_t attachment_count)
{
	(void)sock; /* not asked for in this dialect */
	(void)ack_id;
	(void)args;
	(void)attachments;
	(void)attachment_count;
}

/* Binary attachments, which a Socket.IO server on the same Redis may send, have no form here: their placeholders are seen. */
static int encode(struct edge *edge, const struct bus_message *m, struct str offset,
		  uint32_t ack_id, struct frame **frames, uint32_t *count)
{
	const struct wire_deliver *d = &m->any.deliver;
	struct buf *out = &edge->work;

	(void)ack_id; /* its clients acknowledge nothing */
	buf_reset(out);
	plain_encode(out, d->event, m->payload[0], d->is_volatile ? STR_NONE : offset);
	frames[0] = out->failed ? NULL : frame_new(buf_str(out), false);
	buf_reset(out);
	*count = frames[0] != NULL;
	return frames[0] ? 0 : E_NOMEM;
}

static void close_with(struct session *s, enum metric reason, int code)
{
	s->close_code = (uint16_t)code;
	session_close(s, reason);
}

/* One more message in error. */
static void strike(struct session *s)
{
	struct strikes *k = s->strikes;
	uint64_t now = clock_ms();
	bool out;

	if (!k)
		k = s->strikes = mem_try(sizeof(*k));
	if (!k)
		return;
	out = k->count >= STRIKES - 1 &&
	      now - k->at_ms[k->count % (STRIKES - 1)] < STRIKE_WINDOW_MS;
	k->at_ms[k->count++ % (STRIKES - 1)] = now;
	if (out)
		close_with(s, METRIC_CLOSED_PARSE, 1008);
}

static void error(struct sock *sock, struct str code, struct str message, struct str more)
{
	struct buf args = BUF_INIT(4096);

	buf_addz(&args, "{\"message\":");
	buf_add_json(&args, message);
	buf_addz(&args, ",\"code\":");
	buf_add_json(&args, code);
	if (more.n)
		buf_addc(&args, ',');
	buf_add(&args, more);
	buf_addc(&args, '}');
	say(sock, STR("error"), args.failed ? STR("{}") : buf_str(&args));
	buf_fini(&args);
	if (sock->session && (str_is(code, "INVALID_PAYLOAD") || str_is(code, "UNKNOWN_EVENT")))
		strike(sock->session);
}

static void ping(struct session *s)
{
	struct frame *frame = frame_new_ping();

	if (!frame)
		return; /* the next one */
	session_send(s, frame);
	frame_unref(&frame);
}

static int close_code(enum metric reason)
{
	switch (reason) {
	case METRIC_CLOSED_DRAIN:
	case METRIC_CLOSED_PING:
		return 1001;
	case METRIC_CLOSED_TOKEN:
	case METRIC_CLOSED_PARSE:
		return 1008;
	case METRIC_CLOSED_SLOW: /* out of memory: where its socket is full no frame can be sent */
		return 1013;
	case METRIC_CLOSED_GAP: /* come again */
	case METRIC_CLOSED_ROUTER:
		return 1012;
	default:
		return 1000;
	}
}

/* ── in ── */

static const struct profile_nsp *nsp_of(const struct edge *edge)
{
	return profile_nsp_find(edge->profile, STR("/"));
}

static struct sock *sock_of(struct session *s)
{
	struct list *node = list_first(&s->socks);

	return node ? CONTAINER_OF(node, struct sock, node) : NULL;
}

/* {session, offset}: begin anew on the same connection, as whom its client says it was. */
static void resume(struct sock *sock, struct str text, const struct plain_message *m)
{
	struct session *s = sock->session;
	struct sio_packet packet = { .type = SIO_CONNECT,
				     .nsp = STR("/"),
				     .data = m->payload.type == JSON_OBJECT ? m->payload
									    : m->whole };
	struct sock *next = sock_create(s, sock->nsp, STR_NONE);

	if (!next) {
		session_close(s, METRIC_CLOSED_SLOW);
		return;
	}
	next->user = sock->user; /* of the token that this connection began with */
	sock->user = NULL;
	sock_pass_inbox(sock, next);
	sock_close(sock, false);
	op_begin_connect(next, text, &packet);
}

static void dispatch(struct sock *sock, const struct op_event *kept, const struct plain_message *m)
{
	struct session *s = sock->session;
	struct sio_packet packet = { .type = SIO_EVENT,
				     .nsp = STR("/"),
				     .data = m->whole,
				     .event = m->type,
				     .args = m->payload.type != JSON_NONE ? m->payload.raw
									  : m->whole.raw };
	struct op_event event = *kept;

	if (json_text_is(m->type, STR("ping"))) {
		say(sock, STR("pong"), STR_NONE);
		return;
	}
	if (json_text_is(m->type, STR("resume")) && !s->spoken) {
		s->spoken = true;
		resume(sock, kept->text, m);
		return;
	}
	if (json_text_is(m->type, STR("resume"))) {
		error(sock, STR("INVALID_PAYLOAD"), STR("resume must be the first message"),
		      STR_NONE);
		return;
	}
	s->spoken = true;
	event.packet = &packet;
	event.first = m->whole;
	op_begin_event(sock, &event);
}

static void work(struct sock *sock, const struct op_event *kept)
{
	struct plain_message m;
	int err = plain_decode(kept->text, &m);

	if (err == E_NOTFOUND || (err == E_TYPE && m.whole.type == JSON_OBJECT))
		error(sock, STR("INVALID_PAYLOAD"), STR("type must be a text"), STR_NONE);
	else if (err)
		error(sock, STR("INVALID_PAYLOAD"), STR("a message is a JSON object"), STR_NONE);
	else
		dispatch(sock, kept, &m);
}

static void pretend(struct buf *out, struct str event, struct str args)
{
	plain_encode(out, event, args, STR_NONE);
}

static void receive(struct session *s, struct str data, bool binary)
{
	struct op_event event = { .text = data };
	struct sock *sock = sock_of(s);

	if (s->state != SESSION_OPEN || !sock)
		return;
	metrics_inc(METRIC_PACKETS_IN);
	metrics_add(METRIC_BYTES_IN, data.n);
	if (binary && !utf8_valid(data)) {
		error(sock, STR("INVALID_PAYLOAD"), STR("messages are text, in UTF-8"), STR_NONE);
	} else if (sock_is_busy(sock)) {
		sock_keep(sock, &event);
	} else {
		work(sock, &event);
	}
}

/* ── begin and end ── */

static void answer(struct edge *edge, struct http_exchange *x, int status, struct str code,
		   const char *message)
{
	struct buf body = BUF_INIT(1024);

	buf_addz(&body, "{\"code\":");
	buf_add_json(&body, code);
	buf_addz(&body, ",\"message\":");
	buf_add_json(&body, str_of(message));
	buf_addc(&body, '}');
	front_answer(edge, x, status, "application/json", buf_str(&body));
	buf_fini(&body);
}

static const struct {
	const char *code;
	int status;
	const char *message;
} refusals[] = {
	{ "AUTH_TOKEN_MISSING", 401, "a token is needed: query token, or Authorization: Bearer" },
	{ "AUTH_TOKEN_EXPIRED", 401, "the token has expired" },
	{ "AUTH_TOKEN_INVALID", 401, "the token is not valid" },
	{ "AUTH_USER_UNKNOWN", 401, "there is no such user" },
	{ "AUTH_UNAVAILABLE", 503, "the token cannot be judged now" },
	{ "TOO_MANY_CONNECTIONS", 429, "this user has too many connections" },
};

static void on_gone(struct http_exchange *x, void *user)
{
	struct session *s = user;

	(void)x;
	s->knock = NULL;
	session_close(s, METRIC_CLOSED_TRANSPORT);
}

static void refuse_handshake(struct session *s, struct str code)
{
	struct http_exchange *x = s->knock;
	size_t i = 0;

	s->knock = NULL;
	while (i < sizeof(refusals) / sizeof(refusals[0]) && !str_is(code, refusals[i].code))
		i++;
	if (i == sizeof(refusals) / sizeof(refusals[0]))
		answer(s->edge, x, 403, code, "this user may not connect");
	else if (refusals[i].status == 429)
		front_turn_away(s->edge, x, 429);
	else
		answer(s->edge, x, refusals[i].status, code, refusals[i].message);
}

static void refuse(struct sock *sock, struct str code)
{
	struct session *s = sock->session;

	if (s->knock)
		refuse_handshake(s, code);
	else
		error(sock, code, STR("the session cannot be taken up"), STR_NONE);
	session_close(s, METRIC_CLOSED_ROUTER);
}

/* The handshake is answered: from now on it is a WebSocket. */
static bool open_door(struct session *s)
{
	struct http_exchange *x = s->knock;
	struct str key;

	s->knock = NULL;
	http_on_gone(x, NULL, NULL);
	s->ws = ws_is_handshake(x, &key) ? ws_take_socket(s->edge, x, s, key) : NULL;
	if (!s->ws) {
		session_close(s, METRIC_CLOSED_TRANSPORT);
		return false;
	}
	metrics_dec(METRIC_CONNECTIONS_POLLING);
	metrics_inc(METRIC_CONNECTIONS_WS);
	session_begin_heartbeat(s);
	free(s->token);
	s->token = NULL;
	return true;
}

static void greet(struct sock *sock, bool recovered)
{
	struct edge *edge = sock->edge;
	struct session *s = sock->session;
	struct buf payload = BUF_INIT(OFFSET_MAX_CHARS + 256);
	bool first = s->knock != NULL;

	if (first && !open_door(s))
		return;
	buf_addc(&payload, '{');
	if (!first)
		buf_addf(&payload, "\"recovered\":%s", recovered ? "true" : "false");
	if (sock->pid[0] && record_offered(edge)) {
		buf_addz(&payload, first ? "\"session\":\"" : ",\"session\":\"");
		buf_add(&payload, record_pid_of(sock));
		if (!recovered) { /* else those of what it missed count, which follows */
			buf_addz(&payload, "\",\"offset\":\"");
			buf_add(&payload, shard_offset(edge));
		}
		buf_addc(&payload, '"');
	}
	buf_addc(&payload, '}');
	say(sock, first ? STR("welcome") : STR("resumed"), buf_str(&payload));
	buf_fini(&payload);
}

static void dismiss(struct sock *sock)
{
	session_close(sock->session, METRIC_CLOSED_COMMAND);
}

static void knock(struct edge *edge, struct http_exchange *x, const struct http_request *r)
{
	struct sio_packet packet = { .type = SIO_CONNECT, .nsp = STR("/") };
	struct buf scratch = BUF_INIT(HTTP_MAX_TARGET_BYTES);
	int status = session_admit(edge, r->address);
	struct session *s = NULL;
	struct sock *sock;

	if (status == 0)
		s = session_open(edge, front_token(x, r, &scratch), r->address);
	buf_fini(&scratch);
	if (!s) {
		front_turn_away(edge, x, status ? status : 503);
		return;
	}
	metrics_inc(METRIC_CONNECTIONS_POLLING); /* until it is a WebSocket */
	session_hold_heartbeat(s);
	s->knock = x;
	http_on_gone(x, on_gone, s);
	sock = sock_create(s, nsp_of(edge), STR_NONE);
	if (sock)
		op_begin_connect(sock, STR_NONE, &packet);
	else
		session_close(s, METRIC_CLOSED_SLOW);
}

static bool is_ours(struct str path)
{
	return str_is(path, "/") || str_is(path, "/ws") || str_is(path, "/ws/");
}

static bool request(struct edge *edge, struct http_exchange *x, const struct http_request *r)
{
	struct str key;

	if (!r->upgrade || !is_ours(r->path))
		return false;
	if (!cors_allows_websocket(edge, x))
		answer(edge, x, 403, STR("FORBIDDEN"), "this origin may not connect");
	else if (r->method != HTTP_METHOD_GET || !ws_is_handshake(x, &key))
		answer(edge, x, 400, STR("BAD_REQUEST"), "a WebSocket handshake (version 13)");
	else
		knock(edge, x, r);
	return true;
}

const struct dialect dialect_plain = {
	.pid_key = { "session", 7 },
	.ws_pings = true,
	.one_socket = true,
	.closes = true,
	.unknown = "there is no such type of message",
	.offered = "WebSocket clients are served at / and /ws",
	.request = request,
	.receive = receive,
	.work = work,
	.pretend = pretend,
	.encode = encode,
	.emit = emit,
	.ack = ack,
	.error = error,
	.greet = greet,
	.refuse = refuse,
	.dismiss = dismiss,
	.ping = ping,
	.close_code = close_code,
};
