/* SPDX-License-Identifier: Apache-2.0 */
#include "common/json/json.h"

#include <stdlib.h>

#include "common/base/base_test.h"

static const struct {
	struct str text;
	int err;
	enum json_type type;
} grammar[] = {
	{ STR("null"), 0, JSON_NULL },
	{ STR("true"), 0, JSON_TRUE },
	{ STR(" false\r\n\t "), 0, JSON_FALSE },
	{ STR("\"\""), 0, JSON_STRING },
	{ STR("[]"), 0, JSON_ARRAY },
	{ STR("[ ]"), 0, JSON_ARRAY },
	{ STR("{}"), 0, JSON_OBJECT },
	{ STR("{ }"), 0, JSON_OBJECT },
	{ STR("[1,[2,{\"a\":[]}],\"x\"]"), 0, JSON_ARRAY },
	{ STR("{ \"a\" : { \"b\" : [ 1 , 2 ] } , \"c\" : null }"), 0, JSON_OBJECT },
	{ STR("0"), 0, JSON_NUMBER },
	{ STR("-0"), 0, JSON_NUMBER },
	{ STR("1234567890"), 0, JSON_NUMBER },
	{ STR("-1.5e+10"), 0, JSON_NUMBER },
	{ STR("0.0E-1"), 0, JSON_NUMBER },
	{ STR("1e999"), 0, JSON_NUMBER },
	{ STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u0000\""), 0, JSON_STRING },
	{ STR("\"\\ud83d\\ude00\\uD83D\\uDE00\""), 0, JSON_STRING },
	{ STR("\"a quote after eight bytes\""), 0, JSON_STRING },
	{ STR("\"\xe2\x82\xac\xf0\x9f\x98\x80 \x7f\""), 0, JSON_STRING },

	{ STR(""), E_TRUNCATED, JSON_NONE },
	{ { NULL, 0 }, E_TRUNCATED, JSON_NONE },
	{ STR("  "), E_TRUNCATED, JSON_NONE },
	{ STR("nul"), E_TRUNCATED, JSON_NONE },
	{ STR("tru"), E_TRUNCATED, JSON_NONE },
	{ STR("-"), E_TRUNCATED, JSON_NONE },
	{ STR("1."), E_TRUNCATED, JSON_NONE },
	{ STR("1e"), E_TRUNCATED, JSON_NONE },
	{ STR("1e+"), E_TRUNCATED, JSON_NONE },
	{ STR("\""), E_TRUNCATED, JSON_NONE },
	{ STR("\"abcdefgh"), E_TRUNCATED, JSON_NONE },
	{ STR("\"\\"), E_TRUNCATED, JSON_NONE },
	{ STR("\"\\u12"), E_TRUNCATED, JSON_NONE },
	{ STR("\"\\ud83d"), E_TRUNCATED, JSON_NONE },
	{ STR("\"\\ud83d\\ude"), E_TRUNCATED, JSON_NONE },
	{ STR("["), E_TRUNCATED, JSON_NONE },
	{ STR("[1"), E_TRUNCATED, JSON_NONE },
	{ STR("[1,"), E_TRUNCATED, JSON_NONE },
	{ STR("{"), E_TRUNCATED, JSON_NONE },
	{ STR("{\"a\""), E_TRUNCATED, JSON_NONE },
	{ STR("{\"a\":"), E_TRUNCATED, JSON_NONE },
	{ STR("{\"a\":1"), E_TRUNCATED, JSON_NONE },
	{ STR("{\"a\":1,"), E_TRUNCATED, JSON_NONE },
	{ STR("[[]"), E_TRUNCATED, JSON_NONE },

	{ STR("nulL"), E_SYNTAX, JSON_NONE },
	{ STR("nullx"), E_SYNTAX, JSON_NONE },
	{ STR("NaN"), E_SYNTAX, JSON_NONE },
	{ STR("Infinity"), E_SYNTAX, JSON_NONE },
	{ STR("-Infinity"), E_SYNTAX, JSON_NONE },
	{ STR("+1"), E_SYNTAX, JSON_NONE },
	{ STR("01"), E_SYNTAX, JSON_NONE },
	{ STR("-01"), E_SYNTAX, JSON_NONE },
	{ STR(".5"), E_SYNTAX, JSON_NONE },
	{ STR("1.e1"), E_SYNTAX, JSON_NONE },
	{ STR("0x10"), E_SYNTAX, JSON_NONE },
	{ STR("1 2"), E_SYNTAX, JSON_NONE },
	{ STR("[]]"), E_SYNTAX, JSON_NONE },
	{ STR("[1,]"), E_SYNTAX, JSON_NONE },
	{ STR("[,1]"), E_SYNTAX, JSON_NONE },
	{ STR("[1 2]"), E_SYNTAX, JSON_NONE },
	{ STR("[1}"), E_SYNTAX, JSON_NONE },
	{ STR("{\"a\":1]"), E_SYNTAX, JSON_NONE },
	{ STR("{\"a\":1,}"), E_SYNTAX, JSON_NONE },
	{ STR("{\"a\" 1}"), E_SYNTAX, JSON_NONE },
	{ STR("{\"a\",1}"), E_SYNTAX, JSON_NONE },
	{ STR("{a:1}"), E_SYNTAX, JSON_NONE },
	{ STR("{1:1}"), E_SYNTAX, JSON_NONE },
	{ STR("{,}"), E_SYNTAX, JSON_NONE },
	{ STR("'a'"), E_SYNTAX, JSON_NONE },
	{ STR("\"a\nb\""), E_SYNTAX, JSON_NONE },
	{ STR("\"abcdefg\x1fh\""), E_SYNTAX, JSON_NONE },
	{ { "\"a\0b\"", 5 }, E_SYNTAX, JSON_NONE },
	{ { "1\0", 2 }, E_SYNTAX, JSON_NONE },
	{ STR("\"\\a\""), E_SYNTAX, JSON_NONE },
	{ STR("\"\\u12g4\""), E_SYNTAX, JSON_NONE },
	{ STR("\"\\U0041\""), E_SYNTAX, JSON_NONE },
	{ STR("\xef\xbb\xbf{}"), E_SYNTAX, JSON_NONE }, /* byte order mark */
	{ STR("\x0b"
	      "1"),
	  E_SYNTAX, JSON_NONE },
	{ STR("// c\n1"), E_SYNTAX, JSON_NONE },
	{ STR("\xff"), E_SYNTAX, JSON_NONE },

	{ STR("\"\x80\""), E_UTF8, JSON_NONE },
	{ STR("\"\xc0\xaf\""), E_UTF8, JSON_NONE },
	{ STR("\"1234567\xed\xa0\x80\""), E_UTF8, JSON_NONE },
	{ STR("\"\xe2\x82\""), E_UTF8, JSON_NONE },
	{ STR("{\"\xff\":1}"), E_UTF8, JSON_NONE },
	{ STR("\"\\ud83d\""), 0, JSON_STRING }, /* half a pair: JavaScript writes it so */
	{ STR("\"\\ud83d..\""), 0, JSON_STRING },
	{ STR("\"\\ud83d\\n....\""), 0, JSON_STRING },
	{ STR("\"\\ud83d\\ud83d\""), 0, JSON_STRING },
	{ STR("\"\\ude00\""), 0, JSON_STRING },
	{ STR("\"\\ud83\""), E_SYNTAX, JSON_NONE },
};

