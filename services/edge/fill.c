/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "services/edge/deliver.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

#define INSERTED_AT_MOST 32u
#define TIMEOUTS 3u /* of links: a router waits for edges as long after its start */

void fill_drop(struct shard *shard)
{
	while (shard->kept_count > shard->kept_head)
		mem_free(shard->kept[--shard->kept_count]);
	mem_free(shard->kept);
	shard->kept = NULL;
	shard->kept_count = shard->kept_cap = shard->kept_head = shard->kept_sorted = 0;
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

static bool is_before(const struct tail_item *x, const struct tail_item *y)
{
	return x->place < y->place || (x->place == y->place && x->kept_as < y->kept_as);
}

static int by_place(const void *a, const void *b)
{
	const struct tail_item *x = *(struct tail_item *const *)a;
	const struct tail_item *y = *(struct tail_item *const *)b;

	return is_before(x, y) ? -1 : is_before(y, x);
}

/* A few behind many in order: each to its place. */
static void insert_tail(struct tail_item **kept, uint32_t from, uint32_t count)
{
	for (uint32_t i = from; i < count; i++) {
		struct tail_item *item = kept[i];
		uint32_t at = i;

		while (at > 0 && is_before(item, kept[at - 1]))
			at--;
		memmove(kept + at + 1, kept + at, (i - at) * sizeof(struct tail_item *));
		kept[at] = item;
	}
}

static void sort_kept(struct shard *shard)
{
	struct tail_item **kept = shard->kept + shard->kept_head;
	uint32_t count = shard->kept_count - shard->kept_head;
	uint32_t sorted =
		shard->kept_sorted > shard->kept_head ? shard->kept_sorted - shard->kept_head : 0;

	if (count - sorted <= INSERTED_AT_MOST)
		insert_tail(kept, sorted, count);
	else
		qsort(kept, count, sizeof(struct tail_item *), by_place);
	shard->kept_sorted = shard->kept_count;
}

/* What was kept is delivered, in order, until one of them makes a socket join a room that is to be filled, too: the rest waits for that. */
static void finish(struct shard *shard)
{
	uint64_t passed = shard->passed;

	if (shard->finishing)
		return;
	shard->finishing = true;
	if (shard->kept_count > 0)
		sort_kept(shard);
	while (shard->filling == 0 && shard->kept_head < shard->kept_count) {
		struct tail_item *item = shard->kept[shard->kept_head++];
		struct str payload[WIRE_MAX_PAYLOADS];
		struct bus_message m;

		shard->kept_bytes -= item->bytes;
		if (tail_read(item, &m, payload))
			deliver_now(shard, &m);
		mem_free(item);
	}
	shard->finishing = false;
	if (shard->filling > 0) {
		if (passed > shard->passed)
			shard->passed = passed; /* once these are done, too */
		return;
	}
	fill_drop(shard);
	shard_passed(shard, passed);
	room_leave_due(shard);
	restore_on_filled(shard->edge);
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
	uint64_t place = m->any.deliver.place;
	struct tail_item *item = NULL;

	if (shard->filling == 0)
		return false;
	if (place == 0 && !m->any.deliver.ack)
		return true; /* volatile: the first to go */
	if (place == 0)      /* to be acknowledged: behind what came before it */
		place = shard->newest_kept > shard->place ? shard->newest_kept : shard->place;
	if (shard->kept_count < shard->kept_cap ||
	    mem_grow((void **)&shard->kept, &shard->kept_cap, sizeof(struct tail_item *)) == 0)
		item = tail_copy(shard, m, place);
	if (item) {
		if (place > shard->newest_kept)
			shard->newest_kept = place;
		item->kept_as = ++shard->last_kept_as;
		shard->kept[shard->kept_count++] = item;
		shard->kept_bytes += item->bytes;
	}
	if (item && shard->kept_bytes <= (size_t)shard->edge->svc->conf.edge_history_bytes)
		return true;
	give_up(shard);
	return item != NULL;
}
