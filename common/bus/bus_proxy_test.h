/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of links: between the two sockets, forwards, until it is cut or held. */
#ifndef ROOMWIRE_BUS_BUS_PROXY_TEST_H
#define ROOMWIRE_BUS_BUS_PROXY_TEST_H

#include <stdlib.h>
#include <uv.h>

#include "common/base/base_test.h"
#include "common/base/list.h"

struct proxy {
	uv_pipe_t listener;
	struct list pairs;
	const char *target; /* path */
	bool held;
	unsigned connections;
};

struct proxy_pair {
	struct list node; /* on proxy->pairs */
	struct proxy *proxy;
	uv_pipe_t a, b;
	uv_connect_t connect;
	bool connected, cut;
	int open;
};

static inline void proxy_on_closed(uv_handle_t *handle)
{
	struct proxy_pair *pair = handle->data;

	if (--pair->open == 0)
		free(pair);
}

static inline void proxy_cut_pair(struct proxy_pair *pair)
{
	if (pair->cut)
		return;
	pair->cut = true;
	list_remove(&pair->node);
	uv_close((uv_handle_t *)&pair->a, proxy_on_closed);
	uv_close((uv_handle_t *)&pair->b, proxy_on_closed);
}

static inline void proxy_on_room(uv_handle_t *handle, size_t want, uv_buf_t *buf)
{
	(void)handle;
	*buf = uv_buf_init(malloc(want), (unsigned)want);
}

static inline void proxy_on_written(uv_write_t *write, int status)
{
	(void)status;
	free(write->data);
	free(write);
}

static inline void proxy_on_read(uv_stream_t *from, ssize_t n, const uv_buf_t *buf)
{
	struct proxy_pair *pair = from->data;
	uv_stream_t *to = (uv_stream_t *)(from == (uv_stream_t *)&pair->a ? &pair->b : &pair->a);
	uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned)n : 0);
	uv_write_t *write;

	if (n <= 0) {
		free(buf->base);
		if (n < 0)
			proxy_cut_pair(pair);
		return;
	}
	write = malloc(sizeof(*write));
	write->data = buf->base;
	if (uv_write(write, to, &out, 1, proxy_on_written)) {
		free(write->data);
		free(write);
		proxy_cut_pair(pair);
	}
}

static inline void proxy_read(struct proxy_pair *pair)
{
	if (!pair->connected || pair->proxy->held)
		return;
	uv_read_start((uv_stream_t *)&pair->a, proxy_on_room, proxy_on_read);
	uv_read_start((uv_stream_t *)&pair->b, proxy_on_room, proxy_on_read);
}

static inline void proxy_on_connected(uv_connect_t *connect, int status)
{
	struct proxy_pair *pair = connect->data;

	pair->connected = status == 0;
	if (status && status != UV_ECANCELED)
		proxy_cut_pair(pair);
	else if (status == 0)
		proxy_read(pair);
}

static inline void proxy_on_connection(uv_stream_t *listener, int status)
{
	struct proxy *proxy = listener->data;
	struct proxy_pair *pair = calloc(1, sizeof(*pair));

	assert_int_equal(status, 0);
	proxy->connections++;
	pair->proxy = proxy;
	pair->open = 2;
	uv_pipe_init(listener->loop, &pair->a, 0);
	uv_pipe_init(listener->loop, &pair->b, 0);
	pair->a.data = pair->b.data = pair->connect.data = pair;
	list_append(&proxy->pairs, &pair->node);
	assert_int_equal(uv_accept(listener, (uv_stream_t *)&pair->a), 0);
	uv_pipe_connect(&pair->connect, &pair->b, proxy->target, proxy_on_connected);
}

static inline void proxy_open(struct proxy *proxy, uv_loop_t *loop, const char *path,
			      const char *target)
{
	memset(proxy, 0, sizeof(*proxy));
	proxy->target = target;
	list_init(&proxy->pairs);
	uv_pipe_init(loop, &proxy->listener, 0);
	proxy->listener.data = proxy;
	assert_int_equal(uv_pipe_bind(&proxy->listener, path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&proxy->listener, 8, proxy_on_connection), 0);
}

/* Every connection ends; new ones are taken. What was on its way is lost. */
static inline void proxy_cut(struct proxy *proxy)
{
	LIST_EACH(&proxy->pairs, node, next)
		proxy_cut_pair(CONTAINER_OF(node, struct proxy_pair, node));
}

/* Held: nothing moves, as if a process was stopped. */
static inline void proxy_hold(struct proxy *proxy, bool held)
{
	proxy->held = held;
	LIST_EACH(&proxy->pairs, node, next) {
		struct proxy_pair *pair = CONTAINER_OF(node, struct proxy_pair, node);

		uv_read_stop((uv_stream_t *)&pair->a);
		uv_read_stop((uv_stream_t *)&pair->b);
		proxy_read(pair);
	}
}

static inline void proxy_close(struct proxy *proxy)
{
	proxy_cut(proxy);
	uv_close((uv_handle_t *)&proxy->listener, NULL); /* and its path is gone */
}

#endif