static void test_grammar_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(grammar); i++) {
		struct json_value v = { JSON_NONE, STR_NONE };
		int err = json_parse(grammar[i].text, &v);

		if (err != grammar[i].err)
			fail_msg("'" STR_FMT "': got %s, want %s", STR_ARG(grammar[i].text),
				 err_name(err), err_name(grammar[i].err));
		if (err)
			continue;
		assert_int_equal(v.type, grammar[i].type);
		assert_str(v.raw, str_trim(grammar[i].text));
	}
}

/* Every beginning of a valid text is refused, and from memory of exactly its size nothing behind is read. */
static void test_beginnings_are_truncated(void **state)
{
	static const struct str text = STR("{\"k\\u00e9\\ud83d\\ude00\xe2\x82\xac\":[-1.5e+3,true,"
					   "false,null,{\"\":\"\\n\"}]}");
	struct json_value v;

	(void)state;
	assert_int_equal(json_parse(text, &v), 0);
	for (size_t n = 0; n < text.n; n++) {
		char *exact = str_dup(str_make(text.p, n));
		int err = json_parse(str_make(exact, n), &v);

		assert_true(err == E_TRUNCATED || err == E_UTF8);
		free(exact);
	}
}

static void test_depth_at_and_past_the_bound(void **state)
{
	char text[2 * JSON_MAX_DEPTH + 2];
	struct json_value v;

	(void)state;
	for (size_t depth = 1; depth <= JSON_MAX_DEPTH + 1; depth++) {
		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(json_parse(str_make(text, 2 * depth), &v),
				 depth > JSON_MAX_DEPTH ? E_DEPTH : 0);
		assert_int_equal(json_parse(str_make(text, depth), &v),
				 depth > JSON_MAX_DEPTH ? E_DEPTH : E_TRUNCATED);
	}
	memset(text, '[', sizeof(text));
	text[JSON_MAX_DEPTH - 1] = '{';
	assert_int_equal(json_parse(str_make(text, sizeof(text)), &v), E_SYNTAX);
}

