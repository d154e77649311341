/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events from Kafka. A partition is a lane of its own: its records go to the router in their order, up to a share of INGEST_IN_FLIGHT at a time; settled means that the router has
 * it, or that the dead letters do. Its offset is stored up to where all are settled. A lane that is full is not read, others are.
 *
 *   adapt_kafka_take ─▶ map ─▶ event_publish ──accepted──────────────▶ settled ─▶ watermark ─▶ adapt_kafka_store
 *                        │                    └─not now─▶ lane->again ─▶ …
 *                        └─cannot be mapped─▶ <topic>.dead ──reported──▶ settled
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/ingest.h"
#include "services/ingest/kafka_event.h"
#include "services/ingest/window.h"

#define REASON_BYTES 256
#define GOING_MS \
	2000u /* what the router does not answer by then comes again, at whoever has the partition */
#define RETRY_MS 50u
#define WINDOW_MOST 10000u /* settled records behind one that is not: read again after a crash */
#define TOPIC_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

struct topic {
	char *name;
	const char *type; /* NULL: in the record */
};

struct source_kafka {
	struct ingest *ingest;
	struct topic *topics;
	const char **names; /* ends with NULL */
	uint32_t topic_count;
	struct list lanes; /* struct lane */
	size_t under_way;
	uint64_t body_max;
	bool draining;
};

struct lane {
	struct list node;
	struct source_kafka *source;
	struct kafka_partition *partition; /* NULL: not ours any more; freed with the last record */
	int32_t number;                    /* of the partition */
	bool elder; /* its topic is gone: what was taken cannot come again, so it is tried to the end */
	const struct topic *topic;
	uint64_t router_lane;
	struct window window;
	struct list again; /* struct passage, by offset: not now */
	uint64_t retry_ms; /* not before */
	uint64_t going_due_ms;
	bool dead_told; /* that dead letters cannot be written */
	uint32_t busy;  /* at the router or on their way to the dead letters */
};

struct passage {
	struct window_entry entry;
	struct list node; /* lane->again */
	struct lane *lane;
	struct kafka_record record;
	uint64_t since_ns;
	char *reason; /* why it goes to the dead letters; NULL: it goes to the router */
	bool without_value;
};

static struct passage *passage_of(struct list *node)
{
	return CONTAINER_OF(node, struct passage, node);
}

static void tell_counts(struct source_kafka *s)
{
	metrics_set(METRIC_KAFKA_PENDING, s->under_way);
}

/* ── lanes ── */

static void lane_free_if_done(struct lane *lane)
{
	if (lane->partition || lane->busy || !list_empty(&lane->again))
		return;
	while (!list_empty(&lane->window.entries)) {
		struct window_entry *e =
			CONTAINER_OF(list_pop(&lane->window.entries), struct window_entry, node);
		mem_free(CONTAINER_OF(e, struct passage, entry));
	}
	list_remove(&lane->node);
	mem_free(lane);
}

/* The bytes go at once, the place in the window when those before it are settled. */
static void passage_end(struct passage *p)
{
	struct source_kafka *s = p->lane->source;

	kafka_record_free(&p->record);
	mem_free(p->reason);
	p->reason = NULL;
	window_settle(&p->lane->window, &p->entry);
	s->under_way--;
	tell_counts(s);
}

static void store(struct lane *lane)
{
	struct window_entry *e;
	int64_t next = -1;

	while ((e = window_pop(&lane->window)) != NULL) {
		next = e->offset + 1;
		mem_free(CONTAINER_OF(e, struct passage, entry));
	}
	if (next >= 0 && lane->partition)
		adapt_kafka_store(lane->partition, next);
}

/* Nothing more is stored for it; what was not sent yet is forgotten: it comes again to whoever has the partition then. */
static void lane_detach(struct lane *lane)
{
	struct list *node;

	lane->partition = NULL;
	while ((node = list_pop(&lane->again)) != NULL)
		passage_end(passage_of(node));
	lane_free_if_done(lane);
}

static void lane_new(struct source_kafka *s, struct kafka_partition *partition)
{
	struct lane *lane = mem_need(sizeof(*lane));
	char text[300];

	lane->source = s;
	lane->partition = partition;
	lane->number = partition->number;
	partition->user = lane;
	for (uint32_t i = 0; i < s->topic_count; i++)
		if (!strcmp(s->topics[i].name, partition->topic))
			lane->topic = &s->topics[i];
	snprintf(text, sizeof(text), "%s/%d", partition->topic, (int)partition->number);
	lane->router_lane = hash_stable64(str_of(text));
	window_init(&lane->window);
	list_init(&lane->again);
	list_append(&s->lanes, &lane->node);
}

