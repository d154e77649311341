/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a start, publishers wait until the edges have come back and told what they hold: an event accepted before that would be held by this process
 * alone. Meanwhile the edges return the messages that the router before this one had sent them; when all are there they become the history
 * again, under their old places, and what waited goes on.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/life.h"
#include "services/router/persist.h"
#include "services/router/room.h"
#include "services/router/session.h"

#define SETTLE_STEP_MS 20u
#define AWAITED_EDGES_MAX 4096u

static bool is_synced(const struct router *router, const char *name)
{
	const struct list *head = &router->peers;

	for (const struct list *node = head->next; node != head; node = node->next) {
		const struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && peer->synced && strcmp(bus_link_peer(peer->link), name) == 0)
			return true;
	}
	return false;
}

/* A publisher that waits at the door, or an edge, tells which edges the router before us had. */
void settle_on_held(void *ctx, const struct wire_list *known)
{
	struct router *router = ctx;
	struct wire_list_walk w;
	struct str name;

	if (router->settled)
		return;
	wire_list_walk(known, &w);
	while (wire_list_next(&w, &name)) {
		struct awaited_edge *e = router->awaited_edges;
		unsigned count = 0;

		for (; e && !str_is(name, e->name); e = e->next)
			count++;
		if (e || count >= AWAITED_EDGES_MAX || !(e = mem_try(sizeof(*e))))
			continue;
		if (str_copy(name, e->name, sizeof(e->name))) {
			mem_free(e);
			continue;
		}
		e->next = router->awaited_edges;
		router->awaited_edges = e;
	}
}

static bool edges_synced(const struct router *router)
{
	const struct list *head = &router->peers;

	for (const struct awaited_edge *e = router->awaited_edges; e; e = e->next)
		if (!is_synced(router, e->name))
			return false;

	for (const struct list *node = head->next; node != head; node = node->next) {
		const struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && !peer->synced)
			return false;
	}
	return true;
}

static void drop_awaited(struct router *router, bool tell)
{
	while (router->awaited_edges) {
		struct awaited_edge *e = router->awaited_edges;

		if (tell && !is_synced(router, e->name))
			log_warn("router",
				 "an edge that was there before has not come back: it is not "
				 "waited for any longer",
				 KV_Z("edge", e->name));
		router->awaited_edges = e->next;
		mem_free(e);
	}
}

/* ── messages that edges give back ── */

/* 0, E_SYNTAX, E_NOMEM. */
static int message_of(const struct bus_message *m, struct message **message)
{
	uint32_t count = m->payload_count - 1;
	struct message *msg;
	union wire_any any;
	enum wire_id id;

	if (wire_unpack(m->payload[0], &id, &any) || id != WIRE_DELIVER || any.deliver.place == 0 ||
	    count != 1 + any.deliver.attachments)
		return E_SYNTAX;
	msg = mem_try(sizeof(*msg) + count * sizeof(struct blob *));
	if (!msg)
		return E_NOMEM;
	msg->refs = 1;
	msg->place = any.deliver.place;
	msg->at_ms = clock_ms(); /* longer than needed rather than too short */
	message_note_except(msg, &any.deliver.except);
	msg->body = blob_copy(m->payload[0]);
	msg->bytes = sizeof(*msg) + m->payload[0].n;
	while (msg->body && msg->payload_count < count) {
		struct blob *copy = blob_copy(m->payload[1 + msg->payload_count]);

		if (!copy)
			break;
		msg->payload[msg->payload_count++] = copy;
		msg->bytes += copy->n;
	}
	if (msg->payload_count != count)
		message_unref(&msg);
	*message = msg;
	return msg ? 0 : E_NOMEM;
}

void settle_on_return(struct router *router, const struct bus_message *m)
{
	struct message *msg = NULL;
	int err;

	if (router->settled || m->payload_count < 2)
		return; /* too late: rooms it was needed for have told their gap */
	metrics_inc(METRIC_RETURNED);
	err = message_of(m, &msg);
	if (!err && msg->place >= router->born)
		err = E_RANGE; /* of this life */
	if (!err)
		err = map_put(&router->returned, msg); /* or another edge has returned it, too */
	if (err)
		message_unref(&msg);
	router->return_lost |= err == E_NOMEM;
}

static void restore(struct router *router, struct message *msg)
{
	struct wire_list_walk w;
	union wire_any any;
	enum wire_id id;
	struct str name;

	if (wire_unpack(blob_str(msg->body), &id, &any))
		return;
	if ((any.deliver.uid_high || any.deliver.uid_low) &&
	    idset_add(&router->ids, any.deliver.uid_high, any.deliver.uid_low, clock_ms(), NULL) ==
		    E_EXISTS)
		log_debug("router", "an event came to two edges under two places");
	wire_list_walk(&any.deliver.rooms, &w);
	while (wire_list_next(&w, &name)) {
		struct room *room;

		buf_reset(&router->key);
		buf_add(&router->key, any.deliver.nsp);
		buf_addc(&router->key, ',');
		buf_add(&router->key, name);
		if (router->key.failed)
			continue;
		/* What Redis kept is kept on for those who are in no edge's hands. */
		room = persist_floor(router) ? room_get(router, buf_str(&router->key))
					     : room_find(router, buf_str(&router->key));
		if (room)
			room_remember(room, msg);
	}
}

static int by_place(const void *a, const void *b)
{
	uint64_t x = (*(struct message *const *)a)->place, y = (*(struct message *const *)b)->place;

	return x < y ? -1 : x > y;
}

