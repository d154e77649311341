/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/session.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "services/edge/dialect.h"
#include "services/edge/front.h"
#include "services/edge/handover.h"
#include "services/edge/sock.h"

static void on_heartbeat(struct wheel_timer *timer)
{
	struct session *s = CONTAINER_OF(timer, struct session, heartbeat);

	if (clock_ms() >= s->deadline_ms) {
		session_close(s, METRIC_CLOSED_PING);
		return;
	}
	if (!s->awaiting_pong) {
		s->awaiting_pong = true;
		s->edge->dialect->ping(s);
	}
	if (s->state == SESSION_OPEN)
		svc_arm(s->edge->svc, &s->heartbeat, s->deadline_ms);
}

void session_begin_heartbeat(struct session *s)
{
	const struct conf *conf = &s->edge->svc->conf;
	uint64_t next = clock_ms() + (uint64_t)conf->ping_interval_ms;

	s->awaiting_pong = false;
	s->deadline_ms = next + (uint64_t)conf->ping_timeout_ms;
	svc_arm(s->edge->svc, &s->heartbeat, next);
}

void session_hold_heartbeat(struct session *s)
{
	svc_cancel(s->edge->svc, &s->heartbeat);
}

void session_on_pong(struct session *s)
{
	if (s->awaiting_pong)
		session_begin_heartbeat(s);
}

static void on_greeting(struct wheel_timer *timer)
{
	session_close(CONTAINER_OF(timer, struct session, greeting), METRIC_CLOSED_CONNECT_TIMEOUT);
}

struct session *session_find(struct edge *edge, struct str sid)
{
	struct session *s = map_get(&edge->sessions, sid);

	/* The wheel may be a granule late; a client is never served past its deadline. */
	if (s && clock_ms() >= s->deadline_ms) {
		session_close(s, METRIC_CLOSED_PING);
		return NULL;
	}
	return s;
}

int session_admit(struct edge *edge, struct str address)
{
	const struct conf *conf = &edge->svc->conf;
	struct address *a;

	if (edge->draining || map_count(&edge->sessions) >= (size_t)conf->max_connections) {
		metrics_inc(METRIC_LIMITED_CONNECTIONS);
		return 503;
	}
	if (conf->max_connections_per_address == 0)
		return 0;
	a = map_get(&edge->addresses, address);
	if (!a || a->count < (uint64_t)conf->max_connections_per_address)
		return 0;
	metrics_inc(METRIC_LIMITED_ADDRESS);
	return 429;
}

static struct address *count_address(struct edge *edge, struct str text)
{
	struct address *a;

	if (edge->svc->conf.max_connections_per_address == 0)
		return NULL;
	a = map_get(&edge->addresses, text);
	if (!a) {
		a = mem_try(sizeof(*a));
		if (!a || str_copy(text, a->text, sizeof(a->text)) ||
		    map_put(&edge->addresses, a)) {
			mem_free(a);
			return NULL;
		}
	}
	a->count++;
	return a;
}

static void uncount_address(struct session *s)
{
	if (s->address && --s->address->count == 0) {
		map_del(&s->edge->addresses, str_of(s->address->text));
		mem_free(s->address);
	}
	s->address = NULL;
}

static struct session *create(struct edge *edge, struct str sid, struct str token)
{
	struct session *s = mem_try(sizeof(*s));

	if (!s)
		return NULL;
	s->edge = edge;
	if (sid.n == EDGE_ID_BYTES) {
		memcpy(s->sid, sid.p, EDGE_ID_BYTES);
	} else {
		memcpy(s->sid, edge->tag, EDGE_TAG_BYTES);
		rnd_id(s->sid + EDGE_TAG_BYTES, EDGE_ID_BYTES - EDGE_TAG_BYTES);
	}
	if (token.n)
		s->token = str_dup(token);
	list_init(&s->dirty);
	list_init(&s->socks);
	wheel_timer_init(&s->heartbeat, on_heartbeat);
	wheel_timer_init(&s->greeting, on_greeting);
	if ((token.n && !s->token) || map_put(&edge->sessions, s)) {
		free(s->token);
		mem_free(s);
		return NULL;
	}
	metrics_inc(METRIC_CONNECTIONS);
	return s;
}

