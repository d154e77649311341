/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rawsend: the least a server can do for loadgen's clients: one thread, epoll, one send() of one finished frame per
 * member. It is the limit that other servers are held against, and no server: it believes every token, answers one
 * WebSocket key (WS_KEY) and reads only what loadgen writes.
 *
 * usage: rawsend [--coalesce]   frames of one turn of the loop leave in one send() per member
 * Prints `raw: ready on http://127.0.0.1:PORT PID`, ends with its parent or on a signal.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/ws.h"

#define ROOMS_MAX 65536
#define EVENTS_MAX 512
#define RX_BYTES (256 * 1024)
#define OUT_MAX_BYTES \
	(4 * 1024 * 1024) /* unsent, per connection; past it the connection is closed */
#define NO_ROOM UINT32_MAX

struct conn {
	int fd; /* index in server.conns, too */
	uint32_t room;
	uint32_t place;     /* in room.members */
	uint32_t in_bytes;  /* the beginning of a frame */
	uint32_t out_bytes; /* what the kernel did not take */
	uint8_t *in;
	uint8_t *out;
	bool upgraded;
};

struct piece {
	uint32_t from, bytes; /* in room.pending */
	const struct conn *sender;
};

struct room {
	struct conn **members;
	uint32_t count, space;
	uint8_t *pending; /* frames that wait for the end of this turn of the loop */
	uint32_t pending_bytes, pending_space;
	struct piece *pieces;
	uint32_t piece_count, piece_space;
};

struct server {
	int epoll_fd;
	int listen_fd;
	bool coalesce;
	struct conn **conns; /* by descriptor */
	uint32_t conns_max;
	struct room *rooms;
	uint32_t *dirty; /* rooms with something pending */
	uint32_t dirty_count;
	uint8_t *rx;
};

