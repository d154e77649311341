/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roomwire-router: orders messages, knows which edges hold a room, keeps the recent history of rooms.
 *
 * Talks to: edges and ingest (counted links; it is the binding side).
 * State:    rooms, history, event ids: soft, told again by the edges after a restart.
 * Signals:  see common/svc/svc.h. Drain: edges get the sessions that it alone has; publishers keep what was not acknowledged.
 */
#include "common/svc/svc.h"
#include "services/router/router.h"

static struct router router;

static const struct svc_need needs[] = {
	{ "redis", router_redis_ready },
	{ NULL, NULL },
};

static const struct svc_spec spec = {
	.name = "router",
	.job = "orders messages, knows which edges hold a room, keeps the recent history of rooms",
	.user = CONF_ROUTER,
	.needs = needs,
	.start = router_start,
	.drain = router_drain,
	.stop = router_stop,
	.dump = router_dump,
};

int main(int argc, char **argv)
{
	return svc_main(argc, argv, &spec, &router);
}
