/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kafka by librdkafka: a consumer in a group, and an idempotent producer with delivery reports.
 *
 * thread     loop thread; librdkafka's own threads only fill queues, whose event descriptor wakes the loop. blocking: never (adapt_kafka_close: the
 *            few milliseconds in which its threads end).
 * ownership  a partition is the adapter's, from `assigned` until adapt_kafka_release. A record is the receiver's from adapt_kafka_take until kafka_record_free, and must
 *            be freed before adapt_kafka_close.
 * ordering   records of a partition come in its order, and only when they are asked for: a partition that nobody takes from holds up no other, and librdkafka
 *            fetches no more of it than QUEUED_*.
 *
 * Offsets: adapt_kafka_store says up to where a partition is done; that is committed once a second, before the partition is given away, and at the end. A partition whose
 * topic was deleted begins anew at offset 0, see adapt_kafka_commit.c.
 * Rebalance (cooperative-sticky): `revoked` asks the receiver to settle what is under way and to call adapt_kafka_release, which may be later: meanwhile the group
 * waits for us, and nobody else reads the partition. Lost ones (we were taken for dead) are somebody else's already.
 * librdkafka connects again by itself, with back-off (100 ms to 2 s).
 */
#ifndef ROOMWIRE_ADAPT_KAFKA_H
#define ROOMWIRE_ADAPT_KAFKA_H

#include "common/svc/svc.h"

struct adapt_kafka;

struct kafka_partition {
	struct list node;
	struct adapt_kafka *kafka;
	char *topic;
	int32_t number;
	void *user;    /* the receiver's */
	void *queue;   /* the adapter's */
	bool going;    /* revoked, and not released yet: nothing is taken any more */
	uint64_t seen; /* records taken, ever */
	/* The adapter's. What is to be committed; -1: nothing yet. What the group has, as far as we know; -1: nothing. */
	int64_t done, committed;
};

struct kafka_record {
	struct str key, value, id; /* BORROWED from the record; id: header `id`; empty: none */
	bool is_null;              /* no value: a tombstone */
	int64_t offset;
	int64_t timestamp_ms; /* of the record; -1: none */
	void *message;        /* the adapter's */
};

struct adapt_kafka_spec {
	struct svc *svc;
	const char *brokers, *client_id;
	const char *group;
	const char *const *topics; /* ends with NULL; NULL: only produce */
	void (*assigned)(void *ctx, struct kafka_partition *p);
	/* lost: it is not ours any more; release it at once. */
	void (*revoked)(void *ctx, struct kafka_partition *p, bool lost);
	/* Its topic was deleted, and perhaps made again: offsets begin at 0 again, and nothing of what was taken can be read again. May be NULL. */
	void (*renewed)(void *ctx, struct kafka_partition *p);
	/* Records may be there; runs at the end of a loop turn. */
	void (*turn)(void *ctx);
	void *ctx;
};

int adapt_kafka_open(const struct adapt_kafka_spec *spec, struct adapt_kafka **kafka) MUST_CHECK;
/* Frees everything, without a word to the group unless it was left before. Reports of records under way run with E_CLOSED. */
void adapt_kafka_close(struct adapt_kafka **kafka);

/* ── in ── */
/* The next record; NULL: none now, or no memory. */
bool adapt_kafka_take(struct kafka_partition *p, struct kafka_record *r);
void kafka_record_free(struct kafka_record *r); /* nulls what it held; harmless twice */
/* Everything before this offset is done with. */
void adapt_kafka_store(struct kafka_partition *p, int64_t next_offset);
/* Offsets of the partition have begun anew: what was committed of the old ones is replaced by this; -1: by nothing yet. */
void adapt_kafka_restart(struct kafka_partition *p, int64_t offset);
void adapt_kafka_release(struct kafka_partition *p); /* p: TAKEN */
void adapt_kafka_wake(struct adapt_kafka *k);        /* `turn` shall run at the end of this turn */
size_t adapt_kafka_partitions(const struct adapt_kafka *k);
struct list *adapt_kafka_assigned(
	struct adapt_kafka *k); /* struct kafka_partition, going ones too */
/* Leave the group: `revoked` runs for all partitions. */
void adapt_kafka_leave(struct adapt_kafka *k);
bool adapt_kafka_left(struct adapt_kafka *k);

/* ── out ── */
/* err 0: the broker has it, by all replicas in sync. E_TOOBIG: over the broker's limit. E_UNAVAILABLE: not within PRODUCE_TIMEOUT_MS. E_NOTFOUND: no such topic.
 * E_DENIED: not allowed. E_CLOSED. */
typedef void (*kafka_report_fn)(void *ctx, int err);
/* All COPIED. errors: E_FULL, E_TOOBIG, E_UNAVAILABLE (the producer has failed for good and is made anew): fn does not run. fn runs later. */
int adapt_kafka_produce(struct adapt_kafka *k, const char *topic, struct str key, struct str id,
			struct str value, kafka_report_fn fn, void *ctx) MUST_CHECK;
/* The record with key, headers and body as they are, plus header `reason`. without_value: it is over the limit with it. */
int adapt_kafka_dead(struct adapt_kafka *k, const char *topic, const struct kafka_record *r,
		     struct str reason, bool without_value, kafka_report_fn fn,
		     void *ctx) MUST_CHECK;
size_t adapt_kafka_unreported(const struct adapt_kafka *k);

bool adapt_kafka_up(struct adapt_kafka *k, char reason[SVC_REASON_BYTES]);

#endif
