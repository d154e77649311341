/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands are gathered in `out`. A flush hands them to write(2) at once; what the socket does not take becomes `flying`, libuv's
 * until it is written, while `out` gathers again.
 */
#include "common/adapt/adapt_redis_conn.h"

#include "common/adapt/adapt_redis_resp.h"
#include "common/base/mem.h"

#define READ_BYTES ((size_t)64 << 10)
#define KEPT_BYTES ((size_t)256 << 10) /* of an empty buffer */
#define KEEPALIVE_SECONDS 15

struct redis_conn {
	uv_tcp_t tcp; /* its close callback frees the connection */
	uv_connect_t connecting;
	uv_write_t writing;
	struct redis_conn_hooks hooks;
	struct redis_reader *reader; /* OWNED */
	struct buf out, flying;
	bool closed;
};

static char read_bytes
	[READ_BYTES]; /* loop thread only: all is fed to the reader before the next read */

static void on_closed(uv_handle_t *handle)
{
	struct redis_conn *c = handle->data;

	redis_reader_free(&c->reader);
	buf_fini(&c->out);
	buf_fini(&c->flying);
	mem_free(c);
}

void redis_conn_close(struct redis_conn **conn)
{
	struct redis_conn *c = *conn;

	*conn = NULL;
	if (!c)
		return;
	c->closed = true;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void fail(struct redis_conn *c, const char *reason)
{
	uv_read_stop((uv_stream_t *)&c->tcp);
	c->hooks.failed(c->hooks.ctx, reason);
}

/* ── writing ── */

static void empty(struct buf *b)
{
	if (b->cap > KEPT_BYTES)
		buf_fini(b);
	else
		buf_reset(b);
}

static void on_written(uv_write_t *writing, int status)
{
	struct redis_conn *c = writing->data;
	const char *reason;

	if (c->closed)
		return;
	empty(&c->flying);
	if (status)
		fail(c, uv_strerror(status));
	else if (redis_conn_flush(c, &reason))
		fail(c, reason);
}

bool redis_conn_wants_flush(const struct redis_conn *conn)
{
	return conn->out.n && !conn->flying.n;
}

static int write_rest(struct redis_conn *c, size_t written)
{
	struct buf free_one = c->flying;
	uv_buf_t rest;

	c->flying = c->out;
	c->out = free_one;
	rest = uv_buf_init(c->flying.p + written, (unsigned)(c->flying.n - written));
	return uv_write(&c->writing, (uv_stream_t *)&c->tcp, &rest, 1, on_written);
}

int redis_conn_flush(struct redis_conn *conn, const char **reason)
{
	uv_buf_t all = uv_buf_init(conn->out.p, (unsigned)conn->out.n);
	int written, err = 0;

	if (!redis_conn_wants_flush(conn))
		return 0;
	written = uv_try_write((uv_stream_t *)&conn->tcp, &all, 1);
	if (written == UV_EAGAIN)
		written = 0;
	if (written < 0)
		err = written;
	else if ((size_t)written == conn->out.n)
		empty(&conn->out);
	else
		err = write_rest(conn, (size_t)written);
	if (!err)
		return 0;
	*reason = uv_strerror(err);
	return E_IO;
}

int redis_conn_add(struct redis_conn *conn, const struct str *argv, size_t argc)
{
	return redis_resp_add(&conn->out, argv, argc);
}

/* ── reading ── */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *into)
{
	(void)handle;
	(void)suggested;
	*into = uv_buf_init(read_bytes, sizeof(read_bytes));
}

/* Every reply that is whole by now; an owner may close the connection in each. */
static int take_replies(struct redis_conn *c)
{
	struct redis_reply *reply;
	int err;

	do {
		err = redis_reader_next(c->reader, &reply);
		if (err || !reply)
			return err;
		c->hooks.reply(c->hooks.ctx, reply);
		redis_reply_free(&reply);
	} while (!c->closed);
	return 0;
}

static const char *reason_of(int err)
{
	return err == E_TOOBIG  ? "an answer is larger than allowed"
	       : err == E_NOMEM ? "out of memory"
				: "what came is no answer of a Redis";
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *from)
{
	struct redis_conn *c = stream->data;
	struct str left = str_make(from->base, n > 0 ? (size_t)n : 0);
	int err = 0;

	if (n < 0) {
		fail(c, n == UV_EOF ? "the server closed the connection" : uv_strerror((int)n));
		return;
	}
	while (left.n && !err && !c->closed) {
		size_t part = left.n < REDIS_READER_FEED_BYTES ? left.n : REDIS_READER_FEED_BYTES;

		err = redis_reader_feed(c->reader, str_make(left.p, part));
		if (!err)
			err = take_replies(c);
		left = str_skip(left, part);
	}
	if (err && !c->closed)
		fail(c, reason_of(err));
}

/* ── opening ── */

static void on_connected(uv_connect_t *connecting, int status)
{
	struct redis_conn *c = connecting->data;

	if (c->closed)
		return;
	if (!status)
		status = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	if (status) {
		fail(c, uv_strerror(status));
		return;
	}
	/* Only wishes: without them it works, too. */
	uv_tcp_nodelay(&c->tcp, 1);
	uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_SECONDS);
	c->hooks.opened(c->hooks.ctx);
}

static int start(uv_loop_t *loop, struct redis_conn *c, const struct sockaddr *address,
		 const char **reason, struct redis_conn **conn)
{
	int status = uv_tcp_init(loop, &c->tcp);

	c->tcp.data = c->connecting.data = c->writing.data = c;
	if (status) {
		on_closed((uv_handle_t *)&c->tcp);
	} else {
		status = uv_tcp_connect(&c->connecting, &c->tcp, address, on_connected);
		*conn = c;
		if (status)
			redis_conn_close(conn);
	}
	if (!status)
		return 0;
	*reason = uv_strerror(status);
	return E_UNAVAILABLE;
}

int redis_conn_open(uv_loop_t *loop, const struct sockaddr *address, size_t max_reply_bytes,
		    const struct redis_conn_hooks *hooks, const char **reason,
		    struct redis_conn **conn)
{
	struct redis_conn *c = mem_try(sizeof(*c));

	*reason = "out of memory";
	if (!c)
		return E_NOMEM;
	c->hooks = *hooks;
	buf_init(&c->out, SIZE_MAX / 2); /* the owner's bounds hold */
	buf_init(&c->flying, SIZE_MAX / 2);
	c->reader = redis_reader_new(max_reply_bytes);
	if (!c->reader) {
		mem_free(c);
		return E_NOMEM;
	}
	return start(loop, c, address, reason, conn);
}
