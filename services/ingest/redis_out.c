/* SPDX-License-Identifier: Apache-2.0 */
/* What Roomwire accepted, from whomever, goes on to the clients of Node servers. */
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/source_redis.h"

/* false: every socket of the namespace is meant. */
static bool take_names(const struct wire_list *list, struct str *items,
		       struct sioredis_names *names)
{
	struct wire_list_walk w;
	struct str name;

	names->items = items;
	names->count = 0;
	wire_list_walk(list, &w);
	while (wire_list_next(&w, &name) && names->count < SIOREDIS_NAMES_MAX) {
		if (str_eq(name, STR(ROOM_ALL)))
			return false;
		items[names->count++] = name;
	}
	return true;
}

static int encode_event(struct source_redis *s, const struct wire_deliver *d,
			const struct sioredis_names *rooms, const struct sioredis_names *except,
			const struct str *payload, uint32_t payload_count)
{
	struct sioredis_event e = {
		.uid = s->uid,
		.nsp = d->nsp,
		.event = d->event,
		.args = payload[0],
		.bins = payload + 1,
		.bin_count = payload_count - 1,
		.rooms = *rooms,
		.except = *except,
		.is_volatile = d->is_volatile,
	};

	sioredis_add_channel(&s->channel, s->key, d->nsp,
			     rooms->count == 1 ? rooms->items[0] : STR_NONE);
	return sioredis_encode_event(&e, &s->scratch, &s->out);
}

static void encode_verb(struct source_redis *s, const struct wire_deliver *d,
			const struct sioredis_names *rooms, const struct sioredis_names *except)
{
	struct str targets[SIOREDIS_NAMES_MAX];
	struct sioredis_request r = {
		.kind = d->verb == VERB_JOIN    ? SIOREDIS_JOIN
			: d->verb == VERB_LEAVE ? SIOREDIS_LEAVE
						: SIOREDIS_DISCONNECT,
		.close = d->verb == VERB_CLOSE,
		.uid = s->uid,
		.rooms = *rooms,
		.except = *except,
	};

	(void)take_names(&d->targets, targets, &r.targets);
	sioredis_add_request_channel(&s->channel, s->key, d->nsp);
	sioredis_encode_verb(&r, &s->out);
}

void redis_out_send(struct source_redis *s, const struct wire_deliver *d, const struct str *payload,
		    uint32_t payload_count)
{
	struct sioredis_names rooms, except;
	int err = 0;

	/* Node servers do not know users: better nobody than everybody. */
	if (d->user_id.n || d->verb > VERB_CLOSE)
		return;
	if (!take_names(&d->except, s->names[1], &except))
		return;
	if (!take_names(d->all.count ? &d->all : &d->rooms, s->names[0], &rooms))
		rooms.count = 0;
	buf_reset(&s->channel);
	buf_reset(&s->out);
	if (d->verb)
		encode_verb(s, d, &rooms, &except);
	else
		err = encode_event(s, d, &rooms, &except, payload, payload_count);
	if (!err) {
		source_redis_send(s);
		return;
	}
	metrics_inc(METRIC_SIOREDIS_LOST_OUT);
	log_warn("redis", "an event cannot be written as Node servers read it",
		 KV_STR("event", d->event), KV_ERR(err));
	buf_reset(&s->channel);
	buf_reset(&s->out);
}
