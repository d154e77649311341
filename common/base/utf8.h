/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 validity (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
#ifndef ROOMWIRE_BASE_UTF8_H
#define ROOMWIRE_BASE_UTF8_H

#include "common/base/str.h"

bool utf8_valid(struct str s);

/* Bytes (1 to 4) of the character at p, of which `left` (> 0) bytes can be read; 0 when it is not valid or cut off. */
static inline size_t utf8_step(const unsigned char *p, size_t left)
{
	unsigned low = 0x80, high = 0xbf; /* bounds of the second byte (RFC 3629 section 4) */
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	n = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (left < n)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	return n;
}

#endif
