/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the HTTP server: clients on real loopback sockets. Client and server share one thread: the client's waits turn the
 * loop.
 */
#ifndef ROOMWIRE_HTTP_HTTP_CLIENT_TEST_H
#define ROOMWIRE_HTTP_HTTP_CLIENT_TEST_H

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http/http_test.h"

#define WAIT_MS 3000

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
		if (end && heard->n >= strlen(end) &&
		    memcmp(heard->p + heard->n - strlen(end), end, strlen(end)) == 0)
			return true;
		uv_run(&f->loop, UV_RUN_NOWAIT);
		if (n < 0)
			usleep(200);
	}
	return false;
}

static inline int status_of(const struct buf *heard)
{
	uint64_t status = 0;

	return heard->n > 12 && str_to_u64(str_make(heard->p + 9, 3), &status) == 0 ? (int)status
										    : 0;
}

static inline size_t count_of(const struct buf *heard, const char *text)
{
	size_t count = 0;
	const char *at = heard->p;

	while (at &&
	       (at = memmem(at, heard->n - (size_t)(at - heard->p), text, strlen(text))) != NULL) {
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
