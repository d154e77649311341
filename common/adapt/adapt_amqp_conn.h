/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer of adapt_amqp: one connection with one consumer. Blocking, with time limits; used by one thread.
 * Not for others: use adapt_amqp.h.
 *
 * Acknowledgements: all that are done without a gap by one frame; behind a gap that lasts (a dead letter that the broker does not take) one by one. Behind them a basic.qos is
 * sent, whose answer proves that the broker has read them.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_CONN_H
#define ROOMWIRE_ADAPT_AMQP_CONN_H

#include "common/adapt/adapt_amqp.h"
#include "common/adapt/adapt_amqp_line.h"

struct amqp_conn {
	struct adapt_amqp_spec spec;
	struct amqp_line line;
	void (*on_delivery)(void *ctx, struct amqp_delivery *d); /* d: TAKEN */
	void (*on_settled)(void *ctx, struct amqp_delivery *d);  /* d: TAKEN */
	void *ctx;
	uint64_t generation;
	struct list order;   /* struct amqp_delivery.order: not acknowledged, by tag */
	struct list acked;   /* .order: acknowledged, no proof asked for */
	struct list proving; /* .order: the answer to the basic.qos behind them proves it */
	uint64_t gap_since_ms, beaten_ms;
	size_t turn_bytes; /* of bodies, taken in this turn */
	bool barrier, cancelled;
	char consumer[64];
};

void amqp_conn_init(struct amqp_conn *c); /* line and the first five are set */
int amqp_conn_open(struct amqp_conn *c) MUST_CHECK;
void amqp_conn_close(struct amqp_conn *c); /* everything acknowledged is settled, unproved */
void amqp_conn_done(struct amqp_conn *c, struct amqp_delivery *d); /* d: TAKEN: acknowledge */
int amqp_conn_pause(struct amqp_conn *c) MUST_CHECK;
/* Send acknowledgements, wait up to wait_ms for frames or for wake_fd, and handle what came. hold: read nothing. */
int amqp_conn_turn(struct amqp_conn *c, int wake_fd, int wait_ms, bool hold) MUST_CHECK;
void amqp_delivery_free(struct amqp_delivery *d);

/* The headers and properties a message bore: they stay with its dead letter. */
struct amqp_own {
	amqp_pool_t pool;
	amqp_basic_properties_t properties;
};

#endif
