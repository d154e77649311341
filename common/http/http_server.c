/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/http/http_conn.h"
#include "common/log/log.h"

#define BACKLOG 4096
#define SWEEP_MIN_MS 5
#define SWEEP_MAX_MS 250
#define REFUSED_MIN 16 /* connections past the limit that get an answer instead of a reset */

_Static_assert(HTTP_MAX_HEADER_BYTES == HTTP_PARSE_MAX_HEADER_BYTES &&
		       HTTP_MAX_TARGET_BYTES == HTTP_PARSE_MAX_TARGET_BYTES &&
		       HTTP_MAX_HEADER_COUNT == HTTP_PARSE_MAX_HEADERS,
	       "http_server.h says what adapt_http.h does");

static struct str address_key(const void *object)
{
	return str_of(((const struct http_address *)object)->text);
}

/* ── listening socket ── */

static int bind_address(const struct http_server_spec *spec, const struct addrinfo *ai)
{
	static const int on = 1;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int saved_errno;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (!spec->exclusive_port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		   sizeof(on)); /* accepted sockets inherit it on Linux */
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}

static int listen_at(const struct http_server_spec *spec, int *fd)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV },
			*list;
	char service[16];
	int failed;

	snprintf(service, sizeof(service), "%d", spec->port);
	failed = getaddrinfo(spec->host[0] ? spec->host : NULL, service, &hints, &list);
	if (failed) {
		log_error(spec->subject, "the address to listen on is unknown",
			  KV_Z("host", spec->host), KV_Z("reason", gai_strerror(failed)));
		return E_CONFIG;
	}
	*fd = bind_address(spec, list);
	if (*fd < 0) {
		int saved_errno = errno;

		log_error(spec->subject, "cannot listen", KV_Z("host", spec->host),
			  KV_I("port", spec->port), KV_Z("reason", strerror(saved_errno)));
		freeaddrinfo(list);
		return saved_errno == EADDRNOTAVAIL || saved_errno == EACCES ? E_CONFIG : E_IO;
	}
	freeaddrinfo(list);
	return 0;
}

static int port_of(int fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} at;
	socklen_t n = sizeof(at);

	memset(&at, 0, sizeof(at));
	if (getsockname(fd, &at.any, &n) != 0)
		return 0;
	return ntohs(at.any.sa_family == AF_INET6 ? at.in6.sin6_port : at.in.sin_port);
}

/* ── accepting ── */

static void sweep_start(struct http_server *s);

static int refusal_for(struct http_server *s, const struct sockaddr_storage *peer)
{
	uint8_t in6[16];
	struct http_address *a;
	char text[INET6_ADDRSTRLEN];

	if (s->conn_count >= s->spec.max_connections)
		return 503;
	if (s->spec.max_per_address == 0)
		return 0;
	http_conn_peer(peer, in6);
	http_conn_peer_text(in6, text);
	a = map_get(&s->addresses, str_of(text));
	return a && a->count >= s->spec.max_per_address ? 429 : 0;
}

/* False when nothing more can be accepted now. */
static bool accept_one(struct http_server *s)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t n = sizeof(peer);
	int fd = accept4(s->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int refusal;

	if (fd < 0) {
		if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
			return true;
		if (errno != EAGAIN) {
			log_warn(s->spec.subject, "cannot accept connections, trying again soon",
				 KV_Z("reason", strerror(errno)));
			s->accept_blocked = true;
			uv_poll_stop(&s->listener);
			sweep_start(s);
		}
		return false;
	}
	refusal = refusal_for(s, &peer);
	if (refusal && s->refused_count >= s->spec.max_connections / 8 + REFUSED_MIN) {
		close(fd);
		return true;
	}
	http_conn_open(s, fd, &peer, refusal);
	return true;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct http_server *s = poll->data;

	(void)events;
	if (status < 0) {
		log_error(s->spec.subject, "the listening socket failed",
			  KV_Z("reason", uv_strerror(status)));
		return;
	}
	for (int i = 0; i < HTTP_ACCEPTS_PER_TURN && !s->paused; i++)
		if (!accept_one(s))
			return;
}

