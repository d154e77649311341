/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/window.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "common/base/rnd.h"

#define ENTRIES 64

/* Pops what can be popped; the offset of the last one, or -1. */
static int64_t watermark(struct window *w)
{
	int64_t last = -1;

	for (struct window_entry *e = window_pop(w); e; e = window_pop(w)) {
		assert_true(e->offset > last);
		last = e->offset;
	}
	return last;
}

static void test_settle_when_out_of_order_then_the_watermark_waits(void **state)
{
	struct window w;
	struct window_entry e[4];

	(void)state;
	window_init(&w);
	for (int i = 0; i < 4; i++)
		assert_true(window_add(&w, &e[i], 10 + 2 * i)); /* holes */
	window_settle(&w, &e[2]);
	window_settle(&w, &e[1]);
	assert_int_equal(watermark(&w), -1);
	assert_int_equal(w.count, 4);
	assert_int_equal(w.unsettled, 2);
	window_settle(&w, &e[0]);
	assert_int_equal(watermark(&w), 14);
	window_settle(&w, &e[3]);
	window_settle(&w, &e[3]);
	assert_int_equal(w.unsettled, 0);
	assert_int_equal(watermark(&w), 16);
	assert_int_equal(w.count, 0);
}

static void test_add_when_the_offset_goes_back_then_it_is_refused(void **state)
{
	struct window w;
	struct window_entry e[2];

	(void)state;
	window_init(&w);
	assert_true(window_add(&w, &e[0], 5));
	assert_false(window_add(&w, &e[1], 5));
	assert_false(window_add(&w, &e[1], 0));
	assert_int_equal(w.count, 1);
	assert_true(window_add(&w, &e[1], 6));
}

static void test_window_when_settled_at_random_then_never_past_an_unsettled_one(void **state)
{
	(void)state;
	for (int round = 0; round < 200; round++) {
		struct window w;
		struct window_entry e[ENTRIES];
		int64_t stored = -1;
		int open = ENTRIES;

		window_init(&w);
		for (int i = 0; i < ENTRIES; i++)
			assert_true(window_add(&w, &e[i], i));
		while (open) {
			uint64_t pick = rnd_below(ENTRIES);
			int64_t now;

			if (e[pick].settled)
				continue;
			window_settle(&w, &e[pick]);
			open--;
			now = watermark(&w);
			if (now >= 0)
				stored = now;
			for (int i = 0; i < ENTRIES; i++)
				assert_true(e[i].settled || e[i].offset > stored);
		}
		assert_int_equal(stored, ENTRIES - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settle_when_out_of_order_then_the_watermark_waits),
		cmocka_unit_test(test_add_when_the_offset_goes_back_then_it_is_refused),
		cmocka_unit_test(
			test_window_when_settled_at_random_then_never_past_an_unsettled_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
