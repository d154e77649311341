/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pool of equal-sized objects with a bound: no malloc in steady state, counts for metrics. Freed objects are poisoned
 * under AddressSanitizer. Thread: one.
 */
#ifndef ROOMWIRE_BASE_SLAB_H
#define ROOMWIRE_BASE_SLAB_H

#include <stddef.h>

struct slab {
	size_t size;  /* bytes of one object, rounded up to 16 */
	size_t max;   /* objects allowed, 0 = no bound */
	size_t live;  /* objects handed out */
	size_t total; /* objects held, handed out or free */
	void *free_list;
	void *chunks; /* OWNED blocks of objects */
};

void slab_init(struct slab *s, size_t object_bytes, size_t max_objects);
/* Every object must have been given back, else it is a BUG in debug builds. */
void slab_fini(struct slab *s);
void *slab_get(struct slab *s);              /* zeroed; NULL at the bound or out of memory */
void slab_put(struct slab *s, void *object); /* accepts NULL */

#endif
