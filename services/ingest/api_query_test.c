/* SPDX-License-Identifier: Apache-2.0 */
/* Paths, queries and cursors: what is taken, and the reason for each refusal. */
#include "services/ingest/api_query.h"

#include <stdlib.h>

#include "common/base/base_test.h"

#define ALL \
	(API_PARAM_NAMESPACE | API_PARAM_PREFIX | API_PARAM_OWN | API_PARAM_ROOM | \
	 API_PARAM_USER | API_PARAM_LIMIT | API_PARAM_CURSOR)

static struct profile *profile;

static int set_up(void **state)
{
	struct buf errors = BUF_INIT(10000);
	int err = profile_load("conformance", &errors, &profile);

	(void)state;
	buf_fini(&errors);
	return err;
}

static int tear_down(void **state)
{
	(void)state;
	profile_free(&profile);
	return 0;
}

static void test_parameters_are_decoded_in_any_order(void **state)
{
	struct buf scratch = BUF_INIT(4096), why = BUF_INIT(512);
	struct api_query q;

	(void)state;
	assert_int_equal(api_query_parse(profile,
					 STR("&user=a%2Fb&limit=500&&room=%C3%A9+x&own=true&prefix="
					     "&namespace=/custom"),
					 ALL, 'r', &scratch, &q, &why),
			 0);
	assert_str(q.user, STR("a/b"));
	assert_str(q.room, STR("é+x"));
	assert_str(q.nsp, STR("/custom"));
	assert_str(q.prefix, STR_NONE);
	assert_true(q.own);
	assert_int_equal(q.limit, 500);
	assert_true(q.given & API_PARAM_PREFIX);
	assert_false(q.given & API_PARAM_CURSOR);
	buf_reset(&scratch);
	assert_int_equal(api_query_parse(profile, STR_NONE, ALL, 'r', &scratch, &q, &why), 0);
	assert_int_equal(q.given, 0);
	assert_int_equal(q.limit, API_LIMIT_DEFAULT);
	buf_fini(&scratch);
	buf_fini(&why);
}

static void test_each_mistake_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *query, *why;
		unsigned taken;
	} rows[] = {
		{ "limit=0", "limit must", ALL },
		{ "limit=501", "limit must", ALL },
		{ "limit=1.5", "limit must", ALL },
		{ "limit", "limit must", ALL },
		{ "limit=1&limit=1", "limit is given twice", ALL },
		{ "own=1", "own must", ALL },
		{ "room=", "room must", ALL },
		{ "room=%", "room must", ALL },
		{ "room=%f", "room must", ALL },
		{ "room=%ff", "room must", ALL },
		{ "room=a%zz", "room must", ALL },
		{ "user=", "user must", ALL },
		{ "namespace=/nowhere", "namespace must", ALL },
		{ "cursor=", "cursor is none", ALL },
		{ "cursor=!!!!", "cursor is none", ALL },
		{ "cursor=cgAA", NULL, ALL },             /* r, 0 bytes major */
		{ "cursor=bQAA", "cursor is none", ALL }, /* another call's */
		{ "cursor=cgAB", "cursor is none", ALL }, /* 1 byte major that is not there */
		{ "room=a", "a query parameter", API_PARAM_LIMIT },
		{ "=a", "a query parameter", ALL },
		{ "Room=a", "a query parameter", ALL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(4096), why = BUF_INIT(512);
		struct api_query q;
		int err = api_query_parse(profile, str_of(rows[i].query), rows[i].taken, 'r',
					  &scratch, &q, &why);

		assert_int_equal(err != 0, rows[i].why != NULL);
		if (rows[i].why && !str_starts(buf_str(&why), str_of(rows[i].why)))
			fail_msg("%s: " STR_FMT, rows[i].query, STR_ARG(buf_str(&why)));
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

static void test_cursor_comes_back_as_it_was(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 500; round++) {
		char major[API_USER_BYTES], minor[1024];
		size_t a = test_random(&seed) % (sizeof(major) + 1),
		       b = test_random(&seed) % (sizeof(minor) + 1);
		struct buf text = BUF_INIT(4096), scratch = BUF_INIT(8192), why = BUF_INIT(512);
		struct api_query q;

		for (size_t i = 0; i < a; i++)
			major[i] = (char)test_random(&seed);
		for (size_t i = 0; i < b; i++)
			minor[i] = (char)test_random(&seed);
		buf_addz(&text, "cursor=");
		api_query_add_cursor(&text, 'm', str_make(major, a), str_make(minor, b));
		assert_int_equal(
			api_query_parse(profile, buf_str(&text), ALL, 'm', &scratch, &q, &why), 0);
		assert_str(q.after_major, str_make(major, a));
		assert_str(q.after_minor, str_make(minor, b));
		buf_fini(&text);
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

static void test_name_of_a_path(void **state)
{
	static const struct {
		const char *segment, *name;
	} rows[] = {
		{ "ticket:42", "ticket:42" },
		{ "a%2fb%25", "a/b%" },
		{ "%E4%B8%96", "世" },
		{ "%00", NULL },
		{ "%", NULL },
		{ "a%4", NULL },
		{ "%ff", NULL },
		{ "%gg", NULL },
		{ "a+b", "a+b" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(4096), why = BUF_INIT(512);
		struct str name;
		int err = api_query_name(str_of(rows[i].segment), &scratch, &name, &why);

		if (i == 3) /* a name may hold any character */
			assert_true(err == 0 && name.n == 1 && name.p[0] == '\0');
		else if (rows[i].name)
			assert_str(name, str_of(rows[i].name));
		else
			assert_true(err != 0 && why.n > 0);
		buf_fini(&scratch);
		buf_fini(&why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters_are_decoded_in_any_order),
		cmocka_unit_test(test_each_mistake_is_refused_with_its_reason),
		cmocka_unit_test(test_cursor_comes_back_as_it_was),
		cmocka_unit_test(test_name_of_a_path),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
