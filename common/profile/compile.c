/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/compile.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/adapt/adapt_yaml.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"

#define PATH_BYTES 1024
#define USER_BYTES (8 * TMPL_MAX_BYTES)

/* ── memory ── */

static void own(struct compile *c, void *p)
{
	struct compile_owned *o = c->owned;

	if (o->count == o->cap) {
		size_t cap = o->cap ? 2 * o->cap : 64;
		void **items = mem_need(cap * sizeof(*items));

		if (o->count)
			memcpy(items, o->items, o->count * sizeof(*items));
		mem_free(o->items);
		o->items = items;
		o->cap = cap;
	}
	o->items[o->count++] = p;
}

void compile_owned_free(struct compile_owned **owned)
{
	if (!*owned)
		return;
	for (size_t i = 0; i < (*owned)->count; i++)
		mem_free((*owned)->items[i]);
	mem_free((*owned)->items);
	mem_free(*owned);
	*owned = NULL;
}

void *compile_alloc(struct compile *c, size_t bytes)
{
	void *p = mem_need(bytes ? bytes : 1);

	own(c, p);
	return p;
}

struct str compile_dup_str(struct compile *c, struct str s)
{
	char *p = compile_alloc(c, s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	return str_make(p, s.n);
}

char *compile_dup(struct compile *c, const char *z)
{
	return z ? (char *)compile_dup_str(c, str_of(z)).p : NULL;
}

/* ── errors ── */

size_t compile_enter(struct compile *c, const char *key, int64_t index)
{
	size_t mark = c->path.n;

	buf_addf(&c->path, "%s%s", mark ? "." : "", key);
	if (index >= 0)
		buf_addf(&c->path, "[%lld]", (long long)index);
	return mark;
}

void compile_leave(struct compile *c, size_t mark)
{
	c->path.n = mark;
}

/* The present place as a C string, BORROWED until the path changes, and its line (the nearest there is). */
static const char *place(struct compile *c, int *line)
{
	*line = 1;
	buf_addc(&c->path, 0);
	if (c->path.failed || !c->path.p)
		return "";
	c->path.n--;
	(void)yaml_locate(c->text, c->path.p, line);
	return c->path.p;
}

void compile_fail(struct compile *c, const char *key, const char *fmt, ...)
{
	size_t mark = key ? compile_enter(c, key, -1) : c->path.n;
	char message[1024];
	const char *at;
	int line;
	va_list args;

	if (++c->error_count <= COMPILE_MAX_ERRORS) {
		va_start(args, fmt);
		vsnprintf(message, sizeof(message), fmt, args);
		va_end(args);
		at = place(c, &line);
		buf_addf(c->errors, "%s:%d: %s: %s\n", c->file, line, at, message);
	}
	compile_leave(c, mark);
}

bool compile_name(struct compile *c, const char *key, const char *name, size_t max)
{
	size_t n = strlen(name);
	bool visible = n && n <= max;

	for (size_t i = 0; visible && i < n; i++)
		visible = (unsigned char)name[i] > ' ' && name[i] != 0x7f;
	if (!visible)
		compile_fail(c, key, "found \"%.80s\", allowed: 1 to %zu bytes without blanks",
			     name, max);
	return visible;
}

/* ── templates ── */

unsigned compile_user_root(const struct compile *c)
{
	return c->p->token_required ? 1u << TMPL_USER : 0;
}

bool compile_user_path(struct compile *c, const char *key, struct str path)
{
	struct str first, rest;
	struct json_value v;
	struct json_walk w;
	char shown[512];
	struct str name;
	size_t n = 0;

	(void)str_cut(path, '.', &first, &rest);
	if (c->user_shape.type != JSON_OBJECT || json_get(c->user_shape, first, &v) == 0)
		return true;
	shown[0] = 0;
	json_walk(c->user_shape, &w);
	while (json_next(&w, &name, &v) == 0 && n < sizeof(shown) && name.n >= 2)
		n += (size_t)snprintf(shown + n, sizeof(shown) - n, "%s%.*s", n ? ", " : "",
				      (int)(name.n - 2), name.p + 1);
	compile_fail(c, key, "found user.%.*s, allowed: %s", STR_ARG(path), shown);
	return false;
}

/* What tmpl_compile cannot know: members of the user, and which fields may be absent. */
static bool check_parts(struct compile *c, const char *key, const struct tmpl *t,
			const struct field_list *fields, enum compile_use use)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct tmpl_part *part = &t->parts[i];

