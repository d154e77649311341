/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/wheel.h"

#include <stdlib.h>

#include "common/base/base_test.h"

#define TIMERS 400
#define HOUR_MS UINT64_C(3600000)

/* The model: a timer fires at the first advance whose granule is not before its due time. */
struct model {
	struct wheel_timer timer;
	uint64_t due_ms; /* 0: not armed */
	uint64_t fired_count;
};

static struct wheel wheel;
static struct model timers[TIMERS];
static uint64_t now_ms;

static uint64_t granule_up(uint64_t ms)
{
	return (ms + WHEEL_GRANULE_MS - 1) / WHEEL_GRANULE_MS;
}

static void fired(struct wheel_timer *timer)
{
	struct model *t = CONTAINER_OF(timer, struct model, timer);

	assert_false(wheel_armed(timer));
	assert_int_not_equal(t->due_ms, 0);
	assert_true(t->due_ms <= now_ms);
	t->due_ms = 0;
	t->fired_count++;
}

static void start_at(uint64_t ms, wheel_timer_fn fn)
{
	now_ms = ms;
	wheel_init(&wheel, now_ms);
	for (int i = 0; i < TIMERS; i++) {
		timers[i] = (struct model){ .due_ms = 0 };
		wheel_timer_init(&timers[i].timer, fn);
	}
}

static void arm(struct model *t, uint64_t due_ms)
{
	t->due_ms = due_ms;
	wheel_arm(&wheel, &t->timer, due_ms);
}

static void advance_to(uint64_t ms)
{
	now_ms = ms;
	wheel_advance(&wheel, now_ms);
}

/* Every timer of the model that is armed is not yet due, and the announced time is not after the earliest. */
static void check_against_model(void)
{
	uint64_t earliest = UINT64_MAX;
	uint64_t armed = 0;
	int64_t next_ms = wheel_next_ms(&wheel, now_ms);

	for (int i = 0; i < TIMERS; i++) {
		struct model *t = &timers[i];

		assert_int_equal(wheel_armed(&t->timer) != 0, t->due_ms != 0);
		if (!t->due_ms)
			continue;
		armed++;
		assert_true(granule_up(t->due_ms) > now_ms / WHEEL_GRANULE_MS);
		if (granule_up(t->due_ms) < earliest)
			earliest = granule_up(t->due_ms);
	}
	assert_int_equal(wheel.count, armed);
	if (armed == 0) {
		assert_int_equal(next_ms, -1);
		return;
	}
	assert_true(next_ms >= 0);
	assert_true(now_ms + (uint64_t)next_ms <= earliest * WHEEL_GRANULE_MS);
}

static uint64_t random_delay_ms(uint64_t *seed)
{
	static const uint64_t spans_ms[] = { 5,     50,          700,          30000,
					     45000, 3 * HOUR_MS, 50 * HOUR_MS, 120 * HOUR_MS };

	return test_random(seed) % spans_ms[test_random(seed) % COUNT_OF(spans_ms)] + 1;
}

static void test_random_arms_and_cancels_agree_with_a_model(void **state)
{
	uint64_t seed = 7;

	(void)state;
	start_at(123456789, fired);
	for (int turn = 0; turn < 60000; turn++) {
		struct model *t = &timers[test_random(&seed) % TIMERS];

		switch (test_random(&seed) % 4) {
		case 0:
		case 1:
			arm(t, now_ms + WHEEL_GRANULE_MS + random_delay_ms(&seed));
			break;
		case 2:
			wheel_cancel(&wheel, &t->timer);
			t->due_ms = 0;
			break;
		default:
			advance_to(now_ms + (turn % 500 ? test_random(&seed) % 9000
							: random_delay_ms(&seed)));
			check_against_model();
		}
	}
	assert_true(now_ms > 123456789 + 100 * HOUR_MS);
	advance_to(now_ms + 200 * HOUR_MS);
	assert_int_equal(wheel.count, 0);
}

/* As svc drives it: sleep as long as the wheel says, never longer; each timer fires within a granule. */
static void test_sleeping_as_announced_fires_in_time(void **state)
{
	uint64_t seed = 11;
	uint64_t wakeups = 0;

	(void)state;
	start_at(999, fired);
	for (int i = 0; i < TIMERS; i++)
		arm(&timers[i], now_ms + random_delay_ms(&seed));
	while (wheel.count > 0) {
		uint64_t earliest = UINT64_MAX;

		for (int i = 0; i < TIMERS; i++) {
			if (timers[i].due_ms && timers[i].due_ms < earliest)
				earliest = timers[i].due_ms;
		}
		advance_to(now_ms + (uint64_t)wheel_next_ms(&wheel, now_ms));
		assert_true(now_ms < earliest + WHEEL_GRANULE_MS);
		wakeups++;
	}
	assert_true(wakeups < 10 * TIMERS);
	for (int i = 0; i < TIMERS; i++)
		assert_int_equal(timers[i].fired_count, 1);
}