/* Offsets of the partition begin anew: another window for them. */
static void on_renewed(void *ctx, struct kafka_partition *partition)
{
	struct lane *elder = partition->user;

	lane_new(ctx, partition);
	elder->partition = NULL;
	elder->elder = true;
	lane_free_if_done(elder);
}

static void let_go(struct lane *lane)
{
	struct kafka_partition *partition = lane->partition;

	lane_detach(lane);
	adapt_kafka_release(partition);
}

static void on_assigned(void *ctx, struct kafka_partition *partition)
{
	lane_new(ctx, partition);
}

static void on_revoked(void *ctx, struct kafka_partition *partition, bool lost)
{
	struct lane *lane = partition->user;
	struct list *node;

	(void)ctx;
	lane->going_due_ms = clock_ms() + GOING_MS;
	while ((node = list_pop(&lane->again)) != NULL) {
		struct passage *p = passage_of(node);

		kafka_record_free(&p->record); /* not settled: holds the watermark */
		mem_free(p->reason);
		p->reason = NULL;
		lane->source->under_way--;
	}
	tell_counts(lane->source);
	if (lost || !lane->busy)
		let_go(lane);
}

/* ── records ── */

static void try_again(struct passage *p)
{
	struct lane *lane = p->lane;
	struct list *at = &lane->again;

	metrics_inc(METRIC_KAFKA_RETRIED);
	lane->retry_ms = clock_ms() + RETRY_MS;
	LIST_EACH(&lane->again, node, after) {
		if (passage_of(node)->entry.offset > p->entry.offset)
			break;
		at = node;
	}
	list_insert_after(at, &p->node);
}

/* One that was under way has come to an end of this kind; may free the lane. */
static void landed(struct passage *p, bool settled)
{
	struct lane *lane = p->lane;
	struct source_kafka *s = lane->source;

	lane->busy--;
	if (settled) {
		passage_end(p);
		store(lane);
	} else if (lane->elder || (lane->partition && !lane->partition->going)) {
		try_again(p);
	} else { /* it comes again elsewhere: holds the watermark, and its bytes go */
		kafka_record_free(&p->record);
		mem_free(p->reason);
		p->reason = NULL;
		s->under_way--;
		tell_counts(s);
	}
	if (lane->partition && lane->partition->going && !lane->busy)
		let_go(lane);
	else
		lane_free_if_done(lane);
	if (settled)
		adapt_kafka_wake(s->ingest->kafka);
}

static void on_dead(void *ctx, int err)
{
	struct passage *p = ctx;

	if (err != E_TOOBIG) {
		if (err && err != E_CLOSED && !p->lane->dead_told)
			log_warn("kafka",
				 "dead letters cannot be written, so nothing is committed past "
				 "them; tried again: is there the topic, may we write it?",
				 KV_Z("topic", p->lane->topic->name), KV_Z("to", ".dead"),
				 KV_ERR(err));
		p->lane->dead_told = err != 0;
		landed(p, err == 0);
		return;
	}
	if (!p->without_value) {
		log_warn("kafka",
			 "a dead letter is over the broker's limit: it is written without its body",
			 KV_Z("topic", p->lane->topic->name), KV_I("offset", p->entry.offset));
		p->without_value = true;
		landed(p, false);
		return;
	}
	log_error("kafka", "a dead letter is over the broker's limit even without body: dropped",
		  KV_Z("topic", p->lane->topic->name), KV_I("offset", p->entry.offset));
	landed(p, true);
}

static int send_dead(struct passage *p)
{
	char topic[300];
	int err;

	snprintf(topic, sizeof(topic), "%s.dead", p->lane->topic->name);
	err = adapt_kafka_dead(p->lane->source->ingest->kafka, topic, &p->record, str_of(p->reason),
			       p->without_value, on_dead, p);
	if (err != E_TOOBIG)
		return err;
	if (p->without_value) { /* see on_dead */
		p->lane->busy++;
		on_dead(p, E_TOOBIG);
		return 0;
	}
	p->without_value = true;
	return send_dead(p);
}

static void bury(struct passage *p, struct str reason)
{
	metrics_inc(METRIC_INGEST_DEAD);
	log_warn("kafka", "an event cannot be mapped: it goes to the dead letters",
		 KV_Z("topic", p->lane->topic->name), KV_I("partition", p->lane->number),
		 KV_I("offset", p->entry.offset), KV_STR("reason", reason));
	if (reason.n > REASON_BYTES)
		reason.n = REASON_BYTES;
	p->reason = str_dup(reason);
}

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct passage *p = ctx;

	(void)duplicate;
	if (err == 0)
		metrics_observe_ns(METRIC_H_ACCEPT, clock_exact_ns() - p->since_ns);
	else if (err == E_DENIED && !str_is(code, "UNAVAILABLE"))
		bury(p, code);
	landed(p, err == 0);
}

