/* SPDX-License-Identifier: Apache-2.0 */
/* Events from RabbitMQ: acknowledged when the router has them; what cannot be mapped goes to the dead letters, with the reason. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/ingest.h"

/* A delivery on its way to the router. */
#define AMQP_LANE 1 /* one queue: in the order it gives */

struct passage {
	struct ingest *ingest;
	struct amqp_delivery *delivery;
};

static void settle(struct ingest *ingest)
{
	ingest->amqp_under_way--;
	metrics_set(METRIC_INGEST_PENDING, ingest->amqp_under_way + ingest->calls_under_way);
}

static void bury(struct ingest *ingest, struct amqp_delivery *d, struct str reason)
{
	metrics_inc(METRIC_INGEST_DEAD);
	log_warn("rabbitmq", "an event cannot be mapped: it goes to the dead letters",
		 KV_STR("type", d->key), KV_STR("reason", reason));
	adapt_amqp_dead(ingest->amqp, d, reason);
	settle(ingest);
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct passage *p = ctx;
	struct ingest *ingest = p->ingest;
	struct amqp_delivery *d = p->delivery;

	(void)duplicate;
	mem_free(p);
	if (err == 0) {
		adapt_amqp_ack(ingest->amqp, d);
		settle(ingest);
	} else if (err == E_DENIED && !str_is(code, "UNAVAILABLE")) {
		bury(ingest, d, code);
	} else if (err == E_DENIED) {
		list_append(&ingest->waiting, &d->node);
	} else { /* shutting down: not acknowledged, it comes again */
		adapt_amqp_drop(d);
		settle(ingest);
	}
}

/* 0: it is on its way or buried; else not now. */
static int pass_on(struct ingest *ingest, struct amqp_delivery *d)
{
	struct buf why = BUF_INIT(512);
	struct passage *p = mem_try(sizeof(*p));
	struct json_value body;
	int err = E_NOMEM;

	if (!p)
		return E_NOMEM;
	*p = (struct passage){ ingest, d };
	err = json_parse(d->body, &body);
	if (err)
		buf_addf(&why, "the body is not JSON: %s", err_text(err));
	else if (body.type != JSON_OBJECT)
		buf_addz(&why, "the body is not a JSON object");
	else
		err = event_publish(ingest, d->key, body, d->id, AMQP_LANE, on_published, p, &why);
	if (why.n > 0) {
		bury(ingest, d, buf_str(&why));
		err = 0;
		mem_free(p);
	} else if (err) {
		mem_free(p);
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
		list_remove(node);
		if (pass_on(ingest, CONTAINER_OF(node, struct amqp_delivery, node))) {
			list_prepend(&ingest->waiting, node);
			break;
		}
	}
	return false;
}

static void on_delivery(void *ctx, struct amqp_delivery *d)
{
	struct ingest *ingest = ctx;

	ingest->amqp_under_way++;
	metrics_inc(METRIC_INGEST_AMQP);
	metrics_set(METRIC_INGEST_PENDING, ingest->amqp_under_way + ingest->calls_under_way);
	if (!list_empty(&ingest->waiting) || pass_on(ingest, d))
		list_append(&ingest->waiting, &d->node);
}

int source_amqp_open(struct ingest *ingest)
{
	const struct profile_ingest *profile = &ingest->profile->ingest;
	struct adapt_amqp_spec spec = {
		.svc = ingest->svc,
		.url = ingest->svc->conf.rabbitmq_url,
		.exchange = profile->amqp_exchange,
		.queue = profile->amqp_queue,
		.prefetch = (uint16_t)ingest->svc->conf.ingest_in_flight,
		.on_delivery = on_delivery,
		.ctx = ingest,
	};

	list_init(&ingest->waiting);
	if (!ingest->svc->conf.rabbitmq_url[0])
		return 0;
	if (!profile->amqp_exchange) {
		log_error("rabbitmq",
			  "RABBITMQ_URL is set, but the profile has no `ingest: rabbitmq:`: unset "
			  "the one or add the other",
			  KV_Z("profile", ingest->profile->name));
		return E_CONFIG;
	}
	ingest->amqp_keys = mem_need((profile->event_count + 1) * sizeof(*ingest->amqp_keys));
	for (uint32_t i = 0; i < profile->event_count; i++)
		ingest->amqp_keys[i] = str_dup(profile->event_list[i].type);
	spec.keys = ingest->amqp_keys;
	ingest->turn = (struct svc_turn){ .fn = on_turn, .ctx = ingest };
	svc_turn_add(ingest->svc, SVC_RANK_WORK, &ingest->turn);
	return adapt_amqp_open(&spec, &ingest->amqp);
}

void source_amqp_close(struct ingest *ingest)
{
	struct list *node;

	adapt_amqp_close(&ingest->amqp);
	if (!ingest->amqp_keys)
		return;
	svc_turn_remove(&ingest->turn);
	while ((node = list_pop(&ingest->waiting)) != NULL)
		adapt_amqp_drop(CONTAINER_OF(node, struct amqp_delivery, node));
	for (const char **key = ingest->amqp_keys; *key; key++)
		free((void *)(uintptr_t)*key);
	mem_free(ingest->amqp_keys);
	ingest->amqp_keys = NULL;
}
