/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to each process, all at once; the three requests go out together (RFC 9112 section 9.3.2: they are answered in order). */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "services/roomwire/top.h"

#define ANSWER_MOST (4u << 20)
#define READ_BYTES 65536

struct call {
	int fd; /* -1: done */
	struct buf out;
};

static int own_ms(uint64_t from_ns)
{
	return (int)((clock_exact_ns() - from_ns) / 1000000);
}

/* ── one answer ── */

static bool header_length(struct str head, uint64_t *length)
{
	struct str line, name, value;

	while (head.n) {
		str_cut(head, '\n', &line, &head);
		if (str_cut(line, ':', &name, &value) && str_eq_nocase(name, STR("content-length")))
			return str_to_u64(str_trim(value), length) == 0;
	}
	return false;
}

int top_answer_split(struct str raw, struct str body[TOP_PAGES])
{
	for (int page = 0; page < TOP_PAGES; page++) {
		const char *end = raw.n ? memmem(raw.p, raw.n, "\r\n\r\n", 4) : NULL;
		uint64_t length;
		struct str head;

		if (!end)
			return E_TRUNCATED;
		head = str_make(raw.p, (size_t)(end - raw.p));
		if (!str_starts(head, STR("HTTP/1.1 ")) || !header_length(head, &length))
			return E_SYNTAX;
		raw = str_skip(raw, head.n + 4);
		if (raw.n < length)
			return E_TRUNCATED;
		/* 503 is /readyz saying what fails; any other page must be there */
		if (head.n < 12 || (memcmp(head.p + 9, "200", 3) != 0 &&
				    (page != TOP_READY || memcmp(head.p + 9, "503", 3) != 0)))
			return E_SYNTAX;
		body[page] = str_make(raw.p, (size_t)length);
		raw = str_skip(raw, (size_t)length);
	}
	return 0;
}

void top_answer_fini(struct top_answer *a)
{
	buf_fini(&a->raw);
}

/* ── all of them ── */

static void start_call(const struct top_process *p, struct call *c)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL, *a;

	c->fd = -1;
	buf_init(&c->out, 4096);
	if (getaddrinfo(p->ops.host, p->ops.port, &hints, &list))
		return;
	for (a = list; a->ai_next && a->ai_family != AF_INET; a = a->ai_next)
		; /* "localhost" is both, and our processes listen on IPv4 */
	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd >= 0 && connect(c->fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS) {
		close(c->fd);
		c->fd = -1;
	}
	freeaddrinfo(list);
	buf_addf(&c->out,
		 "GET /healthz HTTP/1.1\r\nHost: %s:%s\r\n\r\n"
		 "GET /readyz HTTP/1.1\r\nHost: %s:%s\r\n\r\n"
		 "GET /metrics HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n",
		 p->ops.host, p->ops.port, p->ops.host, p->ops.port, p->ops.host, p->ops.port);
}

static void end_call(struct call *c, struct top_answer *a)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	a->answered = !a->raw.failed && top_answer_split(buf_str(&a->raw), a->body) == 0;
	a->at_ms = clock_exact_ns() / 1000000;
}

static void on_ready(struct call *c, struct top_answer *a, int events)
{
	if (c->out.n && (events & (POLLOUT | POLLERR | POLLHUP))) {
		ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);

		if (n > 0)
			buf_drop_front(&c->out, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			end_call(c, a);
	} else if (events & (POLLIN | POLLERR | POLLHUP)) {
		char *room = buf_room(&a->raw, READ_BYTES);
		ssize_t n = room ? recv(c->fd, room, READ_BYTES, 0) : 0;

		if (n > 0)
			a->raw.n += (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			end_call(c, a);
	}
}

static int gather(const struct call *calls, int count, struct pollfd *fds)
{
	int n = 0;

	for (int i = 0; i < count; i++) {
		fds[i] = (struct pollfd){ .fd = calls[i].fd,
					  .events = calls[i].out.n ? POLLOUT : POLLIN };
		n += calls[i].fd >= 0;
	}
	return n;
}

void top_fetch(const struct top_process *processes, int count, int timeout_ms,
	       struct top_answer *answers)
{
	struct call calls[TOP_PROCESSES_MAX];
	struct pollfd fds[TOP_PROCESSES_MAX];
	uint64_t began_ns;

	for (int i = 0; i < count; i++) {
		answers[i].raw.max = ANSWER_MOST;
		buf_reset(&answers[i].raw);
		answers[i].answered = false;
		start_call(&processes[i], &calls[i]);
	}
	began_ns = clock_exact_ns(); /* names may have taken their time */
	while (gather(calls, count, fds) > 0 && own_ms(began_ns) < timeout_ms) {
		if (poll(fds, (nfds_t)count, timeout_ms - own_ms(began_ns)) < 0 && errno != EINTR)
			break;
		for (int i = 0; i < count; i++)
			if (calls[i].fd >= 0 && fds[i].revents)
				on_ready(&calls[i], &answers[i], fds[i].revents);
	}
	for (int i = 0; i < count; i++) {
		if (calls[i].fd >= 0)
			end_call(&calls[i], &answers[i]);
		buf_fini(&calls[i].out);
	}
}
