/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/sock.h"

#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "services/edge/deliver.h"
#include "services/edge/op.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

/* A packet that waits for the one before it. */
struct parked {
	struct list node;
	struct blob *text;
	uint32_t attachment_count;
	struct blob *attachments[];
};

struct str sock_id_of(const struct sock *sock)
{
	return str_make(sock->id, EDGE_ID_BYTES);
}

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

void sock_emit(struct sock *sock, struct str event, struct str args,
	       struct blob *const *attachments, uint32_t attachment_count)
{
	struct buf *out = &sock->edge->work;

	if (!sock->session)
		return;
	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, attachment_count ? SIO_BINARY_EVENT : SIO_EVENT, attachment_count,
			sock->nsp->name, -1);
	deliver_add_args(out, event, args,
			 record_offered(sock->edge) ? shard_offset(sock->edge) : STR_NONE, false);
	send_packet(sock, out, attachments, attachment_count);
}

void sock_ack(struct sock *sock, uint64_t ack_id, struct str args, struct blob *const *attachments,
	      uint32_t attachment_count)
{
	struct buf *out = &sock->edge->work;

	if (!sock->session)
		return;
	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, attachment_count ? SIO_BINARY_ACK : SIO_ACK, attachment_count,
			sock->nsp->name, (int64_t)ack_id);
	buf_addc(out, '[');
	buf_add(out, args);
	buf_addc(out, ']');
	send_packet(sock, out, attachments, attachment_count);
}

void sock_emit_error(struct sock *sock, struct str code, struct str message)
{
	struct buf args = BUF_INIT(4096);

	buf_addz(&args, "{\"code\":");
	buf_add_json(&args, code);
	buf_addz(&args, ",\"message\":");
	buf_add_json(&args, message.n ? message : code);
	buf_addc(&args, '}');
	sock_emit(sock, STR("error"), args.failed ? STR("{}") : buf_str(&args), NULL, 0);
	buf_fini(&args);
}

static struct sock *find_sock(struct session *s, struct str nsp)
{
	LIST_EACH(&s->socks, node, next) {
		struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (str_eq(sock->nsp->name, nsp))
			return sock;
	}
	return NULL;
}

struct sock *sock_create(struct session *s, const struct profile_nsp *nsp, struct str id)
{
	struct sock *sock = mem_try(sizeof(*sock));

	if (!sock)
		return NULL;
	sock->edge = s->edge;
	sock->session = s;
	sock->nsp = nsp;
	if (id.n == EDGE_ID_BYTES)
		memcpy(sock->id, id.p, EDGE_ID_BYTES);
	else
		rnd_id(sock->id, EDGE_ID_BYTES);
	list_init(&sock->inbox);
	list_init(&sock->home_node);
	wheel_timer_init(&sock->token_timer, NULL);
	list_append(&s->socks, &sock->node);
	metrics_inc(METRIC_SOCKETS);
	return sock;
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

static void park(struct sock *sock, struct str text, struct blob *const *attachments,
		 uint32_t attachment_count)
{
	struct parked *p;
	size_t bytes = text.n + sizeof(*p);

	for (uint32_t i = 0; i < attachment_count; i++)
		bytes += attachments[i]->n;
	p = sock->inbox_bytes + bytes > SOCK_INBOX_BYTES
		    ? NULL
		    : mem_try(sizeof(*p) + attachment_count * sizeof(struct blob *));
	if (p)
		p->text = blob_copy(text);
	if (!p || !p->text) {
		mem_free(p);
		sock_emit_error(sock, STR("UNAVAILABLE"),
				STR("too many events are waiting on this connection"));
		return;
	}
	p->attachment_count = attachment_count;
	for (uint32_t i = 0; i < attachment_count; i++)
		p->attachments[i] = blob_ref(attachments[i]);
	list_append(&sock->inbox, &p->node);
	sock->inbox_bytes += bytes;
}

static void free_parked(struct parked *p)
{
	for (uint32_t i = 0; i < p->attachment_count; i++)
		blob_unref(&p->attachments[i]);
	blob_unref(&p->text);
	mem_free(p);
}

void sock_unpark(struct sock *sock)
{
	if (sock->unparking)
		return;
	sock->unparking = true;
	while (!sock->op && sock->state == SOCK_CONNECTED) {
		struct list *node = list_pop(&sock->inbox);
		struct sio_packet packet;
		struct parked *p;

		if (!node)
			break;
		p = CONTAINER_OF(node, struct parked, node);
		sock->inbox_bytes -= p->text->n + sizeof(*p);
		for (uint32_t i = 0; i < p->attachment_count; i++)
			sock->inbox_bytes -= p->attachments[i]->n;
		if (sio_decode(blob_str(p->text), SIO_MAX_ATTACHMENTS_DEFAULT, &packet) == 0)
			op_begin_event(sock, blob_str(p->text), &packet, p->attachments,
				       p->attachment_count);
		free_parked(p);
	}
	sock->unparking = false;
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
		if (sock->op || sock->state != SOCK_CONNECTED || !list_empty(&sock->inbox))
			park(sock, text, attachments, attachment_count);
		else
			op_begin_event(sock, text, packet, attachments, attachment_count);
		break;
	default: /* an ack of something nobody waits for */
		break;
	}
}

