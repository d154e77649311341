/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to RabbitMQ, as the consumer and the publisher of adapt_amqp both need it: set up, watched, declared through. Blocking, with
 * time limits; used by one thread but for amqp_line_interrupt. Not for others: use adapt_amqp.h.
 *
 * Heartbeats both ways (HEARTBEAT_SECONDS; a peer that says nothing for twice as long is gone). librabbitmq sends and checks them in amqp_line_next and while it sends.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_LINE_H
#define ROOMWIRE_ADAPT_AMQP_LINE_H

#include <amqp.h>
#include <pthread.h>

#include "common/svc/svc.h"

#define AMQP_LINE_CHANNEL 1
#define AMQP_LINE_CHECKS 3 /* the publisher's watch */

struct amqp_line {
	char *url; /* parsed in place: `info` points into it */
	struct amqp_connection_info info;
	amqp_connection_state_t state; /* NULL: closed */
	uint64_t opened_ms;
	pthread_mutex_t lock; /* for fd */
	int fd;               /* -1: none */
	char reason[SVC_REASON_BYTES];
};

int amqp_line_init(struct amqp_line *l, const char *url) MUST_CHECK; /* E_CONFIG, logged */
void amqp_line_fini(struct amqp_line *l);
/* Connects, logs in and opens the channel. errors: E_UNAVAILABLE, the reason in l->reason (never with credentials). */
int amqp_line_open(struct amqp_line *l) MUST_CHECK;
void amqp_line_close(struct amqp_line *l);
/* From another thread: whatever blocks on the connection fails. */
void amqp_line_interrupt(struct amqp_line *l);
/* How long to wait before the next try; doubles, from 100 ms to 5 s, and begins anew after a connection that lasted. */
uint32_t amqp_line_backoff(const struct amqp_line *l, uint32_t *backoff_ms);

int amqp_line_fail(struct amqp_line *l, const char *what, const char *why); /* E_UNAVAILABLE */
int amqp_line_check(struct amqp_line *l, const char *what, amqp_rpc_reply_t reply) MUST_CHECK;
int amqp_line_checked(struct amqp_line *l, const char *what) MUST_CHECK; /* the last remote call */
int amqp_line_sent(struct amqp_line *l, const char *what, int status) MUST_CHECK;

/* What exists is taken as it is, whatever its type and arguments; type: "classic", "quorum". */
int amqp_line_exchange(struct amqp_line *l, const char *name) MUST_CHECK;
int amqp_line_queue(struct amqp_line *l, const char *name, const char *type) MUST_CHECK;
/* The arguments of such a queue; row: BORROWED for as long as they are used. */
amqp_table_t amqp_line_queue_type(const char *type, amqp_table_entry_t *row);

/* Waits up to wait_ms for bytes or for wake_fd (whose counter is taken). */
void amqp_line_wait(struct amqp_line *l, int wake_fd, int wait_ms);
/* The next frame of a method that has arrived; E_AGAIN: none. A heartbeat is sent where one is due. Frees what the one before pointed to.
 * That the broker closed a channel fails the connection, but for AMQP_LINE_CHECKS. */
int amqp_line_next(struct amqp_line *l, amqp_method_t *method) MUST_CHECK;
int amqp_line_heartbeat(struct amqp_line *l) MUST_CHECK; /* where nothing is read on purpose */
void amqp_line_sleep(int wake_fd, uint32_t ms);          /* or until woken */

#endif
