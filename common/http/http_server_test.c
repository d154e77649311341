/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are answered, at once or later, and upgrades. */
#include <netinet/tcp.h>

#include "common/http/http_client_test.h"

/* ── requests that are answered ── */

static const struct {
	const char *said;
	size_t answers;
	const char *heard; /* somewhere in the answers */
} good[] = {
	{ "GET /a?b=c&q=%41%zz+ HTTP/1.1\r\n" H "X-Test: 1\r\nx-test:2 \r\n\r\n" LAST, 2,
	  "1 /a [b=c&q=%41%zz+] x=1, 2 q=A%zz+ " },
	{ "\r\n\r\nHEAD /a HTTP/1.1\r\n" H "\r\n\r\n" LAST, 2,
	  "Content-Length: 8\r\nX-Own: 1\r\n\r\nHTTP/1.1 200" },
	{ "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello" LAST, 2, "3 /p [] hello" },
	{ "POST /p HTTP/1.1\r\n" H
	  "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\n" LAST,
	  2, "3 /p [] hello" },
	{ "OPTIONS * HTTP/1.1\r\n" H "\r\nPATCH /x HTTP/1.1\r\n" H "\r\n" LAST, 3, "0 /x []" },
	{ "GET http://h:1/abs?q=1 HTTP/1.1\r\n" H "\r\nGET http://h HTTP/1.1\r\n" H "\r\n" LAST, 3,
	  "1 /abs [q=1]" },
	{ "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\n", 2,
	  "Connection: keep-alive" },
	{ "GET /none HTTP/1.1\r\n" H "\r\n" LAST, 2, "HTTP/1.1 204 No Content\r\n\r\nHTTP" },
	{ "GET /wrong HTTP/1.1\r\n" H "\r\n" LAST, 2,
	  "{\"code\":\"CONFLICT\",\"message\":\"say \\\"no\\\"\"}" },
	{ "GET /close HTTP/1.1\r\n" H "\r\n", 1, "Connection: close\r\n\r\nbye" },
	{ "GET /refused HTTP/1.1\r\n" H "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 1,
	  "Connection: close" },
	{ "GET /old HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 1,
	  "1 /old []" },
};

static void test_requests_split_at_every_byte_get_the_answers_of_whole_ones(void **state)
{
	struct fixture f;

	(void)state;
	open_server(&f, usual);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct str said = str_of(good[i].said);
		struct buf whole = talk(&f, said);

		assert_int_equal(count_of(&whole, "HTTP/1.1 "), good[i].answers);
		assert_int_equal(count_of(&whole, good[i].heard), 1);
		for (size_t cut = 1; cut < said.n; cut++) {
			struct buf heard = BUF_INIT(1u << 20);
			int fd = connect_to(http_server_port(f.server));

			say(&f, fd, str_make(said.p, cut));
			say(&f, fd, str_skip(said, cut));
			assert_true(hear(&f, fd, NULL, &heard));
			assert_true(str_eq(buf_str(&heard), buf_str(&whole)));
			buf_fini(&heard);
			close(fd);
			turn(&f);
		}
		buf_fini(&whole);
	}
	close_server(&f);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture f;
	struct buf said = BUF_INIT(1u << 20), heard;

	(void)state;
	open_server(&f, usual);
	for (int i = 0; i < 1000; i++)
		buf_addf(&said, "GET /n%d HTTP/1.1\r\n" H "\r\n", i);
	buf_addz(&said, LAST);
	heard = talk(&f, buf_str(&said));
	assert_int_equal(count_of(&heard, "HTTP/1.1 200 OK"), 1001);
	for (int i = 0, at = 0; i < 1000; i++) {
		char want[32];
		const char *found;

		snprintf(want, sizeof(want), "1 /n%d [] ", i);
		found = memmem(heard.p + at, heard.n - (size_t)at, want, strlen(want));
		assert_non_null(found);
		at = (int)(found - heard.p);
	}
	buf_fini(&said);
	buf_fini(&heard);
	close_server(&f);
}

static void test_expecting_client_is_told_to_continue(void **state)
{
	struct fixture f;
	struct buf heard = BUF_INIT(4096);
	int fd;

	(void)state;
	open_server(&f, usual);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd, "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n");
	assert_true(hear(&f, fd, "HTTP/1.1 100 Continue\r\n\r\n", &heard));
	sayz(&f, fd, "ok");
	assert_true(hear(&f, fd, "3 / [] ok", &heard));
	assert_int_equal(count_of(&heard, "100 Continue"), 1);
	close(fd);
	buf_fini(&heard);
	close_server(&f);
}

/* ── answers later ── */

static void test_answer_later_comes_before_that_of_the_next_request(void **state)
{
	struct fixture f;
	struct buf heard = BUF_INIT(1u << 20);
	int fd;

	(void)state;
	open_server(&f, usual);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd,
	     "POST /later HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nbodyGET /next HTTP/1.1\r\n" H
	     "\r\n");
	assert_non_null(f.later);
	assert_int_equal(f.request_count, 1);
	http_respond(f.later, 200, STR("text/plain"), STR_NONE,
		     f.later_body);           /* a slice of the request */
	assert_int_equal(f.request_count, 1); /* the next one is not handled inside the call */
	assert_true(hear(&f, fd, "1 /next [] ", &heard));
	assert_int_equal(count_of(&heard, "\r\n\r\nbodyHTTP/1.1 200"), 1);
	close(fd);
	turn(&f);
	assert_int_equal(f.gone_count, 0);
	buf_fini(&heard);
	close_server(&f);
}