static int send_event(struct passage *p, struct buf *why)
{
	struct buf scratch = BUF_INIT(1024);
	struct json_value body;
	struct str type;
	char text[400];
	int err = kafka_event_read(&p->record, p->lane->topic->type, p->lane->source->body_max,
				   &scratch, &body, &type, why);

	if (!err) {
		p->lane->busy++; /* a volatile event lands before the call returns */
		err = event_publish(p->lane->source->ingest, type, body,
				    kafka_event_id(&p->record, p->lane->topic->name,
						   p->lane->number, text, sizeof(text)),
				    p->lane->router_lane, on_published, p, why);
		if (err)
			p->lane->busy--;
	}
	buf_fini(&scratch);
	return err;
}

/* 0: on its way; else not now. */
static int send_on(struct passage *p)
{
	struct buf why = BUF_INIT(512);
	int err;

	if (!p->reason) {
		err = send_event(p, &why);
		if (!err || ((err == E_FULL || err == E_NOMEM || err == E_UNAVAILABLE) && !why.n)) {
			buf_fini(&why);
			return err;
		}
		if (!why.n)
			buf_addz(&why, err_text(err));
		bury(p, buf_str(&why));
	}
	buf_fini(&why);
	if (!p->reason)
		return E_NOMEM;
	p->lane->busy++;
	err = send_dead(p);
	if (err)
		p->lane->busy--;
	return err;
}

/* ── taking ── */

static struct passage *take(struct lane *lane)
{
	struct source_kafka *s = lane->source;
	struct passage *p = mem_try(sizeof(*p));

	if (!p || !adapt_kafka_take(lane->partition, &p->record)) {
		mem_free(p);
		return NULL;
	}
	if (p->record.offset <= lane->window.last) {
		struct kafka_partition *partition = lane->partition;

		log_warn("kafka", "a partition has begun anew: its topic was made again",
			 KV_Z("topic", partition->topic), KV_I("partition", partition->number),
			 KV_I("offset", p->record.offset));
		adapt_kafka_restart(partition, p->record.offset);
		on_renewed(s, partition);
		lane = partition->user;
	}
	p->lane = lane;
	p->since_ns = clock_exact_ns();
	list_init(&p->node);
	(void)window_add(&lane->window, &p->entry, p->record.offset);
	s->under_way++;
	metrics_inc(METRIC_INGEST_KAFKA);
	return p;
}

/* Those that had to wait, in their order. false: they still do. */
static bool retry(struct lane *lane)
{
	struct list *node;

	if (!list_empty(&lane->again) && clock_ms() < lane->retry_ms)
		return false;
	while ((node = list_first(&lane->again)) != NULL) {
		list_remove(node);
		if (send_on(passage_of(node))) {
			list_prepend(&lane->again, node);
			lane->retry_ms = clock_ms() + RETRY_MS;
			return false;
		}
	}
	return true;
}

static void retry_elders(struct source_kafka *s)
{
	LIST_EACH(&s->lanes, node, after) {
		struct lane *lane = CONTAINER_OF(node, struct lane, node);

		if (!lane->elder || list_empty(&lane->again))
			continue;
		lane->busy++; /* not freed while it is run */
		(void)retry(lane);
		lane->busy--;
		lane_free_if_done(lane);
	}
}

static bool run_lane(struct lane *lane, size_t share)
{
	struct source_kafka *s = lane->source;
	struct kafka_partition *partition = lane->partition;
	size_t most = (size_t)s->ingest->svc->conf.ingest_in_flight;

	if (!retry(lane))
		return false;
	while (!s->draining && s->under_way < most) {
		struct passage *p;

		lane = partition->user;
		if (lane->window.unsettled >= share || lane->window.count >= WINDOW_MOST)
			return false;
		p = take(lane);
		if (!p)
			return true;
		if (send_on(p)) {
			try_again(p);
			return false;
		}
	}
	return s->draining;
}

