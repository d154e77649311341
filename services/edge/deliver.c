/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/deliver.h"

#include "common/base/clock.h"
#include "common/log/log.h"
#include "services/edge/room.h"
#include "services/edge/session.h"
#include "services/edge/sock.h"

/* One broadcast on its way to the members. */
struct delivery {
	struct edge *edge;
	const struct bus_message *m;
	struct frame *frames
		[1 +
		 255]; /* the packet and its attachments; encoded when the first member is found */
	uint32_t frame_count;
	bool failed;
};

uint64_t deliver_place(struct bus_link *link)
{
	return (uint64_t)(uintptr_t)bus_link_user(link);
}

void deliver_set_place(struct bus_link *link, uint64_t place)
{
	bus_link_set_user(link, (void *)(uintptr_t)place);
}

static void encode(struct delivery *d)
{
	const struct wire_deliver *deliver = &d->m->any.deliver;
	struct buf *out = &d->edge->work;
	uint32_t attachments = d->m->payload_count - 1;

	buf_reset(out);
	buf_addc(out, '4');
	sio_encode_head(out, attachments ? SIO_BINARY_EVENT : SIO_EVENT, attachments, deliver->nsp,
			-1);
	sio_encode_args(out, deliver->event, d->m->payload[0]);
	for (uint32_t i = 0; i <= attachments && !out->failed; i++) {
		d->frames[i] = frame_new(i == 0 ? buf_str(out) : d->m->payload[i], i > 0);
		if (!d->frames[i])
			break;
		d->frame_count++;
	}
	buf_reset(out);
	d->failed = d->frame_count != 1 + attachments;
}

static void deliver_to(struct delivery *d, struct sock *sock)
{
	if (sock->mark == d->edge->mark || sock->state != SOCK_CONNECTED)
		return; /* had it by another room, or is left out */
	sock->mark = d->edge->mark;
	if (d->frame_count == 0 && !d->failed)
		encode(d);
	for (uint32_t i = 0; i < d->frame_count && !d->failed; i++)
		session_send(sock->session, d->frames[i]);
	metrics_inc(METRIC_DELIVERIES);
}

/*
 * Run over the sockets a name stands for in a namespace: the members of a room, or the socket with that id. NULL for fn: mark them as done.
 * A slow client may be closed by what it is sent and leave the room, then the last member takes its place: hence backwards.
 */
static void each_socket(struct delivery *d, struct str name, bool mark_only)
{
	struct edge *edge = d->edge;
	struct str key, nsp = d->m->any.deliver.nsp;
	struct room *room = NULL;
	struct sock *sock;

	buf_reset(&edge->scratch);
	if (room_key(nsp, name, &edge->scratch, &key) == 0)
		room = room_find(edge, key);
	for (uint32_t i = room ? room->count : 0; i-- > 0;) {
		struct sock *member = room->members[i].sock;

		if (mark_only)
			member->mark = edge->mark;
		else
			deliver_to(d, member);
	}
	sock = name.n == EDGE_ID_BYTES ? map_get(&edge->socks, name) : NULL;
	if (sock && str_eq(sock->nsp->name, nsp)) {
		if (mark_only)
			sock->mark = edge->mark;
		else
			deliver_to(d, sock);
	}
}

static void deliver(struct edge *edge, const struct bus_message *m)
{
	struct delivery d = { .edge = edge, .m = m };
	struct wire_list_walk w;
	struct str name;

	edge->mark++;
	wire_list_walk(&m->any.deliver.except, &w);
	while (wire_list_next(&w, &name))
		each_socket(&d, name, true);
	wire_list_walk(&m->any.deliver.rooms, &w);
	while (wire_list_next(&w, &name))
		each_socket(&d, name, false);
	buf_reset(&edge->scratch);
	for (uint32_t i = 0; i < d.frame_count; i++)
		frame_unref(&d.frames[i]);
	if (d.failed)
		log_error("deliver", "out of memory: a broadcast was not delivered",
			  KV_STR("event", m->any.deliver.event));
}

static void on_deliver(struct edge *edge, struct bus_link *link, const struct bus_message *m)
{
	const struct wire_deliver *d = &m->any.deliver;

	metrics_inc(METRIC_BROADCASTS);
	if (d->place > deliver_place(link))
		deliver_set_place(link, d->place);
	if (m->payload_count == 0 || m->payload_count != 1 + d->attachments) {
		metrics_inc(METRIC_WIRE_BAD);
		return;
	}
	if (!d->is_volatile && (d->uid_high || d->uid_low) &&
	    idset_add(&edge->seen, d->uid_high, d->uid_low, clock_ms(), NULL) == E_EXISTS) {
		metrics_inc(METRIC_BROADCASTS_DOUBLE);
		return;
	}
	deliver(edge, m);
}

void deliver_on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct edge *edge = ctx;

	if (m->id == WIRE_DELIVER)
		on_deliver(edge, link, m);
	else if (m->id == WIRE_SUBSCRIBED)
		room_on_subscribed(edge, &m->any.subscribed);
	else
		metrics_inc(METRIC_WIRE_UNKNOWN);
}
