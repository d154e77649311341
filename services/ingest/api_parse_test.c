/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the publish API: what is taken, and the reason for each refusal. */
#include "services/ingest/api_parse.h"

#include <stdlib.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X250 X50 X50 X50 X50 X50
#define X700 X250 X250 X50 X50 X50 X50
#define REST ",\"data\":1}"

static struct profile *profile;

static int set_up(void **state)
{
	struct buf errors = BUF_INIT(10000);
	int err = profile_load("conformance", &errors, &profile);

	(void)state;
	if (err)
		print_error(STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	return err;
}

static int tear_down(void **state)
{
	(void)state;
	profile_free(&profile);
	return 0;
}

/* An exactly sized copy, so that AddressSanitizer notices every byte read past the end. */
static struct str exact(const char *text, size_t n)
{
	char *p = malloc(n ? n : 1);

	assert_non_null(p);
	memcpy(p, text, n);
	return str_make(p, n);
}

static void release(struct str s)
{
	free((void *)(uintptr_t)s.p);
}

/* A body that is one message. */
static int parse_publish(const struct profile *p, struct str body, struct api_publish *message,
			 struct buf *scratch, struct buf *why)
{
	struct json_value object;
	int err = api_parse_body(body, &object, why);

	memset(message, 0, sizeof(*message));
	return err ? err : api_parse_publish(p, object, message, scratch, why);
}

/* "a|b" */
static void expect_names(const struct wire_list *l, const char *want)
{
	struct buf got = BUF_INIT(4096);
	struct wire_list_walk w;
	struct str item;

	wire_list_walk(l, &w);
	while (wire_list_next(&w, &item)) {
		if (got.n)
			buf_addc(&got, '|');
		buf_add(&got, item);
	}
	assert_str(buf_str(&got), str_of(want));
	buf_fini(&got);
}

static const struct {
	const char *body, *nsp, *rooms, *except, *event, *data, *id;
} good[] = {
	{ "{\"rooms\":[\"a\"],\"event\":\"e\",\"data\":1}", "/", "a", "", "e", "1", "" },
	{ " { \"data\" : [1, 2] , \"event\" : \"e\" , \"rooms\" : [ \"a\" , \"b\" ] } ", "/", "a|b",
	  "", "e", "[1, 2]", "" },
	{ "{\"rooms\":[\"a\"],\"event\":\"e\",\"data\":null,\"id\":null}", "/", "a", "", "e",
	  "null", "" },
	{ "{\"namespace\":\"/"
	  "custom\",\"rooms\":[\"a\"],\"event\":\"e\",\"data\":{},\"id\":\"i-1\",\"except\":[\"x\","
	  "\"y\"]}",
	  "/custom", "a", "x|y", "e", "{}", "i-1" },
	{ "{\"rooms\":[\"\\u0061\\n\",\"\\ud83d\\ude00\",\"plain\",\"\\u00e9\"],\"event\":"
	  "\"m\\u0065ssage\",\"data\":\"\\u0041\",\"id\":\"\\\"q\\\"\","
	  "\"except\":[\"\\\\\"],\"namespace\":\"\\/\"}",
	  "/", "a\n|\xf0\x9f\x98\x80|plain|\xc3\xa9", "\\", "message", "\"\\u0041\"", "\"q\"" },
	{ "{\"r\\u006foms\":[\"a\"],\"event\":\"e\",\"event\":\"later\",\"data\":1,\"more\":[[]],"
	  "\"except\":[]}",
	  "/", "a", "", "later", "1", "" },
	{ "{\"rooms\":[\"" X700 "\"],\"event\":\"" X250 "xxxxx\",\"data\":1,\"id\":\"" X250
	  "xxxxxx\"}",
	  "/", X700, "", X250 "xxxxx", "1", X250 "xxxxxx" },
};

static void test_good_publish_bodies_are_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		struct buf scratch = BUF_INIT(100000), why = BUF_INIT(512);
		struct str body = exact(good[i].body, strlen(good[i].body));
		struct api_publish p;

		assert_int_equal(parse_publish(profile, body, &p, &scratch, &why), 0);
		assert_int_equal(why.n, 0);
		assert_str(p.message.nsp, str_of(good[i].nsp));
		expect_names(&p.message.rooms, good[i].rooms);
		expect_names(&p.message.except, good[i].except);
		assert_str(p.message.event, str_of(good[i].event));
		assert_str(p.data, str_of(good[i].data));
		assert_str(p.id, str_of(good[i].id));
		assert_int_equal(p.message.uid_high | p.message.uid_low | p.message.ref |
					 p.message.is_volatile,
				 0);
		api_publish_fini(&p);
		buf_fini(&scratch);
		buf_fini(&why);
		release(body);
	}
}

