/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The latest messages that routers have sent: a router that dies loses none of those that an edge has. Bounds: EDGE_HISTORY_COUNT,
 * EDGE_HISTORY_BYTES, and the recovery window.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "services/edge/room.h"
#include "services/edge/shard.h"

#define EXTRA_SECONDS 10u

static struct str body_of(const struct tail_item *item)
{
	return str_make((const char *)(item->payload_bytes + item->payload_count),
			item->body_bytes);
}

/* Without it, the rooms it was sent to are known only behind it. */
static void note_dropped(const struct tail_item *item)
{
	struct edge *edge = item->shard->edge;
	struct wire_list_walk w;
	union wire_any any;
	enum wire_id id;
	struct str name, key;

	if (wire_unpack(body_of(item), &id, &any))
		return;
	wire_list_walk(&any.deliver.rooms, &w);
	while (wire_list_next(&w, &name)) {
		struct buf text = BUF_INIT(ROOM_KEY_BYTES);
		struct room *room =
			room_key(any.deliver.nsp, name, &text, &key) ? NULL : room_find(edge, key);

		if (room && room->known_from < item->place)
			room->known_from = item->place;
		buf_fini(&text);
	}
}

static void drop(struct tail_item *item)
{
	struct shard *shard = item->shard;
	struct edge *edge = shard->edge;

	if (shard->next_return == item)
		shard->next_return =
			item->node.next == &shard->tail
				? NULL
				: CONTAINER_OF(item->node.next, struct tail_item, node);
	note_dropped(item);
	list_remove(&item->node);
	list_remove(&item->all);
	edge->tail_count--;
	edge->tail_bytes -= item->bytes;
	mem_free(item);
}

static void show(const struct edge *edge)
{
	metrics_set(METRIC_TAIL_MESSAGES, edge->tail_count);
	metrics_set(METRIC_TAIL_BYTES, edge->tail_bytes);
}

static void trim(struct edge *edge)
{
	const struct conf *conf = &edge->svc->conf;

	while (edge->tail_count > (uint64_t)conf->edge_history_count ||
	       edge->tail_bytes > (uint64_t)conf->edge_history_bytes)
		drop(CONTAINER_OF(list_first(&edge->tail), struct tail_item, all));
}

struct tail_item *tail_copy(struct shard *shard, const struct bus_message *m, uint64_t place)
{
	size_t bytes = sizeof(struct tail_item) + m->payload_count * sizeof(uint32_t) + m->body.n;
	struct tail_item *item;
	char *at;

	for (uint32_t i = 0; i < m->payload_count; i++)
		bytes += m->payload[i].n;
	item = mem_try(bytes);
	if (!item)
		return NULL;
	list_init(&item->node);
	list_init(&item->all);
	item->shard = shard;
	item->place = place;
	item->at_ms = clock_ms();
	item->payload_count = m->payload_count;
	item->body_bytes = (uint32_t)m->body.n;
	item->bytes = bytes;
	at = (char *)(item->payload_bytes + m->payload_count);
	memcpy(at, m->body.p, m->body.n);
	at += m->body.n;
	for (uint32_t i = 0; i < m->payload_count; i++) {
		item->payload_bytes[i] = (uint32_t)m->payload[i].n;
		if (m->payload[i].n)
			memcpy(at, m->payload[i].p, m->payload[i].n);
		at += m->payload[i].n;
	}
	return item;
}

bool tail_read(const struct tail_item *item, struct bus_message *m, struct str *payload)
{
	const char *at;

	*m = (struct bus_message){ .body = body_of(item),
				   .payload = payload,
				   .payload_count = item->payload_count };
	at = m->body.p + m->body.n;
	if (item->payload_count > WIRE_MAX_PAYLOADS)
		return false;
	for (uint32_t i = 0; i < item->payload_count; at += item->payload_bytes[i++])
		payload[i] = str_make(at, item->payload_bytes[i]);
	return wire_unpack(m->body, &m->id, &m->any) == 0 && m->id == WIRE_DELIVER;
}

void tail_add(struct shard *shard, const struct bus_message *m, uint64_t place)
{
	struct edge *edge = shard->edge;
	struct tail_item *item = tail_copy(shard, m, place);

	if (!item) { /* as if it were dropped at once, and all before it */
		while (!list_empty(&edge->tail))
			drop(CONTAINER_OF(list_first(&edge->tail), struct tail_item, all));
		return;
	}
	list_append(&shard->tail, &item->node);
	list_append(&edge->tail, &item->all);
	edge->tail_count++;
	edge->tail_bytes += item->bytes;
	trim(edge);
	show(edge);
}

void tail_add_old(struct shard *shard, const struct bus_message *m)
{
	const struct wire_deliver *d = &m->any.deliver;
	struct wire_list_walk w;
	struct str name, key;
	bool is_new = false;

	wire_list_walk(&d->rooms, &w);
	while (!is_new && wire_list_next(&w, &name)) {
		struct buf text = BUF_INIT(ROOM_KEY_BYTES);
		const struct room *room =
			room_key(d->nsp, name, &text, &key) ? NULL : room_find(shard->edge, key);

		is_new = room && d->place <= room->known_from;
		buf_fini(&text);
	}
	if (is_new)
		tail_add(shard, m, d->place);
}

void tail_sweep(struct edge *edge)
{
	uint64_t age_ms = ((uint64_t)edge->svc->conf.recovery_seconds + EXTRA_SECONDS) * 1000;
	uint64_t now = clock_ms();
	struct list *node;

	while ((node = list_first(&edge->tail)) != NULL) {
		struct tail_item *item = CONTAINER_OF(node, struct tail_item, all);

		if (now - item->at_ms <= age_ms)
			break;
		drop(item);
	}
	show(edge);
}

void tail_drop_shard(struct shard *shard)
{
	struct list *node;

	while ((node = list_first(&shard->tail)) != NULL)
		drop(CONTAINER_OF(node, struct tail_item, node));
	show(shard->edge);
}

int tail_return(struct shard *shard, const struct tail_item *item)
{
	struct wire_return_ m = { 0 };
	struct blob *body = wire_pack(WIRE_RETURN, &m), *payload[WIRE_MAX_PAYLOADS];
	struct str rest = body_of(item);
	uint32_t n = 0, count = 1 + item->payload_count;
	int err = body && count <= WIRE_MAX_PAYLOADS ? 0 : E_NOMEM;

	for (; n < count && !err; n++) {
		payload[n] = blob_copy(rest);
		if (!payload[n]) {
			err = E_NOMEM;
			break;
		}
		if (n + 1 < count)
			rest = str_make(rest.p + rest.n, item->payload_bytes[n]);
	}
	if (!err)
		err = bus_link_send(shard->link, body, payload, count, true, NULL);
	while (n > 0)
		blob_unref(&payload[--n]);
	blob_unref(&body);
	return err;
}
