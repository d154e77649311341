/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/router.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/acks.h"
#include "services/router/claim.h"
#include "services/router/directory.h"
#include "services/router/life.h"
#include "services/router/egress.h"
#include "services/router/persist.h"
#include "services/router/presence.h"
#include "services/router/room.h"

#define SWEEP_MS 1000u
#define PENDING_MAX 1000000u
#define KEY_BYTES 2048u

uint64_t router_next_place(const struct router *router)
{
	uint64_t now = clock_wall_us() << PLACE_US_SHIFT;

	return now > router->place ? now : router->place + 1;
}

static void on_sweep(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, sweep);

	room_sweep(router);
	session_sweep(router);
	svc_arm(router->svc, timer, clock_ms() + SWEEP_MS);
}

void router_dispatch(struct peer *peer, const struct bus_message *m)
{
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
	case WIRE_SESSION:
		session_on_session(peer, &m->any.session);
		break;
	case WIRE_SESSION_ROOMS:
		session_on_rooms(peer, &m->any.session_rooms);
		break;
	case WIRE_SESSION_PARKED:
		session_on_parked(peer, &m->any.session_parked);
		break;
	case WIRE_SESSION_ENDED:
		session_on_ended(peer, &m->any.session_ended);
		break;
	case WIRE_RESUME:
		session_on_resume(peer, &m->any.resume);
		break;
	case WIRE_ROOM_LIVE:
		subscribe_on_live(peer, &m->any.room_live);
		break;
	case WIRE_LIFE_WATCH:
		life_on_watch(peer, &m->any.life_watch);
		break;
	case WIRE_LIFE_DONE:
		life_on_done(peer, &m->any.life_done);
		break;
	case WIRE_ASKED:
		acks_on_asked(peer, &m->any.asked);
		break;
	case WIRE_ACK:
		acks_on_ack(peer, m);
		break;
	case WIRE_CLAIM:
		claim_on_claim(peer, &m->any.claim);
		break;
	case WIRE_REPLAY:
		replay_on_replay(peer, &m->any.replay);
		break;
	case WIRE_QUERY_ROOMS:
		query_on_rooms(peer, &m->any.query_rooms);
		break;
	case WIRE_QUERY_FIGURES:
		query_on_figures(peer, &m->any.query_figures);
		break;
	case WIRE_QUERY_SOCKETS:
		query_on_sockets(peer, &m->any.query_sockets);
		break;
	default:
		metrics_inc(METRIC_WIRE_UNKNOWN);
		break;
	}
}

static void on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct router *router = ctx;
	struct peer *peer = bus_link_user(link);

	if (!peer)
		return;
	if (m->id == WIRE_RETURN) {
		settle_on_return(router, m);
	} else if (m->id == WIRE_ADVERTISE) {
		peer_on_advertise(peer, &m->any.advertise);
	} else if (m->id == WIRE_WATCH) {
		egress_on_watch(peer, &m->any.watch);
	} else if (m->id == WIRE_SYNCED) {
		peer->synced = true;
		if (peer->edge)
			peer_tell_edges(router);
		session_foster_soon(router);
	} else if (!settle_defer(peer, m)) {
		router_dispatch(peer, m);
	}
}

bool router_redis_ready(void *self, char reason[SVC_REASON_BYTES])
{
	return persist_ready(self, reason);
}

int router_start(struct svc *svc, void *self)
{
	static const struct bus_handlers handlers = {
		.up = peer_on_up,
		.down = peer_on_down,
		.message = on_message,
		.acked = peer_on_acked,
		.held = settle_on_held,
		.gone = peer_on_gone,
	};
	struct router *router = self;
	int err;

	router->svc = svc;
	list_init(&router->peers);
	list_init(&router->history);
	list_init(&router->vacant);
	list_init(&router->parked);
	map_init(&router->rooms, room_key_of);
	map_init(&router->sessions, session_pid_of);
	map_init(&router->users, directory_user_of);
	map_init(&router->acks, acks_key_of);
	router->place = router->born = router->floor = router_next_place(router);
	router->last_ack = router->born;
	idset_init(&router->ids, (size_t)svc->conf.event_id_count,
		   (uint64_t)svc->conf.event_id_seconds * 1000);
	idset_init(&router->claims, (size_t)svc->conf.event_id_count, CLAIM_LEASE_MS);
	slab_init(&router->pendings, sizeof(struct pending), PENDING_MAX);
	slab_init(&router->askers, sizeof(struct asker), PENDING_MAX);
	buf_init(&router->key, KEY_BYTES);
	life_open(router);
	wheel_timer_init(&router->sweep, on_sweep);
	session_foster_init(router);
	presence_init(router);
	router->egress = egress_new();
	err = bus_server_open(svc, svc->conf.router_bind, &handlers, router, &router->server);
	if (err)
		return err;
	err = persist_open(router);
	if (err)
		return err;
	svc_arm(svc, &router->sweep, clock_ms() + SWEEP_MS);
	settle_begin(router);
	svc_notify(svc, "serving", 0);
	return 0;
}

void router_drain(struct svc *svc, void *self)
{
	(void)svc;
	session_drain(self);
}

void router_stop(struct svc *svc, void *self)
{
	struct router *router = self;
	struct list *node;

	svc_cancel(svc, &router->sweep);
	persist_close(router);
	while ((node = list_first(&router->peers)) != NULL)
		peer_on_down(router, CONTAINER_OF(node, struct peer, node)->link);
	egress_free(&router->egress);
	settle_end(router);
	svc_cancel(svc, &router->foster);
	bus_server_close(&router->server);
	session_free_all(router);
	room_free_all(router);
	map_fini(&router->rooms);
	presence_fini(router);
	map_fini(&router->sessions);
	map_fini(&router->users);
	map_fini(&router->acks);
	life_close(router);
	idset_fini(&router->ids);
	idset_fini(&router->claims);
	slab_fini(&router->pendings);
	slab_fini(&router->askers);
	buf_fini(&router->key);
}

void router_dump(struct svc *svc, void *self, struct buf *out)
{
	struct router *router = self;

	(void)svc;
	buf_addf(out,
		 "rooms=%zu sessions=%zu place=%llu history=%llu pending=%zu ids=%zu settled=%d",
		 map_count(&router->rooms), map_count(&router->sessions),
		 (unsigned long long)router->place, (unsigned long long)router->history_count,
		 router->pendings.live, idset_count(&router->ids), router->settled);
}
