/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_figures_are_short(void **state)
{
	static const struct {
		void (*write)(double value, char *out);
		double value;
		const char *text;
	} rows[] = {
		{ top_number, 0, "0" },          { top_number, 99999, "99999" },
		{ top_number, 100000, "100k" },  { top_number, 1234567, "1.2M" },
		{ top_number, -1, "-" },         { top_number, 1e6, "1.0M" },
		{ top_bytes, 0, "0B" },          { top_bytes, 1023, "1023B" },
		{ top_bytes, 1536, "1.5k" },     { top_bytes, 200.0 * 1048576, "200M" },
		{ top_bytes, -1, "-" },          { top_per_second, 0, "0" },
		{ top_per_second, 0.26, "0.3" }, { top_per_second, 9.96, "10" },
		{ top_per_second, 12.4, "12" },  { top_per_second, -1, "-" },
		{ top_duration, 5, "5s" },       { top_duration, 185, "3m05" },
		{ top_duration, 7800, "2h10" },  { top_duration, 86400 * 5 + 3600 * 3, "5d03" },
		{ top_duration, -1, "-" },       { top_duration, 1e30, "0s" },
	};
	char text[TOP_CELL_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rows[i].write(rows[i].value, text);
		if (rows[i].value < 1e20)
			assert_string_equal(text, rows[i].text);
	}
}

static void fill(struct top_table *t)
{
	static const char *const cells[2][4] = { { "EDGE", "PID", "STATE", "CONNS" },
						 { "edge-0", "12", "up", "7" } };

	for (int r = 0; r < 2; r++) {
		struct top_row *row = top_table_add(t);

		assert_non_null(row);
		for (int i = 0; i < 4; i++)
			snprintf(row->cells[i], TOP_CELL_BYTES, "%s", cells[r][i]);
		row->cell_count = 4;
	}
	snprintf(top_table_add(t)->line, TOP_FAILING_BYTES, "  ! ä is away, and that for long");
}

static void test_table_fits_what_it_is_given(void **state)
{
	static const int dispensable[] = { 1, -1 };
	static const struct {
		int width, height;
		const char *page;
	} rows[] = {
		{ 0, 0,
		  "EDGE    PID  STATE  CONNS\nedge-0   12  up         7\n"
		  "  ! ä is away, and that for long\n" },
		{ 25, 9,
		  "EDGE    PID  STATE  CONNS\nedge-0   12  up         7\n"
		  "  ! ä is away, and that \n" },
		{ 23, 0,
		  "EDGE   PID STATE CONNS\nedge-0  12 up        7\n"
		  "  ! ä is away, and tha\n" },
		{ 21, 0, "EDGE   STATE CONNS\nedge-0 up        7\n  ! ä is away, and t\n" },
		{ 5, 0, "EDGE\nedge-\n  !\n" },
		{ 0, 2, "EDGE    PID  STATE  CONNS\n2 more lines: make the window higher\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct top_table t = { NULL, 0, 0 };
		struct buf out = BUF_INIT(1u << 16);

		fill(&t);
		top_table_print(&t, rows[i].width, rows[i].height, dispensable, &out);
		buf_addc(&out, '\0');
		assert_int_equal(out.failed, 0);
		if (i == 4)
			assert_true(strlen(out.p) <= 18);
		else
			assert_string_equal(out.p, rows[i].page);
		buf_fini(&out);
		top_table_fini(&t);
	}
}

static void test_view_shows_gateways_kinds_and_what_fails(void **state)
{
	static struct top_set set;
	static struct top_sample before[3], now[3];
	struct top_view v = { .set = &set, .before = before, .now = now, .wall_seconds = 1060 };
	struct buf out = BUF_INIT(1u << 16);

	(void)state;
	set.gateway_count = 1;
	set.process_count = 3;
	set.gateways[0] = (struct top_gateway){
		.pid = 9, .port = 3000, .profile = "chat", .url = "http://127.0.0.1:3000"
	};
	for (int i = 0; i < 3; i++)
		set.processes[i] = (struct top_process){ .pid = i ? 10 + i : 0 };
	before[1] = (struct top_sample){ .there = true, .at_ms = 1000, .start_seconds = 1000 };
	now[0] = (struct top_sample){ .kind = TOP_EDGE, .name = "edge-0" };
	now[1] = (struct top_sample){ .there = true,
				      .at_ms = 2000,
				      .kind = TOP_ROUTER,
				      .name = "router-0",
				      .state = "degraded",
				      .start_seconds = 1000,
				      .cpu_seconds = 0.5,
				      .memory_bytes = 2048,
				      .counts = { 3, 4, 25, 0 },
				      .failing = "redis: away\n" };
	now[2] = (struct top_sample){ .kind = TOP_EDGE, .name = "edge-1" };
	for (int i = 0; i < 3; i += 2) {
		now[i].start_seconds = now[i].cpu_seconds = now[i].memory_bytes = -1;
		for (int c = 0; c < TOP_COUNTS_MAX; c++)
			now[i].counts[c] = -1;
	}
	top_view_print(&v, &out);
	buf_addc(&out, '\0');
	assert_string_equal(
		out.p,
		"chat  http://127.0.0.1:3000  pid 9\n"
		"EDGE      PID  STATE        UP    CPU   MEM  CONNS   SOCKETS     IN/s    OUT/s  "
		"UNSENT\n"
		"edge-0      -  no answer     -      -     -      -         -        -        -    "
		"   -\n"
		"edge-1     12  no answer     -      -     -      -         -        -        -    "
		"   -\n"
		"ROUTER    PID  STATE        UP    CPU   MEM  ROOMS  SESSIONS  EVENT/s  PENDING\n"
		"router-0   11  degraded   1m00  50.0%  2.0k      3         4       25        0\n"
		"  ! redis: away\n");
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_are_short),
		cmocka_unit_test(test_table_fits_what_it_is_given),
		cmocka_unit_test(test_view_shows_gateways_kinds_and_what_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
