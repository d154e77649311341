/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"

#include <time.h>

#include "common/base/base_test.h"

static void test_iso_writes_utc_milliseconds(void **state)
{
	static const struct {
		uint64_t wall_ms;
		const char *iso;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 951782399999, "2000-02-28T23:59:59.999Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ 1709251199123, "2024-02-29T23:59:59.123Z" },
		{ 1769903999123, "2026-01-31T23:59:59.123Z" },
		{ 4107542400000, "2100-03-01T00:00:00.000Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
		{ UINT64_MAX, "9999-12-31T23:59:59.999Z" },
	};
	char out[CLOCK_ISO_BYTES];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		clock_iso(rows[i].wall_ms, out);
		assert_string_equal(out, rows[i].iso);
	}
}

static void test_iso_agrees_with_gmtime(void **state)
{
	char got[CLOCK_ISO_BYTES], want[64];

	(void)state;
	/* A step of 11 days and a little reaches every month and day of the week, to the year 2570. */
	for (time_t at = 0; at < 18934128000; at += 953707) {
		struct tm tm;

		gmtime_r(&at, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
		clock_iso((uint64_t)at * 1000, got);
		assert_string_equal(got, want);
	}
}

static void test_fake_replaces_all_clocks_until_zero(void **state)
{
	(void)state;
	clock_fake(5000, 1769903999123);
	assert_int_equal(clock_ms(), 5000);
	clock_tick();
	assert_int_equal(clock_ms(), 5000);
	assert_int_equal(clock_exact_ns(), 5000000000);
	assert_int_equal(clock_wall_ms(), 1769903999123);
	clock_fake(0, 0);
	assert_true(clock_wall_ms() > 1769903999);
	assert_int_not_equal(clock_ms(), 5000);
}

static void test_real_clocks_run_forward(void **state)
{
	uint64_t cached, exact;

	(void)state;
	clock_tick();
	cached = clock_ms();
	exact = clock_exact_ns();
	assert_true(cached > 0);
	assert_true(exact / 1000000 >= cached);
	while (clock_exact_ns() < exact + 3000000)
		continue;
	assert_int_equal(clock_ms(), cached);
	clock_tick();
	assert_true(clock_ms() >= cached + 3);
	cached = clock_ms();
	while (clock_exact_ns() < exact + 8000000)
		continue;
	clock_expire();
	assert_true(clock_ms() > cached);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iso_writes_utc_milliseconds),
		cmocka_unit_test(test_iso_agrees_with_gmtime),
		cmocka_unit_test(test_fake_replaces_all_clocks_until_zero),
		cmocka_unit_test(test_real_clocks_run_forward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
