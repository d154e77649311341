/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the routers about what is connected (proto/bus.def: QUERY_…), on the links that router_clnt.h has. A question goes to all routers, or to
 * the one that keeps a user's sessions; it is answered when all of them have answered, and fails when one of them cannot: a part is never
 * passed off as the whole. Nothing is repeated: whoever asks has a deadline.
 *
 * Bounds: max_under_way questions; past it router_query_ask says E_FULL. Answers are kept until the last one is there.
 * Thread: loop thread. No callback runs inside router_query_ask or router_query_cancel.
 */
#ifndef ROOMWIRE_CLIENTS_ROUTER_QUERY_H
#define ROOMWIRE_CLIENTS_ROUTER_QUERY_H

#include "common/clients/router_clnt.h"

#define ROUTER_QUERY_MOST 64u /* routers that can be asked at once */

struct router_query;

/* What one router has found. */
struct router_found {
	bool more;            /* there is more behind the last part */
	uint64_t total, away; /* of a user; else 0 */
	struct str parts;     /* BORROWED until the callback returns: router_query_part */
};

/* err 0: found has count answers. E_TIMEOUT, E_UNAVAILABLE (a router is away, or does not know all yet), E_NOMEM, E_CLOSED: there is nothing. */
typedef void (*router_found_fn)(void *ctx, int err, const struct router_found *found,
				uint32_t count);

int router_query_open(struct svc *svc, struct router_clnt *clnt, size_t max_under_way,
		      struct router_query **query) MUST_CHECK;
void router_query_close(struct router_query **query); /* callbacks run with E_CLOSED */

/*
 * id: WIRE_QUERY_ROOMS, WIRE_QUERY_FIGURES or WIRE_QUERY_SOCKETS; message.ref is filled in. user_id: only the router that keeps this user's sessions
 * (not empty); empty: all. deadline_ms: monotonic. *ticket: for router_query_cancel.
 * errors: E_FULL, E_NOMEM, E_UNAVAILABLE (a router is away, or none is known), E_RANGE (a field out of bounds): fn does not run.
 */
int router_query_ask(struct router_query *query, enum wire_id id, void *message, struct str user_id,
		     uint64_t deadline_ms, router_found_fn fn, void *ctx,
		     uint64_t *ticket) MUST_CHECK;
void router_query_cancel(struct router_query *query, uint64_t ticket); /* its callback never runs */

/* For the router client's handlers: `message` (false: it is none of ours), and `fresh` and `removed` (what that router was asked is lost). */
bool router_query_on_message(struct router_query *query, const struct bus_link *link,
			     const struct bus_message *m);
void router_query_on_lost(struct router_query *query, const struct bus_link *link);

/* Takes the next part off: 0, E_NOTFOUND at the end, or E_TRUNCATED, E_SYNTAX … of text that no router of ours has sent. */
int router_query_part(struct str *parts, enum wire_id *id, union wire_any *any) MUST_CHECK;

#endif
