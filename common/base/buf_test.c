/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/buf.h"

#include "common/base/base_test.h"
#include "common/base/mem.h"

static void test_adding_grows_and_keeps_the_order(void **state)
{
	struct buf b = BUF_INIT(1 << 20);
	char want[30000];

	(void)state;
	for (size_t i = 0; i < sizeof(want); i++) {
		want[i] = (char)('a' + i % 26);
		if (i % 3 == 0)
			buf_addc(&b, want[i]);
		else
			buf_add(&b, str_make(&want[i], 1));
	}
	assert_int_equal(b.failed, 0);
	assert_str(buf_str(&b), str_make(want, sizeof(want)));
	buf_fini(&b);
	assert_null(b.p);
}

static void test_every_adder_writes_its_text(void **state)
{
	struct buf b = BUF_INIT(1000);
	char wide[600];

	(void)state;
	buf_addz(&b, "a");
	buf_addz(&b, NULL);
	buf_add(&b, STR_NONE);
	buf_addf(&b, "[%d]", -7);
	buf_addu(&b, 0);
	buf_addc(&b, ' ');
	buf_addu(&b, UINT64_MAX);
	assert_str(buf_str(&b), STR("a[-7]0 18446744073709551615"));
	buf_reset(&b);
	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	buf_addf(&b, "<%s>", wide);
	assert_int_equal(b.n, sizeof(wide) + 1);
	assert_int_equal(b.p[b.n - 1], '>');
	buf_fini(&b);
}

static void test_json_escapes_what_must_be_escaped(void **state)
{
	static const struct {
		struct str plain, json;
	} rows[] = {
		{ STR(""), STR("\"\"") },
		{ { NULL, 0 }, STR("\"\"") },
		{ STR("plain \xc3\xa9 \x7f/"), STR("\"plain \xc3\xa9 \x7f/\"") },
		{ STR("a\"b\\c"), STR("\"a\\\"b\\\\c\"") },
		{ STR("\b\t\n\f\r"), STR("\"\\b\\t\\n\\f\\r\"") },
		{ STR("\x01\x1f\x1e"), STR("\"\\u0001\\u001f\\u001e\"") },
		{ { "x\0y", 3 }, STR("\"x\\u0000y\"") },
	};
	struct buf b = BUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		buf_reset(&b);
		buf_add_json(&b, rows[i].plain);
		assert_str(buf_str(&b), rows[i].json);
	}
	buf_fini(&b);
}

static void test_bound_when_passed_then_fails_until_reset(void **state)
{
	struct buf b = BUF_INIT(100);
	char text[101] = { 0 };

	(void)state;
	buf_add(&b, str_make(text, 99));
	buf_add(&b, str_make(text, 2));
	assert_int_equal(b.failed, E_TOOBIG);
	assert_int_equal(b.n, 99);
	buf_addc(&b, 'x');
	assert_int_equal(b.n, 99);
	assert_null(buf_room(&b, 1));
	assert_null(buf_take_blob(&b));
	buf_reset(&b);
	buf_add(&b, str_make(text, 100));
	assert_int_equal(b.failed, 0);
	assert_int_equal(b.cap, 100);
	assert_null(buf_room(&b, SIZE_MAX));
	buf_fini(&b);
	buf_init(&b, 0);
	buf_addc(&b, 'x');
	assert_int_equal(b.failed, E_TOOBIG);
	buf_fini(&b);
}

static void test_allocation_when_failing_then_is_remembered(void **state)
{
	struct buf b = BUF_INIT(1 << 16);
	char wide[300];

	(void)state;
	memset(wide, 'x', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	for (uint64_t at = 1;; at++) {
		uint64_t before = mem_alloc_count();
		uint64_t count;

		mem_fail_at(at);
		buf_addz(&b, "abc");
		buf_addf(&b, "%s", wide);
		count = mem_alloc_count() - before;
		mem_fail_at(0);
		if (!b.failed) {
			assert_true(at > count);
			break;
		}
		assert_int_equal(b.failed, E_NOMEM);
		assert_true(b.n <= 3);
		buf_fini(&b);
	}
	mem_fail_at(1);
	assert_null(buf_take_blob(&b));
	assert_int_equal(b.n, 302);
	mem_fail_at(1);
	assert_null(blob_copy(STR("x")));
	buf_fini(&b);
}

static void test_drop_front_moves_the_rest_down(void **state)
{
	struct buf b = BUF_INIT(100);

	(void)state;
	buf_drop_front(&b, 0);
	buf_addz(&b, "abcdef");
	buf_drop_front(&b, 2);
	assert_str(buf_str(&b), STR("cdef"));
	buf_drop_front(&b, 4);
	assert_str(buf_str(&b), STR(""));
	buf_fini(&b);
}

static void test_blob_lives_until_its_last_reference(void **state)
{
	struct buf b = BUF_INIT(100);
	struct blob *first, *second;

	(void)state;
	buf_addz(&b, "shared");
	first = buf_take_blob(&b);
	assert_int_equal(b.n, 0);
	second = blob_ref(first);
	assert_int_equal(first->refs, 2);
	blob_unref(&first);
	assert_null(first);
	assert_str(blob_str(second), STR("shared"));
	blob_unref(&second);
	blob_unref(&second);
	first = buf_take_blob(&b);
	assert_int_equal(first->n, 0);
	blob_unref(&first);
	assert_null(blob_new(((size_t)1 << 31) + 1));
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adding_grows_and_keeps_the_order),
		cmocka_unit_test(test_every_adder_writes_its_text),
		cmocka_unit_test(test_json_escapes_what_must_be_escaped),
		cmocka_unit_test(test_bound_when_passed_then_fails_until_reset),
		cmocka_unit_test(test_allocation_when_failing_then_is_remembered),
		cmocka_unit_test(test_drop_front_moves_the_rest_down),
		cmocka_unit_test(test_blob_lives_until_its_last_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
