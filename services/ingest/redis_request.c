/* SPDX-License-Identifier: Apache-2.0 */
/* What Node servers and emitters ask of all servers, Roomwire among them; and what it answers, so that they do not wait for it in vain. */
#include "common/metrics/metrics.h"
#include "services/ingest/source_redis.h"

/* Members of the rooms join, leave, or are disconnected. */
static int act(struct source_redis *s, struct str nsp, const struct sioredis_request *r)
{
	struct sioredis_event e = { .uid = r->uid.n ? r->uid : STR("emitter"),
				    .nsp = nsp,
				    .rooms = r->rooms,
				    .except = r->except };
	struct redis_wish wish = { .verb = r->kind == SIOREDIS_JOIN    ? VERB_JOIN
					   : r->kind == SIOREDIS_LEAVE ? VERB_LEAVE
					   : r->close                  ? VERB_CLOSE
								       : VERB_DISCONNECT };

	if (r->kind != SIOREDIS_DISCONNECT)
		wish.targets = &r->targets;
	return source_redis_publish(s, &e, &wish);
}

static int carry_out(struct source_redis *s, struct str nsp, struct sioredis_request *r)
{
	switch (r->kind) {
	case SIOREDIS_SOCKETS:
	case SIOREDIS_ALL_ROOMS:
	case SIOREDIS_FETCH:
		if (r->id.n)
			redis_fetch(s, nsp, r);
		return 0;
	case SIOREDIS_JOIN:
	case SIOREDIS_LEAVE:
	case SIOREDIS_DISCONNECT:
		return act(s, nsp, r);
	case SIOREDIS_SERVER_SIDE_EMIT:
		if (r->id.n) { /* every server but the asker is waited for */
			buf_reset(&s->out);
			sioredis_encode_no_answer(r->id, &s->out);
			source_redis_answer(s, nsp);
		}
		return 0;
	case SIOREDIS_BROADCAST:
		return redis_acks_broadcast(s, nsp, r);
	default:
		metrics_inc(METRIC_SIOREDIS_IGNORED);
		return 0;
	}
}

int redis_request_on_message(struct source_redis *s, struct str nsp, struct str payload)
{
	struct sioredis_request r;
	int err;

	if (sioredis_decode_request(s->decoder, payload, &r)) {
		metrics_inc(METRIC_SIOREDIS_IGNORED);
		return 0;
	}
	if (str_eq(r.uid, s->uid))
		return 0;
	err = carry_out(s, nsp, &r);
	if (!err)
		metrics_inc(METRIC_SIOREDIS_REQUESTS);
	return err;
}
