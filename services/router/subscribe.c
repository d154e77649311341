/* SPDX-License-Identifier: Apache-2.0 */
/* An edge tells which rooms it holds, and gets what it missed. */
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/room.h"

static int replay(struct peer *peer, struct room *room, uint64_t since)
{
	struct entry *e = room->newest;
	int err = 0;

	while (e && e->older && e->older->message->place > since)
		e = e->older;
	for (; e && !err; e = e->newer) {
		struct message *m = e->message;

		if (m->place <= since)
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
	int err = 0;

	if (!room || room_add_edge(room, peer))
		return; /* no answer: the client's join times out and says UNAVAILABLE */
	room->own = m->own;
	room_set_live(room, peer, !m->vacant);
	/* Of a room that comes from another router, only what this one has forgotten since its start is missing. */
	if (m->since == WIRE_SINCE_ALL)
		answer.gap = room->dropped_place > router->born;
	else
		answer.gap = m->since > 0 && room_has_gap(room, m->since);
	if (answer.gap)
		metrics_inc(METRIC_REPLAY_GAPS);
	if (m->since > 0 &&
	    !answer.gap) /* who is told that something is missing needs nothing of the rest */
		err = replay(peer, room, m->since);
	if (!err)
		err = bus_link_send_msg(peer->link, WIRE_SUBSCRIBED, &answer, true);
	if (err && err != E_CLOSED) {
		log_warn("router", "an edge cannot be told what it missed: its link is set up anew",
			 KV_Z("peer", bus_link_peer(peer->link)), KV_ERR(err));
		bus_link_reset(peer->link);
	}
}

void subscribe_on_live(struct peer *peer, const struct wire_room_live *m)
{
	struct room *room = room_find(peer->router, m->room);

	if (room)
		room_set_live(room, peer, m->live);
}

void subscribe_on_unsubscribe(struct peer *peer, const struct wire_unsubscribe *m)
{
	struct room *room = room_find(peer->router, m->room);

	if (room)
		room_remove_edge(room, peer);
}
