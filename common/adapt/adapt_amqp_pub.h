/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher of adapt_amqp: a connection with confirms on a thread of its own. Not for others: use adapt_amqp.h.
 *
 * A message is answered once: confirmed, returned (UNROUTABLE), or UNAVAILABLE (refused by the broker, connection lost, broker blocked). A dead letter is tried until it is
 * confirmed: refused or returned, after RETRY_FIRST_MS, doubling to RETRY_MOST_MS, while others go on; its queue is declared again where it is gone.
 *
 * Its connection also looks after what was declared: adapt_amqp_watch.h.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_PUB_H
#define ROOMWIRE_ADAPT_AMQP_PUB_H

#include "common/adapt/adapt_amqp_conn.h"
#include "common/adapt/adapt_amqp_watch.h"

struct amqp_pub;

struct amqp_message {
	struct list node;
	struct str exchange, key, id, body; /* in `bytes`, or the delivery's */
	struct amqp_delivery *dead;         /* BORROWED; NULL: a message */
	char *reason;                       /* of a dead letter; OWNED */
	amqp_published_fn fn;
	void *ctx;
	const char *code; /* the answer; static */
	uint64_t number;  /* of the publish on this connection */
	uint64_t due_ms;  /* not before */
	uint32_t wait_ms; /* after the next failure */
	bool returned;
	char bytes[];
};

struct amqp_pub_state {
	bool up, blocked;
	size_t dead_waiting; /* dead letters not confirmed */
	char reason[SVC_REASON_BYTES];
	char amiss[SVC_REASON_BYTES]; /* what was declared is not so any more; empty: it is */
};

/* changed: on the thread: there are answers, or another state. spec: COPIED, its strings BORROWED. */
int amqp_pub_open(const struct adapt_amqp_spec *spec, void (*changed)(void *ctx), void *ctx,
		  struct amqp_pub **pub) MUST_CHECK;
void amqp_pub_stop(struct amqp_pub *pub); /* ends the thread; everything is answered then */
void amqp_pub_free(struct amqp_pub **pub);
void amqp_pub_send(struct amqp_pub *pub, struct amqp_message *m); /* m: TAKEN */
/* What is answered; OWNED by the caller. NULL: none. */
struct amqp_message *amqp_pub_answered(struct amqp_pub *pub);
void amqp_pub_look(struct amqp_pub *pub, struct amqp_pub_state *state);

#endif
