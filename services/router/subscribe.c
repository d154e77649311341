/* SPDX-License-Identifier: Apache-2.0 */
/* An edge tells which rooms it holds, and gets what it missed. */
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/room.h"

/* Did the history drop something the edge has not seen? After a restart it has seen nothing of this life of ours. */
static bool has_gap(const struct room *room, uint64_t epoch, uint64_t since)
{
	if (epoch == 0)
		return false;
	return room->dropped_place > (epoch == bus_epoch() ? since : 0);
}

static int replay(struct peer *peer, struct room *room, uint64_t epoch, uint64_t since)
{
	int err = 0;

	if (epoch == 0)
		return 0;
	for (struct entry *e = room->oldest; e && !err; e = e->newer) {
		struct message *m = e->message;

		if (epoch == bus_epoch() && m->place <= since)
			continue;
		err = bus_link_send(peer->link, m->body, m->payload, m->payload_count, true, NULL);
		metrics_inc(METRIC_REPLAYED);
	}
	return err;
}

void subscribe_on_subscribe(struct peer *peer, const struct wire_subscribe *m)
{
	struct router *router = peer->router;
	struct room *room = room_get(router, m->room);
	struct wire_subscribed answer = { .room = m->room, .place = router->place };
	int err;

	if (!room ||
	    room_add_edge(room,
			  peer)) /* no answer: the client's join times out and says UNAVAILABLE */
		return;
	answer.gap = has_gap(room, m->epoch, m->since);
	if (answer.gap)
		metrics_inc(METRIC_REPLAY_GAPS);
	err = replay(peer, room, m->epoch, m->since);
	if (!err)
		err = bus_link_send_msg(peer->link, WIRE_SUBSCRIBED, &answer, true);
	if (err && err != E_CLOSED) {
		log_warn("router", "an edge cannot be told what it missed: its link is set up anew",
			 KV_Z("peer", bus_link_peer(peer->link)), KV_ERR(err));
		bus_link_reset(peer->link);
	}
}

void subscribe_on_unsubscribe(struct peer *peer, const struct wire_unsubscribe *m)
{
	struct room *room = room_find(peer->router, m->room);

	if (room)
		room_remove_edge(room, peer);
}
