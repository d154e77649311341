/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf/conf.h"

#include <stddef.h>
#include <stdlib.h>

#include "common/adapt/adapt_yaml.h"
#include "common/base/mem.h"
#include "common/conf/conf_table.h"

/* Names used in the users column of options.def. */
enum {
	EDGE = CONF_EDGE,
	AUTH = CONF_AUTH,
	ROUTER = CONF_ROUTER,
	INGEST = CONF_INGEST,
	CTL = CONF_CTL,
	ALL = CONF_ALL
};

const struct conf_row conf_rows[CONF_OPTION_COUNT] = {
#define OPT(kind, field, env, def, min, max, users, doc) \
	{ CONF_KIND_##kind, \
	  #field, \
	  (env), \
	  (def), \
	  (min), \
	  (max), \
	  (users), \
	  (doc), \
	  offsetof(struct conf, field) },
#include "common/conf/options.def"
#undef OPT
};

static int64_t *field_int(struct conf *c, const struct conf_row *row)
{
	return (int64_t *)(void *)((char *)c + row->offset);
}

static bool *field_bool(struct conf *c, const struct conf_row *row)
{
	return (bool *)(void *)((char *)c + row->offset);
}

static char **field_text(struct conf *c, const struct conf_row *row)
{
	return (char **)(void *)((char *)c + row->offset);
}

static bool is_text(const struct conf_row *row)
{
	return row->kind != CONF_KIND_INT && row->kind != CONF_KIND_BOOL;
}

static void text_free(char **text)
{
	if (*text)
		explicit_bzero(*text, strlen(*text)); /* it may be a secret */
	free(*text);
	*text = NULL;
}

/* ── values ── */

static bool enum_has(const struct conf_row *row, struct str value)
{
	struct str rest = str_of(row->doc), word;

	while (conf_row_word(&rest, &word))
		if (str_eq(word, value))
			return true;
	return false;
}

static bool text_allowed(const struct conf_row *row, struct str value)
{
	if (value.n && memchr(value.p, 0, value.n))
		return false;
	if (row->kind == CONF_KIND_ENUM)
		return enum_has(row, value);
	return (int64_t)value.n >= row->min && (int64_t)value.n <= row->max;
}

static bool int_allowed(const struct conf_row *row, struct str value, int64_t *number)
{
	return str_to_i64(value, number) == 0 && *number >= row->min && *number <= row->max;
}

/* E_CONFIG when the text is not allowed; stored only when `store`. */
static int row_assign(struct conf *c, const struct conf_row *row, struct str value, bool store)
{
	int64_t number = 0;
	char *copy;

	if (row->kind == CONF_KIND_INT) {
		if (!int_allowed(row, value, &number))
			return E_CONFIG;
		if (store)
			*field_int(c, row) = number;
		return 0;
	}
	if (row->kind == CONF_KIND_BOOL) {
		if (!str_is(value, "true") && !str_is(value, "false"))
			return E_CONFIG;
		if (store)
			*field_bool(c, row) = str_is(value, "true");
		return 0;
	}
	if (!text_allowed(row, value))
		return E_CONFIG;
	if (!store)
		return 0;
	copy = str_dup(value);
	if (!copy)
		return E_CONFIG;
	text_free(field_text(c, row));
	*field_text(c, row) = copy;
	return 0;
}

static void add_found(const struct conf_row *row, struct str value, struct buf *out)
{
	size_t shown = value.n < 80 ? value.n : 80;

	if (row->kind == CONF_KIND_SECRET) {
		buf_addf(out, "*** (%zu bytes)", value.n);
		return;
	}
	buf_addc(out, '"');
	for (size_t i = 0; i < shown; i++) {
		unsigned char ch = (unsigned char)value.p[i];

		if (ch < 0x20 || ch == 0x7f)
			buf_addf(out, "\\x%02x", ch);
		else
			buf_addc(out, value.p[i]);
	}
	buf_addz(out, shown < value.n ? "...\"" : "\"");
}

int conf_row_set(struct conf *c, const struct conf_row *row, enum conf_source source,
		 const char *where, const char *shown, struct str value, struct buf *errors)
{
	size_t index = (size_t)(row - conf_rows);
	bool store = source >= c->sources[index];

	if (row_assign(c, row, value, store)) {
		buf_addf(errors, "%s: %s: found ", where, shown);
		add_found(row, value, errors);
		buf_addz(errors, ", allowed: ");
		conf_row_allowed(row, errors);
		buf_addc(errors, '\n');
		return E_CONFIG;
	}
	if (store)
		c->sources[index] = (uint8_t)source;
	return 0;
}

