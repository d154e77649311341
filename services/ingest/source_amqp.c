/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events from RabbitMQ: acknowledged when the router has them; what cannot be mapped goes to the dead letters, with the reason.
 *
 * A passage is remembered from the delivery until the broker is known to have read the acknowledgement. When the connection is lost in between, the
 * broker delivers again (marked so) what this process may already have passed on: such a delivery continues its passage instead of beginning
 * another, so that an event without a message-id is not shown twice. What is the same in key, id, timestamp and body is the same here: equal messages
 * can stand in for each other. An accepted one that does not come again is forgotten KEEP_MS after the connection is back.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/ingest.h"

#define AMQP_LANE 1 /* one queue: in the order it gives */
#define KEEP_MS 60000u
#define KEEP_FACTOR 4 /* times the prefetch: how many are remembered at most */

enum state { WAITING, PASSING, BURYING, ACCEPTED, LOST };

struct passage {
	struct list node; /* ingest->passages, in the order of delivery */
	struct list wait; /* ingest->waiting */
	struct ingest *ingest;
	struct amqp_delivery *delivery; /* NULL: LOST */
	struct amqp_delivery *again;    /* BURYING: it came again meanwhile */
	uint64_t hash[2], generation;
	enum state state;
};

static void count(struct ingest *ingest, int change)
{
	ingest->amqp_under_way += (size_t)change;
	metrics_set(METRIC_INGEST_PENDING, ingest->amqp_under_way + ingest->calls_under_way);
}

static void forget(struct passage *p)
{
	list_remove(&p->node);
	list_remove(&p->wait);
	p->ingest->passage_count--;
	mem_free(p);
}

static void acknowledge(struct passage *p, struct amqp_delivery *d)
{
	p->state = ACCEPTED;
	p->delivery = d;
	d->user = p;
	adapt_amqp_ack(p->ingest->amqp, d);
}

static void on_settled(void *ctx, struct amqp_delivery *d)
{
	struct passage *p = d->user;

	(void)ctx;
	p->delivery = NULL;
	p->state = LOST;
	if (d->proved)
		forget(p);
}

static void on_buried(void *ctx, struct amqp_delivery *d)
{
	struct passage *p = d->user;
	struct amqp_delivery *again = p->again;

	(void)ctx;
	count(p->ingest, -1);
	p->again = NULL;
	if (again)
		adapt_amqp_drop(p->ingest->amqp, d);
	acknowledge(p, again ? again : d);
}

static void bury(struct passage *p, struct str reason)
{
	metrics_inc(METRIC_INGEST_DEAD);
	log_warn("rabbitmq", "an event cannot be mapped: it goes to the dead letters",
		 KV_STR("type", p->delivery->key), KV_STR("reason", reason));
	p->state = BURYING;
	adapt_amqp_dead(p->ingest->amqp, p->delivery, reason);
}

/* In the order of delivery, whatever the order of the router's answers. */
static void wait_again(struct passage *p)
{
	struct list *at = p->ingest->waiting.prev;

	if (p->generation != p->ingest->amqp_generation) { /* it comes again */
		adapt_amqp_drop(p->ingest->amqp, p->delivery);
		count(p->ingest, -1);
		forget(p);
		return;
	}
	p->state = WAITING;
	while (at != &p->ingest->waiting &&
	       CONTAINER_OF(at, struct passage, wait)->delivery->tag > p->delivery->tag)
		at = at->prev;
	list_insert_after(at, &p->wait);
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct passage *p = ctx;

	(void)duplicate;
	if (err == 0) {
		count(p->ingest, -1);
		acknowledge(p, p->delivery);
	} else if (err == E_DENIED && !str_is(code, "UNAVAILABLE")) {
		bury(p, code);
	} else { /* not now; or shutting down: not acknowledged, it comes again */
		wait_again(p);
	}
}

