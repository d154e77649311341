/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/slab.h"

#include <string.h>

#include "common/base/err.h"
#include "common/base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_POISON 1
#endif
#endif

#ifdef SLAB_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN_BYTES 16
#define CHUNK_BYTES ((size_t)64 << 10)
#define CHUNK_OBJECTS_MIN 8

/* Header of a block, and of a free object. */
struct link {
	struct link *next;
	char pad[ALIGN_BYTES - sizeof(struct link *)];
};

_Static_assert(sizeof(struct link) == ALIGN_BYTES, "objects behind the header stay aligned");

void slab_init(struct slab *s, size_t object_bytes, size_t max_objects)
{
	*s = (struct slab){ .max = max_objects };
	BUG_ON(object_bytes > CHUNK_BYTES * 16);
	s->size = object_bytes ? (object_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES
			       : ALIGN_BYTES;
}

void slab_fini(struct slab *s)
{
	struct link *chunk = s->chunks;

#ifndef NDEBUG
	BUG_ON(s->live != 0);
#endif
	while (chunk) {
		struct link *next = chunk->next;

		mem_free(chunk);
		chunk = next;
	}
	s->chunks = s->free_list = NULL;
	s->live = s->total = 0;
}

static void push_free(struct slab *s, void *object)
{
	struct link *free_object = object;

	free_object->next = s->free_list;
	s->free_list = free_object;
	ASAN_POISON_MEMORY_REGION(object, s->size);
}

static int add_chunk(struct slab *s)
{
	size_t count = CHUNK_BYTES / s->size;
	struct link *chunk;

	if (count < CHUNK_OBJECTS_MIN)
		count = CHUNK_OBJECTS_MIN;
	if (s->max && count > s->max - s->total)
		count = s->max - s->total;
	chunk = mem_try_resize(NULL, sizeof(*chunk) + count * s->size);
	if (!chunk)
		return E_NOMEM;
	chunk->next = s->chunks;
	s->chunks = chunk;
	s->total += count;
	/* Backwards, so that objects are handed out in order of address. */
	while (count > 0)
		push_free(s, (char *)(chunk + 1) + --count * s->size);
	return 0;
}

void *slab_get(struct slab *s)
{
	struct link *object;

	if (s->max && s->live >= s->max)
		return NULL;
	if (!s->free_list && add_chunk(s))
		return NULL;
	object = s->free_list;
	BUG_ON(!object);
	ASAN_UNPOISON_MEMORY_REGION(object, s->size);
	s->free_list = object->next;
	s->live++;
	memset(object, 0, s->size);
	return object;
}

void slab_put(struct slab *s, void *object)
{
	if (!object)
		return;
	BUG_ON(s->live == 0);
	s->live--;
	push_free(s, object);
}
