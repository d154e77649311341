/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/compile.h"

#define NSP_BYTES 255

/* Where an action stands: decides what it may be and say. */
struct place {
	bool connect; /* of a namespace's `connect`, else of an event's `do` */
	const struct tmpl_scope *scope;
	const struct field_list *fields;
};

/* ── names ── */

/* Names with a meaning of their own in socket.io-client, which throws when they are sent. */
static bool is_reserved(const char *name)
{
	static const char *const reserved[] = {
		"connect",       "connect_error", "disconnect",
		"disconnecting", "newListener",   "removeListener"
	};

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (!strcmp(name, reserved[i]))
			return true;
	return false;
}

bool compile_event_name(struct compile *c, const char *key, const char *name)
{
	if (!compile_name(c, key, name, COMPILE_EVENT_BYTES))
		return false;
	if (is_reserved(name))
		compile_fail(c, key,
			     "found %s, allowed: any name but those Socket.IO keeps for itself",
			     name);
	return !is_reserved(name);
}

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
		[ACTION_JOIN] = { "join", raw->join },    [ACTION_LEAVE] = { "leave", raw->leave },
		[ACTION_ACK] = { "ack", raw->ack },       [ACTION_EMIT] = { "emit", raw->emit },
		[ACTION_RELAY] = { "relay", raw->relay },
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
	if (raw->unless_ack && kind != ACTION_EMIT)
		compile_fail(c, "unless_ack", "found it, allowed: only with emit");
	if (kind == ACTION_RELAY && !raw->rooms)
		compile_fail(c, NULL,
			     "found relay without rooms, allowed: rooms: [\"ticket:{ticketId}\"]");
	if (kind == ACTION_RELAY && !raw->to)
		compile_fail(c, NULL, "found relay without to, allowed: to: others, or to: all");
}

static void set_rooms(struct compile *c, const struct raw_action *raw, const struct place *at,
		      struct action *a)
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

static void set_sending(struct compile *c, const struct raw_action *raw, const struct place *at,
			struct action *a)
{
	const char *name = a->kind == ACTION_EMIT ? raw->emit : raw->relay;

	(void)compile_event_name(c, a->kind == ACTION_EMIT ? "emit" : "relay", name);
	a->event = compile_dup_str(c, str_of(name));
	a->event_json = json_name(c, a->event);
	(void)compile_tmpl(c, "args", TMPL_JSON, raw->args ? raw->args : "", at->scope, at->fields,
			   COMPILE_ALWAYS, &a->args);
	a->to_all = raw->to && *raw->to == RAW_TO_ALL;
	a->is_volatile = raw->is_volatile && *raw->is_volatile;
	a->unless_ack = raw->unless_ack && *raw->unless_ack;
	set_rooms(c, raw, at, a);
}

static void set_action(struct compile *c, const struct raw_action *raw, const struct place *at,
		       struct action *a)
{
	int count;
	const char *key = action_key(raw, &count);

	if (count != 1) {
		compile_fail(c, NULL,
			     "found %d actions in one entry, allowed: one of join, leave, ack, "
			     "emit, relay",
			     count);
		return;
	}
	a->kind = action_kind(raw);
	if (at->connect && a->kind != ACTION_JOIN && a->kind != ACTION_EMIT) {
		compile_fail(c, key, "found %s on connect, allowed: join, emit", key);
		return;
	}
	if (at->connect && raw->unless_ack)
		compile_fail(c, "unless_ack", "found it on connect, allowed: in events");
	check_keys(c, raw, a->kind);
	if (a->kind == ACTION_JOIN || a->kind == ACTION_LEAVE)
		(void)compile_room(c, key, raw->join ? raw->join : raw->leave, at->scope,
				   at->fields, at->connect ? COMPILE_WHERE_THERE : COMPILE_ALWAYS,
				   &a->room);
	else if (a->kind == ACTION_ACK)
		(void)compile_tmpl(c, key, TMPL_JSON, raw->ack, at->scope, at->fields,
				   COMPILE_ALWAYS, &a->args);
	else
		set_sending(c, raw, at, a);
}

static struct action *set_actions(struct compile *c, const char *key, const struct raw_action *raw,
				  uint32_t count, const struct place *at)
{
	struct action *actions = compile_alloc(c, count * sizeof(*actions));

	for (uint32_t i = 0; i < count; i++) {
		size_t mark = compile_enter(c, key, i);

		set_action(c, &raw[i], at, &actions[i]);
		compile_leave(c, mark);
	}
	return actions;
}

/* ── checks in use ── */

static const struct profile_check *find_check(struct compile *c, const struct raw_use *use)
{
	const struct profile_check *check = profile_check_find(c->p, str_of(use->name));

	if (!check) {
		struct buf names = BUF_INIT(600);

		for (uint32_t i = 0; i < c->p->check_count; i++)
			buf_addf(&names, "%s" STR_FMT, i ? ", " : "",
				 STR_ARG(c->p->checks[i].name));
		compile_fail(c, "name", "found %.80s, allowed: %.*s", use->name,
			     STR_ARG(names.n ? buf_str(&names) : STR("none, as checks is empty")));
		buf_fini(&names);
	} else if (check->arg_count != use->args_count) {
		compile_fail(c, NULL, "found %u args, allowed: %u, as many as the check has",
			     use->args_count, check->arg_count);
		check = NULL;
	}
	return check;
}

