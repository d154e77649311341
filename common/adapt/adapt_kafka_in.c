/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The consumer. Every partition has a queue of its own (forwarding to the consumer's is off), so that it is read only when there is room for its records; the
 * consumer's queue carries rebalances and errors alone. The answer to a rebalance may be given after the callback has returned.
 */
#include "common/adapt/adapt_kafka_impl.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define SERVE_MOST 100

static void tell_counts(struct adapt_kafka *k)
{
	metrics_set(METRIC_KAFKA_PARTITIONS, k->partition_count);
}

struct kafka_partition *kafka_in_find(struct adapt_kafka *k, const char *topic, int32_t number)
{
	LIST_EACH(&k->partitions, node, after) {
		struct kafka_partition *p = CONTAINER_OF(node, struct kafka_partition, node);

		if (p->number == number && !strcmp(p->topic, topic))
			return p;
	}
	return NULL;
}

/* Before the assignment takes effect, so that nothing of it goes to the consumer's queue. */
static void add(struct adapt_kafka *k, const char *topic, int32_t number)
{
	struct kafka_partition *p = kafka_in_find(k, topic, number);

	if (p)
		return;
	p = mem_need(sizeof(*p));
	p->kafka = k;
	p->topic = mem_need_dup(topic);
	p->number = number;
	p->done = p->committed = -1;
	p->queue = rd_kafka_queue_get_partition(k->in, topic, number);
	if (p->queue) {
		rd_kafka_queue_forward(p->queue, NULL);
		kafka_listen(k, p->queue);
	}
	list_append(&k->partitions, &p->node);
	k->partition_count++;
	k->spec.assigned(k->spec.ctx, p);
}

static void forget(struct kafka_partition *p)
{
	struct adapt_kafka *k = p->kafka;

	list_remove(&p->node);
	k->partition_count--;
	if (p->queue) {
		rd_kafka_queue_io_event_enable(p->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(p->queue);
	}
	mem_free(p->topic);
	mem_free(p);
}

/* All that had to go are settled: the group may give them to others. */
static void let_go(struct adapt_kafka *k)
{
	rd_kafka_topic_partition_list_t *going = k->going;
	rd_kafka_error_t *error;

	if (!going || k->going_count || kafka_parting_waits(k))
		return;
	k->going = NULL;
	error = rd_kafka_incremental_unassign(k->in, going);
	if (error) {
		log_debug("kafka", "unassign", KV_Z("reason", rd_kafka_error_string(error)));
		rd_kafka_error_destroy(error);
		rd_kafka_assign(k->in, NULL);
	}
	rd_kafka_topic_partition_list_destroy(going);
	tell_counts(k);
}

void adapt_kafka_release(struct kafka_partition *p)
{
	struct adapt_kafka *k = p->kafka;

	k->going_count -= p->going;
	kafka_parting_add(p);
	forget(p);
	k->woken = true; /* let_go: not within the receiver's call */
}

static void take_in(struct adapt_kafka *k, rd_kafka_topic_partition_list_t *list)
{
	rd_kafka_error_t *error;

	for (int i = 0; i < list->cnt; i++)
		add(k, list->elems[i].topic, list->elems[i].partition);
	error = rd_kafka_incremental_assign(k->in, list);
	if (error) {
		log_warn("kafka", "partitions could not be taken",
			 KV_Z("reason", rd_kafka_error_string(error)));
		rd_kafka_error_destroy(error);
	}
	k->commit.due_ms = 0; /* what is committed must be known before anything can be deleted */
	log_info("kafka", "partitions assigned", KV_I("count", list->cnt),
		 KV_U("all", k->partition_count));
}

static void give_up(struct adapt_kafka *k, rd_kafka_topic_partition_list_t *list)
{
	bool lost = rd_kafka_assignment_lost(k->in);

	log_info("kafka", "partitions revoked", KV_I("count", list->cnt), KV_B("lost", lost));
	if (k->going) { /* the group does not wait for an answer any more */
		rd_kafka_topic_partition_list_destroy(k->going);
		k->going = NULL;
		kafka_parting_clear(k);
	}
	k->going = rd_kafka_topic_partition_list_copy(list);
	for (int i = 0; i < list->cnt; i++) {
		struct kafka_partition *p =
			kafka_in_find(k, list->elems[i].topic, list->elems[i].partition);

		if (!p)
			continue;
		if (!p->going)
			k->going_count++;
		p->going = true;
		k->spec.revoked(k->spec.ctx, p, lost); /* may release it */
	}
	if (lost)
		kafka_parting_clear(k);
	let_go(k);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what,
			 rd_kafka_topic_partition_list_t *list, void *ctx)
{
	struct adapt_kafka *k = ctx;

	metrics_inc(METRIC_KAFKA_REBALANCES);
	if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
		take_in(k, list);
	} else if (what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
		give_up(k, list);
	} else {
		kafka_trouble(k, what, NULL);
		rd_kafka_assign(rk, NULL);
	}
	tell_counts(k);
	k->woken = true;
}

static int subscribe(struct adapt_kafka *k)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(4);
	rd_kafka_resp_err_t err;

	for (const char *const *topic = k->spec.topics; *topic; topic++)
		rd_kafka_topic_partition_list_add(list, *topic, RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(k->in, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (!err)
		return 0;
	log_error("kafka", "the topics cannot be subscribed to",
		  KV_Z("reason", rd_kafka_err2str(err)));
	return E_CONFIG;
}

int kafka_in_open(struct adapt_kafka *k)
{
	const struct conf *c = &k->spec.svc->conf;
	char why[256], session[24], beat[24];
	const char *pairs[] = { "group.id",
				k->spec.group,
				"partition.assignment.strategy",
				"cooperative-sticky",
				"enable.auto.offset.store",
				"false",
				"enable.auto.commit",
				"false",
				"auto.offset.reset",
				c->kafka_start,
				"metadata.max.age.ms",
				KAFKA_METADATA_AGE_TEXT,
				"session.timeout.ms",
				session,
				"heartbeat.interval.ms",
				beat,
				"max.poll.interval.ms",
				"60000",
				"queued.min.messages",
				"1000",
				"queued.max.messages.kbytes",
				"4096",
				"fetch.wait.max.ms",
				"200",
				"fetch.error.backoff.ms",
				"200",
				"isolation.level",
				"read_committed",
				NULL };
	rd_kafka_conf_t *conf;

	snprintf(session, sizeof(session), "%lld", (long long)c->kafka_session_ms);
	snprintf(beat, sizeof(beat), "%lld", (long long)(c->kafka_session_ms / 4));
	conf = kafka_conf_new(k, pairs);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	k->in = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof(why));
	if (!k->in) {
		rd_kafka_conf_destroy(conf);
		log_error("kafka", "the consumer cannot be made: look at KAFKA_BROKER_URL",
			  KV_Z("reason", why));
		return E_CONFIG;
	}
	rd_kafka_poll_set_consumer(k->in);
	k->in_queue = rd_kafka_queue_get_consumer(k->in);
	kafka_listen(k, k->in_queue);
	if (kafka_commit_open(k))
		return E_NOMEM;
	return subscribe(k);
}

/* What comes here is no record but what librdkafka says instead of one. */
static void on_message(struct adapt_kafka *k, rd_kafka_message_t *m)
{
	const char *topic = m->rkt ? rd_kafka_topic_name(m->rkt) : "";

	if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
	    m->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
		if (k->last_error != (int)m->err)
			log_warn("kafka",
				 "a topic does not exist: create it; it is read as soon as it does",
				 KV_Z("topic", topic), KV_Z("reason", rd_kafka_message_errstr(m)));
		k->last_error = (int)m->err;
	} else if (m->err && m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		kafka_trouble(k, (int)m->err, rd_kafka_message_errstr(m));
	}
	rd_kafka_message_destroy(m);
}

