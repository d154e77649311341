/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json/json.h"

#include "common/base/base_test.h"
#include "common/base/mem.h"

static struct json_value parsed(const char *text)
{
	struct json_value v;

	assert_int_equal(json_parse(str_of(text), &v), 0);
	return v;
}

static const struct {
	const char *json;
	struct str text;
} strings[] = {
	{ "\"\"", STR("") },
	{ "\"plain \xc3\xa9\"", STR("plain \xc3\xa9") },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", STR("\"\\/\b\f\n\r\t") },
	{ "\"a\\u0041z\"", STR("aAz") },
	{ "\"\\u0000\"", { "\0", 1 } },
	{ "\"\\u007f\\u0080\\u07ff\\u0800\\uFFFF\"",
	  STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf") },
	{ "\"\\ud800\\udc00\\uDBFF\\uDFFF\"", STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf") },
	{ "\"\\\\u0041\"", STR("\\u0041") },
	{ "\"a\\ud83d\"", STR("a\xef\xbf\xbd") }, /* half a pair */
	{ "\"\\ud83dzzzzzz\"", STR("\xef\xbf\xbdzzzzzz") },
	{ "\"\\ude00\\ud83d\\u0041\"", STR("\xef\xbf\xbd\xef\xbf\xbd"
					   "A") },
	{ "\"\\ud83d\\ud83d\\ude00\"", STR("\xef\xbf\xbd\xf0\x9f\x98\x80") },
	{ "\"ends in \\n\"", STR("ends in \n") },
};

static void test_text_is_decoded(void **state)
{
	struct buf scratch = BUF_INIT(1000);
	struct str text;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(strings); i++) {
		struct json_value v = parsed(strings[i].json);

		assert_int_equal(json_text(v, &scratch, &text), 0);
		assert_str(text, strings[i].text);
		assert_true(json_text_is(v, strings[i].text));
		for (size_t k = 0; k < COUNT_OF(strings); k++)
			assert_int_equal(json_text_is(v, strings[k].text), i == k);
	}
	buf_fini(&scratch);
}

static void test_text_without_escapes_is_a_slice_of_the_input(void **state)
{
	struct json_value v = parsed("\"plain\"");
	struct str text;

	(void)state;
	assert_int_equal(json_text(v, NULL, &text), 0);
	assert_ptr_equal(text.p, v.raw.p + 1);
}

static void test_text_is_appended_to_scratch(void **state)
{
	struct buf scratch = BUF_INIT(20);
	struct str text;

	(void)state;
	buf_addz(&scratch, "kept ");
	assert_int_equal(json_text(parsed("\"\\n1\""), &scratch, &text), 0);
	assert_str(buf_str(&scratch), STR("kept \n1"));
	assert_ptr_equal(text.p, scratch.p + 5);
	assert_int_equal(json_text(parsed("\"\\n2345678901234567890\""), &scratch, &text),
			 E_TOOBIG);
	buf_fini(&scratch);
	buf_init(&scratch, 20);
	mem_fail_at(1);
	assert_int_equal(json_text(parsed("\"\\n\""), &scratch, &text), E_NOMEM);
	buf_fini(&scratch);
}

static void test_text_of_another_type_is_refused(void **state)
{
	struct buf scratch = BUF_INIT(20);
	struct str text;

	(void)state;
	assert_int_equal(json_text(parsed("1"), &scratch, &text), E_TYPE);
	assert_int_equal(json_text(parsed("[\"a\"]"), &scratch, &text), E_TYPE);
	assert_false(json_text_is(parsed("null"), STR("null")));
	assert_false(json_text_is(parsed("[]"), STR("")));
}

static void test_integers_in_and_out_of_range(void **state)
{
	static const struct {
		const char *json;
		int err_u, err_i;
		uint64_t value;
	} rows[] = {
		{ "0", 0, 0, 0 },
		{ "42", 0, 0, 42 },
		{ "18446744073709551615", 0, E_RANGE, UINT64_MAX },
		{ "18446744073709551616", E_RANGE, E_RANGE, 0 },
		{ "9223372036854775807", 0, 0, INT64_MAX },
		{ "-1", E_RANGE, 0, UINT64_MAX },
		{ "-9223372036854775808", E_RANGE, 0, (uint64_t)INT64_MIN },
		{ "1.0", E_RANGE, E_RANGE, 0 },
		{ "1e3", E_RANGE, E_RANGE, 0 },
		{ "\"1\"", E_TYPE, E_TYPE, 0 },
		{ "null", E_TYPE, E_TYPE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct json_value v = parsed(rows[i].json);
		uint64_t u = 0;
		int64_t s = 0;

		assert_int_equal(json_u64(v, &u), rows[i].err_u);
		assert_int_equal(json_i64(v, &s), rows[i].err_i);
		assert_true(rows[i].err_u || u == rows[i].value);
		assert_true(rows[i].err_i || (uint64_t)s == rows[i].value);
	}
}

static void test_bool_is_true_or_false_only(void **state)
{
	bool b = false;

	(void)state;
	assert_true(json_bool(parsed("true"), &b));
	assert_true(b);
	assert_true(json_bool(parsed("false"), &b));
	assert_false(b);
	assert_false(json_bool(parsed("1"), &b));
	assert_false(json_bool(parsed("\"true\""), &b));
	assert_false(json_bool(parsed("null"), &b));
}

/* buf_add_json and the scanner are each other's inverse. */
static void test_random_texts_survive_escaping(void **state)
{
	struct buf json = BUF_INIT(1000), scratch = BUF_INIT(1000);
	uint64_t seed = 9;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct json_value v;
		struct str text;
		char plain[40];
		size_t n = test_random(&seed) % sizeof(plain);

		for (size_t i = 0; i < n; i++)
			plain[i] = (char)(test_random(&seed) % (round % 2 ? 128 : 40));
		buf_reset(&json);
		buf_reset(&scratch);
		buf_add_json(&json, str_make(plain, n));
		assert_int_equal(json_parse(buf_str(&json), &v), 0);
		assert_int_equal(json_text(v, &scratch, &text), 0);
		assert_str(text, str_make(plain, n));
	}
	buf_fini(&json);
	buf_fini(&scratch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_decoded),
		cmocka_unit_test(test_text_without_escapes_is_a_slice_of_the_input),
		cmocka_unit_test(test_text_is_appended_to_scratch),
		cmocka_unit_test(test_text_of_another_type_is_refused),
		cmocka_unit_test(test_integers_in_and_out_of_range),
		cmocka_unit_test(test_bool_is_true_or_false_only),
		cmocka_unit_test(test_random_texts_survive_escaping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
