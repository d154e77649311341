/* SPDX-License-Identifier: Apache-2.0 */
/* What router_clnt.c and router_flight.c share. Not for others: use router_clnt.h. */
#ifndef ROOMWIRE_CLIENTS_ROUTER_CLNT_IMPL_H
#define ROOMWIRE_CLIENTS_ROUTER_CLNT_IMPL_H

#include "common/base/map.h"
#include "common/bus/bus_peers.h"
#include "common/clients/router_clnt.h"

/* A router, whether it is there or not. */
struct shard {
	struct list node;
	struct router_clnt *clnt;
	struct bus_link *link;
	uint64_t hash;       /* of the endpoint, for rendezvous */
	uint64_t epoch;      /* of the process last linked to; 0: none yet */
	struct list flights; /* struct flight that the link has, oldest first */
	struct list
		waiting; /* struct flight that come after those: the link was not there, or full */
	bool retired;    /* no room is its own any more; what others still send it is taken */
	struct wheel_timer retirement;
	char endpoint[256];
};

/* Events of one publisher that are on their way, or wait for those. */
struct lane {
	uint64_t key;        /* in clnt->lanes */
	struct shard *shard; /* where all of those under way went; NULL: to several */
	uint32_t under_way;
	struct list waiting; /* struct flight: leads that have not taken off */
};

/*
 * An event that a router has not said it has; where its rooms belong to several, one flight for each. The first one, the lead, answers for all and is
 * freed last.
 */
struct flight {
	struct list
		node; /* on shard->flights or shard->waiting; a lead that has not taken off: on lane->waiting */
	struct shard *shard; /* NULL: not taken off */
	struct flight *lead;
	uint64_t ref; /* key in clnt->flights */
	struct blob *body;
	uint64_t bytes;
	/* of a lead */
	struct lane *lane;
	uint32_t open;     /* flights that are not answered */
	int err;           /* of the first router that refused it */
	struct blob *code; /* and why; OWNED; NULL: not said */
	bool duplicate;
	router_published_fn fn;
	void *ctx;
	uint32_t payload_count;
	struct blob *payload[]; /* of the lead, for all */
};

struct router_clnt {
	struct router_clnt_spec spec;
	struct bus_peers *peers;
	struct list shards;
	uint32_t shard_count; /* without the retired ones */
	struct map flights;
	struct map lanes;
	uint64_t last_ref, last_uid, bytes;
	bool closing;
};

/* router_flight.c */
struct str flight_key(const void *flight);
struct str flight_lane_key(const void *lane);
/* The router of the flight has answered, or never will. May free the lead and call its fn. */
void flight_finish(struct router_clnt *c, struct flight *f, int err, struct str code,
		   bool duplicate);
/* Its router is no longer one of them: the rooms belong to others now. */
void flight_rehome(struct router_clnt *c, struct flight *f);

/* router_clnt.c */
struct shard *router_clnt_shard(struct router_clnt *c,
				struct str room_key); /* NULL: none is known */
void router_clnt_send_waiting(struct shard *s);

#endif
