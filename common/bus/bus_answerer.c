/* SPDX-License-Identifier: Apache-2.0 */
/* The answering side of questions. */
#include "common/adapt/adapt_zmq.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus_rpc.h"
#include "common/bus/bus_wire.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define WAIT_MOST_MS 600000u /* of an asker's deadline: more is not believed */

struct bus_answerer {
	struct adapt_zmq *sock;
	bus_question_fn fn;
	void *ctx;
};

static void send_body(struct bus_answerer *a, struct str peer, uint64_t first, uint64_t second,
		      enum wire_id id, const void *message)
{
	struct blob *body = wire_pack(id, message);
	char envelope[BUS_ENVELOPE_BYTES];
	struct str frames[3] = { peer, bus_envelope(envelope, first, second),
				 body ? blob_str(body) : STR_NONE };

	if (!body)
		log_error("bus", "an answer does not fit its message",
			  KV_Z("message", wire_name(id)));
	else if (adapt_zmq_send(a->sock, frames, 3))
		log_debug("bus", "the asker is gone");
	blob_unref(&body);
}

static void on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct bus_answerer *a = ctx;
	struct bus_question q = { 0 };
	static const struct wire_pong pong;
	static const struct wire_resync resync;
	union wire_any any;
	enum wire_id id;
	uint64_t left;
	int err;

	if (adapt_zmq_is_probe(frames, frame_count)) {
		/* At once: it learns that we are there, and that what it asked before may be lost. */
		send_body(a, frames[0], 0, bus_epoch(), WIRE_RESYNC, &resync);
		return;
	}
	if (frame_count != 3 || frames[0].n > sizeof(q.peer) ||
	    bus_envelope_read(frames[1], &q.request, &left)) {
		metrics_inc(METRIC_WIRE_BAD);
		return;
	}
	err = wire_unpack(frames[2], &id, &any);
	if (err) {
		metrics_inc(err == E_UNKNOWN ? METRIC_WIRE_UNKNOWN : METRIC_WIRE_BAD);
		return;
	}
	if (id == WIRE_PING) {
		send_body(a, frames[0], 0, bus_epoch(), WIRE_PONG, &pong);
		return;
	}
	memcpy(q.peer, frames[0].p, frames[0].n);
	q.peer_bytes = (uint8_t)frames[0].n;
	q.due_ms = clock_ms() + (left < WAIT_MOST_MS ? left : WAIT_MOST_MS);
	a->fn(a->ctx, &q, id, &any);
}

int bus_answerer_open(struct svc *svc, const char *endpoint, bus_question_fn fn, void *ctx,
		      struct bus_answerer **a)
{
	struct bus_answerer *answerer = mem_need(sizeof(*answerer));
	int err;

	answerer->fn = fn;
	answerer->ctx = ctx;
	err = adapt_zmq_open(svc, ADAPT_ZMQ_ROUTER, NULL, endpoint, on_frames, answerer,
			     &answerer->sock);
	if (err)
		mem_free(answerer);
	else
		*a = answerer;
	return err;
}

void bus_answerer_close(struct bus_answerer **a)
{
	if (!*a)
		return;
	adapt_zmq_close(&(*a)->sock);
	mem_free(*a);
	*a = NULL;
}

void bus_answerer_reply(struct bus_answerer *a, const struct bus_question *q, enum wire_id id,
			const void *message)
{
	send_body(a, str_make(q->peer, q->peer_bytes), q->request, 0, id, message);
}
