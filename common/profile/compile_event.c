/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/compile.h"

#define NSP_BYTES 255
#define LATER_SECONDS_MAX 3600

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

static bool is_plain(const struct compile *c)
{
	return c->p->dialect == PROFILE_PLAIN;
}

static bool is_answered(const struct compile *c, struct str name)
{
	if (is_plain(c))
		return str_is(name, "ping") || str_is(name, "resume");
	return str_is(name, "token:update");
}

static void set_once(struct compile *c, const struct raw_once *raw, const struct compile_place *at,
		     struct profile_event *e)
{
	size_t mark = compile_enter(c, "once", -1);

	if (!c->p->token_required)
		compile_fail(c, NULL, "found it with token: none, allowed: where there are users");
	e->has_once = compile_tmpl(c, "key", TMPL_TEXT, raw->key, at->scope, at->fields,
				   COMPILE_WHERE_THERE, &e->once);
	c->makes |= e->has_once;
	compile_leave(c, mark);
}

static void set_later(struct compile *c, const struct raw_later *raw,
		      const struct compile_place *at, struct profile_event *e)
{
	struct profile_later *l = compile_alloc(c, sizeof(*l));
	size_t mark = compile_enter(c, "later", -1);

	if (*raw->seconds < 1 || *raw->seconds > LATER_SECONDS_MAX)
		compile_fail(c, "seconds", "found %lld, allowed: 1 to %d", (long long)*raw->seconds,
			     LATER_SECONDS_MAX);
	else
		l->delay_ms = (uint32_t)*raw->seconds * 1000;
	l->event = compile_dup_str(c, str_of(raw->event));
	compile_when(c, raw->when, at->fields, &l->when_field, &l->when_any, &l->when_any_count);
	(void)compile_tmpl(c, "key", TMPL_TEXT, raw->key, at->scope, at->fields, COMPILE_ALWAYS,
			   &l->key);
	(void)compile_args(c, "args", raw->args, at, &l->args);
	e->later = l;
	compile_leave(c, mark);
}

static void set_event(struct compile *c, const struct raw_event *raw, struct profile_event *e)
{
	struct compile_scope scope;
	struct compile_place at = { .scope = &scope.scope, .fields = &e->fields };

	e->name = compile_dup_str(c, str_of(raw->event));
	c->makes = false;
	if (compile_event_name(c, "event", raw->event) && is_answered(c, e->name))
		compile_fail(c, "event",
			     "found %s, allowed: any other name (the gateway itself answers this "
			     "one)",
			     raw->event);
	compile_fields(c, raw->fields, raw->fields_count, &e->fields);
	if (is_plain(c))
		compile_fields_of_message(c, &e->fields);
	compile_scope(&scope, &e->fields,
		      1u << TMPL_ARGS | 1u << TMPL_ARG | 1u << TMPL_SOCKET_ID | 1u << TMPL_NOW |
			      1u << TMPL_NEW_ID | (raw->once ? 1u << TMPL_DUPLICATE : 0) |
			      compile_user_root(c));
	if (raw->check)
		set_event_check(c, raw, &scope, e);
	if (raw->member)
		e->has_member = compile_room(c, "member", raw->member, &scope.scope, &e->fields,
					     COMPILE_ALWAYS, &e->member);
	if (raw->once)
		set_once(c, raw->once, &at, e);
	if (raw->later)
		set_later(c, raw->later, &at, e);
	e->actions = compile_actions(c, "do", raw->actions, raw->actions_count, &at);
	e->makes = c->makes;
	e->action_count = raw->actions_count;
	if (raw->failure && is_plain(c))
		compile_fail(c, "failure",
			     "found it, allowed: only where clients can ask for an ack");
	else if (raw->failure)
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
	if (is_plain(c) && strcmp(name, "/") != 0)
		compile_fail(c, "name", "found %.80s, allowed: / (dialect: plain has one)", name);
	else if (name[0] != '/' || strpbrk(name, ",?"))
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
	for (uint32_t i = 0; i < raw->events_count; i++) {
		size_t mark = compile_enter(c, "events", i);
		const struct profile_later *l = nsp->event_list[i].later;

		if (l && !map_get(&nsp->events, l->event))
			compile_fail(c, "later",
				     "found event %.80s, allowed: one of this namespace",
				     raw->events[i].later->event);
		compile_leave(c, mark);
	}
}

static void set_nsp(struct compile *c, const struct raw_nsp *raw, struct profile_nsp *nsp)
{
	const struct tmpl_scope scope = { .roots = 1u << TMPL_SOCKET_ID | 1u << TMPL_AUTH |
						   compile_user_root(c) };
	const struct tmpl_scope users = { .roots = 1u << TMPL_PRESENCE_ROOM |
						   1u << TMPL_PRESENCE_USER |
						   1u << TMPL_PRESENCE_STATUS };
	const struct compile_place at = { .connect = true, .scope = &scope };
	const struct compile_place presence = { .presence = true, .scope = &users };

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
	nsp->actions = compile_actions(c, "connect", raw->connect, raw->connect_count, &at);
	nsp->action_count = raw->connect_count;
	nsp->presence =
		compile_actions(c, "presence", raw->presence, raw->presence_count, &presence);
	nsp->presence_count = raw->presence_count;
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
