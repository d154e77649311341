/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/idset.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#define FIRST_CAP 64u

/* The index has twice the ring's places, so that it is at most half full. */
static size_t index_cap(const struct idset *s)
{
	return s->cap * 2;
}

static size_t home_of(const struct idset *s, uint64_t high, uint64_t low)
{
	uint64_t h = (high ^ (low * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;

	return (size_t)(h >> 32) & (index_cap(s) - 1);
}

/* Place in the index where the id is, or the empty one where it would be. */
static size_t find(const struct idset *s, uint64_t high, uint64_t low)
{
	size_t at = home_of(s, high, low);

	while (s->index[at]) {
		const struct idset_entry *e = &s->ring[s->index[at] - 1];

		if (e->high == high && e->low == low)
			break;
		at = (at + 1) & (index_cap(s) - 1);
	}
	return at;
}

/* Take an entry out of the index and close the gap behind it (linear probing without tombstones). */
static void unindex(struct idset *s, size_t at)
{
	size_t mask = index_cap(s) - 1, hole = at;

	s->index[hole] = 0;
	for (size_t i = (hole + 1) & mask; s->index[i]; i = (i + 1) & mask) {
		const struct idset_entry *e = &s->ring[s->index[i] - 1];
		size_t home = home_of(s, e->high, e->low);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			s->index[hole] = s->index[i];
			s->index[i] = 0;
			hole = i;
		}
	}
}

static void drop_oldest(struct idset *s)
{
	struct idset_entry *e = &s->ring[s->head];

	if (e->at_ms) /* else it was forgotten by name */
		unindex(s, find(s, e->high, e->low));
	s->head = (s->head + 1) & (s->cap - 1);
	s->count--;
}

static int grow(struct idset *s)
{
	size_t cap = s->cap ? s->cap * 2 : FIRST_CAP;
	struct idset_entry *ring = mem_try(cap * sizeof(*ring));
	uint32_t *index = mem_try(cap * 2 * sizeof(*index));

	if (!ring || !index) {
		mem_free(ring);
		mem_free(index);
		return E_NOMEM;
	}
	for (size_t i = 0; i < s->count; i++)
		ring[i] = s->ring[(s->head + i) & (s->cap - 1)];
	mem_free(s->ring);
	mem_free(s->index);
	s->ring = ring;
	s->index = index;
	s->cap = cap;
	s->head = 0;
	for (size_t i = 0; i < s->count; i++)
		if (ring[i].at_ms)
			index[find(s, ring[i].high, ring[i].low)] = (uint32_t)i + 1;
	return 0;
}

void idset_init(struct idset *s, size_t max_count, uint64_t max_age_ms)
{
	memset(s, 0, sizeof(*s));
	s->max_count = max_count ? max_count : 1;
	s->max_age_ms = max_age_ms;
}

void idset_fini(struct idset *s)
{
	mem_free(s->ring);
	mem_free(s->index);
	s->ring = NULL;
	s->index = NULL;
	s->cap = s->count = s->head = 0;
}

int idset_add(struct idset *s, uint64_t high, uint64_t low, uint64_t now_ms, uint64_t *note)
{
	size_t at, slot;

	while (s->count > 0 &&
	       (s->count >= s->max_count || s->ring[s->head].at_ms + s->max_age_ms < now_ms))
		drop_oldest(s);
	if (s->count == s->cap && grow(s))
		return E_NOMEM;
	at = find(s, high, low);
	if (s->index[at]) {
		if (note)
			*note = s->ring[s->index[at] - 1].note;
		return E_EXISTS;
	}
	slot = (s->head + s->count) & (s->cap - 1);
	s->ring[slot] = (struct idset_entry){ high, low, note ? *note : 0, now_ms ? now_ms : 1 };
	s->index[at] = (uint32_t)slot + 1;
	s->count++;
	return 0;
}

int idset_note(struct idset *s, uint64_t high, uint64_t low, uint64_t note)
{
	size_t at;

	if (s->count == 0)
		return E_NOTFOUND;
	at = find(s, high, low);
	if (!s->index[at])
		return E_NOTFOUND;
	s->ring[s->index[at] - 1].note = note;
	return 0;
}

void idset_forget(struct idset *s, uint64_t high, uint64_t low)
{
	size_t at;

	if (s->count == 0)
		return;
	at = find(s, high, low);
	if (!s->index[at])
		return;
	s->ring[s->index[at] - 1].at_ms = 0; /* its place in the ring is passed over later */
	unindex(s, at);
}

bool idset_find(const struct idset *s, uint64_t high, uint64_t low, uint64_t now_ms, uint64_t *note)
{
	const struct idset_entry *e;
	size_t at;

	if (s->count == 0)
		return false;
	at = find(s, high, low);
	e = s->index[at] ? &s->ring[s->index[at] - 1] : NULL;
	if (!e || e->at_ms + s->max_age_ms < now_ms)
		return false;
	if (note)
		*note = e->note;
	return true;
}

size_t idset_count(const struct idset *s)
{
	return s->count;
}
