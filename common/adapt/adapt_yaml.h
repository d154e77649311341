/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML by libyaml (events, with line numbers) and libcyaml (schemas). Errors are lines appended to a buffer, each
 * "FILE:LINE: KEY.PATH: found WHAT, allowed WHAT"; the caller prints them all and exits with 2.
 *
 * Whoever writes schemas includes <cyaml/cyaml.h> for the CYAML_* macros; calls into either library are made here only.
 *
 *     struct buf text = BUF_INIT(YAML_MAX_BYTES);
 *     if (!yaml_read(path, &text, errors) && !yaml_load(path, buf_str(&text), &schema, &data, errors)) ...
 *     ... yaml_unload(&schema, &data);
 *
 * Thread: any; start-up only (blocks on the file).
 */
#ifndef ROOMWIRE_ADAPT_ADAPT_YAML_H
#define ROOMWIRE_ADAPT_ADAPT_YAML_H

#include "common/base/buf.h"

#define YAML_MAX_BYTES (4u << 20) /* of one file */
#define YAML_MAX_DEPTH 64         /* of nested values; deeper is a syntax error here */

struct cyaml_schema_value;

/* Read a file into text (bounded by text->max). 0, or E_CONFIG with a line in errors (no such file, too large …). */
int yaml_read(const char *path, struct buf *text, struct buf *errors) MUST_CHECK;

enum yaml_shape { YAML_SCALAR = 0, YAML_LIST, YAML_NESTED };

/* One pair of a flat mapping. Everything is BORROWED until the callback returns. */
struct yaml_pair {
	int line; /* of the key, from 1 */
	struct str key;
	enum yaml_shape
		shape; /* LIST: a sequence of scalars, joined by commas in value; NESTED: anything deeper, value is empty */
	struct str value;
};
typedef void (*yaml_pair_fn)(const struct yaml_pair *pair, void *ctx);

/*
 * Walk the document's top-level mapping in file order. An empty document has no pairs. 0, or E_CONFIG with lines in errors: unreadable
 * file, syntax error, no mapping, a key twice (both lines named), anchors and aliases, a second document. Pairs before the error
 * have been reported to the callback by then.
 */
int yaml_flat_load(const char *path, yaml_pair_fn fn, void *ctx, struct buf *errors) MUST_CHECK;
/* The same over text; name is what errors call the file. */
int yaml_flat_walk(const char *name, struct str text, yaml_pair_fn fn, void *ctx,
		   struct buf *errors) MUST_CHECK;

/*
 * Line of a place in a document: "namespaces[0].events[3].join" → line of that key (of that entry, where the path ends in an index).
 * A key with dots or brackets is written in double quotes: events."ticket.join". 0, or E_NOTFOUND: then *line is that of the nearest
 * enclosing place that exists (1 at least); also E_NOTFOUND for text that is no YAML.
 */
int yaml_locate(struct str text, const char *path, int *line);

/*
 * Load text by a libcyaml schema. *data is OWNED by caller: yaml_unload. 0, or E_CONFIG with a line in errors for everything that is wrong
 * and *data NULL. An empty document is an error. The document is first checked against the schema here, because libcyaml stops at its first
 * error, often names the parent's line and never what is allowed, takes any word for a boolean and 010 for eight.
 */
int yaml_load(const char *name, struct str text, const struct cyaml_schema_value *schema,
	      void **data, struct buf *errors) MUST_CHECK;
/* Nulls; accepts NULL inside. (Not yaml_free: libyaml exports that name, and would call ours.) */
void yaml_unload(const struct cyaml_schema_value *schema, void **data);

/* "libyaml 0.2.5, libcyaml 1.3.1" */
const char *yaml_version(void);

/*
 * The word of a NULL-ended list that is nearest to the given one (edit distance), or NULL when none is near.
 */
const char *yaml_nearest(struct str word, const char *const *words);

#endif
