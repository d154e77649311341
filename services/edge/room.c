/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/room.h"

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/edge/op.h"
#include "services/edge/record.h"
#include "services/edge/sock.h"

struct str room_key_of(const void *room)
{
	const struct room *r = room;

	return str_make(r->key, r->key_bytes);
}

struct str room_name_of(const struct room *room)
{
	struct str key = room_key_of(room), nsp, name;

	/* A namespace has no comma. */
	return str_cut(key, ',', &nsp, &name) ? name : key;
}

int room_key(struct str nsp, struct str name, struct buf *out, struct str *key)
{
	size_t start = out->n;

	if (name.n == 0 || nsp.n + 1 + name.n > ROOM_KEY_BYTES)
		return E_RANGE;
	buf_add(out, nsp);
	buf_addc(out, ',');
	buf_add(out, name);
	if (out->failed)
		return out->failed;
	*key = str_make(out->p + start, out->n - start);
	return 0;
}

struct room *room_find(struct edge *edge, struct str key)
{
	return map_get(&edge->rooms, key);
}

static int slot_of(const struct sock *sock, const struct room *room)
{
	/* The shorter list decides; both are small in the usual case. */
	if (sock->room_count <= room->count || sock->state == SOCK_PARKED) {
		for (uint32_t i = 0; i < sock->room_count; i++)
			if (sock->rooms[i].room == room)
				return (int)i;
		return -1;
	}
	for (uint32_t i = 0; i < room->count; i++)
		if (room->members[i].sock == sock)
			return (int)room->members[i].slot;
	return -1;
}

struct membership *room_membership(const struct sock *sock, const struct room *room)
{
	int slot = slot_of(sock, room);

	return slot < 0 ? NULL : &sock->rooms[slot];
}

uint32_t room_own_count(const struct edge *edge)
{
	return 1 + (edge->svc->conf.redis_url[0] || edge->svc->conf.redis_host[0]);
}

bool room_has(const struct sock *sock, struct str key)
{
	struct room *room = room_find(sock->edge, key);

	return room && slot_of(sock, room) >= 0;
}

/* ── what the router knows ── */

int room_tell(struct room *room)
{
	struct shard *shard = room->shard;
	struct wire_subscribe m = {
		.room = room_key_of(room),
		.epoch = room->since ? shard->old_epoch : 0,
		.since = room->since,
		.known_from = room->known_from,
		.own = room->own,
		.vacant = room->count == 0 && room->holds > 0,
	};
	int err = bus_link_send_msg(shard->link, WIRE_SUBSCRIBE, &m, true);

	if (err)
		return err;
	room->told_vacant = m.vacant;
	room->pending++;
	list_remove(&room->node);
	list_append(&shard->rooms, &room->node);
	return 0;
}

/* Its members have come or gone, and it stays: only routers that tell others of it hear of that. */
static void note_life(struct room *room)
{
	struct wire_room_live m = { .room = room_key_of(room), .live = room->count > 0 };

	if (!room->edge->life_wanted || room->own || !room->shard ||
	    room->told_vacant == (room->count == 0))
		return;
	/* A link that is down is told the room anew when it is up. */
	if (bus_link_send_msg(room->shard->link, WIRE_ROOM_LIVE, &m, true) == 0)
		room->told_vacant = !m.live;
}

void room_tell_life(struct edge *edge)
{
	MAP_EACH(&edge->rooms, struct room, room)
		note_life(room);
}

void room_untell(struct room *room)
{
	/* Asked about but not answered: what was told then is still all we know. */
	if (room->confirmed)
		room->since = room->shard->place;
	room->confirmed = false;
	room->pending = 0;
}

/* To its shard: at once, or when it is the room's turn. */
static void settle_in(struct room *room, struct shard *shard)
{
	room->shard = shard;
	list_remove(&room->node);
	if (!shard)
		return; /* told as soon as a router is known */
	if (room_tell(room) == 0)
		return;
	list_append(&shard->untold, &room->node);
	shard->syncing |= bus_link_up(shard->link); /* full: with its acknowledgements */
}

static void unsubscribe(const struct room *room, struct shard *shard)
{
	struct wire_unsubscribe m = { .room = room_key_of(room) };

	if (shard && bus_link_send_msg(shard->link, WIRE_UNSUBSCRIBE, &m, true))
		log_debug("room",
			  "not told to the router: it will hear all rooms when the link is back");
}

