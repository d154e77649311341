/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edge: holds client sockets and speaks Engine.IO and Socket.IO with them.
 *
 *   front (HTTP, libuv) ─┬─ polling.c ─┐
 *                        └─ ws.c ──────┴─▶ session (Engine.IO: one client) ─▶ sock (Socket.IO: one namespace of a client)
 *                                             ▲                                 │ op (one event being worked on)
 *                                   flush, one write a turn                     ▼
 *                                          deliver.c ◀── router ◀── room (local members, subscription)
 *
 * Nothing dies inside its own callback: sessions and socks are unlinked and marked at once, their memory goes at the end of the loop turn.
 */
#ifndef ROOMWIRE_EDGE_EDGE_H
#define ROOMWIRE_EDGE_EDGE_H

#include "common/adapt/adapt_deflate.h"
#include "common/adapt/adapt_lws.h"
#include "common/base/idset.h"
#include "common/base/map.h"
#include "common/base/slab.h"
#include "common/bus/bus_rpc.h"
#include "common/clients/router_clnt.h"
#include "common/http/http_server.h"
#include "common/profile/profile.h"
#include "common/svc/svc.h"

#define EDGE_ID_BYTES 20 /* Engine.IO session ids, Socket.IO socket ids, private ids: base64url */
#define EDGE_TAG_BYTES \
	4 /* Engine.IO session ids begin with the edge's tag; 96 random bits follow */

struct assets;
struct dialect;

struct edge {
	struct svc *svc;
	const struct profile *profile;
	const struct dialect *dialect; /* the profile's */
	struct http_server *front;
	struct ws_host *ws;
	struct deflate *deflate; /* NULL: WebSocket messages are not compressed */
	struct bus_rpc *auth;    /* NULL where the profile asks for nothing auth could answer */
	struct bus_rpc *ingest;  /* NULL where the profile sends nothing to a broker that is used */
	struct router_clnt *router;
	struct map sessions;       /* struct session by sid */
	struct map pids;           /* struct sock that can be recovered, by private id */
	struct map restores;       /* struct restore by reference */
	struct map backfills;      /* struct backfill by reference */
	struct map others;         /* struct other: the other edges, by name */
	struct map rooms;          /* struct room by key */
	struct map addresses;      /* struct address, where connections per address are limited */
	struct list dirty;         /* sessions with packets to write this turn */
	struct list dead_sessions; /* freed at the end of the turn */
	struct list dead_socks;
	struct list shards;    /* struct shard: the routers */
	struct list parked;    /* struct sock whose client is away, in the order of time */
	struct list lingering; /* parked ones that another edge has taken */
	struct list tail;      /* struct tail_item of all shards, in the order of time */
	uint64_t tail_count, tail_bytes;
	uint64_t last_ref;    /* of questions to routers */
	uint32_t last_ack_id; /* see asked.h; 0: none yet */
	struct buf offset;    /* see shard_offset; valid while offset_bytes is not 0 */
	size_t offset_bytes;
	char tag[EDGE_TAG_BYTES];
	struct bus_answerer *forwards; /* from other edges; NULL: EDGE_BIND is unset */
	struct list handing;           /* struct handing: sessions that another edge waits for */
	uint32_t stray_count;
	struct list strays; /* requests for sessions of edges that are not known (yet) */
	struct wheel_timer sweep;
	struct slab out_nodes; /* queue entries */
	struct slab ops;
	struct map
		claiming;   /* struct op by reference: a router is asked whether its key is known */
	struct list orders; /* struct order: records on their way to a broker, see act_send.c */
	uint64_t order_count;
	struct idset claims; /* keys of events that are accepted once, see once.c */
	struct idset seen;   /* uids of delivered events */
	struct idset shown;  /* (event, socket): of events that come by several routers */
	uint64_t mark;       /* serial of the broadcast at hand, see deliver.c */
	struct buf scratch;  /* rendering; empty between uses */
	struct buf work;     /* a second one, for what holds slices of the first */
	struct buf poll_out; /* a polling answer while it is put together */
	char *out;           /* EDGE_WRITE_BYTES to join what is due to one client */
	struct svc_turn flush;
	struct assets *assets; /* files of DEMO_DIR */
	struct wheel_timer drain_timer;
	uint64_t drain_began_ms, drain_spread_ms;
	size_t drain_count; /* clients at its beginning */
	bool draining, closing;
	bool life_wanted; /* some router tells others which rooms are occupied */
	bool serving;     /* "serving" was told to the supervisor */
	struct wheel_timer serving_timer;
};

#define EDGE_WRITE_BYTES (256u << 10)
#define EDGE_SCRATCH_BYTES (256u << 20)

/* Is this broker used in this deployment? */
bool edge_uses(const struct edge *edge, enum profile_broker broker);

int edge_start(struct svc *svc, void *self);
void edge_drain(struct svc *svc, void *self);
void edge_stop(struct svc *svc, void *self);
void edge_dump(struct svc *svc, void *self, struct buf *out);
bool edge_router_ready(void *self, char reason[SVC_REASON_BYTES]);
bool edge_auth_ready(void *self, char reason[SVC_REASON_BYTES]);

#endif
