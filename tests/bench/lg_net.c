/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RX_BYTES (256 * 1024)
#define OUT_MAX_BYTES (1024 * 1024)
#define EVENTS_MAX 512
#define CLIENTS_PER_SOURCE 20000 /* of the 28,232 local ports that Linux gives out by default */
#define TOKENS_MAX 1000000

static void raise_descriptor_limit(uint32_t clients)
{
	const rlim_t needed = (rlim_t)clients + 16;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= needed)
		return;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		lg_die(LG_EXIT_SETUP,
		       "%u clients need %llu file descriptors and this process may not have that "
		       "many; "
		       "run `ulimit -Hn %llu` as root first (the server needs as many), or ask for "
		       "fewer clients",
		       clients, (unsigned long long)needed, (unsigned long long)needed);
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	if (!f)
		lg_die(LG_EXIT_USAGE, "--tokens %s: %s", path, strerror(errno));
	size_t got = 0, room = 65536;
	char *text = lg_alloc(1, room);
	for (;;) {
		got += fread(text + got, 1, room - got - 1, f);
		if (got + 1 < room)
			break;
		char *grown = realloc(text, room *= 2);
		if (!grown)
			lg_die(LG_EXIT_SETUP, "--tokens %s: no memory for %zu bytes", path, room);
		text = grown;
	}
	text[got] = 0;
	if (fclose(f))
		lg_die(LG_EXIT_USAGE, "--tokens %s: %s", path, strerror(errno));
	return text;
}

static void add_token(struct lg_net *n, const char *at, size_t bytes)
{
	if (bytes > 8192 || memchr(at, '"', bytes) || memchr(at, '\\', bytes))
		lg_die(LG_EXIT_USAGE,
		       "token %u is no JWT: longer than 8192 bytes, or with a quote in it",
		       n->token_count + 1);
	n->tokens[n->token_count++] = (struct lg_token){ at, (uint32_t)bytes };
}

static void read_tokens(struct lg_net *n)
{
	const struct lg_opts *o = n->opts;
	if (!o->tokens_file) {
		n->tokens = lg_alloc(1, sizeof(*n->tokens));
		if (o->token)
			add_token(n, o->token, strlen(o->token));
		return;
	}
	n->tokens = lg_alloc(TOKENS_MAX, sizeof(*n->tokens));
	for (const char *at = read_file(o->tokens_file); *at && n->token_count < TOKENS_MAX;) {
		const size_t bytes = strcspn(at, "\r\n");
		if (bytes)
			add_token(n, at, bytes);
		at += bytes + strspn(at + bytes, "\r\n");
	}
	if (!n->token_count)
		lg_die(LG_EXIT_USAGE, "--tokens %s: found no token in it", o->tokens_file);
}

void lg_net_open(struct lg_net *n, const struct lg_opts *o, struct lg_load *load)
{
	const uint32_t clients = (uint32_t)o->clients;
	*n = (struct lg_net){ .opts = o, .load = load };
	raise_descriptor_limit(clients);
	read_tokens(n);
	n->server.sin_family = AF_INET;
	n->server.sin_port = htons((uint16_t)o->port);
	if (inet_pton(AF_INET, o->host, &n->server.sin_addr) != 1)
		lg_die(LG_EXIT_USAGE, "--host %s: no IPv4 address", o->host);
	n->sources = o->sources > 0 ? (uint32_t)o->sources : 1 + (clients - 1) / CLIENTS_PER_SOURCE;
	n->conns = lg_alloc(clients, sizeof(*n->conns));
	n->rx = lg_alloc(1, RX_BYTES);
	n->now_ns = proc_now_ns();
	n->rng = n->now_ns | 1;
	n->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (n->epoll_fd < 0)
		lg_die(LG_EXIT_SETUP, "epoll_create1: %s", strerror(errno));
}

void lg_net_watch_writable(struct lg_net *n, struct lg_conn *c, bool wanted)
{
	struct epoll_event want = { .events = EPOLLIN | (wanted ? EPOLLOUT : 0U), .data.ptr = c };
	if (epoll_ctl(n->epoll_fd, EPOLL_CTL_MOD, c->fd, &want))
		lg_die(LG_EXIT_SETUP, "epoll_ctl: %s", strerror(errno));
}

