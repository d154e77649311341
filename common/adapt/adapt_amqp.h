/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RabbitMQ (AMQP 0-9-1) by librabbitmq, which has no asynchronous interface: one connection on a thread of its own, handed over through one queue
 * each way.
 *
 * thread     calls and callbacks on the loop thread; the connection on its own. blocking: never for the loop.
 * ownership  a delivery is BORROWED until adapt_amqp_ack or adapt_amqp_dead was called for it.
 * ordering   deliveries come in the order of the queue. After a loss of the connection everything not acknowledged comes again.
 *
 * Declares what it needs: the topic exchange and the queue, both durable, one binding per key, and `<queue>.dead`. A queue that exists is taken as it
 * is (classic or quorum). Connects again with back-off and jitter (100 ms to 5 s). Prefetch bounds what is under way. Dead letters
 * are published with confirms: the original is acknowledged when the broker has the dead letter.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_H
#define ROOMWIRE_ADAPT_AMQP_H

#include "common/svc/svc.h"

struct adapt_amqp;

struct amqp_delivery {
	struct list node; /* the receiver's, until it is acknowledged */
	struct str key;   /* routing key */
	struct str body;
	struct str id; /* message-id; empty: none */
	uint64_t tag;
	uint64_t generation; /* of the connection it came by */
	bool redelivered;
	struct blob *held; /* all the bytes */
	void *headers;     /* the adapter's: the message's own headers; NULL: none */
};

struct adapt_amqp_spec {
	struct svc *svc;
	const char *url; /* amqp://user:password@host:port/vhost */
	const char *exchange, *queue;
	const char *const *keys; /* to bind; ends with NULL; BORROWED for the life of the adapter */
	uint16_t prefetch;
	void (*on_delivery)(void *ctx, struct amqp_delivery *d);
	void *ctx;
};

int adapt_amqp_open(const struct adapt_amqp_spec *spec, struct adapt_amqp **amqp)
	MUST_CHECK; /* E_CONFIG: the URL does not parse (logged) */
/* Ends the thread (waits for it, at most a second or two) and frees everything; deliveries that were not acknowledged come again elsewhere. */
void adapt_amqp_close(struct adapt_amqp **amqp);
/* Stop taking more from the queue (drain). What is under way can still be acknowledged. */
void adapt_amqp_pause(struct adapt_amqp *amqp);

void adapt_amqp_ack(struct adapt_amqp *amqp, struct amqp_delivery *d); /* d: TAKEN */
void adapt_amqp_dead(struct adapt_amqp *amqp, struct amqp_delivery *d,
		     struct str reason); /* d: TAKEN; reason: COPIED */
void adapt_amqp_drop(
	struct amqp_delivery *d); /* d: TAKEN; neither: it comes again by a later connection */
bool adapt_amqp_up(struct adapt_amqp *amqp, char reason[SVC_REASON_BYTES]);

#endif
