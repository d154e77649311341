/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "services/edge/deliver.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

#define TIMEOUTS 3u /* of links: a router waits for edges as long after its start */

void fill_drop(struct shard *shard)
{
	while (shard->kept_count > 0)
		mem_free(shard->kept[--shard->kept_count]);
	mem_free(shard->kept);
	shard->kept = NULL;
	shard->kept_cap = 0;
	shard->kept_bytes = 0;
}

void fill_begin(struct shard *shard)
{
	fill_drop(shard);
	shard->filling = 0;
	shard->filling_ms = clock_ms();
	shard->passed = shard->place;
	LIST_EACH(&shard->untold, node, next) {
		struct room *room = CONTAINER_OF(node, struct room, node);

		room->filling = room->since > 0;
		shard->filling += room->filling;
	}
}

void fill_room_begin(struct room *room)
{
	struct shard *shard = room->shard;

	if (room->filling)
		return;
	if (shard->filling == 0) {
		shard->filling_ms = clock_ms();
		shard->passed = shard->place;
	}
	room->filling = true;
	shard->filling++;
}

static int by_place(const void *a, const void *b)
{
	const struct tail_item *x = *(struct tail_item *const *)a;
	const struct tail_item *y = *(struct tail_item *const *)b;

	return x->place < y->place ? -1 : x->place > y->place;
}

/* The last room is filled: what was kept is delivered. */
static void finish(struct shard *shard)
{
	struct edge *edge = shard->edge;
	struct tail_item **kept = shard->kept;
	uint32_t count = shard->kept_count;

	shard->kept = NULL;
	shard->kept_count = shard->kept_cap = 0;
	shard->kept_bytes = 0;
	if (count > 1)
		qsort(kept, count, sizeof(struct tail_item *), by_place);
	for (uint32_t i = 0; i < count; i++) {
		struct str payload[WIRE_MAX_PAYLOADS];
		struct bus_message m;

		if (tail_read(kept[i], &m, payload))
			deliver_now(shard, &m);
		mem_free(kept[i]);
	}
	mem_free(kept);
	shard_passed(shard, shard->passed);
	restore_on_filled(edge);
}

void fill_room_done(struct room *room)
{
	struct shard *shard = room->shard;

	if (!room->filling)
		return;
	room->filling = false;
	if (shard && --shard->filling == 0)
		finish(shard);
}

/* More than we keep: those whose rooms are not filled are told, and the rest goes on. */
static void give_up(struct shard *shard)
{
	log_warn("shard",
		 "rooms are not filled from history in time, or with more than is kept "
		 "(EDGE_HISTORY_BYTES)",
		 KV_U("rooms", shard->filling));
	shard->filling++; /* until all are told */
	MAP_EACH(&shard->edge->rooms, struct room, room) {
		if (room->shard != shard || !room->filling)
			continue;
		room_tell_gap(room);
		fill_room_done(room);
	}
	if (--shard->filling == 0)
		finish(shard);
}

void fill_sweep(struct edge *edge)
{
	uint64_t most_ms = (uint64_t)edge->svc->conf.link_timeout_ms * TIMEOUTS;

	LIST_EACH(&edge->shards, node, next) {
		struct shard *shard = CONTAINER_OF(node, struct shard, node);

		if (shard->filling > 0 && bus_link_up(shard->link) && !shard->syncing &&
		    clock_ms() - shard->filling_ms > most_ms)
			give_up(shard);
	}
}

bool fill_keep(struct shard *shard, const struct bus_message *m)
{
	struct tail_item *item = NULL;

	if (shard->filling == 0)
		return false;
	if (m->any.deliver.place == 0)
		return true; /* volatile: the first to go */
	if (shard->kept_count < shard->kept_cap ||
	    mem_grow((void **)&shard->kept, &shard->kept_cap, sizeof(struct tail_item *)) == 0)
		item = tail_copy(shard, m, m->any.deliver.place);
	if (item) {
		shard->kept[shard->kept_count++] = item;
		shard->kept_bytes += item->bytes;
	}
	if (item && shard->kept_bytes <= (size_t)shard->edge->svc->conf.edge_history_bytes)
		return true;
	give_up(shard);
	return item != NULL;
}
