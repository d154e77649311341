/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slice of bytes: pointer and length, never owning, not NUL-terminated. Copying a struct str copies no bytes;
 * whoever hands one out says how long it is BORROWED. Thread: any.
 */
#ifndef ROOMWIRE_BASE_STR_H
#define ROOMWIRE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

struct str {
	const char *p; /* BORROWED; may be NULL when n is 0 */
	size_t n;      /* bytes */
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 }) /* of a string literal */
#define STR_NONE ((struct str){ NULL, 0 })
#define STR_FMT "%.*s" /* printf("..." STR_FMT, STR_ARG(s)) */
#define STR_ARG(s) (int)((s).n), ((s).p ? (s).p : "")

static inline struct str str_make(const char *p, size_t n)
{
	return (struct str){ p, n };
}

/* Of a NUL-terminated string; NULL gives the empty slice. */
static inline struct str str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
	return str_eq(a, str_of(z));
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline struct str str_skip(struct str s, size_t n) /* without its first n bytes; n <= s.n */
{
	return (struct str){ s.p + n, s.n - n };
}

bool str_eq_nocase(struct str a, struct str b); /* ASCII case only */
/* Constant time in the bytes of equal-length inputs: for secrets. */
bool str_eq_secret(struct str a, struct str b);
struct str str_trim(struct str s); /* without ASCII blanks at both ends */
/*
 * Cut s at the first `sep`: *head is what precedes it, *tail what follows. Without a separator head is all of s, tail
 * is empty and the result is false.
 */
bool str_cut(struct str s, char sep, struct str *head, struct str *tail);
/* Value of a hexadecimal digit in either case; -1: it is none. */
int str_hex_digit(char c);
/* Decimal digits only, the whole slice: 0, E_SYNTAX or E_RANGE. */
int str_to_u64(struct str s, uint64_t *value) MUST_CHECK;
int str_to_i64(struct str s, int64_t *value) MUST_CHECK;
/* NUL-terminated heap copy, OWNED by caller (free()); NULL when out of memory. */
char *str_dup(struct str s);
/* Copy into a fixed buffer, always terminated: 0 or E_TOOBIG (then nothing but the terminator is written). */
int str_copy(struct str s, char *out, size_t cap) MUST_CHECK;

#endif
