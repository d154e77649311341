/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/utf8.h"

#define HIGH_BITS UINT64_C(0x8080808080808080)

bool utf8_valid(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t left = s.n;

	while (left > 0) {
		size_t step;

		if (left >= 8) {
			uint64_t word;

			memcpy(&word, p, sizeof(word));
			if (!(word & HIGH_BITS)) {
				p += 8;
				left -= 8;
				continue;
			}
		}
		step = utf8_step(p, left);
		if (step == 0)
			return false;
		p += step;
		left -= step;
	}
	return true;
}