static void test_never_fires_early(void **state)
{
	(void)state;
	start_at(1000, fired);
	arm(&timers[0], 1015);
	advance_to(1014);
	assert_int_equal(timers[0].fired_count, 0);
	advance_to(1019);
	assert_int_equal(timers[0].fired_count, 0);
	assert_int_equal(wheel_next_ms(&wheel, now_ms), 1);
	advance_to(1020);
	assert_int_equal(timers[0].fired_count, 1);
	advance_to(1030);
	assert_int_equal(timers[0].fired_count, 1);
}

static void test_past_due_time_fires_at_the_next_advance(void **state)
{
	(void)state;
	start_at(5000, fired);
	arm(&timers[0], 17);
	wheel_arm(&wheel, &timers[1].timer, 0);
	timers[1].due_ms = 1;
	assert_int_equal(wheel_next_ms(&wheel, now_ms), 0);
	advance_to(5000);
	assert_int_equal(timers[0].fired_count, 1);
	assert_int_equal(timers[1].fired_count, 1);
}

static void test_arming_again_moves(void **state)
{
	(void)state;
	start_at(1000, fired);
	arm(&timers[0], 2000);
	arm(&timers[0], 9000);
	assert_int_equal(wheel.count, 1);
	advance_to(8000);
	assert_int_equal(timers[0].fired_count, 0);
	advance_to(9000);
	assert_int_equal(timers[0].fired_count, 1);
}

static void test_cancel_of_a_disarmed_timer_is_harmless(void **state)
{
	(void)state;
	start_at(1000, fired);
	wheel_cancel(&wheel, &timers[0].timer);
	assert_int_equal(wheel.count, 0);
	assert_int_equal(wheel_next_ms(&wheel, now_ms), -1);
}

static uint64_t rearm_delay_ms;

static void rearm(struct wheel_timer *timer)
{
	struct model *t = CONTAINER_OF(timer, struct model, timer);

	t->fired_count++;
	wheel_arm(&wheel, timer, now_ms - 500 + rearm_delay_ms);
}

static void test_callback_arming_for_the_past_waits_for_the_next_call(void **state)
{
	(void)state;
	start_at(1000, rearm);
	for (rearm_delay_ms = 0; rearm_delay_ms <= 500; rearm_delay_ms += 250) {
		start_at(1000, rearm);
		wheel_arm(&wheel, &timers[0].timer, 1100);
		advance_to(5000);
		assert_int_equal(timers[0].fired_count, 1);
		advance_to(5000);
		assert_int_equal(timers[0].fired_count, 2);
	}
}

static void cancel_all(struct wheel_timer *timer)
{
	struct model *t = CONTAINER_OF(timer, struct model, timer);

	t->fired_count++;
	for (int i = 0; i < TIMERS; i++)
		wheel_cancel(&wheel, &timers[i].timer);
}

static void free_timer(struct wheel_timer *timer)
{
	free(timer);
}

static void test_callback_may_cancel_others_due_at_the_same_time(void **state)
{
	struct wheel_timer *own = malloc(sizeof(*own));
	uint64_t count = 0;

	(void)state;
	start_at(1000, cancel_all);
	for (int i = 0; i < TIMERS; i++)
		wheel_arm(&wheel, &timers[i].timer, 1100 + (uint64_t)i % 20);
	wheel_timer_init(own, free_timer);
	wheel_arm(&wheel, own, 1110);
	advance_to(2000);
	for (int i = 0; i < TIMERS; i++)
		count += timers[i].fired_count;
	assert_int_equal(count, 1);
	assert_int_equal(wheel.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_arms_and_cancels_agree_with_a_model),
		cmocka_unit_test(test_sleeping_as_announced_fires_in_time),
		cmocka_unit_test(test_never_fires_early),
		cmocka_unit_test(test_past_due_time_fires_at_the_next_advance),
		cmocka_unit_test(test_arming_again_moves),
		cmocka_unit_test(test_cancel_of_a_disarmed_timer_is_harmless),
		cmocka_unit_test(test_callback_arming_for_the_past_waits_for_the_next_call),
		cmocka_unit_test(test_callback_may_cancel_others_due_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
