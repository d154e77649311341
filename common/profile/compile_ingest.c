/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/compile.h"

#include <stdio.h>

#define QUEUE_BYTES 200 /* AMQP 0-9-1 short strings hold 255; ".dead" and the like are added */

/* Without a word about RabbitMQ: PROFILE.events and PROFILE.realtime. */
static void set_rabbitmq(struct compile *c, const struct raw_rabbitmq *given)
{
	static const struct raw_rabbitmq none;
	const struct raw_rabbitmq *raw = given ? given : &none;
	size_t mark = compile_enter(c, "rabbitmq", -1);
	struct buf name = BUF_INIT(2 * QUEUE_BYTES);

	if (raw->exchange)
		(void)compile_name(c, "exchange", raw->exchange, QUEUE_BYTES);
	if (raw->queue)
		(void)compile_name(c, "queue", raw->queue, QUEUE_BYTES);
	buf_addf(&name, "%.64s.events", c->p->name);
	buf_addc(&name, 0);
	c->p->ingest.amqp_exchange = compile_dup(c, raw->exchange ? raw->exchange : name.p);
	buf_reset(&name);
	buf_addf(&name, "%.64s.realtime", c->p->name);
	buf_addc(&name, 0);
	c->p->ingest.amqp_queue = compile_dup(c, raw->queue ? raw->queue : name.p);
	c->p->ingest.amqp_queue_type = raw->queue_type && *raw->queue_type ? "quorum" : "classic";
	buf_fini(&name);
	compile_leave(c, mark);
}

#define TOPIC_BYTES 240 /* Kafka: 249; ".dead" is added */
#define KAFKA_TOPICS_MAX 64

/* Kafka: letters, digits, '.', '_' and '-' */
static void check_topic(struct compile *c, const char *key, const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (compile_name(c, key, name, TOPIC_BYTES) && name[strspn(name, allowed)])
		compile_fail(c, key, "found %.80s, allowed: letters, digits, '.', '_' and '-'",
			     name);
}

static void set_topics(struct compile *c, const struct raw_kafka *raw)
{
	struct profile_kafka *kafka = &c->p->ingest.kafka;
	uint32_t count = raw->topics_count;

	if (count > KAFKA_TOPICS_MAX) {
		compile_fail(c, "topics", "found %u, allowed: %d", count, KAFKA_TOPICS_MAX);
		count = KAFKA_TOPICS_MAX;
	}
	kafka->topics = compile_alloc(c, count * sizeof(*kafka->topics));
	kafka->topic_count = count;
	for (uint32_t i = 0; i < count; i++) {
		const struct raw_topic *from = &raw->topics[i];
		struct ingest_topic *to = &kafka->topics[i];
		size_t mark = compile_enter(c, "topics", i);

		check_topic(c, "topic", from->topic);
		if (from->env)
			(void)compile_name(c, "env", from->env, COMPILE_NAME_BYTES);
		if (from->type && !map_get(&c->p->ingest.events, str_of(from->type)))
			compile_fail(c, "type", "found %.80s, allowed: a type of `events`",
				     from->type);
		to->name = compile_dup(c, from->topic);
		to->env = from->env ? compile_dup(c, from->env) : NULL;
		to->type = from->type ? compile_dup(c, from->type) : NULL;
		compile_leave(c, mark);
	}
}

/* Behind the events: topics name their types. Without a word about Kafka: PROFILE.events. */
static void set_kafka(struct compile *c, const struct raw_kafka *raw)
{
	static const struct raw_kafka none;
	size_t mark = compile_enter(c, "kafka", -1);
	char events[128], group[128];
	struct raw_topic usual = { .topic = events };
	struct raw_kafka kafka = raw ? *raw : none;

	snprintf(events, sizeof(events), "%.64s.events", c->p->name);
	snprintf(group, sizeof(group), "%.64s.realtime", c->p->name);
	if (!kafka.topics_count) {
		kafka.topics = &usual;
		kafka.topics_count = 1;
	}
	if (kafka.group)
		(void)compile_name(c, "group", kafka.group, QUEUE_BYTES);
	set_topics(c, &kafka);
	c->p->ingest.kafka.group = compile_dup(c, kafka.group ? kafka.group : group);
	compile_leave(c, mark);
}

