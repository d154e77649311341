/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_zmq.h"

#include <errno.h>
#include <zmq.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define HIGH_WATER 100000
#define RECONNECT_MS 20
#define FRAME_MAX_BYTES (256ll << 20) /* a peer that sends more is cut off */

struct adapt_zmq {
	void *socket;
	uv_poll_t *poll; /* heap: libuv lets go of it later than we do */
	struct svc_turn turn, sleep_turn;
	adapt_zmq_message_fn fn;
	void *ctx;
	bool receiving, closed;
	bool look; /* there may be something to receive */
};

/* One context per process, for as long as there are sockets. */
static void *context;
static unsigned context_users;
static int high_water = HIGH_WATER;

void adapt_zmq_set_high_water(int messages)
{
	high_water = messages ? messages : HIGH_WATER;
}

static void set_int(void *socket, int option, int value)
{
	BUG_ON(zmq_setsockopt(socket, option, &value, sizeof(value)));
}

static int configure(struct adapt_zmq *s, enum adapt_zmq_kind kind, const char *identity,
		     const char *endpoint)
{
	const int64_t frame_bytes = FRAME_MAX_BYTES;

	set_int(s->socket, ZMQ_LINGER, 0);
	set_int(s->socket, ZMQ_IPV6, 0);
	set_int(s->socket, ZMQ_SNDHWM, high_water);
	set_int(s->socket, ZMQ_RCVHWM, high_water);
	BUG_ON(zmq_setsockopt(s->socket, ZMQ_MAXMSGSIZE, &frame_bytes, sizeof(frame_bytes)));
	if (kind == ADAPT_ZMQ_ROUTER) {
		set_int(s->socket, ZMQ_ROUTER_MANDATORY, 1);
		set_int(s->socket, ZMQ_ROUTER_HANDOVER, 1);
		return zmq_bind(s->socket, endpoint);
	}
	set_int(s->socket, ZMQ_IMMEDIATE, 1);
	set_int(s->socket, ZMQ_PROBE_ROUTER, 1);
	set_int(s->socket, ZMQ_RECONNECT_IVL, RECONNECT_MS);
	if (identity)
		BUG_ON(zmq_setsockopt(s->socket, ZMQ_ROUTING_ID, identity, strlen(identity)));
	return zmq_connect(s->socket, endpoint);
}

