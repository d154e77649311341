/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and clients that are refused. */
#include "common/base/mem.h"
#include "common/http/http_client_test.h"

/* ── requests that are refused ── */

static const struct {
	const char *said;
	int status;
} bad[] = {
	{ "POST / HTTP/1.1\r\n" H
	  "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 4, 4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: +4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length : 4\r\n\r\nabcd", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n",
	  400 },
	{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413 },
	{ "POST / HTTP/1.1\r\n" H "Content-Length: 1001\r\n\r\n", 413 },
	{ "GET / HTTP/1.1\n" H "\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A: b\rc: d\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A: b\r\n folded\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A b: c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H ": c\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H "A: \x01\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n" H H "\r\n", 400 },
	{ "GET  / HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET /\ta HTTP/1.1\r\n" H "\r\n", 400 },
	{ "GET / HTTP/1.1 \r\n" H "\r\n", 400 },
	{ "\x16\x03\x01\x02", 400 },
	{ "GET /\r\n\r\n", 505 },
	{ "GET / HTTP/2.0\r\n" H "\r\n", 505 },
	{ "BREW / HTTP/1.1\r\n" H "\r\n", 501 },
	{ "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", 501 },
	{ "POST / HTTP/1.1\r\n" H "Expect: a-miracle\r\n\r\n", 417 },
};

static void expect_refusal(struct fixture *f, struct str said, int status)
{
	int before = f->request_count;
	struct buf heard = talk(f, said);

	if (status_of(&heard) != status)
		fail_msg("got %d, want %d for " STR_FMT, status_of(&heard), status, STR_ARG(said));
	assert_int_equal(count_of(&heard, "HTTP/1.1 "), 1);
	assert_int_equal(count_of(&heard, "\r\nConnection: close\r\n"), 1);
	assert_int_equal(count_of(&heard, "\r\n\r\n{\"code\":\""), 1);
	assert_int_equal(f->request_count, before);
	buf_fini(&heard);
}

static void test_ambiguous_and_malformed_requests_are_refused_and_closed(void **state)
{
	struct fixture f;

	(void)state;
	open_server(&f, usual);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_refusal(&f, str_of(bad[i].said), bad[i].status);
	close_server(&f);
}