/* ── time ── */

static void sweep_list(struct http_server *s, enum http_conn_state state, uint64_t now_ms)
{
	LIST_EACH(&s->lists[state], node, after) {
		struct http_conn *c = CONTAINER_OF(node, struct http_conn, node);

		if (c->deadline_ms > now_ms)
			return;
		http_conn_deadline(c);
	}
}

static void on_sweep(uv_timer_t *timer)
{
	struct http_server *s = timer->data;

	for (int state = 0; state < HTTP_CONN_CLOSING; state++)
		sweep_list(s, (enum http_conn_state)state, uv_now(s->loop));
	if (s->accept_blocked && !s->paused) {
		s->accept_blocked = false;
		uv_poll_start(&s->listener, UV_READABLE, on_acceptable);
	}
	if (s->conn_count + s->refused_count == 0 && !s->accept_blocked) {
		s->sweeping = false;
		uv_timer_stop(&s->sweeper);
	}
}

static void sweep_start(struct http_server *s)
{
	uint64_t tick_ms = HTTP_LINGER_MS;

	if (s->sweeping)
		return;
	if (s->spec.timeout_ms < tick_ms)
		tick_ms = s->spec.timeout_ms;
	if (s->spec.idle_ms < tick_ms)
		tick_ms = s->spec.idle_ms;
	tick_ms /= 4;
	tick_ms = tick_ms < SWEEP_MIN_MS   ? SWEEP_MIN_MS
		  : tick_ms > SWEEP_MAX_MS ? SWEEP_MAX_MS
					   : tick_ms;
	s->sweeping = true;
	uv_timer_start(&s->sweeper, on_sweep, tick_ms, tick_ms);
}

static void on_resume(uv_idle_t *idle)
{
	struct http_server *s = idle->data;
	struct list now;
	struct list *node;

	/* Those that are put on the list meanwhile have their turn in the next round. */
	list_init(&now);
	while ((node = list_pop(&s->resume)) != NULL)
		list_append(&now, node);
	while ((node = list_pop(&now)) != NULL)
		http_conn_resume(CONTAINER_OF(node, struct http_conn, resume_node));
	if (list_empty(&s->resume))
		uv_idle_stop(&s->resumer);
}

void http_server_resume(struct http_server *s, struct http_conn *c)
{
	if (!list_empty(&c->resume_node) || s->closing)
		return;
	list_append(&s->resume, &c->resume_node);
	uv_idle_start(&s->resumer, on_resume);
}

/* ── counts ── */

static int address_add(struct http_server *s, struct http_conn *c)
{
	char text[INET6_ADDRSTRLEN];
	struct http_address *a;

	http_conn_peer_text(c->in6, text);
	a = map_get(&s->addresses, str_of(text));
	if (!a) {
		a = mem_try(sizeof(*a));
		if (!a)
			return E_NOMEM;
		memcpy(a->text, text, sizeof(text));
		if (map_put(&s->addresses, a)) {
			mem_free(a);
			return E_NOMEM;
		}
	}
	a->count++;
	c->address = a;
	return 0;
}

int http_server_conn_here(struct http_server *s, struct http_conn *c)
{
	if (s->spec.max_per_address && address_add(s, c))
		return E_NOMEM;
	if (c->refuse_status)
		s->refused_count++;
	else
		s->conn_count++;
	s->handle_count++;
	sweep_start(s);
	return 0;
}

void http_server_conn_gone(struct http_server *s, struct http_conn *c)
{
	if (c->refuse_status)
		s->refused_count--;
	else
		s->conn_count--;
	if (c->address && --c->address->count == 0) {
		map_del(&s->addresses, str_of(c->address->text));
		mem_free(c->address);
	}
	c->address = NULL;
}

