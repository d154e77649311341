/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics/metrics.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/conf/conf.h"

static const char *page_of(struct buf *b, unsigned users)
{
	buf_reset(b);
	metrics_text(users, b);
	buf_addc(b, 0);
	assert_int_equal(b->failed, 0);
	return b->p;
}

static size_t count_of(const char *text, const char *part)
{
	size_t n = 0;

	while ((text = strstr(text, part)) != NULL) {
		text += strlen(part);
		n++;
	}
	return n;
}

static void test_page_shows_what_the_process_owns_with_one_head_per_name(void **state)
{
	struct buf page = BUF_INIT(1u << 20);
	const char *text;

	(void)state;
	metrics_set(METRIC_CLOSED_PING, 3);
	metrics_inc(METRIC_CLOSED_SLOW);
	metrics_add(METRIC_CONNECTIONS, 5);
	metrics_dec(METRIC_CONNECTIONS);
	text = page_of(&page, CONF_EDGE);
	assert_int_equal(count_of(text, "# TYPE roomwire_closed_total counter\n"), 1);
	assert_int_equal(count_of(text, "# HELP roomwire_closed_total "), 1);
	assert_non_null(strstr(text, "\nroomwire_closed_total{reason=\"ping_timeout\"} 3\n"));
	assert_non_null(strstr(text, "\nroomwire_closed_total{reason=\"slow_client\"} 1\n"));
	assert_non_null(
		strstr(text, "# TYPE roomwire_connections gauge\nroomwire_connections 4\n"));
	assert_null(strstr(text, "roomwire_queries_total"));
	text = page_of(&page, CONF_AUTH);
	assert_null(strstr(text, "roomwire_connections "));
	assert_non_null(strstr(text, "\nroomwire_queries_total 0\n"));
	assert_non_null(strstr(text, "\nroomwire_state "));
	buf_fini(&page);
}

static void test_histogram_buckets_add_up(void **state)
{
	struct buf page = BUF_INIT(1u << 20);
	const char *text;

	(void)state;
	metrics_observe_ns(METRIC_H_CHECK, 0);
	metrics_observe_ns(METRIC_H_CHECK, 100000); /* bounds belong to their bucket */
	metrics_observe_ns(METRIC_H_CHECK, 100001);
	metrics_observe_ns(METRIC_H_CHECK, 60000000000);
	text = page_of(&page, CONF_EDGE);
	assert_non_null(strstr(text, "# TYPE roomwire_check_seconds "
				     "histogram\nroomwire_check_seconds_bucket{le=\"0.0001\"} 2\n"
				     "roomwire_check_seconds_bucket{le=\"0.0002\"} 3\n"));
	assert_non_null(strstr(
		text, "roomwire_check_seconds_bucket{le=\"10\"} "
		      "3\nroomwire_check_seconds_bucket{le=\"+Inf\"} 4\n"
		      "roomwire_check_seconds_sum 60.000200001\nroomwire_check_seconds_count 4\n"));
	buf_fini(&page);
}

/* Prometheus text format 0.0.4, as far as this page uses it. */
static void check_line(const char *line)
{
	char name[128], *end;
	const char *at = line;
	size_t n = 0;

	if (line[0] == '#') {
		assert_true(strncmp(line, "# HELP ", 7) == 0 || strncmp(line, "# TYPE ", 7) == 0);
		return;
	}
	while (isalnum((unsigned char)*at) || *at == '_')
		name[n++] = *at++;
	name[n] = 0;
	assert_true(n > 0 && !isdigit((unsigned char)name[0]));
	if (*at == '{')
		at = strchr(at, '}') + 1;
	assert_int_equal(*at, ' ');
	assert_true(strtod(at + 1, &end) >= 0);
	assert_int_equal(*end, 0);
}

static void test_page_is_well_formed_and_has_process_figures(void **state)
{
	struct buf page = BUF_INIT(1u << 20);
	char *save, *line;

	(void)state;
	page_of(&page, CONF_ALL);
	assert_non_null(strstr(page.p, "\nprocess_resident_memory_bytes "));
	assert_non_null(strstr(page.p, "\nprocess_cpu_seconds_total "));
	assert_int_equal(page.p[page.n - 2], '\n');
	for (line = strtok_r(page.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		check_line(line);
	buf_fini(&page);
}

static void test_doc_has_every_row(void **state)
{
	struct buf doc = BUF_INIT(1u << 20);

	(void)state;
	metrics_doc(&doc);
	buf_addc(&doc, 0);
	assert_int_equal(count_of(doc.p, "\n| `"), METRIC_COUNT + METRIC_H_COUNT);
	assert_non_null(strstr(
		doc.p, "| `roomwire_closed_total{reason=\"ping_timeout\"}` | counter | edge | "));
	buf_fini(&doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_shows_what_the_process_owns_with_one_head_per_name),
		cmocka_unit_test(test_histogram_buckets_add_up),
		cmocka_unit_test(test_page_is_well_formed_and_has_process_figures),
		cmocka_unit_test(test_doc_has_every_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
