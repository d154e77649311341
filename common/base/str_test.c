/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/str.h"

#include <stdlib.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"

static void test_eq_compares_bytes_and_accepts_null(void **state)
{
	(void)state;
	assert_true(str_eq(STR("ab"), STR("ab")));
	assert_false(str_eq(STR("ab"), STR("ac")));
	assert_false(str_eq(STR("ab"), STR("abc")));
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_is(STR_NONE, NULL));
	assert_true(str_eq(str_make("a\0b", 3), str_make("a\0b", 3)));
	assert_false(str_eq(str_make("a\0b", 3), str_make("a\0c", 3)));
	assert_true(str_starts(STR("/admin"), STR("/")));
	assert_true(str_starts(STR_NONE, STR_NONE));
	assert_false(str_starts(STR("/"), STR("/admin")));
}

static void test_eq_nocase_folds_ascii_only(void **state)
{
	(void)state;
	assert_true(str_eq_nocase(STR("Content-Type"), STR("content-tYPE")));
	assert_false(str_eq_nocase(STR("@[`{"), STR("`{@[")));
	assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
	assert_false(str_eq_nocase(STR("a"), STR("ab")));
	assert_true(str_eq_nocase(STR_NONE, STR("")));
}

static void test_eq_secret_compares_whole_inputs(void **state)
{
	(void)state;
	assert_true(str_eq_secret(STR("secret"), STR("secret")));
	assert_false(str_eq_secret(STR("secret"), STR("secreT")));
	assert_false(str_eq_secret(STR("Secret"), STR("secret")));
	assert_false(str_eq_secret(STR("secret"), STR("secre")));
	assert_true(str_eq_secret(STR_NONE, STR_NONE));
}

static void test_trim_takes_blanks_off_both_ends(void **state)
{
	(void)state;
	assert_str(str_trim(STR(" \t\r\n\v\f a b \t")), STR("a b"));
	assert_str(str_trim(STR("  \t ")), STR(""));
	assert_str(str_trim(STR_NONE), STR(""));
	assert_str(str_trim(str_make("\0 ", 2)), str_make("\0", 1));
}

static void test_cut_splits_at_the_first_separator(void **state)
{
	static const struct {
		struct str s, head, tail;
		bool found;
	} rows[] = {
		{ STR("a,b,c"), STR("a"), STR("b,c"), true },
		{ STR(",b"), STR(""), STR("b"), true },
		{ STR("a,"), STR("a"), STR(""), true },
		{ STR(","), STR(""), STR(""), true },
		{ STR("abc"), STR("abc"), STR(""), false },
		{ STR(""), STR(""), STR(""), false },
		{ { NULL, 0 }, STR(""), STR(""), false },
	};
	struct str head, tail;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(str_cut(rows[i].s, ',', &head, &tail), rows[i].found);
		assert_str(head, rows[i].head);
		assert_str(tail, rows[i].tail);
	}
}

static void test_cut_may_write_over_its_input(void **state)
{
	struct str rest = STR("a.b"), head;

	(void)state;
	assert_true(str_cut(rest, '.', &head, &rest));
	assert_str(head, STR("a"));
	assert_str(rest, STR("b"));
}

static void test_to_u64_takes_digits_only(void **state)
{
	static const struct {
		struct str s;
		int err;
		uint64_t value;
	} rows[] = {
		{ STR("0"), 0, 0 },
		{ STR("007"), 0, 7 },
		{ STR("18446744073709551615"), 0, UINT64_MAX },
		{ STR("18446744073709551616"), E_RANGE, 0 },
		{ STR("99999999999999999999999"), E_RANGE, 0 },
		{ STR("99999999999999999999999x"), E_SYNTAX, 0 },
		{ STR(""), E_SYNTAX, 0 },
		{ { NULL, 0 }, E_SYNTAX, 0 },
		{ STR("-1"), E_SYNTAX, 0 },
		{ STR("+1"), E_SYNTAX, 0 },
		{ STR(" 1"), E_SYNTAX, 0 },
		{ STR("1 "), E_SYNTAX, 0 },
		{ STR("0x1"), E_SYNTAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		uint64_t value = 0;

		assert_int_equal(str_to_u64(rows[i].s, &value), rows[i].err);
		assert_int_equal(value, rows[i].value);
	}
}

static void test_to_i64_reaches_both_ends(void **state)
{
	static const struct {
		struct str s;
		int err;
		int64_t value;
	} rows[] = {
		{ STR("9223372036854775807"), 0, INT64_MAX },
		{ STR("-9223372036854775808"), 0, INT64_MIN },
		{ STR("9223372036854775808"), E_RANGE, 0 },
		{ STR("-9223372036854775809"), E_RANGE, 0 },
		{ STR("-0"), 0, 0 },
		{ STR("-12"), 0, -12 },
		{ STR("-"), E_SYNTAX, 0 },
		{ STR("--1"), E_SYNTAX, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t value = 0;

		assert_int_equal(str_to_i64(rows[i].s, &value), rows[i].err);
		assert_true(value == rows[i].value);
	}
}

static void test_dup_copies_and_terminates(void **state)
{
	char *copy = str_dup(STR("abc"));

	(void)state;
	assert_string_equal(copy, "abc");
	free(copy);
	copy = str_dup(STR_NONE);
	assert_string_equal(copy, "");
	free(copy);
	mem_fail_at(1);
	assert_null(str_dup(STR("abc")));
}

static void test_copy_always_terminates(void **state)
{
	char out[4] = "xxx";

	(void)state;
	assert_int_equal(str_copy(STR("abc"), out, sizeof(out)), 0);
	assert_string_equal(out, "abc");
	assert_int_equal(str_copy(STR("abcd"), out, sizeof(out)), E_TOOBIG);
	assert_string_equal(out, "");
	assert_int_equal(str_copy(STR_NONE, out, 1), 0);
	assert_int_equal(str_copy(STR_NONE, out, 0), E_TOOBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eq_compares_bytes_and_accepts_null),
		cmocka_unit_test(test_eq_nocase_folds_ascii_only),
		cmocka_unit_test(test_eq_secret_compares_whole_inputs),
		cmocka_unit_test(test_trim_takes_blanks_off_both_ends),
		cmocka_unit_test(test_cut_splits_at_the_first_separator),
		cmocka_unit_test(test_cut_may_write_over_its_input),
		cmocka_unit_test(test_to_u64_takes_digits_only),
		cmocka_unit_test(test_to_i64_reaches_both_ends),
		cmocka_unit_test(test_dup_copies_and_terminates),
		cmocka_unit_test(test_copy_always_terminates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
