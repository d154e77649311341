/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_lws.h"

#include <libwebsockets.h>
#include <unistd.h>

#include "common/adapt/adapt_deflate.h"
#include "common/base/b64.h"
#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "common/log/log.h"
#include "common/sio/eio.h"
#include "common/sio/ws_offer.h"

#define CLOSE_WAIT_SECONDS 2
#define CLOSE_NORMAL 1000
#define SERVICE_BUFFER_BYTES 65536
#define WRITE_CUT_BYTES (256u << 10)
#define RSV1 0x40 /* on the first frame of a compressed message */

struct ws_host {
	struct svc *svc;
	const struct ws_handlers *handlers;
	size_t max_message_bytes;
	struct lws_context *context;
	struct lws_vhost *vhost;
	void *loops[1];
	struct ws_conn *adopting; /* its handshake is answered inside lws_adopt_… */
	bool adopting_died;
	bool waking;              /* the library was asked to look at its timers, and has not yet */
	struct deflate *expander; /* of all connections; made when first needed */
	struct list fresh;        /* established, `open` not called yet */
	struct svc_turn turn;
};

/* One per process, and for its whole life: the library calls back for a while after it was told to end. */
static struct ws_host the_host;

struct ws_conn {
	struct list node; /* on host->fresh */
	struct ws_host *host;
	struct lws *wsi;
	void *user;
	struct buf early; /* messages that came before `open`: uint32_t length, flag, bytes */
	bool handed;      /* `open` was called */
	struct buf part;  /* pieces of a message that is not complete; no memory between messages */
	bool deflated;    /* permessage-deflate is negotiated */
	bool packed;      /* the message at hand is compressed */
	bool mid_frame;   /* more of the frame at hand is to come */
	bool established;
	bool closing; /* the handlers get no message any more */
	bool wants_writable;
	bool in_order; /* the client was the first to close, with code 1000 or none */
	bool too_big;  /* closed for a message over the limit */
};

static void log_line(int level, const char *line)
{
	struct str text = str_trim(str_of(line));

	log_debug("websocket", "library says", KV_I("level", level), KV_STR("text", text));
}

/* Set from outside of its own callbacks, the library's timers run only after the next event of any of its sockets: make one. */
static void set_timeout(struct ws_conn *conn, int seconds)
{
	struct ws_host *host = conn->host;

	lws_set_timeout(conn->wsi, PENDING_TIMEOUT_USER_REASON_BASE, seconds);
	if (host->waking || !host->context)
		return;
	host->waking = true;
	lws_cancel_service(host->context);
}

/* End without a word: from any place of the loop. */
static void kill_conn(struct ws_conn *conn)
{
	conn->closing = true;
	set_timeout(conn, LWS_TO_KILL_ASYNC);
}

static void refuse_size(struct ws_conn *conn)
{
	conn->too_big = true;
	ws_close(conn, 1009, "message too big");
}

/* A client that did not wait for the answer to its handshake: its messages follow `open`. */
static void keep_early(struct ws_conn *conn, struct str data, bool binary)
{
	uint32_t n = (uint32_t)data.n;

	buf_add(&conn->early, str_make((const char *)&n, sizeof(n)));
	buf_addc(&conn->early, binary);
	buf_add(&conn->early, data);
	if (conn->early.failed)
		refuse_size(conn);
}

static void deliver(struct ws_conn *conn, struct str data, bool binary)
{
	if (conn->handed)
		conn->host->handlers->message(conn->user, data, binary);
	else
		keep_early(conn, data, binary);
}

/* Text is UTF-8 (RFC 6455 section 8.1); the library could tell only of messages that are not compressed. */
static void deliver_checked(struct ws_conn *conn, struct str data, bool binary)
{
	if (binary || utf8_valid(data))
		deliver(conn, data, binary);
	else
		ws_close(conn, 1007, "bad utf8");
}

static void deliver_early(struct ws_conn *conn)
{
	struct str rest = buf_str(&conn->early);

	while (rest.n > 0 && !conn->closing) {
		bool binary = rest.p[sizeof(uint32_t)] != 0;
		uint32_t n;

		memcpy(&n, rest.p, sizeof(n));
		rest = str_skip(rest, sizeof(n) + 1);
		conn->host->handlers->message(conn->user, str_make(rest.p, n), binary);
		rest = str_skip(rest, n);
	}
	buf_fini(&conn->early);
}

