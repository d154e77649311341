/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that are built and bytes that are shared.
 *
 *   struct buf   a growing builder with a bound; one owner.
 *   struct blob  immutable, reference-counted bytes: one broadcast, many queues.
 *
 * Thread: one thread per object (counts are not atomic).
 *
 *     struct buf b = BUF_INIT(1 << 20);
 *     buf_add(&b, STR("42[")); buf_addf(&b, "%d", 7);
 *     if (b.failed) ...            // a builder remembers its first error: check once at the end
 *     struct blob *shared = buf_take_blob(&b);
 */
#ifndef ROOMWIRE_BASE_BUF_H
#define ROOMWIRE_BASE_BUF_H

#include "common/base/str.h"

struct buf {
	char *p;    /* OWNED, heap; NULL while empty */
	size_t n;   /* bytes used */
	size_t cap; /* bytes allocated */
	size_t max; /* bound in bytes; past it `failed` becomes E_TOOBIG */
	int failed; /* first error (E_NOMEM, E_TOOBIG), sticky until buf_reset */
};

#define BUF_INIT(max_bytes) \
	{ \
		NULL, 0, 0, (max_bytes), 0 \
	}

void buf_init(struct buf *b, size_t max_bytes);
void buf_fini(struct buf *b);
void buf_reset(struct buf *b); /* empties, keeps the memory, clears `failed` */
void buf_add(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_addz(struct buf *b, const char *z);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addu(struct buf *b, uint64_t value); /* decimal */
/* The text as a JSON string with its quotes (RFC 8259 section 7); s must be UTF-8. */
void buf_add_json(struct buf *b, struct str s);
/* Room for n more bytes to be written at the returned place, then b->n += written; NULL when it cannot be had. */
char *buf_room(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n); /* n <= b->n; moves the rest down */

static inline struct str buf_str(const struct buf *b) /* BORROWED until the next change */
{
	return str_make(b->p, b->n);
}

struct blob {
	uint32_t refs;
	uint32_t n; /* bytes in data */
	char data[];
};

/* Refs 1, contents undefined; NULL when out of memory or n > 2^31. */
struct blob *blob_new(size_t n);
struct blob *blob_copy(struct str s); /* refs 1 */
struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob **blob); /* nulls; frees with the last reference; accepts NULL inside */
/* Copies out and resets; NULL (b unchanged) when b->failed or out of memory. */
struct blob *buf_take_blob(struct buf *b);

static inline struct str blob_str(const struct blob *blob)
{
	return str_make(blob->data, blob->n);
}

#endif
