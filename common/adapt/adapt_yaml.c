/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libyaml: every document is read twice. The first pass over the events finds syntax errors and refuses what the tree of the second
 * pass could not be walked safely with (aliases can make it a cycle) or would not show (a second document).
 */
#include "common/adapt/adapt_yaml.h"

#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#include "common/adapt/adapt_yaml_tree.h"

#define NEAREST_MAX_BYTES 64

int yaml_read(const char *path, struct buf *text, struct buf *errors)
{
	FILE *f = fopen(path, "rbe");
	char chunk[4096];
	int err = 0;

	if (!f) {
		buf_addf(errors, "%s: cannot be read: %s\n", path, strerror(errno));
		return E_CONFIG;
	}
	for (size_t n; (n = fread(chunk, 1, sizeof(chunk), f)) > 0;)
		buf_add(text, str_make(chunk, n));
	if (ferror(f)) {
		buf_addf(errors, "%s: cannot be read: %s\n", path, strerror(errno));
		err = E_CONFIG;
	} else if (text->failed) {
		buf_addf(errors, "%s: found more than %zu bytes, allowed: at most that\n", path,
			 text->max);
		err = E_CONFIG;
	}
	fclose(f);
	return err;
}

void yaml_tree_quote(struct buf *out, struct str s)
{
	size_t shown = s.n < 60 ? s.n : 60;

	buf_addc(out, '"');
	for (size_t i = 0; i < shown; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f)
			buf_addf(out, "\\x%02x", c);
		else
			buf_addc(out, s.p[i]);
	}
	buf_addz(out, shown < s.n ? "...\"" : "\"");
}

/* ── first pass ── */

struct scan {
	const char *name;
	struct buf *errors;
	int depth, documents;
	bool failed, too_deep;
};

static void scan_refuse(struct scan *s, size_t line, const char *what)
{
	buf_addf(s->errors, "%s:%zu: %s\n", s->name, line + 1, what);
	s->failed = true;
}

static void scan_event(struct scan *s, const yaml_event_t *e)
{
	size_t line = e->start_mark.line;

	switch (e->type) {
	case YAML_ALIAS_EVENT:
		scan_refuse(s, line, "found an alias (*name), allowed: values written out");
		break;
	case YAML_DOCUMENT_START_EVENT:
		if (++s->documents == 2)
			scan_refuse(s, line, "found a second document (---), allowed: one");
		break;
	case YAML_SCALAR_EVENT:
		if (memchr(e->data.scalar.value, 0, e->data.scalar.length))
			scan_refuse(s, line, "found a zero byte in a value, allowed: text");
		break;
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		if (++s->depth > YAML_MAX_DEPTH) {
			scan_refuse(s, line,
				    "found values nested more than 64 deep, allowed: at most that");
			s->too_deep = true;
		}
		break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		s->depth--;
		break;
	default:
		break;
	}
}

static int scan_text(const char *name, struct str text, struct buf *errors)
{
	struct scan s = { .name = name, .errors = errors };
	yaml_parser_t parser;
	bool done = false;

	if (!yaml_parser_initialize(&parser))
		return E_NOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""),
				     text.n);
	while (!done) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			buf_addf(errors, "%s:%zu: is no YAML: %s\n", name,
				 parser.problem_mark.line + 1,
				 parser.problem ? parser.problem : "out of memory");
			s.failed = true;
			break;
		}
		scan_event(&s, &event);
		done = event.type == YAML_STREAM_END_EVENT || s.too_deep;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return s.failed ? E_CONFIG : 0;
}

/* ── second pass ── */

int yaml_tree_open(const char *name, struct str text, yaml_document_t *doc, yaml_node_t **root,
		   struct buf *errors)
{
	yaml_parser_t parser;
	int err = scan_text(name, text, errors);

	if (err)
		return err;
	if (!yaml_parser_initialize(&parser))
		return E_NOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""),
				     text.n);
	if (!yaml_parser_load(&parser, doc)) {
		buf_addf(errors, "%s:%zu: is no YAML: %s\n", name, parser.problem_mark.line + 1,
			 parser.problem ? parser.problem : "out of memory");
		err = E_CONFIG;
	}
	yaml_parser_delete(&parser);
	if (!err)
		*root = yaml_document_get_root_node(doc);
	return err;
}

