/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/foster.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "services/edge/op.h"
#include "services/edge/record.h"

#define BACKFILLS_MAX 100000u

/* A room whose earlier messages are asked for. */
struct backfill {
	uint64_t ref; /* key in edge->backfills */
	uint64_t since;
	uint32_t key_bytes;
	char key[];
};

struct str foster_key_of(const void *backfill)
{
	return str_make((const char *)&((const struct backfill *)backfill)->ref, sizeof(uint64_t));
}

static struct backfill *find(struct edge *edge, uint64_t ref)
{
	return map_get(&edge->backfills, str_make((const char *)&ref, sizeof(ref)));
}

static void drop(struct edge *edge, struct backfill *b)
{
	map_del(&edge->backfills, foster_key_of(b));
	mem_free(b);
}

static void ask(struct room *room, uint64_t since)
{
	struct edge *edge = room->edge;
	struct str key = room_key_of(room);
	struct backfill *b =
		map_count(&edge->backfills) < BACKFILLS_MAX ? mem_try(sizeof(*b) + key.n) : NULL;
	struct buf text = BUF_INIT(4096);
	struct item item = { .place = since, .shard = room->shard->id, .name = key };
	struct wire_replay m = { 0 };
	struct str packed;

	if (!b)
		return;
	b->ref = ++edge->last_ref;
	b->since = since;
	b->key_bytes = (uint32_t)key.n;
	memcpy(b->key, key.p, key.n);
	item_add(&text, &item);
	packed = buf_str(&text);
	m.ref = b->ref;
	m.rooms = (struct wire_list){ .count = 1, .items = &packed };
	if (map_put(&edge->backfills, b))
		mem_free(b);
	else if (text.failed || bus_link_send_msg(room->shard->link, WIRE_REPLAY, &m, true))
		drop(edge, b);
	buf_fini(&text);
}

/* Behind the SUBSCRIBE on the same link: what comes in between is not missed. */
static void fill(struct sock *sock)
{
	for (uint32_t i = 0; i < sock->room_count; i++) {
		const struct membership *m = &sock->rooms[i];
		struct room *room = m->room;
		bool known = room->confirmed && room->known_from <= m->joined;

		if (room->shard && m->shard == room->shard->id && !known &&
		    (room->confirmed || room->pending > 0))
			ask(room, m->joined);
	}
}

static struct sock *make(struct edge *edge, const struct wire_session_foster *m)
{
	const struct profile_nsp *nsp = profile_nsp_find(edge->profile, m->nsp);
	struct sock *sock = nsp && m->sid.n == EDGE_ID_BYTES && m->pid.n == EDGE_ID_BYTES
				    ? mem_try(sizeof(*sock))
				    : NULL;

	if (!sock)
		return NULL;
	sock->edge = edge;
	sock->nsp = nsp;
	sock->state = SOCK_PARKED;
	sock->parked_at_ms = clock_ms() > m->parked_ms ? clock_ms() - m->parked_ms : 1;
	memcpy(sock->id, m->sid.p, EDGE_ID_BYTES);
	list_init(&sock->inbox);
	list_init(&sock->home_node);
	wheel_timer_init(&sock->token_timer, NULL);
	list_append(&edge->parked, &sock->node);
	metrics_inc(METRIC_PARKED);
	return sock;
}

void foster_on_session(struct shard *shard, const struct wire_session_foster *m)
{
	struct edge *edge = shard->edge;
	struct sock *sock;

	if (edge->draining || map_get(&edge->pids, m->pid) || !(sock = make(edge, m)))
		return;
	if (m->user_id.n)
		sock->user = ask_make_user(m->user_id, STR("{}"), 0);
	if ((m->user_id.n && !sock->user) || record_adopt(sock, m->pid, m->generation) ||
	    room_take_all(sock, &m->rooms)) {
		record_let_go(sock);
		return;
	}
	fill(sock);
}

bool foster_on_repeat(struct shard *shard, const struct bus_message *m)
{
	struct edge *edge = shard->edge;
	struct backfill *b = find(edge, m->any.repeat.ref);
	struct bus_message inner = { .body = m->payload_count ? m->payload[0] : STR_NONE,
				     .payload = m->payload + 1,
				     .payload_count = m->payload_count - 1 };

	if (!b)
		return false;
	if (m->payload_count > 1 && wire_unpack(inner.body, &inner.id, &inner.any) == 0 &&
	    inner.id == WIRE_DELIVER)
		tail_add_old(shard, &inner);
	return true;
}

bool foster_on_repeated(struct edge *edge, const struct wire_repeated *m)
{
	struct backfill *b = find(edge, m->ref);
	struct room *room;

	if (!b)
		return false;
	room = room_find(edge, str_make(b->key, b->key_bytes));
	if (room && !m->gap && room->confirmed && b->since < room->known_from)
		room->known_from = b->since;
	drop(edge, b);
	return true;
}

void foster_free_all(struct edge *edge)
{
	MAP_EACH(&edge->backfills, struct backfill, b)
		drop(edge, b);
	map_fini(&edge->backfills);
}
