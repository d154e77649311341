/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of links and questions: between a connecting and a binding socket, passes on whole messages, through faults on purpose
 * (bus_fault.h).
 */
#ifndef ROOMWIRE_BUS_BUS_LOSSY_TEST_H
#define ROOMWIRE_BUS_BUS_LOSSY_TEST_H

#include "common/bus/bus_ends_test.h"
#include "common/bus/bus_fault.h"

struct lossy {
	struct end end;
	struct svc *svc;
	const char *target;
	struct adapt_zmq *front, *back; /* back: from the first message on */
	char peer[128];
	size_t peer_bytes;
	struct bus_fault *fault;
};

static inline int lossy_send(void *to, const struct str *frames, size_t frame_count)
{
	return adapt_zmq_send(*(struct adapt_zmq **)to, frames, frame_count);
}

static inline void lossy_pass(struct lossy *l, struct adapt_zmq **to, const struct str *frames,
			      size_t frame_count)
{
	int err = bus_fault_pass(l->fault, l->svc, (void *)to, frames, frame_count);

	(void)err; /* then it is lost, which is what we are here for */
}

static inline void lossy_on_back(void *ctx, const struct str *frames, size_t frame_count)
{
	struct lossy *l = ctx;
	struct str all[16] = { str_make(l->peer, l->peer_bytes) };

	assert_true(frame_count < COUNT_OF(all));
	memcpy(all + 1, frames, frame_count * sizeof(*frames));
	lossy_pass(l, &l->front, all, frame_count + 1);
}

static inline void lossy_on_front(void *ctx, const struct str *frames, size_t frame_count)
{
	struct lossy *l = ctx;

	memcpy(l->peer, frames[0].p, frames[0].n);
	l->peer_bytes = frames[0].n;
	if (!l->back)
		assert_int_equal(adapt_zmq_open(l->svc, ADAPT_ZMQ_DEALER, NULL, l->target,
						lossy_on_back, l, &l->back),
				 0);
	if (!adapt_zmq_is_probe(frames, frame_count)) /* ours has its own */
		lossy_pass(l, &l->back, frames + 1, frame_count - 1);
}

static inline void lossy_open(struct lossy *l, struct world *w, const char *spec)
{
	struct bus_fault_rates rates;
	const char *why;

	memset(l, 0, sizeof(*l));
	assert_int_equal(bus_fault_read(str_of(spec), &rates, &why), 0);
	l->fault = bus_fault_new(&rates, lossy_send);
	l->target = w->second;
	l->svc = end_open(&l->end, w, "lossy", "lossy");
	assert_int_equal(adapt_zmq_open(l->svc, ADAPT_ZMQ_ROUTER, NULL, w->endpoint, lossy_on_front,
					l, &l->front),
			 0);
}

static inline void lossy_close(struct lossy *l)
{
	bus_fault_forget(l->fault, (void *)&l->front);
	bus_fault_forget(l->fault, (void *)&l->back);
	adapt_zmq_close(&l->front);
	adapt_zmq_close(&l->back);
	bus_fault_free(&l->fault);
	end_close(&l->end);
}

#endif
