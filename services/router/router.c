/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/router.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/room.h"

#define SWEEP_MS 1000u
#define SETTLE_STEP_MS 20u
#define PENDING_MAX 1000000u
#define KEY_BYTES 2048u
#define AWAITED_EDGES_MAX 4096u

static void on_sweep(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, sweep);

	room_sweep(router);
	svc_arm(router->svc, timer, clock_ms() + SWEEP_MS);
}

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

/* A publisher waits at the door and tells which edges the router before us had. */
static void on_held(void *ctx, const struct wire_list *known)
{
	struct router *router = ctx;
	struct wire_list_walk w;
	struct str name;

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

/*
 * After a start, publishers wait until the edges have come back and told what they hold: an event accepted before that would
 * be held by this process alone.
 */
static void on_settle(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, settle);
	uint64_t now = clock_ms();

	if (now < router->settle_until_ms ||
	    (!edges_synced(router) && now < router->settle_at_latest_ms)) {
		svc_arm(router->svc, timer, now + SETTLE_STEP_MS);
		return;
	}
	router->settled = true;
	while (router->awaited_edges) {
		struct awaited_edge *e = router->awaited_edges;

		if (!is_synced(router, e->name))
			log_warn("router",
				 "an edge that was there before has not come back: it is not "
				 "waited for any longer",
				 KV_Z("edge", e->name));
		router->awaited_edges = e->next;
		mem_free(e);
	}
	bus_server_hold_role(router->server, "ingest", false);
	log_info("router", "publishers are let in", KV_U("rooms", map_count(&router->rooms)));
}

static void on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct peer *peer = bus_link_user(link);

	(void)ctx;
	if (!peer)
		return;
	switch (m->id) {
	case WIRE_PUBLISH:
		publish_on_message(peer, m);
		break;
	case WIRE_SUBSCRIBE:
		subscribe_on_subscribe(peer, &m->any.subscribe);
		break;
	case WIRE_UNSUBSCRIBE:
		subscribe_on_unsubscribe(peer, &m->any.unsubscribe);
		break;
	case WIRE_SYNCED:
		peer->synced = true;
		if (peer->edge)
			peer_tell_edges(peer->router);
		break;
	default:
		metrics_inc(METRIC_WIRE_UNKNOWN);
		break;
	}
}

/* Set, but not used by this version: an outage that is told, never a silent fallback. */
bool router_redis_ready(void *self, char reason[SVC_REASON_BYTES])
{
	const struct router *router = self;
	const struct conf *conf = &router->svc->conf;

	if (!conf->redis_url[0] && !conf->redis_host[0])
		return true;
	snprintf(reason, SVC_REASON_BYTES, "%s is set, but this version does not use Redis",
		 conf->redis_url[0] ? "REDIS_URL" : "REDIS_HOST");
	return false;
}

int router_start(struct svc *svc, void *self)
{
	static const struct bus_handlers handlers = { peer_on_up, peer_on_down, on_message,
						      peer_on_acked, on_held };
	struct router *router = self;
	int err;

	router->svc = svc;
	list_init(&router->peers);
	list_init(&router->history);
	map_init(&router->rooms, room_key_of);
	idset_init(&router->ids, (size_t)svc->conf.event_id_count,
		   (uint64_t)svc->conf.event_id_seconds * 1000);
	slab_init(&router->pendings, sizeof(struct pending), PENDING_MAX);
	slab_init(&router->askers, sizeof(struct asker), PENDING_MAX);
	buf_init(&router->key, KEY_BYTES);
	wheel_timer_init(&router->sweep, on_sweep);
	wheel_timer_init(&router->settle, on_settle);
	err = bus_server_open(svc, svc->conf.router_bind, &handlers, router, &router->server);
	if (err)
		return err;
	bus_server_hold_role(router->server, "ingest", true);
	router->settle_until_ms = clock_ms() + (uint64_t)svc->conf.router_settle_ms;
	router->settle_at_latest_ms = router->settle_until_ms + (uint64_t)svc->conf.link_timeout_ms;
	svc_arm(svc, &router->sweep, clock_ms() + SWEEP_MS);
	on_settle(&router->settle);
	svc_notify(svc, "serving", 0);
	return 0;
}

void router_stop(struct svc *svc, void *self)
{
	struct router *router = self;
	struct list *node;

	svc_cancel(svc, &router->sweep);
	svc_cancel(svc, &router->settle);
	while (router->awaited_edges) {
		struct awaited_edge *e = router->awaited_edges;

		router->awaited_edges = e->next;
		mem_free(e);
	}
	while ((node = list_first(&router->peers)) != NULL)
		peer_on_down(router, CONTAINER_OF(node, struct peer, node)->link);
	bus_server_close(&router->server);
	room_free_all(router);
	map_fini(&router->rooms);
	idset_fini(&router->ids);
	slab_fini(&router->pendings);
	slab_fini(&router->askers);
	buf_fini(&router->key);
}

void router_dump(struct svc *svc, void *self, struct buf *out)
{
	struct router *router = self;

	(void)svc;
	buf_addf(out, "rooms=%zu place=%llu history=%llu pending=%zu ids=%zu settled=%d",
		 map_count(&router->rooms), (unsigned long long)router->place,
		 (unsigned long long)router->history_count, router->pendings.live,
		 idset_count(&router->ids), router->settled);
}
