/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingest: takes events from brokers and from the publish API, maps domain events by the profile, and hands them to the router.
 *
 *   Kafka    ─▶ source_kafka.c ┐
 *   RabbitMQ ─▶ source_amqp.c ─┤                                   ┌─ accepted ─▶ acknowledge, 202
 *   HTTP     ─▶ api_publish.c ─┴─▶ event.c ─▶ router_clnt_publish ─┤
 *                                  (profile's mapping)             └─ cannot be mapped ─▶ dead letter, 400
 *
 * Nothing is acknowledged before the router has it.
 * And the other way: edges ─PRODUCE─▶ produce.c ─▶ broker ─has it─▶ PRODUCED.
 */
#ifndef ROOMWIRE_INGEST_INGEST_H
#define ROOMWIRE_INGEST_INGEST_H

#include "common/adapt/adapt_amqp.h"
#include "common/adapt/adapt_kafka.h"
#include "common/clients/router_query.h"
#include "common/http/http_server.h"
#include "common/profile/profile.h"
#include "common/svc/svc.h"

struct source_redis;

struct ingest {
	struct svc *svc;
	const struct profile *profile;
	struct router_clnt *router;
	struct router_query *queries; /* what the API asks routers */
	uint64_t last_lane;           /* api_lane */
	struct http_server *api;
	struct adapt_amqp *amqp; /* NULL: not used */
	const char **amqp_keys;  /* OWNED; ends with NULL */
	struct list waiting;     /* of source_amqp.c: those the router client has no room for yet */
	struct list passages;    /* of source_amqp.c */
	size_t passage_count;
	uint64_t amqp_generation, amqp_since_ms; /* of the connection deliveries come by */
	struct svc_turn turn;
	struct adapt_kafka *kafka;     /* NULL: not used */
	struct source_kafka *kafka_in; /* NULL: no topics */
	struct produce *produce;
	struct life_out *life_out;  /* NULL: not used */
	size_t amqp_under_way;      /* deliveries not acknowledged */
	size_t calls_under_way;     /* API calls not answered */
	struct buf scratch;         /* mapping; empty between uses */
	struct source_redis *redis; /* NULL: not used */
	struct wheel_timer drain_timer;
	bool draining;
};

int ingest_start(struct svc *svc, void *self);
void ingest_drain(struct svc *svc, void *self);
void ingest_stop(struct svc *svc, void *self);
void ingest_dump(struct svc *svc, void *self, struct buf *out);
bool ingest_router_ready(void *self, char reason[SVC_REASON_BYTES]);
bool ingest_rabbitmq_ready(void *self, char reason[SVC_REASON_BYTES]);
bool ingest_kafka_ready(void *self, char reason[SVC_REASON_BYTES]);

/* event.c: a domain event through the profile's mapping to the router. id may be empty; lane: see router_clnt_publish. errors: E_UNKNOWN, E_TYPE, E_SYNTAX … with why: it
 * cannot be mapped; E_FULL, E_NOMEM, E_UNAVAILABLE: not now. fn runs only after 0. */
int event_publish(struct ingest *ingest, struct str type, struct json_value body, struct str id,
		  uint64_t lane, router_published_fn fn, void *ctx, struct buf *why) MUST_CHECK;

/* api.c */
void api_on_request(struct http_exchange *x, const struct http_request *request, void *ctx);

/* source_amqp.c */
int source_amqp_open(struct ingest *ingest) MUST_CHECK;
void source_amqp_close(struct ingest *ingest);

/* source_kafka.c: consumer and producer; what the latter is for besides dead letters is in produce.c. */
int source_kafka_open(struct ingest *ingest) MUST_CHECK;
void source_kafka_close(struct ingest *ingest);
void source_kafka_drain(
	struct ingest *ingest); /* takes no more, leaves the group when nothing is under way */
bool source_kafka_drained(struct ingest *ingest);
size_t source_kafka_under_way(const struct ingest *ingest);

/* produce.c: records of clients, for brokers. */
int produce_open(struct ingest *ingest) MUST_CHECK;
void produce_stop(struct ingest *ingest); /* no more answers */
void produce_close(struct ingest *ingest);
/* From ingest itself. code: empty: the broker has it; fn runs once, later. errors: it will not be sent, fn does not run. */
typedef void (*produced_fn)(void *ctx, struct str code);
int produce_record(struct ingest *ingest, const struct wire_produce *m, produced_fn fn,
		   void *ctx) MUST_CHECK;
size_t produce_under_way(const struct ingest *ingest);

/* source_redis.c: Node servers on the same Redis */
int source_redis_open(struct ingest *ingest) MUST_CHECK;
void source_redis_close(struct ingest *ingest);
/* Takes no more; another ingest may at once. */
void source_redis_drain(struct ingest *ingest);
size_t source_redis_under_way(const struct ingest *ingest);
bool source_redis_ready(void *self, char reason[SVC_REASON_BYTES]); /* a svc_need */
/* What routers say, see router_clnt_handlers. */
void source_redis_on_fresh(struct ingest *ingest, struct bus_link *link);
void source_redis_on_watched(struct ingest *ingest, const struct bus_message *m);
void redis_acks_on_asked(struct ingest *ingest, const struct wire_asked *m);
void redis_acks_on_ack(struct ingest *ingest, const struct bus_message *m);

#endif
