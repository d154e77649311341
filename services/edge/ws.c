/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket transport: the handshake's checks, the upgrade of a polling session, and writing what is due in one system call.
 * Source: RFC 6455 section 4.2; Engine.IO protocol 4, "WebSocket" and "Upgrade".
 */
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/sio/ws_offer.h"
#include "services/edge/dialect.h"
#include "services/edge/front.h"
#include "services/edge/handover.h"

static void on_upgrade_timeout(struct wheel_timer *timer)
{
	struct ws_link *link = CONTAINER_OF(timer, struct ws_link, timer);

	if (link->session)
		link->session->probe = NULL;
	ws_detach(link, 1000, NULL);
}

void ws_detach(struct ws_link *link, int code, const char *reason)
{
	link->session = NULL;
	svc_cancel(link->edge->svc, &link->timer);
	ws_close(link->conn, code, reason);
}

/* What follows the header of the request that the socket was taken with. */
static struct str behind_header(struct str head)
{
	for (size_t i = 1; i < head.n; i++) {
		if (head.p[i] != '\n')
			continue;
		if (head.p[i - 1] == '\n' ||
		    (i > 1 && head.p[i - 1] == '\r' && head.p[i - 2] == '\n'))
			return str_skip(head, i + 1);
	}
	return STR_NONE;
}

struct ws_link *ws_take_socket(struct edge *edge, struct http_exchange *x, struct session *s,
			       struct str key)
{
	struct ws_link *link = mem_try(sizeof(*link));
	struct buf head = BUF_INIT((size_t)edge->svc->conf.max_payload + HTTP_MAX_HEADER_BYTES * 2);
	char key_copy[24];
	struct str offer = STR_NONE;
	bool deflate;
	int fd;

	if (!link) {
		front_turn_away(edge, x, 503);
		return NULL;
	}
	/* The exchange ends with http_take_socket. */
	memcpy(key_copy, key.p, sizeof(key_copy));
	deflate = edge->deflate && http_header(x, "sec-websocket-extensions", &offer) &&
		  ws_offer_allows_deflate(offer);
	link->edge = edge;
	link->session = s;
	wheel_timer_init(&link->timer, on_upgrade_timeout);
	fd = http_take_socket(x, &head);
	if (fd >= 0 && head.failed) {
		close(fd);
		fd = -1;
	}
	if (fd < 0 || ws_adopt(edge->ws, fd, str_make(key_copy, sizeof(key_copy)), deflate,
			       behind_header(buf_str(&head)), link, &link->conn)) {
		mem_free(link);
		link = NULL;
	}
	buf_fini(&head);
	return link;
}

bool ws_is_handshake(struct http_exchange *x, struct str *key)
{
	struct str upgrade, version;

	return http_header(x, "upgrade", &upgrade) && str_eq_nocase(upgrade, STR("websocket")) &&
	       http_header(x, "sec-websocket-version", &version) && str_is(version, "13") &&
	       http_header(x, "sec-websocket-key", key) && ws_key_good(*key);
}

static void begin_session(struct edge *edge, struct http_exchange *x,
			  const struct http_request *request, struct str key)
{
	struct buf scratch = BUF_INIT(HTTP_MAX_TARGET_BYTES);
	int status = session_admit(edge, request->address);
	struct session *s = NULL;

	if (status == 0)
		s = session_open(edge, front_token(x, request, &scratch), request->address);
	if (!s) {
		front_turn_away(edge, x, status ? status : 503);
		buf_fini(&scratch);
		return;
	}
	s->ws = ws_take_socket(edge, x, s, key);
	if (!s->ws) {
		metrics_inc(METRIC_CONNECTIONS_POLLING); /* session_close counts it down */
		session_close(s, METRIC_CLOSED_TRANSPORT);
	} else {
		metrics_inc(METRIC_CONNECTIONS_WS);
		buf_reset(&scratch);
		session_add_open(s, false, &scratch);
		session_send_text(s, buf_str(&scratch));
	}
	buf_fini(&scratch);
}

static void begin_upgrade(struct edge *edge, struct session *s, struct http_exchange *x,
			  struct str key)
{
	struct ws_link *link = ws_take_socket(edge, x, s, key);

	if (!link)
		return;
	link->probing = true;
	s->probe = link;
	svc_arm(edge->svc, &link->timer,
		clock_ms() + (uint64_t)edge->svc->conf.handshake_timeout_ms);
}