void kafka_in_serve(struct adapt_kafka *k)
{
	rd_kafka_message_t *m;

	for (int i = 0; i < SERVE_MOST; i++) {
		m = rd_kafka_consumer_poll(k->in, 0);
		if (!m)
			break;
		on_message(k, m);
	}
	kafka_commit_serve(k);
	let_go(k);
}

void kafka_in_close(struct adapt_kafka *k)
{
	struct list *node;

	while ((node = list_first(&k->partitions)) != NULL)
		forget(CONTAINER_OF(node, struct kafka_partition, node));
	if (k->going)
		rd_kafka_topic_partition_list_destroy(k->going);
	k->going = NULL;
	kafka_commit_close(k);
	rd_kafka_queue_io_event_enable(k->in_queue, -1, NULL, 0);
	rd_kafka_queue_destroy(k->in_queue);
	rd_kafka_destroy_flags(k->in, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	k->in = NULL;
}

/* ── records ── */

static struct str header(const rd_kafka_message_t *m, const char *name)
{
	rd_kafka_headers_t *headers;
	const void *value;
	size_t n;

	if (rd_kafka_message_headers(m, &headers) ||
	    rd_kafka_header_get_last(headers, name, &value, &n) || !value)
		return STR_NONE;
	return str_make(value, n);
}

bool adapt_kafka_take(struct kafka_partition *p, struct kafka_record *r)
{
	rd_kafka_message_t *m = NULL;
	rd_kafka_timestamp_type_t type;

	while (p->queue && !p->going) {
		if (rd_kafka_consume_batch_queue(p->queue, 0, &m, 1) != 1)
			return false;
		if (!m->err)
			break;
		on_message(p->kafka, m);
		m = NULL;
	}
	if (!m)
		return false;
	*r = (struct kafka_record){
		.key = str_make(m->key, m->key_len),
		.value = str_make(m->payload, m->len),
		.is_null = !m->payload,
		.offset = m->offset,
		.timestamp_ms = rd_kafka_message_timestamp(m, &type),
		.id = header(m, "id"),
		.message = m,
	};
	p->seen++;
	if (p->done < 0 && p->committed < 0) { /* committed at once: so a deletion shows */
		p->done = m->offset;
		p->kafka->commit.due_ms = 0;
	}
	return true;
}

void kafka_record_free(struct kafka_record *r)
{
	if (r->message)
		rd_kafka_message_destroy(r->message);
	*r = (struct kafka_record){ .offset = r->offset };
}

void adapt_kafka_store(struct kafka_partition *p, int64_t next_offset)
{
	p->done = next_offset;
}

void adapt_kafka_restart(struct kafka_partition *p, int64_t offset)
{
	metrics_inc(METRIC_KAFKA_RENEWED);
	p->done = offset;
	p->committed = -1;
	p->kafka->commit.due_ms = 0;
}

size_t adapt_kafka_partitions(const struct adapt_kafka *k)
{
	return k->partition_count;
}

struct list *adapt_kafka_assigned(struct adapt_kafka *k)
{
	return &k->partitions;
}

void adapt_kafka_leave(struct adapt_kafka *k)
{
	rd_kafka_error_t *error;

	if (!k->in || k->leaving)
		return;
	k->leaving = true;
	error = rd_kafka_consumer_close_queue(k->in, k->in_queue);
	if (error) {
		log_debug("kafka", "leave", KV_Z("reason", rd_kafka_error_string(error)));
		rd_kafka_error_destroy(error);
	}
	k->woken = true;
}

bool adapt_kafka_left(struct adapt_kafka *k)
{
	return !k->in || (k->leaving && rd_kafka_consumer_closed(k->in));
}
