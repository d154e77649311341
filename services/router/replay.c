/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one client missed: the messages of its rooms behind the places it has, once each and in the order of their places. Only the history of
 * those rooms is touched.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "proto/item.h"
#include "services/router/room.h"

#define REPLAY_MESSAGES_MAX 100000u

struct found {
	struct message **messages; /* OWNED; BORROWED items: nothing is dropped meanwhile */
	uint32_t count, cap;
	uint64_t bytes;
	bool gap;
};

static void add(struct found *found, struct message *message)
{
	if (found->count >= REPLAY_MESSAGES_MAX ||
	    (found->count == found->cap &&
	     mem_grow((void **)&found->messages, &found->cap, sizeof(struct message *)))) {
		found->gap = true;
		return;
	}
	found->messages[found->count++] = message;
	found->bytes += message->bytes;
}

static void find(struct router *router, const struct item *item, struct str sid,
		 struct found *found)
{
	struct room *room = room_find(router, item->name);

	if (!room) { /* nobody holds it, and nothing is known of it */
		found->gap |= item->place < router->floor;
		return;
	}
	found->gap |= room_has_gap_for(room, item->place, sid);
	for (struct entry *e = room->newest; e && e->message->place > item->place && !found->gap;
	     e = e->older)
		add(found, e->message);
}

static int by_place(const void *a, const void *b)
{
	uint64_t x = (*(struct message *const *)a)->place, y = (*(struct message *const *)b)->place;

	return x < y ? -1 : x > y;
}

static int repeat(struct peer *peer, uint64_t ref, struct message *m)
{
	struct wire_repeat repeat_m = { .ref = ref };
	struct blob *body = wire_pack(WIRE_REPEAT, &repeat_m);
	struct blob *payload[WIRE_MAX_PAYLOADS];
	int err = body ? 0 : E_NOMEM;

	payload[0] = m->body;
	for (uint32_t i = 0; i < m->payload_count; i++)
		payload[1 + i] = m->payload[i];
	if (!err)
		err = bus_link_send(peer->link, body, payload, 1 + m->payload_count, true, NULL);
	blob_unref(&body);
	return err;
}

void replay_on_replay(struct peer *peer, const struct wire_replay *m)
{
	struct router *router = peer->router;
	struct found found = { 0 };
	struct wire_repeated answer = { .ref = m->ref, .place = router->place };
	struct wire_list_walk w;
	struct message *last = NULL;
	struct item item;
	struct str text;
	int err = 0;

	router->replayed_ms = clock_ms();
	wire_list_walk(&m->rooms, &w);
	while (wire_list_next(&w, &text))
		if (item_read(text, &item) == 0)
			find(router, &item, m->sid, &found);
	found.gap |= found.bytes > (uint64_t)router->svc->conf.replay_bytes;
	answer.gap = found.gap;
	if (found.gap)
		metrics_inc(METRIC_REPLAY_GAPS);
	else if (found.count > 1)
		qsort(found.messages, found.count, sizeof(struct message *), by_place);
	for (uint32_t i = 0; i < found.count && !found.gap && !err; i++) {
		if (found.messages[i] == last)
			continue;
		last = found.messages[i];
		err = repeat(peer, m->ref, last);
		metrics_inc(METRIC_REPLAYED);
	}
	if (!err)
		err = bus_link_send_msg(peer->link, WIRE_REPEATED, &answer, true);
	if (err && err != E_CLOSED) {
		log_warn(
			"replay",
			"what a client missed does not fit the link of its edge: it is set up anew",
			KV_Z("peer", bus_link_peer(peer->link)), KV_ERR(err));
		bus_link_reset(peer->link);
	}
	mem_free(found.messages);
}