		if (!part->has_variable)
			continue;
		if (part->root == TMPL_USER && part->path.n &&
		    !compile_user_path(c, key, part->path))
			return false;
		c->makes |= part->root == TMPL_NOW || part->root == TMPL_NEW_ID;
		if (part->root != TMPL_FIELD || !fields || use == COMPILE_WHERE_THERE ||
		    part->has_fallback || part->omit_bytes || (int32_t)part->index == c->there)
			continue;
		if (fields->fields[part->index].optional &&
		    fields->fields[part->index].fallback.type == JSON_NONE) {
			compile_fail(c, key,
				     "found {%s}, which may be absent, allowed: {%s|DEFAULT}, or a "
				     "default of the field",
				     fields->fields[part->index].name,
				     fields->fields[part->index].name);
			return false;
		}
	}
	return true;
}

bool compile_tmpl(struct compile *c, const char *key, enum tmpl_mode mode, const char *text,
		  const struct tmpl_scope *scope, const struct field_list *fields,
		  enum compile_use use, struct tmpl *t)
{
	struct buf why = BUF_INIT(1000);
	int err = tmpl_compile(t, mode, str_of(text), scope, &why);

	if (err) {
		compile_fail(c, key, "%.*s", STR_ARG(buf_str(&why)));
		*t = (struct tmpl){ .mode = mode };
	} else {
		own(c, t->parts);
	}
	buf_fini(&why);
	return !err && check_parts(c, key, t, fields, use);
}

/* Whether the text of this variable has at least one byte, whatever a client sends. */
static bool never_empty(const struct tmpl_part *part, const struct field_list *fields)
{
	const struct field_spec *f;

	if (part->root == TMPL_SOCKET_ID || part->root == TMPL_NEW_ID ||
	    part->root == TMPL_PRESENCE_ROOM || part->root == TMPL_PRESENCE_USER)
		return true;
	if (part->root != TMPL_FIELD || part->path.n || !fields)
		return false;
	f = &fields->fields[part->index];
	return f->type == FIELD_ID || f->type == FIELD_UUID || f->type == FIELD_BOOL ||
	       f->type == FIELD_INTEGER || f->type == FIELD_NUMBER ||
	       (f->type == FIELD_TEXT && f->min > 0);
}

bool compile_room(struct compile *c, const char *key, const char *text,
		  const struct tmpl_scope *scope, const struct field_list *fields,
		  enum compile_use use, struct tmpl *t)
{
	if (!compile_tmpl(c, key, TMPL_TEXT, text, scope, fields, use, t))
		return false;
	for (uint32_t i = 0; i < t->count; i++)
		if (t->parts[i].literal.n ||
		    (t->parts[i].has_variable && never_empty(&t->parts[i], fields)))
			return true;
	compile_fail(c, key,
		     "found \"%.80s\", a name that could be empty, allowed: fixed text beside it, "
		     "such as ticket:{ticketId}",
		     text);
	return false;
}

struct tmpl *compile_tmpls(struct compile *c, const char *key, enum tmpl_mode mode,
			   char *const *texts, uint32_t count, const struct tmpl_scope *scope)
{
	struct tmpl *list = compile_alloc(c, count * sizeof(*list));

	for (uint32_t i = 0; i < count; i++) {
		size_t mark = compile_enter(c, key, i);

		(void)compile_tmpl(c, NULL, mode, texts[i], scope, NULL, COMPILE_ALWAYS, &list[i]);
		compile_leave(c, mark);
	}
	return list;
}

/* ── the frame ── */

static void compile_head(struct compile *c, const struct raw_profile *raw)
{
	size_t n = strlen(raw->profile);
	bool good = n && n <= COMPILE_NAME_BYTES;

	for (size_t i = 0; good && i < n; i++) {
		char ch = raw->profile[i];

		good = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') ||
		       (i && (ch == '-' || ch == '_'));
	}
	if (!good)
		compile_fail(c, "profile",
			     "found \"%.80s\", allowed: small letters, digits, - and _, at most %d",
			     raw->profile, COMPILE_NAME_BYTES);
	c->p->name = compile_dup(c, raw->profile);
	c->p->dialect = raw->dialect;
	c->p->recovery = raw->recovery ? *raw->recovery : true;
	if (raw->port_env) {
		(void)compile_name(c, "port_env", raw->port_env, COMPILE_NAME_BYTES);
		c->p->port_env = compile_dup(c, raw->port_env);
	}
}

static void compile_setting(struct compile *c, struct conf *conf, const char *key,
			    const char *value)
{
	struct profile_setting *s = &c->p->settings[c->p->setting_count];
	size_t mark = compile_enter(c, key, -1);
	char where[4200];
	int line;

	if (str_is(str_of(key), "profile")) {
		compile_fail(c, NULL, "found in a profile, allowed: only in a config file");
	} else {
		(void)place(c, &line);
		snprintf(where, sizeof(where), "%s:%d", c->file, line);
		if (conf_set(conf, where, str_of(key), str_of(value), c->errors))
			c->error_count++;
		s->key = compile_dup(c, key);
		s->value = compile_dup(c, value);
		c->p->setting_count++;
	}
	compile_leave(c, mark);
}