#define NOT_JSON "the body is not JSON: "
#define ROOMS_WHY "rooms must be an array of 1 to 1000 texts of 1 to 700 bytes"
#define EXCEPT_WHY "except must be an array of up to 1000 texts of 1 to 700 bytes"
#define EVENT_WHY "event must be a text of 1 to 255 bytes and no reserved name"
#define ID_WHY "id must be a text of 1 to 256 bytes"
#define NSP_WHY "namespace must be one of the profile's namespaces"

static const struct {
	const char *body, *why;
} refused[] = {
	{ "", NOT_JSON },
	{ "{", NOT_JSON },
	{ "{\"rooms\":[\"a\"],\"event\":\"e\",\"data\":1}x", NOT_JSON },
	{ "{\"rooms\":[\"\xff\"],\"event\":\"e\",\"data\":1}", NOT_JSON },
	{ "[]", "the body must be a JSON object" },
	{ "\"text\"", "the body must be a JSON object" },
	{ "{}", ROOMS_WHY },
	{ "{\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":[],\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":\"a\",\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":{\"0\":\"a\"},\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":[1],\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":[\"a\",null],\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":[\"\"],\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":[\"" X700 "x\"],\"event\":\"e\"" REST, ROOMS_WHY },
	{ "{\"rooms\":[\"a\"],\"except\":\"b\",\"event\":\"e\"" REST, EXCEPT_WHY },
	{ "{\"rooms\":[\"a\"],\"except\":null,\"event\":\"e\"" REST, EXCEPT_WHY },
	{ "{\"rooms\":[\"a\"],\"except\":[[]],\"event\":\"e\"" REST, EXCEPT_WHY },
	{ "{\"rooms\":[\"a\"],\"except\":[\"\"],\"event\":\"e\"" REST, EXCEPT_WHY },
	{ "{\"namespace\":\"/nowhere\",\"rooms\":[\"a\"],\"event\":\"e\"" REST, NSP_WHY },
	{ "{\"namespace\":1,\"rooms\":[\"a\"],\"event\":\"e\"" REST, NSP_WHY },
	{ "{\"namespace\":\"\",\"rooms\":[\"a\"],\"event\":\"e\"" REST, NSP_WHY },
	{ "{\"rooms\":[\"a\"]" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":7" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"\"" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"" X250 "xxxxxx\"" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"connect\"" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"c\\u006fnnect_error\"" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"disconnecting\"" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"newListener\"" REST, EVENT_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"e\"}", "data is missing" },
	{ "{\"rooms\":[\"a\"],\"event\":\"e\",\"id\":7" REST, ID_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"e\",\"id\":\"\"" REST, ID_WHY },
	{ "{\"rooms\":[\"a\"],\"event\":\"e\",\"id\":\"" X250 "xxxxxxx\"" REST, ID_WHY },
};

static void test_bad_publish_bodies_are_refused_with_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		struct buf scratch = BUF_INIT(100000), why = BUF_INIT(512);
		struct str body = exact(refused[i].body, strlen(refused[i].body));
		struct api_publish p;

		if (parse_publish(profile, body, &p, &scratch, &why) == 0)
			fail_msg("taken: %s", refused[i].body);
		if (!str_starts(buf_str(&why), str_of(refused[i].why)))
			fail_msg("%s: got '" STR_FMT "', want '%s'", refused[i].body,
				 STR_ARG(buf_str(&why)), refused[i].why);
		api_publish_fini(&p);
		buf_fini(&scratch);
		buf_fini(&why);
		release(body);
	}
}

static int parse_many(const char *member, int count, struct buf *why)
{
	struct buf body = BUF_INIT(1u << 20), scratch = BUF_INIT(1u << 20);
	struct api_publish p;
	int err;

	buf_addf(&body, "{\"rooms\":[\"a\"],\"event\":\"e\",\"data\":1,\"%s\":[", member);
	for (int i = 0; i < count; i++)
		buf_addf(&body, "%s\"\\u0061%d\"", i ? "," : "", i);
	buf_addz(&body, "]}");
	err = parse_publish(profile, buf_str(&body), &p, &scratch, why);
	for (int i = 0; i < count && !err; i++) { /* no slice moved while later ones were decoded */
		char want[16];

		snprintf(want, sizeof(want), "a%d", i);
		assert_str(strcmp(member, "rooms") == 0 ? p.rooms[i] : p.except[i], str_of(want));
	}
	api_publish_fini(&p);
	buf_fini(&scratch);
	buf_fini(&body);
	return err;
}

static void test_lists_are_bounded_and_slices_stay(void **state)
{
	struct buf why = BUF_INIT(4096);

	(void)state;
	assert_int_equal(parse_many("rooms", 1000, &why), 0);
	assert_int_equal(parse_many("except", 1000, &why), 0);
	assert_int_equal(why.n, 0);
	assert_int_equal(parse_many("rooms", 1001, &why), E_TYPE);
	assert_int_equal(parse_many("except", 1001, &why), E_TYPE);
	buf_fini(&why);
}

static void test_publish_when_memory_ends_is_refused(void **state)
{
	struct str body = str_of(good[4].body);

	(void)state;
	for (uint64_t n = 1;; n++) {
		struct buf scratch = BUF_INIT(100000), why = BUF_INIT(512);
		struct api_publish p;
		int err;

		assert_non_null(buf_room(&why, 400));
		mem_fail_at(n);
		err = parse_publish(profile, body, &p, &scratch, &why);
		mem_fail_at(0);
		api_publish_fini(&p);
		buf_fini(&scratch);
		buf_fini(&why);
		if (err == 0) {
			assert_int_equal(n, 4); /* scratch, rooms, except */
			break;
		}
	}
}

static const struct {
	const char *body, *type, *id, *rest;
} events[] = {
	{ "{\"type\":\"t\"}", "t", "", "{}" },
	{ "{\"type\":\"t\",\"id\":\"i\"}", "t", "i", "{\"id\":\"i\"}" },
	{ "{\"a\":1,\"type\":\"t\",\"b\":[2, 3]}", "t", "", "{\"a\":1,\"b\":[2, 3]}" },
	{ "{ \"a\" : 1.50 , \"b\" : { \"type\" : \"inner\" } , \"type\" : \"t\" }", "t", "",
	  "{\"a\":1.50,\"b\":{ \"type\" : \"inner\" }}" },
	{ "{\"t\\u0079pe\":\"\\u0074.x\",\"k\\u0065y\":\"\\u00e9\",\"id\":\"\\n\"}", "t.x", "\n",
	  "{\"k\\u0065y\":\"\\u00e9\",\"id\":\"\\n\"}" },
	{ "{\"type\":\"first\",\"a\":1,\"type\":\"last\",\"a\":2}", "last", "",
	  "{\"a\":1,\"a\":2}" },
	{ "{\"id\":null,\"type\":\"t\"}", "t", "", "{\"id\":null}" },
};

static void test_type_is_cut_out_of_events(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(events); i++) {
		struct buf scratch = BUF_INIT(100000), why = BUF_INIT(512);
		struct str body = exact(events[i].body, strlen(events[i].body));
		struct json_value v;
		struct api_event e;

		assert_int_equal(api_parse_event(body, &e, &scratch, &why), 0);
		assert_str(e.type, str_of(events[i].type));
		assert_str(e.id, str_of(events[i].id));
		assert_str(e.body.raw, str_of(events[i].rest));
		assert_int_equal(json_parse(e.body.raw, &v), 0);
		buf_fini(&scratch);
		buf_fini(&why);
		release(body);
	}
}

