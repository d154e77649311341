/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of a host by libuv's thread pool; used by adapt_redis.c only. Thread: loop. */
#ifndef ROOMWIRE_ADAPT_REDIS_LOOKUP_H
#define ROOMWIRE_ADAPT_REDIS_LOOKUP_H

#include <uv.h>

#include "common/adapt/adapt_redis_url.h"

#define REDIS_ADDRESSES 8 /* of one name; more are passed over */

struct redis_addresses {
	struct sockaddr_storage items[REDIS_ADDRESSES];
	unsigned count;
};

struct redis_lookup;
/* found->count 0: none, and the reason. The lookup has ended and is gone. */
typedef void (*redis_lookup_done_fn)(void *ctx, const struct redis_addresses *found,
				     const char *reason);

/* The host is an address: nothing to look up. */
bool redis_lookup_literal(const struct redis_url *url, struct redis_addresses *found);
/* E_NOMEM: fn does not run. Never calls back before it returns. */
int redis_lookup_start(uv_loop_t *loop, const struct redis_url *url, redis_lookup_done_fn fn,
		       void *ctx, struct redis_lookup **lookup) MUST_CHECK;
void redis_lookup_drop(
	struct redis_lookup **lookup); /* nulls; accepts NULL inside; fn does not run */

#endif