void http_server_handle_closed(struct http_server *s)
{
	void (*on_closed)(void *ctx) = s->on_closed;
	void *ctx = s->closed_ctx;

	if (--s->handle_count > 0 || !s->closing)
		return;
	map_fini(&s->addresses);
	buf_fini(&s->scratch);
	mem_free((void *)(uintptr_t)s->spec.subject);
	mem_free((void *)(uintptr_t)s->spec.host);
	mem_free(s);
	if (on_closed)
		on_closed(ctx);
}

/* ── http_server.h ── */

static void set_durations(struct http_server *s)
{
	s->durations_ms[HTTP_CONN_FRESH] = s->spec.timeout_ms;
	s->durations_ms[HTTP_CONN_IDLE] = s->spec.idle_ms;
	s->durations_ms[HTTP_CONN_HEAD] = s->spec.timeout_ms;
	s->durations_ms[HTTP_CONN_BODY] = s->spec.timeout_ms;
	s->durations_ms[HTTP_CONN_WRITING] = s->spec.timeout_ms;
	s->durations_ms[HTTP_CONN_LINGER] = HTTP_LINGER_MS;
}

static int handles_open(struct http_server *s)
{
	if (uv_poll_init_socket(s->loop, &s->listener, s->fd) != 0)
		return E_FAIL;
	uv_timer_init(s->loop, &s->sweeper);
	uv_idle_init(s->loop, &s->resumer);
	s->listener.data = s->sweeper.data = s->resumer.data = s;
	s->handle_count = 3;
	uv_poll_start(&s->listener, UV_READABLE, on_acceptable);
	return 0;
}

int http_server_open(uv_loop_t *loop, const struct http_server_spec *spec,
		     struct http_server **server)
{
	struct http_server *s;
	int fd = -1, err = listen_at(spec, &fd);

	*server = NULL;
	if (err)
		return err;
	s = mem_need(sizeof(*s));
	s->spec = *spec;
	s->spec.subject = mem_need_dup(spec->subject);
	s->spec.host = mem_need_dup(spec->host);
	s->loop = loop;
	s->fd = fd;
	s->port = port_of(fd);
	map_init(&s->addresses, address_key);
	buf_init(&s->scratch, 64u << 10);
	list_init(&s->resume);
	for (int i = 0; i < HTTP_CONN_STATE_COUNT; i++)
		list_init(&s->lists[i]);
	set_durations(s);
	err = handles_open(s);
	if (err) {
		close(fd);
		s->closing = true;
		s->handle_count = 1;
		http_server_handle_closed(s);
		return E_IO;
	}
	*server = s;
	return 0;
}

int http_server_port(const struct http_server *server)
{
	return server->port;
}

void http_server_pause(struct http_server *server)
{
	if (server->paused)
		return;
	/* A closed listening socket resets what waits in its backlog. */
	for (int i = 0; i < BACKLOG && !server->accept_blocked; i++)
		if (!accept_one(server))
			break;
	server->paused = true;
	uv_poll_stop(&server->listener);
	close(server->fd);
	server->fd = -1;
}

static void on_handle_closed(uv_handle_t *handle)
{
	http_server_handle_closed(handle->data);
}

void http_server_close(struct http_server **server, void (*done)(void *ctx), void *ctx)
{
	struct http_server *s = *server;

	*server = NULL;
	s->closing = true;
	s->on_closed = done;
	s->closed_ctx = ctx;
	for (int state = 0; state < HTTP_CONN_CLOSING; state++) {
		struct list *node;

		while ((node = list_first(&s->lists[state])) != NULL)
			http_conn_close(CONTAINER_OF(node, struct http_conn, node));
	}
	uv_close((uv_handle_t *)&s->listener, on_handle_closed);
	uv_close((uv_handle_t *)&s->sweeper, on_handle_closed);
	uv_close((uv_handle_t *)&s->resumer, on_handle_closed);
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

size_t http_server_connections(const struct http_server *server)
{
	return server->conn_count + server->refused_count;
}

void http_server_set_max_body(struct http_server *server, uint64_t bytes)
{
	server->spec.max_body_bytes = bytes;
}