static void test_client_that_leaves_or_server_that_closes_ends_a_waiting_exchange(void **state)
{
	struct fixture f;
	struct buf flood = BUF_INIT(1u << 20);
	int fd;

	(void)state;
	open_server(&f, usual);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd, "GET /later HTTP/1.1\r\n" H "\r\n");
	assert_non_null(f.later);
	close(fd);
	turn(&f);
	assert_int_equal(f.gone_count, 1);
	/* The same with so much behind the request that reading has stopped. */
	fd = connect_to(http_server_port(f.server));
	buf_addz(&flood, "GET /later HTTP/1.1\r\n" H "\r\n");
	add_many(&flood, 2000, "GET / HTTP/1.1\r\n" H "\r\n");
	say(&f, fd, buf_str(&flood));
	assert_non_null(f.later);
	assert_int_equal(f.request_count, 2);
	close(fd);
	for (int i = 0; i < 10; i++)
		turn(&f);
	assert_int_equal(f.gone_count, 2);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd, "GET /later HTTP/1.1\r\n" H "\r\n");
	assert_non_null(f.later);
	http_server_close(&f.server, on_server_closed, &f);
	assert_int_equal(f.gone_count, 3);
	close_server(&f);
	close(fd);
	buf_fini(&flood);
}

/* ── upgrades ── */

#define TAKE "GET /take HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void expect_taken(struct fixture *f, int fd)
{
	char bytes[16];
	int nodelay = 0;
	socklen_t n = sizeof(nodelay);

	for (int i = 0; i < 100 && f->taken_fd < 0; i++)
		turn(f);
	assert_true(f->taken_fd >= 0);
	assert_int_equal(http_server_connections(f->server), 0);
	assert_int_equal(getsockopt(f->taken_fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &n), 0);
	assert_int_not_equal(nodelay, 0);
	assert_int_equal(send(f->taken_fd, "mine", 4, 0), 4);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 4);
	assert_int_equal(send(fd, "yours", 5, 0), 5);
	usleep(1000);
	turn(f);
	assert_int_equal(recv(f->taken_fd, bytes, sizeof(bytes), 0),
			 5); /* the server has not read it */
	close(f->taken_fd);
	f->taken_fd = -1;
	close(fd);
}

static void test_upgrade_is_handed_over_with_every_byte(void **state)
{
	struct str said = STR("\r\n" TAKE "\x81\x85 and more\r\n\r\n");
	struct fixture f;

	(void)state;
	open_server(&f, usual);
	for (size_t cut = 1; cut <= said.n; cut++) {
		int fd = connect_to(http_server_port(f.server));

		say(&f, fd, str_make(said.p, cut));
		say(&f, fd, str_skip(said, cut));
		for (int i = 0; i < 100 && f.taken_fd < 0; i++)
			turn(&f);
		/* What was not read with the request is still in the socket. */
		while (f.taken_fd >= 0 && f.taken.n < said.n - 2) {
			char bytes[64];
			ssize_t n = recv(f.taken_fd, bytes, sizeof(bytes), 0);

			assert_true(n > 0);
			buf_add(&f.taken, str_make(bytes, (size_t)n));
		}
		assert_true(str_eq(buf_str(&f.taken), str_skip(said, 2)));
		buf_fini(&f.taken);
		expect_taken(&f, fd);
	}
	close_server(&f);
}

static void test_upgrade_behind_kept_alive_requests_is_handed_over(void **state)
{
	struct buf heard = BUF_INIT(4096);
	struct fixture f;
	int fd;

	(void)state;
	open_server(&f, usual);
	fd = connect_to(http_server_port(f.server));
	sayz(&f, fd, "GET /1 HTTP/1.1\r\n" H "\r\n");
	assert_true(hear(&f, fd, "1 /1 [] ", &heard));
	sayz(&f, fd, "GET /2 HTTP/1.1\r\n" H "\r\nGET /later HTTP/1.1\r\n" H "\r\n" TAKE "behind");
	assert_true(hear(&f, fd, "1 /2 [] ", &heard));
	http_respond(f.later, 200, STR("text/plain"), STR_NONE, STR("late"));
	assert_true(hear(&f, fd, "late", &heard));
	for (int i = 0; i < 100 && f.taken_fd < 0; i++)
		turn(&f);
	assert_true(str_eq(buf_str(&f.taken), STR(TAKE "behind")));
	expect_taken(&f, fd);
	buf_fini(&heard);
	close_server(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_split_at_every_byte_get_the_answers_of_whole_ones),
		cmocka_unit_test(test_pipelined_requests_are_answered_in_order),
		cmocka_unit_test(test_expecting_client_is_told_to_continue),
		cmocka_unit_test(test_answer_later_comes_before_that_of_the_next_request),
		cmocka_unit_test(
			test_client_that_leaves_or_server_that_closes_ends_a_waiting_exchange),
		cmocka_unit_test(test_upgrade_is_handed_over_with_every_byte),
		cmocka_unit_test(test_upgrade_behind_kept_alive_requests_is_handed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
