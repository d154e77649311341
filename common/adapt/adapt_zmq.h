/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ZeroMQ sockets on the libuv loop.
 *
 * thread     loop thread (ZeroMQ's own I/O thread moves the bytes). blocking: never, every send and receive is DONTWAIT.
 * ownership  frames handed to the handler are BORROWED until it returns; frames sent are COPIED.
 * ordering   per peer, as sent. What a dead peer had not read is lost: links count (common/bus/bus_link.h).
 *
 * ZMQ_FD is edge-triggered and any send or receive may eat the edge: it only wakes the loop. Messages are taken once per turn
 * (SVC_RANK_RECEIVE), at most ADAPT_ZMQ_PER_TURN; where something was sent after that, the socket is asked once more before the loop sleeps
 * (SVC_RANK_SLEEP).
 */
#ifndef ROOMWIRE_ADAPT_ZMQ_H
#define ROOMWIRE_ADAPT_ZMQ_H

#include "common/svc/svc.h"

#define ADAPT_ZMQ_FRAMES_MAX 260
#define ADAPT_ZMQ_PER_TURN 1000

struct adapt_zmq;

enum adapt_zmq_kind {
	/* Connects; queues only for a peer that is there (ZMQ_IMMEDIATE), and shows it each new connection (ZMQ_PROBE_ROUTER). */
	ADAPT_ZMQ_DEALER = 0,
	ADAPT_ZMQ_ROUTER, /* binds; frame 0 is the peer's identity, both ways (ZMQ_ROUTER_MANDATORY, ZMQ_ROUTER_HANDOVER) */
};

/* One whole message. */
typedef void (*adapt_zmq_message_fn)(void *ctx, const struct str *frames, size_t frame_count);

/* identity: of a DEALER, unique per process life; NULL: ZeroMQ makes one up. E_CONFIG: the endpoint is not usable (logged). */
int adapt_zmq_open(struct svc *svc, enum adapt_zmq_kind kind, const char *identity,
		   const char *endpoint, adapt_zmq_message_fn fn, void *ctx,
		   struct adapt_zmq **sock) MUST_CHECK;
void adapt_zmq_close(struct adapt_zmq **sock); /* harmless inside the socket's own handler */
/* What was sent to a peer that is there goes out for so long after adapt_zmq_close; the last socket of a process may block for it. 0 at first. */
void adapt_zmq_linger(struct adapt_zmq *sock, int ms);
/* 0; E_AGAIN: no room (high-water mark) or, DEALER, no peer; E_UNREACHABLE: ROUTER, that peer is not connected. */
int adapt_zmq_send(struct adapt_zmq *sock, const struct str *frames, size_t frame_count) MUST_CHECK;

/* ROUTER: the peer has connected, for the first time or again. What was sent over its last connection may be lost. */
static inline bool adapt_zmq_is_probe(const struct str *frames, size_t frame_count)
{
	return frame_count == 2 && frames[1].n == 0;
}

/* High-water mark, in messages, of each direction of sockets opened from now on. For tests; 0 returns to the default. */
void adapt_zmq_set_high_water(int messages);

#endif
