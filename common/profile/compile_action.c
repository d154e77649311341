/* SPDX-License-Identifier: Apache-2.0 */
/* What happens: the actions of events, of connecting, and of presence. */
#include <stdlib.h>

#include "common/profile/compile.h"

#define TOPIC_BYTES 249 /* Kafka's longest */

static struct str json_name(struct compile *c, struct str name)
{
	struct buf out = BUF_INIT(8 * COMPILE_EVENT_BYTES);
	struct str kept;

	buf_add_json(&out, name);
	kept = compile_dup_str(c, buf_str(&out));
	buf_fini(&out);
	return kept;
}

/* ── actions ── */

static const char *action_key(const struct raw_action *raw, int *count)
{
	const struct {
		const char *key;
		const char *text;
	} kinds[] = {
		[ACTION_JOIN] = { "join", raw->join },
		[ACTION_LEAVE] = { "leave", raw->leave },
		[ACTION_ACK] = { "ack", raw->ack },
		[ACTION_EMIT] = { "emit", raw->emit },
		[ACTION_RELAY] = { "relay", raw->relay },
		[ACTION_PRODUCE] = { "produce", raw->produce },
	};
	const char *key = NULL;

	*count = 0;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].text) {
			key = kinds[i].key;
			++*count;
		}
	return key;
}

static enum action_kind action_kind(const struct raw_action *raw)
{
	if (raw->join)
		return ACTION_JOIN;
	if (raw->leave)
		return ACTION_LEAVE;
	if (raw->ack)
		return ACTION_ACK;
	if (raw->produce)
		return ACTION_PRODUCE;
	return raw->emit ? ACTION_EMIT : ACTION_RELAY;
}

/* Keys that do nothing with this action are errors. */
static void check_keys(struct compile *c, const struct raw_action *raw, enum action_kind kind)
{
	bool sends = kind == ACTION_EMIT || kind == ACTION_RELAY;

	if (raw->args && !sends)
		compile_fail(c, "args", "found it, allowed: only with emit and relay");
	if (raw->rooms && kind != ACTION_RELAY)
		compile_fail(c, "rooms", "found it, allowed: only with relay");
	if (raw->to && kind != ACTION_RELAY)
		compile_fail(c, "to", "found it, allowed: only with relay");
	if (raw->is_volatile && kind != ACTION_RELAY)
		compile_fail(c, "volatile", "found it, allowed: only with relay");
	if (raw->confirm && kind != ACTION_RELAY)
		compile_fail(c, "confirm", "found it, allowed: only with relay");
	if (raw->presence && kind != ACTION_JOIN)
		compile_fail(c, "presence", "found it, allowed: only with join");
	if ((raw->broker || raw->topic_env || raw->key || raw->value) && kind != ACTION_PRODUCE)
		compile_fail(c,
			     raw->broker      ? "broker"
			     : raw->topic_env ? "topic_env"
			     : raw->key       ? "key"
					      : "value",
			     "found it, allowed: only with produce");
	if (kind == ACTION_PRODUCE && !raw->value)
		compile_fail(c, NULL, "found produce without value, allowed: value: '{…}'");
	if (raw->unless_ack && kind != ACTION_EMIT)
		compile_fail(c, "unless_ack", "found it, allowed: only with emit");
	if (kind == ACTION_RELAY && !raw->rooms)
		compile_fail(c, NULL,
			     "found relay without rooms, allowed: rooms: [\"ticket:{ticketId}\"]");
	if (kind == ACTION_RELAY && !raw->to)
		compile_fail(c, NULL, "found relay without to, allowed: to: others, or to: all");
}

void compile_when(struct compile *c, const struct raw_when_field *raw,
		  const struct field_list *fields, int32_t *field, char ***any, uint32_t *count)
{
	size_t mark;

	*field = -1;
	if (!raw)
		return;
	mark = compile_enter(c, "when", -1);
	for (uint32_t i = 0; fields && i < fields->count; i++)
		if (str_is(str_of(raw->field), fields->fields[i].name))
			*field = (int32_t)i;
	if (*field < 0)
		compile_fail(c, "field", "found %.80s, allowed: one of `fields`", raw->field);
	*any = compile_alloc(c, (raw->any_count + 1) * sizeof(**any));
	for (uint32_t i = 0; i < raw->any_count; i++)
		(*any)[i] = compile_dup(c, raw->any[i]);
	*count = raw->any_count;
	compile_leave(c, mark);
}

bool compile_args(struct compile *c, const char *key, const char *text,
		  const struct compile_place *at, struct tmpl *t)
{
	struct buf sample = BUF_INIT(8 * TMPL_MAX_BYTES);
	struct json_value v;
	bool good = compile_tmpl(c, key, TMPL_JSON, text ? text : "", at->scope, at->fields,
				 COMPILE_ALWAYS, t);

	if (good && c->p->dialect == PROFILE_PLAIN && text && text[0]) {
		tmpl_sample(t, &sample);
		good = json_parse(buf_str(&sample), &v) == 0;
		if (!good)
			compile_fail(c, key, "found several values, allowed: one (dialect: plain)");
	}
	buf_fini(&sample);
	return good;
}

static void set_rooms(struct compile *c, const struct raw_action *raw,
		      const struct compile_place *at, struct action *a)
{
	a->rooms = compile_alloc(c, raw->rooms_count * sizeof(*a->rooms));
	for (uint32_t i = 0; i < raw->rooms_count; i++) {
		size_t mark = compile_enter(c, "rooms", i);

		(void)compile_room(c, NULL, raw->rooms[i], at->scope, at->fields, COMPILE_ALWAYS,
				   &a->rooms[i]);
		compile_leave(c, mark);
	}
	a->room_count = raw->rooms_count;
	if (a->room_count > INGEST_MAX_ROOMS)
		compile_fail(c, "rooms", "found %u, allowed: %d", a->room_count, INGEST_MAX_ROOMS);
}