/* Not all of what was returned could be kept: nothing of the life before is vouched for, so that nobody takes a hole for the whole. */
static void distrust(struct router *router)
{
	log_warn("router", "out of memory: what edges gave back is not whole");
	router->vouched = false;
	MAP_EACH(&router->rooms, struct room, room) {
		room->dropped_place = router->born;
		room->dropped_spared = 0;
		room->restored_upto = 0;
	}
}

/* What was returned becomes the oldest part of the history: nothing of this life is in it yet. */
static void restore_all(struct router *router)
{
	uint64_t floor = persist_floor(router);
	size_t count = map_count(&router->returned), n = 0;
	struct message **all = count ? mem_try(count * sizeof(struct message *)) : NULL;

	MAP_EACH(&router->returned, struct message, msg) {
		if (all)
			all[n++] = msg;
	}
	if (n > 1)
		qsort(all, n, sizeof(struct message *), by_place);
	if (floor && floor < router->floor) {
		router->floor = floor;
		router->vouched = true;
		MAP_EACH(&router->rooms, struct room, room)
			room_restore(room, floor, router->born);
	}
	for (size_t i = 0; i < n; i++)
		restore(router, all[i]);
	mem_free(all);
	if (router->return_lost || n < count)
		distrust(router);
	if (count)
		log_info("router", "history was given back by the edges", KV_U("messages", count));
}

static void drop_returned(struct router *router)
{
	MAP_EACH(&router->returned, struct message, msg) {
		struct message *gone = msg;

		map_del(&router->returned, message_key_of(msg));
		message_unref(&gone);
	}
}

/* ── what waits ── */

static void free_early(struct early *e)
{
	list_remove(&e->node);
	blob_unref(&e->body);
	for (uint32_t i = 0; i < e->payload_count; i++)
		blob_unref(&e->payload[i]);
	mem_free(e);
}

static void note_room(struct router *router, const struct wire_subscribe *m)
{
	struct room *room = m->since != WIRE_SINCE_ALL && m->epoch != bus_epoch() &&
					    m->since < router->born
				    ? room_get(router, m->room)
				    : NULL;

	if (room)
		room_restore(room, m->known_from, m->since);
}

bool settle_defer(struct peer *peer, const struct bus_message *m)
{
	struct router *router = peer->router;
	struct early *e;

	if (router->settled)
		return false;
	if (m->id == WIRE_SUBSCRIBE && m->any.subscribe.since > 0)
		note_room(router, &m->any.subscribe);
	else if (m->id != WIRE_RESUME && m->id != WIRE_REPLAY && m->id != WIRE_CLAIM &&
		 (m->id != WIRE_PUBLISH || m->any.publish.is_volatile))
		return false;
	e = mem_try(sizeof(*e) + m->payload_count * sizeof(struct blob *));
	if (!e)
		return true; /* its sender times out, or sends it again */
	e->peer = peer;
	e->body = blob_copy(m->body);
	list_append(&router->early, &e->node);
	while (e->body && e->payload_count < m->payload_count) {
		e->payload[e->payload_count] = blob_copy(m->payload[e->payload_count]);
		if (!e->payload[e->payload_count])
			break;
		e->payload_count++;
	}
	if (!e->body || e->payload_count != m->payload_count)
		free_early(e);
	return true;
}

static void dispatch(struct early *e)
{
	struct str payload[WIRE_MAX_PAYLOADS];
	struct bus_message m = { .body = blob_str(e->body),
				 .payload = payload,
				 .payload_count = e->payload_count };

	for (uint32_t i = 0; i < e->payload_count; i++)
		payload[i] = blob_str(e->payload[i]);
	if (wire_unpack(m.body, &m.id, &m.any) == 0)
		router_dispatch(e->peer, &m);
}

void settle_forget(struct peer *peer)
{
	LIST_EACH(&peer->router->early, node, next) {
		struct early *e = CONTAINER_OF(node, struct early, node);

		if (e->peer == peer)
			free_early(e);
	}
}

/* ── time ── */

static void on_settle(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, settle);
	uint64_t now = clock_ms();
	struct list *node;

	if (now < router->settle_until_ms || ((!edges_synced(router) || persist_loading(router)) &&
					      now < router->settle_at_latest_ms)) {
		svc_arm(router->svc, timer, now + SETTLE_STEP_MS);
		return;
	}
	drop_awaited(router, true);
	restore_all(router);
	drop_returned(router);
	router->settled = true;
	while ((node = list_first(&router->early)) != NULL) {
		struct early *e = CONTAINER_OF(node, struct early, node);

		list_remove(&e->node);
		dispatch(e);
		free_early(e);
	}
	bus_server_hold_role(router->server, "ingest", false);
	life_settled(router);
	session_foster_soon(router);
	log_info("router", "publishers are let in", KV_U("rooms", map_count(&router->rooms)));
}

void settle_begin(struct router *router)
{
	const struct conf *conf = &router->svc->conf;

	map_init(&router->returned, message_key_of);
	list_init(&router->early);
	wheel_timer_init(&router->settle, on_settle);
	bus_server_hold_role(router->server, "ingest", true);
	router->settle_until_ms = clock_ms() + (uint64_t)conf->router_settle_ms;
	router->settle_at_latest_ms = router->settle_until_ms + (uint64_t)conf->link_timeout_ms;
	on_settle(&router->settle);
}

void settle_end(struct router *router)
{
	struct list *node;

	svc_cancel(router->svc, &router->settle);
	drop_awaited(router, false);
	drop_returned(router);
	map_fini(&router->returned);
	while ((node = list_first(&router->early)) != NULL)
		free_early(CONTAINER_OF(node, struct early, node));
}