void lg_net_drop(struct lg_net *n, struct lg_conn *c, const char *why, ...)
{
	char text[sizeof(n->why_gone)];
	va_list args;
	va_start(args, why);
	vsnprintf(text, sizeof(text), why, args);
	va_end(args);

	if (c->state != LG_READY)
		lg_die(LG_EXIT_SETUP, "client %u of %.0f (%u are ready): %s", c->id,
		       n->opts->clients, n->ready, text);
	if (!n->gone++) {
		memcpy(n->why_gone, text, sizeof(text));
		lg_say("client %u was closed: %s", c->id, text);
	}
	close(c->fd);
	free(c->in);
	free(c->out);
	c->in = c->out = NULL;
	c->in_bytes = c->out_bytes = 0;
	c->state = LG_GONE;
}

static void keep_out(struct lg_net *n, struct lg_conn *c, const uint8_t *bytes, size_t count)
{
	if (c->out_bytes + count > OUT_MAX_BYTES) {
		lg_net_drop(n, c, "the server left %u bytes of this client unread", c->out_bytes);
		return;
	}
	uint8_t *grown = realloc(c->out, c->out_bytes + count);
	if (!grown)
		lg_die(LG_EXIT_SETUP, "no memory for what the server does not read");
	if (!c->out_bytes)
		lg_net_watch_writable(n, c, true);
	memcpy(grown + c->out_bytes, bytes, count);
	c->out = grown;
	c->out_bytes += (uint32_t)count;
}

void lg_net_write(struct lg_net *n, struct lg_conn *c, const uint8_t *bytes, size_t count)
{
	ssize_t put = 0;
	if (c->state == LG_GONE)
		return;
	if (!c->out_bytes)
		put = send(c->fd, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put < 0 && errno != EAGAIN && errno != EINTR) {
		lg_net_drop(n, c, "send: %s", strerror(errno));
		return;
	}
	if (put < 0)
		put = 0;
	if ((size_t)put < count)
		keep_out(n, c, bytes + put, count - (size_t)put);
}

static void write_kept(struct lg_net *n, struct lg_conn *c)
{
	const ssize_t put = send(c->fd, c->out, c->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (put < 0) {
		if (errno != EAGAIN && errno != EINTR)
			lg_net_drop(n, c, "send: %s", strerror(errno));
		return;
	}
	c->out_bytes -= (uint32_t)put;
	if (c->out_bytes) {
		memmove(c->out, c->out + put, c->out_bytes);
		return;
	}
	free(c->out);
	c->out = NULL;
	lg_net_watch_writable(n, c, false);
}

static void keep_in(struct lg_net *n, struct lg_conn *c, const uint8_t *bytes, size_t count)
{
	if (count == RX_BYTES) {
		lg_net_drop(n, c, "a frame of the server is longer than %d bytes", RX_BYTES);
		return;
	}
	if (!count) {
		free(c->in);
		c->in = NULL;
	} else {
		uint8_t *grown = realloc(c->in, count);
		if (!grown)
			lg_die(LG_EXIT_SETUP, "no memory for the beginning of a frame");
		memcpy(grown, bytes, count);
		c->in = grown;
	}
	c->in_bytes = (uint32_t)count;
}

static void read_some(struct lg_net *n, struct lg_conn *c)
{
	const size_t kept = c->in_bytes;
	if (kept)
		memcpy(n->rx, c->in, kept);
	const ssize_t got = recv(c->fd, n->rx + kept, RX_BYTES - kept, MSG_DONTWAIT);
	if (got < 0) {
		if (errno != EAGAIN && errno != EINTR)
			lg_net_drop(n, c, "recv: %s", strerror(errno));
		return;
	}
	if (!got) {
		lg_net_drop(n, c, "the server ended the connection");
		return;
	}
	n->reads++;
	n->now_ns = proc_now_ns();
	const size_t count = kept + (size_t)got;
	const size_t used = lg_sio_take(n, c, n->rx, count);
	if (c->state != LG_GONE && (kept || used < count))
		keep_in(n, c, n->rx + used, count - used);
}

static void connected(struct lg_net *n, struct lg_conn *c)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error == ECONNREFUSED)
		lg_net_drop(n, c,
			    "nothing listens on %s:%.0f; start the server, or give its --port",
			    n->opts->host, n->opts->port);
	if (error)
		lg_net_drop(n, c, "connect: %s", strerror(error));
	lg_net_watch_writable(n, c, false);
	c->state = LG_UPGRADE;
	lg_sio_upgrade(n, c);
}