void ws_on_request(struct edge *edge, struct session *s, struct http_exchange *x,
		   const struct http_request *request)
{
	struct str key;

	if (!cors_allows_websocket(edge, x))
		front_refuse(edge, x, FRONT_FORBIDDEN);
	else if (!ws_is_handshake(x, &key))
		front_refuse(edge, x, FRONT_BAD_REQUEST);
	else if (s && (s->ws || s->probe || s->probed_away_until_ms > clock_ms()))
		ws_take_socket(
			edge, x, NULL,
			key); /* one too many: accepted and closed (on_open), as clients expect it */
	else if (s)
		begin_upgrade(edge, s, x, key);
	else
		begin_session(edge, x, request, key);
}

static void on_open(void *user)
{
	struct ws_link *link = user;

	if (!link->session && !link->away)
		ws_close(link->conn, 1000, NULL);
	else if (link->session && !link->probing)
		session_flush(link->session);
}

void ws_write_text(struct ws_link *link, struct str payload)
{
	struct frame *frame = frame_new(payload, false);

	if (!frame || ws_write(link->conn, frame_ws(frame)))
		ws_close(link->conn, 1011, NULL);
	frame_unref(&frame);
}

/* The polling session moves to this WebSocket. */
static void complete_upgrade(struct ws_link *link)
{
	struct session *s = link->session;

	svc_cancel(link->edge->svc, &link->timer);
	link->probing = false;
	s->probe = NULL;
	s->ws = link;
	metrics_dec(METRIC_CONNECTIONS_POLLING);
	metrics_inc(METRIC_CONNECTIONS_WS);
	if (s->poll)
		polling_answer(s, STR("6"));
	session_flush(s);
}

static void receive_probe(struct ws_link *link, struct str data)
{
	struct session *s = link->session;

	if (!link->probed && str_is(data, "2probe")) {
		link->probed = true;
		ws_write_text(link, STR("3probe"));
		polling_make_way(s);
	} else if (link->probed && str_is(data, "5")) {
		complete_upgrade(link);
	} else {
		s->probe = NULL;
		ws_detach(link, 1002, "probe expected");
	}
}

static void on_message(void *user, struct str data, bool binary)
{
	struct ws_link *link = user;
	struct session *s = link->session;

	if (link->away)
		handover_on_message(link, data, binary);
	if (!s)
		return;
	if (link->probing)
		receive_probe(link, binary ? STR_NONE : data);
	else
		s->edge->dialect->receive(s, data, binary);
}

static void on_pong(void *user)
{
	struct ws_link *link = user;

	if (link->session && link->session->ws == link && link->edge->dialect->ws_pings)
		session_on_pong(link->session);
}

static void on_writable(void *user)
{
	struct ws_link *link = user;

	if (link->session && link->session->ws == link)
		session_flush(link->session);
}

static void on_closed(void *user)
{
	struct ws_link *link = user;
	struct session *s = link->session;

	svc_cancel(link->edge->svc, &link->timer);
	handover_on_closed(link);
	if (s && s->probe == link)
		s->probe = NULL;
	if (s && s->ws == link) {
		/* The socket is gone: nothing may be written to it any more. */
		s->ws = NULL;
		s->left = s->edge->dialect->closes && ws_closed_in_order(link->conn);
		metrics_dec(METRIC_CONNECTIONS_WS);
		metrics_inc(METRIC_CONNECTIONS_POLLING); /* session_close counts it down */
		session_close(s, ws_too_big(link->conn) ? METRIC_CLOSED_TOO_BIG
							: METRIC_CLOSED_TRANSPORT);
	}
	mem_free(link);
}

const struct ws_handlers ws_link_handlers = { on_open, on_message, on_pong, on_writable,
					      on_closed };

static struct str frame_for(const struct session *s, struct frame *frame)
{
	return ws_deflated(s->ws->conn) ? frame_ws_deflated(frame, s->edge->deflate)
					: frame_ws(frame);
}

void ws_flush(struct session *s)
{
	struct edge *edge = s->edge;

	while (s->out_first) {
		struct str bytes = frame_for(s, s->out_first->frame);
		uint32_t count = 1;

		if (s->out_first->next && bytes.n < EDGE_WRITE_BYTES) {
			size_t n = 0;

			count = 0;
			for (struct out_node *node = s->out_first; node; node = node->next) {
				struct str ws = frame_for(s, node->frame);

				if (n + ws.n > EDGE_WRITE_BYTES)
					break;
				memcpy(edge->out + n, ws.p, ws.n);
				n += ws.n;
				count++;
			}
			bytes = str_make(edge->out, n);
		}
		if (ws_write(s->ws->conn, bytes))
			return; /* not yet, or closing: `writable` or `closed` follows */
		metrics_inc(METRIC_WRITES);
		metrics_add(METRIC_BYTES_OUT, bytes.n);
		while (count-- > 0)
			session_pop(s);
		if (ws_busy(s->ws->conn))
			return;
	}
}
