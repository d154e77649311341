/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/deliver.h"

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "services/edge/asked.h"
#include "services/edge/command.h"
#include "services/edge/dialect.h"
#include "services/edge/foster.h"
#include "services/edge/presence.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

/* One broadcast on its way to the members. */
struct delivery {
	struct edge *edge;
	struct shard *shard;
	const struct wire_deliver *deliver;
	const struct bus_message *m;
	struct frame *frames
		[1 +
		 255]; /* the packet and its attachments; encoded when the first member is found */
	uint32_t frame_count;
	uint32_t ack_id;      /* clients are to acknowledge it by this id; 0: they are not */
	uint64_t asked_count; /* so many are */
	bool failed;
	struct sock **found; /* OWNED: those a command is for */
	uint32_t found_count, found_cap;
	bool spread; /* over several routers */
};

static void encode_for_all(struct delivery *d)
{
	struct str offset = record_offered(d->edge) ? shard_offset(d->edge) : STR_NONE;

	d->failed = d->edge->dialect->encode(d->edge, d->m, offset, d->ack_id, d->frames,
					     &d->frame_count) != 0;
}

static void hold(struct delivery *d, struct sock *sock)
{
	if (d->deliver->is_volatile)
		return;
	if (sock->restore) {
		restore_keep(sock, d->shard, d->m);
		return;
	}
	if (d->frame_count == 0 && !d->failed)
		encode_for_all(d);
	for (uint32_t i = 0; i < d->frame_count && !d->failed; i++)
		sock_hold(sock, d->frames[i]);
}

static bool is_of_user(const struct wire_deliver *m, const struct sock *sock)
{
	return m->user_id.n == 0 || (sock->user && str_eq(sock->user->id, m->user_id));
}

/*
 * Of an event that comes by several routers: has it been queued for this connection? What an earlier connection of the socket was sent may never have
 * arrived: there the offset it came back with decides.
 */
static bool was_shown(const struct delivery *d, const struct sock *sock)
{
	const struct wire_deliver *m = d->deliver;

	return d->spread && sock->session && (m->uid_high || m->uid_low) &&
	       idset_add(&d->edge->shown,
			 (m->uid_high ^ hash_keyed(str_make(sock->session->sid, EDGE_ID_BYTES))) +
				 sock->attempts,
			 m->uid_low, clock_ms(), NULL) == E_EXISTS;
}

/* A command's sockets are collected first: what it does to them changes the rooms. */
static void find(struct delivery *d, struct sock *sock)
{
	if (!is_of_user(d->deliver, sock))
		return;
	if (sock->restore)
		restore_keep(sock, d->shard, d->m);
	else if (d->found_count < d->found_cap ||
		 mem_grow((void **)&d->found, &d->found_cap, sizeof(struct sock *)) == 0)
		d->found[d->found_count++] = sock;
	else
		d->failed = true;
}

static void send_to(struct delivery *d, struct sock *sock)
{
	if (d->frame_count == 0 && !d->failed)
		encode_for_all(d);
	if (d->ack_id && !d->failed) {
		asked_note(sock, d->ack_id, d->shard, d->deliver->ack);
		d->asked_count++;
	}
	for (uint32_t i = 0; i < d->frame_count && !d->failed; i++)
		session_send(sock->session, d->frames[i]);
}

static void deliver_to(struct delivery *d, struct sock *sock, const struct membership *m)
{
	uint64_t place = d->deliver->place;

	if (sock->mark == d->edge->mark || m->waiting)
		return; /* had it by another room, or is left out */
	sock->mark = d->edge->mark;
	if (place && place <= m->joined && m->shard == d->shard->id)
		return; /* sent before it joined */
	if (m->leaves && place > m->leaves)
		return; /* sent after it left */
	if (sock->restore && !restore_takes_live(sock, d->shard))
		return; /* it is among what the router repeats */
	if (d->deliver->ack && sock->state != SOCK_CONNECTED)
		return; /* who is here now is asked, nobody else */
	if (was_shown(d, sock))
		return;
	if (d->deliver->verb) {
		find(d, sock);
		return;
	}
	metrics_inc(METRIC_DELIVERIES);
	if (sock->state != SOCK_CONNECTED) {
		hold(d, sock);
		return;
	}
	send_to(d, sock);
}

static struct room *find_room(const struct delivery *d, struct str name, struct str *key)
{
	struct buf *scratch = &d->edge->scratch;

	buf_reset(scratch);
	return room_key(d->deliver->nsp, name, scratch, key) ? NULL : room_find(d->edge, *key);
}

/*
 * Run over the members of a room (each socket has one of its own). mark_only: they are done. A slow client may be closed by what it is sent and
 * leave the room, then the last member takes its place: hence backwards.
 */
static void each_member(struct delivery *d, const struct room *room, bool mark_only)
{
	for (uint32_t i = room->count; i-- > 0;) {
		struct sock *sock;

		if (i >= room->count)
			continue;
		sock = room->members[i].sock;
		if (mark_only)
			sock->mark = d->edge->mark;
		else
			deliver_to(d, sock, &sock->rooms[room->members[i].slot]);
	}
}

static void each_room(struct delivery *d)
{
	const struct wire_deliver *m = d->deliver;
	struct wire_list_walk w;
	struct room *room;
	struct str name, key;

	wire_list_walk(d->spread ? &m->all : &m->rooms, &w);
	while (wire_list_next(&w, &name)) {
		room = find_room(d, name, &key);
		/* Whoever is in a room of another router gets it from there. */
		if (room)
			each_member(d, room, d->spread && shard_of(d->edge, key) != d->shard);
	}
}