static void test_too_large_requests_are_refused(void **state)
{
	struct fixture f;
	struct buf said = BUF_INIT(4u << 20);

	(void)state;
	open_server(&f, usual);
	buf_addz(&said, "GET /");
	add_many(&said, HTTP_MAX_TARGET_BYTES, "a");
	buf_addz(&said, " HTTP/1.1\r\n" H "\r\n");
	expect_refusal(&f, buf_str(&said), 414);
	buf_reset(&said);
	buf_addz(&said, "GET / HTTP/1.1\r\n" H);
	add_many(&said, HTTP_MAX_HEADER_COUNT, "A: b\r\n");
	buf_addz(&said, "\r\n");
	expect_refusal(&f, buf_str(&said), 431);
	buf_reset(&said);
	buf_addz(&said, "GET / HTTP/1.1\r\n" H "A: ");
	add_many(&said, HTTP_MAX_HEADER_BYTES, "b");
	expect_refusal(&f, buf_str(&said), 431);
	/* The answer comes from Content-Length alone, and arrives although the whole body is sent. */
	buf_reset(&said);
	buf_addz(&said, "POST / HTTP/1.1\r\n" H "Content-Length: 200000\r\n\r\n");
	add_many(&said, 2000,
		 "012345678901234567890123456789012345678901234567890123456789012345678901234567890"
		 "1234567890123456789");
	expect_refusal(&f, buf_str(&said), 413);
	buf_reset(&said);
	buf_addz(&said, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;");
	add_many(&said, 17000, "x");
	expect_refusal(&f, buf_str(&said), 400);
	http_server_set_max_body(f.server, 300000);
	buf_reset(&said);
	buf_addz(&said,
		 "POST / HTTP/1.1\r\n" H "Connection: close\r\nContent-Length: 200000\r\n\r\n");
	add_many(&said, 200000, "y");
	{
		struct buf heard = talk(&f, buf_str(&said));

		assert_int_equal(status_of(&heard), 200);
		assert_true(heard.n > 200000);
		buf_fini(&heard);
	}
	buf_fini(&said);
	close_server(&f);
}

/* ── time ── */

static void expect_in_time(struct fixture *f, const char *said, const char *heard_part)
{
	uint64_t began_ns = clock_exact_ns(), ms;
	struct buf heard = talk(f, str_of(said));

	ms = (clock_exact_ns() - began_ns) / 1000000;
	assert_true(ms >= 40 && ms < 1000);
	if (heard_part)
		assert_int_equal(count_of(&heard, heard_part), 1);
	else
		assert_int_equal(heard.n, 0);
	buf_fini(&heard);
}

static void test_slow_clients_run_into_deadlines(void **state)
{
	struct http_server_spec spec = usual;
	struct fixture f;

	(void)state;
	spec.timeout_ms = spec.idle_ms = 50;
	open_server(&f, spec);
	expect_in_time(&f, "", NULL);
	expect_in_time(&f, "\r\n", NULL);
	expect_in_time(&f, "GET / HT", "HTTP/1.1 408 Request Timeout\r\n");
	expect_in_time(&f, "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhel",
		       "HTTP/1.1 408 Request Timeout\r\n");
	expect_in_time(&f, "GET / HTTP/1.1\r\n" H "\r\n", "HTTP/1.1 200 OK\r\n"); /* then idle */
	close_server(&f);
}

static void test_dripping_header_is_cut_off_at_its_absolute_deadline(void **state)
{
	struct http_server_spec spec = usual;
	struct buf heard = BUF_INIT(4096);
	struct fixture f;
	int fd;

	(void)state;
	spec.timeout_ms = 100;
	open_server(&f, spec);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd, "GET / HTTP/1.1\r\nA: ");
	for (int i = 0; i < 12; i++) {
		usleep(20000);
		sayz(&f, fd, "x");
	}
	assert_true(hear(&f, fd, NULL, &heard));
	assert_int_equal(status_of(&heard), 408);
	close(fd);
	buf_fini(&heard);
	close_server(&f);
}

static void test_reader_that_stalls_is_closed_and_one_that_reads_gets_all(void **state)
{
	struct http_server_spec spec = usual;
	struct buf heard = BUF_INIT(16u << 20);
	struct fixture f;
	int fd;

	(void)state;
	spec.timeout_ms = 100;
	open_server(&f, spec);
	heard = talk(&f, STR("GET /big HTTP/1.1\r\n" H "Connection: close\r\n\r\n"));
	assert_true(heard.n > 8u << 20);
	buf_fini(&heard);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd, "GET /big HTTP/1.1\r\n" H "\r\n");
	for (int i = 0; i < 100 && http_server_connections(f.server); i++) {
		turn(&f);
		usleep(5000);
	}
	assert_int_equal(http_server_connections(f.server), 0);
	close(fd);
	close_server(&f);
}

/* ── many connections, and none ── */

static void test_connections_past_the_limits_are_answered_and_closed(void **state)
{
	struct http_server_spec spec = usual;
	struct buf heard;
	struct fixture f;
	int fds[3];

	(void)state;
	spec.max_connections = 3;
	open_server(&f, spec);
	for (int i = 0; i < 3; i++)
		fds[i] = connect_to(http_server_port(f.server));
	turn(&f);
	heard = talk(&f, STR("GET / HTTP/1.1\r\n" H "\r\n"));
	assert_int_equal(status_of(&heard), 503);
	buf_fini(&heard);
	close(fds[0]);
	turn(&f);
	heard = talk(&f, STR(LAST));
	assert_int_equal(status_of(&heard), 200);
	buf_fini(&heard);
	close(fds[1]);
	close(fds[2]);
	close_server(&f);

	spec.max_per_address = 1;
	open_server(&f, spec);
	fds[0] = connect_to(http_server_port(f.server));
	turn(&f);
	heard = talk(&f, STR("GET / HTTP/1.1\r\n" H "\r\n"));
	assert_int_equal(status_of(&heard), 429);
	assert_int_equal(count_of(&heard, "\r\nRetry-After: 1\r\n"), 1);
	buf_fini(&heard);
	close(fds[0]);
	turn(&f);
	heard = talk(&f, STR(LAST));
	assert_int_equal(status_of(&heard), 200);
	buf_fini(&heard);
	close_server(&f);
}

