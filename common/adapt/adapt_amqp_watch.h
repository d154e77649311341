/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks after what adapt_amqp has declared: RabbitMQ says that a queue is gone, but not that an exchange is, nor that somebody made it again, which
 * costs the queue its bindings. Every CHECK_MS all of it is asked for, in one burst on a channel of its own (one round trip; nothing waits for the
 * answers): is the exchange there, is it of our kind, are the dead letters there; and every key is bound, which changes nothing where it is bound. What is
 * missing is declared again. Used by the publisher's thread, whose connection is read at all times; deliveries are not held up by it.
 * Not for others: use adapt_amqp.h.
 *
 * Kind: an exchange that is of another kind (type, flags, arguments) at first, or that we may not ask about, is used as it is. One that becomes so later is
 * told (`reason`), and bound to all the same; its kind is asked for again after 5 to 30 s.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_WATCH_H
#define ROOMWIRE_ADAPT_AMQP_WATCH_H

#include "common/adapt/adapt_amqp.h"
#include "common/adapt/adapt_amqp_line.h"

enum amqp_kind { AMQP_KIND_UNKNOWN, AMQP_KIND_OURS, AMQP_KIND_FOREIGN };

struct amqp_watch {
	const struct adapt_amqp_spec *spec;
	struct amqp_line *line;
	const char *dead_queue;
	enum amqp_kind kind; /* also across connections */
	bool differs;        /* it was of our kind, and is not */
	uint64_t due_ms, kind_due_ms;
	uint32_t kind_wait_ms;
	/* the check under way */
	int step;
	uint32_t unbound; /* keys whose answer has not come */
	bool is_open, asks_kind, makes_exchange, makes_dead;
	char reason[SVC_REASON_BYTES]; /* what is amiss; empty: nothing */
};

/* All BORROWED for the life of w. */
void amqp_watch_init(struct amqp_watch *w, const struct adapt_amqp_spec *spec,
		     struct amqp_line *line, const char *dead_queue);
void amqp_watch_begin(struct amqp_watch *w);          /* the line is another connection */
int amqp_watch_turn(struct amqp_watch *w) MUST_CHECK; /* asks, where it is time */
int amqp_watch_on(struct amqp_watch *w, const amqp_method_t *method) MUST_CHECK; /* any method */

#endif