static void await_greeting(struct session *s)
{
	svc_arm(s->edge->svc, &s->greeting,
		clock_ms() + (uint64_t)s->edge->svc->conf.connect_timeout_ms);
}

struct session *session_open(struct edge *edge, struct str token, struct str address)
{
	struct session *s = create(edge, STR_NONE, token);

	if (!s)
		return NULL;
	s->address = count_address(edge, address);
	session_begin_heartbeat(s);
	await_greeting(s);
	metrics_inc(METRIC_CONNECTS);
	return s;
}

struct session *session_adopt(struct edge *edge, const struct wire_handed *m)
{
	struct session *s = create(edge, m->sid, m->token);
	uint64_t timeout_ms = (uint64_t)edge->svc->conf.ping_timeout_ms;

	if (!s)
		return NULL;
	s->deadline_ms = clock_ms() + m->pong_ms;
	s->awaiting_pong = m->awaiting_pong;
	s->greeted = m->greeted;
	svc_arm(edge->svc, &s->heartbeat,
		m->awaiting_pong || m->pong_ms < timeout_ms ? s->deadline_ms
							    : s->deadline_ms - timeout_ms);
	if (!s->greeted)
		await_greeting(s);
	return s;
}

void session_add_open(const struct session *s, bool upgrades, struct buf *out)
{
	const struct conf *conf = &s->edge->svc->conf;

	buf_addz(out, "0{\"sid\":\"");
	buf_add(out, str_make(s->sid, EDGE_ID_BYTES));
	buf_addz(out, upgrades ? "\",\"upgrades\":[\"websocket\"],\"pingInterval\":"
			       : "\",\"upgrades\":[],\"pingInterval\":");
	buf_addu(out, (uint64_t)conf->ping_interval_ms);
	buf_addz(out, ",\"pingTimeout\":");
	buf_addu(out, (uint64_t)conf->ping_timeout_ms);
	buf_addz(out, ",\"maxPayload\":");
	buf_addu(out, (uint64_t)conf->max_payload);
	buf_addc(out, '}');
}

/* All parts of one packet: its text and each attachment may be as large as one message. */
static size_t assembly_max_bytes(const struct session *s)
{
	return (size_t)s->edge->svc->conf.max_payload * (1 + SIO_MAX_ATTACHMENTS_DEFAULT);
}

static void finish_assembly(struct session *s)
{
	struct sio_assembly *a = s->assembly;

	s->assembly = NULL;
	sock_receive(s, blob_str(a->text), &a->packet, a->attachments, a->got);
	sio_assembly_free(&a);
}

static void receive_message(struct session *s, struct str text)
{
	struct sio_packet packet;

	metrics_inc(METRIC_PACKETS_IN);
	metrics_add(METRIC_BYTES_IN, text.n);
	/* Nothing may come between a packet and its attachments. */
	if (s->assembly || sio_decode(text, SIO_MAX_ATTACHMENTS_DEFAULT, &packet)) {
		session_close(s, METRIC_CLOSED_PARSE);
		return;
	}
	if (packet.attachments == 0)
		sock_receive(s, text, &packet, NULL, 0);
	else if (sio_assembly_begin(text, &packet, assembly_max_bytes(s), &s->assembly))
		session_close(s, METRIC_CLOSED_PARSE);
}

void session_receive(struct session *s, const struct eio_packet *packet)
{
	if (s->state != SESSION_OPEN)
		return;
	switch (packet->type) {
	case EIO_MESSAGE:
		receive_message(s, packet->body);
		break;
	case EIO_PONG:
		session_on_pong(s);
		break;
	case EIO_PING: /* protocol 4: clients do not ping; the JavaScript server answers with an error, too */
	case EIO_OPEN:
		session_close(s, METRIC_CLOSED_PARSE);
		break;
	case EIO_CLOSE:
		if (s->poll)
			polling_answer(s, STR("6"));
		session_close(s, METRIC_CLOSED_CLIENT);
		break;
	default: /* UPGRADE outside of a probe, NOOP: nothing to do */
		break;
	}
}

void session_receive_binary(struct session *s, struct str data)
{
	if (s->state != SESSION_OPEN)
		return;
	metrics_add(METRIC_BYTES_IN, data.n);
	if (!s->assembly || sio_assembly_add(s->assembly, data))
		session_close(s, METRIC_CLOSED_PARSE);
	else if (sio_assembly_is_whole(s->assembly))
		finish_assembly(s);
}

