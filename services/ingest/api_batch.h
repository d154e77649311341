/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several messages in one POST /v1/publish: `messages`, at most API_BATCH_MAX. All of them are checked before the first one is sent, so that a body with a
 * mistake publishes nothing; they are sent in their order, and answered together: what became of each is told unless all were accepted.
 */
#ifndef ROOMWIRE_INGEST_API_BATCH_H
#define ROOMWIRE_INGEST_API_BATCH_H

#include "services/ingest/ingest.h"

/* Answers the exchange, now or later. messages is BORROWED from the request. */
void batch_publish(struct ingest *ingest, struct http_exchange *x, struct json_value messages);

#endif
