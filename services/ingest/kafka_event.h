/* SPDX-License-Identifier: Apache-2.0 */
/* What a record of Kafka says: its event's type and body, and its id. Thread: any. */
#ifndef ROOMWIRE_INGEST_KAFKA_EVENT_H
#define ROOMWIRE_INGEST_KAFKA_EVENT_H

#include "common/adapt/adapt_kafka.h"
#include "common/json/json.h"

/* type_of_topic: of all its records; NULL: the record says it. Slices are BORROWED from the record and scratch. errors: with the reason in why. */
int kafka_event_read(const struct kafka_record *r, const char *type_of_topic, uint64_t body_max,
		     struct buf *scratch, struct json_value *body, struct str *type,
		     struct buf *why) MUST_CHECK;
/* What the sender gave it, else where it is, of when, and a hash of it (made in text, at most 330 bytes): so it is shown once even if it is read twice. */
struct str kafka_event_id(const struct kafka_record *r, const char *topic, int32_t partition,
			  char *text, size_t cap);

#endif
