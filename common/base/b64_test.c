/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/b64.h"

#include "common/base/base_test.h"

/* RFC 4648 section 10, and one that shows the two alphabets. */
static const struct {
	struct str bytes, text, text_url;
} rows[] = {
	{ STR(""), STR(""), STR("") },
	{ STR("f"), STR("Zg=="), STR("Zg") },
	{ STR("fo"), STR("Zm8="), STR("Zm8") },
	{ STR("foo"), STR("Zm9v"), STR("Zm9v") },
	{ STR("foob"), STR("Zm9vYg=="), STR("Zm9vYg") },
	{ STR("fooba"), STR("Zm9vYmE="), STR("Zm9vYmE") },
	{ STR("foobar"), STR("Zm9vYmFy"), STR("Zm9vYmFy") },
	{ STR("\xfb\xff\xfe"), STR("+//+"), STR("-__-") },
};

static void test_vectors_encode_and_decode(void **state)
{
	char out[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(b64_encoded_bytes(rows[i].bytes.n), rows[i].text.n);
		b64_encode(rows[i].bytes, out);
		assert_str(str_make(out, rows[i].text.n), rows[i].text);
		n = b64url_encode(rows[i].bytes, out);
		assert_str(str_make(out, n), rows[i].text_url);
		assert_int_equal(b64_decode(rows[i].text, out, &n), 0);
		assert_str(str_make(out, n), rows[i].bytes);
		assert_int_equal(b64url_decode(rows[i].text_url, out, &n), 0);
		assert_str(str_make(out, n), rows[i].bytes);
	}
}

static void test_random_bytes_survive(void **state)
{
	char bytes[100], text[136], back[136];
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct str in = str_make(bytes, test_random(&seed) % (sizeof(bytes) + 1));
		size_t n;

		for (size_t i = 0; i < in.n; i++)
			bytes[i] = (char)test_random(&seed);
		b64_encode(in, text);
		assert_int_equal(b64_decode(str_make(text, b64_encoded_bytes(in.n)), back, &n), 0);
		assert_str(str_make(back, n), in);
		n = b64url_encode(in, text);
		assert_int_equal(b64url_decode(str_make(text, n), back, &n), 0);
		assert_str(str_make(back, n), in);
	}
}

static void test_decoders_are_strict(void **state)
{
	static const struct str bad[] = {
		STR("Zg"),      STR("Zg="),  STR("Zg==="), STR("Zg==\n"),   STR(" Zg=="),
		STR("Zh=="),    STR("Zm9="), STR("===="),  STR("Z==="),     STR("Zm9vZ"),
		STR("Zm-v"),    STR("Zm_v"), STR("Z=g="),  STR("Zg==Zg=="), STR("Zm9\0"),
		STR("Zm9\xff"), STR("="),    STR("Zg=a"),
	};
	static const struct str bad_url[] = {
		STR("Zg=="), STR("Zh"),   STR("Zm9"),  STR("Z"), STR("Zm9vZ"),
		STR("Zm+v"), STR("Zm/v"), STR("Zm v"), STR("="),
	};
	char out[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		assert_int_equal(b64_decode(bad[i], out, &n), E_SYNTAX);
	for (size_t i = 0; i < COUNT_OF(bad_url); i++)
		assert_int_equal(b64url_decode(bad_url[i], out, &n), E_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors_encode_and_decode),
		cmocka_unit_test(test_random_bytes_survive),
		cmocka_unit_test(test_decoders_are_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
