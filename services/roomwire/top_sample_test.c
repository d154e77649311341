/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char EDGE_METRICS[] =
	"# HELP roomwire_state life\n# TYPE roomwire_state gauge\nroomwire_state 1\n"
	"roomwire_connections 7\n"
	"roomwire_connections_by_transport{transport=\"websocket\"} 99\n"
	"roomwire_sockets 8\nroomwire_packets_in_total 100\nroomwire_packets_out_total 2e3\n"
	"roomwire_unsent_bytes 2048\nprocess_cpu_seconds_total 1.25\n"
	"process_resident_memory_bytes 1048576\nprocess_start_time_seconds 1700000000\n"
	"broken\n{ 1\nroomwire_sockets many\n\nroomwire_sockets ";

static struct top_answer answer_of(const char *health, const char *ready, const char *metrics)
{
	return (struct top_answer){ .answered = true,
				    .at_ms = 1000,
				    .body = { str_of(health), str_of(ready), str_of(metrics) } };
}

static void test_sample_of_an_edge_takes_its_counts_and_nothing_else(void **state)
{
	struct top_answer a = answer_of("{\"ok\":true,\"name\":\"roomwire-edge\",\"instance\":"
					"\"edge-3\",\"state\":\"ready\"}",
					"{\"ready\":true}", EDGE_METRICS);
	struct top_sample s;

	(void)state;
	top_sample_read(&a, "10.0.0.1:9090", &s);
	assert_true(s.there);
	assert_int_equal(s.kind, TOP_EDGE);
	assert_string_equal(s.name, "edge-3");
	assert_string_equal(s.state, "ready");
	assert_string_equal(s.failing, "");
	assert_true(s.cpu_seconds == 1.25 && s.memory_bytes == 1048576);
	assert_true(s.start_seconds == 1700000000.0);
	assert_true(s.counts[0] == 7 && s.counts[1] == 8 && s.counts[2] == 100);
	assert_true(s.counts[3] == 2000 && s.counts[4] == 2048);
}

static void test_sample_adds_series_up_unless_a_label_is_wanted(void **state)
{
	struct top_answer a = answer_of("{\"name\":\"roomwire-auth\"}", "",
					"roomwire_tokens_total{result=\"ok\"} 3\n"
					"roomwire_tokens_total{result=\"refused\"} 4\n");
	struct top_sample s;

	(void)state;
	top_sample_read(&a, "x", &s);
	assert_int_equal(s.kind, TOP_AUTH);
	assert_string_equal(s.name, "x");
	assert_true(s.counts[0] == 7);
	assert_true(s.counts[1] < 0);
	a = answer_of("{\"name\":\"roomwire-ingest\"}", "",
		      "roomwire_ingest_events_total{source=\"rabbitmq\"} 3\n"
		      "roomwire_ingest_events_total{source=\"http\"} 4\n");
	top_sample_read(&a, "x", &s);
	assert_int_equal(s.kind, TOP_INGEST);
	assert_true(s.counts[0] == 4 && s.counts[1] == 3 && s.counts[2] < 0);
}

static void test_sample_tells_what_fails_and_no_escape_reaches_the_terminal(void **state)
{
	struct top_answer a = answer_of(
		"{\"name\":\"roomwire-router\",\"instance\":\"r\\u001b[2J\",\"state\":"
		"\"degraded\"}",
		"{\"ready\":false,\"failing\":[{\"component\":\"redis\",\"reason\":\"away\\n\"},"
		"7,{\"component\":\"edge\"}]}",
		"");
	struct top_sample s;

	(void)state;
	top_sample_read(&a, "x", &s);
	assert_string_equal(s.name, "r?[2J");
	assert_string_equal(s.failing, "redis: away?\nedge: \n");
}

static void test_sample_of_garbage_is_there_and_tells_nothing(void **state)
{
	static const char *const garbage[] = { "", "[]", "{", "\"x\"", "{\"failing\":3}", "}{" };
	struct top_sample s;

	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		struct top_answer a = answer_of(garbage[i], garbage[i], garbage[i]);

		top_sample_read(&a, "me:1", &s);
		assert_true(s.there);
		assert_int_equal(s.kind, TOP_OTHER);
		assert_string_equal(s.name, "me:1");
		assert_true(s.cpu_seconds < 0 && s.counts[0] < 0);
	}
}

static void test_rate_needs_two_samples_of_one_life(void **state)
{
	struct top_sample before = { .there = true, .at_ms = 1000, .start_seconds = 50 };
	struct top_sample now = { .there = true, .at_ms = 3000, .start_seconds = 51 };
	struct top_sample none = { .there = false };

	(void)state;
	assert_true(top_rate(&before, &now, 10, 30) == 10);
	assert_true(top_rate(&before, &now, 10, 10) == 0);
	assert_true(top_rate(&none, &now, 10, 30) < 0);
	assert_true(top_rate(&before, &none, 10, 30) < 0);
	assert_true(top_rate(&before, &now, 30, 10) < 0);
	assert_true(top_rate(&before, &now, -1, 10) < 0);
	assert_true(top_rate(&now, &now, 10, 10) < 0);
	now.start_seconds = 53;
	assert_true(top_rate(&before, &now, 10, 30) < 0);
}

static void test_answer_is_split_into_its_pages(void **state)
{
	static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"
				   "HTTP/1.1 503 No\r\nX: y\r\ncontent-length:  3 \r\n\r\ncde"
				   "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	static const char *const bad[] = {
		"",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		"HTTP/1.1 \r\n\r\n",
		"SSH-2.0-OpenSSH\r\n\r\n",
	};
	struct str body[TOP_PAGES];

	(void)state;
	assert_int_equal(top_answer_split(STR_NONE, body), E_TRUNCATED);
	assert_int_equal(top_answer_split(str_of(good), body), 0);
	assert_true(str_is(body[TOP_HEALTH], "ab"));
	assert_true(str_is(body[TOP_READY], "cde"));
	assert_int_equal(body[TOP_METRICS].n, 0);
	for (size_t n = 0; n < sizeof(good) - 1; n++)
		assert_int_not_equal(top_answer_split(str_make(good, n), body), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(top_answer_split(str_of(bad[i]), body), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample_of_an_edge_takes_its_counts_and_nothing_else),
		cmocka_unit_test(test_sample_adds_series_up_unless_a_label_is_wanted),
		cmocka_unit_test(test_sample_tells_what_fails_and_no_escape_reaches_the_terminal),
		cmocka_unit_test(test_sample_of_garbage_is_there_and_tells_nothing),
		cmocka_unit_test(test_rate_needs_two_samples_of_one_life),
		cmocka_unit_test(test_answer_is_split_into_its_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