static void set_sending(struct compile *c, const struct raw_action *raw,
			const struct compile_place *at, struct action *a)
{
	const char *name = a->kind == ACTION_EMIT ? raw->emit : raw->relay;

	(void)compile_event_name(c, a->kind == ACTION_EMIT ? "emit" : "relay", name);
	a->event = compile_dup_str(c, str_of(name));
	a->event_json = json_name(c, a->event);
	(void)compile_args(c, "args", raw->args, at, &a->args);
	a->confirm = raw->confirm && *raw->confirm;
	a->to_all = raw->to && *raw->to == RAW_TO_ALL;
	a->is_volatile = raw->is_volatile && *raw->is_volatile;
	a->unless_ack = raw->unless_ack && *raw->unless_ack;
	set_rooms(c, raw, at, a);
}

/* The topic, or what an operator calls it. */
static void set_topic(struct compile *c, const struct raw_action *raw, struct action *a)
{
	const char *renamed = NULL;

	(void)compile_name(c, "produce", raw->produce, TOPIC_BYTES);
	if (raw->topic_env && compile_name(c, "topic_env", raw->topic_env, COMPILE_NAME_BYTES))
		renamed = getenv(raw->topic_env);
	if (renamed && renamed[0])
		(void)compile_name(c, "topic_env", renamed, TOPIC_BYTES);
	a->topic = compile_dup_str(c, str_of(renamed && renamed[0] ? renamed : raw->produce));
}

static void set_produce(struct compile *c, const struct raw_action *raw,
			const struct compile_place *at, struct action *a)
{
	set_topic(c, raw, a);
	a->broker = raw->broker ? *raw->broker : BROKER_KAFKA;
	a->when_broker = a->broker;
	(void)compile_tmpl(c, "key", TMPL_TEXT, raw->key ? raw->key : "", at->scope, at->fields,
			   COMPILE_ALWAYS, &a->key);
	(void)compile_tmpl(c, "value", TMPL_JSON, raw->value ? raw->value : "null", at->scope,
			   at->fields, COMPILE_ALWAYS, &a->args);
}

/* When it runs. True: a field it names may be absent, and is there where it runs. */
static void set_conditions(struct compile *c, const struct raw_action *raw,
			   const struct compile_place *at, struct action *a)
{
	if (raw->when_broker)
		a->when_broker = *raw->when_broker;
	if (raw->unless_broker)
		a->unless_broker = *raw->unless_broker;
	a->when_field = -1;
	if (!raw->when_field)
		return;
	for (uint32_t i = 0; at->fields && i < at->fields->count; i++)
		if (str_is(str_of(raw->when_field), at->fields->fields[i].name))
			a->when_field = (int32_t)i;
	if (a->when_field < 0)
		compile_fail(c, "when_field", "found %.80s, allowed: one of `fields`",
			     raw->when_field);
}

/* What only some places have. */
static bool check_place(struct compile *c, const struct compile_place *at, const char *key,
			const struct action *a)
{
	if (at->connect && a->kind != ACTION_JOIN && a->kind != ACTION_EMIT) {
		compile_fail(c, key, "found %s on connect, allowed: join, emit", key);
		return false;
	}
	if (at->presence && a->kind != ACTION_RELAY) {
		compile_fail(c, key, "found %s in presence, allowed: relay", key);
		return false;
	}
	if (c->p->dialect == PROFILE_PLAIN && a->kind == ACTION_ACK) {
		compile_fail(c, key, "found it with dialect: plain, allowed: emit");
		return false;
	}
	return true;
}

static void set_action(struct compile *c, const struct raw_action *raw,
		       const struct compile_place *at, struct action *a)
{
	int count;
	const char *key = action_key(raw, &count);

	if (count != 1) {
		compile_fail(c, NULL,
			     "found %d actions in one entry, allowed: one of join, leave, ack, "
			     "emit, relay, produce",
			     count);
		return;
	}
	a->kind = action_kind(raw);
	if (!check_place(c, at, key, a))
		return;
	if (raw->unless_ack && (at->connect || c->p->dialect == PROFILE_PLAIN))
		compile_fail(c, "unless_ack", "found it %s, allowed: in events%s",
			     at->connect ? "on connect" : "with dialect: plain",
			     at->connect ? "" : " of clients that can ask for an ack");
	check_keys(c, raw, a->kind);
	set_conditions(c, raw, at, a);
	c->there = a->when_field;
	a->presence = raw->presence && *raw->presence;
	if (a->kind == ACTION_JOIN || a->kind == ACTION_LEAVE)
		(void)compile_room(c, key, raw->join ? raw->join : raw->leave, at->scope,
				   at->fields, at->connect ? COMPILE_WHERE_THERE : COMPILE_ALWAYS,
				   &a->room);
	else if (a->kind == ACTION_ACK)
		(void)compile_tmpl(c, key, TMPL_JSON, raw->ack, at->scope, at->fields,
				   COMPILE_ALWAYS, &a->args);
	else if (a->kind == ACTION_PRODUCE)
		set_produce(c, raw, at, a);
	else
		set_sending(c, raw, at, a);
	c->there = -1;
}

struct action *compile_actions(struct compile *c, const char *key, const struct raw_action *raw,
			       uint32_t count, const struct compile_place *at)
{
	struct action *actions = compile_alloc(c, count * sizeof(*actions));

	for (uint32_t i = 0; i < count; i++) {
		size_t mark = compile_enter(c, key, i);

		set_action(c, &raw[i], at, &actions[i]);
		compile_leave(c, mark);
	}
	return actions;
}
