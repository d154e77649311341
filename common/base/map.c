/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear probing. A resize keeps two tables: new entries go to `now`, every call moves MOVE_SLOTS slots of `old` over,
 * lookups ask `now`, then `old`. The sizes guarantee that `old` is empty before `now` is full:
 * after all moves `now` is at most 3/8 full and may fill to 3/4, that is room for 3/8 of its size, and it has at least a
 * quarter of the size of `old`; emptying `old` takes (size of old) / MOVE_SLOTS = 1/16 of that many calls.
 */
#include "common/base/map.h"

#include "common/base/hash.h"
#include "common/base/mem.h"

#define SLOTS_MIN 8
#define MOVE_SLOTS 16

enum { HASH_NEVER = 0, HASH_DELETED = 1, HASH_FIRST = 2 };

static uint32_t hash_of(struct str key)
{
	uint32_t hash = (uint32_t)hash_keyed(key);

	return hash < HASH_FIRST ? hash + HASH_FIRST : hash;
}

static void table_free(struct map_table *t)
{
	mem_free(t->slots);
	*t = (struct map_table){ NULL, 0, 0, 0 };
}

static struct map_slot *table_find(const struct map *m, const struct map_table *t, uint32_t hash,
				   struct str key)
{
	if (t->live == 0)
		return NULL;
	for (size_t i = hash & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
		struct map_slot *slot = &t->slots[i];

		if (slot->hash == HASH_NEVER)
			return NULL;
		if (slot->hash == hash && str_eq(m->key_of(slot->object), key))
			return slot;
	}
}

/* The caller knows that the key is absent and that there is room. */
static void table_insert(struct map_table *t, uint32_t hash, void *object)
{
	size_t i = hash & (t->cap - 1);

	while (t->slots[i].hash >= HASH_FIRST)
		i = (i + 1) & (t->cap - 1);
	if (t->slots[i].hash == HASH_NEVER)
		t->used++;
	t->slots[i] = (struct map_slot){ hash, object };
	t->live++;
}

static void table_remove(struct map_table *t, struct map_slot *slot)
{
	size_t i = (size_t)(slot - t->slots);

	*slot = (struct map_slot){ HASH_DELETED, NULL };
	t->live--;
	/* At the end of a run no probe needs the marks: churn leaves none behind. */
	if (t->slots[(i + 1) & (t->cap - 1)].hash != HASH_NEVER)
		return;
	while (t->slots[i].hash == HASH_DELETED) {
		t->slots[i].hash = HASH_NEVER;
		t->used--;
		i = (i - 1) & (t->cap - 1);
	}
}

static void move_some(struct map *m, size_t slots)
{
	for (; slots > 0 && m->moved < m->old.cap && m->old.live > 0; slots--, m->moved++) {
		struct map_slot *slot = &m->old.slots[m->moved];

		if (slot->hash < HASH_FIRST)
			continue;
		table_insert(&m->now, slot->hash, slot->object);
		/* Not table_remove: the marks keep longer probes through `old` whole. */
		*slot = (struct map_slot){ HASH_DELETED, NULL };
		m->old.live--;
	}
	if (m->old.cap && m->old.live == 0) {
		table_free(&m->old);
		m->moved = 0;
	}
}

static void move_all(struct map *m)
{
	if (m->old.cap)
		move_some(m, m->old.cap);
}

static bool has_room(const struct map *m)
{
	return (m->now.used + m->old.live + 1) * 4 <= m->now.cap * 3;
}

static bool is_sparse(const struct map *m)
{
	return m->old.cap == 0 && m->now.cap > SLOTS_MIN * 8 && m->now.live < m->now.cap / 16;
}

/* Larger, of the same size (to be rid of deleted marks) or smaller, as the live entries want. */
static int resize(struct map *m)
{
	struct map_table next = { NULL, SLOTS_MIN, 0, 0 };

	move_all(m);
	while (m->now.live * 8 > next.cap * 3 || next.cap < m->now.cap / 4)
		next.cap *= 2;
	if (next.cap > SIZE_MAX / sizeof(struct map_slot))
		return E_NOMEM;
	next.slots = mem_try(next.cap * sizeof(struct map_slot));
	if (!next.slots)
		return E_NOMEM;
	m->old = m->now;
	m->now = next;
	m->moved = 0;
	move_some(m, MOVE_SLOTS);
	return 0;
}

void map_init(struct map *m, map_key_fn key_of)
{
	*m = (struct map){ .key_of = key_of };
}

void map_fini(struct map *m)
{
	table_free(&m->now);
	table_free(&m->old);
	m->moved = 0;
}

static struct map_slot *find(struct map *m, uint32_t hash, struct str key, struct map_table **table)
{
	struct map_slot *slot = table_find(m, &m->now, hash, key);

	*table = &m->now;
	if (slot)
		return slot;
	*table = &m->old;
	return table_find(m, &m->old, hash, key);
}

void *map_get(struct map *m, struct str key)
{
	struct map_table *table;
	struct map_slot *slot;

	if (map_count(m) == 0)
		return NULL;
	move_some(m, MOVE_SLOTS);
	slot = find(m, hash_of(key), key, &table);
	return slot ? slot->object : NULL;
}

int map_put(struct map *m, void *object)
{
	struct str key = m->key_of(object);
	uint32_t hash = hash_of(key);
	struct map_table *table;

	move_some(m, MOVE_SLOTS);
	if (find(m, hash, key, &table))
		return E_EXISTS;
	if (!has_room(m)) {
		int err = resize(m);

		if (err)
			return err;
	} else if (is_sparse(m)) {
		/* Giving memory back may fail: there is room as it is. */
		(void)resize(m);
	}
	table_insert(&m->now, hash, object);
	return 0;
}

void *map_del(struct map *m, struct str key)
{
	struct map_table *table;
	struct map_slot *slot;
	void *object;

	if (map_count(m) == 0)
		return NULL;
	move_some(m, MOVE_SLOTS);
	slot = find(m, hash_of(key), key, &table);
	if (!slot)
		return NULL;
	object = slot->object;
	table_remove(table, slot);
	/* Small tables stay: a room that comes and goes should not allocate each time. */
	if (map_count(m) == 0 && m->now.cap > SLOTS_MIN)
		map_fini(m);
	return object;
}

size_t map_count(const struct map *m)
{
	return m->now.live + m->old.live;
}

size_t map_bytes(const struct map *m)
{
	return (m->now.cap + m->old.cap) * sizeof(struct map_slot);
}

void *map_next(struct map *m, size_t *position)
{
	move_all(m);
	while (*position < m->now.cap) {
		struct map_slot *slot = &m->now.slots[(*position)++];

		if (slot->hash >= HASH_FIRST)
			return slot->object;
	}
	return NULL;
}
