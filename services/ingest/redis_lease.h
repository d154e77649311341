/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of several ingests one acts on the channels of Redis: the one whose name stands under a key there, for REDIS_LEASE_MS at a time.
 *
 *   not held ──SET key name NX PX──▶ held ──renewed every REDIS_LEASE_STEP_MS──▶ held
 *      ▲──── not renewed in time; the key is another's; redis_lease_release ────┘
 *
 * The holder believes in it for less long than Redis does, by a clock that runs on while the process does not: two never hold it at once. A holder that dies
 * is followed within REDIS_LEASE_MS + REDIS_LEASE_STEP_MS, one that releases it at once: it says so on the channel of the key's name. Thread: loop thread.
 */
#ifndef ROOMWIRE_INGEST_REDIS_LEASE_H
#define ROOMWIRE_INGEST_REDIS_LEASE_H

#include "common/adapt/adapt_redis.h"

#define REDIS_LEASE_MS 3000u
#define REDIS_LEASE_STEP_MS 500u

struct redis_lease {
	struct svc *svc;
	struct adapt_redis *commands; /* BORROWED */
	void (*changed)(void *ctx, bool held);
	void *ctx;
	uint64_t until_ms; /* monotonic; 0: not held */
	uint64_t asked_ms;
	bool asking, released;
	bool refused; /* Redis does not let us write: a replica, or no right to */
	struct wheel_timer timer;
	char key[256], name[128];
};

/* The first five fields, key and name are set by the caller. */
void redis_lease_start(struct redis_lease *lease);
void redis_lease_stop(struct redis_lease *lease); /* no word to Redis; `changed` does not run */
bool redis_lease_held(const struct redis_lease *lease);
void redis_lease_hurry(struct redis_lease *lease); /* ask now: it may be free */
/* Give it up for good; `changed` runs where it was held. */
void redis_lease_release(struct redis_lease *lease);

#endif