void room_move(struct room *room, struct shard *owner)
{
	fill_room_done(room);
	if (room->old && room->old != owner)
		unsubscribe(room, room->old);
	room->old = room->shard;
	if (!list_empty(&room->due)) {
		list_remove(&room->due);
		if (owner)
			list_append(&owner->due, &room->due);
	}
	room->confirmed = false;
	room->pending = 0;
	/* Publishers may know the new one longer than we do: all it has is new to us, or known by its uid. */
	room->since = room->known_from = WIRE_SINCE_ALL;
	settle_in(room, owner);
}

static struct room *create(const struct sock *sock, struct str key)
{
	struct edge *edge = sock->edge;
	struct str nsp, name;
	struct room *room = mem_try(sizeof(*room) + key.n);

	if (!room)
		return NULL;
	room->edge = edge;
	room->key_bytes = (uint32_t)key.n;
	memcpy(room->key, key.p, key.n);
	room->own = str_cut(key, ',', &nsp, &name) &&
		    (str_eq(name, sock_id_of(sock)) || room_is_reserved(name));
	list_init(&room->node);
	list_init(&room->due);
	if (map_put(&edge->rooms, room)) {
		mem_free(room);
		return NULL;
	}
	metrics_inc(METRIC_ROOMS_LOCAL);
	settle_in(room, shard_of(edge, key));
	return room;
}

/* Forget a room without members; not while an answer is under way, which could be taken for the next one's. */
static void release(struct room *room)
{
	if (room->count > 0 || room->holds > 0 || room->pending > 0)
		return;
	room->holds++; /* it is gone when this is done */
	fill_room_done(room);
	room->holds--;
	unsubscribe(room, room->shard);
	if (room->old)
		unsubscribe(room, room->old);
	list_remove(&room->node);
	list_remove(&room->due);
	map_del(&room->edge->rooms, room_key_of(room));
	metrics_dec(METRIC_ROOMS_LOCAL);
	mem_free(room->members);
	mem_free(room);
}

/* ── members ── */

static int add_member(struct sock *sock, struct room *room)
{
	if (room->count == room->cap &&
	    mem_grow((void **)&room->members, &room->cap, sizeof(*room->members)))
		return E_NOMEM;
	if (sock->room_count == sock->room_cap &&
	    mem_grow((void **)&sock->rooms, &sock->room_cap, sizeof(*sock->rooms)))
		return E_NOMEM;
	room->members[room->count] = (struct member){ sock, sock->room_count };
	sock->rooms[sock->room_count] = (struct membership){ .room = room, .index = room->count };
	room->count++;
	sock->room_count++;
	metrics_inc(METRIC_MEMBERSHIPS);
	note_life(room);
	return 0;
}

static void set_joined(struct membership *m, const struct item *item)
{
	struct room *room = m->room;

	if (item) {
		m->joined = item->place;
		m->shard = item->shard;
		m->saved = true;
		m->by_connect = item->bits & ITEM_BY_CONNECT;
		m->presence = item->bits & ITEM_PRESENCE;
	} else if (room->confirmed) {
		m->joined = room->shard->place;
		m->shard = room->shard->id;
	}
}

int room_join(struct sock *sock, struct str key, const struct item *item,
	      struct membership **membership)
{
	struct edge *edge = sock->edge;
	struct room *room = room_find(edge, key);
	int slot = room ? slot_of(sock, room) : -1, err;
	struct membership *m;

	if (slot >= 0) {
		*membership = &sock->rooms[slot];
		(*membership)->leaves = 0;
		return 0;
	}
	if (sock->room_count >= (uint64_t)edge->svc->conf.max_rooms + room_own_count(edge)) {
		metrics_inc(METRIC_LIMITED_ROOMS);
		return E_FULL;
	}
	if (!room)
		room = create(sock, key);
	if (!room)
		return E_NOMEM;
	err = add_member(sock, room);
	if (err) {
		release(room);
		return err;
	}
	*membership = m = &sock->rooms[sock->room_count - 1];
	set_joined(m, item);
	m->waiting = !room->confirmed;
	sock->unconfirmed += m->waiting;
	return 0;
}

