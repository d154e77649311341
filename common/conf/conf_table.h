/* SPDX-License-Identifier: Apache-2.0 */
/* options.def as rows, for conf*.c only. */
#ifndef ROOMWIRE_CONF_CONF_TABLE_H
#define ROOMWIRE_CONF_CONF_TABLE_H

#include "common/conf/conf.h"

enum conf_kind {
	CONF_KIND_INT = 0,
	CONF_KIND_BOOL,
	CONF_KIND_TEXT,
	CONF_KIND_SECRET,
	CONF_KIND_LIST,
	CONF_KIND_ENUM
};

struct conf_row {
	enum conf_kind kind;
	const char *field, *env, *def;
	int64_t min, max;
	unsigned users;
	const char *doc;
	size_t offset; /* of the field in struct conf */
};

extern const struct conf_row conf_rows[CONF_OPTION_COUNT];

const struct conf_row *conf_row_find(struct str field); /* NULL: no such option */
/* "whole number 10 to 3600000", "true or false", "text of at most 255 bytes", "debug, info, warn or error" … */
void conf_row_allowed(const struct conf_row *row, struct buf *out);
/* Words of an ENUM row, one by one; *rest starts as str_of(row->doc). */
bool conf_row_word(struct str *rest, struct str *word);
/* The doc sentence, without the words of an ENUM. */
struct str conf_row_sentence(const struct conf_row *row);
void conf_row_users(const struct conf_row *row, struct buf *out); /* "edge, auth" or "all" */
/*
 * Set an option that was found. `shown` is what errors call it: the key, or the variable. E_CONFIG with a line in errors.
 */
int conf_row_set(struct conf *c, const struct conf_row *row, enum conf_source source,
		 const char *where, const char *shown, struct str value,
		 struct buf *errors) MUST_CHECK;

#endif