static int map(struct passage *p, struct buf *why)
{
	struct amqp_delivery *d = p->delivery;
	uint64_t most = (uint64_t)p->ingest->svc->conf.max_payload * 2;
	struct json_value body;
	int err;

	if (d->body.n > most) {
		buf_addf(why, "the body has %zu bytes, allowed: %llu (see MAX_PAYLOAD)", d->body.n,
			 (unsigned long long)most);
		return E_TOOBIG;
	}
	err = json_parse(d->body, &body);
	if (err)
		buf_addf(why, "the body is not JSON: %s", err_text(err));
	else if (body.type != JSON_OBJECT)
		buf_addz(why, "the body is not a JSON object");
	else
		err = event_publish(p->ingest, d->key, body, d->id, AMQP_LANE, on_published, p,
				    why);
	if (err && !why->n && err != E_FULL && err != E_NOMEM && err != E_UNAVAILABLE &&
	    err != E_CLOSED)
		buf_addf(why, "it cannot be sent: %s", err_text(err)); /* never, so not again */
	return err;
}

/* 0: it is on its way or buried; else not now. */
static int pass_on(struct passage *p)
{
	struct buf why = BUF_INIT(512);
	int err;

	p->state = PASSING;
	err = map(p, &why);
	if (why.n > 0) {
		bury(p, buf_str(&why));
		err = 0;
	}
	buf_fini(&why);
	return err;
}

/* Those that had to wait, in their order. */
static bool on_turn(void *ctx)
{
	struct ingest *ingest = ctx;
	struct list *node;

	while ((node = list_first(&ingest->waiting)) != NULL) {
		struct passage *p = CONTAINER_OF(node, struct passage, wait);

		list_remove(node);
		if (pass_on(p)) {
			p->state = WAITING;
			list_prepend(&ingest->waiting, node);
			break;
		}
	}
	return false;
}

/* ── after a loss of the connection ── */

/* What waited comes again; what was accepted is kept a while, and no more of it than so many. */
static void begin_generation(struct ingest *ingest, uint64_t generation)
{
	size_t most = (size_t)ingest->svc->conf.ingest_in_flight * KEEP_FACTOR;

	ingest->amqp_generation = generation;
	ingest->amqp_since_ms = clock_ms();
	LIST_EACH(&ingest->passages, node, next) {
		struct passage *p = CONTAINER_OF(node, struct passage, node);

		if (p->state == WAITING) {
			adapt_amqp_drop(ingest->amqp, p->delivery);
			count(ingest, -1);
			forget(p);
		} else if (p->state == LOST && ingest->passage_count > most) {
			forget(p);
		}
	}
}

static void forget_lost(struct ingest *ingest)
{
	if (!ingest->amqp_since_ms || clock_ms() - ingest->amqp_since_ms < KEEP_MS)
		return;
	ingest->amqp_since_ms = 0;
	LIST_EACH(&ingest->passages, node, next) {
		struct passage *p = CONTAINER_OF(node, struct passage, node);

		if (p->state == LOST)
			forget(p);
	}
}

static void go_on(struct passage *p, struct amqp_delivery *d)
{
	struct ingest *ingest = p->ingest;

	metrics_inc(METRIC_RABBITMQ_KNOWN);
	p->generation = d->generation;
	list_remove(&p->node);
	list_append(&ingest->passages, &p->node);
	d->user = p;
	if (p->state == LOST) {
		acknowledge(p, d);
	} else if (p->state == PASSING) {
		adapt_amqp_drop(ingest->amqp, p->delivery);
		p->delivery = d;
	} else {
		if (p->again)
			adapt_amqp_drop(ingest->amqp, p->again);
		p->again = d;
	}
}

/* Passages of earlier connections stand before those of this one. */
static struct passage *find(struct ingest *ingest, const struct amqp_delivery *d,
			    const uint64_t hash[2])
{
	LIST_EACH(&ingest->passages, node, next) {
		struct passage *p = CONTAINER_OF(node, struct passage, node);

		if (p->generation == d->generation)
			break;
		if (p->hash[0] == hash[0] && p->hash[1] == hash[1] &&
		    (p->state == LOST || p->state == PASSING || p->state == BURYING))
			return p;
	}
	return NULL;
}