/* The room's messages behind this place are wanted, and it is not too late to say so. */
static void want_since(struct room *room, uint64_t place)
{
	struct shard *shard = room->shard;

	if (room->confirmed || room->since)
		return;
	room->since = room->known_from = place;
	if (!shard)
		return;
	fill_room_begin(room);
	if (room->pending > 0 && room_tell(room)) { /* its first telling did not name the place */
		list_remove(&room->node);
		list_append(&shard->untold, &room->node);
		shard->syncing |= bus_link_up(shard->link);
	}
}

int room_join_at(struct sock *sock, struct str key, uint64_t place, struct membership **membership)
{
	bool was_in = room_has(sock, key);
	int err = room_join(sock, key, NULL, membership);
	struct membership *m = *membership;

	if (err || was_in || !m->waiting)
		return err;
	want_since(m->room, place);
	if (m->room->since == place && m->room->shard) {
		m->joined = place;
		m->shard = m->room->shard->id;
	}
	return 0;
}

int room_hold(struct sock *sock, struct str key, const struct item *item)
{
	struct room *room = room_find(sock->edge, key);
	struct membership *m;

	if (!room)
		room = create(sock, key);
	if (!room)
		return E_NOMEM;
	if (sock->room_count == sock->room_cap &&
	    mem_grow((void **)&sock->rooms, &sock->room_cap, sizeof(*sock->rooms))) {
		release(room);
		return E_NOMEM;
	}
	m = &sock->rooms[sock->room_count++];
	*m = (struct membership){ .room = room };
	set_joined(m, item);
	room->holds++;
	note_life(room);
	metrics_inc(METRIC_MEMBERSHIPS);
	return 0;
}

struct item room_item(const struct membership *m)
{
	unsigned bits = (m->by_connect ? ITEM_BY_CONNECT : 0) | (m->presence ? ITEM_PRESENCE : 0);

	return (struct item){ m->joined, m->shard, (uint8_t)bits, room_name_of(m->room) };
}

int room_take_all(struct sock *sock, const struct wire_list *rooms)
{
	struct buf *scratch = &sock->edge->scratch;
	struct wire_list_walk w;
	struct membership *m;
	struct item item;
	struct str text, key;
	int err = 0;

	wire_list_walk(rooms, &w);
	while (!err && wire_list_next(&w, &text)) {
		err = item_read(text, &item);
		buf_reset(scratch);
		if (!err)
			err = room_key(sock->nsp->name, item.name, scratch, &key);
		if (!err)
			err = sock->state == SOCK_PARKED ? room_hold(sock, key, &item)
							 : room_join(sock, key, &item, &m);
	}
	buf_reset(scratch);
	return err;
}

static void remove_index(struct room *room, uint32_t index)
{
	uint32_t last = --room->count;

	if (index == last)
		return;
	room->members[index] = room->members[last];
	room->members[index].sock->rooms[room->members[index].slot].index = index;
}

static void remove_slot(struct sock *sock, uint32_t slot)
{
	struct membership gone = sock->rooms[slot];
	struct room *room = gone.room;
	uint32_t last = --sock->room_count;

	if (sock->state == SOCK_PARKED)
		room->holds--;
	else
		remove_index(room, gone.index);
	sock->unconfirmed -= gone.waiting;
	if (slot != last) {
		sock->rooms[slot] = sock->rooms[last];
		if (sock->state != SOCK_PARKED)
			sock->rooms[slot].room->members[sock->rooms[slot].index].slot = slot;
	}
	metrics_dec(METRIC_MEMBERSHIPS);
	if (room->holds > 0)
		note_life(room);
	release(room);
}

bool room_leave(struct sock *sock, struct str key)
{
	struct room *room = room_find(sock->edge, key);
	int slot = room ? slot_of(sock, room) : -1;

	if (slot >= 0)
		remove_slot(sock, (uint32_t)slot);
	return slot >= 0;
}

bool room_leave_at(struct sock *sock, struct str key, uint64_t place)
{
	struct room *room = room_find(sock->edge, key);
	struct membership *m = room ? room_membership(sock, room) : NULL;

	if (!m)
		return false;
	if (!m->waiting || !room->shard) {
		remove_slot(sock, (uint32_t)(m - sock->rooms));
		return true;
	}
	m->leaves = place;
	list_remove(&room->due);
	list_append(&room->shard->due, &room->due);
	return false;
}

