/* SPDX-License-Identifier: Apache-2.0 */
/* The dialect Socket.IO 5: packets in and out. What is below them (Engine.IO 4) is in session.c, polling.c and ws.c. */
#include "services/edge/asked.h"
#include "services/edge/deliver.h"
#include "services/edge/dialect.h"
#include "services/edge/front.h"
#include "services/edge/record.h"

/* ── out ── */

static void send_packet(struct sock *sock, struct buf *text, struct blob *const *attachments,
			uint32_t attachment_count)
{
	if (text->failed) {
		session_close(sock->session, METRIC_CLOSED_SLOW);
		buf_reset(text);
		return;
	}
	session_send_text(sock->session, buf_str(text));
	buf_reset(text);
	for (uint32_t i = 0; i < attachment_count && sock->session; i++) {
		struct frame *frame = frame_new(blob_str(attachments[i]), true);

		if (!frame) {
			session_close(sock->session, METRIC_CLOSED_SLOW);
			return;
		}
		session_send(sock->session, frame);
		frame_unref(&frame);
	}
}

/*
 * `["event",args]` with the offset behind the arguments where one is due: always for what can be recovered, else only where the last argument
 * is a text, which clients would take for an offset.
 */
static void add_args(struct buf *out, struct str event, struct str args, struct str offset,
		     bool recoverable)
{
	bool ends_with_text = args.n > 0 && args.p[args.n - 1] == '"';

	sio_encode_args(out, event, args);
	if (offset.n == 0 || out->failed || !(recoverable || ends_with_text))
		return;
	out->n--; /* the ']' */
	buf_addz(out, ",\"");
	buf_add(out, offset);
	buf_addz(out, "\"]");
}

static int encode(struct edge *edge, const struct bus_message *m, struct str offset,
		  uint32_t ack_id, struct frame **frames, uint32_t *count)
{
	const struct wire_deliver *deliver = &m->any.deliver;
	struct buf *out = &edge->work;
	uint32_t attachments = m->payload_count - 1, n = 0;

	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, attachments ? SIO_BINARY_EVENT : SIO_EVENT, attachments, deliver->nsp,
			ack_id ? (int64_t)ack_id : -1);
	/* Where there is an id the last argument is the handler's callback, and none is taken for an offset. */
	add_args(out, deliver->event, m->payload[0], ack_id ? STR_NONE : offset,
		 !deliver->is_volatile);
	while (n <= attachments && !out->failed) {
		frames[n] = frame_new(n == 0 ? buf_str(out) : m->payload[n], n > 0);
		if (!frames[n])
			break;
		n++;
	}
	buf_reset(out);
	*count = n;
	return n == m->payload_count ? 0 : E_NOMEM;
}

static void emit(struct sock *sock, struct str event, struct str args,
		 struct blob *const *attachments, uint32_t attachment_count)
{
	struct buf *out = &sock->edge->work;

	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, attachment_count ? SIO_BINARY_EVENT : SIO_EVENT, attachment_count,
			sock->nsp->name, -1);
	add_args(out, event, args, record_offered(sock->edge) ? shard_offset(sock->edge) : STR_NONE,
		 false);
	send_packet(sock, out, attachments, attachment_count);
}

static void ack(struct sock *sock, uint64_t ack_id, struct str args,
		struct blob *const *attachments, uint32_t attachment_count)
{
	struct buf *out = &sock->edge->work;

	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, attachment_count ? SIO_BINARY_ACK : SIO_ACK, attachment_count,
			sock->nsp->name, (int64_t)ack_id);
	buf_addc(out, '[');
	buf_add(out, args);
	buf_addc(out, ']');
	send_packet(sock, out, attachments, attachment_count);
}

static void error(struct sock *sock, struct str code, struct str message, struct str more)
{
	struct buf args = BUF_INIT(4096);

	buf_addz(&args, "{\"code\":");
	buf_add_json(&args, code);
	buf_addz(&args, ",\"message\":");
	buf_add_json(&args, message);
	if (more.n)
		buf_addc(&args, ',');
	buf_add(&args, more);
	buf_addc(&args, '}');
	emit(sock, STR("error"), args.failed ? STR("{}") : buf_str(&args), NULL, 0);
	buf_fini(&args);
}

static void say_disconnect(struct sock *sock)
{
	struct buf *out = &sock->edge->work;

	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, SIO_DISCONNECT, 0, sock->nsp->name, -1);
	send_packet(sock, out, NULL, 0);
}

/* ── in ── */

static struct sock *find_sock(struct session *s, struct str nsp)
{
	LIST_EACH(&s->socks, node, next) {
		struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (str_eq(sock->nsp->name, nsp))
			return sock;
	}
	return NULL;
}

static void refuse_namespace(struct session *s, struct str nsp)
{
	struct buf out = BUF_INIT(1024);

	buf_addc(&out, '4');
	sio_encode_head(&out, SIO_CONNECT_ERROR, 0, nsp, -1);
	buf_addz(&out, "{\"message\":\"Invalid namespace\"}");
	metrics_inc(METRIC_CONNECT_ERRORS);
	if (!out.failed)
		session_send_text(s, buf_str(&out));
	buf_fini(&out);
}

