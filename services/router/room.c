/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/room.h"

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/life.h"

#define VACANT_EXTRA_SECONDS 30u  /* beyond the recovery window: clocks, links that are cut */
#define HISTORY_EXTRA_SECONDS 10u /* also where nobody recovers: sessions move between edges */

struct str room_key_of(const void *room)
{
	const struct room *r = room;

	return str_make(r->key, r->key_bytes);
}

struct room *room_find(struct router *router, struct str key)
{
	return map_get(&router->rooms, key);
}

static void free_room(struct room *room)
{
	struct router *router = room->router;

	list_remove(&room->vacant);
	map_del(&router->rooms, room_key_of(room));
	metrics_set(METRIC_ROOMS, map_count(&router->rooms));
	mem_free(room->edges);
	mem_free(room);
}

static void drop_history(struct room *room);

/* There are too many: the one that is vacant for longest goes. What it remembered, nobody can prove to have had any more. */
static void evict(struct router *router)
{
	struct list *node = list_first(&router->vacant);
	struct room *room = node ? CONTAINER_OF(node, struct room, vacant) : NULL;

	if (!room)
		return;
	drop_history(room);
	if (room->dropped_place > router->floor)
		router->floor = room->dropped_place;
	free_room(room);
}

struct room *room_get(struct router *router, struct str key)
{
	struct room *room = room_find(router, key);

	if (room)
		return room;
	if (map_count(&router->rooms) >= (size_t)router->svc->conf.max_room_count)
		evict(router);
	if (map_count(&router->rooms) >= (size_t)router->svc->conf.max_room_count) {
		log_warn("router", "too many rooms: see MAX_ROOM_COUNT",
			 KV_U("rooms", map_count(&router->rooms)));
		return NULL;
	}
	room = mem_try(sizeof(*room) + key.n);
	if (!room)
		return NULL;
	room->router = router;
	room->key_bytes = (uint32_t)key.n;
	room->dropped_place = router->floor;
	list_init(&room->vacant);
	memcpy(room->key, key.p, key.n);
	if (map_put(&router->rooms, room)) {
		mem_free(room);
		return NULL;
	}
	metrics_set(METRIC_ROOMS, map_count(&router->rooms));
	return room;
}

static uint64_t kept_ms(const struct router *router)
{
	return ((uint64_t)router->svc->conf.recovery_seconds + VACANT_EXTRA_SECONDS) * 1000;
}

static void release(struct room *room)
{
	if (room->edge_count > 0 || room->oldest)
		return;
	if (room->vacant_ms == 0 || clock_ms() - room->vacant_ms > kept_ms(room->router))
		free_room(room);
}

static int index_of(const struct room *room, const struct peer *peer)
{
	for (uint32_t i = 0; i < room->edge_count; i++)
		if (room->edges[i].peer == peer)
			return (int)i;
	return -1;
}

int room_add_edge(struct room *room, struct peer *peer)
{
	if (index_of(room, peer) >= 0)
		return 0;
	if ((room->edge_count == room->edge_cap &&
	     mem_grow((void **)&room->edges, &room->edge_cap, sizeof(*room->edges))) ||
	    (peer->room_count == peer->room_cap &&
	     mem_grow((void **)&peer->rooms, &peer->room_cap, sizeof(*peer->rooms)))) {
		release(room);
		return E_NOMEM;
	}
	room->edges[room->edge_count] = (struct holder){ peer, peer->room_count, false };
	peer->rooms[peer->room_count++] = (struct membership){ room, room->edge_count };
	room->edge_count++;
	room->vacant_ms = 0;
	list_remove(&room->vacant);
	return 0;
}

void room_set_live(struct room *room, const struct peer *peer, bool live)
{
	int at = index_of(room, peer);

	if (at < 0 || room->edges[at].live == live)
		return;
	room->edges[at].live = live;
	room->live_count += live ? 1 : -1u;
	life_note_room(room);
}

bool room_is_live(const struct room *room)
{
	return room && room->live_count > 0;
}

static void remove_at(struct peer *peer, uint32_t slot)
{
	struct membership gone = peer->rooms[slot];
	struct room *room = gone.room;
	uint32_t last = --room->edge_count;
	bool was_live = room->edges[gone.index].live;

	if (gone.index != last) {
		room->edges[gone.index] = room->edges[last];
		room->edges[gone.index].peer->rooms[room->edges[gone.index].slot].index =
			gone.index;
	}
	if (room->edge_count == 0) {
		room->vacant_ms = clock_ms();
		list_append(&room->router->vacant, &room->vacant);
	}
	room->live_count -= was_live;
	if (was_live)
		life_note_room(room);
	last = --peer->room_count;
	if (slot != last) {
		peer->rooms[slot] = peer->rooms[last];
		peer->rooms[slot].room->edges[peer->rooms[slot].index].slot = slot;
	}
	release(room);
}

void room_remove_edge(struct room *room, struct peer *peer)
{
	int at = index_of(room, peer);

	if (at >= 0)
		remove_at(peer, room->edges[at].slot);
}

void room_remove_peer(struct peer *peer)
{
	while (peer->room_count > 0)
		remove_at(peer, peer->room_count - 1);
	mem_free(peer->rooms);
	peer->rooms = NULL;
	peer->room_cap = 0;
}

struct str message_key_of(const void *message)
{
	return str_make((const char *)&((const struct message *)message)->place, sizeof(uint64_t));
}