struct str yaml_tree_text(const yaml_node_t *node)
{
	if (!node || node->type != YAML_SCALAR_NODE)
		return STR_NONE;
	return str_make((const char *)node->data.scalar.value, node->data.scalar.length);
}

const char *yaml_tree_shape(const yaml_node_t *node)
{
	switch (node->type) {
	case YAML_MAPPING_NODE:
		return "a mapping";
	case YAML_SEQUENCE_NODE:
		return "a list";
	default:
		return "a value";
	}
}

size_t yaml_tree_count(const yaml_node_t *node)
{
	if (node->type == YAML_MAPPING_NODE)
		return (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
	if (node->type == YAML_SEQUENCE_NODE)
		return (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	return 0;
}

yaml_node_t *yaml_tree_key(yaml_document_t *doc, const yaml_node_t *mapping, size_t i)
{
	return yaml_document_get_node(doc, mapping->data.mapping.pairs.start[i].key);
}

yaml_node_t *yaml_tree_value(yaml_document_t *doc, const yaml_node_t *mapping, size_t i)
{
	return yaml_document_get_node(doc, mapping->data.mapping.pairs.start[i].value);
}

yaml_node_t *yaml_tree_item(yaml_document_t *doc, const yaml_node_t *list, size_t i)
{
	return yaml_document_get_node(doc, list->data.sequence.items.start[i]);
}

/* Earlier pair with the same key, or n. */
size_t yaml_tree_twin(yaml_document_t *doc, const yaml_node_t *mapping, size_t i)
{
	struct str key = yaml_tree_text(yaml_tree_key(doc, mapping, i));

	for (size_t j = 0; j < i; j++)
		if (str_eq(key, yaml_tree_text(yaml_tree_key(doc, mapping, j))))
			return j;
	return i;
}

/* ── flat mappings ── */

static void flat_value(yaml_document_t *doc, const yaml_node_t *node, struct yaml_pair *pair,
		       struct buf *joined)
{
	buf_reset(joined);
	if (node->type == YAML_SCALAR_NODE) {
		pair->shape = YAML_SCALAR;
		pair->value = yaml_tree_text(node);
		return;
	}
	pair->shape = node->type == YAML_SEQUENCE_NODE ? YAML_LIST : YAML_NESTED;
	for (size_t i = 0; pair->shape == YAML_LIST && i < yaml_tree_count(node); i++) {
		const yaml_node_t *item = yaml_tree_item(doc, node, i);

		if (item->type != YAML_SCALAR_NODE)
			pair->shape = YAML_NESTED;
		if (i)
			buf_addc(joined, ',');
		buf_add(joined, yaml_tree_text(item));
	}
	pair->value = pair->shape == YAML_LIST ? buf_str(joined) : STR_NONE;
}

static int flat_pairs(const char *name, yaml_document_t *doc, const yaml_node_t *root,
		      yaml_pair_fn fn, void *ctx, struct buf *errors)
{
	struct buf joined = BUF_INIT(YAML_MAX_BYTES);
	int err = 0;

	for (size_t i = 0; i < yaml_tree_count(root); i++) {
		const yaml_node_t *key = yaml_tree_key(doc, root, i);
		struct yaml_pair pair = { .line = (int)key->start_mark.line + 1,
					  .key = yaml_tree_text(key) };
		size_t twin = yaml_tree_twin(doc, root, i);

		if (key->type != YAML_SCALAR_NODE) {
			buf_addf(errors, "%s:%d: found %s as a key, allowed: a name\n", name,
				 pair.line, yaml_tree_shape(key));
			err = E_CONFIG;
			continue;
		}
		if (twin < i) {
			buf_addf(errors,
				 "%s:%d: " STR_FMT
				 ": found a second time (first in line %zu), allowed: once\n",
				 name, pair.line, STR_ARG(pair.key),
				 yaml_tree_key(doc, root, twin)->start_mark.line + 1);
			err = E_CONFIG;
			continue;
		}
		flat_value(doc, yaml_tree_value(doc, root, i), &pair, &joined);
		fn(&pair, ctx);
	}
	buf_fini(&joined);
	return err;
}

static bool is_empty_scalar(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0;
}

int yaml_flat_walk(const char *name, struct str text, yaml_pair_fn fn, void *ctx,
		   struct buf *errors)
{
	yaml_document_t doc;
	yaml_node_t *root = NULL;
	int err = yaml_tree_open(name, text, &doc, &root, errors);

	if (err)
		return err;
	if (root && root->type == YAML_MAPPING_NODE) {
		err = flat_pairs(name, &doc, root, fn, ctx, errors);
	} else if (root && !is_empty_scalar(root)) {
		buf_addf(errors, "%s:%zu: found %s, allowed: lines of \"key: value\"\n", name,
			 root->start_mark.line + 1, yaml_tree_shape(root));
		err = E_CONFIG;
	}
	yaml_document_delete(&doc);
	return err;
}

int yaml_flat_load(const char *path, yaml_pair_fn fn, void *ctx, struct buf *errors)
{
	struct buf text = BUF_INIT(YAML_MAX_BYTES);
	int err = yaml_read(path, &text, errors);

	if (!err)
		err = yaml_flat_walk(path, buf_str(&text), fn, ctx, errors);
	buf_fini(&text);
	return err;
}

/* ── places ── */

/* Next step of a path: a key, or an index (*key is then empty). False: malformed. */
static bool path_step(const char **at, struct str *key, size_t *index)
{
	const char *p = *at;
	char close = 0;

	*key = STR_NONE;
	if (*p == '[') {
		for (p++, *index = 0; *p >= '0' && *p <= '9' && *index < 1000000; p++)
			*index = *index * 10 + (size_t)(*p - '0');
		*at = p + 1;
		return *p == ']';
	}
	if (*p == '.')
		p++;
	if (*p == '"')
		close = *p++;
	key->p = p;
	while (*p && (close ? *p != close : *p != '.' && *p != '['))
		p++;
	key->n = (size_t)(p - key->p);
	if (close && *p != close)
		return false;
	*at = close ? p + 1 : p;
	return key->n > 0 || close;
}

static yaml_node_t *path_descend(yaml_document_t *doc, yaml_node_t *node, struct str key,
				 size_t index, int *line)
{
	if (!key.p) {
		if (node->type != YAML_SEQUENCE_NODE || index >= yaml_tree_count(node))
			return NULL;
		node = yaml_tree_item(doc, node, index);
		*line = (int)node->start_mark.line + 1;
		return node;
	}
	if (node->type != YAML_MAPPING_NODE)
		return NULL;
	for (size_t i = 0; i < yaml_tree_count(node); i++)
		if (str_eq(yaml_tree_text(yaml_tree_key(doc, node, i)), key)) {
			*line = (int)yaml_tree_key(doc, node, i)->start_mark.line + 1;
			return yaml_tree_value(doc, node, i);
		}
	return NULL;
}

int yaml_locate(struct str text, const char *path, int *line)
{
	struct buf ignored = BUF_INIT(4096);
	yaml_document_t doc;
	yaml_node_t *node = NULL;
	int err;

	*line = 1;
	err = yaml_tree_open("", text, &doc, &node, &ignored);
	buf_fini(&ignored);
	if (err)
		return E_NOTFOUND;
	while (node && *path) {
		struct str key;
		size_t index = 0;

		node = path_step(&path, &key, &index) ? path_descend(&doc, node, key, index, line)
						      : NULL;
	}
	err = node ? 0 : E_NOTFOUND;
	yaml_document_delete(&doc);
	return err;
}

/* ── nearest word ── */

/* Levenshtein distance of words of at most NEAREST_MAX_BYTES. */
static size_t distance(struct str a, struct str b)
{
	size_t row[NEAREST_MAX_BYTES + 1];

	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t best = diagonal + (a.p[i - 1] != b.p[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[b.n];
}

const char *yaml_nearest(struct str word, const char *const *words)
{
	const char *found = NULL;
	size_t best = word.n / 2 + 1; /* farther than half of the word is no help */

	for (; word.n <= NEAREST_MAX_BYTES && *words; words++) {
		struct str candidate = str_of(*words);

		if (candidate.n <= NEAREST_MAX_BYTES && distance(word, candidate) < best) {
			best = distance(word, candidate);
			found = *words;
		}
	}
	return found;
}
