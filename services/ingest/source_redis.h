/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node servers (Socket.IO with @socket.io/redis-adapter) and emitters on the same Redis. To them Roomwire is one server more.
 *
 *   subscriber ─▶ source_redis.c ─▶ broadcast ─────────────▶ router_clnt_publish (origin: Redis)
 *                     │         └─▶ redis_request.c ─▶ joins, leaves, disconnects; answers by the commands' connection
 *                     │         └─▶ redis_acks.c ─▶ broadcasts whose clients acknowledge them ─▶ how many, and their answers
 *   router ──WATCHED──▶ redis_out.c ─▶ PUBLISH
 *
 * All of it in the one ingest that holds the lease (redis_lease.c); the others wait. At most once, as Redis has it: what is published while nobody holds the
 * lease, or while Redis is down, is lost. Roomwire's uid is one for all ingests of a deployment, so that none takes for a stranger's what another
 * one sent. Thread: loop thread.
 */
#ifndef ROOMWIRE_INGEST_SOURCE_REDIS_H
#define ROOMWIRE_INGEST_SOURCE_REDIS_H

#include "proto/item.h"
#include "common/adapt/adapt_sioredis.h"
#include "proto/values.h"
#include "services/ingest/ingest.h"
#include "services/ingest/redis_lease.h"

#define REDIS_WAITING_COUNT 50000u /* messages that wait for the router */
#define REDIS_WAITING_BYTES (64u << 20)
#define REDIS_ROOM_BYTES 1000u /* no member's room is longer */

struct source_redis {
	struct ingest *ingest;
	struct adapt_redis *commands, *subscriber;
	struct sioredis_decoder *decoder;
	size_t max_bytes; /* of a message */
	struct redis_lease lease;
	struct str key, uid;
	char uid_text[24];
	struct list waiting;  /* struct waiting, see source_redis.c */
	struct list fetching; /* struct fetch */
	uint32_t fetches;     /* questions of Node servers that routers have not answered */
	struct map asking;    /* struct asking of redis_acks.c by number */
	uint64_t last_ack;
	size_t waiting_count, waiting_bytes, under_way;
	struct svc_turn turn;
	struct buf channel, out, scratch; /* empty between uses */
	struct str names[2][SIOREDIS_NAMES_MAX];
};

/* What a backend wants beside the event itself. All zero: nothing. */
struct redis_wish {
	enum wire_verb verb;
	const struct sioredis_names *targets; /* of JOIN and LEAVE */
	uint64_t ack, ack_ms;                 /* see PUBLISH */
	uint32_t rooms; /* out: so many it goes to; 0: there is nobody, and nothing is sent */
};

/* To the router. 0: on its way, or nothing to do; else not now. */
int source_redis_publish(struct source_redis *s, const struct sioredis_event *event,
			 struct redis_wish *wish) MUST_CHECK;
/* s->out to s->channel; counted, also where it could not be sent. */
void source_redis_send(struct source_redis *s);
/* s->out as the answer to a request in this namespace. */
void source_redis_answer(struct source_redis *s, struct str nsp);

/* redis_request.c: 0, or not now. nsp: of the channel. */
int redis_request_on_message(struct source_redis *s, struct str nsp, struct str payload) MUST_CHECK;
/* redis_fetch.c: answer SOCKETS, ALL_ROOMS or FETCH. nsp, r: BORROWED until it returns. */
void redis_fetch(struct source_redis *s, struct str nsp, const struct sioredis_request *r);
void redis_fetch_close(struct source_redis *s); /* after the questions to routers are closed */
/* redis_acks.c: a broadcast that clients are to acknowledge. 0, or not now. nsp, r: as above. */
int redis_acks_broadcast(struct source_redis *s, struct str nsp,
			 struct sioredis_request *r) MUST_CHECK;
void redis_acks_close(struct source_redis *s);
struct str redis_acks_key_of(const void *asking); /* for the map */
/* redis_out.c */
void redis_out_send(struct source_redis *s, const struct wire_deliver *d, const struct str *payload,
		    uint32_t payload_count);

#endif
