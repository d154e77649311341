/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/field.h"

#include "common/base/base_test.h"

#define UUID "8F14E45F-ceea-467f-a0e6-1b2c3d4e5f60"

static char *const states[] = { "online", "busy" };

static const struct {
	struct field_spec spec;
	const char *json;
	const char *why; /* NULL: good */
} rows[] = {
	{ { .name = "f", .type = FIELD_ANY }, "null", NULL },
	{ { .name = "f", .type = FIELD_ANY }, "[1]", NULL },
	{ { .name = "f", .type = FIELD_UUID }, "\"" UUID "\"", NULL },
	{ { .name = "f", .type = FIELD_UUID },
	  "\"\\u0038F14E45F-ceea-467f-a0e6-1b2c3d4e5f60\"",
	  NULL },
	{ { .name = "f", .type = FIELD_UUID },
	  "\"8F14E45Fceea-467f-a0e6-1b2c3d4e5f6000\"",
	  "f must be a uuid" },
	{ { .name = "f", .type = FIELD_UUID },
	  "\"8F14E45F-ceea-467f-a0e6-1b2c3d4e5f6g\"",
	  "f must be a uuid" },
	{ { .name = "f", .type = FIELD_UUID }, "\"\"", "f must be a uuid" },
	{ { .name = "f", .type = FIELD_UUID }, "42", "f must be a uuid" },
	{ { .name = "f", .type = FIELD_UUID }, "[\"" UUID "\"]", "f must be a uuid" },
	{ { .name = "f", .type = FIELD_ID }, "\"a\"", NULL },
	{ { .name = "f", .type = FIELD_ID }, "\"Z\xc3\xbcrich\xf0\x9f\x98\x80\"", NULL },
	{ { .name = "f", .type = FIELD_ID },
	  "\"\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a b\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a\\u0000\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a\\n\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a\\u007f\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a\\u0085\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a\\u00a0b\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"a\\u200bb\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "\"\\u3000\"",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID },
	  "7",
	  "f must be an id of 1 to 128 visible characters" },
	{ { .name = "f", .type = FIELD_ID, .values = (char **)states, .value_count = 2 },
	  "\"busy\"",
	  NULL },
	{ { .name = "f", .type = FIELD_ID, .values = (char **)states, .value_count = 2 },
	  "\"away\"",
	  "f must be one of online, busy" },
	{ { .name = "f", .type = FIELD_TEXT, .max = INT64_MAX }, "\"\"", NULL },
	{ { .name = "f", .type = FIELD_TEXT, .min = 1, .max = 3 }, "\"\\u00e9x\"", NULL },
	{ { .name = "f", .type = FIELD_TEXT, .min = 1, .max = 3 },
	  "\"\"",
	  "f must be a text of 1 to 3 bytes" },
	{ { .name = "f", .type = FIELD_TEXT, .min = 1, .max = 3 },
	  "\"\xc3\xa9\xc3\xa9\"",
	  "f must be a text of 1 to 3 bytes" },
	{ { .name = "f", .type = FIELD_TEXT, .min = 2, .max = INT64_MAX },
	  "\"a\"",
	  "f must be a text of at least 2 bytes" },
	{ { .name = "f", .type = FIELD_TEXT, .max = INT64_MAX }, "{}", "f must be a text" },
	{ { .name = "f", .type = FIELD_BOOL }, "true", NULL },
	{ { .name = "f", .type = FIELD_BOOL }, "false", NULL },
	{ { .name = "f", .type = FIELD_BOOL }, "\"true\"", "f must be true or false" },
	{ { .name = "f", .type = FIELD_BOOL }, "1", "f must be true or false" },
	{ { .name = "f", .type = FIELD_INTEGER, .min = INT64_MIN, .max = INT64_MAX },
	  "-9223372036854775808",
	  NULL },
	{ { .name = "f", .type = FIELD_INTEGER, .min = INT64_MIN, .max = INT64_MAX },
	  "1.5",
	  "f must be a whole number" },
	{ { .name = "f", .type = FIELD_INTEGER, .min = 1, .max = 5 }, "5", NULL },
	{ { .name = "f", .type = FIELD_INTEGER, .min = 1, .max = 5 },
	  "6",
	  "f must be a whole number from 1 to 5" },
	{ { .name = "f", .type = FIELD_NUMBER }, "-1.5e3", NULL },
	{ { .name = "f", .type = FIELD_NUMBER }, "\"1\"", "f must be a number" },
	{ { .name = "f", .type = FIELD_OBJECT }, "{}", NULL },
	{ { .name = "f", .type = FIELD_OBJECT }, "[]", "f must be an object" },
	{ { .name = "f", .type = FIELD_ARRAY, .max = 2 }, "[1,2]", NULL },
	{ { .name = "f", .type = FIELD_ARRAY, .max = 2 },
	  "[1,2,3]",
	  "f must be an array of 0 to 2 elements" },
	{ { .name = "f", .type = FIELD_ARRAY, .max = INT64_MAX }, "null", "f must be an array" },
};

static void test_check_of_every_type_then_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(1000), why = BUF_INIT(1000);
		struct json_value v;
		int err;

		assert_int_equal(json_parse(str_of(rows[i].json), &v), 0);
		err = field_check(&rows[i].spec, v, &scratch, &why);
		if (err != (rows[i].why ? E_TYPE : 0))
			print_error("row %zu %s: got %s\n", i, rows[i].json, err_name(err));
		assert_int_equal(err, rows[i].why ? E_TYPE : 0);
		assert_str(buf_str(&why), str_of(rows[i].why));
		assert_int_equal(scratch.n, 0);
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

