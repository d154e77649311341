/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory. mem_need_* is for small fixed structures at start: it ends the process when there is none. mem_try_* is for
 * anything whose size or number a peer influences: it returns NULL and the caller answers E_NOMEM. Both zero the memory.
 * Test builds can let the Nth allocation fail (mem_fail_at), which buf, map and slab go through too.
 */
#ifndef ROOMWIRE_BASE_MEM_H
#define ROOMWIRE_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

void *mem_need(size_t bytes);
char *mem_need_dup(const char *z); /* NULL stays NULL */
void *mem_try(size_t bytes);
/* Like realloc; p stays valid when NULL is returned; not zeroed. */
void *mem_try_resize(void *p, size_t bytes);
void mem_free(void *p);
/* Room for more items in an array: *cap doubles, from 2 on; *items may move. 0, or E_NOMEM with nothing changed. */
int mem_grow(void **items, uint32_t *cap, size_t item_bytes);

/* Tests: let allocation number n from now (1 = the next) fail once; 0 switches off. */
void mem_fail_at(uint64_t n);
uint64_t mem_alloc_count(void);

#endif
