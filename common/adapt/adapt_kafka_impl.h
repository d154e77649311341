/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of adapt_kafka share: adapt_kafka.c (life, readiness), adapt_kafka_in.c (consumer), adapt_kafka_commit.c (its offsets), adapt_kafka_out.c (producer).
 * Thread: loop thread. */
#ifndef ROOMWIRE_ADAPT_KAFKA_IMPL_H
#define ROOMWIRE_ADAPT_KAFKA_IMPL_H

#include <librdkafka/rdkafka.h>

#include "common/adapt/adapt_kafka.h"

#define KAFKA_PRODUCE_TIMEOUT_MS \
	"4000" /* below the edge's CALL_TIMEOUT_MS: its client is told for certain */

#define KAFKA_METADATA_AGE_MS 15000u
#define KAFKA_METADATA_AGE_TEXT "15000"

struct kafka_commit {
	enum { KAFKA_COMMIT_IDLE, KAFKA_COMMIT_ANSWER, KAFKA_COMMIT_REPORT } state; /* waits for */
	rd_kafka_queue_t *queue; /* answers and reports */
	uint64_t due_ms;         /* the next round: not before */
	uint64_t stuck_ms;       /* this round: not longer */
	uintptr_t round;         /* number: tells late answers and reports */
	uint64_t unasked_until_ms;
	unsigned failed; /* answers, in a row */
	/* Of partitions that were released; NULL: none. opaque: not NULL: something was committed of it. */
	rd_kafka_topic_partition_list_t *parting;
	uint64_t parting_due_ms; /* the group waits until then; 0: not yet */
	bool with_parting;       /* this round is also theirs */
};

struct adapt_kafka {
	struct adapt_kafka_spec spec;
	char *brokers;
	rd_kafka_t *in, *out;
	rd_kafka_queue_t *in_queue, *out_queue;
	int wake; /* eventfd: all queues */
	uv_poll_t *poll;
	struct svc_turn turn;
	struct wheel_timer tick;
	struct list partitions; /* struct kafka_partition */
	struct list reports;    /* struct kafka_report */
	size_t partition_count, going_count, report_count;
	rd_kafka_topic_partition_list_t
		*going; /* to be unassigned when the last one was released */
	struct kafka_commit commit;
	bool woken, leaving;
	bool up, told_down, out_fatal;
	int last_error;                /* enum rd_kafka_resp_err_t, that was logged */
	char reason[SVC_REASON_BYTES]; /* why it is not up */
};

/* adapt_kafka.c */
rd_kafka_conf_t *kafka_conf_new(struct adapt_kafka *k, const char *const *pairs); /* NULL-ended */
void kafka_listen(struct adapt_kafka *k, rd_kafka_queue_t *queue);
void kafka_trouble(struct adapt_kafka *k, int error, const char *text);

/* adapt_kafka_in.c */
int kafka_in_open(struct adapt_kafka *k);
void kafka_in_serve(struct adapt_kafka *k);
void kafka_in_close(struct adapt_kafka *k);
struct kafka_partition *kafka_in_find(struct adapt_kafka *k, const char *topic, int32_t number);

/* adapt_kafka_commit.c */
int kafka_commit_open(struct adapt_kafka *k);
void kafka_commit_serve(struct adapt_kafka *k);
void kafka_commit_close(struct adapt_kafka *k);
void kafka_parting_add(struct kafka_partition *p);
/* All that go were released. true: what is done of them is being committed, the group must wait; bounded. */
bool kafka_parting_waits(struct adapt_kafka *k);
void kafka_parting_clear(struct adapt_kafka *k);

/* adapt_kafka_out.c */
int kafka_out_open(struct adapt_kafka *k);
void kafka_out_serve(struct adapt_kafka *k);
void kafka_out_close(struct adapt_kafka *k);

#endif
