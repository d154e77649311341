/* SPDX-License-Identifier: Apache-2.0 */
#include "services/auth/auth_cache.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"

struct entry {
	struct list node; /* on cache->used */
	struct auth_answer answer;
	uint64_t until_ms; /* monotonic */
	size_t key_bytes;
	char key[];
};

static struct str entry_key(const void *object)
{
	const struct entry *e = object;

	return str_make(e->key, e->key_bytes);
}

static size_t entry_bytes(const struct entry *e)
{
	return sizeof(*e) + e->key_bytes;
}

void auth_cache_init(struct auth_cache *c, size_t max_count, uint64_t allow_ms, uint64_t deny_ms)
{
	*c = (struct auth_cache){ .max_count = max_count,
				  .allow_ms = allow_ms,
				  .deny_ms = deny_ms };
	map_init(&c->entries, entry_key);
	list_init(&c->used);
}

static void forget(struct auth_cache *c, struct entry *e)
{
	map_del(&c->entries, entry_key(e));
	list_remove(&e->node);
	c->bytes -= entry_bytes(e);
	mem_free(e);
	metrics_set(METRIC_CACHE_ENTRIES, map_count(&c->entries));
}

void auth_cache_fini(struct auth_cache *c)
{
	struct list *node;

	while ((node = list_first(&c->used)) != NULL)
		forget(c, CONTAINER_OF(node, struct entry, node));
	map_fini(&c->entries);
}

const struct auth_answer *auth_cache_get(struct auth_cache *c, struct str key)
{
	struct entry *e = c->max_count ? map_get(&c->entries, key) : NULL;

	if (!e)
		return NULL;
	if (clock_ms() >= e->until_ms) {
		forget(c, e);
		return NULL;
	}
	list_remove(&e->node);
	list_prepend(&c->used, &e->node);
	return &e->answer;
}

static void make_room(struct auth_cache *c, size_t bytes)
{
	while (map_count(&c->entries) >= c->max_count ||
	       c->bytes + bytes > c->max_count * AUTH_CACHE_ENTRY_BYTES) {
		struct list *oldest = c->used.prev;

		if (oldest == &c->used)
			return;
		forget(c, CONTAINER_OF(oldest, struct entry, node));
	}
}

void auth_cache_put(struct auth_cache *c, struct str key, const struct auth_answer *answer)
{
	uint64_t keep_ms = answer->code.n ? c->deny_ms : c->allow_ms;
	struct entry *e = c->max_count ? map_get(&c->entries, key) : NULL;
	size_t bytes = sizeof(*e) + key.n;

	if (e)
		forget(c, e);
	if (!keep_ms || key.n > AUTH_CACHE_KEY_MAX_BYTES ||
	    bytes > c->max_count * AUTH_CACHE_ENTRY_BYTES)
		return;
	make_room(c, bytes);
	e = mem_try(bytes);
	if (!e)
		return;
	e->answer = *answer;
	e->until_ms = clock_ms() + keep_ms;
	e->key_bytes = key.n;
	if (key.n)
		memcpy(e->key, key.p, key.n);
	if (map_put(&c->entries, e)) {
		mem_free(e);
		return;
	}
	list_prepend(&c->used, &e->node);
	c->bytes += bytes;
	metrics_set(METRIC_CACHE_ENTRIES, map_count(&c->entries));
}

size_t auth_cache_count(const struct auth_cache *c)
{
	return map_count(&c->entries);
}
