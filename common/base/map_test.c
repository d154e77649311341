/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/map.h"

#include <stdio.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define ITEMS 5000

struct item {
	char name[16];
	bool in;   /* the model: is it in the table */
	bool seen; /* by the iteration */
};

static struct item items[ITEMS];

static struct str item_key(const void *object)
{
	return str_of(((const struct item *)object)->name);
}

static int make_items(void **state)
{
	(void)state;
	for (int i = 0; i < ITEMS; i++) {
		snprintf(items[i].name, sizeof(items[i].name), "room:%d", i);
		items[i].in = items[i].seen = false;
	}
	return 0;
}

static void check_against_model(struct map *m)
{
	size_t count = 0, visited = 0;

	for (int i = 0; i < ITEMS; i++) {
		assert_ptr_equal(map_get(m, item_key(&items[i])), items[i].in ? &items[i] : NULL);
		items[i].seen = false;
		count += items[i].in;
	}
	assert_int_equal(map_count(m), count);
	MAP_EACH(m, struct item, item) {
		assert_true(item->in);
		assert_false(item->seen);
		item->seen = true;
		visited++;
	}
	assert_int_equal(visited, count);
}

static void put_or_del(struct map *m, struct item *item, bool put)
{
	if (put) {
		assert_int_equal(map_put(m, item), item->in ? E_EXISTS : 0);
		item->in = true;
	} else {
		assert_ptr_equal(map_del(m, item_key(item)), item->in ? item : NULL);
		item->in = false;
	}
}

static void test_empty_table_costs_no_memory(void **state)
{
	struct map m;

	(void)state;
	map_init(&m, item_key);
	assert_null(map_get(&m, STR("room:1")));
	assert_null(map_del(&m, STR("room:1")));
	MAP_EACH(&m, struct item, item)
		fail_msg("%s", item->name);
	assert_int_equal(map_bytes(&m), 0);
	map_fini(&m);
}

/* Phases of growing, churning and shrinking, so that resizes of every kind begin and are cut into by everything. */
static void test_random_operations_agree_with_a_model(void **state)
{
	uint64_t seed = 1;
	struct map m;

	(void)state;
	map_init(&m, item_key);
	for (int phase = 0; phase < 60; phase++) {
		uint64_t percent_put = (uint64_t[]){ 90, 50, 10, 55 }[phase % 4];
		uint64_t span = (uint64_t[]){ ITEMS, 40, 700 }[phase % 3];
		uint64_t count = test_random(&seed) % 6000;

		for (uint64_t i = 0; i < count; i++) {
			struct item *item = &items[test_random(&seed) % span];

			if (i % 7 == 0)
				assert_ptr_equal(map_get(&m, item_key(item)),
						 item->in ? item : NULL);
			put_or_del(&m, item, test_random(&seed) % 100 < percent_put);
		}
		check_against_model(&m);
	}
	map_fini(&m);
}

static void test_resize_is_spread_over_calls(void **state)
{
	size_t largest_move = 0;
	bool resized = false;
	struct map m;

	(void)state;
	map_init(&m, item_key);
	for (int i = 0; i < ITEMS; i++) {
		size_t live_before = m.now.live;
		size_t moved;

		put_or_del(&m, &items[i], true);
		moved = m.now.live > live_before ? m.now.live - live_before : m.now.live;
		if (moved > largest_move)
			largest_move = moved;
		resized |= m.old.live > 1000;
	}
	assert_true(resized);
	assert_true(largest_move <= 40);
	check_against_model(&m);
	map_fini(&m);
}

static void test_current_entry_may_be_removed_while_iterating(void **state)
{
	size_t left = 0;
	struct map m;

	(void)state;
	map_init(&m, item_key);
	for (int i = 0; i < ITEMS; i++)
		put_or_del(&m, &items[i], true);
	MAP_EACH(&m, struct item, item) {
		if (test_random(&(uint64_t){ (uint64_t)(item - items) }) % 3)
			put_or_del(&m, item, false);
		else
			left++;
	}
	assert_int_equal(map_count(&m), left);
	check_against_model(&m);
	MAP_EACH(&m, struct item, item)
		put_or_del(&m, item, false);
	assert_int_equal(map_count(&m), 0);
	assert_int_equal(map_bytes(&m), 0);
	map_fini(&m);
}

static void test_churn_of_few_entries_does_not_grow_the_table(void **state)
{
	struct map m;

	(void)state;
	map_init(&m, item_key);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < ITEMS; i++) {
			put_or_del(&m, &items[i], true);
			if (i >= 10)
				put_or_del(&m, &items[i - 10], false);
		}
		for (int i = ITEMS - 10; i < ITEMS; i++)
			put_or_del(&m, &items[i], false);
		assert_true(map_bytes(&m) <= 64 * sizeof(struct map_slot));
	}
	map_fini(&m);
}

static void test_table_when_mostly_emptied_then_shrinks(void **state)
{
	size_t full_bytes;
	struct map m;

	(void)state;
	map_init(&m, item_key);
	for (int i = 0; i < ITEMS; i++)
		put_or_del(&m, &items[i], true);
	full_bytes = map_bytes(&m);
	for (int i = 10; i < ITEMS; i++)
		put_or_del(&m, &items[i], false);
	for (int i = 0; i < 2000; i++) {
		put_or_del(&m, &items[100], true);
		put_or_del(&m, &items[100], false);
	}
	assert_true(map_bytes(&m) < full_bytes / 8);
	check_against_model(&m);
	map_fini(&m);
}

static void test_put_when_memory_fails_then_nothing_changed(void **state)
{
	uint64_t failures = 0;
	struct map m;

	(void)state;
	map_init(&m, item_key);
	for (int i = 0; i < ITEMS; i++) {
		int err;

		mem_fail_at(1);
		err = map_put(&m, &items[i]);
		mem_fail_at(0);
		if (err) {
			assert_int_equal(err, E_NOMEM);
			assert_null(map_get(&m, item_key(&items[i])));
			failures++;
			assert_int_equal(map_put(&m, &items[i]), 0);
		}
		items[i].in = true;
	}
	assert_true(failures >= 10);
	check_against_model(&m);
	map_fini(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty_table_costs_no_memory, make_items),
		cmocka_unit_test_setup(test_random_operations_agree_with_a_model, make_items),
		cmocka_unit_test_setup(test_resize_is_spread_over_calls, make_items),
		cmocka_unit_test_setup(test_current_entry_may_be_removed_while_iterating,
				       make_items),
		cmocka_unit_test_setup(test_churn_of_few_entries_does_not_grow_the_table,
				       make_items),
		cmocka_unit_test_setup(test_table_when_mostly_emptied_then_shrinks, make_items),
		cmocka_unit_test_setup(test_put_when_memory_fails_then_nothing_changed, make_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
