/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permission answers remembered for a short while. Bounded in number and in bytes; what was used longest ago goes first.
 * Keys are stored and compared whole: two questions never share an answer by accident. Thread: one.
 *
 *     const struct auth_answer *a = auth_cache_get(&cache, key);
 *     if (!a) { ... auth_cache_put(&cache, key, &answer); }
 */
#ifndef ROOMWIRE_AUTH_AUTH_CACHE_H
#define ROOMWIRE_AUTH_AUTH_CACHE_H

#include "common/base/list.h"
#include "common/base/map.h"

#define AUTH_CACHE_ENTRY_BYTES 1024   /* the bound in bytes is that many for each entry allowed */
#define AUTH_CACHE_KEY_MAX_BYTES 8192 /* longer questions are not remembered */

/* An answer to ALLOW. Texts are literals or the profile's: they live as long as the process. */
struct auth_answer {
	struct str code; /* empty: yes */
	struct str message;
};

struct auth_cache {
	struct map entries;
	struct list used; /* the latest first */
	size_t bytes;     /* of all entries */
	size_t max_count; /* 0: nothing is remembered */
	uint64_t allow_ms, deny_ms;
};

void auth_cache_init(struct auth_cache *c, size_t max_count, uint64_t allow_ms, uint64_t deny_ms);
void auth_cache_fini(struct auth_cache *c);
/* NULL: not known, or known for too long. BORROWED until the next call. */
const struct auth_answer *auth_cache_get(struct auth_cache *c, struct str key);
/* Remember, or remember anew. The key is COPIED. Out of memory is no error: it is not remembered then. */
void auth_cache_put(struct auth_cache *c, struct str key, const struct auth_answer *answer);
size_t auth_cache_count(const struct auth_cache *c);

#endif
