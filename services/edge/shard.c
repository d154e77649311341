/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/shard.h"

#include "common/base/b64.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/edge/forward.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

#define OFFSET_SHARD_BYTES 12

struct shard *shard_of(struct edge *edge, struct str room_key)
{
	struct bus_link *link = router_clnt_link(edge->router, room_key);

	return link ? bus_link_user(link) : NULL;
}

void shard_passed(struct shard *shard, uint64_t place)
{
	if (shard->filling > 0) {
		if (place > shard->passed)
			shard->passed = place;
		return;
	}
	if (place <= shard->place)
		return;
	shard->place = place;
	shard->edge->offset_bytes = 0; /* to be written anew */
}

/* ── offsets ── */

static void write_place(const struct offset_place *p, struct buf *out)
{
	char raw[OFFSET_SHARD_BYTES], *room;
	uint64_t place = p->place;

	for (int i = 11; i >= 4; i--, place >>= 8)
		raw[i] = (char)(unsigned char)(place & 0xff);
	for (int i = 0; i < 4; i++)
		raw[i] = (char)(unsigned char)(p->shard >> (24 - 8 * i) & 0xff);
	room = buf_room(out, OFFSET_SHARD_CHARS);
	if (!room)
		return;
	b64url_encode(str_make(raw, sizeof(raw)), room);
	out->n += OFFSET_SHARD_CHARS;
}

void offset_write(const struct offset *offset, struct buf *out)
{
	for (uint32_t i = 0; i < offset->count; i++)
		write_place(&offset->places[i], out);
}

struct str shard_offset(struct edge *edge)
{
	struct buf *out = &edge->offset;

	if (edge->offset_bytes > 0)
		return buf_str(out);
	buf_reset(out);
	LIST_EACH(&edge->shards, node, next) {
		const struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (s->place > 0 && out->n < OFFSET_MAX_CHARS)
			write_place(&(struct offset_place){ s->id, s->place }, out);
	}
	edge->offset_bytes = out->n;
	return buf_str(out);
}

int offset_read(struct str text, struct offset *offset)
{
	char raw[OFFSET_SHARD_BYTES + 4];
	size_t n;

	offset->count = 0;
	if (text.n % OFFSET_SHARD_CHARS != 0 || text.n > OFFSET_MAX_CHARS)
		return E_SYNTAX;
	for (size_t at = 0; at < text.n; at += OFFSET_SHARD_CHARS) {
		struct offset_place *p = &offset->places[offset->count++];

		if (b64url_decode(str_make(text.p + at, OFFSET_SHARD_CHARS), raw, &n) ||
		    n != OFFSET_SHARD_BYTES)
			return E_SYNTAX;
		*p = (struct offset_place){ 0, 0 };
		for (int i = 0; i < 4; i++)
			p->shard = p->shard << 8 | (unsigned char)raw[i];
		for (int i = 4; i < OFFSET_SHARD_BYTES; i++)
			p->place = p->place << 8 | (unsigned char)raw[i];
	}
	return 0;
}

uint64_t offset_get(const struct offset *offset, uint32_t shard)
{
	for (uint32_t i = 0; i < offset->count; i++)
		if (offset->places[i].shard == shard)
			return offset->places[i].place;
	return 0;
}

void offset_set(struct offset *offset, uint32_t shard, uint64_t place)
{
	for (uint32_t i = 0; i < offset->count; i++) {
		if (offset->places[i].shard == shard) {
			offset->places[i].place = place;
			return;
		}
	}
	if (offset->count < OFFSET_SHARDS_MAX)
		offset->places[offset->count++] = (struct offset_place){ shard, place };
}

/* ── telling a router what we hold ── */

/* Half of what the link may hold: the rest is for what happens meanwhile. */
static bool has_room(const struct shard *s)
{
	return bus_link_unacked(s->link) < (uint64_t)s->edge->svc->conf.link_unacked_count / 2;
}