/* ── the table ── */

const struct conf_row *conf_row_find(struct str field)
{
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++)
		if (str_is(field, conf_rows[i].field))
			return &conf_rows[i];
	return NULL;
}

bool conf_row_word(struct str *rest, struct str *word)
{
	struct str words, after;

	str_cut(*rest, ';', &words, &after);
	if (words.n == 0)
		return false;
	str_cut(words, '|', word, &after);
	*rest = after; /* up to the ';', which has been cut off */
	return true;
}

struct str conf_row_sentence(const struct conf_row *row)
{
	struct str head, tail, doc = str_of(row->doc);

	if (row->kind != CONF_KIND_ENUM)
		return doc;
	str_cut(doc, ';', &head, &tail);
	return str_trim(tail);
}

void conf_row_allowed(const struct conf_row *row, struct buf *out)
{
	struct str rest = str_of(row->doc), word;
	bool first = true;

	switch (row->kind) {
	case CONF_KIND_INT:
		buf_addf(out, "whole number %lld to %lld", (long long)row->min,
			 (long long)row->max);
		break;
	case CONF_KIND_BOOL:
		buf_addz(out, "true or false");
		break;
	case CONF_KIND_LIST:
		buf_addf(out, "texts joined by commas, at most %lld bytes", (long long)row->max);
		break;
	case CONF_KIND_ENUM:
		for (; conf_row_word(&rest, &word); first = false)
			buf_addf(out, "%s" STR_FMT, first ? "" : ", ", STR_ARG(word));
		break;
	default:
		buf_addf(out, "text of at most %lld bytes", (long long)row->max);
		break;
	}
}

void conf_row_users(const struct conf_row *row, struct buf *out)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { EDGE, "edge" },
		      { AUTH, "auth" },
		      { ROUTER, "router" },
		      { INGEST, "ingest" },
		      { CTL, "roomwire" } };
	bool first = true;

	if (row->users == ALL) {
		buf_addz(out, "all");
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (row->users & names[i].bit) {
			buf_addf(out, "%s%s", first ? "" : ", ", names[i].name);
			first = false;
		}
}

/* ── conf.h ── */

void conf_init(struct conf *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++) {
		/* conf_test.c holds every default against its own row */
		BUG_ON(row_assign(c, &conf_rows[i], str_of(conf_rows[i].def), true) != 0);
	}
}

void conf_fini(struct conf *c)
{
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++)
		if (is_text(&conf_rows[i]))
			text_free(field_text(c, &conf_rows[i]));
}

static int unknown_key(const char *where, struct str key, struct buf *errors)
{
	const char *words[CONF_OPTION_COUNT + 1];
	const char *near;

	for (size_t i = 0; i < CONF_OPTION_COUNT; i++)
		words[i] = conf_rows[i].field;
	words[CONF_OPTION_COUNT] = NULL;
	near = yaml_nearest(key, words);
	buf_addf(errors, "%s: " STR_FMT ": found a key that no option has, allowed: ", where,
		 (int)(key.n < 80 ? key.n : 80), key.p ? key.p : "");
	if (near)
		buf_addf(errors, "%s (the nearest), and what --help lists\n", near);
	else
		buf_addz(errors, "what --help lists\n");
	return E_CONFIG;
}

int conf_set_from(struct conf *c, enum conf_source source, const char *where, struct str key,
		  struct str value, struct buf *errors)
{
	const struct conf_row *row = conf_row_find(key);

	if (!row)
		return unknown_key(where, key, errors);
	return conf_row_set(c, row, source, where, row->field, value, errors);
}

int conf_set(struct conf *c, const char *where, struct str key, struct str value,
	     struct buf *errors)
{
	return conf_set_from(c, CONF_COMMAND, where, key, value, errors);
}

bool conf_given(const struct conf *c, const char *field)
{
	const struct conf_row *row = conf_row_find(str_of(field));

	BUG_ON(!row);
	return c->sources[row - conf_rows] >= CONF_FILE;
}

bool conf_list_next(struct str *rest, struct str *item)
{
	while (rest->n) {
		struct str tail;

		str_cut(*rest, ',', item, &tail);
		*item = str_trim(*item);
		*rest = tail;
		if (item->n)
			return true;
	}
	return false;
}
