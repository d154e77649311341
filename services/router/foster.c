/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions whose edge is gone are kept by this router alone; edges that are there take them over (SESSION_FOSTER), hold their rooms and fill their own
 * history of them, so that the next one to die may be this router.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "services/router/session.h"

#define FOSTER_MS 50u
#define FOSTER_BATCH 2000u
#define FOSTER_EDGES 256u
#define QUIET_MS 50u /* edges have asked for all that they want of rooms they were given */
#define DRAIN_STEP_MS 10u
#define DRAIN_MOST_MS 5000u

static int give(struct session *s, struct peer *edge)
{
	struct item_list list;
	struct wire_session_foster m = {
		.pid = session_pid_of(s),
		.sid = session_sid_of(s),
		.nsp = session_nsp_of(s),
		.user_id = session_user_id_of(s),
		.generation = s->generation,
		.parked_ms = clock_ms() - s->parked_ms,
	};
	int err = session_rooms(s, &list, &m.rooms);

	if (!err)
		err = bus_link_send_msg(edge->link, WIRE_SESSION_FOSTER, &m, true);
	item_list_fini(&list);
	if (!err)
		metrics_inc(METRIC_FOSTERED);
	return err;
}

static uint32_t edges_of(struct router *router, struct peer **edges)
{
	uint32_t n = 0;

	LIST_EACH(&router->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && peer->synced && n < FOSTER_EDGES && bus_link_up(peer->link) &&
		    !bus_link_gone(peer->link))
			edges[n++] = peer;
	}
	return n;
}

/* A portion of them: how many went. later: there are more, though links may be full now. */
static uint32_t foster(struct router *router, bool *later)
{
	struct peer *edges[FOSTER_EDGES];
	uint32_t count = edges_of(router, edges), at = 0, given = 0, refused = 0;

	*later = false;
	if (count == 0 || !router->settled)
		return 0; /* the next one that tells its rooms comes here again */
	LIST_EACH(&router->parked, node, next) {
		struct session *s = CONTAINER_OF(node, struct session, node);
		struct peer *edge = edges[at++ % count];

		if (given == FOSTER_BATCH || refused == count)
			break;
		if (give(s, edge)) {
			refused++;
			continue;
		}
		session_own(s, edge);
		given++;
		refused = 0;
	}
	*later = !list_empty(&router->parked);
	return given;
}

static void on_timer(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, foster);
	bool later;

	foster(router, &later);
	if (later)
		session_foster_soon(router);
}

/* ── the process's end: first edges have all that only it has ── */

static bool is_quiet(const struct router *router)
{
	const struct list *head = &router->peers;

	for (const struct list *node = head->next; node != head; node = node->next) {
		const struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && bus_link_up(peer->link) && !bus_link_gone(peer->link) &&
		    bus_link_unacked(peer->link) > 0)
			return false;
	}
	return clock_ms() - router->replayed_ms > QUIET_MS;
}

static void on_drain(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, foster);
	uint64_t now = clock_ms();
	bool later;

	while (foster(router, &later) == FOSTER_BATCH)
		;
	if (now < router->drain_until_ms &&
	    (now - router->drain_from_ms < QUIET_MS || !is_quiet(router)))
		svc_arm(router->svc, timer, now + DRAIN_STEP_MS);
	else
		svc_drained(router->svc);
}

void session_drain(struct router *router)
{
	uint64_t left = svc_drain_left_ms(router->svc);

	router->drain_from_ms = clock_ms();
	router->drain_until_ms = clock_ms() + (left < DRAIN_MOST_MS ? left : DRAIN_MOST_MS);
	svc_cancel(router->svc, &router->foster);
	wheel_timer_init(&router->foster, on_drain);
	on_drain(&router->foster);
}

void session_foster_init(struct router *router)
{
	wheel_timer_init(&router->foster, on_timer);
}

void session_foster_soon(struct router *router)
{
	if (!list_empty(&router->parked) && !wheel_armed(&router->foster))
		svc_arm(router->svc, &router->foster, clock_ms() + FOSTER_MS);
}