static void id_of_length(size_t count, const char *character, int want)
{
	const struct field_spec spec = { .name = "f", .type = FIELD_ID };
	struct buf text = BUF_INIT(4000), scratch = BUF_INIT(4000), why = BUF_INIT(1000);
	struct json_value v;

	buf_addc(&text, '"');
	for (size_t i = 0; i < count; i++)
		buf_addz(&text, character);
	buf_addc(&text, '"');
	assert_int_equal(json_parse(buf_str(&text), &v), 0);
	assert_int_equal(field_check(&spec, v, &scratch, &why), want);
	buf_fini(&text);
	buf_fini(&scratch);
	buf_fini(&why);
}

static void test_id_length_counts_characters(void **state)
{
	(void)state;
	id_of_length(128, "a", 0);
	id_of_length(129, "a", E_TYPE);
	id_of_length(128, "\xf0\x9f\x98\x80", 0);
	id_of_length(129, "\xc3\xa9", E_TYPE);
	id_of_length(128, "\\u00e9", 0);
}

/* ── lists ── */

static char *const id_paths[] = { "ticketId", "payload.ticketId", "data.ticketId" };
static struct field_spec bare[] = { { .name = "ticketId", .type = FIELD_UUID, .bare = true } };
static struct field_spec typing[] = {
	{ .name = "ticketId", .type = FIELD_UUID },
	{ .name = "isTyping", .type = FIELD_BOOL, .fallback = { JSON_TRUE, { "true", 4 } } },
	{ .name = "note", .type = FIELD_TEXT, .max = 10, .optional = true }
};
static struct field_spec found[] = {
	{ .name = "ticketId", .type = FIELD_UUID, .paths = (char **)id_paths, .path_count = 3 }
};

static const struct {
	struct field_list list;
	const char *container; /* NULL: no argument */
	const char *why;
	const char *got[3];
} lists[] = {
	{ { bare, 1 }, "\"" UUID "\"", NULL, { "\"" UUID "\"" } },
	{ { bare, 1 }, "{\"ticketId\":\"" UUID "\"}", NULL, { "\"" UUID "\"" } },
	{ { bare, 1 }, "{\"ticketId\":1,\"ticketId\":\"" UUID "\"}", NULL, { "\"" UUID "\"" } },
	{ { bare, 1 }, "{\"other\":1}", "ticketId is missing", { NULL } },
	{ { bare, 1 }, "{\"ticketId\":null}", "ticketId is missing", { NULL } },
	{ { bare, 1 }, NULL, "ticketId is missing", { NULL } },
	{ { bare, 1 }, "null", "ticketId is missing", { NULL } },
	{ { bare, 1 }, "\"x\"", "ticketId must be a uuid", { NULL } },
	{ { bare, 1 }, "[]", "ticketId must be a uuid", { NULL } },
	{ { typing, 3 }, "{\"ticketId\":\"" UUID "\"}", NULL, { "\"" UUID "\"", "true", "" } },
	{ { typing, 3 },
	  "{\"ticketId\":\"" UUID "\",\"isTyping\":false,\"note\":\"x\"}",
	  NULL,
	  { "\"" UUID "\"", "false", "\"x\"" } },
	{ { typing, 3 },
	  "{\"ticketId\":\"" UUID "\",\"isTyping\":null}",
	  NULL,
	  { "\"" UUID "\"", "true", "" } },
	{ { typing, 3 },
	  "{\"ticketId\":\"" UUID "\",\"isTyping\":\"yes\"}",
	  "isTyping must be true or false",
	  { NULL } },
	{ { typing, 3 }, "\"" UUID "\"", "the fields must be in an object", { NULL } },
	{ { typing, 0 }, "\"anything\"", NULL, { NULL } },
	{ { found, 1 }, "{\"payload\":{\"ticketId\":\"" UUID "\"}}", NULL, { "\"" UUID "\"" } },
	{ { found, 1 },
	  "{\"ticketId\":null,\"payload\":null,\"data\":{\"ticketId\":\"" UUID "\"}}",
	  NULL,
	  { "\"" UUID "\"" } },
	{ { found, 1 }, "{\"payload\":[]}", "ticketId is missing", { NULL } },
};

static void test_take_of_every_form_then_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(lists); i++) {
		struct buf scratch = BUF_INIT(1000), why = BUF_INIT(1000);
		struct json_value v = { JSON_NONE, STR_NONE };
		struct tmpl_env env = { 0 };
		int err;

		if (lists[i].container)
			assert_int_equal(json_parse(str_of(lists[i].container), &v), 0);
		err = field_list_take(&lists[i].list, v, &env, &scratch, &why);
		assert_str(buf_str(&why), str_of(lists[i].why));
		assert_int_equal(err, lists[i].why ? E_TYPE : 0);
		for (uint32_t f = 0; !err && f < lists[i].list.count; f++)
			assert_str(env.fields[f].raw, str_of(lists[i].got[f]));
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_of_every_type_then_verdict),
		cmocka_unit_test(test_id_length_counts_characters),
		cmocka_unit_test(test_take_of_every_form_then_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
