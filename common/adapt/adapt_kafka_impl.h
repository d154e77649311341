/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of adapt_kafka share: adapt_kafka.c (life, readiness), adapt_kafka_in.c (consumer), adapt_kafka_out.c (producer). Thread: loop thread. */
#ifndef ROOMWIRE_ADAPT_KAFKA_IMPL_H
#define ROOMWIRE_ADAPT_KAFKA_IMPL_H

#include <librdkafka/rdkafka.h>

#include "common/adapt/adapt_kafka.h"

#define KAFKA_PRODUCE_TIMEOUT_MS \
	"4000" /* below the edge's CALL_TIMEOUT_MS: its client is told for certain */

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

/* adapt_kafka_out.c */
int kafka_out_open(struct adapt_kafka *k);
void kafka_out_serve(struct adapt_kafka *k);
void kafka_out_close(struct adapt_kafka *k);

#endif
