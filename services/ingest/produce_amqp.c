/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/produce_amqp.h"

int produce_amqp(struct ingest *ingest, const struct wire_produce *m, amqp_published_fn fn,
		 void *ctx)
{
	if (!ingest->amqp)
		return E_UNAVAILABLE;
	return adapt_amqp_publish(ingest->amqp, str_of(ingest->profile->ingest.amqp_exchange),
				  m->topic, m->id, m->value, fn, ctx);
}
