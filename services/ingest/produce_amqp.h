/* SPDX-License-Identifier: Apache-2.0 */
/* PRODUCE for broker "rabbitmq": a client's message into the profile's exchange, topic as routing key, id as message-id; durable, mandatory, confirmed. */
#ifndef ROOMWIRE_INGEST_PRODUCE_AMQP_H
#define ROOMWIRE_INGEST_PRODUCE_AMQP_H

#include "services/ingest/ingest.h"

/*
 * m: BORROWED during the call. fn runs once, never inside the call, with the code for PRODUCED: empty, UNROUTABLE (no queue is bound to that key), UNAVAILABLE.
 * errors, fn does not run: E_UNAVAILABLE, E_FULL, E_NOMEM: UNAVAILABLE; E_RANGE: key or id over 255 bytes, never.
 */
int produce_amqp(struct ingest *ingest, const struct wire_produce *m, amqp_published_fn fn,
		 void *ctx) MUST_CHECK;

#endif
