/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/utf8.h"

#include "common/base/base_test.h"

/* By decoding, as the definition reads (RFC 3629 section 3). */
static bool naive_valid(const unsigned char *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	while (n > 0) {
		size_t length = p[0] < 0x80             ? 1
				: (p[0] & 0xe0) == 0xc0 ? 2
				: (p[0] & 0xf0) == 0xe0 ? 3
							: 4;
		uint32_t code = length == 1 ? p[0] : p[0] & (0x7fu >> length);

		if (length > n || (length == 4 && (p[0] & 0xf8) != 0xf0))
			return false;
		for (size_t i = 1; i < length; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			code = code << 6 | (p[i] & 0x3fu);
		}
		if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
			return false;
		p += length;
		n -= length;
	}
	return true;
}

static void test_table_of_known_texts(void **state)
{
	static const struct {
		struct str s;
		bool valid;
	} rows[] = {
		{ STR(""), true },
		{ { NULL, 0 }, true },
		{ STR("ascii, longer than eight bytes"), true },
		{ STR("12345678\xc3\xa9"), true },
		{ STR("\xe2\x82\xac \xf0\x9f\x98\x80"), true },
		{ STR("\xf4\x8f\xbf\xbf"), true },         /* U+10FFFF */
		{ STR("\xef\xbf\xbf\xee\x80\x80"), true }, /* U+FFFF, U+E000 */
		{ { "\0", 1 }, true },
		{ STR("\xc0\x80"), false }, /* overlong NUL */
		{ STR("\xc1\xbf"), false },
		{ STR("\xe0\x9f\xbf"), false },
		{ STR("\xf0\x8f\xbf\xbf"), false },
		{ STR("\xed\xa0\x80"), false },     /* surrogate */
		{ STR("\xf4\x90\x80\x80"), false }, /* past U+10FFFF */
		{ STR("\xf5\x80\x80\x80"), false },
		{ STR("\x80"), false },
		{ STR("1234567\xc3"), false }, /* cut off */
		{ STR("\xf0\x9f\x98"), false },
		{ STR("\xff"), false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(utf8_valid(rows[i].s), rows[i].valid);
}

/* Every sequence of three bytes (and with it of one and two). */
static void test_all_short_sequences_agree_with_the_definition(void **state)
{
	unsigned char text[3];

	(void)state;
	for (uint32_t bytes = 0; bytes < 1u << 24; bytes++) {
		text[0] = (unsigned char)(bytes >> 16);
		text[1] = (unsigned char)(bytes >> 8);
		text[2] = (unsigned char)bytes;
		if (utf8_valid(str_make((char *)text, 3)) != naive_valid(text, 3))
			fail_msg("%02x %02x %02x", text[0], text[1], text[2]);
	}
}

static void test_random_mixtures_agree_with_the_definition(void **state)
{
	static const unsigned char interesting[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
						     0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1,
						     0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5 };
	unsigned char text[24];
	uint64_t seed = 3;
	size_t valid = 0;

	(void)state;
	for (int round = 0; round < 1000000; round++) {
		size_t n = test_random(&seed) % sizeof(text);

		memset(text, 'x', sizeof(text));
		for (size_t i = n > 6 ? n - 6 : 0; i < n; i++)
			text[i] = interesting[test_random(&seed) % sizeof(interesting)];
		assert_int_equal(utf8_valid(str_make((char *)text, n)), naive_valid(text, n));
		valid += naive_valid(text, n);
	}
	assert_true(valid > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_of_known_texts),
		cmocka_unit_test(test_all_short_sequences_agree_with_the_definition),
		cmocka_unit_test(test_random_mixtures_agree_with_the_definition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
