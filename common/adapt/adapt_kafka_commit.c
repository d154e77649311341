/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the group has committed. Brokers forget a group's offsets of a topic together with the topic, and that is the only sign that tells a topic that was made again,
 * and has as many records as the one before, from one that was never gone. So what is committed is asked for once a second, and always just before a commit:
 *
 *   IDLE ──ask──▶ ASKING ──answer──▶ COMMITTING ──report──▶ IDLE        one round at a time: an answer is never older than our own commit
 *                    └─ something was committed, and now nothing is ─▶ the partition begins anew
 *
 * Partitions that go away are committed the same way, before the group may give them to others.
 */
#include "common/adapt/adapt_kafka_impl.h"
#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define ROUND_MS 1000u
#define ASK_TIMEOUT_MS 3000
#define STUCK_MS \
	30000u /* above all time limits of librdkafka: not to be had, but commits must not hang on it */
#define PARTING_MS \
	2000u /* the group waits for us: what is not committed by then is read again by others */
#define ASKS_FAILED_MOST \
	3u /* in a row: then it is committed without an answer, or the pile to be read again would grow */
/* librdkafka asks a coordinator that is none any more until it forgets it, which is KAFKA_METADATA_AGE_MS after it was asked last. */
#define COORDINATOR_MS (KAFKA_METADATA_AGE_MS + 5000u)

int kafka_commit_open(struct adapt_kafka *k)
{
	k->commit.queue = rd_kafka_queue_new(k->in);
	if (!k->commit.queue)
		return E_NOMEM;
	kafka_listen(k, k->commit.queue);
	return 0;
}

void kafka_commit_close(struct adapt_kafka *k)
{
	if (!k->commit.queue)
		return;
	kafka_parting_clear(k);
	rd_kafka_queue_io_event_enable(k->commit.queue, -1, NULL, 0);
	rd_kafka_queue_destroy(k->commit.queue);
	k->commit.queue = NULL;
}

static void end_round(struct adapt_kafka *k)
{
	if (k->commit.with_parting)
		kafka_parting_clear(k);
	k->commit.state = KAFKA_COMMIT_IDLE;
	k->woken = true; /* let_go may have waited for this */
}

/* ── partitions that go ── */

void kafka_parting_clear(struct adapt_kafka *k)
{
	if (k->commit.parting)
		rd_kafka_topic_partition_list_destroy(k->commit.parting);
	k->commit.parting = NULL;
	k->commit.parting_due_ms = 0;
	k->commit.with_parting = false;
}

void kafka_parting_add(struct kafka_partition *p)
{
	struct kafka_commit *c = &p->kafka->commit;
	rd_kafka_topic_partition_t *one;

	if (p->done < 0 || p->done == p->committed)
		return;
	if (!c->parting)
		c->parting = rd_kafka_topic_partition_list_new(1);
	one = rd_kafka_topic_partition_list_add(c->parting, p->topic, p->number);
	one->offset = p->done;
	one->opaque = p->committed >= 0 ? c : NULL; /* something was committed */
}

bool kafka_parting_waits(struct adapt_kafka *k)
{
	struct kafka_commit *c = &k->commit;
	uint64_t now = clock_ms();

	if (!c->parting)
		return false;
	if (!c->parting_due_ms) {
		c->parting_due_ms = now + PARTING_MS;
		c->due_ms = 0;
	}
	if (k->up && now < c->parting_due_ms)
		return true;
	kafka_parting_clear(k);
	return false;
}

/* ── commit ── */

