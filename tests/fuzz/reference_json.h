/* SPDX-License-Identifier: Apache-2.0 */
/* jansson as the reference for fuzz_json.c: behind opaque nodes, because its header and common/json/json.h share names. */
#ifndef ROOMWIRE_FUZZ_REFERENCE_JSON_H
#define ROOMWIRE_FUZZ_REFERENCE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reference_verdict {
	REFERENCE_VALID = 0,
	REFERENCE_INVALID,
	REFERENCE_CANNOT, /* valid perhaps, but past what jansson holds: number range, NUL in a name, its own depth */
};

struct reference;

enum reference_verdict reference_parse(const char *text, size_t n, struct reference **root);
void reference_free(struct reference *root);
/* One of n f t i (integer) r (real) s a o. */
char reference_type(const struct reference *node);
const char *reference_string(const struct reference *node, size_t *n);
int64_t reference_integer(const struct reference *node);
double reference_real(const struct reference *node);
size_t reference_count(const struct reference *node);
/* BORROWED from the root; NULL when there is none. */
const struct reference *reference_at(const struct reference *node, size_t index);
const struct reference *reference_member(const struct reference *node, const char *name, size_t n);

#endif
