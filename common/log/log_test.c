/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/metrics/metrics.h"

static struct buf got = BUF_INIT(1u << 20);
static size_t line_count;

static void on_line(struct str text, void *ctx)
{
	(void)ctx;
	assert_null(memchr(text.p, '\n', text.n));
	buf_reset(&got);
	buf_add(&got, text);
	buf_addc(&got, 0);
	line_count++;
}

static int setup(void **state)
{
	(void)state;
	clock_fake(5000, 1769853600123);
	log_open("edge-0");
	log_threshold = LOG_INFO;
	log_capture(on_line, NULL);
	line_count = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_capture(NULL, NULL);
	clock_fake(0, 0);
	buf_fini(&got);
	return 0;
}

static void test_line_has_time_level_instance_subject_event_and_values(void **state)
{
	(void)state;
	log_info("link:router-0", "link is up", KV_U("epoch", 93), KV_B("resumed", true),
		 KV_I("delta", -4), KV_Z("plain", "a/b"), KV_SECRET("token"), KV_ERR(E_FULL),
		 KV_STR("none", STR_NONE));
	assert_string_equal(got.p, "2026-01-31T10:00:00.123Z info  edge-0 link:router-0 \"link is "
				   "up\" epoch=93 resumed=true delta=-4 "
				   "plain=a/b token=*** error=\"queue is full\" none=\"\"");
	log_warn("svc", "just so");
	assert_string_equal(got.p, "2026-01-31T10:00:00.123Z warn  edge-0 svc \"just so\"");
}

static const struct {
	const char *value, *shown;
} escapes[] = {
	{ "a b", "\"a b\"" },
	{ "a=b", "\"a=b\"" },
	{ "q\"\\", "\"q\\\"\\\\\"" },
	{ "two\nlines\r\x1b[31m\x7f", "\"two\\nlines\\x0d\\x1b[31m\\x7f\"" },
	{ "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"" },
	{ "c1 \xc2\x9b", "\"c1 \\u009b\"" },
	{ "bad \xff\xc3", "\"bad \\xff\\xc3\"" },
};

static void test_values_are_escaped_so_that_no_control_character_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		struct log_site fresh = { 0 };
		const struct log_kv kv[] = { KV_Z("v", escapes[i].value),
					     { LOG_KV_END, 0, { 0, 0 }, 0 } };

		log_write(LOG_INFO, &fresh, "s", "e", kv);
		assert_string_equal(strstr(got.p, " v=") + 3, escapes[i].shown);
	}
}

static void test_long_values_are_cut_between_characters_and_lines_are_bounded(void **state)
{
	struct buf value = BUF_INIT(100000);

	(void)state;
	buf_addc(&value, 'x');
	for (int i = 0; i < 600; i++)
		buf_addz(&value, "\xc3\xbc");
	log_info("s", "e", KV_STR("v", buf_str(&value)));
	assert_string_equal(got.p + got.n - 1 - 6, "\xc3\xbc\"...");
	assert_true(got.n < 700);
	log_info("s", "e", KV_STR("a", buf_str(&value)), KV_STR("b", buf_str(&value)),
		 KV_STR("c", buf_str(&value)), KV_STR("d", buf_str(&value)),
		 KV_STR("e", buf_str(&value)), KV_STR("f", buf_str(&value)),
		 KV_STR("g", buf_str(&value)), KV_STR("h", buf_str(&value)),
		 KV_STR("i", buf_str(&value)));
	assert_int_equal(got.n, 4095 + 1);
	buf_fini(&value);
}

static void write_here(void)
{
	log_info("s", "from one place");
}

static void test_each_site_is_limited_and_says_what_it_held_back(void **state)
{
	uint64_t held_back = metrics_values[METRIC_LOG_SUPPRESSED];

	(void)state;
	for (int i = 0; i < 50; i++)
		write_here();
	assert_int_equal(line_count, LOG_SITE_PER_SECOND);
	assert_int_equal(metrics_values[METRIC_LOG_SUPPRESSED] - held_back, 30);
	log_info("s", "from another place");
	assert_int_equal(line_count, LOG_SITE_PER_SECOND + 1);
	clock_fake(6000, 1769853601123);
	write_here();
	assert_non_null(strstr(got.p, "\"from one place\" suppressed=30"));
	write_here();
	assert_null(strstr(got.p, "suppressed"));
}

static void test_levels_below_the_threshold_are_not_written(void **state)
{
	(void)state;
	log_debug("s", "e");
	assert_int_equal(line_count, 0);
	log_threshold = LOG_ERROR;
	log_warn("s", "e");
	assert_int_equal(line_count, 0);
	log_error("s", "e");
	assert_int_equal(line_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_line_has_time_level_instance_subject_event_and_values, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_values_are_escaped_so_that_no_control_character_passes, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_long_values_are_cut_between_characters_and_lines_are_bounded, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			test_each_site_is_limited_and_says_what_it_held_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels_below_the_threshold_are_not_written,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
