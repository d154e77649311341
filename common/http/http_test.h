/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the HTTP server: it listens on a real loopback socket, and client and server share one thread (the client's waits
 * turn the loop). Functions are static inline, so that a test need not use them all.
 */
#ifndef ROOMWIRE_HTTP_HTTP_TEST_H
#define ROOMWIRE_HTTP_HTTP_TEST_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/http/http_server.h"
#include "common/log/log.h"

#define H "Host: test\r\n"
#define WAIT_MS 3000

struct fixture {
	uv_loop_t loop;
	struct http_server *server;
	struct http_exchange *later; /* the request that waits for test_answer */
	struct str later_body;
	struct buf taken;
	int taken_fd, gone_count, request_count;
	bool closed;
};

static inline void on_gone(struct http_exchange *x, void *user)
{
	struct fixture *f = user;

	assert_ptr_equal(x, f->later);
	f->later = NULL;
	f->gone_count++;
}

static inline void answer_echo(struct http_exchange *x, const struct http_request *r)
{
	struct buf body = BUF_INIT(8u << 20), scratch = BUF_INIT(4096);
	struct str value;

	buf_addf(&body, "%d " STR_FMT " [" STR_FMT "] ", r->method, STR_ARG(r->path), STR_ARG(r->query));
	if (http_header(x, "x-TEST", &value))
		buf_addf(&body, "x=" STR_FMT " ", STR_ARG(value));
	if (http_query(r, "q", &scratch, &value))
		buf_addf(&body, "q=" STR_FMT " ", STR_ARG(value));
	buf_add(&body, r->body);
	http_respond(x, 200, STR("text/plain"), STR("X-Own: 1\r\n"), buf_str(&body));
	buf_fini(&body);
	buf_fini(&scratch);
}

static inline void on_request(struct http_exchange *x, const struct http_request *r, void *ctx)
{
	struct fixture *f = ctx;

	f->request_count++;
	assert_string_equal(r->address.p, "127.0.0.1");
	if (r->upgrade && str_is(r->path, "/take")) {
		f->taken_fd = http_take_socket(x, &f->taken);
	} else if (str_is(r->path, "/later")) {
		f->later = x;
		f->later_body = r->body;
		http_on_gone(x, on_gone, f);
	} else if (str_is(r->path, "/big")) {
		char *big = malloc(8u << 20);

		memset(big, 'b', 8u << 20);
		http_respond(x, 200, STR("text/plain"), STR_NONE, str_make(big, 8u << 20));
		free(big);
	} else if (str_is(r->path, "/none")) {
		http_respond(x, 204, STR_NONE, STR_NONE, STR_NONE);
	} else if (str_is(r->path, "/close")) {
		http_respond_close(x, 200, STR("text/plain"), STR_NONE, STR("bye"));
	} else if (str_is(r->path, "/wrong")) {
		http_respond_error(x, 409, "CONFLICT", "say \"no\"");
	} else {
		answer_echo(x, r);
	}
}

static inline void on_server_closed(void *ctx)
{
	((struct fixture *)ctx)->closed = true;
}

static const struct http_server_spec usual = {
	.subject = "test", .host = "127.0.0.1", .max_body_bytes = 1000, .timeout_ms = 2000, .idle_ms = 2000, .max_connections = 20,
};

static inline void open_server(struct fixture *f, struct http_server_spec spec)
{
	memset(f, 0, sizeof(*f));
	f->taken_fd = -1;
	log_threshold = LOG_ERROR;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	spec.on_request = on_request;
	spec.ctx = f;
	assert_int_equal(http_server_open(&f->loop, &spec, &f->server), 0);
}

static inline void close_server(struct fixture *f)
{
	if (f->server)
		http_server_close(&f->server, on_server_closed, f);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(f->closed);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	buf_fini(&f->taken);
}

static inline int connect_to(int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline void turn(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_NOWAIT);
	uv_run(&f->loop, UV_RUN_NOWAIT);
}

static inline void say(struct fixture *f, int fd, struct str bytes)
{
	while (bytes.n) {
		ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		turn(f);
		if (n < 0)
			return; /* closed by the server, or it does not read: the test looks at what it said */
		bytes = str_skip(bytes, (size_t)n);
	}
	turn(f);
}

static inline void sayz(struct fixture *f, int fd, const char *text)
{
	say(f, fd, str_of(text));
}

/* Read until the text ends in `end` (NULL: until the server closes). Does what came fit? */
static inline bool hear(struct fixture *f, int fd, const char *end, struct buf *heard)
{
	uint64_t until_ns = clock_exact_ns() + WAIT_MS * 1000000ull;

	while (clock_exact_ns() < until_ns) {
		char bytes[65536];
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n == 0)
			return end == NULL;
		if (n > 0)
			buf_add(heard, str_make(bytes, (size_t)n));
		if (end && heard->n >= strlen(end) && memcmp(heard->p + heard->n - strlen(end), end, strlen(end)) == 0)
			return true;
		uv_run(&f->loop, UV_RUN_NOWAIT);
		if (n < 0)
			usleep(200);
	}
	return false;
}

static inline int status_of(const struct buf *heard)
{
	return heard->n > 12 ? atoi(heard->p + 9) : 0;
}

static inline size_t count_of(const struct buf *heard, const char *text)
{
	size_t count = 0;
	const char *at = heard->p;

	while (at && (at = memmem(at, heard->n - (size_t)(at - heard->p), text, strlen(text))) != NULL) {
		count++;
		at++;
	}
	return count;
}

/* One connection: say, hear until closed; OWNED by caller. */
static inline struct buf talk(struct fixture *f, struct str bytes)
{
	struct buf heard = BUF_INIT(16u << 20);
	int fd = connect_to(http_server_port(f->server));

	say(f, fd, bytes);
	assert_true(hear(f, fd, NULL, &heard));
	close(fd);
	turn(f);
	return heard;
}

static inline void add_many(struct buf *b, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		buf_addz(b, text);
}

#define LAST "GET /last HTTP/1.1\r\n" H "Connection: close\r\n\r\n"

#endif