/* A message as it was before compression; a bomb is stopped at the bound. */
static void deliver_packed(struct ws_conn *conn, struct str data, bool binary)
{
	struct ws_host *host = conn->host;
	struct buf plain = BUF_INIT(host->max_message_bytes);
	int err = E_NOMEM;

	if (!host->expander)
		host->expander = deflate_new(0);
	if (host->expander)
		err = deflate_expand(host->expander, data, &plain);
	if (err == 0)
		deliver_checked(conn, buf_str(&plain), binary);
	else if (err == E_TOOBIG)
		refuse_size(conn);
	else if (err == E_SYNTAX)
		ws_close(conn, 1007, "bad compression");
	else
		ws_close(conn, 1011, "out of memory");
	buf_fini(&plain);
}

static void receive_message(struct ws_conn *conn, struct str data, bool binary)
{
	if (conn->packed)
		deliver_packed(conn, data, binary);
	else
		deliver_checked(conn, data, binary);
}

/* What a message may take on the wire: compressed it can be a little longer than before. */
static size_t max_wire_bytes(const struct ws_conn *conn)
{
	size_t max = conn->host->max_message_bytes;

	return conn->packed ? max + max / 8 + 64 : max;
}

static void receive_piece(struct ws_conn *conn, struct str data, bool binary, bool last)
{
	conn->part.max = max_wire_bytes(conn);
	buf_add(&conn->part, data);
	if (conn->part.failed) {
		buf_fini(&conn->part);
		ws_close(conn, 1011, "out of memory");
		return;
	}
	if (last) {
		struct buf whole = conn->part;

		buf_init(&conn->part, 0);
		receive_message(conn, buf_str(&whole), binary);
		buf_fini(&whole);
	}
}

static void on_receive(struct ws_conn *conn, struct lws *wsi, void *in, size_t n)
{
	struct str data = str_make(in, n);
	bool binary = lws_frame_is_binary(wsi) != 0;
	bool first = lws_is_first_fragment(wsi) != 0;
	bool more = lws_remaining_packet_payload(wsi) > 0;
	bool last = lws_is_final_fragment(wsi) && !more;
	bool rsv1 = (lws_get_reserved_bits(wsi) & RSV1) != 0;
	bool continued = !first && !conn->mid_frame;

	if (conn->closing)
		return;
	conn->mid_frame = more;
	if (first)
		conn->packed = rsv1;
	if (continued && rsv1) { /* RFC 7692 section 6.1 */
		ws_close(conn, 1002, "compression bit inside a message");
		return;
	}
	if (conn->part.n + n > max_wire_bytes(conn)) {
		buf_fini(&conn->part);
		refuse_size(conn);
	} else if (first && last) {
		receive_message(conn, data, binary);
	} else {
		receive_piece(conn, data, binary, last);
	}
}

static void on_writable(struct ws_conn *conn)
{
	if (!conn->wants_writable || conn->closing)
		return;
	if (lws_partial_buffered(conn->wsi)) {
		lws_callback_on_writable(conn->wsi);
		return;
	}
	conn->wants_writable = false;
	conn->host->handlers->writable(conn->user);
}

/* The library answers the handshake while it adopts the socket; our user hears of it when it has the connection in hands. */
static bool on_turn(void *ctx)
{
	struct ws_host *host = ctx;
	struct list *node;

	while ((node = list_pop(&host->fresh)) != NULL) {
		struct ws_conn *conn = CONTAINER_OF(node, struct ws_conn, node);

		conn->handed = true;
		if (!conn->closing)
			host->handlers->open(conn->user);
		deliver_early(conn);
	}
	return false;
}

static void on_established(struct ws_host *host, struct lws *wsi)
{
	struct ws_conn *conn = host->adopting;

	conn->wsi = wsi;
	conn->established = true;
	lws_set_opaque_user_data(wsi, conn);
	list_append(&host->fresh, &conn->node);
}

static void on_destroy(struct ws_conn *conn)
{
	list_remove(&conn->node);
	lws_set_opaque_user_data(conn->wsi, NULL);
	conn->closing = true;
	conn->wsi = NULL;
	buf_fini(&conn->part);
	buf_fini(&conn->early);
	if (conn->host->adopting == conn) { /* ws_adopt says so */
		conn->host->adopting_died = true;
		return;
	}
	conn->host->handlers->closed(conn->user);
	mem_free(conn);
}

