/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcasts of Node servers whose clients are to acknowledge them. The server waits for one CLIENT_COUNT of each server, Roomwire being one, and then
 * for so many ACKs. Where a count cannot be trusted (a router or an edge has died in between) none is sent: the server's time runs out, and
 * it says so to its caller.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "services/ingest/source_redis.h"

#define ASKING_MAX 10000u
#define TIMEOUT_MS 10000u /* where the server has not said it */
#define TIMEOUT_MAX_MS 3600000u

struct asking {
	struct source_redis *s;
	struct wheel_timer timer;
	uint64_t number; /* PUBLISH.ack */
	struct str nsp;  /* the profile's */
	uint32_t rooms;  /* of the event, that no router has spoken for */
	uint64_t clients, answered;
	size_t id_bytes;
	char id[]; /* the request's, JSON text */
};

struct str redis_acks_key_of(const void *asking)
{
	return str_make((const char *)&((const struct asking *)asking)->number, sizeof(uint64_t));
}

static void show(const struct source_redis *s)
{
	metrics_set(METRIC_ACKS_AWAITED, map_count(&s->asking));
}

static void drop(struct asking *a)
{
	struct source_redis *s = a->s;

	svc_cancel(s->ingest->svc, &a->timer);
	map_del(&s->asking, redis_acks_key_of(a));
	mem_free(a);
	show(s);
}

static void on_timer(struct wheel_timer *timer)
{
	metrics_inc(METRIC_ACKS_GIVEN_UP);
	drop(CONTAINER_OF(timer, struct asking, timer));
}

/* NULL: too many, or no memory. The broadcast goes out all the same, and its sender waits in vain. */
static struct asking *begin(struct source_redis *s, struct str nsp,
			    const struct sioredis_request *r)
{
	struct asking *a = map_count(&s->asking) < ASKING_MAX ? mem_try(sizeof(*a) + r->id.n)
							      : NULL;

	if (!a)
		return NULL;
	a->s = s;
	a->number = s->last_ack;
	a->nsp = nsp;
	a->id_bytes = r->id.n;
	memcpy(a->id, r->id.p, r->id.n);
	wheel_timer_init(&a->timer, on_timer);
	if (map_put(&s->asking, a)) {
		mem_free(a);
		return NULL;
	}
	show(s);
	return a;
}

static void send_count(const struct asking *a)
{
	struct source_redis *s = a->s;

	buf_reset(&s->out);
	sioredis_encode_client_count(str_make(a->id, a->id_bytes), a->clients, &s->out);
	source_redis_answer(s, a->nsp);
}

int redis_acks_broadcast(struct source_redis *s, struct str nsp, struct sioredis_request *r)
{
	struct redis_wish wish = { .ack = ++s->last_ack };
	struct asking *a;
	int err;

	if (!str_eq(r->event.nsp, nsp) || r->id.n == 0) {
		metrics_inc(METRIC_SIOREDIS_IGNORED);
		return 0;
	}
	wish.ack_ms = r->timeout_ms == 0               ? TIMEOUT_MS
		      : r->timeout_ms > TIMEOUT_MAX_MS ? TIMEOUT_MAX_MS
						       : r->timeout_ms;
	r->event.uid = r->uid;
	err = source_redis_publish(s, &r->event, &wish);
	if (err)
		return err;
	a = begin(s, nsp, r); /* what routers answer comes later */
	if (!a) {
		metrics_inc(METRIC_ACKS_GIVEN_UP);
		return 0;
	}
	a->rooms = wish.rooms;
	svc_arm(s->ingest->svc, &a->timer, clock_ms() + wish.ack_ms);
	if (a->rooms == 0) {
		send_count(a);
		drop(a);
	}
	return 0;
}

static struct asking *find(const struct ingest *ingest, uint64_t number)
{
	return ingest->redis ? map_get(&ingest->redis->asking,
				       str_make((const char *)&number, sizeof(number)))
			     : NULL;
}

static void drop_when_done(struct asking *a)
{
	if (a->rooms == 0 && a->answered >= a->clients)
		drop(a);
}

void redis_acks_on_asked(struct ingest *ingest, const struct wire_asked *m)
{
	struct asking *a = find(ingest, m->ack);

	if (!a || a->rooms == 0)
		return;
	a->clients += m->clients;
	a->rooms -= m->rooms < a->rooms ? (uint32_t)m->rooms : a->rooms;
	if (a->rooms == 0)
		send_count(a);
	drop_when_done(a);
}

void redis_acks_on_ack(struct ingest *ingest, const struct bus_message *m)
{
	struct asking *a = find(ingest, m->any.ack.ack);
	struct source_redis *s;

	if (!a || m->payload_count == 0)
		return; /* too late */
	s = a->s;
	buf_reset(&s->out);
	if (sioredis_encode_ack(str_make(a->id, a->id_bytes), m->payload[0], m->payload + 1,
				m->payload_count - 1, &s->scratch, &s->out)) {
		buf_reset(&s->out);
		metrics_inc(METRIC_SIOREDIS_LOST_OUT);
	} else {
		source_redis_answer(s, a->nsp);
	}
	a->answered++;
	drop_when_done(a);
}

void redis_acks_close(struct source_redis *s)
{
	MAP_EACH(&s->asking, struct asking, a) {
		svc_cancel(s->ingest->svc, &a->timer);
		mem_free(a);
	}
	map_fini(&s->asking);
}