/* Source address of a client: 127.0.0.1 and up, the port left to connect(), which finds one free for this pair */
static void bind_source(const struct lg_net *n, const struct lg_conn *c)
{
	const int on = 1;
	struct sockaddr_in from = { .sin_family = AF_INET };

	if (n->sources == 1)
		return;
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->id % n->sources);
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(c->fd, (const struct sockaddr *)&from, sizeof(from)))
		lg_die(LG_EXIT_SETUP, "bind to a source address: %s", strerror(errno));
}

static void start_client(struct lg_net *n)
{
	const int on = 1;
	const struct linger reset = {
		.l_onoff = 1
	}; /* closed by a reset: no 10,000 local ports in TIME_WAIT after us */
	struct lg_conn *c = &n->conns[n->started];

	c->id = n->started++;
	c->started_ns = proc_now_ns();
	c->state = LG_TCP;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		lg_die(LG_EXIT_SETUP, "socket for client %u: %s", c->id, strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	bind_source(n, c);
	if (connect(c->fd, (const struct sockaddr *)&n->server, sizeof(n->server)) &&
	    errno != EINPROGRESS) {
		const char *hint = errno == EADDRNOTAVAIL
					   ? "; no local port is free: give more --sources"
					   : "";
		lg_die(LG_EXIT_SETUP, "connect of client %u: %s%s", c->id, strerror(errno), hint);
	}
	struct epoll_event want = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
	if (epoll_ctl(n->epoll_fd, EPOLL_CTL_ADD, c->fd, &want))
		lg_die(LG_EXIT_SETUP, "epoll_ctl: %s", strerror(errno));
}

void lg_net_connect_all(struct lg_net *n)
{
	const struct lg_opts *o = n->opts;
	const uint32_t clients = (uint32_t)o->clients;
	uint64_t say_ns;

	n->connect_started_ns = n->now_ns = proc_now_ns();
	say_ns = n->now_ns + 1000000000;
	while (n->ready < clients) {
		const double elapsed_s = (double)(n->now_ns - n->connect_started_ns) / 1e9;
		if (elapsed_s > o->connect_s)
			lg_die(LG_EXIT_SETUP,
			       "%u of %u clients ready after %g s; the server is slower "
			       "(--connect-seconds) or stuck",
			       n->ready, clients, o->connect_s);
		double allowed = o->connect_rate > 0 ? 1 + elapsed_s * o->connect_rate : clients;
		while (n->started < clients && n->started < allowed &&
		       n->started - n->ready < o->connect_inflight)
			start_client(n);
		lg_net_turn(n, n->now_ns + 1000000);
		if (n->now_ns > say_ns) {
			lg_say("%u of %u clients ready", n->ready, clients);
			say_ns += 1000000000;
		}
	}
	n->connect_ended_ns = n->now_ns;
}

void lg_net_turn(struct lg_net *n, uint64_t wake_ns)
{
	struct epoll_event events[EVENTS_MAX];
	struct timespec wait = { 0 };

	n->now_ns = proc_now_ns();
	if (wake_ns > n->now_ns) {
		wait.tv_sec = (time_t)((wake_ns - n->now_ns) / 1000000000);
		wait.tv_nsec = (long)((wake_ns - n->now_ns) % 1000000000);
	}
	const int count = epoll_pwait2(n->epoll_fd, events, EVENTS_MAX, &wait, NULL);
	if (count < 0 && errno != EINTR)
		lg_die(LG_EXIT_SETUP, "epoll_pwait2: %s (Linux 5.11 or later is needed)",
		       strerror(errno));
	n->now_ns = proc_now_ns();
	for (int i = 0; i < count; i++) {
		struct lg_conn *c = events[i].data.ptr;
		if (c->state == LG_TCP) {
			connected(n, c);
			continue;
		}
		if (events[i].events & EPOLLOUT && c->state != LG_GONE && c->out_bytes)
			write_kept(n, c);
		if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP) && c->state != LG_GONE)
			read_some(n, c);
	}
}
