/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling: one pass over the text cuts it into literals and variables, one block holds the parts and their texts. A JSON template is
 * then tried with samples in the places of its variables: what is JSON with null there, and with x inside strings, is JSON with any value.
 */
#include "common/profile/tmpl.h"

#include "common/base/mem.h"
#include "common/base/utf8.h"

#define ARG_INDEX_MAX 255
#define SHOWN_BYTES 60 /* of a text in errors */

struct parse {
	struct tmpl *t;
	struct str text;
	size_t at;
	const struct tmpl_scope *scope;
	struct buf *why;
	char *texts;    /* where the next literal byte goes, in the template's block */
	char *begun;    /* of the literal being collected */
	bool in_string; /* JSON: inside a string literal */
	char before;    /* JSON: the last byte that was no dropped blank; 0 at the start */
};

static const struct {
	const char *name;
	const char *path; /* fixed path; NULL: any or none */
	enum tmpl_root root;
	const char *shown;
} roots[] = {
	{ "args", NULL, TMPL_ARGS, "{args}" },
	{ "args", NULL, TMPL_ARG, "{args.N}" },
	{ "user", NULL, TMPL_USER, "{user.…}" },
	{ "claims", NULL, TMPL_CLAIMS, "{claims.…}" },
	{ "socket", "id", TMPL_SOCKET_ID, "{socket.id}" },
	{ "auth", NULL, TMPL_AUTH, "{auth.…}" },
	{ "body", NULL, TMPL_BODY, "{body.…}" },
	{ "error", "code", TMPL_ERROR_CODE, "{error.code}" },
	{ "error", "message", TMPL_ERROR_MESSAGE, "{error.message}" },
	{ "now", "", TMPL_NOW, "{now}" },
	{ "new", "id", TMPL_NEW_ID, "{new.id}" },
	{ "once", "duplicate", TMPL_DUPLICATE, "{once.duplicate}" },
	{ "presence", "room", TMPL_PRESENCE_ROOM, "{presence.room}" },
	{ "presence", "user", TMPL_PRESENCE_USER, "{presence.user}" },
	{ "presence", "status", TMPL_PRESENCE_STATUS, "{presence.status}" },
};
#define ROOT_COUNT (sizeof(roots) / sizeof(roots[0]))

