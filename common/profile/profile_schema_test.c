/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/profile_raw.h"

#include <cyaml/cyaml.h>

#include "common/base/base_test.h"

/* Every key of the language is in the page, with a description; the page is JSON. */
static void test_schema_then_every_key_is_described(void **state)
{
	struct buf page = BUF_INIT(1 << 20);
	struct json_value root, defs, def, properties, property, text;
	size_t keys = 0;

	(void)state;
	profile_schema(&page);
	assert_int_equal(page.failed, 0);
	assert_int_equal(json_parse(buf_str(&page), &root), 0);
	assert_int_equal(json_get(root, STR("$defs"), &defs), 0);
	for (const struct profile_raw_def *d = profile_raw_defs; d->name; d++) {
		assert_int_equal(json_get(defs, str_of(d->name), &def), 0);
		assert_int_equal(json_get(def, STR("properties"), &properties), 0);
		for (const cyaml_schema_field_t *row = d->rows; row->key; row++, keys++) {
			if (json_get(properties, str_of(row->key), &property) ||
			    json_get(property, STR("description"), &text) || text.raw.n < 5)
				fail_msg("%s.%s has no description", d->name, row->key);
		}
	}
	assert_true(keys > 100);
	buf_fini(&page);
}

/* Each reference leads somewhere: a mapping that is used but not listed would have no name. */
static void test_schema_then_no_reference_is_empty(void **state)
{
	struct buf page = BUF_INIT(1 << 20);

	(void)state;
	profile_schema(&page);
	buf_addc(&page, 0);
	assert_null(strstr(page.p, "#/$defs/\""));
	assert_non_null(strstr(page.p, "#/$defs/domain_event\""));
	buf_fini(&page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_then_every_key_is_described),
		cmocka_unit_test(test_schema_then_no_reference_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
