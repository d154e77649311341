/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: brokers that librdkafka plays itself (rd_kafka_mock_cluster), inside the test's process. */
#ifndef ROOMWIRE_ADAPT_KAFKA_MOCK_TEST_H
#define ROOMWIRE_ADAPT_KAFKA_MOCK_TEST_H

#include "common/base/base_test.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

static struct {
	rd_kafka_t *host; /* a handle that does nothing else */
	rd_kafka_mock_cluster_t *cluster;
} mock;

enum {
	MOCK_PRODUCE = 0,
	MOCK_FETCH = 1,
	MOCK_OFFSET_FETCH = 9
}; /* numbers of the Kafka protocol */

static inline void mock_open(void)
{
	char why[256];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	rd_kafka_conf_set_log_cb(conf, NULL);
	mock.host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	assert_non_null(mock.host);
	mock.cluster = rd_kafka_mock_cluster_new(mock.host, 1);
	assert_non_null(mock.cluster);
}

static inline void mock_close(void)
{
	rd_kafka_mock_cluster_destroy(mock.cluster);
	rd_kafka_destroy(mock.host);
}

static inline char *mock_brokers(void) /* OWNED by caller */
{
	return strdup(rd_kafka_mock_cluster_bootstraps(mock.cluster));
}

static inline void mock_topic(const char *topic, int partitions)
{
	assert_int_equal(rd_kafka_mock_topic_create(mock.cluster, topic, partitions, 1), 0);
}

/* The next produce requests are answered with TOO LARGE / a refusal. */
static inline void mock_refuse(int16_t request, rd_kafka_resp_err_t err)
{
	rd_kafka_mock_push_request_errors(mock.cluster, request, 1, err);
}

/* The next `count` of them; 0: none any more, whatever was said before. */
static inline void mock_refuse_many(int16_t request, rd_kafka_resp_err_t err, unsigned count)
{
	rd_kafka_mock_clear_request_errors(mock.cluster, request);
	for (unsigned i = 0; i < count; i++)
		mock_refuse(request, err);
}

#endif
