/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open-addressing hash table from byte-string keys to objects that hold their own key.
 * Keyed hash (SipHash-1-3, random key per process), because keys are chosen by clients; incremental resize, so that no
 * single insert pays for a million. Slots hold {hash, object}: no copy of keys.
 *
 *     static struct str room_key(const void *room) { return ((const struct room *)room)->name; }
 *     struct map rooms; map_init(&rooms, room_key);
 *     map_put(&rooms, room); room = map_get(&rooms, name); map_del(&rooms, name);
 *
 * Thread: one. Iteration: MAP_EACH; the table must not gain entries meanwhile; removing the current one is allowed.
 */
#ifndef ROOMWIRE_BASE_MAP_H
#define ROOMWIRE_BASE_MAP_H

#include "common/base/str.h"

typedef struct str (*map_key_fn)(const void *object);

struct map_slot {
	uint32_t hash; /* 0: never used, 1: deleted, else hash of the key (made >= 2) */
	void *object;  /* BORROWED: the table owns nothing */
};

struct map_table {
	struct map_slot *slots;
	size_t cap;  /* power of two, or 0 */
	size_t used; /* live + deleted slots */
	size_t live;
};

struct map {
	struct map_table now, old; /* while resizing, `old` is emptied a few slots per call */
	size_t moved;              /* slots of `old` already moved */
	map_key_fn key_of;
};

void map_init(struct map *m, map_key_fn key_of);
void map_fini(struct map *m); /* frees the table, not the objects */
void *map_get(struct map *m, struct str key);
/* 0, E_EXISTS (nothing changed) or E_NOMEM. */
int map_put(struct map *m, void *object) MUST_CHECK;
void *map_del(struct map *m, struct str key); /* what was removed, or NULL */
size_t map_count(const struct map *m);
size_t map_bytes(const struct map *m); /* memory of the table */

/* Position 0 starts; returns the next object and advances, or NULL at the end. Finishes a pending resize first. */
void *map_next(struct map *m, size_t *position);
#define MAP_EACH(map, type, var) \
	for (size_t var##_at = 0, var##_once = 1; var##_once; var##_once = 0) \
		for (type * var; (var = map_next((map), &var##_at)) != NULL;)

#endif
