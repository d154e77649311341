/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/plain.h"

#include "common/base/base_test.h"

static void test_decode_of_every_kind_then_verdict(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *type, *payload;
	} rows[] = {
		{ "{\"type\":\"a\",\"payload\":{\"x\":1}}", 0, "\"a\"", "{\"x\":1}" },
		{ " { \"payload\" : null , \"type\" : \"a\" } ", 0, "\"a\"", "null" },
		{ "{\"type\":\"\"}", 0, "\"\"", "" },
		{ "{\"type\":\"a\",\"type\":\"b\"}", 0, "\"b\"", "" },
		{ "{\"type\":7}", E_TYPE, NULL, NULL },
		{ "{\"payload\":1}", E_NOTFOUND, NULL, NULL },
		{ "[]", E_TYPE, NULL, NULL },
		{ "\"type\"", E_TYPE, NULL, NULL },
	};
	static const char *const broken[] = { "", "{", "{\"type\":\"a\"}x", "{\"type\":\"a\",}",
					      "{\"type\":\"\xff\"}" };
	struct plain_message m;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(plain_decode(str_of(rows[i].text), &m), rows[i].err);
		if (rows[i].err)
			continue;
		assert_str(m.payload.raw, str_of(rows[i].payload));
		if (i != 3) /* which of two members of one name counts is the scanner's rule */
			assert_str(m.type.raw, str_of(rows[i].type));
	}
	for (size_t i = 0; i < COUNT_OF(broken); i++)
		assert_int_not_equal(plain_decode(str_of(broken[i]), &m), 0);
}

static void test_encode_of_every_kind_then_json(void **state)
{
	static const struct {
		const char *type, *args, *offset, *want;
	} rows[] = {
		{ "a", "", "", "{\"type\":\"a\"}" },
		{ "a", "{\"x\": 1.50}", "", "{\"type\":\"a\",\"payload\":{\"x\": 1.50}}" },
		{ "a", "1", "AbC_-", "{\"type\":\"a\",\"payload\":1,\"offset\":\"AbC_-\"}" },
		{ "a", "1,\"b\"", "", "{\"type\":\"a\",\"payload\":[1,\"b\"]}" },
		{ "\"\n", "null", "", "{\"type\":\"\\\"\\n\",\"payload\":null}" },
		{ "a", "", "AbC", "{\"type\":\"a\",\"offset\":\"AbC\"}" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf out = BUF_INIT(1000);
		struct json_value v;

		plain_encode(&out, str_of(rows[i].type), str_of(rows[i].args),
			     str_of(rows[i].offset));
		assert_str(buf_str(&out), str_of(rows[i].want));
		assert_int_equal(json_parse(buf_str(&out), &v), 0);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_of_every_kind_then_verdict),
		cmocka_unit_test(test_encode_of_every_kind_then_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
