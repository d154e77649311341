/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long-polling: a GET waits for packets, a POST brings some. Source: Engine.IO protocol 4, "HTTP long-polling".
 */
#include "common/base/clock.h"
#include "common/base/b64.h"
#include "common/base/mem.h"
#include "services/edge/front.h"

#define TEXT "text/plain; charset=UTF-8"
#define ANSWER_BYTES \
	(1u << 20) /* of packets that go into one answer, unless a single one is larger */

void polling_gone(struct session *s)
{
	mem_free(s->poll);
	s->poll = NULL;
	session_close(s, METRIC_CLOSED_TRANSPORT);
}

static void on_gone(struct http_exchange *x, void *user)
{
	(void)x;
	polling_gone(user);
}

void polling_answer(struct session *s, struct str packet)
{
	struct asker *to = s->poll;

	s->poll = NULL;
	metrics_inc(METRIC_WRITES);
	metrics_add(METRIC_BYTES_OUT, packet.n);
	front_reply(s->edge, to, TEXT, packet);
	mem_free(to);
}

void polling_make_way(struct session *s)
{
	if (s->poll && s->out_first)
		polling_flush(s);
	else if (s->poll)
		polling_answer(s, STR("6"));
}

static void add_packet(struct buf *out, const struct frame *frame)
{
	struct str payload = frame_payload(frame);
	size_t n = b64_encoded_bytes(payload.n);
	char *room;

	if (out->n > 0)
		buf_addc(out, EIO_SEPARATOR);
	if (!frame->binary) {
		buf_add(out, payload);
		return;
	}
	buf_addc(out, 'b');
	room = buf_room(out, n);
	if (room) {
		b64_encode(payload, room);
		out->n += n;
	}
}

void polling_flush(struct session *s)
{
	struct edge *edge = s->edge;
	struct buf *out = &edge->poll_out;

	buf_reset(out);
	while (s->out_first) {
		struct out_node *node = s->out_first;
		size_t bytes = node->frame->payload_bytes;

		if (out->n > 0 && out->n + bytes > ANSWER_BYTES)
			break;
		add_packet(out, node->frame);
		if (out->failed)
			break;
		session_pop(s);
	}
	if (out->failed)
		session_close(s, METRIC_CLOSED_SLOW);
	else
		polling_answer(s, buf_str(out));
}

void polling_get(struct edge *edge, struct session *s, const struct asker *from)
{
	if (s->poll) { /* two at once: nobody could say which packet came first */
		session_close(s, METRIC_CLOSED_TRANSPORT);
		front_refuse_asker(edge, from, FRONT_BAD_REQUEST);
		return;
	}
	s->poll = mem_try(sizeof(*s->poll));
	if (!s->poll) {
		session_close(s, METRIC_CLOSED_SLOW);
		front_refuse_asker(edge, from, FRONT_SESSION_UNKNOWN);
		return;
	}
	*s->poll = *from;
	if (s->out_first)
		polling_flush(s);
	else if (s->probed_away_until_ms > clock_ms() || (s->probe && s->probe->probed))
		polling_answer(
			s,
			STR("6")); /* an upgrade is under way: the client waits for its GET to end */
	else if (from->x)
		http_on_gone(from->x, on_gone, s);
}

static int receive_base64(struct session *s, struct str text)
{
	struct buf raw = BUF_INIT(text.n + 4);
	char *room = buf_room(&raw, text.n / 4 * 3 + 3);
	size_t n = 0;
	int err = E_NOMEM;

	if (room)
		err = b64_decode(text, room, &n);
	if (err == 0)
		session_receive_binary(s, str_make(room, n));
	buf_fini(&raw);
	return err;
}

void polling_post(struct edge *edge, struct session *s, const struct asker *from, struct str body)
{
	struct eio_packet packet;
	bool asked_to_close = false;
	int err;

	while ((err = eio_payload_next(&body, &packet)) == 0 && s->state == SESSION_OPEN) {
		asked_to_close = packet.type == EIO_CLOSE;
		if (packet.type != EIO_BINARY)
			session_receive(s, &packet);
		else if (receive_base64(s, packet.body))
			break;
	}
	if (err != E_NOTFOUND && s->state == SESSION_OPEN)
		session_close(s, METRIC_CLOSED_PARSE);
	if (s->state == SESSION_OPEN || asked_to_close)
		front_reply(edge, from, "text/html", STR("ok"));
	else
		front_refuse_asker(edge, from, FRONT_BAD_REQUEST);
}

static void on_handshake(struct edge *edge, struct http_exchange *x,
			 const struct http_request *request)
{
	struct buf scratch = BUF_INIT(HTTP_MAX_TARGET_BYTES);
	int status = session_admit(edge, request->address);
	struct session *s;

	if (status) {
		front_turn_away(edge, x, status);
		return;
	}
	s = session_open(edge, front_token(x, request, &scratch), request->address);
	buf_reset(&scratch);
	if (s) {
		metrics_inc(METRIC_CONNECTIONS_POLLING);
		session_add_open(s, true, &scratch);
		front_answer(edge, x, 200, TEXT, buf_str(&scratch));
	} else {
		front_turn_away(edge, x, 503);
	}
	buf_fini(&scratch);
}

void polling_on_request(struct edge *edge, struct session *s, struct http_exchange *x,
			const struct http_request *request)
{
	struct asker from = { .x = x };

	if (!s)
		on_handshake(edge, x, request);
	else if (s->ws || s->handing ||
		 (request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_POST))
		front_refuse(edge, x, FRONT_BAD_REQUEST);
	else if (request->method == HTTP_METHOD_GET)
		polling_get(edge, s, &from);
	else
		polling_post(edge, s, &from, request->body);
}
