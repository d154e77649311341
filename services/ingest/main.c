/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roomwire-ingest: takes events from RabbitMQ, Kafka and the publish API and hands them to the router, and records of clients to Kafka.
 *
 * Talks to: RabbitMQ, Kafka, edges (questions), backends (HTTP), routers (counted links).
 * State:    nothing that is acknowledged; the rest comes again from the broker or the caller.
 * Signals:  see common/svc/svc.h. Drain: takes no more, waits for the router's answers.
 */
#include "common/svc/svc.h"
#include "services/ingest/ingest.h"

static struct ingest ingest;

static const struct svc_need needs[] = {
	{ "router", ingest_router_ready },
	{ "rabbitmq", ingest_rabbitmq_ready },
	{ "kafka", ingest_kafka_ready },
	{ "redis", source_redis_ready },
	{ NULL, NULL },
};

static const struct svc_spec spec = {
	.name = "ingest",
	.job = "takes events from RabbitMQ, Kafka and the publish API and hands them to the router",
	.user = CONF_INGEST,
	.wants_profile = true,
	.needs = needs,
	.start = ingest_start,
	.drain = ingest_drain,
	.stop = ingest_stop,
	.dump = ingest_dump,
};

int main(int argc, char **argv)
{
	return svc_main(argc, argv, &spec, &ingest);
}
