/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/b64.h"

/* The two alphabets differ in the characters for 62 and 63. */
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value + 1 of each character, 0 for those that are in neither alphabet. */
/* clang-format off */
static const uint8_t values[256] = {
	['A'] = 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13,
	['N'] = 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39,
	['n'] = 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
	['+'] = 63, ['-'] = 63, ['/'] = 64, ['_'] = 64,
};
/* clang-format on */

/* Returns the length without padding. */
static size_t encode(struct str in, const char *letters, char *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	char *at = out;
	size_t left = in.n;

	for (; left >= 3; left -= 3, p += 3) {
		*at++ = letters[p[0] >> 2];
		*at++ = letters[(p[0] & 3) << 4 | p[1] >> 4];
		*at++ = letters[(p[1] & 15) << 2 | p[2] >> 6];
		*at++ = letters[p[2] & 63];
	}
	if (left > 0) {
		unsigned second = left > 1 ? p[1] : 0;

		*at++ = letters[p[0] >> 2];
		*at++ = letters[(p[0] & 3u) << 4 | second >> 4];
		if (left > 1)
			*at++ = letters[(second & 15) << 2];
	}
	return (size_t)(at - out);
}

void b64_encode(struct str in, char *out)
{
	size_t n = encode(in, alphabet, out);

	memset(out + n, '=', b64_encoded_bytes(in.n) - n);
}

size_t b64url_encode(struct str in, char *out)
{
	return encode(in, alphabet_url, out);
}

/* Up to four characters to 24 bits from the top; false when one is not of the alphabet. */
static bool decode_group(const char *p, size_t count, const char *letters, uint32_t *bits)
{
	const char other62 = letters == alphabet ? '-' : '+';
	const char other63 = letters == alphabet ? '_' : '/';

	*bits = 0;
	for (size_t i = 0; i < count; i++) {
		uint8_t value = values[(unsigned char)p[i]];

		if (value == 0 || p[i] == other62 || p[i] == other63)
			return false;
		*bits |= (uint32_t)(value - 1) << (18 - 6 * i);
	}
	return true;
}

/* `in` is without padding. */
static int decode(struct str in, const char *letters, char *out, size_t *n)
{
	char *at = out;
	uint32_t bits;

	for (; in.n >= 4; in = str_skip(in, 4)) {
		if (!decode_group(in.p, 4, letters, &bits))
			return E_SYNTAX;
		*at++ = (char)(bits >> 16);
		*at++ = (char)(bits >> 8);
		*at++ = (char)bits;
	}
	if (in.n == 1)
		return E_SYNTAX;
	if (in.n > 1) {
		if (!decode_group(in.p, in.n, letters, &bits))
			return E_SYNTAX;
		/* Bits that stand for no byte: two texts of the same bytes otherwise. */
		if (bits & (in.n == 2 ? 0xffffu : 0xffu))
			return E_SYNTAX;
		*at++ = (char)(bits >> 16);
		if (in.n == 3)
			*at++ = (char)(bits >> 8);
	}
	*n = (size_t)(at - out);
	return 0;
}

int b64_decode(struct str in, char *out, size_t *n)
{
	if (in.n % 4)
		return E_SYNTAX;
	for (int padding = 0; padding < 2 && in.n > 0 && in.p[in.n - 1] == '='; padding++)
		in.n--;
	return decode(in, alphabet, out, n);
}

int b64url_decode(struct str in, char *out, size_t *n)
{
	return decode(in, alphabet_url, out, n);
}