static void compile_settings(struct compile *c, const struct raw_settings *raw)
{
	struct conf conf;
	size_t mark = compile_enter(c, "settings", -1);

	conf_init(&conf);
	c->p->settings = compile_alloc(c, sizeof(*raw) / sizeof(char *) * sizeof(*c->p->settings));
#define SETTING_INT(field) \
	if (raw->field) \
		compile_setting(c, &conf, #field, raw->field);
#define SETTING_BOOL SETTING_INT
#define SETTING_TEXT SETTING_INT
#define SETTING_LIST SETTING_INT
#define SETTING_ENUM SETTING_INT
#define SETTING_SECRET(field)
#define OPT(kind, field, env, def, min, max, users, doc) SETTING_##kind(field)
#include "common/conf/options.def"
#undef OPT
	conf_fini(&conf);
	compile_leave(c, mark);
}

static void compile_user(struct compile *c, const char *text)
{
	const struct tmpl_scope scope = { .roots = 1u << TMPL_CLAIMS };

	if (!compile_tmpl(c, "user", TMPL_JSON, text, &scope, NULL, COMPILE_ALWAYS, &c->p->user))
		return;
	tmpl_sample(&c->p->user, &c->user);
	if (c->p->user.count == 1 && c->p->user.parts[0].has_variable &&
	    !c->p->user.parts[0].literal.n)
		return; /* {claims}: what is in it is not known here */
	if (json_parse(buf_str(&c->user), &c->user_shape) || c->user_shape.type != JSON_OBJECT)
		compile_fail(c, "user",
			     "found something else, allowed: one JSON object, such as {\"id\": "
			     "{claims.sub}}");
}

static void compile_auth(struct compile *c, const struct raw_auth *raw)
{
	size_t mark = compile_enter(c, "auth", -1);

	c->p->token_required = raw->token == RAW_TOKEN_REQUIRED;
	if (!c->p->token_required) {
		if (raw->user_id || raw->user)
			compile_fail(
				c, raw->user_id ? "user_id" : "user",
				"found it beside token: none, allowed: only with token: required");
	} else if (!raw->user_id || !raw->user) {
		compile_fail(c, NULL, "found no %s, allowed: token: required needs it",
			     raw->user_id ? "user" : "user_id");
	} else {
		(void)compile_name(c, "user_id", raw->user_id, COMPILE_MESSAGE_BYTES);
		c->p->user_id_path = compile_dup(c, raw->user_id);
		compile_user(c, raw->user);
	}
	compile_leave(c, mark);
}

static void compile_failure(struct compile *c, const struct raw_failure *raw)
{
	const struct tmpl_scope scope = { .roots = 1u << TMPL_ERROR_CODE |
						   1u << TMPL_ERROR_MESSAGE };
	size_t mark;

	if (!raw != (c->p->dialect == PROFILE_PLAIN))
		compile_fail(c, "failure", "found %s, allowed: %s",
			     raw ? "it with dialect: plain" : "no failure",
			     raw ? "only where clients can ask for an ack"
				 : "failure: { ack: '…' }, what is answered to a refused event");
	if (!raw)
		return;
	mark = compile_enter(c, "failure", -1);
	(void)compile_tmpl(c, "ack", TMPL_JSON, raw->ack, &scope, NULL, COMPILE_ALWAYS,
			   &c->p->fail_ack);
	compile_leave(c, mark);
}

int compile_profile(const char *file, struct str text, const struct raw_profile *raw,
		    struct profile *p, struct buf *errors)
{
	struct compile c = { .file = file,
			     .text = text,
			     .errors = errors,
			     .path = BUF_INIT(PATH_BYTES),
			     .p = p,
			     .there = -1,
			     .user = BUF_INIT(USER_BYTES) };

	c.owned = mem_need(sizeof(*c.owned));
	p->owned = c.owned;
	p->path = compile_dup(&c, file);
	compile_head(&c, raw);
	if (raw->settings)
		compile_settings(&c, raw->settings);
	compile_auth(&c, raw->auth);
	compile_failure(&c, raw->failure);
	compile_checks(&c, raw);
	compile_nsps(&c, raw);
	compile_ingest(&c, raw->ingest);
	if (c.error_count > COMPILE_MAX_ERRORS)
		buf_addf(errors, "%s: and %u more errors\n", file,
			 c.error_count - COMPILE_MAX_ERRORS);
	buf_fini(&c.path);
	buf_fini(&c.user);
	return c.error_count ? E_CONFIG : 0;
}
