/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/room.h"

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/edge/deliver.h"
#include "services/edge/op.h"
#include "services/edge/sock.h"

struct str room_key_of(const void *room)
{
	const struct room *r = room;

	return str_make(r->key, r->key_bytes);
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
	if (sock->room_count <= room->count) {
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

bool room_has(const struct sock *sock, struct str key)
{
	struct room *room = room_find(sock->edge, key);

	return room && slot_of(sock, room) >= 0;
}

/* Tell the router that we hold the room. epoch and since: what we had seen of it, 0: nothing. */
static void subscribe(struct room *room, struct bus_link *link, uint64_t epoch, uint64_t since)
{
	struct wire_subscribe m = { .room = room_key_of(room), .epoch = epoch, .since = since };

	/* While the link is down nothing is lost: room_on_fresh or the link's own repetition tells it. */
	if (link && bus_link_send_msg(link, WIRE_SUBSCRIBE, &m, true) == 0)
		room->pending++;
}

static struct room *create(struct edge *edge, struct str key)
{
	struct room *room = mem_try(sizeof(*room) + key.n);

	if (!room)
		return NULL;
	room->edge = edge;
	room->key_bytes = (uint32_t)key.n;
	memcpy(room->key, key.p, key.n);
	list_init(&room->waiters);
	if (map_put(&edge->rooms, room)) {
		mem_free(room);
		return NULL;
	}
	metrics_inc(METRIC_ROOMS_LOCAL);
	subscribe(room, router_clnt_link(edge->router, key), 0, 0);
	return room;
}

/* Forget a room without members; not while an answer is under way, which could be taken for the next one's. */
static void release(struct room *room)
{
	struct edge *edge = room->edge;
	struct wire_unsubscribe m = { .room = room_key_of(room) };
	struct bus_link *link = router_clnt_link(edge->router, room_key_of(room));

	if (room->count > 0 || room->pending > 0 || !list_empty(&room->waiters))
		return;
	if (link && bus_link_send_msg(link, WIRE_UNSUBSCRIBE, &m, true))
		log_debug("room",
			  "not told to the router: it will hear all rooms when the link is back");
	map_del(&edge->rooms, room_key_of(room));
	metrics_dec(METRIC_ROOMS_LOCAL);
	mem_free(room->members);
	mem_free(room);
}

static int add_member(struct sock *sock, struct room *room)
{
	if (room->count == room->cap &&
	    mem_grow((void **)&room->members, &room->cap, sizeof(*room->members)))
		return E_NOMEM;
	if (sock->room_count == sock->room_cap &&
	    mem_grow((void **)&sock->rooms, &sock->room_cap, sizeof(*sock->rooms)))
		return E_NOMEM;
	room->members[room->count] = (struct member){ sock, sock->room_count };
	sock->rooms[sock->room_count] = (struct membership){ room, room->count };
	room->count++;
	sock->room_count++;
	metrics_inc(METRIC_MEMBERSHIPS);
	return 0;
}

int room_join(struct sock *sock, struct str key, struct room **room)
{
	struct edge *edge = sock->edge;
	struct room *r = room_find(edge, key);
	int err = 0;

	if (!r || slot_of(sock, r) < 0) {
		if (sock->room_count >= (uint64_t)edge->svc->conf.max_rooms) {
			metrics_inc(METRIC_LIMITED_ROOMS);
			return E_FULL;
		}
		if (!r)
			r = create(edge, key);
		if (!r)
			return E_NOMEM;
		err = add_member(sock, r);
		if (err) {
			release(r);
			return err;
		}
	}
	*room = r;
	return r->confirmed ? 0 : E_AGAIN;
}

static void remove_slot(struct sock *sock, uint32_t slot)
{
	struct membership gone = sock->rooms[slot];
	struct room *room = gone.room;
	uint32_t last = --room->count;

	if (gone.index != last) {
		room->members[gone.index] = room->members[last];
		room->members[gone.index].sock->rooms[room->members[gone.index].slot].index =
			gone.index;
	}
	last = --sock->room_count;
	if (slot != last) {
		sock->rooms[slot] = sock->rooms[last];
		sock->rooms[slot].room->members[sock->rooms[slot].index].slot = slot;
	}
	metrics_dec(METRIC_MEMBERSHIPS);
	release(room);
}

void room_leave(struct sock *sock, struct str key)
{
	struct room *room = room_find(sock->edge, key);
	int slot = room ? slot_of(sock, room) : -1;

	if (slot >= 0)
		remove_slot(sock, (uint32_t)slot);
}

void room_leave_all(struct sock *sock)
{
	while (sock->room_count > 0)
		remove_slot(sock, sock->room_count - 1);
	mem_free(sock->rooms);
	sock->rooms = NULL;
	sock->room_cap = 0;
}

void room_on_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch)
{
	struct edge *edge = ctx;
	uint64_t since = deliver_place(link);

	MAP_EACH(&edge->rooms, struct room, room) {
		if (router_clnt_link(edge->router, room_key_of(room)) != link)
			continue;
		room->pending = 0;
		subscribe(room, link, room->confirmed ? old_epoch : 0, room->confirmed ? since : 0);
	}
	deliver_set_place(link, 0);
	router_clnt_synced(edge->router, link);
}

void room_on_subscribed(struct edge *edge, const struct wire_subscribed *m)
{
	struct room *room = room_find(edge, m->room);

	if (!room)
		return;
	if (room->pending > 0)
		room->pending--;
	if (m->gap)
		log_warn("room",
			 "messages may have been missed: the router's history does not reach back",
			 KV_STR("room", m->room));
	room->confirmed = true;
	op_room_confirmed(room);
	release(room);
}
