/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"

#include "common/base/base_test.h"

static void test_need_and_try_zero_the_memory(void **state)
{
	char *p = mem_need(100);
	char *q = mem_try(100);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(p[i] | q[i], 0);
	mem_free(p);
	mem_free(q);
	mem_free(NULL);
}

static void test_zero_bytes_are_not_null(void **state)
{
	void *p = mem_try(0);
	void *q = mem_try_resize(NULL, 0);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	mem_free(p);
	mem_free(q);
}

static void test_dup_copies_and_keeps_null(void **state)
{
	char *copy = mem_need_dup("abc");

	(void)state;
	assert_string_equal(copy, "abc");
	mem_free(copy);
	assert_null(mem_need_dup(NULL));
}

static void test_fail_at_fails_once_and_only_there(void **state)
{
	void *p, *q;

	(void)state;
	mem_fail_at(2);
	p = mem_try(1);
	assert_non_null(p);
	assert_null(mem_try_resize(p, 100));
	q = mem_try_resize(p, 100);
	assert_non_null(q);
	mem_fail_at(1);
	mem_fail_at(0);
	p = mem_try(1);
	assert_non_null(p);
	mem_free(p);
	mem_free(q);
}

static void test_count_counts_attempts(void **state)
{
	uint64_t before = mem_alloc_count();
	void *p = mem_try(1);

	(void)state;
	mem_fail_at(1);
	assert_null(mem_try(1));
	assert_int_equal(mem_alloc_count(), before + 2);
	mem_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_need_and_try_zero_the_memory),
		cmocka_unit_test(test_zero_bytes_are_not_null),
		cmocka_unit_test(test_dup_copies_and_keeps_null),
		cmocka_unit_test(test_fail_at_fails_once_and_only_there),
		cmocka_unit_test(test_count_counts_attempts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
