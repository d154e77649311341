/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/ingest.h"

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/life_out.h"

#define SCRATCH_BYTES (64u << 20)
#define DRAIN_STEP_MS 10u

bool ingest_router_ready(void *self, char reason[SVC_REASON_BYTES])
{
	struct ingest *ingest = self;

	return ingest->router && router_clnt_ready(ingest->router, reason);
}

bool ingest_rabbitmq_ready(void *self, char reason[SVC_REASON_BYTES])
{
	struct ingest *ingest = self;

	return !ingest->amqp || adapt_amqp_up(ingest->amqp, reason);
}

bool ingest_kafka_ready(void *self, char reason[SVC_REASON_BYTES])
{
	struct ingest *ingest = self;

	return !ingest->kafka || adapt_kafka_up(ingest->kafka, reason);
}

/* ── answers of routers to what the API asks ── */

static void on_router_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct ingest *ingest = ctx;

	if (m->id == WIRE_WATCHED)
		source_redis_on_watched(ingest, m);
	else if (m->id == WIRE_ASKED)
		redis_acks_on_asked(ingest, &m->any.asked);
	else if (m->id == WIRE_ACK)
		redis_acks_on_ack(ingest, m);
	else if (m->id == WIRE_LIFE)
		life_out_on_life(ingest, link, &m->any.life);
	else if (!router_query_on_message(ingest->queries, link, m))
		metrics_inc(METRIC_WIRE_UNKNOWN);
}

static void on_router_fresh(void *ctx, struct bus_link *link, uint64_t old_epoch)
{
	struct ingest *ingest = ctx;

	(void)old_epoch;
	router_query_on_lost(ingest->queries, link);
	source_redis_on_fresh(ingest, link);
	life_out_on_fresh(ingest, link);
}

static void on_router_removed(void *ctx, struct bus_link *link)
{
	struct ingest *ingest = ctx;

	router_query_on_lost(ingest->queries, link);
	life_out_on_lost(ingest, link);
}

static int open_router(struct ingest *ingest)
{
	static const struct router_clnt_handlers handlers = {
		.fresh = on_router_fresh,
		.message = on_router_message,
		.removed = on_router_removed,
	};
	struct router_clnt_spec spec = {
		.svc = ingest->svc,
		.endpoints = ingest->svc->conf.router_endpoints,
		.handlers = &handlers,
		.ctx = ingest,
		.max_in_flight = (size_t)(3 * ingest->svc->conf.ingest_in_flight +
					  ingest->svc->conf.api_in_flight),
		.max_bytes = 256u << 20,
	};

	int err = router_clnt_open(&spec, &ingest->router);

	if (!err)
		err = router_query_open(ingest->svc, ingest->router,
					(size_t)ingest->svc->conf.api_in_flight, &ingest->queries);
	return err;
}

static int open_api(struct ingest *ingest)
{
	const struct conf *conf = &ingest->svc->conf;
	struct http_server_spec spec = {
		.subject = "api",
		.host = conf->api_host,
		.port = (int)(conf->api_port ? conf->api_port
			      : conf->port   ? conf->port + 1
					     : 0),
		.max_body_bytes = (uint64_t)conf->max_payload * 2,
		.timeout_ms = 10000,
		.idle_ms = 65000,
		.max_connections = (size_t)conf->api_in_flight + 64,
		.on_request = api_on_request,
		.ctx = ingest,
	};
	int err = http_server_open(ingest->svc->loop, &spec, &ingest->api);

	if (err)
		return err;
	svc_notify(ingest->svc, "api", http_server_port(ingest->api));
	log_info("api", "publish calls are served", KV_Z("host", conf->api_host),
		 KV_I("port", http_server_port(ingest->api)),
		 KV_B("key_set", conf->api_key[0] != '\0'));
	return 0;
}

int ingest_start(struct svc *svc, void *self)
{
	struct ingest *ingest = self;
	int err;

	ingest->svc = svc;
	ingest->profile = svc->profile;
	buf_init(&ingest->scratch, SCRATCH_BYTES);
	list_init(&ingest->waiting);
	list_init(&ingest->passages);
	err = life_out_open(ingest);
	if (!err)
		err = open_router(ingest);
	if (!err)
		err = open_api(ingest);
	if (!err)
		err = source_amqp_open(ingest);
	if (!err)
		err = source_kafka_open(ingest);
	if (!err)
		err = produce_open(ingest);
	if (!err)
		err = source_redis_open(ingest);
	return err;
}

/* Over when nothing is under way; what the router does not answer in time comes again, to another ingest. */
static void on_drain_step(struct wheel_timer *timer)
{
	struct ingest *ingest = CONTAINER_OF(timer, struct ingest, drain_timer);

	if (ingest->amqp_under_way == 0 && ingest->calls_under_way == 0 &&
	    produce_under_way(ingest) == 0 && source_kafka_drained(ingest) &&
	    source_redis_under_way(ingest) == 0 && life_out_under_way(ingest) == 0)
		svc_drained(ingest->svc);
	else
		svc_arm(ingest->svc, timer, clock_ms() + DRAIN_STEP_MS);
}

void ingest_drain(struct svc *svc, void *self)
{
	struct ingest *ingest = self;

	ingest->draining = true;
	http_server_pause(ingest->api);
	if (ingest->amqp)
		adapt_amqp_pause(ingest->amqp);
	source_kafka_drain(ingest);
	source_redis_drain(ingest);
	life_out_drain(ingest);
	wheel_timer_init(&ingest->drain_timer, on_drain_step);
	svc_arm(svc, &ingest->drain_timer, clock_ms() + 1);
}

void ingest_stop(struct svc *svc, void *self)
{
	struct ingest *ingest = self;

	svc_cancel(svc, &ingest->drain_timer);
	router_query_close(&ingest->queries);
	router_clnt_close(&ingest->router);
	produce_stop(ingest);
	life_out_stop(ingest);
	source_amqp_close(ingest);
	source_kafka_close(ingest);
	life_out_close(ingest);
	produce_close(ingest);
	source_redis_close(ingest);
	http_server_close(&ingest->api, NULL, NULL);
	buf_fini(&ingest->scratch);
}

void ingest_dump(struct svc *svc, void *self, struct buf *out)
{
	struct ingest *ingest = self;

	(void)svc;
	buf_addf(out,
		 "rabbitmq_under_way=%zu kafka_under_way=%zu calls_under_way=%zu "
		 "produce_under_way=%zu "
		 "draining=%d",
		 ingest->amqp_under_way, source_kafka_under_way(ingest), ingest->calls_under_way,
		 produce_under_way(ingest), ingest->draining);
}