static bool is_letter(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

static bool is_name(char ch)
{
	return is_letter(ch) || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-' || ch == '$';
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

static char peek(const struct parse *p, size_t ahead)
{
	return p->at + ahead < p->text.n ? p->text.p[p->at + ahead] : 0;
}

static void add_shown(struct buf *why, struct str s)
{
	size_t n = s.n;

	if (n > SHOWN_BYTES) {
		n = SHOWN_BYTES;
		while (n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
			n--;
	}
	for (size_t i = 0; i < n; i++)
		buf_addc(why, s.p[i] == '\n' || s.p[i] == '\t' ? ' ' : s.p[i]);
	if (n < s.n)
		buf_addz(why, "…");
}

static int refuse(struct parse *p, int err, struct str found, const char *allowed)
{
	buf_addz(p->why, "found ");
	add_shown(p->why, found);
	buf_addz(p->why, ", allowed: ");
	buf_addz(p->why, allowed);
	return err;
}

/* inner: what stands between the braces, a default not counted */
static int refuse_variable(struct parse *p, int err, struct str inner, const char *allowed)
{
	buf_addz(p->why, "found {");
	add_shown(p->why, inner);
	buf_addz(p->why, "}, allowed: ");
	buf_addz(p->why, allowed);
	return err;
}

static int refuse_name(struct parse *p, struct str inner)
{
	bool first = true;

	(void)refuse_variable(p, E_UNKNOWN, inner, "");
	for (uint32_t i = 0; i < p->scope->field_count; i++, first = false)
		buf_addf(p->why, "%s{%s}", first ? "" : ", ", p->scope->fields[i]);
	for (size_t i = 0; i < ROOT_COUNT; i++)
		if ((p->scope->roots & (1u << roots[i].root)) &&
		    (p->t->mode == TMPL_JSON || roots[i].root != TMPL_ARGS)) {
			buf_addf(p->why, "%s%s", first ? "" : ", ", roots[i].shown);
			first = false;
		}
	if (first)
		buf_addz(p->why, "no variables here");
	return E_UNKNOWN;
}

/* ── parts ── */

static struct str keep(struct parse *p, struct str s)
{
	char *to = p->texts;

	if (s.n)
		memcpy(to, s.p, s.n);
	p->texts += s.n;
	p->begun = p->texts;
	return str_make(to, s.n);
}

static struct tmpl_part *end_literal(struct parse *p)
{
	struct tmpl_part *part = &p->t->parts[p->t->count++];

	part->literal = str_make(p->begun, (size_t)(p->texts - p->begun));
	p->begun = p->texts;
	return part;
}

static void add_byte(struct parse *p)
{
	p->before = p->text.p[p->at];
	*p->texts++ = p->text.p[p->at++];
}

static bool at_variable(const struct parse *p, size_t ahead)
{
	return peek(p, ahead) == '{' && is_letter(peek(p, ahead + 1));
}

/* Blanks between tokens go, but for one where two tokens would run together (the sample then fails as it should). */
static void skip_blanks(struct parse *p)
{
	size_t n = 1;
	char next;

	while (is_blank(peek(p, n)))
		n++;
	next = at_variable(p, n) ? 'x' : peek(p, n);
	if (p->before && !memchr("{[,:", p->before, 4) && next && !memchr("}],:", next, 4))
		*p->texts++ = ' ';
	p->at += n;
}

static void take_literal(struct parse *p)
{
	char ch = peek(p, 0);

	if (p->t->mode == TMPL_JSON && !p->in_string && is_blank(ch)) {
		skip_blanks(p);
		return;
	}
	if (p->t->mode == TMPL_JSON && p->in_string && ch == '\\' && p->at + 1 < p->text.n)
		add_byte(p);
	else if (p->t->mode == TMPL_JSON && ch == '"')
		p->in_string = !p->in_string;
	add_byte(p);
}

/* ── variables ── */

/* args, args.N, args.N.path */
static int set_args(struct parse *p, struct tmpl_part *part, struct str inner)
{
	struct str head, tail;
	uint64_t index;

	if (!part->path.n) {
		if (p->t->mode == TMPL_TEXT || p->in_string)
			return refuse_variable(
				p, E_SYNTAX, inner,
				"{args.N} in text; {args} in the place of JSON values alone");
		part->root = TMPL_ARGS;
		return 0;
	}
	(void)str_cut(part->path, '.', &head, &tail);
	if (str_to_u64(head, &index) || index > ARG_INDEX_MAX)
		return refuse_variable(p, E_SYNTAX, inner,
				       "{args} or {args.N} with N from 0 to 255");
	part->root = TMPL_ARG;
	part->index = (uint32_t)index;
	part->path = tail;
	return 0;
}

static int set_field(struct parse *p, struct tmpl_part *part, uint32_t index)
{
	part->root = TMPL_FIELD;
	part->index = index;
	part->lower = p->scope->field_is_uuid && p->scope->field_is_uuid[index] && !part->path.n &&
		      (p->t->mode == TMPL_TEXT || p->in_string);
	return 0;
}

/* What the name stands for. part->path is set. */
static int set_root(struct parse *p, struct tmpl_part *part, struct str name, struct str inner)
{
	for (uint32_t i = 0; i < p->scope->field_count; i++)
		if (str_is(name, p->scope->fields[i]))
			return set_field(p, part, i);
	for (size_t i = 0; i < ROOT_COUNT; i++) {
		if (!str_is(name, roots[i].name) || !(p->scope->roots & (1u << roots[i].root)))
			continue;
		if (roots[i].path && !str_is(part->path, roots[i].path))
			continue;
		if (roots[i].root == TMPL_ARGS || roots[i].root == TMPL_ARG)
			return set_args(p, part, inner);
		part->root = roots[i].root;
		if (roots[i].path)
			part->path = STR_NONE;
		else if (!part->path.n && (p->t->mode == TMPL_TEXT || p->in_string))
			return refuse_variable(p, E_SYNTAX, inner,
					       "a path below it in text, such as {user.id}");
		return 0;
	}
	return refuse_name(p, inner);
}

/* `,"name":` at the end of the literal before the variable: the member goes with its value. */
static int take_omission(struct parse *p, struct tmpl_part *part)
{
	struct str l = part->literal;
	size_t i = l.n;

	if (i > 4 && l.p[i - 1] == ':' && l.p[i - 2] == '"') {
		i -= 3;
		while (i > 0 && l.p[i] != '"')
			i--;
		if (i > 0 && l.p[i - 1] == ',' && l.p[i + 1] != '"') {
			part->omit_bytes = (uint32_t)(l.n - i + 1);
			return 0;
		}
	}
	return refuse(p, E_SYNTAX, str_skip(p->text, p->at),
		      "an empty default for the value of a member that is not its object's first");
}

/* Behind '|': a JSON value up to '}'. */
static int take_fallback(struct parse *p, struct tmpl_part *part)
{
	struct str rest = str_skip(p->text, p->at);
	struct json_value v;
	size_t used;

	if (peek(p, 0) == '}' && p->t->mode == TMPL_JSON && !p->in_string)
		return take_omission(p, part);
	if (json_parse_prefix(rest, &v, &used))
		return refuse(p, E_SYNTAX, rest, "a default that is JSON, such as {name|null}");
	p->at += used;
	while (is_blank(peek(p, 0)))
		p->at++;
	if ((p->t->mode == TMPL_TEXT || p->in_string) &&
	    (v.type == JSON_NULL || v.type == JSON_ARRAY || v.type == JSON_OBJECT))
		return refuse(p, E_SYNTAX, v.raw, "a text, number or boolean as default in text");
	part->has_fallback = true;
	part->fallback = keep(p, v.raw);
	return 0;
}

static void scan_name(struct parse *p)
{
	while (is_name(peek(p, 0)))
		p->at++;
}

/* p->at is at the '{'. */
static int take_variable(struct parse *p)
{
	struct tmpl_part *part = end_literal(p);
	size_t start = p->at++, name_end, path_start;
	struct str name, inner;
	int err;

	scan_name(p);
	name_end = p->at;
	path_start = name_end;
	if (peek(p, 0) == '.')
		path_start++;
	while (peek(p, 0) == '.' && is_name(peek(p, 1))) {
		p->at++;
		scan_name(p);
	}
	if (peek(p, 0) != '}' && peek(p, 0) != '|')
		return refuse(p, E_SYNTAX, str_skip(p->text, start),
			      "{NAME}, {NAME.PATH} or {NAME|JSON}");
	name = str_make(p->text.p + start + 1, name_end - start - 1);
	inner = str_make(p->text.p + start + 1, p->at - start - 1);
	part->has_variable = true;
	part->in_string = p->in_string;
	part->path = keep(p, str_make(p->text.p + path_start, p->at - path_start));
	err = set_root(p, part, name, inner);
	if (!err && peek(p, 0) == '|') {
		p->at++;
		err = take_fallback(p, part);
	}
	if (!err && peek(p, 0) != '}')
		err = refuse(p, E_SYNTAX, str_skip(p->text, start),
			     "a closing } behind the default");
	p->at++;
	p->before = 'x';
	return err;
}

/* ── samples ── */

static void add_sample(const struct tmpl *t, const char *args, struct buf *out)
{
	for (uint32_t i = 0; i < t->count; i++) {
		const struct tmpl_part *part = &t->parts[i];

		buf_add(out, part->literal);
		if (part->has_variable)
			buf_addz(out, part->in_string                                  ? "x"
				      : part->root == TMPL_ARGS && !part->has_fallback ? args
										       : "null");
	}
}

void tmpl_sample(const struct tmpl *t, struct buf *out)
{
	add_sample(t, "null", out);
}

static int try_sample(const struct tmpl *t, const char *args, struct buf *sample)
{
	struct json_value v;

	buf_reset(sample);
	buf_addc(sample, '[');
	add_sample(t, args, sample);
	buf_addc(sample, ']');
	return sample->failed ? sample->failed : json_parse(buf_str(sample), &v);
}

static int check_json(struct parse *p)
{
	struct buf sample = BUF_INIT(8 * TMPL_MAX_BYTES);
	int err = try_sample(p->t, "null,null", &sample);

	if (err == E_NOMEM) {
		buf_fini(&sample);
		return err;
	}
	if (err)
		(void)refuse(p, err, p->text,
			     "JSON, with variables in the place of values or inside strings");
	else if (try_sample(p->t, "", &sample))
		err = refuse(p, E_SYNTAX, p->text,
			     "{args} as all there is, or in brackets: [{args}] (it may be empty)");
	buf_fini(&sample);
	return err ? E_SYNTAX : 0;
}

static int parse_all(struct parse *p)
{
	int err = 0;

	while (!err && p->at < p->text.n) {
		if (at_variable(p, 0))
			err = take_variable(p);
		else
			take_literal(p);
	}
	if (!err && p->texts > p->begun)
		(void)end_literal(p);
	return !err && p->t->mode == TMPL_JSON && p->t->count ? check_json(p) : err;
}

int tmpl_compile(struct tmpl *t, enum tmpl_mode mode, struct str text,
		 const struct tmpl_scope *scope, struct buf *why)
{
	struct parse p = { .t = t, .text = text, .scope = scope, .why = why };
	size_t parts = 1;
	int err;

	*t = (struct tmpl){ .mode = mode };
	if (text.n > TMPL_MAX_BYTES) {
		buf_addf(why, "found %zu bytes, allowed: %u", text.n, TMPL_MAX_BYTES);
		return E_SYNTAX;
	}
	if (!utf8_valid(text) || (text.n && memchr(text.p, 0, text.n))) {
		buf_addz(why, "found bytes that are no text, allowed: UTF-8 without NUL");
		return E_SYNTAX;
	}
	for (size_t i = 0; i < text.n; i++)
		parts += text.p[i] == '{';
	t->parts = mem_try(parts * sizeof(*t->parts) + text.n + 1);
	if (!t->parts)
		return E_NOMEM;
	p.texts = p.begun = (char *)(t->parts + parts);
	err = parse_all(&p);
	if (err)
		tmpl_fini(t);
	return err;
}
