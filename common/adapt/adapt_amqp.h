/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RabbitMQ (AMQP 0-9-1) by librabbitmq, which has no asynchronous interface: two connections, each on a thread of its own, handed over through
 * queues. One consumes; the other publishes (messages and dead letters) with confirms: a broker that is short of memory or disk stops reading from
 * connections that publish, and acknowledgements must not wait for that.
 *
 * thread     calls and callbacks on the loop thread; the connections on their own. No callback runs inside a call.
 * ownership  a delivery is the receiver's until adapt_amqp_ack or adapt_amqp_dead was called for it.
 * ordering   deliveries come in the order of the queue. After a loss of the connection everything that was not acknowledged comes again, marked redelivered.
 * bounds     deliveries: prefetch, and HELD_BYTES (64 MB) of bodies: past it nothing is read. Messages: AMQP_WINDOW and AMQP_WINDOW_BYTES.
 *
 * Declares what it needs: the topic exchange and the queue, both durable, one binding per key, and `<queue>.dead`. What exists is taken as it is
 * (whatever its type and arguments). Connects again with back-off and jitter (100 ms to 5 s) and declares anew, also when the queue was deleted.
 * Exchange, bindings and dead letters are looked after every 5 s (adapt_amqp_watch.h) and declared again where they are gone.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_H
#define ROOMWIRE_ADAPT_AMQP_H

#include "common/svc/svc.h"

#define AMQP_WINDOW 10000
#define AMQP_WINDOW_BYTES (64u << 20)

struct adapt_amqp;

struct amqp_delivery {
	struct list node; /* the receiver's, until it is acknowledged */
	void *user;       /* the receiver's */
	struct str key;   /* routing key */
	struct str body;
	struct str id;  /* message-id; empty: none */
	uint64_t stamp; /* the message's own timestamp; 0: none */
	uint64_t tag;
	uint64_t generation; /* of the connection it came by; grows */
	bool redelivered;
	struct blob *held; /* all the bytes */
	void *headers;     /* the adapter's: the message's own headers; NULL: none */

	struct list order; /* the adapter's thread: those not acknowledged, by tag */
	bool done, proved;
};

/* code: empty: the broker has it; UNROUTABLE: no queue takes it; UNAVAILABLE: not now, or nobody knows whether. */
typedef void (*amqp_published_fn)(void *ctx, struct str code);

struct adapt_amqp_spec {
	struct svc *svc;
	const char *url; /* amqp://user:password@host:port/vhost */
	const char *exchange, *queue;
	const char *queue_type;  /* where it is not there: classic or quorum; NULL: classic */
	const char *const *keys; /* to bind; ends with NULL; BORROWED for the life of the adapter */
	uint16_t prefetch;
	void (*on_delivery)(void *ctx, struct amqp_delivery *d);
	/*
	 * After adapt_amqp_ack: proved: the broker has read the acknowledgement; else the connection was lost first, and it may come again. d is freed
	 * after this returns. Runs before deliveries of a later connection. May be NULL.
	 */
	void (*on_settled)(void *ctx, struct amqp_delivery *d);
	/* After adapt_amqp_dead: the broker has the dead letter. d is the receiver's again, who acknowledges it. */
	void (*on_buried)(void *ctx, struct amqp_delivery *d);
	void *ctx;
};

int adapt_amqp_open(const struct adapt_amqp_spec *spec, struct adapt_amqp **amqp)
	MUST_CHECK; /* E_CONFIG: the URL does not parse (logged) */
/* Sends the last acknowledgements, ends the threads (a second or two) and frees everything; what was not acknowledged comes again elsewhere. Callbacks of messages run with
 * UNAVAILABLE. */
void adapt_amqp_close(struct adapt_amqp **amqp);
/* Stop taking more from the queue (drain). What is under way can still be acknowledged. */
void adapt_amqp_pause(struct adapt_amqp *amqp);

void adapt_amqp_ack(struct adapt_amqp *amqp, struct amqp_delivery *d); /* d: TAKEN */
/* d: BORROWED until on_buried, which waits for as long as it takes; reason: COPIED. Tried again every 1 to 30 s while the broker refuses it. */
void adapt_amqp_dead(struct adapt_amqp *amqp, struct amqp_delivery *d, struct str reason);
/* d: TAKEN, not acknowledged: after adapt_amqp_close (amqp: NULL), or when it came by a connection before that of a later delivery. */
void adapt_amqp_drop(struct adapt_amqp *amqp, struct amqp_delivery *d);
/*
 * Publish, durable and mandatory; all COPIED; id may be empty. exchange "": straight to the queue named by key. fn runs once, also at close. A message whose fate is unknown because the
 * connection was lost is answered UNAVAILABLE and never sent again by the adapter: the caller may, and then it may be there twice, with the same message-id.
 * errors: E_FULL, E_NOMEM, E_RANGE (key or exchange over 255 bytes): fn does not run.
 */
int adapt_amqp_publish(struct adapt_amqp *amqp, struct str exchange, struct str key, struct str id,
		       struct str body, amqp_published_fn fn, void *ctx) MUST_CHECK;
/* Connected, and what was declared is still so. false says why; deliveries and messages may flow all the same. */
bool adapt_amqp_up(struct adapt_amqp *amqp, char reason[SVC_REASON_BYTES]);

#endif
