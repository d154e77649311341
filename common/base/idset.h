/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembers 128-bit ids for a while, bounded: for events that may come twice. When full the oldest is forgotten first. Each id carries a
 * 64-bit note of its owner's. Open addressing over a ring in order of arrival: no allocation after init but the growth of the ring. Thread: one.
 */
#ifndef ROOMWIRE_BASE_IDSET_H
#define ROOMWIRE_BASE_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct idset_entry {
	uint64_t high, low;
	uint64_t note;
	uint64_t at_ms; /* monotonic, when it was added */
};

struct idset {
	struct idset_entry *ring; /* OWNED; grows by doubling up to max_count */
	uint32_t *index;          /* OWNED hash table: ring position + 1, 0 empty */
	size_t cap, head, count;  /* of the ring */
	size_t max_count;
	uint64_t max_age_ms;
};

void idset_init(struct idset *s, size_t max_count, uint64_t max_age_ms);
void idset_fini(struct idset *s);
/* Add an id. 0: it was not known (now it is, with the note); E_EXISTS: known, *note (may be NULL) receives its note; E_NOMEM. */
int idset_add(struct idset *s, uint64_t high, uint64_t low, uint64_t now_ms,
	      uint64_t *note) MUST_CHECK;
/* Change the note of a known id; E_NOTFOUND. */
int idset_note(struct idset *s, uint64_t high, uint64_t low, uint64_t note);
/* Forget one id (a publish that was refused after all). */
void idset_forget(struct idset *s, uint64_t high, uint64_t low);
/* Is it known? *note (may be NULL) receives its note. */
bool idset_find(const struct idset *s, uint64_t high, uint64_t low, uint64_t now_ms,
		uint64_t *note);
size_t idset_count(const struct idset *s);

#endif
