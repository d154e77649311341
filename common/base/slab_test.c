/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/slab.h"

#include <string.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define OBJECTS 3000

static void test_objects_are_zeroed_aligned_and_distinct(void **state)
{
	static char *objects[OBJECTS];
	struct slab s;

	(void)state;
	slab_init(&s, 40, 0);
	assert_int_equal(s.size, 48);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < OBJECTS; i++) {
			objects[i] = slab_get(&s);
			assert_int_equal((uintptr_t)objects[i] % 16, 0);
			for (size_t k = 0; k < 40; k++)
				assert_int_equal(objects[i][k], 0);
			memset(objects[i], i, 48);
		}
		for (int i = 0; i < OBJECTS; i++) {
			assert_int_equal((unsigned char)objects[i][47], (unsigned char)i);
			slab_put(&s, objects[i]);
		}
	}
	assert_int_equal(s.live, 0);
	slab_fini(&s);
}

static void test_steady_state_allocates_nothing(void **state)
{
	void *objects[100];
	uint64_t allocations;
	struct slab s;

	(void)state;
	slab_init(&s, 100, 0);
	for (size_t i = 0; i < COUNT_OF(objects); i++)
		objects[i] = slab_get(&s);
	allocations = mem_alloc_count();
	for (int round = 0; round < 1000; round++) {
		slab_put(&s, objects[round % 100]);
		objects[round % 100] = slab_get(&s);
	}
	assert_int_equal(mem_alloc_count(), allocations);
	for (size_t i = 0; i < COUNT_OF(objects); i++)
		slab_put(&s, objects[i]);
	slab_fini(&s);
}

static void test_get_at_the_bound_gives_null(void **state)
{
	void *objects[11];
	struct slab s;

	(void)state;
	slab_init(&s, 9000, 11);
	for (int i = 0; i < 11; i++) {
		objects[i] = slab_get(&s);
		assert_non_null(objects[i]);
	}
	assert_int_equal(s.total, 11);
	assert_null(slab_get(&s));
	slab_put(&s, objects[5]);
	slab_put(&s, NULL);
	objects[5] = slab_get(&s);
	assert_non_null(objects[5]);
	for (int i = 0; i < 11; i++)
		slab_put(&s, objects[i]);
	slab_fini(&s);
}

static void test_get_when_memory_fails_gives_null_and_recovers(void **state)
{
	struct slab s;
	void *object;

	(void)state;
	slab_init(&s, 1, 0);
	mem_fail_at(1);
	assert_null(slab_get(&s));
	assert_int_equal(s.live + s.total, 0);
	object = slab_get(&s);
	assert_non_null(object);
	slab_put(&s, object);
	slab_fini(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects_are_zeroed_aligned_and_distinct),
		cmocka_unit_test(test_steady_state_allocates_nothing),
		cmocka_unit_test(test_get_at_the_bound_gives_null),
		cmocka_unit_test(test_get_when_memory_fails_gives_null_and_recovers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