static void hash_of(const struct amqp_delivery *d, uint64_t hash[2])
{
	/* key, id and body lie behind one another; their lengths keep them apart */
	hash_stable128(blob_str(d->held), hash);
	hash[0] ^= d->stamp * 0x9e3779b97f4a7c15ull;
	hash[1] += (uint64_t)d->key.n << 32 | d->id.n;
}

static void on_delivery(void *ctx, struct amqp_delivery *d)
{
	struct ingest *ingest = ctx;
	struct passage *p;
	uint64_t hash[2];

	metrics_inc(METRIC_INGEST_AMQP);
	forget_lost(ingest);
	if (d->generation != ingest->amqp_generation)
		begin_generation(ingest, d->generation);
	hash_of(d, hash);
	p = d->redelivered ? find(ingest, d, hash) : NULL;
	if (p) {
		go_on(p, d);
		return;
	}
	p = mem_need(sizeof(*p)); /* as many as the prefetch lets in */
	*p = (struct passage){ .ingest = ingest, .delivery = d, .generation = d->generation };
	memcpy(p->hash, hash, sizeof(p->hash));
	d->user = p;
	list_append(&ingest->passages, &p->node);
	list_init(&p->wait);
	ingest->passage_count++;
	count(ingest, 1);
	if (!list_empty(&ingest->waiting) || pass_on(p)) {
		p->state = WAITING;
		list_append(&ingest->waiting, &p->wait);
	}
}

int source_amqp_open(struct ingest *ingest)
{
	const struct profile_ingest *profile = &ingest->profile->ingest;
	struct adapt_amqp_spec spec = {
		.svc = ingest->svc,
		.url = ingest->svc->conf.rabbitmq_url,
		.exchange = profile->amqp_exchange,
		.queue = profile->amqp_queue,
		.queue_type = profile->amqp_queue_type,
		.prefetch = (uint16_t)ingest->svc->conf.ingest_in_flight,
		.on_delivery = on_delivery,
		.on_settled = on_settled,
		.on_buried = on_buried,
		.ctx = ingest,
	};

	list_init(&ingest->waiting);
	list_init(&ingest->passages);
	if (!ingest->svc->conf.rabbitmq_url[0])
		return 0;
	ingest->amqp_keys = mem_need((profile->event_count + 1) * sizeof(*ingest->amqp_keys));
	for (uint32_t i = 0; i < profile->event_count; i++)
		ingest->amqp_keys[i] = str_dup(profile->event_list[i].type);
	spec.keys = ingest->amqp_keys;
	ingest->turn = (struct svc_turn){ .fn = on_turn, .ctx = ingest };
	svc_turn_add(ingest->svc, SVC_RANK_WORK, &ingest->turn);
	return adapt_amqp_open(&spec, &ingest->amqp);
}

/* The adapter is closed: deliveries are ours alone, and come again elsewhere. */
static void drop_passages(struct ingest *ingest)
{
	LIST_EACH(&ingest->passages, node, next) {
		struct passage *p = CONTAINER_OF(node, struct passage, node);

		if (p->again)
			adapt_amqp_drop(NULL, p->again);
		if (p->delivery)
			adapt_amqp_drop(NULL, p->delivery);
		forget(p);
	}
}

void source_amqp_close(struct ingest *ingest)
{
	adapt_amqp_close(&ingest->amqp);
	if (!ingest->amqp_keys)
		return;
	svc_turn_remove(&ingest->turn);
	drop_passages(ingest);
	for (const char **key = ingest->amqp_keys; *key; key++)
		free((void *)(uintptr_t)*key);
	mem_free(ingest->amqp_keys);
	ingest->amqp_keys = NULL;
}