/* A reason that is no UTF-8 is answered with the end of the connection. Payload: code and reason. */
static int on_peer_close(struct ws_conn *conn, const char *payload, size_t n)
{
	if (!conn->closing)
		conn->in_order = n < 2 || ((unsigned char)payload[0] << 8 |
					   (unsigned char)payload[1]) == CLOSE_NORMAL;
	return n > 2 && !utf8_valid(str_make(payload + 2, n - 2)) ? -1 : 0;
}

/*
 * permessage-deflate, as far as the library goes: it answers our offer with both parameters, and where this returns 0 for their payload frames
 * pass as if there was no extension, with bit RSV1 for us to read.
 */
static int on_extension(struct lws_context *context, const struct lws_extension *extension,
			struct lws *wsi, enum lws_extension_callback_reasons reason, void *user,
			void *in, size_t n)
{
	static const struct lws_ext_options options[] = {
		{ "server_no_context_takeover", EXTARG_NONE },
		{ "client_no_context_takeover", EXTARG_NONE },
		{ NULL, EXTARG_NONE },
	};
	struct ws_host *host = lws_context_user(context);

	(void)extension;
	(void)wsi;
	(void)user;
	(void)n;
	if (reason == LWS_EXT_CB_CONSTRUCT && in) {
		*(const struct lws_ext_options **)in = options;
		if (host->adopting)
			host->adopting->deflated = true;
	}
	return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *session, void *in,
		    size_t n)
{
	struct ws_conn *conn = wsi ? lws_get_opaque_user_data(wsi) : NULL;
	struct ws_host *host = wsi ? lws_context_user(lws_get_context(wsi)) : NULL;

	(void)session;
	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		/* Nothing else ever gets here (see ws_adopt), and `in` may dangle. */
		return lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) <= 0 ? -1 : 0;
	case LWS_CALLBACK_HTTP:
		return -1;
	case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
		the_host.waking = false;
		return 0;
	default:
		break;
	}
	if (!conn && host && host->adopting) {
		if (reason == LWS_CALLBACK_ESTABLISHED)
			on_established(host, wsi);
		else if (reason == LWS_CALLBACK_WSI_DESTROY)
			host->adopting_died = true;
	}
	if (!conn)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_RECEIVE:
		on_receive(conn, wsi, in, n);
		break;
	case LWS_CALLBACK_RECEIVE_PONG:
		if (!conn->closing && host->handlers->pong)
			host->handlers->pong(conn->user);
		break;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		return on_peer_close(conn, in, n);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		on_writable(conn);
		break;
	case LWS_CALLBACK_WSI_DESTROY:
		on_destroy(conn);
		break;
	default:
		break;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
	{ "roomwire", on_event, 0, 0, 0, NULL, WRITE_CUT_BYTES },
	{ NULL, NULL, 0, 0, 0, NULL, 0 },
};

static const struct lws_extension extensions[] = {
	{ "permessage-deflate", on_extension, WS_OFFER_DEFLATE_ANSWER },
	{ NULL, NULL, NULL },
};

/* Engine.IO has a heartbeat of its own; the library's keeps all connections in one sorted list, which makes each new one O(n). */
static const lws_retry_bo_t no_validity_timer = { 0 };

int ws_host_open(struct svc *svc, const struct ws_handlers *handlers, size_t max_message_bytes,
		 struct ws_host **host)
{
	struct lws_context_creation_info info;
	struct ws_host *h = &the_host;

	BUG_ON(h->context);
	memset(h, 0, sizeof(*h));
	h->svc = svc;
	h->handlers = handlers;
	h->max_message_bytes = max_message_bytes;
	h->loops[0] = svc->loop;
	memset(&info, 0, sizeof(info));
	lws_set_log_level(LLL_ERR | LLL_WARN, log_line);
	info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
	info.foreign_loops = h->loops;
	info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info.protocols = protocols;
	info.extensions = extensions;
	info.pt_serv_buf_size = SERVICE_BUFFER_BYTES;
	info.max_http_header_data = 1024;
	info.max_http_header_pool = 256;
	info.retry_and_idle_policy = &no_validity_timer;
	info.user = h;
	info.gid = (gid_t)-1;
	info.uid = (uid_t)-1;
	h->context = lws_create_context(&info);
	if (h->context)
		h->vhost = lws_create_vhost(h->context, &info);
	if (!h->vhost) {
		log_error("websocket", "libwebsockets does not start: is the package "
				       "libwebsockets-evlib-uv installed?");
		if (h->context)
			lws_context_destroy(h->context);
		h->context = NULL;
		return E_FAIL;
	}
	list_init(&h->fresh);
	h->turn = (struct svc_turn){ .fn = on_turn, .ctx = h };
	svc_turn_add(svc, SVC_RANK_WORK, &h->turn);
	*host = h;
	return 0;
}

