/* SPDX-License-Identifier: Apache-2.0 */
/* One connection: bytes in and out, and the one function that changes its state. */
#include "common/http/http_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define PENDING_MAX_BYTES (HTTP_PENDING_BYTES + HTTP_READ_BYTES)

static void on_event(uv_poll_t *poll, int status, int events);

void http_conn_peer_text(const uint8_t in6[16], char text[INET6_ADDRSTRLEN])
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const void *at = in6;
	int family = AF_INET6;

	if (memcmp(in6, mapped, sizeof(mapped)) == 0) {
		family = AF_INET;
		at = in6 + 12;
	}
	if (!inet_ntop(family, at, text, INET6_ADDRSTRLEN))
		text[0] = 0;
}

void http_conn_peer(const struct sockaddr_storage *peer, uint8_t in6[16])
{
	memset(in6, 0, 16);
	if (peer->ss_family == AF_INET6) {
		memcpy(in6, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
	} else {
		in6[10] = in6[11] = 0xff;
		memcpy(in6 + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
	}
}

static void watch(struct http_conn *c, int events)
{
	if (c->events == events)
		return;
	c->events = events;
	uv_poll_start(&c->poll, events, on_event);
}

/* The only place where a connection moves. */
void http_conn_set_state(struct http_conn *c, enum http_conn_state state)
{
	struct http_server *s = c->server;
	uint64_t ms = s->durations_ms[state];

	c->state = state;
	c->deadline_ms = ms ? uv_now(s->loop) + ms : UINT64_MAX;
	list_remove(&c->node);
	list_append(&s->lists[state], &c->node);
	if (state == HTTP_CONN_CLOSING)
		return;
	if (state == HTTP_CONN_WRITING)
		watch(c, UV_WRITABLE);
	else if (state == HTTP_CONN_HANDLING && c->pending.n - c->pending_at >= HTTP_PENDING_BYTES)
		watch(c, UV_DISCONNECT);
	else
		watch(c, UV_READABLE);
}

void http_conn_open(struct http_server *s, int fd, const struct sockaddr_storage *peer,
		    int refuse_status)
{
	struct http_conn *c = mem_try(sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	c->refuse_status = (uint16_t)refuse_status;
	list_init(&c->node);
	list_init(&c->resume_node);
	buf_init(&c->pending, PENDING_MAX_BYTES);
	buf_init(&c->out, SIZE_MAX); /* bounded by the one answer in it */
	http_conn_peer(peer, c->in6);
	if (http_server_conn_here(s, c)) {
		close(fd);
		mem_free(c);
		return;
	}
	if (uv_poll_init_socket(s->loop, &c->poll, fd) != 0) {
		http_server_conn_gone(s, c);
		s->handle_count--;
		close(fd);
		mem_free(c);
		return;
	}
	c->poll.data = c;
	http_conn_set_state(c, HTTP_CONN_FRESH);
}

static void on_closed(uv_handle_t *handle)
{
	struct http_conn *c = handle->data;
	struct http_server *s = c->server;

	list_remove(&c->node);
	buf_fini(&c->pending);
	buf_fini(&c->out);
	mem_free(c);
	http_server_handle_closed(s);
}

int http_conn_release(struct http_conn *c)
{
	int fd = c->fd;

	c->fd = -1;
	list_remove(&c->resume_node);
	http_conn_set_state(c, HTTP_CONN_CLOSING);
	http_server_conn_gone(c->server, c);
	uv_close((uv_handle_t *)&c->poll, on_closed); /* stops polling the descriptor at once */
	return fd;
}

void http_conn_close(struct http_conn *c)
{
	struct http_exchange *x = c->x;

	if (c->state == HTTP_CONN_CLOSING)
		return;
	c->x = NULL;
	close(http_conn_release(c));
	if (!x)
		return;
	if (x->on_gone)
		x->on_gone(x, x->gone_user);
	if (x->in_handler)
		x->ended = true;
	else
		http_exchange_free(x);
}

/* Send nothing more; read what comes for a little while, so that closing does not destroy the answer on its way (RFC 9112 9.6). */
static void linger(struct http_conn *c)
{
	buf_fini(&c->pending);
	buf_fini(&c->out);
	c->pending_at = c->out_at = 0;
	if (shutdown(c->fd, SHUT_WR) != 0)
		http_conn_close(c);
	else
		http_conn_set_state(c, HTTP_CONN_LINGER);
}

void http_conn_deadline(struct http_conn *c)
{
	if (c->state == HTTP_CONN_HEAD || c->state == HTTP_CONN_BODY)
		http_exchange_refuse(c->x, 408, "the request did not arrive in time");
	else
		http_conn_close(c);
}

/* ── out ── */

static void sent(struct http_conn *c)
{
	buf_fini(&c->out);
	c->out_at = 0;
	if (c->close_after) {
		linger(c);
		return;
	}
	http_conn_set_state(c, HTTP_CONN_IDLE);
	if (c->pending.n > c->pending_at && !c->busy)
		http_server_resume(c->server, c);
}

void http_conn_send(struct http_conn *c, struct str head, struct str body, bool close_after)
{
	struct iovec parts[2] = { { (void *)(uintptr_t)head.p, head.n },
				  { (void *)(uintptr_t)body.p, body.n } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = body.n ? 2 : 1 };
	ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
	size_t done = n > 0 ? (size_t)n : 0;

	c->close_after = close_after;
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		http_conn_close(c);
		return;
	}
	if (done == head.n + body.n) {
		sent(c);
		return;
	}
	if (done < head.n)
		buf_add(&c->out, str_skip(head, done));
	buf_add(&c->out, done < head.n ? body : str_skip(body, done - head.n));
	if (c->out.failed)
		http_conn_close(c);
	else
		http_conn_set_state(c, HTTP_CONN_WRITING);
}

static void write_rest(struct http_conn *c)
{
	ssize_t n = send(c->fd, c->out.p + c->out_at, c->out.n - c->out_at, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			http_conn_close(c);
		return;
	}
	c->out_at += (size_t)n;
	if (c->out_at == c->out.n)
		sent(c);
	else
		http_conn_set_state(c, HTTP_CONN_WRITING); /* it moves: new deadline */
}

/* ── in ── */

static void head_done(struct http_conn *c)
{
	const struct http_parse_head *head = http_parse_head(c->x->parse);

	http_conn_set_state(c, HTTP_CONN_BODY);
	if (head->expects_continue && !c->x->continued) {
		static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

		c->x->continued = true;
		/* 25 bytes on a socket with nothing unsent: a client that cannot take them is not worth waiting for. */
		if (send(c->fd, line, sizeof(line) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(line) - 1)
			http_conn_close(c);
	}
}

/* Feed the request under way; what is used of the bytes. */
static size_t feed(struct http_conn *c, struct str bytes, enum http_parse_event *event)
{
	size_t used = 0;

	*event = HTTP_PARSE_MORE;
	if (!c->x) {
		size_t blank = http_parse_blank(bytes);

		if (blank)
			return blank;
		c->x = http_exchange_new(c);
		if (!c->x) {
			http_conn_close(c);
			return bytes.n;
		}
		http_conn_set_state(c, HTTP_CONN_HEAD);
	}
	*event = http_parse_feed(c->x->parse, bytes, &used);
	return used;
}

static bool wants_bytes(const struct http_conn *c)
{
	return c->state == HTTP_CONN_FRESH || c->state == HTTP_CONN_IDLE ||
	       c->state == HTTP_CONN_HEAD || c->state == HTTP_CONN_BODY;
}

static void after_feed(struct http_conn *c, enum http_parse_event event)
{
	const char *message;
	int status;

	if (!c->x)
		return;
	if (c->refuse_status && http_parse_head_done(c->x->parse)) {
		http_exchange_refuse(c->x, c->refuse_status, "there are too many connections");
	} else if (event == HTTP_PARSE_ERROR) {
		status = http_parse_error(c->x->parse, &message);
		http_exchange_refuse(c->x, status, message);
	} else if (event == HTTP_PARSE_DONE) {
		http_exchange_dispatch(c->x);
	} else if (c->state == HTTP_CONN_HEAD && http_parse_head_done(c->x->parse)) {
		head_done(c);
	}
}

/* Bytes behind the present request are kept in pending before the handler sees it: it may take the socket with them. */
static void keep(struct http_conn *c, struct str rest)
{
	if (rest.n == 0)
		return;
	buf_add(&c->pending, rest);
	if (c->pending.failed)
		http_conn_close(c);
}

static void pending_trim(struct http_conn *c)
{
	if (c->pending_at < c->pending.n)
		return;
	buf_fini(&c->pending);
	c->pending_at = 0;
}

static void parse_pending(struct http_conn *c)
{
	for (int requests = 0; wants_bytes(c) && c->pending_at < c->pending.n;) {
		enum http_parse_event event;

		if (requests == HTTP_REQUESTS_PER_TURN) {
			http_server_resume(c->server, c);
			return;
		}
		c->pending_at += feed(
			c, str_make(c->pending.p + c->pending_at, c->pending.n - c->pending_at),
			&event);
		requests += event == HTTP_PARSE_DONE;
		after_feed(c, event);
	}
	if (c->state != HTTP_CONN_CLOSING)
		pending_trim(c);
}

void http_conn_resume(struct http_conn *c)
{
	c->busy = true;
	parse_pending(c);
	c->busy = false;
}

static void take(struct http_conn *c, struct str bytes)
{
	/* Compact what was parsed before more is added behind it. */
	if (c->pending_at) {
		buf_drop_front(&c->pending, c->pending_at);
		c->pending_at = 0;
	}
	c->busy = true;
	while (bytes.n && wants_bytes(c) && c->pending.n == 0) {
		enum http_parse_event event;

		bytes = str_skip(bytes, feed(c, bytes, &event));
		if (event == HTTP_PARSE_DONE) {
			keep(c, bytes);
			bytes = STR_NONE;
		}
		after_feed(c, event);
	}
	c->busy = false;
	if (c->state == HTTP_CONN_CLOSING || c->state == HTTP_CONN_LINGER)
		return;
	keep(c, bytes);
	if (c->state != HTTP_CONN_CLOSING)
		http_conn_resume(c);
	if (c->state == HTTP_CONN_HANDLING)
		http_conn_set_state(c,
				    HTTP_CONN_HANDLING); /* reading stops when enough is pending */
}

static void read_some(struct http_conn *c)
{
	struct http_server *s = c->server;
	ssize_t n = recv(c->fd, s->read_bytes, sizeof(s->read_bytes), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		http_conn_close(c);
		return;
	}
	if (c->state != HTTP_CONN_LINGER) {
		take(c, str_make(s->read_bytes, (size_t)n));
		return;
	}
	c->out_at += (size_t)n;
	if (c->out_at > HTTP_LINGER_BYTES)
		http_conn_close(c);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct http_conn *c = poll->data;

	if (status < 0) {
		http_conn_close(c);
		return;
	}
	if ((events & UV_DISCONNECT) && c->state == HTTP_CONN_HANDLING) {
		http_conn_close(c);
		return;
	}
	if ((events & UV_WRITABLE) && c->state == HTTP_CONN_WRITING)
		write_rest(c);
	else if ((events & UV_READABLE) && c->state != HTTP_CONN_CLOSING)
		read_some(c);
}