/* ── events ── */

static void set_event_check(struct compile *c, const struct raw_event *raw,
			    const struct compile_scope *scope, struct profile_event *e)
{
	size_t mark = compile_enter(c, "check", -1);

	e->check = find_check(c, raw->check);
	e->check_args = compile_alloc(c, raw->check->args_count * sizeof(*e->check_args));
	for (uint32_t i = 0; i < raw->check->args_count; i++) {
		size_t deeper = compile_enter(c, "args", i);

		(void)compile_tmpl(c, NULL, TMPL_TEXT, raw->check->args[i], &scope->scope,
				   &e->fields, COMPILE_ALWAYS, &e->check_args[i]);
		compile_leave(c, deeper);
	}
	compile_leave(c, mark);
}

static void set_event_failure(struct compile *c, const struct raw_failure *raw,
			      struct profile_event *e)
{
	const struct tmpl_scope scope = { .roots = 1u << TMPL_ERROR_CODE |
						   1u << TMPL_ERROR_MESSAGE };
	size_t mark = compile_enter(c, "failure", -1);

	e->has_fail_ack = compile_tmpl(c, "ack", TMPL_JSON, raw->ack, &scope, NULL, COMPILE_ALWAYS,
				       &e->fail_ack);
	compile_leave(c, mark);
}

static void set_event(struct compile *c, const struct raw_event *raw, struct profile_event *e)
{
	struct compile_scope scope;
	struct place at = { .scope = &scope.scope, .fields = &e->fields };

	e->name = compile_dup_str(c, str_of(raw->event));
	if (compile_event_name(c, "event", raw->event) && str_is(e->name, "token:update"))
		compile_fail(c, "event",
			     "found token:update, allowed: any other name (the gateway itself "
			     "answers this one)");
	compile_fields(c, raw->fields, raw->fields_count, &e->fields);
	compile_scope(&scope, &e->fields,
		      1u << TMPL_ARGS | 1u << TMPL_ARG | 1u << TMPL_SOCKET_ID |
			      compile_user_root(c));
	if (raw->check)
		set_event_check(c, raw, &scope, e);
	if (raw->member)
		e->has_member = compile_room(c, "member", raw->member, &scope.scope, &e->fields,
					     COMPILE_ALWAYS, &e->member);
	e->actions = set_actions(c, "do", raw->actions, raw->actions_count, &at);
	e->action_count = raw->actions_count;
	if (raw->failure)
		set_event_failure(c, raw->failure, e);
}

/* ── namespaces ── */

static struct str event_name(const void *event)
{
	return ((const struct profile_event *)event)->name;
}

static void set_nsp_name(struct compile *c, const char *name, struct profile_nsp *nsp)
{
	if (!compile_name(c, "name", name, NSP_BYTES))
		return;
	if (name[0] != '/' || strpbrk(name, ",?"))
		compile_fail(c, "name", "found %.80s, allowed: / or /NAME without , and ?", name);
	else if (profile_nsp_find(c->p, str_of(name)))
		compile_fail(c, "name", "found %.80s a second time, allowed: once", name);
	nsp->name = compile_dup_str(c, str_of(name));
}

static void set_nsp_events(struct compile *c, const struct raw_nsp *raw, struct profile_nsp *nsp)
{
	nsp->event_list = compile_alloc(c, raw->events_count * sizeof(*nsp->event_list));
	for (uint32_t i = 0; i < raw->events_count; i++) {
		size_t mark = compile_enter(c, "events", i);
		int err;

		set_event(c, &raw->events[i], &nsp->event_list[i]);
		nsp->event_count = i + 1;
		err = map_put(&nsp->events, &nsp->event_list[i]);
		if (err)
			compile_fail(c, "event", "found %.80s %s, allowed: once",
				     raw->events[i].event,
				     err == E_EXISTS ? "a second time" : "and no memory");
		compile_leave(c, mark);
	}
}

static void set_nsp(struct compile *c, const struct raw_nsp *raw, struct profile_nsp *nsp)
{
	const struct tmpl_scope scope = { .roots = 1u << TMPL_SOCKET_ID | 1u << TMPL_AUTH |
						   compile_user_root(c) };
	const struct place at = { .connect = true, .scope = &scope };

	set_nsp_name(c, raw->name, nsp);
	if (raw->check) {
		size_t mark = compile_enter(c, "check", -1);

		nsp->check = find_check(c, raw->check);
		if (nsp->check && nsp->check->arg_count) {
			compile_fail(c, "name",
				     "found a check with arguments, allowed: one without");
			nsp->check = NULL;
		}
		compile_leave(c, mark);
	}
	nsp->actions = set_actions(c, "connect", raw->connect, raw->connect_count, &at);
	nsp->action_count = raw->connect_count;
	set_nsp_events(c, raw, nsp);
}

void compile_nsps(struct compile *c, const struct raw_profile *raw)
{
	c->p->nsps = compile_alloc(c, raw->namespaces_count * sizeof(*c->p->nsps));
	for (uint32_t i = 0; i < raw->namespaces_count; i++) {
		size_t mark = compile_enter(c, "namespaces", i);

		map_init(&c->p->nsps[i].events, event_name);
		set_nsp(c, &raw->namespaces[i], &c->p->nsps[i]);
		c->p->nsp_count = i + 1;
		compile_leave(c, mark);
	}
}