static void commit(struct adapt_kafka *k)
{
	struct kafka_commit *c = &k->commit;
	rd_kafka_topic_partition_list_t *list =
		c->with_parting && c->parting
			? rd_kafka_topic_partition_list_copy(c->parting)
			: rd_kafka_topic_partition_list_new((int)k->partition_count);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__NO_OFFSET;

	LIST_EACH(&k->partitions, node, after) {
		struct kafka_partition *p = CONTAINER_OF(node, struct kafka_partition, node);

		if (p->done >= 0 && p->done != p->committed)
			rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset =
				p->done;
	}
	for (int i = 0; i < list->cnt; i++)
		list->elems[i].opaque = NULL;
	if (list->cnt)
		err = rd_kafka_commit_queue(k->in, list, c->queue, NULL, (void *)c->round);
	rd_kafka_topic_partition_list_destroy(list);
	c->state = KAFKA_COMMIT_REPORT;
	if (err)
		end_round(k);
}

static void on_report(struct adapt_kafka *k, rd_kafka_event_t *event)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);

	for (int i = 0; list && i < list->cnt; i++) {
		rd_kafka_topic_partition_t *one = &list->elems[i];
		struct kafka_partition *p = kafka_in_find(k, one->topic, one->partition);

		if (one->err)
			err = one->err;
		else if (!err && p)
			p->committed = one->offset;
	}
	/* deleted: the next answer says so */
	if (err && err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
		metrics_inc(METRIC_KAFKA_COMMITS_FAILED);
		kafka_trouble(k, err, NULL);
	}
	end_round(k);
}

/* ── ask ── */

/* Its position is one in a topic that is gone. */
static void renew(struct kafka_partition *p)
{
	struct adapt_kafka *k = p->kafka;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_error_t *error;

	log_warn("kafka", "a topic was deleted: its partition is read from the beginning",
		 KV_Z("topic", p->topic), KV_I("partition", p->number),
		 KV_I("position", p->done >= 0 ? p->done : p->committed));
	adapt_kafka_restart(p, -1);
	if (p->going)
		return;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = 0;
	error = rd_kafka_seek_partitions(k->in, list, 0);
	if (error) {
		log_warn("kafka", "a partition cannot be set to its beginning",
			 KV_Z("topic", p->topic), KV_I("partition", p->number),
			 KV_Z("reason", rd_kafka_error_string(error)));
		rd_kafka_error_destroy(error);
	}
	rd_kafka_topic_partition_list_destroy(list);
	if (k->spec.renewed)
		k->spec.renewed(k->spec.ctx, p);
}

static void renew_parting(struct adapt_kafka *k, const char *topic, int32_t number)
{
	struct kafka_commit *c = &k->commit;
	rd_kafka_topic_partition_t *one;

	if (!c->with_parting || !c->parting)
		return;
	one = rd_kafka_topic_partition_list_find(c->parting, topic, number);
	if (!one || !one->opaque)
		return;
	log_info("kafka", "a topic was deleted: nothing is committed of its partition",
		 KV_Z("topic", topic), KV_I("partition", number));
	rd_kafka_topic_partition_list_del(c->parting, topic, number);
}

static void on_committed(struct adapt_kafka *k, const rd_kafka_topic_partition_t *one)
{
	struct kafka_partition *p = kafka_in_find(k, one->topic, one->partition);

	if (one->offset >= 0) {
		if (p)
			p->committed = one->offset;
		return;
	}
	if (p && p->committed >= 0)
		renew(p);
	renew_parting(k, one->topic, one->partition);
}

/* 0, or why there is none. */
static rd_kafka_resp_err_t read_answer(rd_kafka_event_t *event,
				       const rd_kafka_topic_partition_list_t **list)
{
	rd_kafka_resp_err_t err = rd_kafka_event_error(event);
	const rd_kafka_group_result_t **groups;
	const rd_kafka_error_t *error;
	size_t n = 0;

	if (err)
		return err;
	groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
		rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
	if (n != 1)
		return RD_KAFKA_RESP_ERR__BAD_MSG;
	error = rd_kafka_group_result_error(groups[0]);
	if (error)
		return rd_kafka_error_code(error);
	*list = rd_kafka_group_result_partitions(groups[0]);
	for (int i = 0; *list && i < (*list)->cnt; i++)
		if ((*list)->elems[i].err)
			return (*list)->elems[i].err;
	return *list ? RD_KAFKA_RESP_ERR_NO_ERROR : RD_KAFKA_RESP_ERR__BAD_MSG;
}