void ws_host_close(struct ws_host **host)
{
	if (!*host)
		return;
	svc_turn_remove(&(*host)->turn);
	lws_context_destroy(
		(*host)->context); /* `closed` is called for each connection, from the loop */
	(*host)->context = NULL;
	deflate_free(&(*host)->expander);
	*host = NULL;
}

bool ws_key_good(struct str key)
{
	char raw[32];
	size_t n = 0;

	return key.n == 24 && b64_decode(key, raw, &n) == 0 && n == 16;
}

int ws_adopt(struct ws_host *host, int fd, struct str key, bool deflate, struct str rest,
	     void *user, struct ws_conn **conn)
{
	struct ws_conn *c = mem_try(sizeof(*c));
	struct buf head = BUF_INIT(rest.n + 1024);
	struct lws *wsi;

	buf_addz(&head,
		 "GET / HTTP/1.1\r\nHost: edge\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
	buf_add(&head, key);
	if (deflate)
		buf_addz(&head, "\r\nSec-WebSocket-Extensions: " WS_OFFER_DEFLATE_ANSWER);
	buf_addz(&head, "\r\n\r\n");
	buf_add(&head, rest);
	if (!c || head.failed) {
		mem_free(c);
		buf_fini(&head);
		close(fd);
		return E_NOMEM;
	}
	c->host = host;
	c->user = user;
	list_init(&c->node);
	buf_init(&c->part, 0);
	buf_init(&c->early, rest.n * 8 + 64 + (deflate ? host->max_message_bytes : 0));
	host->adopting = c;
	host->adopting_died = false;
	wsi = lws_adopt_socket_vhost_readbuf(host->vhost, fd, head.p, head.n);
	host->adopting = NULL;
	buf_fini(&head);
	if (!wsi || host->adopting_died) {
		list_remove(&c->node);
		buf_fini(&c->early);
		mem_free(c);
		return E_FAIL;
	}
	c->wsi = wsi;
	lws_set_opaque_user_data(wsi, c);
	*conn = c;
	return 0;
}

int ws_write(struct ws_conn *conn, struct str frames)
{
	int n;

	if (conn->closing || !conn->established)
		return conn->closing ? E_CLOSED : E_AGAIN;
	if (lws_partial_buffered(conn->wsi)) {
		conn->wants_writable = true;
		lws_callback_on_writable(conn->wsi);
		return E_AGAIN;
	}
	/* LWS_WRITE_HTTP on a WebSocket passes the bytes on as they are and does not touch them. */
	n = lws_write(conn->wsi, (unsigned char *)(uintptr_t)frames.p, frames.n, LWS_WRITE_HTTP);
	if (n < 0) {
		kill_conn(conn);
		return E_CLOSED;
	}
	if (lws_partial_buffered(conn->wsi)) {
		conn->wants_writable = true;
		lws_callback_on_writable(conn->wsi);
	}
	return 0;
}

bool ws_deflated(const struct ws_conn *conn)
{
	return conn->deflated;
}

bool ws_busy(const struct ws_conn *conn)
{
	return conn->wsi && lws_partial_buffered(conn->wsi);
}

void ws_close(struct ws_conn *conn, int code, const char *reason)
{
	char frame[WS_HEADER_MAX + 2 + 123];
	size_t n = reason ? strlen(reason) : 0, head;

	if (conn->closing)
		return;
	if (code == 0 || !conn->established || lws_partial_buffered(conn->wsi)) {
		kill_conn(conn);
		return;
	}
	if (n > 123)
		n = 123;
	head = ws_header(frame, WS_CLOSE, n + 2);
	frame[head] = (char)(code >> 8);
	frame[head + 1] = (char)code;
	memcpy(frame + head + 2, reason ? reason : "", n);
	conn->closing = true;
	if (lws_write(conn->wsi, (unsigned char *)frame, head + 2 + n, LWS_WRITE_HTTP) < 0)
		kill_conn(conn);
	else /* the library's own close would not send the code from here */
		set_timeout(conn, CLOSE_WAIT_SECONDS);
}

bool ws_too_big(const struct ws_conn *conn)
{
	return conn->too_big;
}

bool ws_closed_in_order(const struct ws_conn *conn)
{
	return conn->in_order;
}