static void deliver(struct shard *shard, const struct bus_message *m)
{
	struct delivery d = { .edge = shard->edge,
			      .shard = shard,
			      .m = m,
			      .deliver = &m->any.deliver,
			      .spread = m->any.deliver.all.count > 0 };
	struct wire_list_walk w;
	struct room *room;
	struct str name, key;

	if (d.deliver->ack && d.edge->dialect->acks)
		d.ack_id = asked_next_id(d.edge);
	d.edge->mark++;
	wire_list_walk(&d.deliver->except, &w);
	while (wire_list_next(&w, &name))
		if ((room = find_room(&d, name, &key)))
			each_member(&d, room, true);
	each_room(&d);
	buf_reset(&d.edge->scratch);
	if (d.deliver->ack && !d.failed)
		asked_tell(shard, d.deliver->ack, d.asked_count);
	for (uint32_t i = 0; i < d.found_count; i++)
		command_run(d.found[i], d.deliver);
	mem_free(d.found);
	for (uint32_t i = 0; i < d.frame_count; i++)
		frame_unref(&d.frames[i]);
	if (d.failed)
		log_error("deliver", "out of memory: a broadcast was not delivered",
			  KV_STR("event", d.deliver->event));
}

static bool is_member(const struct delivery *d, const struct sock *sock, struct str name,
		      struct str *key)
{
	const struct room *room = find_room(d, name, key);

	const struct membership *in = room ? room_membership(sock, room) : NULL;

	return in && !in->out;
}

/* The rules of `deliver`, seen from one socket. */
static bool is_for(const struct delivery *d, const struct sock *sock)
{
	const struct wire_deliver *m = d->deliver;
	struct wire_list_walk w;
	struct str name, key;

	if (!is_of_user(m, sock))
		return false;
	wire_list_walk(&m->except, &w);
	while (wire_list_next(&w, &name))
		if (is_member(d, sock, name, &key))
			return false;
	if (!d->spread)
		return true;
	wire_list_walk(&m->all, &w);
	while (wire_list_next(&w, &name))
		if (is_member(d, sock, name, &key))
			return shard_of(d->edge, key) == d->shard;
	return false;
}

void deliver_repeat(struct shard *shard, struct sock *sock, const struct bus_message *m)
{
	struct delivery d = { .edge = shard->edge,
			      .shard = shard,
			      .m = m,
			      .deliver = &m->any.deliver,
			      .spread = m->any.deliver.all.count > 0 };

	if (is_for(&d, sock) && !was_shown(&d, sock))
		restore_keep(sock, shard, m);
	buf_reset(&d.edge->scratch);
}

bool deliver_is_for(struct sock *sock, const struct tail_item *item, const struct bus_message *m)
{
	struct delivery d = { .edge = sock->edge,
			      .shard = item->shard,
			      .m = m,
			      .deliver = &m->any.deliver,
			      .spread = m->any.deliver.all.count > 0 };
	bool yes = is_for(&d, sock), in_one = d.spread;
	struct wire_list_walk w;
	struct str name, key;

	wire_list_walk(&d.deliver->rooms, &w);
	while (yes && !in_one && wire_list_next(&w, &name))
		in_one = is_member(&d, sock, name, &key);
	buf_reset(&sock->edge->scratch);
	return yes && in_one;
}

void deliver_now(struct shard *shard, const struct bus_message *m)
{
	struct edge *edge = shard->edge;
	const struct wire_deliver *d = &m->any.deliver;
	/* An event of several routers comes once from each of them. */
	uint64_t low = d->uid_low ^ (d->all.count ? shard->id : 0);

	shard_passed(shard, d->place);
	if (d->place)
		tail_add(shard, m, d->place);
	if (!d->is_volatile && (d->uid_high || d->uid_low) &&
	    idset_add(&edge->seen, d->uid_high, low, clock_ms(), NULL) == E_EXISTS) {
		metrics_inc(METRIC_BROADCASTS_DOUBLE);
		return;
	}
	deliver(shard, m);
}

static void on_deliver(struct shard *shard, const struct bus_message *m)
{
	metrics_inc(METRIC_BROADCASTS);
	if (m->payload_count == 0 || m->payload_count != 1 + m->any.deliver.attachments)
		metrics_inc(METRIC_WIRE_BAD);
	else if (!fill_keep(shard, m))
		deliver_now(shard, m);
}

void deliver_on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct edge *edge = ctx;
	struct shard *shard = bus_link_user(link);

	if (!shard)
		return;
	switch (m->id) {
	case WIRE_DELIVER:
		on_deliver(shard, m);
		break;
	case WIRE_SUBSCRIBED:
		room_on_subscribed(shard, &m->any.subscribed);
		break;
	case WIRE_SAVED:
		record_on_saved(edge, &m->any.saved);
		break;
	case WIRE_SESSION_TAKEN:
		record_on_taken(edge, &m->any.session_taken);
		break;
	case WIRE_RESUMED:
		restore_on_resumed(edge, &m->any.resumed);
		break;
	case WIRE_REPEAT:
		if (!foster_on_repeat(shard, m))
			restore_on_repeat(shard, m);
		break;
	case WIRE_REPEATED:
		if (!foster_on_repeated(edge, &m->any.repeated))
			restore_on_repeated(shard, &m->any.repeated);
		break;
	case WIRE_SESSION_FOSTER:
		foster_on_session(shard, &m->any.session_foster);
		break;
	case WIRE_CLAIMED:
		once_on_claimed(edge, &m->any.claimed);
		break;
	case WIRE_ROOM_USER:
		presence_on_room_user(edge, &m->any.room_user);
		break;
	default:
		metrics_inc(METRIC_WIRE_UNKNOWN);
		break;
	}
}
