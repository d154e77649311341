/* SPDX-License-Identifier: Apache-2.0 */
/* Rendering: literals and slices are appended, nothing is parsed but the way to a variable. Compiling is in tmpl_compile.c. */
#include "common/profile/tmpl.h"

#include "common/base/mem.h"

void tmpl_fini(struct tmpl *t)
{
	mem_free(t->parts); /* texts of the parts live behind them in the same block */
	*t = (struct tmpl){ 0 };
}

/* A value from text that was validated before. */
static struct json_value value_of(struct str raw)
{
	enum json_type type = JSON_NUMBER;

	switch (raw.n ? raw.p[0] : 0) {
	case 0:
		type = JSON_NONE;
		break;
	case '{':
		type = JSON_OBJECT;
		break;
	case '[':
		type = JSON_ARRAY;
		break;
	case '"':
		type = JSON_STRING;
		break;
	case 't':
		type = JSON_TRUE;
		break;
	case 'f':
		type = JSON_FALSE;
		break;
	case 'n':
		type = JSON_NULL;
		break;
	default:
		break;
	}
	return (struct json_value){ type, raw };
}

/* Element `index` of values joined by commas: the inside of a validated array, which the walker takes as it is. */
static struct json_value list_at(struct str list, uint32_t index)
{
	struct json_walk w = { list.p, list.p + list.n, false };
	struct json_value v;

	while (list.n && json_next(&w, NULL, &v) == 0)
		if (!index--)
			return v;
	return (struct json_value){ JSON_NONE, STR_NONE };
}

/* Of a root that is a text and nothing below it; NULL inside: it is not there. False: no such root. */
static bool plain_text(enum tmpl_root root, const struct tmpl_env *env, struct str *text)
{
	switch (root) {
	case TMPL_SOCKET_ID:
		*text = env->socket_id;
		break;
	case TMPL_ERROR_CODE:
		*text = env->error_code;
		break;
	case TMPL_ERROR_MESSAGE:
		*text = env->error_message;
		break;
	case TMPL_NOW:
		*text = env->now;
		break;
	case TMPL_NEW_ID:
		*text = env->new_id;
		break;
	case TMPL_PRESENCE_ROOM:
		*text = env->presence_room;
		break;
	case TMPL_PRESENCE_USER:
		*text = env->presence_user;
		break;
	case TMPL_PRESENCE_STATUS:
		*text = env->presence_status;
		break;
	default:
		return false;
	}
	return true;
}

static struct json_value resolve(const struct tmpl_part *part, const struct tmpl_env *env)
{
	struct json_value v = { JSON_NONE, STR_NONE }, inner;

	switch (part->root) {
	case TMPL_FIELD:
		if (part->index < env->field_count && part->index < TMPL_MAX_FIELDS)
			v = env->fields[part->index];
		break;
	case TMPL_ARG:
		v = list_at(env->args, part->index);
		break;
	case TMPL_USER:
		v = env->user;
		break;
	case TMPL_CLAIMS:
		v = env->claims;
		break;
	case TMPL_AUTH:
		v = env->auth;
		break;
	case TMPL_BODY:
		v = env->body;
		break;
	case TMPL_DUPLICATE:
		v = env->duplicate ? (struct json_value){ JSON_TRUE, STR("true") }
				   : (struct json_value){ JSON_FALSE, STR("false") };
		break;
	default:
		break;
	}
	if (!part->path.n || v.type == JSON_NONE)
		return v;
	if (v.type == JSON_OBJECT && json_get_path(v, part->path, &inner) == 0)
		return inner;
	return (struct json_value){ JSON_NONE, STR_NONE };
}

/* The end of out, from start, in lower case. It must be the text of a uuid, so that it needs no escape in JSON either. */
static int lower_tail(struct buf *out, size_t start)
{
	for (size_t i = start; i < out->n; i++) {
		char ch = out->p[i];

		if (ch >= 'A' && ch <= 'F')
			out->p[i] = (char)(ch + ('a' - 'A'));
		else if (!((ch >= 'a' && ch <= 'f') || (ch >= '0' && ch <= '9') || ch == '-'))
			return E_TYPE;
	}
	return 0;
}