static void release_context(void)
{
	if (--context_users == 0) {
		zmq_ctx_term(context);
		context = NULL;
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct adapt_zmq *s = poll->data;

	(void)status;
	(void)events;
	s->look = true; /* on_turn does the rest */
}

/* One message with all its frames; false when there is none. */
static bool receive(struct adapt_zmq *s)
{
	static zmq_msg_t parts[ADAPT_ZMQ_FRAMES_MAX]; /* loop thread only */
	struct str frames[ADAPT_ZMQ_FRAMES_MAX];
	size_t count = 0, surplus = 0;
	int more = 1;

	while (more) {
		zmq_msg_t *part = &parts[count < ADAPT_ZMQ_FRAMES_MAX ? count : 0];

		if (count ==
		    ADAPT_ZMQ_FRAMES_MAX) { /* more than any message of ours has: drop it whole */
			zmq_msg_close(part);
			surplus++;
		}
		zmq_msg_init(part);
		if (zmq_msg_recv(part, s->socket, ZMQ_DONTWAIT) < 0) {
			zmq_msg_close(part);
			break;
		}
		more = zmq_msg_more(part);
		if (count < ADAPT_ZMQ_FRAMES_MAX) {
			frames[count] = str_make(zmq_msg_data(part), zmq_msg_size(part));
			count++;
		}
	}
	if (surplus)
		metrics_inc(METRIC_WIRE_BAD);
	else if (count > 0)
		s->fn(s->ctx, frames, count);
	for (size_t i = 0; i < count; i++)
		zmq_msg_close(&parts[i]);
	return count > 0;
}

/*
 * Receive until ZeroMQ says that there is nothing: from then on its descriptor wakes us, unless a send eats the edge (on_sleep_turn).
 */
static bool on_turn(void *ctx)
{
	struct adapt_zmq *s = ctx;

	if (!s->look)
		return false;
	s->receiving = true;
	for (unsigned n = 0; n < ADAPT_ZMQ_PER_TURN && s->look && !s->closed; n++)
		s->look = receive(s);
	s->receiving = false;
	if (s->closed) {
		mem_free(s);
		return false;
	}
	return s->look;
}

/* What was sent since on_turn may have eaten the edge of a message that came meanwhile. */
static bool on_sleep_turn(void *ctx)
{
	struct adapt_zmq *s = ctx;
	int events = 0;
	size_t n = sizeof(events);

	if (s->look &&
	    (zmq_getsockopt(s->socket, ZMQ_EVENTS, &events, &n) || !(events & ZMQ_POLLIN)))
		s->look = false;
	return s->look;
}

int adapt_zmq_open(struct svc *svc, enum adapt_zmq_kind kind, const char *identity,
		   const char *endpoint, adapt_zmq_message_fn fn, void *ctx,
		   struct adapt_zmq **sock)
{
	struct adapt_zmq *s = mem_need(sizeof(*s));
	size_t n = sizeof(int);
	int fd = -1;

	if (!context)
		context = zmq_ctx_new();
	BUG_ON(!context);
	context_users++;
	s->fn = fn;
	s->ctx = ctx;
	s->socket = zmq_socket(context, kind == ADAPT_ZMQ_ROUTER ? ZMQ_ROUTER : ZMQ_DEALER);
	BUG_ON(!s->socket);
	if (configure(s, kind, identity, endpoint)) {
		log_error(
			"bus",
			kind == ADAPT_ZMQ_ROUTER
				? "cannot listen: is it ipc://PATH or tcp://ADDRESS:PORT, and free?"
				: "cannot connect: is it ipc://PATH or tcp://HOST:PORT?",
			KV_Z("endpoint", endpoint), KV_Z("reason", zmq_strerror(errno)));
		zmq_close(s->socket);
		mem_free(s);
		release_context();
		return E_CONFIG;
	}
	BUG_ON(zmq_getsockopt(s->socket, ZMQ_FD, &fd, &n));
	s->poll = mem_need(sizeof(*s->poll));
	uv_poll_init(svc->loop, s->poll, fd);
	s->poll->data = s;
	s->look = true;
	uv_poll_start(s->poll, UV_READABLE, on_poll);
	s->turn = (struct svc_turn){ .fn = on_turn, .ctx = s };
	s->sleep_turn = (struct svc_turn){ .fn = on_sleep_turn, .ctx = s };
	svc_turn_add(svc, SVC_RANK_RECEIVE, &s->turn);
	svc_turn_add(svc, SVC_RANK_SLEEP, &s->sleep_turn);
	*sock = s;
	return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
	zmq_close(handle->data); /* and with it the descriptor that libuv has now let go of */
	mem_free(handle);
	release_context();
}

void adapt_zmq_close(struct adapt_zmq **sock)
{
	struct adapt_zmq *s = *sock;

	*sock = NULL;
	if (!s)
		return;
	s->closed = true;
	s->poll->data = s->socket;
	uv_close((uv_handle_t *)s->poll, on_poll_closed);
	svc_turn_remove(&s->turn);
	svc_turn_remove(&s->sleep_turn);
	if (!s->receiving)
		mem_free(s);
}

void adapt_zmq_linger(struct adapt_zmq *sock, int ms)
{
	set_int(sock->socket, ZMQ_LINGER, ms);
}

int adapt_zmq_send(struct adapt_zmq *s, const struct str *frames, size_t frame_count)
{
	int err = 0;

	s->look = true;
	for (size_t i = 0; i < frame_count; i++) {
		int flags = ZMQ_DONTWAIT | (i + 1 < frame_count ? ZMQ_SNDMORE : 0);

		if (zmq_send(s->socket, frames[i].p ? frames[i].p : "", frames[i].n, flags) >= 0)
			continue;
		if (!err)
			err = errno == EHOSTUNREACH ? E_UNREACHABLE : E_AGAIN;
		if (i ==
		    0) /* refused; else the connection ended in the middle of the message: ZeroMQ
			     * drops all of it, but must be given it to its end */
			break;
	}
	return err;
}
