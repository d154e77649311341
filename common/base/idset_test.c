/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/idset.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/base/mem.h"

static void test_add_when_known_then_exists_with_its_note(void **state)
{
	struct idset s;
	uint64_t note = 7;

	(void)state;
	idset_init(&s, 10, 1000);
	assert_int_equal(idset_add(&s, 1, 2, 100, &note), 0);
	note = 0;
	assert_int_equal(idset_add(&s, 1, 2, 200, &note), E_EXISTS);
	assert_int_equal(note, 7);
	assert_int_equal(idset_note(&s, 1, 2, 9), 0);
	assert_int_equal(idset_add(&s, 1, 2, 200, &note), E_EXISTS);
	assert_int_equal(note, 9);
	assert_int_equal(idset_note(&s, 3, 3, 9), E_NOTFOUND);
	idset_fini(&s);
}

static void test_add_when_old_then_new_again(void **state)
{
	struct idset s;

	(void)state;
	idset_init(&s, 10, 1000);
	assert_int_equal(idset_add(&s, 1, 2, 100, NULL), 0);
	assert_int_equal(idset_add(&s, 1, 2, 1100, NULL), E_EXISTS);
	assert_int_equal(idset_add(&s, 1, 2, 1101, NULL), 0);
	idset_fini(&s);
}

/* Against the rule itself: the last max_count ids are known, no other. */
static void test_add_when_full_then_oldest_is_forgotten(void **state)
{
	enum { MAX = 1000, ROUNDS = 20000 };
	struct idset s;

	(void)state;
	idset_init(&s, MAX, UINT64_MAX / 2);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		assert_int_equal(idset_add(&s, i * 0x9e37, i, i, NULL), 0);
		assert_true(idset_count(&s) <= MAX);
		if (i > 10)
			assert_int_equal(idset_add(&s, (i - 10) * 0x9e37, i - 10, i, NULL),
					 E_EXISTS);
	}
	for (uint64_t i = ROUNDS; i > ROUNDS - MAX + 1; i--)
		assert_int_equal(idset_note(&s, i * 0x9e37, i, 1), 0);
	for (uint64_t i = 1; i <= ROUNDS - MAX; i++)
		assert_int_equal(idset_note(&s, i * 0x9e37, i, 1), E_NOTFOUND);
	idset_fini(&s);
}

static void test_forget_when_known_then_new_again(void **state)
{
	struct idset s;

	(void)state;
	idset_init(&s, 4, 1000);
	for (uint64_t round = 0; round < 100; round++) {
		assert_int_equal(idset_add(&s, 5, 5, round + 1, NULL), 0);
		idset_forget(&s, 5, 5);
	}
	idset_forget(&s, 6, 6);
	idset_fini(&s);
}

static void test_add_when_no_memory_then_says_so(void **state)
{
	struct idset s;

	(void)state;
	idset_init(&s, 10, 1000);
	for (uint64_t n = 1; n <= 2; n++) {
		mem_fail_at(n);
		assert_int_equal(idset_add(&s, 1, 1, 1, NULL), E_NOMEM);
	}
	mem_fail_at(0);
	assert_int_equal(idset_add(&s, 1, 1, 1, NULL), 0);
	idset_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_when_known_then_exists_with_its_note),
		cmocka_unit_test(test_add_when_old_then_new_again),
		cmocka_unit_test(test_add_when_full_then_oldest_is_forgotten),
		cmocka_unit_test(test_forget_when_known_then_new_again),
		cmocka_unit_test(test_add_when_no_memory_then_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
