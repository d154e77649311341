/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roomwire-edge: holds client sockets and speaks Engine.IO 4 and Socket.IO 5 with them.
 *
 * Talks to: clients (HTTP and WebSocket), auth (questions), routers (rooms and messages).
 * State:    connections, their rooms, what is queued for them. Lost with the process: its clients reconnect.
 * Signals:  see common/svc/svc.h. Drain: no new clients, the present ones are closed in a spread manner.
 */
#include "common/svc/svc.h"
#include "services/edge/edge.h"

static struct edge edge;

static const struct svc_need needs[] = {
	{ "router", edge_router_ready },
	{ "auth", edge_auth_ready },
	{ NULL, NULL },
};

static const struct svc_spec spec = {
	.name = "edge",
	.job = "holds client sockets and speaks Engine.IO 4 and Socket.IO 5 with them",
	.user = CONF_EDGE,
	.wants_profile = true,
	.needs = needs,
	.start = edge_start,
	.drain = edge_drain,
	.stop = edge_stop,
	.dump = edge_dump,
};

int main(int argc, char **argv)
{
	return svc_main(argc, argv, &spec, &edge);
}
