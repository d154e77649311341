/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routers, as edges and ingest see them: one counted link each (common/bus/bus_link.h), rooms spread over them by rendezvous hashing
 * of the endpoint: the same text in every process. Published events are kept until a router has said PUBLISHED, and are sent again, in order, when a
 * router comes back without knowing them (it recognises doubles by the uid). An event to rooms of several routers goes to each of them, and
 * counts as published when all have it.
 *
 * Lanes keep the order of one publisher where its events go to different routers: an event waits until those of its lane before it are published,
 * unless they went to the very same router.
 *
 * Bounds: max_in_flight events and max_bytes of them; past it router_clnt_publish says E_FULL.
 * Thread: loop thread. No callback runs inside a call.
 */
#ifndef ROOMWIRE_CLIENTS_ROUTER_CLNT_H
#define ROOMWIRE_CLIENTS_ROUTER_CLNT_H

#include "common/bus/bus_link.h"

struct router_clnt;

/* err 0: the router has it (duplicate: the id was known before). E_DENIED: refused, `code` says why. E_CLOSED: shutting down. */
typedef void (*router_published_fn)(void *ctx, int err, struct str code, bool duplicate);

struct router_clnt_handlers {
	/* A router is there that knows nothing of us (edges tell the rooms that belong to this link, then router_clnt_synced). May be NULL. */
	void (*fresh)(void *ctx, struct bus_link *link, uint64_t old_epoch);
	/* What a router says, but PUBLISHED and EDGES. May be NULL. */
	void (*message)(void *ctx, struct bus_link *link, const struct bus_message *m);
	/* The edges a router has. May be NULL. */
	void (*edges)(void *ctx, struct bus_link *link, const struct wire_edges *m);
	/* There is more room in the link. May be NULL. */
	void (*acked)(void *ctx, struct bus_link *link);
	/* A router is known from now on. May run inside router_clnt_open. May be NULL. */
	void (*added)(void *ctx, struct bus_link *link, const char *endpoint);
	/* Rooms may belong to other routers now. May run inside router_clnt_open. May be NULL. */
	void (*changed)(void *ctx);
	/* It has not been one of them for a while: its rooms belong to others already. The link is closed after this returns. May be NULL. */
	void (*removed)(void *ctx, struct bus_link *link);
};

struct router_clnt_spec {
	struct svc *svc;
	const char *endpoints;
	const struct router_clnt_handlers *handlers;
	void *ctx;
	size_t max_in_flight;
	size_t max_bytes;
};

int router_clnt_open(const struct router_clnt_spec *spec, struct router_clnt **clnt) MUST_CHECK;
void router_clnt_close(
	struct router_clnt **clnt); /* callbacks of events under way run with E_CLOSED */

/* The link that owns a room ("/nsp,room"); NULL while no endpoint is known. */
struct bus_link *router_clnt_link(struct router_clnt *clnt, struct str room_key);
/* Each router that has rooms; NULL starts, NULL ends. */
struct bus_link *router_clnt_next(const struct router_clnt *clnt, const struct bus_link *after);
/*
 * Publish. lane: see above; 0: none. message.ref and, where it has no uid and is not volatile, the uid are filled in here. args: payload frame 0, attachments behind it
 * (referenced, not TAKEN). Volatile: sent or dropped, fn never runs (E_AGAIN, E_CLOSED are for metrics only). message.rooms is packed or items.
 * Else fn (may be NULL) runs once: with the router's answer, however long it takes.
 * errors: E_FULL, E_NOMEM, E_UNAVAILABLE (no router known at all), E_RANGE (a field out of bounds): fn does not run.
 */
int router_clnt_publish(struct router_clnt *clnt, struct wire_publish *message,
			struct blob *const *payload, uint32_t payload_count, uint64_t lane,
			router_published_fn fn, void *ctx) MUST_CHECK;
/* The edge has told all its rooms on this link. */
void router_clnt_synced(struct router_clnt *clnt, struct bus_link *link);
/* Say it, counted, to every router that is there now; to those that come later: `fresh`. */
void router_clnt_tell(struct router_clnt *clnt, enum wire_id id, const void *message);
size_t router_clnt_pending(const struct router_clnt *clnt);
/* All links up? Else why not. */
bool router_clnt_ready(const struct router_clnt *clnt, char reason[SVC_REASON_BYTES]);
/* Uid of an event that bears an id of its publisher's: the same in every process. */
void router_clnt_uid(struct str event_id, uint64_t *high, uint64_t *low);

#endif