static int tell_next(struct shard *s)
{
	struct list *node;
	int err;

	if (s->next_return && s->next_return->place > s->return_upto)
		s->next_return = NULL;
	if (s->next_return) {
		struct tail_item *item = s->next_return;

		err = tail_return(s, item);
		if (!err)
			s->next_return =
				item->node.next == &s->tail
					? NULL
					: CONTAINER_OF(item->node.next, struct tail_item, node);
		return err;
	}
	if ((node = list_first(&s->untold)) != NULL)
		return room_tell(CONTAINER_OF(node, struct room, node));
	if ((node = list_first(&s->homed_untold)) != NULL)
		return record_tell(record_sock_of(node));
	router_clnt_synced(s->edge->router, s->link);
	s->syncing = false;
	return 0;
}

static void pump(struct shard *s)
{
	while (s->syncing && has_room(s))
		if (tell_next(s))
			return; /* the link is full or gone: with the next acknowledgement, or anew */
}

void shard_on_acked(void *ctx, struct bus_link *link)
{
	struct shard *s = bus_link_user(link);

	(void)ctx;
	if (s && s->syncing)
		pump(s);
}

void shard_on_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch)
{
	struct edge *edge = ctx;
	struct shard *s = bus_link_user(link);
	struct wire_advertise advertise = { .endpoint = str_of(forward_endpoint(edge)),
					    .tag = str_make(edge->tag, EDGE_TAG_BYTES) };
	struct list *node;

	if (!s)
		return;
	if (bus_link_send_msg(link, WIRE_ADVERTISE, &advertise, true))
		log_debug("shard", "the link is gone again");
	s->old_epoch = old_epoch;
	s->next_return = NULL;
	s->return_upto = s->place;
	if (old_epoch && old_epoch != bus_link_peer_epoch(link) && (node = list_first(&s->tail)))
		s->next_return = CONTAINER_OF(node, struct tail_item, node);
	while ((node = list_pop(&s->rooms)) != NULL) {
		room_untell(CONTAINER_OF(node, struct room, node));
		list_append(&s->untold, node);
	}
	while ((node = list_pop(&s->homed)) != NULL)
		list_append(&s->homed_untold, node);
	fill_begin(s);
	restore_begin_anew(edge, s);
	s->syncing = true;
	pump(s);
}

/* ── routers come and go ── */

/* Rooms that belong to another router since the set has changed. */
static void move_rooms(struct edge *edge)
{
	MAP_EACH(&edge->rooms, struct room, room) {
		struct shard *owner = shard_of(edge, room_key_of(room));

		if (owner && owner != room->shard)
			room_move(room, owner);
	}
}

void shard_on_added(void *ctx, struct bus_link *link, const char *endpoint)
{
	struct edge *edge = ctx;
	struct shard *s = mem_need(sizeof(*s));

	s->edge = edge;
	s->link = link;
	s->id = (uint32_t)hash_stable64(str_of(endpoint));
	list_init(&s->due);
	list_init(&s->rooms);
	list_init(&s->untold);
	list_init(&s->homed);
	list_init(&s->homed_untold);
	list_init(&s->tail);
	list_append(&edge->shards, &s->node);
	bus_link_set_user(link, s);
	edge->offset_bytes = 0;
}

void shard_on_changed(void *ctx)
{
	struct edge *edge = ctx;

	if (!edge->router) /* while the first ones are opened */
		return;
	move_rooms(edge);
	record_move_all(edge);
}

static void free_shard(struct shard *s)
{
	fill_drop(s);
	tail_drop_shard(s);
	list_remove(&s->node);
	mem_free(s);
}

void shard_on_removed(void *ctx, struct bus_link *link)
{
	struct edge *edge = ctx;
	struct shard *s = bus_link_user(link);

	if (!s)
		return;
	bus_link_set_user(link, NULL);
	MAP_EACH(&edge->rooms, struct room, room) {
		if (room->old == s)
			room->old = NULL;
	}
	if (!edge->closing)
		restore_begin_anew(edge, s);
	edge->offset_bytes = 0;
	free_shard(s);
}

void shards_free(struct edge *edge)
{
	while (!list_empty(&edge->shards))
		free_shard(CONTAINER_OF(list_first(&edge->shards), struct shard, node));
}
