/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/kafka_event.h"

#include <stdio.h>

#include "common/base/hash.h"

int kafka_event_read(const struct kafka_record *r, const char *type_of_topic, uint64_t body_max,
		     struct buf *scratch, struct json_value *body, struct str *type,
		     struct buf *why)
{
	struct json_value v;
	int err;

	if (r->is_null) {
		buf_addz(why, "the record has no value");
		return E_TYPE;
	}
	if (r->value.n > body_max) {
		buf_addf(why, "the record has %zu bytes, allowed: %llu", r->value.n,
			 (unsigned long long)body_max);
		return E_TOOBIG;
	}
	err = json_parse(r->value, body);
	if (err) {
		buf_addf(why, "the body is not JSON: %s", err_text(err));
		return err;
	}
	if (body->type != JSON_OBJECT) {
		buf_addz(why, "the body is not a JSON object");
		return E_TYPE;
	}
	*type = str_of(type_of_topic);
	if (type_of_topic)
		return 0;
	if (json_get(*body, STR("type"), &v) || json_text(v, scratch, type)) {
		buf_addz(why, "the record has no text `type`");
		return E_TYPE;
	}
	return 0;
}

/* Time and content tell records of a topic that was made anew from those of the one before: senders may give all of them one time. */
struct str kafka_event_id(const struct kafka_record *r, const char *topic, int32_t partition,
			  char *text, size_t cap)
{
	int n;

	if (r->id.n)
		return r->id;
	n = snprintf(text, cap, "kafka:%s/%d/%lld/%lld/%016llx", topic, (int)partition,
		     (long long)r->offset, (long long)r->timestamp_ms,
		     (unsigned long long)hash_stable64(r->value));
	return str_make(text, n < 0 || (size_t)n >= cap ? 0 : (size_t)n);
}