static void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("rawsend: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

static void *grow(void *old, size_t bytes)
{
	void *grown = realloc(old, bytes);
	if (!grown)
		die("no memory");
	return grown;
}

static void *zeroed(size_t count, size_t bytes)
{
	void *made = calloc(count, bytes);
	if (!made)
		die("no memory");
	return made;
}

static void watch(const struct server *s, struct conn *c, int how, bool writable)
{
	struct epoll_event want = { .events = EPOLLIN | (writable ? EPOLLOUT : 0U),
				    .data.fd = c->fd };
	if (epoll_ctl(s->epoll_fd, how, c->fd, &want))
		die("epoll_ctl: %s", strerror(errno));
}

static void leave(struct server *s, struct conn *c)
{
	struct room *r = c->room == NO_ROOM ? NULL : &s->rooms[c->room];
	if (!r || !r->members)
		return;
	struct conn *last = r->members[--r->count];
	r->members[c->place] = last;
	last->place = c->place;
	for (uint32_t i = 0; i < r->piece_count; i++) {
		if (r->pieces[i].sender == c)
			r->pieces[i].sender = NULL;
	}
	c->room = NO_ROOM;
}

static void drop(struct server *s, struct conn *c)
{
	leave(s, c);
	s->conns[c->fd] = NULL;
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

/* What the kernel does not take is kept for later. -1: too much of that, or the peer is gone */
static int push(const struct server *s, struct conn *c, const uint8_t *bytes, size_t count)
{
	ssize_t put = 0;
	if (!c->out_bytes)
		put = send(c->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put == (ssize_t)count)
		return 0;
	if (put < 0 && errno != EAGAIN)
		return -1;
	if (put < 0)
		put = 0;
	const size_t left = count - (size_t)put;
	if (c->out_bytes + left > OUT_MAX_BYTES)
		return -1;
	if (!c->out_bytes)
		watch(s, c, EPOLL_CTL_MOD, true);
	c->out = grow(c->out, c->out_bytes + left);
	memcpy(c->out + c->out_bytes, bytes + put, left);
	c->out_bytes += (uint32_t)left;
	return 0;
}

static int push_text(const struct server *s, struct conn *c, const char *text)
{
	uint8_t frame[WS_HEAD_MAX_BYTES + 256];
	return push(s, c, frame, ws_frame_write(frame, WS_TEXT, text, strlen(text), NULL));
}

static int push_kept(const struct server *s, struct conn *c)
{
	const ssize_t put = send(c->fd, c->out, c->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put < 0)
		return errno == EAGAIN ? 0 : -1;
	c->out_bytes -= (uint32_t)put;
	memmove(c->out, c->out + put, c->out_bytes);
	if (!c->out_bytes)
		watch(s, c, EPOLL_CTL_MOD, false);
	return 0;
}

/* A member that failed is shut down only; its own end of file closes it, outside of any walk over members */
static void push_to_member(const struct server *s, struct conn *c, const uint8_t *bytes,
			   size_t count)
{
	if (push(s, c, bytes, count))
		shutdown(c->fd, SHUT_RDWR);
}

static void flush_room(struct server *s, struct room *r)
{
	for (uint32_t i = 0; i < r->count; i++) {
		struct conn *c = r->members[i];
		uint32_t from = 0, to = 0;
		for (uint32_t p = 0; p < r->piece_count; p++) {
			if (r->pieces[p].sender == c) {
				if (to > from)
					push_to_member(s, c, r->pending + from, to - from);
				from = r->pieces[p].from + r->pieces[p].bytes;
			}
			to = r->pieces[p].from + r->pieces[p].bytes;
		}
		if (to > from)
			push_to_member(s, c, r->pending + from, to - from);
	}
	r->pending_bytes = r->piece_count = 0;
}

static void postpone(struct server *s, struct conn *sender, const uint8_t *frame, uint32_t bytes)
{
	struct room *r = &s->rooms[sender->room];
	if (!r->piece_count)
		s->dirty[s->dirty_count++] = sender->room;
	if (r->pending_bytes + bytes > r->pending_space) {
		r->pending_space = 2 * (r->pending_bytes + bytes);
		r->pending = grow(r->pending, r->pending_space);
	}
	if (r->piece_count == r->piece_space) {
		r->piece_space = 2 * r->piece_space + 16;
		r->pieces = grow(r->pieces, r->piece_space * sizeof(*r->pieces));
	}
	memcpy(r->pending + r->pending_bytes, frame, bytes);
	r->pieces[r->piece_count++] = (struct piece){ r->pending_bytes, bytes, sender };
	r->pending_bytes += bytes;
}

static int join(struct server *s, struct conn *c, const char *text)
{
	char answer[64];
	const char *name = strstr(text, "\"room\":\"r");
	const unsigned long room = name ? strtoul(name + 9, NULL, 10) : ROOMS_MAX;

	if (room >= ROOMS_MAX || c->room != NO_ROOM)
		return -1;
	struct room *r = &s->rooms[room];
	if (r->count == r->space) {
		r->space = 2 * r->space + 16;
		r->members = grow(r->members, r->space * sizeof(void *));
	}
	c->room = (uint32_t)room;
	c->place = r->count;
	r->members[r->count++] = c;
	snprintf(answer, sizeof(answer), "43%.*s[{\"ok\":true}]", (int)(strcspn(text, "[") - 2),
		 text + 2);
	return push_text(s, c, answer);
}

/* 42["room:send",{...}] becomes 42["room:msg",{...}] in a frame made once */
static int relay(struct server *s, struct conn *c, const char *text, size_t bytes)
{
	static const char in[] = "42[\"room:send\"", out[] = "42[\"room:msg\"";
	const size_t rest = bytes - (sizeof(in) - 1);
	if (c->room == NO_ROOM || bytes > RX_BYTES)
		return -1;
	struct room *r = &s->rooms[c->room];
	uint8_t *made = grow(NULL, 2 * (bytes + WS_HEAD_MAX_BYTES));
	uint8_t *message = made + bytes + WS_HEAD_MAX_BYTES;
	memcpy(message, out, sizeof(out) - 1);
	memcpy(message + sizeof(out) - 1, text + sizeof(in) - 1, rest);
	const size_t count = ws_frame_write(made, WS_TEXT, message, sizeof(out) - 1 + rest, NULL);

	if (s->coalesce) {
		postpone(s, c, made, (uint32_t)count);
	} else {
		for (uint32_t i = 0; i < r->count; i++) {
			if (r->members[i] != c)
				push_to_member(s, r->members[i], made, count);
		}
	}
	free(made);
	return 0;
}

/* A text of the client, ended by a zero byte that stands where the next frame began */
static int take_text(struct server *s, struct conn *c, char *text, size_t bytes)
{
	if (!strncmp(text, "42[\"room:send\"", 14))
		return relay(s, c, text, bytes);
	if (!strncmp(text, "40", 2))
		return push_text(s, c, "40{\"sid\":\"raw\"}");
	if (!strncmp(text, "42", 2) && strstr(text, "[\"room:join\""))
		return join(s, c, text);
	return 0;
}

static int take_frames(struct server *s, struct conn *c, uint8_t *at, size_t count, size_t *used)
{
	struct ws_head head;
	int parsed;

	while ((parsed = ws_head_parse(at + *used, count - *used, &head)) == 1 &&
	       head.payload_bytes <= count - *used - head.head_bytes) {
		uint8_t *text = at + *used + head.head_bytes;
		const uint8_t kept = text[head.payload_bytes];
		if (head.opcode != WS_TEXT || !head.masked)
			return -1;
		ws_mask(text, head.payload_bytes, head.mask);
		text[head.payload_bytes] = 0;
		if (take_text(s, c, (char *)text, head.payload_bytes))
			return -1;
		text[head.payload_bytes] = kept;
		*used += head.head_bytes + head.payload_bytes;
	}
	return parsed < 0 ? -1 : 0;
}

static int upgrade(struct server *s, struct conn *c, const char *at, size_t count, size_t *used)
{
	static const char answer[] =
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: " WS_ACCEPT "\r\n\r\n";
	const char *end = memmem(at, count, "\r\n\r\n", 4);
	if (!end)
		return count > 16384 ? -1 : 0;
	if (!memmem(at, count, WS_KEY, sizeof(WS_KEY) - 1))
		return -1;
	*used = (size_t)(end - at) + 4;
	c->upgraded = true;
	if (push(s, c, (const uint8_t *)answer, sizeof(answer) - 1))
		return -1;
	return push_text(s, c,
			 "0{\"sid\":\"raw\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":"
			 "20000,\"maxPayload\":1000000}");
}

static int take(struct server *s, struct conn *c)
{
	size_t used = 0;
	if (c->in_bytes)
		memcpy(s->rx, c->in, c->in_bytes);
	const ssize_t got = recv(c->fd, s->rx + c->in_bytes, RX_BYTES - c->in_bytes, MSG_DONTWAIT);
	if (got <= 0)
		return got < 0 && errno == EAGAIN ? 0 : -1;
	const size_t count = c->in_bytes + (size_t)got;
	if (!c->upgraded && upgrade(s, c, (const char *)s->rx, count, &used))
		return -1;
	if (c->upgraded && take_frames(s, c, s->rx, count, &used))
		return -1;
	if (count - used == RX_BYTES)
		return -1;
	if (count > used) {
		c->in = grow(c->in, count - used);
		memcpy(c->in, s->rx + used, count - used);
	} else {
		free(c->in);
		c->in = NULL;
	}
	c->in_bytes = (uint32_t)(count - used);
	return 0;
}

static void accept_all(struct server *s)
{
	const int on = 1;
	for (int i = 0; i < 64; i++) {
		const int fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if ((uint32_t)fd >= s->conns_max) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		struct conn *c = zeroed(1, sizeof(*c));
		c->fd = fd;
		c->room = NO_ROOM;
		s->conns[fd] = c;
		watch(s, c, EPOLL_CTL_ADD, false);
	}
}

static void turn(struct server *s)
{
	struct epoll_event events[EVENTS_MAX];
	const int count = epoll_wait(s->epoll_fd, events, EVENTS_MAX, -1);
	if (count < 0 && errno != EINTR)
		die("epoll_wait: %s", strerror(errno));
	for (int i = 0; i < count; i++) {
		if (events[i].data.fd == s->listen_fd) {
			accept_all(s);
			continue;
		}
		struct conn *c = s->conns[events[i].data.fd];
		int failed = 0;
		if (c && events[i].events & EPOLLOUT && c->out_bytes)
			failed = push_kept(s, c);
		if (c && !failed && events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
			failed = take(s, c);
		if (c && failed)
			drop(s, c);
	}
	for (uint32_t i = 0; i < s->dirty_count; i++)
		flush_room(s, &s->rooms[s->dirty[i]]);
	s->dirty_count = 0;
}

static void open_server(struct server *s)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(here);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("getrlimit: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max < 4000000 ? limit.rlim_max : 4000000;
	setrlimit(RLIMIT_NOFILE, &limit);
	s->conns_max = (uint32_t)limit.rlim_cur;
	s->conns = zeroed(s->conns_max, sizeof(void *));
	s->rooms = zeroed(ROOMS_MAX, sizeof(*s->rooms));
	s->dirty = zeroed(ROOMS_MAX, sizeof(*s->dirty));
	s->rx = zeroed(1, RX_BYTES + 1);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->epoll_fd < 0 || s->listen_fd < 0)
		die("socket: %s", strerror(errno));
	if (bind(s->listen_fd, (struct sockaddr *)&here, size) || listen(s->listen_fd, 4096) ||
	    getsockname(s->listen_fd, (struct sockaddr *)&here, &size))
		die("listen on 127.0.0.1: %s", strerror(errno));
	struct epoll_event want = { .events = EPOLLIN, .data.fd = s->listen_fd };
	if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->listen_fd, &want))
		die("epoll_ctl: %s", strerror(errno));
	printf("raw: ready on http://127.0.0.1:%d %d\n", ntohs(here.sin_port), (int)getpid());
	if (fflush(stdout))
		die("standard output: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	static struct server server;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--coalesce") != 0))
		die("usage: rawsend [--coalesce]");
	server.coalesce = argc == 2;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	open_server(&server);
	for (;;)
		turn(&server);
}