void session_send(struct session *s, struct frame *frame)
{
	struct edge *edge = s->edge;
	struct out_node *node;

	if (s->state != SESSION_OPEN)
		return;
	node = slab_get(&edge->out_nodes);
	if (!node || s->out_bytes + frame->payload_bytes >
			     (size_t)edge->svc->conf.max_unsent_bytes + s->repeat_bytes) {
		slab_put(&edge->out_nodes, node);
		session_close(s, METRIC_CLOSED_SLOW);
		return;
	}
	node->frame = frame_ref(frame);
	if (s->out_last)
		s->out_last->next = node;
	else
		s->out_first = node;
	s->out_last = node;
	s->out_bytes += frame->payload_bytes;
	metrics_add(METRIC_UNSENT_BYTES, frame->payload_bytes);
	metrics_inc(METRIC_PACKETS_OUT);
	if (list_empty(&s->dirty))
		list_append(&edge->dirty, &s->dirty);
}

void session_send_text(struct session *s, struct str payload)
{
	struct frame *frame = frame_new(payload, false);

	if (!frame) {
		session_close(s, METRIC_CLOSED_SLOW);
		return;
	}
	session_send(s, frame);
	frame_unref(&frame);
}

void session_flush(struct session *s)
{
	if (s->state != SESSION_OPEN || !s->out_first)
		return;
	if (s->ws)
		ws_flush(s);
	else if (s->poll)
		polling_flush(s);
}

void session_pop(struct session *s)
{
	struct out_node *node = s->out_first;
	size_t bytes = node->frame->payload_bytes;

	s->out_first = node->next;
	if (!s->out_first)
		s->out_last = NULL;
	s->out_bytes -= bytes;
	s->repeat_bytes -= bytes < s->repeat_bytes ? bytes : s->repeat_bytes;
	metrics_add(METRIC_UNSENT_BYTES, -(uint64_t)bytes);
	frame_unref(&node->frame);
	slab_put(&s->edge->out_nodes, node);
}

void session_drop_queue(struct session *s)
{
	while (s->out_first)
		session_pop(s);
}

static void close_transports(struct session *s, enum metric reason)
{
	if (s->ws) {
		metrics_dec(METRIC_CONNECTIONS_WS);
		ws_detach(s->ws,
			  s->close_code ? s->close_code : s->edge->dialect->close_code(reason),
			  NULL);
	} else {
		metrics_dec(METRIC_CONNECTIONS_POLLING);
	}
	if (s->knock)
		front_turn_away(s->edge, s->knock, 503);
	s->knock = NULL;
	if (s->probe)
		ws_detach(s->probe, 1000, NULL);
	if (s->poll)
		polling_answer(s, STR("1"));
	s->ws = s->probe = NULL;
}

/* Not after what was lost, or what the client itself or we ended on purpose. */
static bool is_recoverable(enum metric reason)
{
	return reason != METRIC_CLOSED_GAP && reason != METRIC_CLOSED_PARSE &&
	       reason != METRIC_CLOSED_TOKEN && reason != METRIC_CLOSED_COMMAND;
}

void session_close(struct session *s, enum metric reason)
{
	struct edge *edge = s->edge;

	if (s->state != SESSION_OPEN)
		return;
	/* What was queued before the end (an error, a DISCONNECT) still leaves where the socket takes it at once. */
	if (reason != METRIC_CLOSED_SLOW)
		session_flush(s);
	if (s->state != SESSION_OPEN)
		return;
	s->state = SESSION_CLOSED;
	metrics_inc(reason);
	metrics_dec(METRIC_CONNECTIONS);
	map_del(&edge->sessions, str_make(s->sid, EDGE_ID_BYTES));
	svc_cancel(edge->svc, &s->heartbeat);
	svc_cancel(edge->svc, &s->greeting);
	close_transports(s, reason);
	handover_cancel(s);
	sock_close_all(s, is_recoverable(reason));
	sio_assembly_free(&s->assembly);
	session_drop_queue(s);
	uncount_address(s);
	list_remove(&s->dirty);
	list_append(&edge->dead_sessions, &s->dirty);
}

void session_free(struct session *s)
{
	list_remove(&s->dirty);
	free(s->token);
	mem_free(s->strikes);
	mem_free(s);
}