static void test_prefix_stops_behind_the_value(void **state)
{
	static const struct {
		struct str text;
		int err;
		size_t used;
	} rows[] = {
		{ STR(" [1] x"), 0, 4 }, { STR("1,2"), 0, 1 },   { STR("\"a\"\"b\""), 0, 3 },
		{ STR("{}{"), 0, 2 },    { STR("nullx"), 0, 4 }, { STR("x"), E_SYNTAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct json_value v;
		size_t used = 0;

		assert_int_equal(json_parse_prefix(rows[i].text, &v, &used), rows[i].err);
		assert_int_equal(used, rows[i].used);
	}
}

static struct json_value parsed(const char *text)
{
	struct json_value v;

	assert_int_equal(json_parse(str_of(text), &v), 0);
	return v;
}

static void test_walk_gives_elements_in_order(void **state)
{
	static const char *const want[] = { "1",    "\"a,]\\\"\"", "[2,[3]]", "{\"x\":\"}\"}",
					    "null", "-2.5" };
	struct json_value v;
	struct json_walk w;
	struct str key = STR("k");
	size_t i = 0;

	(void)state;
	json_walk(parsed("[ 1 ,\"a,]\\\"\", [2,[3]],{\"x\":\"}\"} ,null,-2.5 ]"), &w);
	for (; json_next(&w, &key, &v) == 0; i++) {
		assert_str(v.raw, str_of(want[i]));
		assert_int_equal(key.n, 0);
	}
	assert_int_equal(i, COUNT_OF(want));
	assert_int_equal(json_next(&w, NULL, &v), E_NOTFOUND);
}

static void test_walk_gives_members_with_raw_keys(void **state)
{
	struct json_value v;
	struct json_walk w;
	struct str key;

	(void)state;
	json_walk(parsed("{ \"a\\n\" : 1 , \"\":[ ]}"), &w);
	assert_int_equal(json_next(&w, &key, &v), 0);
	assert_str(key, STR("\"a\\n\""));
	assert_str(v.raw, STR("1"));
	assert_int_equal(json_next(&w, &key, &v), 0);
	assert_str(key, STR("\"\""));
	assert_int_equal(v.type, JSON_ARRAY);
	assert_int_equal(json_next(&w, &key, &v), E_NOTFOUND);
}

static void test_walk_of_others_is_empty(void **state)
{
	static const char *const others[] = { "1", "\"[1]\"", "null", "[]", "{}", "[ ]", "{ }" };
	struct json_value v;
	struct json_walk w;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(others); i++) {
		json_walk(parsed(others[i]), &w);
		assert_int_equal(json_next(&w, NULL, &v), E_NOTFOUND);
		assert_int_equal(json_count(parsed(others[i])), 0);
	}
	json_walk((struct json_value){ JSON_NONE, STR_NONE }, &w);
	assert_int_equal(json_next(&w, NULL, &v), E_NOTFOUND);
}