static int add_decoded(struct json_value v, struct buf *out)
{
	size_t start = out->n;
	struct str text;
	int err = json_text(v, out, &text); /* with escapes: decoded into out itself */

	if (err)
		return err;
	if (out->n == start)
		buf_add(out, text);
	if (out->failed)
		return out->failed;
	return out->n > start && memchr(out->p + start, 0, out->n - start) ? E_TYPE : 0;
}

/* A scalar as text: in a text template decoded, inside a JSON string with its escapes. */
static int add_text(const struct tmpl_part *part, struct json_value v, struct buf *out)
{
	size_t start = out->n;
	int err;

	if (v.type == JSON_OBJECT || v.type == JSON_ARRAY || v.type == JSON_NULL)
		return E_TYPE;
	if (v.type != JSON_STRING) {
		buf_add(out, v.raw);
		return 0;
	}
	if (part->in_string && !part->lower) {
		buf_add(out, str_make(v.raw.p + 1, v.raw.n - 2));
		return 0;
	}
	err = add_decoded(v, out);
	return !err && part->lower ? lower_tail(out, start) : err;
}

static int add_plain(const struct tmpl *t, const struct tmpl_part *part, struct str text,
		     struct buf *out)
{
	size_t start = out->n;

	if (t->mode == TMPL_TEXT) {
		buf_add(out, text);
		return 0;
	}
	buf_add_json(out, text);
	if (part->in_string && !out->failed && out->n >= start + 2) { /* without the quotes */
		memmove(out->p + start, out->p + start + 1, out->n - start - 2);
		out->n -= 2;
	}
	return 0;
}

/* Whether a value is there for this part, its default counted. */
static bool find_value(const struct tmpl *t, const struct tmpl_part *part,
		       const struct tmpl_env *env, struct json_value *v)
{
	bool in_text = t->mode == TMPL_TEXT || part->in_string;
	bool absent;

	*v = resolve(part, env);
	absent = v->type == JSON_NONE ||
		 (v->type == JSON_NULL &&
		  (in_text || part->has_fallback || part->omit_bytes || env->null_is_absent));
	if (absent && part->has_fallback)
		*v = value_of(part->fallback);
	return !absent || part->has_fallback;
}

static int render_part(const struct tmpl *t, const struct tmpl_part *part,
		       const struct tmpl_env *env, struct buf *out)
{
	struct json_value v;
	struct str text;

	if (part->root == TMPL_ARGS) {
		buf_add(out, env->args.n || !part->has_fallback ? env->args : part->fallback);
		return 0;
	}
	if (plain_text(part->root, env, &text) && text.p)
		return add_plain(t, part, text, out);
	if (!find_value(t, part, env, &v))
		return E_NOTFOUND;
	if (t->mode == TMPL_TEXT || part->in_string)
		return add_text(part, v, out);
	buf_add(out, v.raw);
	return 0;
}

int tmpl_render(const struct tmpl *t, const struct tmpl_env *env, struct buf *out)
{
	size_t start = out->n;
	struct json_value v;
	int err = 0;

	for (uint32_t i = 0; i < t->count && !err; i++) {
		const struct tmpl_part *part = &t->parts[i];

		if (part->omit_bytes && !find_value(t, part, env, &v)) {
			buf_add(out, str_make(part->literal.p, part->literal.n - part->omit_bytes));
			continue;
		}
		if (part->literal.n)
			buf_add(out, part->literal);
		if (part->has_variable)
			err = render_part(t, part, env, out);
	}
	if (!err)
		err = out->failed;
	if (err)
		out->n = start;
	return err;
}

int tmpl_render_slice(const struct tmpl *t, const struct tmpl_env *env, struct buf *out,
		      struct str *s)
{
	size_t start = out->n;
	struct json_value v;
	struct str text;
	int err;

	if (t->mode == TMPL_JSON && t->count == 1 && t->parts[0].has_variable &&
	    !t->parts[0].literal.n && t->parts[0].root != TMPL_ARGS &&
	    !plain_text(t->parts[0].root, env, &text)) {
		if (!find_value(t, &t->parts[0], env, &v))
			return E_NOTFOUND;
		*s = v.raw;
		return 0;
	}
	err = tmpl_render(t, env, out);
	if (!err)
		*s = str_make(out->n > start ? out->p + start : NULL, out->n - start);
	return err;
}