static void begin_event(struct sock *sock, struct op_event *event, const struct sio_packet *packet)
{
	event->packet = packet;
	if (json_at(packet->data, 1, &event->first))
		event->first.type = JSON_NONE;
	op_begin_event(sock, event);
}

static void on_connect(struct session *s, struct str text, const struct sio_packet *packet)
{
	const struct profile_nsp *nsp = profile_nsp_find(s->edge->profile, packet->nsp);
	struct sock *sock;

	if (!nsp) {
		refuse_namespace(s, packet->nsp);
		return;
	}
	sock = sock_create(s, nsp, STR_NONE);
	if (sock)
		op_begin_connect(sock, text, packet);
	else
		session_close(s, METRIC_CLOSED_SLOW);
}

void sock_receive(struct session *s, struct str text, const struct sio_packet *packet,
		  struct blob *const *attachments, uint32_t attachment_count)
{
	struct sock *sock = find_sock(s, packet->nsp);
	struct op_event event = { .text = text,
				  .attachments = attachments,
				  .attachment_count = attachment_count };

	if (packet->type == SIO_CONNECT && !sock) {
		on_connect(s, text, packet);
		return;
	}
	if (!sock || packet->type == SIO_CONNECT) { /* as the JavaScript server does */
		session_close(s, METRIC_CLOSED_PARSE);
		return;
	}
	switch (packet->type) {
	case SIO_DISCONNECT:
		sock_close(sock, false);
		break;
	case SIO_EVENT:
	case SIO_BINARY_EVENT:
		if (sock_is_busy(sock))
			sock_keep(sock, &event);
		else
			begin_event(sock, &event, packet);
		break;
	case SIO_ACK:
	case SIO_BINARY_ACK:
		asked_on_ack(sock, packet->ack_id, packet->args, attachments, attachment_count);
		break;
	default:
		break;
	}
}

static void work(struct sock *sock, const struct op_event *kept)
{
	struct op_event event = *kept;
	struct sio_packet packet;

	if (sio_decode(kept->text, SIO_MAX_ATTACHMENTS_DEFAULT, &packet) == 0)
		begin_event(sock, &event, &packet);
}

static void pretend(struct buf *out, struct str event, struct str args)
{
	sio_encode_head(out, SIO_EVENT, 0, STR("/"), -1);
	sio_encode_args(out, event, args);
}

static void receive(struct session *s, struct str data, bool binary)
{
	struct eio_packet packet;

	if (binary)
		session_receive_binary(s, data);
	else if (eio_decode(data, &packet))
		session_close(s, METRIC_CLOSED_PARSE);
	else
		session_receive(s, &packet);
}

static bool request(struct edge *edge, struct http_exchange *x, const struct http_request *r)
{
	if (!str_is(r->path, "/socket.io/") && !str_is(r->path, "/socket.io"))
		return false;
	if (r->method == HTTP_METHOD_OPTIONS)
		cors_preflight(edge, x);
	else
		front_on_engine_request(edge, x, r);
	return true;
}

/* ── begin and end ── */

static void refuse(struct sock *sock, struct str code)
{
	struct buf out = BUF_INIT(2048);

	buf_addc(&out, '4');
	sio_encode_head(&out, SIO_CONNECT_ERROR, 0, sock->nsp->name, -1);
	buf_addz(&out, "{\"message\":");
	buf_add_json(&out, code);
	buf_addz(&out, ",\"data\":{\"code\":");
	buf_add_json(&out, code);
	buf_addz(&out, "}}");
	if (!out.failed)
		session_send_text(sock->session, buf_str(&out));
	buf_fini(&out);
}

static void greet(struct sock *sock, bool recovered)
{
	struct buf *out = &sock->edge->work;

	(void)recovered; /* clients see it by their old id */
	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, SIO_CONNECT, 0, sock->nsp->name, -1);
	buf_addz(out, "{\"sid\":\"");
	buf_add(out, sock_id_of(sock));
	if (sock->pid[0] && record_offered(sock->edge)) {
		buf_addz(out, "\",\"pid\":\"");
		buf_add(out, record_pid_of(sock));
	}
	buf_addz(out, "\"}");
	session_send_text(sock->session, buf_str(out));
	buf_reset(out);
}

static void ping(struct session *s)
{
	session_send_text(s, STR("2"));
}

static int close_code(enum metric reason)
{
	return reason == METRIC_CLOSED_DRAIN ? 1001 : 1000;
}

const struct dialect dialect_sio = {
	.pid_key = { "pid", 3 },
	.renews = true,
	.acks = true,
	.offered = "Socket.IO clients are served under /socket.io/",
	.request = request,
	.receive = receive,
	.work = work,
	.pretend = pretend,
	.encode = encode,
	.emit = emit,
	.ack = ack,
	.unknown = "this namespace has no such event",
	.error = error,
	.greet = greet,
	.refuse = refuse,
	.dismiss = say_disconnect,
	.ping = ping,
	.close_code = close_code,
};