void message_note_except(struct message *message, const struct wire_list *except)
{
	struct wire_list_walk w;
	struct str name;

	wire_list_walk(except, &w);
	message->spared = except->count == 1 && wire_list_next(&w, &name) ? hash_keyed(name) : 0;
}

bool room_has_gap(const struct room *room, uint64_t since)
{
	return room_has_gap_for(room, since, STR_NONE);
}

bool room_has_gap_for(const struct room *room, uint64_t since, struct str sid)
{
	uint64_t dropped_place = room->dropped_place;

	if (sid.n > 0 && room->dropped_spared && room->dropped_spared == hash_keyed(sid))
		dropped_place = room->dropped_other_place;
	if (!room->router->vouched && since < room->router->born && since > room->restored_upto)
		return true; /* what its client has seen, this router has never heard of */
	return dropped_place > since;
}

static void note_dropped(struct room *room, uint64_t place, uint64_t spared)
{
	if (spared == 0 || spared != room->dropped_spared)
		room->dropped_other_place = spared ? room->dropped_place : place;
	room->dropped_spared = spared;
	room->dropped_place = place;
}

void room_restore(struct room *room, uint64_t from, uint64_t upto)
{
	if (from < room->dropped_place)
		note_dropped(room, from, 0);
	if (upto > room->restored_upto)
		room->restored_upto = upto;
	if (room->edge_count > 0 || room->vacant_ms)
		return;
	room->vacant_ms = clock_ms(); /* should that edge be gone before it holds it here, too */
	list_append(&room->router->vacant, &room->vacant);
}

void message_unref(struct message **message)
{
	struct message *m = *message;

	*message = NULL;
	if (!m || --m->refs > 0)
		return;
	blob_unref(&m->body);
	for (uint32_t i = 0; i < m->payload_count; i++)
		blob_unref(&m->payload[i]);
	mem_free(m);
}

/* Drop the room's oldest message from its history. The room stays. */
static void drop_oldest(struct room *room)
{
	struct router *router = room->router;
	struct entry *e = room->oldest;

	room->oldest = e->newer;
	if (room->oldest)
		room->oldest->older = NULL;
	else
		room->newest = NULL;
	room->history_count--;
	room->history_bytes -= e->message->bytes;
	if (e->message->place > room->dropped_place)
		note_dropped(room, e->message->place, e->message->spared);
	router->history_count--;
	router->history_bytes -= e->message->bytes;
	list_remove(&e->all);
	message_unref(&e->message);
	mem_free(e);
}

static void drop_history(struct room *room)
{
	while (room->oldest)
		drop_oldest(room);
}

static void show(struct router *router)
{
	metrics_set(METRIC_HISTORY_MESSAGES, router->history_count);
	metrics_set(METRIC_HISTORY_BYTES, router->history_bytes);
}

/* Past a bound: the oldest go first. */
static void trim(struct room *room)
{
	struct router *router = room->router;
	const struct conf *conf = &router->svc->conf;

	while (room->oldest && (room->history_count > (uint64_t)conf->history_count ||
				room->history_bytes > (uint64_t)conf->history_bytes)) {
		drop_oldest(room);
		metrics_inc(METRIC_HISTORY_TRIMMED);
	}
	while (router->history_bytes > (uint64_t)conf->history_total_bytes) {
		struct entry *e = CONTAINER_OF(list_first(&router->history), struct entry, all);
		struct room *other = e->room;

		drop_oldest(other);
		metrics_inc(METRIC_HISTORY_TRIMMED);
		if (other != room)
			release(other);
	}
}

void room_remember(struct room *room, struct message *message)
{
	struct router *router = room->router;
	struct entry *e = mem_try(sizeof(*e));

	if (!e) {
		drop_history(room);
		note_dropped(room, message->place, 0);
		show(router);
		release(room);
		return;
	}
	message->refs++;
	e->message = message;
	e->room = room;
	list_append(&router->history, &e->all);
	e->older = room->newest;
	if (room->newest)
		room->newest->newer = e;
	else
		room->oldest = e;
	room->newest = e;
	room->history_count++;
	room->history_bytes += message->bytes;
	router->history_count++;
	router->history_bytes += message->bytes;
	trim(room);
	show(router);
	release(room);
}

void room_sweep(struct router *router)
{
	uint64_t age_ms = ((uint64_t)router->svc->conf.recovery_seconds + HISTORY_EXTRA_SECONDS) *
			  1000,
		 now = clock_ms();
	struct list *node;

	while ((node = list_first(&router->history)) != NULL) {
		struct entry *e = CONTAINER_OF(node, struct entry, all);
		struct room *room = e->room;

		if (e->message->at_ms + age_ms > now)
			break;
		drop_oldest(room); /* the oldest of all is the oldest of its room */
		release(room);
	}
	LIST_EACH(&router->vacant, vacant, next) {
		struct room *room = CONTAINER_OF(vacant, struct room, vacant);

		if (now - room->vacant_ms <= kept_ms(router))
			break;
		release(room);
	}
	show(router);
}

void room_free_all(struct router *router)
{
	struct list *node;

	while ((node = list_first(&router->history)) != NULL) {
		struct room *room = CONTAINER_OF(node, struct entry, all)->room;

		drop_oldest(room);
		release(room);
	}
	while ((node = list_first(&router->vacant)) != NULL)
		free_room(CONTAINER_OF(node, struct room, vacant));
}