static void on_answer(struct adapt_kafka *k, rd_kafka_event_t *event)
{
	const rd_kafka_topic_partition_list_t *list = NULL;
	struct kafka_commit *c = &k->commit;
	rd_kafka_resp_err_t err = read_answer(event, &list);

	if (err || !list) {
		c->failed++;
		metrics_inc(METRIC_KAFKA_COMMITS_FAILED);
		kafka_trouble(k, (int)err, NULL);
		if (err == RD_KAFKA_RESP_ERR_NOT_COORDINATOR)
			c->unasked_until_ms = clock_ms() + COORDINATOR_MS;
		if (c->failed >= ASKS_FAILED_MOST || c->unasked_until_ms > clock_ms())
			commit(k);
		else
			end_round(k);
		return;
	}
	c->failed = 0;
	for (int i = 0; i < list->cnt; i++)
		on_committed(k, &list->elems[i]);
	commit(k);
}

static void ask(struct adapt_kafka *k)
{
	struct kafka_commit *c = &k->commit;
	rd_kafka_topic_partition_list_t *list =
		c->with_parting ? rd_kafka_topic_partition_list_copy(c->parting)
				: rd_kafka_topic_partition_list_new((int)k->partition_count);
	rd_kafka_AdminOptions_t *options =
		rd_kafka_AdminOptions_new(k->in, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	rd_kafka_ListConsumerGroupOffsets_t *question;
	char why[128];

	LIST_EACH(&k->partitions, node, after) {
		struct kafka_partition *p = CONTAINER_OF(node, struct kafka_partition, node);

		rd_kafka_topic_partition_list_add(list, p->topic, p->number);
	}
	for (int i = 0; i < list->cnt; i++)
		list->elems[i].opaque = NULL;
	question = rd_kafka_ListConsumerGroupOffsets_new(k->spec.group, list);
	(void)rd_kafka_AdminOptions_set_request_timeout(options, ASK_TIMEOUT_MS, why, sizeof(why));
	rd_kafka_AdminOptions_set_opaque(options, (void *)c->round);
	rd_kafka_ListConsumerGroupOffsets(k->in, &question, 1, options, c->queue);
	rd_kafka_ListConsumerGroupOffsets_destroy(question);
	rd_kafka_AdminOptions_destroy(options);
	rd_kafka_topic_partition_list_destroy(list);
	c->state = KAFKA_COMMIT_ANSWER;
}

/* ── rounds ── */

static void serve_events(struct adapt_kafka *k)
{
	rd_kafka_event_t *event;

	while ((event = rd_kafka_queue_poll(k->commit.queue, 0)) != NULL) {
		rd_kafka_event_type_t type = rd_kafka_event_type(event);
		bool ours = (uintptr_t)rd_kafka_event_opaque(event) == k->commit.round;

		if (ours && type == RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT &&
		    k->commit.state == KAFKA_COMMIT_ANSWER)
			on_answer(k, event);
		else if (ours && type == RD_KAFKA_EVENT_OFFSET_COMMIT &&
			 k->commit.state == KAFKA_COMMIT_REPORT)
			on_report(k, event);
		rd_kafka_event_destroy(event);
	}
}

void kafka_commit_serve(struct adapt_kafka *k)
{
	struct kafka_commit *c = &k->commit;
	uint64_t now = clock_ms();

	serve_events(k);
	if (c->state != KAFKA_COMMIT_IDLE && now >= c->stuck_ms)
		end_round(k);
	if (c->state != KAFKA_COMMIT_IDLE || !k->up || now < c->due_ms)
		return;
	c->with_parting = c->parting && c->parting_due_ms;
	if (!k->partition_count && !c->with_parting)
		return;
	c->due_ms = now + ROUND_MS;
	c->stuck_ms = now + STUCK_MS;
	c->round++;
	if (now < c->unasked_until_ms)
		commit(k);
	else
		ask(k);
}