static void test_get_finds_members_by_unescaped_name(void **state)
{
	struct json_value o = parsed("{\"a\":1,\"b\":{\"a\":2},\"caf\\u00e9\":3,\"\":4,"
				     "\"a\\u0000b\":5,\"\\ud83d\\ude00\":6,"
				     "\"q\\\"\":7,\"\\u0061a\":8,\"a\":9}");
	static const struct {
		struct str name, raw;
	} rows[] = {
		{ STR("a"), STR("9") },           { STR("b"), STR("{\"a\":2}") },
		{ STR("caf\xc3\xa9"), STR("3") }, { STR(""), STR("4") },
		{ { "a\0b", 3 }, STR("5") },      { STR("\xf0\x9f\x98\x80"), STR("6") },
		{ STR("q\""), STR("7") },         { STR("aa"), STR("8") },
	};
	static const struct str absent[] = { STR("A"),  STR("caf\\u00e9"), STR("q\\\""),
					     STR("ab"), STR("b "),         STR("aaa") };
	struct json_value v;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(json_get(o, rows[i].name, &v), 0);
		assert_str(v.raw, rows[i].raw);
	}
	for (size_t i = 0; i < COUNT_OF(absent); i++)
		assert_int_equal(json_get(o, absent[i], &v), E_NOTFOUND);
	assert_int_equal(json_get(parsed("[1]"), STR("0"), &v), E_TYPE);
}

static void test_path_descends(void **state)
{
	struct json_value o = parsed("{\"payload\":{\"ticketId\":\"t1\",\"\":{\"\":5}},\"n\":1}");
	struct json_value v;

	(void)state;
	assert_int_equal(json_get_path(o, STR("payload.ticketId"), &v), 0);
	assert_str(v.raw, STR("\"t1\""));
	assert_int_equal(json_get_path(o, STR("payload.."), &v), 0);
	assert_str(v.raw, STR("5"));
	assert_int_equal(json_get_path(o, STR("n"), &v), 0);
	assert_int_equal(json_get_path(o, STR("n.x"), &v), E_TYPE);
	assert_int_equal(json_get_path(o, STR("payload.x"), &v), E_NOTFOUND);
	assert_int_equal(json_get_path(o, STR(""), &v), E_NOTFOUND);
}

static void test_at_and_count(void **state)
{
	struct json_value v;

	(void)state;
	assert_int_equal(json_at(parsed("[1,[2],3]"), 1, &v), 0);
	assert_str(v.raw, STR("[2]"));
	assert_int_equal(json_at(parsed("[1,[2],3]"), 3, &v), E_NOTFOUND);
	assert_int_equal(json_at(parsed("{\"a\":1}"), 0, &v), E_TYPE);
	assert_int_equal(json_count(parsed("[1,[2,3],4]")), 3);
	assert_int_equal(json_count(parsed("{\"a\":1,\"a\":2}")), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar_table),
		cmocka_unit_test(test_beginnings_are_truncated),
		cmocka_unit_test(test_depth_at_and_past_the_bound),
		cmocka_unit_test(test_prefix_stops_behind_the_value),
		cmocka_unit_test(test_walk_gives_elements_in_order),
		cmocka_unit_test(test_walk_gives_members_with_raw_keys),
		cmocka_unit_test(test_walk_of_others_is_empty),
		cmocka_unit_test(test_get_finds_members_by_unescaped_name),
		cmocka_unit_test(test_path_descends),
		cmocka_unit_test(test_at_and_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
