/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/err.h"

#include "common/base/base_test.h"

static const struct {
	int value;
	const char *name;
	const char *text;
} rows[] = {
#define ERR(name, value, class, text) { value, #name, text },
#include "common/base/err.def"
#undef ERR
};

static void test_every_row_has_its_name_text_and_class(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_true(rows[i].value < 0);
		assert_string_equal(err_name(rows[i].value), rows[i].name);
		assert_string_equal(err_text(rows[i].value), rows[i].text);
		assert_int_not_equal(err_class(rows[i].value), ERR_CLASS_NONE);
	}
	assert_int_equal(err_class(E_SYNTAX), ERR_CLASS_PEER);
	assert_int_equal(err_class(E_FULL), ERR_CLASS_BUSY);
	assert_int_equal(err_class(E_CONFIG), ERR_CLASS_LOCAL);
}

static void test_values_are_distinct(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(rows[i].value, rows[k].value);
	}
}

static void test_ok_and_unknown_values_have_names_too(void **state)
{
	static const int unknown[] = { 1, 7, INT32_MAX, -999, INT32_MIN };

	(void)state;
	assert_string_equal(err_name(E_OK), "E_OK");
	assert_int_equal(err_class(E_OK), ERR_CLASS_NONE);
	for (size_t i = 0; i < COUNT_OF(unknown); i++) {
		assert_string_equal(err_name(unknown[i]), "E_?");
		assert_non_null(err_text(unknown[i]));
		assert_int_equal(err_class(unknown[i]), ERR_CLASS_BUG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_has_its_name_text_and_class),
		cmocka_unit_test(test_values_are_distinct),
		cmocka_unit_test(test_ok_and_unknown_values_have_names_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