static void on_turn(void *ctx)
{
	struct source_kafka *s = ctx;
	size_t count = adapt_kafka_partitions(s->ingest->kafka), held = 0, share;
	uint64_t now = clock_ms();

	share = (size_t)s->ingest->svc->conf.ingest_in_flight / (count ? count : 1);
	if (share == 0)
		share = 1;
	retry_elders(s);
	LIST_EACH(adapt_kafka_assigned(s->ingest->kafka), node, after) {
		struct kafka_partition *partition =
			CONTAINER_OF(node, struct kafka_partition, node);
		struct lane *lane = partition->user;

		if (partition->going) {
			if (now >= lane->going_due_ms)
				let_go(lane);
			continue;
		}
		held += !run_lane(lane, share);
	}
	/* the next turn begins with another partition */
	if (count > 1) {
		struct list *first = list_pop(adapt_kafka_assigned(s->ingest->kafka));

		list_append(adapt_kafka_assigned(s->ingest->kafka), first);
	}
	metrics_set(METRIC_KAFKA_PARTITIONS_HELD, held);
	tell_counts(s);
	if (s->draining && s->under_way == 0)
		adapt_kafka_leave(s->ingest->kafka);
}

/* ── life ── */

static struct source_kafka *source_new(struct ingest *ingest, int *err)
{
	const struct profile_kafka *profile = &ingest->profile->ingest.kafka;
	struct source_kafka *s = mem_need(sizeof(*s));

	s->ingest = ingest;
	s->body_max = (uint64_t)ingest->svc->conf.max_payload * 2;
	s->topic_count = profile->topic_count;
	s->topics = mem_need(s->topic_count * sizeof(*s->topics));
	s->names = mem_need((s->topic_count + 1) * sizeof(*s->names));
	list_init(&s->lanes);
	for (uint32_t i = 0; i < s->topic_count; i++) {
		const struct ingest_topic *from = &profile->topics[i];
		const char *renamed = from->env ? getenv(from->env) : NULL;

		if (renamed && renamed[strspn(renamed, TOPIC_CHARS)]) {
			log_error("kafka", "the new name of a topic is none",
				  KV_Z("variable", from->env), KV_Z("found", renamed),
				  KV_Z("allowed", "letters, digits, '.', '_' and '-'"));
			renamed = NULL;
			*err = E_CONFIG;
		}

		s->topics[i].name = mem_need_dup(renamed && *renamed ? renamed : from->name);
		s->topics[i].type = from->type;
		s->names[i] = s->topics[i].name;
	}
	return s;
}

int source_kafka_open(struct ingest *ingest)
{
	const struct conf *conf = &ingest->svc->conf;
	struct adapt_kafka_spec spec = {
		.svc = ingest->svc,
		.brokers = conf->kafka_broker_url,
		.client_id = conf->kafka_client_id,
		.group = ingest->profile->ingest.kafka.group,
		.assigned = on_assigned,
		.revoked = on_revoked,
		.renewed = on_renewed,
	};
	int err = 0;

	if (!conf->kafka_broker_url[0])
		return 0;
	if (ingest->profile->ingest.kafka.topic_count) {
		ingest->kafka_in = source_new(ingest, &err);
		spec.topics = ingest->kafka_in->names;
		spec.turn = on_turn;
		spec.ctx = ingest->kafka_in;
	} else {
		log_info("kafka", "the profile takes no events: Kafka is only produced to");
	}
	return err ? err : adapt_kafka_open(&spec, &ingest->kafka);
}

void source_kafka_drain(struct ingest *ingest)
{
	if (!ingest->kafka_in)
		return;
	ingest->kafka_in->draining = true;
	adapt_kafka_wake(ingest->kafka);
}

bool source_kafka_drained(struct ingest *ingest)
{
	return !ingest->kafka_in || adapt_kafka_left(ingest->kafka);
}

size_t source_kafka_under_way(const struct ingest *ingest)
{
	return ingest->kafka_in ? ingest->kafka_in->under_way : 0;
}

/* Behind router_clnt_close: nothing is at the router any more. */
void source_kafka_close(struct ingest *ingest)
{
	struct source_kafka *s = ingest->kafka_in;

	if (s) {
		LIST_EACH(&s->lanes, node, after) {
			struct lane *lane = CONTAINER_OF(node, struct lane, node);

			LIST_EACH(&lane->window.entries, entry, next) {
				struct passage *p =
					CONTAINER_OF(CONTAINER_OF(entry, struct window_entry, node),
						     struct passage, entry);

				kafka_record_free(&p->record);
			}
			lane->partition = NULL;
		}
	}
	adapt_kafka_close(&ingest->kafka); /* reports of dead letters run */
	if (!s)
		return;
	LIST_EACH(&s->lanes, node, after)
		lane_detach(CONTAINER_OF(node, struct lane, node));
	for (uint32_t i = 0; i < s->topic_count; i++)
		mem_free(s->topics[i].name);
	mem_free(s->topics);
	mem_free(s->names);
	mem_free(s);
	ingest->kafka_in = NULL;
}