static void set_rooms(struct compile *c, const struct raw_ingest_event *raw,
		      const struct tmpl_scope *scope, struct ingest_event *e)
{
	uint32_t count = raw->rooms_count;

	if (count > INGEST_MAX_ROOMS) {
		compile_fail(c, "rooms", "found %u, allowed: %d", count, INGEST_MAX_ROOMS);
		count = INGEST_MAX_ROOMS;
	}
	e->rooms = compile_alloc(c, count * sizeof(*e->rooms));
	e->room_count = count;
	for (uint32_t i = 0; i < count; i++) {
		size_t mark = compile_enter(c, "rooms", i);

		(void)compile_room(c, NULL, raw->rooms[i], scope, &e->fields, COMPILE_WHERE_THERE,
				   &e->rooms[i]);
		compile_leave(c, mark);
	}
}

static void set_args(struct compile *c, const struct raw_ingest_event *raw,
		     const struct tmpl_scope *scope, struct ingest_event *e)
{
	char whole[] = "{body}";
	char *const fallback[] = { whole };

	e->args_count = raw->args_count ? raw->args_count : 1;
	e->args = compile_tmpls(c, "args", TMPL_JSON, raw->args_count ? raw->args : fallback,
				e->args_count, scope);
}

static void set_remove(struct compile *c, const struct raw_remove *raw,
		       const struct tmpl_scope *scope, struct ingest_event *e)
{
	size_t mark = compile_enter(c, "remove", -1);

	e->removes = compile_tmpl(c, "user", TMPL_TEXT, raw->user, scope, &e->fields,
				  COMPILE_WHERE_THERE, &e->remove_user);
	compile_when(c, raw->when, &e->fields, &e->remove_field, &e->remove_any,
		     &e->remove_any_count);
	compile_leave(c, mark);
}

static void set_event(struct compile *c, const struct raw_ingest_event *raw, struct ingest_event *e)
{
	struct compile_scope scope;

	if (raw->emit)
		(void)compile_name(c, "type", raw->type, COMPILE_EVENT_BYTES);
	e->type = compile_dup_str(c, str_of(raw->type));
	e->nsp = compile_dup_str(c, str_of(raw->nsp ? raw->nsp : "/"));
	if (!profile_nsp_find(c->p, e->nsp))
		compile_fail(c, raw->nsp ? "namespace" : NULL,
			     "found %.80s, allowed: a namespace of this profile", e->nsp.p);
	(void)compile_event_name(c, raw->emit ? "emit" : "type", raw->emit ? raw->emit : raw->type);
	e->emit = compile_dup_str(c, str_of(raw->emit ? raw->emit : raw->type));
	compile_fields(c, raw->fields, raw->fields_count, &e->fields);
	compile_scope(&scope, &e->fields, 1u << TMPL_BODY);
	set_rooms(c, raw, &scope.scope, e);
	set_args(c, raw, &scope.scope, e);
	e->is_volatile = raw->is_volatile;
	if (raw->remove)
		set_remove(c, raw->remove, &scope.scope, e);
}

void compile_ingest(struct compile *c, const struct raw_ingest *raw)
{
	struct profile_ingest *ingest = &c->p->ingest;
	size_t mark = compile_enter(c, "ingest", -1);

	set_rabbitmq(c, raw ? raw->rabbitmq : NULL);
	if (!raw) {
		compile_leave(c, mark);
		return;
	}
	ingest->event_list = compile_alloc(c, raw->events_count * sizeof(*ingest->event_list));
	for (uint32_t i = 0; i < raw->events_count; i++) {
		size_t deeper = compile_enter(c, "events", i);
		int err;

		set_event(c, &raw->events[i], &ingest->event_list[i]);
		ingest->event_count = i + 1;
		err = map_put(&ingest->events, &ingest->event_list[i]);
		if (err)
			compile_fail(c, "type", "found %.80s %s, allowed: once",
				     raw->events[i].type,
				     err == E_EXISTS ? "a second time" : "and no memory");
		compile_leave(c, deeper);
	}
	set_kafka(c, raw->kafka);
	compile_leave(c, mark);
}
