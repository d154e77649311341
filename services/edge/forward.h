/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any edge takes any request: a session's id begins with the tag of the edge that has it, and a request for a session that is not here is passed on to
 * that edge, whose answer goes to the client. Routers tell which edges there are, and where (EDGES).
 *
 *   client ──GET/POST sid──▶ this edge ──FORWARD──▶ the session's edge ──FORWARDED──▶ this edge ──▶ client
 *
 * A request for an edge that nobody has told of yet waits STRAY_MS, then the session counts as unknown: its client comes back with a new one, and
 * recovers. Bounds: MAX_CALLS questions. Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_FORWARD_H
#define ROOMWIRE_EDGE_FORWARD_H

#include "services/edge/front.h"

enum forward_kind {
	FORWARD_GET = 1,
	FORWARD_POST,
	FORWARD_GONE,    /* the client of that GET */
	FORWARD_PROBE,   /* a WebSocket wants to take over */
	FORWARD_TAKE,    /* it has */
	FORWARD_UNPROBE, /* it has not, and will not */
};

/* Another edge. */
struct other {
	char name[65], endpoint[257], tag[EDGE_TAG_BYTES];
	struct bus_rpc *rpc; /* OWNED */
	uint64_t listed_ms;  /* when a router has named it, or it was reached, last */
};

struct str forward_name_of(const void *other); /* for the map */
int forward_open(struct edge *edge) MUST_CHECK;
void forward_close(struct edge *edge);
const char *forward_endpoint(const struct edge *edge); /* empty: others do not reach us */
void forward_on_edges(void *ctx, struct bus_link *link, const struct wire_edges *m);
void forward_sweep(struct edge *edge);

/* The edge a session id belongs to; NULL: none that is known, or this one. */
struct other *forward_find(struct edge *edge, struct str sid);
/* Ask it; fn runs exactly once if 0 is returned. */
int forward_ask(struct edge *edge, struct other *other, const struct wire_forward *m, bus_rpc_fn fn,
		void *ctx, uint64_t *call) MUST_CHECK;
/* True: the request is answered later. False: nobody can have that session. */
bool forward_request(struct edge *edge, struct str sid, struct http_exchange *x,
		     const struct http_request *request, bool websocket);

#endif
