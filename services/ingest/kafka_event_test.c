/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/kafka_event.h"

#include "common/base/base_test.h"

#define BODY_MAX 64

static const struct {
	const char *value, *type_of_topic;
	int err;
	const char *type, *why;
} rows[] = {
	{ "{\"type\":\"a.b\",\"x\":1}", NULL, 0, "a.b", "" },
	{ " {\"x\":1,\"type\":\"\\u0061\"} ", NULL, 0, "a", "" },
	{ "{\"type\":\"a.b\"}", "fixed", 0, "fixed", "" },
	{ "{}", "fixed", 0, "fixed", "" },
	{ "{}", NULL, E_TYPE, NULL, "the record has no text `type`" },
	{ "{\"type\":1}", NULL, E_TYPE, NULL, "the record has no text `type`" },
	{ "{\"type\":null}", NULL, E_TYPE, NULL, "the record has no text `type`" },
	{ "[]", "fixed", E_TYPE, NULL, "the body is not a JSON object" },
	{ "\"a\"", NULL, E_TYPE, NULL, "the body is not a JSON object" },
	{ "", "fixed", E_TRUNCATED, NULL, "the body is not JSON: ends too early" },
	{ "{} {}", "fixed", E_SYNTAX, NULL, "the body is not JSON: malformed" },
	{ "{\"type\":\"a\xff\"}", NULL, E_UTF8, NULL, "the body is not JSON: not valid UTF-8" },
	{ "{\"type\":\"a\",\"pad\":\"12345678901234567890123456789012345678901234\"}", NULL,
	  E_TOOBIG, NULL, "the record has 65 bytes, allowed: 64" },
	{ NULL, "fixed", E_TYPE, NULL, "the record has no value" },
};

static void test_read_then_type_or_why_there_is_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct kafka_record r = { .value = str_of(rows[i].value),
					  .is_null = !rows[i].value };
		struct buf scratch = BUF_INIT(1000), why = BUF_INIT(1000);
		struct json_value body;
		struct str type;
		int err = kafka_event_read(&r, rows[i].type_of_topic, BODY_MAX, &scratch, &body,
					   &type, &why);

		if (err != rows[i].err || !str_is(buf_str(&why), rows[i].why))
			fail_msg("row %zu: got %s, " STR_FMT, i, err_name(err),
				 STR_ARG(buf_str(&why)));
		if (!err)
			assert_str(type, str_of(rows[i].type));
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

static void test_id_when_none_is_given_then_place_time_and_content(void **state)
{
	struct kafka_record r = { .id = STR("mine"), .offset = 7, .timestamp_ms = 99 };
	char text[100], again[100], other[100];
	struct str id;

	(void)state;
	assert_str(kafka_event_id(&r, "t", 3, text, sizeof(text)), STR("mine"));
	r.id = STR_NONE;
	r.value = STR("{}");
	id = kafka_event_id(&r, "t", 3, text, sizeof(text));
	assert_true(id.n > 15 && !memcmp(id.p, "kafka:t/3/7/99/", 15));
	assert_str(kafka_event_id(&r, "t", 3, again, sizeof(again)), id);
	r.value = STR("[]");
	assert_false(str_eq(kafka_event_id(&r, "t", 3, other, sizeof(other)), id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_then_type_or_why_there_is_none),
		cmocka_unit_test(test_id_when_none_is_given_then_place_time_and_content),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
