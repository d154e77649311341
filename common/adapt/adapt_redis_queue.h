/* SPDX-License-Identifier: Apache-2.0 */
/* Commands under way, oldest first: a ring without an allocation per command. Sans-I/O; used by adapt_redis.c only. Thread: one. */
#ifndef ROOMWIRE_ADAPT_REDIS_QUEUE_H
#define ROOMWIRE_ADAPT_REDIS_QUEUE_H

#include "common/adapt/adapt_redis.h"

struct redis_pending {
	adapt_redis_reply_fn fn; /* NULL: nobody is told */
	void *ctx;
	uint64_t asked_ms;
	size_t bytes; /* as written */
	bool own;     /* the adapter's: greeting, ping, subscription */
};

struct redis_queue {
	struct redis_pending *items; /* OWNED */
	size_t cap, head, count;
	uint64_t first; /* number of the oldest, from 1; never used again */
	size_t bytes;   /* of all */
};

void redis_queue_init(struct redis_queue *q);
void redis_queue_fini(struct redis_queue *q);
int redis_queue_reserve(struct redis_queue *q) MUST_CHECK; /* room for one more: 0 or E_NOMEM */
void redis_queue_push(struct redis_queue *q, const struct redis_pending *p); /* after reserve */
bool redis_queue_pop(struct redis_queue *q, struct redis_pending *p);        /* false: empty */
const struct redis_pending *redis_queue_first(const struct redis_queue *q);  /* NULL: empty */

#endif