static void leave_due(struct room *room)
{
	room->holds++; /* it stays until all have left */
	for (uint32_t i = room->count; i-- > 0;) {
		struct sock *sock = i < room->count ? room->members[i].sock : NULL;
		uint32_t slot = sock ? room->members[i].slot : 0;

		if (!sock || !sock->rooms[slot].leaves)
			continue;
		remove_slot(sock, slot);
		record_save_left(sock, room_name_of(room));
	}
	room->holds--;
	release(room);
}

void room_leave_due(struct shard *shard)
{
	LIST_EACH(&shard->due, node, next) {
		struct room *room = CONTAINER_OF(node, struct room, due);

		if (!room->confirmed || shard->filling > 0)
			continue;
		list_remove(&room->due);
		leave_due(room);
	}
}

void room_leave_unconfirmed(struct sock *sock)
{
	for (uint32_t i = sock->room_count; i-- > 0;)
		if (sock->rooms[i].waiting)
			remove_slot(sock, i);
}

void room_leave_stale(struct sock *sock)
{
	for (uint32_t i = sock->room_count; i-- > 0;) {
		if (!sock->rooms[i].stale)
			continue;
		record_save_left(sock, room_name_of(sock->rooms[i].room));
		remove_slot(sock, i);
	}
}

void room_leave_all(struct sock *sock)
{
	while (sock->room_count > 0)
		remove_slot(sock, sock->room_count - 1);
	mem_free(sock->rooms);
	sock->rooms = NULL;
	sock->room_cap = 0;
}

void room_park_all(struct sock *sock)
{
	for (uint32_t i = sock->room_count; i-- > 0;) {
		const struct membership *m = &sock->rooms[i];

		if (m->leaves)
			record_save_left(sock, room_name_of(m->room));
		if (m->leaves || m->joined == 0) /* a join that was never answered */
			remove_slot(sock, i);
	}
	for (uint32_t i = 0; i < sock->room_count; i++) {
		remove_index(sock->rooms[i].room, sock->rooms[i].index);
		sock->rooms[i].room->holds++;
		sock->rooms[i].waiting = false;
		note_life(sock->rooms[i].room);
	}
	sock->unconfirmed = 0;
}

/* ── from the routers ── */

/* Who was in it all the time is told by being closed, and is not recovered. */
void room_tell_gap(struct room *room)
{
	log_warn("room", "messages may have been missed: the router's history does not reach back",
		 KV_STR("room", room_key_of(room)));
	/* Closing takes members out: the last one takes the place of one that goes. */
	for (uint32_t i = room->count; i-- > 0;) {
		struct sock *sock = i < room->count ? room->members[i].sock : NULL;

		if (!sock || sock->rooms[room->members[i].slot].waiting)
			continue;
		record_end(sock);
		if (sock->session)
			session_close(sock->session, METRIC_CLOSED_GAP);
	}
	if (room->holds > 0)
		record_end_holders(room);
}

static void confirm(struct room *room, uint64_t place)
{
	room->confirmed = true;
	for (uint32_t i = room->count; i-- > 0;) {
		struct sock *sock = i < room->count ? room->members[i].sock : NULL;
		struct membership *m = sock ? &sock->rooms[room->members[i].slot] : NULL;

		if (!m || !m->waiting)
			continue;
		m->waiting = false;
		if (m->joined == 0) {
			m->joined = place;
			m->shard = room->shard->id;
		}
		if (--sock->unconfirmed == 0)
			op_settled(sock);
	}
}

void room_on_subscribed(struct shard *shard, const struct wire_subscribed *m)
{
	struct edge *edge = shard->edge;
	struct room *room = room_find(edge, m->room);

	shard_passed(shard, m->place);
	if (!room || room->shard != shard)
		return;
	if (room->pending > 0 && --room->pending > 0)
		return; /* told twice: the second answer is the one that counts */
	if (room->since == 0 || m->gap)
		room->known_from = m->place;
	room->holds++; /* it stays while its members go on */
	if (m->gap)
		room_tell_gap(room);
	confirm(room, m->place);
	fill_room_done(room);
	room->holds--;
	release(room);
	room_leave_due(shard);
}
