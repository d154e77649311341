/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 (RFC 4648 section 4, padded) for Engine.IO polling binary, and base64url without padding (section 5) for tokens.
 * Decoders are strict: no blanks, no missing or extra padding, no non-zero trailing bits.
 */
#ifndef ROOMWIRE_BASE_B64_H
#define ROOMWIRE_BASE_B64_H

#include "common/base/str.h"

static inline size_t b64_encoded_bytes(size_t n)
{
	return (n + 2) / 3 * 4;
}

void b64_encode(struct str in, char *out);      /* writes b64_encoded_bytes(in.n), not terminated */
size_t b64url_encode(struct str in, char *out); /* without padding; returns the length written */
/* out holds at least in.n / 4 * 3 + 3 bytes; *n is what was written. 0 or E_SYNTAX. */
int b64_decode(struct str in, char *out, size_t *n) MUST_CHECK;
int b64url_decode(struct str in, char *out, size_t *n) MUST_CHECK;

#endif
