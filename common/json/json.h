/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON on the message path (RFC 8259): a strict, bounded scanner that validates once and yields slices of the input.
 * Nothing is copied or allocated; values are passed on byte for byte. Strict: one value, UTF-8, no control characters in strings, no leading zeros, no trailing commas, no NaN, nothing after the value, at most
 * JSON_MAX_DEPTH nested.
 *
 *     struct json_value v;
 *     if (json_parse(text, &v) == 0 && v.type == JSON_OBJECT && json_get(v, STR("ticketId"), &id) == 0) ...
 *
 * After json_parse accepted the text, the walkers below (json_get, json_next) trust it and only skip.
 * Thread: any. Checked against jansson by a differential fuzz target.
 */
#ifndef ROOMWIRE_JSON_JSON_H
#define ROOMWIRE_JSON_JSON_H

#include "common/base/buf.h"

#define JSON_MAX_DEPTH 256

enum json_type {
	JSON_NONE = 0,
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

struct json_value {
	enum json_type type;
	struct str
		raw; /* the value's text, without blanks around; strings with their quotes; BORROWED from the input */
};

/* Validate the whole text as one value. 0, E_SYNTAX, E_UTF8, E_DEPTH, E_TRUNCATED. */
int json_parse(struct str text, struct json_value *v) MUST_CHECK;
/*
 * Validate one value at the start of text (leading blanks allowed) and report where it ended: for texts with something behind
 * the value. *used is the bytes consumed.
 */
int json_parse_prefix(struct str text, struct json_value *v, size_t *used) MUST_CHECK;

/* Walk an array or object that was validated. Start with json_walk; json_next gives 0 and the next element (key is set for
 * objects: the key's raw text with quotes), or E_NOTFOUND at the end. */
struct json_walk {
	const char *at, *end;
	bool object;
};
void json_walk(struct json_value container,
	       struct json_walk *w); /* of another type: an empty walk */
int json_next(struct json_walk *w, struct str *key_raw, struct json_value *v);

/* Member of a validated object by its (unescaped) name; the last one where names repeat, as JavaScript does. E_NOTFOUND, E_TYPE. */
int json_get(struct json_value object, struct str name, struct json_value *v);
/* Dotted path of member names ("payload.ticketId"). */
int json_get_path(struct json_value object, struct str path, struct json_value *v);
int json_at(struct json_value array, size_t index, struct json_value *v);
size_t json_count(struct json_value container);

/* Content of a validated string value. Half a surrogate pair, which JavaScript's texts may hold, is U+FFFD in it. Without escapes the slice is of the input; with them it is decoded into scratch
 * (appended; BORROWED until scratch changes). E_TYPE when v is no string; E_TOOBIG. */
int json_text(struct json_value v, struct buf *scratch, struct str *text) MUST_CHECK;
/* Equality of a string value with plain text, without scratch. */
bool json_text_is(struct json_value v, struct str text);
/* A string that is it, or an array with such a string in it. Other values hold nothing. */
bool json_holds_text(struct json_value v, struct str wanted);
int json_u64(struct json_value v,
	     uint64_t *n) MUST_CHECK; /* E_TYPE, E_RANGE (also for fractions and exponents) */
int json_i64(struct json_value v, int64_t *n) MUST_CHECK;
bool json_bool(struct json_value v, bool *b); /* false when it is no boolean */

#endif
