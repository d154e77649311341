/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/sock.h"

#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "services/edge/asked.h"
#include "services/edge/dialect.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

/* A packet that waits for the one before it. */
struct parked {
	struct list node;
	struct blob *text;
	bool quiet; /* see struct op_event */
	uint32_t attachment_count;
	struct blob *attachments[];
};

struct str sock_id_of(const struct sock *sock)
{
	return str_make(sock->id, EDGE_ID_BYTES);
}

void sock_emit(struct sock *sock, struct str event, struct str args,
	       struct blob *const *attachments, uint32_t attachment_count)
{
	if (sock->session)
		sock->edge->dialect->emit(sock, event, args, attachments, attachment_count);
}

void sock_ack(struct sock *sock, uint64_t ack_id, struct str args, struct blob *const *attachments,
	      uint32_t attachment_count)
{
	if (sock->session)
		sock->edge->dialect->ack(sock, ack_id, args, attachments, attachment_count);
}

void sock_emit_error(struct sock *sock, struct str code, struct str message)
{
	if (sock->session)
		sock->edge->dialect->error(sock, code, message.n ? message : code, STR_NONE);
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

bool sock_is_busy(const struct sock *sock)
{
	return sock->op || sock->state != SOCK_CONNECTED || !list_empty(&sock->inbox);
}

void sock_keep(struct sock *sock, const struct op_event *event)
{
	uint32_t attachment_count = event->attachment_count;
	struct parked *p;
	size_t bytes = event->text.n + sizeof(*p);

	for (uint32_t i = 0; i < attachment_count; i++)
		bytes += event->attachments[i]->n;
	p = sock->inbox_bytes + bytes > SOCK_INBOX_BYTES
		    ? NULL
		    : mem_try(sizeof(*p) + attachment_count * sizeof(struct blob *));
	if (p)
		p->text = blob_copy(event->text);
	if (!p || !p->text) {
		mem_free(p);
		if (!event->quiet)
			sock_emit_error(sock, STR("UNAVAILABLE"),
					STR("too many events are waiting on this connection"));
		return;
	}
	p->quiet = event->quiet;
	p->attachment_count = attachment_count;
	for (uint32_t i = 0; i < attachment_count; i++)
		p->attachments[i] = blob_ref(event->attachments[i]);
	list_append(&sock->inbox, &p->node);
	sock->inbox_bytes += bytes;
}

void sock_pass_inbox(struct sock *from, struct sock *to)
{
	struct list *node;

	while ((node = list_pop(&from->inbox)) != NULL)
		list_append(&to->inbox, node);
	to->inbox_bytes = from->inbox_bytes;
	from->inbox_bytes = 0;
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
		struct op_event event = { 0 };
		struct parked *p;

		if (!node)
			break;
		p = CONTAINER_OF(node, struct parked, node);
		sock->inbox_bytes -= p->text->n + sizeof(*p);
		for (uint32_t i = 0; i < p->attachment_count; i++)
			sock->inbox_bytes -= p->attachments[i]->n;
		event.text = blob_str(p->text);
		event.quiet = p->quiet;
		event.attachments = p->attachments;
		event.attachment_count = p->attachment_count;
		sock->edge->dialect->work(sock, &event);
		free_parked(p);
	}
	sock->unparking = false;
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

/* What only a socket with a client has. */
static void end_work(struct sock *sock)
{
	struct list *node;

	if (sock->op)
		op_cancel(sock->op);
	later_drop_all(sock);
	asked_forget(sock);
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
		edge->dialect->dismiss(sock);
	if (!sock->session) /* that was its end: it was too slow, or its connection ends with it */
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
