/* SPDX-License-Identifier: Apache-2.0 */
/* The producer: idempotent, acknowledged by all replicas in sync; one report a record. */
#include "common/adapt/adapt_kafka_impl.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define MESSAGE_MAX_BYTES "4194304" /* above what the wire carries: the broker's limit decides */

struct kafka_report {
	struct list node;
	struct adapt_kafka *kafka;
	kafka_report_fn fn;
	void *ctx;
};

static int error_of(rd_kafka_resp_err_t err)
{
	switch (err) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return 0;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
		return E_TOOBIG;
	case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
	case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		return E_NOTFOUND;
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		return E_DENIED;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return E_FULL;
	default:
		return E_UNAVAILABLE;
	}
}

static void finish(struct kafka_report *report, int err)
{
	struct adapt_kafka *k = report->kafka;

	list_remove(&report->node);
	k->report_count--;
	if (report->fn)
		report->fn(report->ctx, err);
	mem_free(report);
}

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *ctx)
{
	(void)rk;
	if (m->err) {
		metrics_inc(METRIC_KAFKA_PRODUCE_FAILED);
		kafka_trouble(ctx, (int)m->err, NULL);
	}
	finish(m->_private, error_of(m->err));
}

int kafka_out_open(struct adapt_kafka *k)
{
	static const char *const pairs[] = {
		"enable.idempotence",
		"true",
		"acks",
		"all",
		"linger.ms",
		"1",
		"message.timeout.ms",
		KAFKA_PRODUCE_TIMEOUT_MS,
		"topic.metadata.propagation.max.ms",
		"2000", /* a topic that is not there then is NOT_FOUND */
		"message.max.bytes",
		MESSAGE_MAX_BYTES,
		"queue.buffering.max.messages",
		"100000",
		"queue.buffering.max.kbytes",
		"262144",
		NULL
	};
	rd_kafka_conf_t *conf = kafka_conf_new(k, pairs);
	char why[256];

	rd_kafka_conf_set_dr_msg_cb(conf, on_report);
	k->out = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!k->out) {
		rd_kafka_conf_destroy(conf);
		log_error("kafka", "the producer cannot be made: look at KAFKA_BROKER_URL",
			  KV_Z("reason", why));
		return E_CONFIG;
	}
	k->out_fatal = false;
	k->out_queue = rd_kafka_queue_get_main(k->out);
	kafka_listen(k, k->out_queue);
	return 0;
}

static void shut(struct adapt_kafka *k, int err)
{
	struct list *node;

	rd_kafka_queue_io_event_enable(k->out_queue, -1, NULL, 0);
	rd_kafka_queue_destroy(k->out_queue);
	rd_kafka_purge(k->out, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT |
				       RD_KAFKA_PURGE_F_NON_BLOCKING);
	rd_kafka_destroy(k->out);
	k->out = NULL;
	while ((node = list_first(&k->reports)) != NULL)
		finish(CONTAINER_OF(node, struct kafka_report, node), err);
}

void kafka_out_close(struct adapt_kafka *k)
{
	shut(k, E_CLOSED);
}

/* An idempotent producer that has lost its place cannot go on (fatal): another one takes over; what was under way is reported as not delivered. */
void kafka_out_serve(struct adapt_kafka *k)
{
	rd_kafka_poll(k->out, 0);
	if (!k->out_fatal)
		return;
	log_warn("kafka", "the producer has failed for good and is made anew");
	shut(k, E_UNAVAILABLE);
	if (kafka_out_open(k))
		svc_fail(k->spec.svc, 1);
}

/* headers: TAKEN. */
static int produce(struct adapt_kafka *k, const char *topic, struct str key, struct str value,
		   bool is_null, rd_kafka_headers_t *headers, kafka_report_fn fn, void *ctx)
{
	struct kafka_report *report = mem_try(sizeof(*report));
	int err;

	if (!report || !k->out || k->out_fatal) {
		err = report ? E_UNAVAILABLE : E_FULL;
		rd_kafka_headers_destroy(headers);
		mem_free(report);
		return err;
	}
	*report = (struct kafka_report){ .kafka = k, .fn = fn, .ctx = ctx };
	err = rd_kafka_producev(
		k->out, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_KEY(key.n ? key.p : NULL, key.n),
		RD_KAFKA_V_VALUE((void *)(uintptr_t)(is_null ? NULL : value.p),
				 is_null ? 0 : value.n),
		RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(report), RD_KAFKA_V_END);
	if (err) {
		rd_kafka_headers_destroy(headers);
		mem_free(report);
		return error_of((rd_kafka_resp_err_t)err);
	}
	list_append(&k->reports, &report->node);
	k->report_count++;
	return 0;
}

int adapt_kafka_produce(struct adapt_kafka *k, const char *topic, struct str key, struct str id,
			struct str value, kafka_report_fn fn, void *ctx)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(1);

	if (id.n)
		rd_kafka_header_add(headers, "id", -1, id.p, (ssize_t)id.n);
	return produce(k, topic, key, value, false, headers, fn, ctx);
}

int adapt_kafka_dead(struct adapt_kafka *k, const char *topic, const struct kafka_record *r,
		     struct str reason, bool without_value, kafka_report_fn fn, void *ctx)
{
	rd_kafka_headers_t *of_record = NULL;
	rd_kafka_headers_t *headers;

	if (rd_kafka_message_headers(r->message, &of_record) == 0 && of_record)
		headers = rd_kafka_headers_copy(of_record);
	else
		headers = rd_kafka_headers_new(1);
	rd_kafka_header_add(headers, "reason", -1, reason.p, (ssize_t)reason.n);
	return produce(k, topic, r->key, r->value, r->is_null || without_value, headers, fn, ctx);
}

size_t adapt_kafka_unreported(const struct adapt_kafka *k)
{
	return k->report_count;
}
