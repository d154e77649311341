/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Per thread, so that counting costs no atomic and a test's failing allocation hits the test. */
static _Thread_local uint64_t alloc_count;
static _Thread_local uint64_t fail_at_count;

static bool must_fail(void)
{
	alloc_count++;
	if (fail_at_count == 0 || alloc_count != fail_at_count)
		return false;
	fail_at_count = 0;
	return true;
}

static _Noreturn void die_without_memory(size_t bytes)
{
	fprintf(stderr, "out of memory: cannot get %zu bytes\n", bytes);
	exit(1);
}

void *mem_need(size_t bytes)
{
	void *p = calloc(1, bytes ? bytes : 1);

	if (!p)
		die_without_memory(bytes);
	return p;
}

char *mem_need_dup(const char *z)
{
	size_t bytes;
	char *copy;

	if (!z)
		return NULL;
	bytes = strlen(z) + 1;
	copy = mem_need(bytes);
	memcpy(copy, z, bytes);
	return copy;
}

void *mem_try(size_t bytes)
{
	if (must_fail())
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

void *mem_try_resize(void *p, size_t bytes)
{
	if (must_fail())
		return NULL;
	return realloc(p, bytes ? bytes : 1);
}

int mem_grow(void **items, uint32_t *cap, size_t item_bytes)
{
	uint32_t wanted = *cap ? *cap * 2 : 2;
	void *more = mem_try_resize(*items, wanted * item_bytes);

	if (!more)
		return E_NOMEM;
	*items = more;
	*cap = wanted;
	return 0;
}

void mem_free(void *p)
{
	free(p);
}

void mem_fail_at(uint64_t n)
{
	fail_at_count = n ? alloc_count + n : 0;
}

uint64_t mem_alloc_count(void)
{
	return alloc_count;
}