static void test_paused_server_refuses_new_connections_and_serves_old_ones(void **state)
{
	struct buf heard = BUF_INIT(4096);
	struct fixture f;
	int fd, port;

	(void)state;
	open_server(&f, usual);
	port = http_server_port(f.server);
	fd = connect_to(port); /* still in the backlog */
	http_server_pause(f.server);
	assert_int_equal(connect_to(port), -1);
	sayz(&f, fd, "GET /a HTTP/1.1\r\n" H "\r\n");
	assert_true(hear(&f, fd, NULL, &heard));
	assert_int_equal(status_of(&heard), 200);
	assert_int_equal(count_of(&heard, "Connection: close"), 1);
	close(fd);
	buf_fini(&heard);
	close_server(&f);
}

static void test_port_is_shared_unless_exclusive(void **state)
{
	struct http_server_spec spec = usual;
	struct http_server *second;
	struct fixture f;

	(void)state;
	open_server(&f, spec);
	log_threshold = LOG_ERROR + 1;
	spec.port = http_server_port(f.server);
	assert_int_equal(http_server_open(&f.loop, &spec, &second), 0);
	http_server_close(&second, NULL, NULL);
	spec.exclusive_port = true;
	assert_int_equal(http_server_open(&f.loop, &spec, &second), E_IO);
	assert_null(second);
	spec.host = "192.0.2.1"; /* not an address of this host */
	assert_int_equal(http_server_open(&f.loop, &spec, &second), E_CONFIG);
	spec.host = "no such host";
	assert_int_equal(http_server_open(&f.loop, &spec, &second), E_CONFIG);
	close_server(&f);
}

static void test_lack_of_memory_costs_a_connection_at_most(void **state)
{
	static const char said[] = "POST /p?q=%41 HTTP/1.1\r\n" H
				   "X-Test: 1\r\nX-Test: 2\r\nContent-Length: 5\r\n\r\nhello" LAST;
	struct http_server_spec spec = usual;
	struct fixture f;
	struct buf heard;

	(void)state;
	spec.max_per_address = 5;
	open_server(&f, spec);
	log_threshold = LOG_ERROR + 1;
	for (uint64_t n = 1; n < 60; n++) {
		char bytes[4096];
		int fd = connect_to(http_server_port(f.server));

		mem_fail_at(n);
		say(&f, fd, str_of(said));
		mem_fail_at(0);
		for (int i = 0; i < 1000 && http_server_connections(f.server); i++) {
			turn(&f);
			if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 0)
				break;
		}
		close(fd);
		turn(&f);
		assert_int_equal(http_server_connections(f.server), 0);
	}
	heard = talk(&f, str_of(said));
	assert_int_equal(count_of(&heard, "HTTP/1.1 200 OK"), 2);
	buf_fini(&heard);
	close_server(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ambiguous_and_malformed_requests_are_refused_and_closed),
		cmocka_unit_test(test_too_large_requests_are_refused),
		cmocka_unit_test(test_slow_clients_run_into_deadlines),
		cmocka_unit_test(test_dripping_header_is_cut_off_at_its_absolute_deadline),
		cmocka_unit_test(test_reader_that_stalls_is_closed_and_one_that_reads_gets_all),
		cmocka_unit_test(test_connections_past_the_limits_are_answered_and_closed),
		cmocka_unit_test(test_paused_server_refuses_new_connections_and_serves_old_ones),
		cmocka_unit_test(test_port_is_shared_unless_exclusive),
		cmocka_unit_test(test_lack_of_memory_costs_a_connection_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