/* ── held frames ── */

/* A client that comes back is owed more than one that reads too slowly may be. */
size_t sock_held_bytes_max(const struct edge *edge)
{
	return (size_t)edge->svc->conf.max_unsent_bytes + (size_t)edge->svc->conf.replay_bytes;
}

void sock_hold(struct sock *sock, struct frame *frame)
{
	struct edge *edge = sock->edge;
	struct out_node *node;

	if (!sock->session)
		return;
	node = slab_get(&edge->out_nodes);
	if (!node || sock->held_bytes + frame->payload_bytes > sock_held_bytes_max(edge)) {
		slab_put(&edge->out_nodes, node);
		session_close(sock->session, METRIC_CLOSED_SLOW);
		return;
	}
	node->frame = frame_ref(frame);
	if (sock->held_last)
		sock->held_last->next = node;
	else
		sock->held_first = node;
	sock->held_last = node;
	sock->held_bytes += frame->payload_bytes;
	metrics_add(METRIC_UNSENT_BYTES, frame->payload_bytes);
}

static struct frame *take_held(struct sock *sock)
{
	struct out_node *node = sock->held_first;
	struct frame *frame = node->frame;

	sock->held_first = node->next;
	if (!node->next)
		sock->held_last = NULL;
	sock->held_bytes -= frame->payload_bytes;
	metrics_add(METRIC_UNSENT_BYTES, -(uint64_t)frame->payload_bytes);
	slab_put(&sock->edge->out_nodes, node);
	return frame;
}

void sock_send_held(struct sock *sock)
{
	if (sock->session)
		sock->session->repeat_bytes += sock->held_bytes;
	while (sock->held_first && sock->session) {
		struct frame *frame = take_held(sock);

		session_send(sock->session, frame);
		frame_unref(&frame);
	}
}

void sock_drop_held(struct sock *sock)
{
	while (sock->held_first) {
		struct frame *frame = take_held(sock);

		frame_unref(&frame);
	}
}

/* ── end ── */

static void say_disconnect(struct sock *sock)
{
	struct buf *out = &sock->edge->work;

	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, SIO_DISCONNECT, 0, sock->nsp->name, -1);
	send_packet(sock, out, NULL, 0);
}

/* What only a socket with a client has. */
static void end_work(struct sock *sock)
{
	struct list *node;

	if (sock->op)
		op_cancel(sock->op);
	restore_free(sock);
	sock_drop_held(sock);
	svc_cancel(sock->edge->svc, &sock->token_timer);
	while ((node = list_pop(&sock->inbox)) != NULL)
		free_parked(CONTAINER_OF(node, struct parked, node));
	sock->inbox_bytes = 0;
	metrics_dec(METRIC_SOCKETS);
}

void sock_close(struct sock *sock, bool tell)
{
	struct edge *edge = sock->edge;

	if (!sock->session)
		return;
	if (tell)
		say_disconnect(sock);
	if (!sock->session) /* it was too slow for that */
		return;
	end_work(sock);
	record_end(sock);
	room_leave_all(sock);
	sock->state = SOCK_CLOSED;
	sock->session = NULL;
	list_remove(&sock->node);
	list_append(&edge->dead_socks, &sock->node);
}

void sock_close_all(struct session *s, bool recoverable)
{
	struct list *node;

	while ((node = list_first(&s->socks)) != NULL) {
		struct sock *sock = CONTAINER_OF(node, struct sock, node);

		if (!recoverable || !sock->pid[0] || !record_offered(s->edge) ||
		    (sock->state != SOCK_CONNECTED && !sock->restore)) {
			sock_close(sock, false);
			continue;
		}
		end_work(sock);
		record_park(sock);
	}
}

void sock_free(struct sock *sock)
{
	list_remove(&sock->node);
	list_remove(&sock->home_node);
	mem_free(sock->user);
	mem_free(sock);
}