static void test_bad_events_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *body, *why;
	} rows[] = {
		{ "nothing", NOT_JSON },
		{ "[]", "the body must be a JSON object" },
		{ "{}", "type must be a text of 1 to 255 bytes" },
		{ "{\"type\":1}", "type must be a text of 1 to 255 bytes" },
		{ "{\"type\":\"\"}", "type must be a text of 1 to 255 bytes" },
		{ "{\"type\":\"t\",\"type\":null}", "type must be a text of 1 to 255 bytes" },
		{ "{\"type\":\"" X250 "xxxxxx\"}", "type must be a text of 1 to 255 bytes" },
		{ "{\"type\":\"t\",\"id\":{}}", ID_WHY },
		{ "{\"type\":\"t\",\"id\":\"" X250 "xxxxxxx\"}", ID_WHY },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(100000), why = BUF_INIT(512);
		struct api_event e;

		assert_int_not_equal(api_parse_event(str_of(rows[i].body), &e, &scratch, &why), 0);
		assert_true(str_starts(buf_str(&why), str_of(rows[i].why)));
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

/* The bound of the scratch that api.c gives is enough for any body, however much of it is escapes. */
static void test_large_event_fits_its_scratch(void **state)
{
	struct buf body = BUF_INIT(4u << 20), scratch, why = BUF_INIT(512);
	struct api_event e;

	(void)state;
	buf_addz(&body, "{\"type\":\"\\u0074\",\"id\":\"\\u0069\",\"big\":\"");
	for (int i = 0; i < 300000; i++)
		buf_addz(&body, "\\u00e9");
	buf_addz(&body, "\"}");
	buf_init(&scratch, body.n * 2 + 4096);
	assert_int_equal(api_parse_event(buf_str(&body), &e, &scratch, &why), 0);
	assert_str(e.type, STR("t"));
	assert_str(e.id, STR("i"));
	assert_int_equal(e.body.raw.n, body.n - strlen("\"type\":\"\\u0074\","));
	buf_fini(&scratch);
	buf_fini(&body);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_publish_bodies_are_taken),
		cmocka_unit_test(test_bad_publish_bodies_are_refused_with_a_reason),
		cmocka_unit_test(test_lists_are_bounded_and_slices_stay),
		cmocka_unit_test(test_publish_when_memory_ends_is_refused),
		cmocka_unit_test(test_type_is_cut_out_of_events),
		cmocka_unit_test(test_bad_events_are_refused_with_a_reason),
		cmocka_unit_test(test_large_event_fits_its_scratch),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
