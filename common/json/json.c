/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First half: the scanner, which validates. One pass, no recursion; what is open is one bit per level (set: object).
 * Second half: walking over what was validated. Nothing there checks the grammar, but nothing leaves the slice either.
 */
#include "common/json/json.h"

#include <endian.h>

#include "common/base/utf8.h"

_Static_assert(JSON_MAX_DEPTH % 64 == 0, "one bit per level");

struct scan {
	const char *at, *end;
	unsigned depth;
	uint64_t objects[JSON_MAX_DEPTH / 64]; /* a bit for each open container: it is an object */
};

static inline void scan_init(struct scan *s, struct str text)
{
	*s = (struct scan){ .at = text.p, .end = text.p + text.n };
}

static inline void push(struct scan *s, bool object)
{
	uint64_t *word = &s->objects[s->depth / 64], bit = UINT64_C(1) << (s->depth % 64);
	uint64_t below = *word & (bit - 1);

	*word = object ? below | bit : below;
	s->depth++;
}

static inline bool is_in_object(const struct scan *s)
{
	unsigned level = s->depth - 1;

	return s->objects[level / 64] >> (level % 64) & 1;
}

/* What a scanning step left behind, beside errors. */
enum { DONE = 0, WANT_VALUE = 1 };

static inline void skip_blanks(struct scan *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/*
 * How many of the 8 bytes at p are plain: ASCII that is no quote, backslash or control character. A high bit is set in
 * each byte that is not; borrows can set wrong ones, but only above a right one (Warren, Hacker's Delight 6-1).
 */
static inline size_t plain_bytes(const char *p)
{
	uint64_t word, quote, backslash, special;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	quote = word ^ EACH_BYTE * '"';
	backslash = word ^ EACH_BYTE * '\\';
	special = (word - EACH_BYTE * 0x20) | (quote - EACH_BYTE) | (backslash - EACH_BYTE) | word;
	special &= EACH_BYTE * 0x80;
	return special ? (size_t)__builtin_ctzll(special) / 8 : 8;
}

/* After "\u". Any unit: JavaScript writes half a surrogate pair like this, too. */
static int scan_unicode_escape(struct scan *s)
{
	for (int i = 0; i < 4; i++, s->at++) {
		if (s->at == s->end)
			return E_TRUNCATED;
		if (str_hex_digit(*s->at) < 0)
			return E_SYNTAX;
	}
	return 0;
}

/* After the backslash. */
static int scan_escape(struct scan *s)
{
	if (s->at == s->end)
		return E_TRUNCATED;
	switch (*s->at++) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return 0;
	case 'u':
		return scan_unicode_escape(s);
	default:
		return E_SYNTAX;
	}
}

/* A run of characters of more than one byte. */
static int scan_non_ascii(struct scan *s)
{
	do {
		size_t step = utf8_step((const unsigned char *)s->at, (size_t)(s->end - s->at));

		if (step == 0)
			return E_UTF8;
		s->at += step;
	} while (s->at < s->end && (unsigned char)*s->at >= 0x80);
	return 0;
}

/* After the opening quote; leaves `at` behind the closing one. */
static int scan_string(struct scan *s)
{
	for (;;) {
		unsigned char c;
		int err;

		while (s->end - s->at >= 8) {
			size_t plain = plain_bytes(s->at);

			s->at += plain;
			if (plain < 8)
				break;
		}
		if (s->at == s->end)
			return E_TRUNCATED;
		c = (unsigned char)*s->at;
		if (c == '"') {
			s->at++;
			return DONE;
		}
		if (c == '\\') {
			s->at++;
			err = scan_escape(s);
		} else if (c >= 0x80) {
			err = scan_non_ascii(s);
		} else if (c < 0x20) {
			err = E_SYNTAX;
		} else {
			s->at++;
			err = 0;
		}
		if (err)
			return err;
	}
}

static int scan_digits(struct scan *s)
{
	if (s->at == s->end)
		return E_TRUNCATED;
	if (!is_digit(*s->at))
		return E_SYNTAX;
	while (s->at < s->end && is_digit(*s->at))
		s->at++;
	return DONE;
}

static int scan_number(struct scan *s)
{
	int err;

	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0') {
		s->at++;
	} else {
		err = scan_digits(s);
		if (err)
			return err;
	}
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		err = scan_digits(s);
		if (err)
			return err;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		return scan_digits(s);
	}
	return DONE;
}

static int scan_word(struct scan *s, struct str word)
{
	size_t left = (size_t)(s->end - s->at);
	size_t n = left < word.n ? left : word.n;

	if (memcmp(s->at, word.p, n) != 0)
		return E_SYNTAX;
	if (n < word.n)
		return E_TRUNCATED;
	s->at += n;
	return DONE;
}

static inline int scan_key(struct scan *s)
{
	int err;

	skip_blanks(s);
	if (s->at == s->end)
		return E_TRUNCATED;
	if (*s->at++ != '"')
		return E_SYNTAX;
	err = scan_string(s);
	if (err)
		return err;
	skip_blanks(s);
	if (s->at == s->end)
		return E_TRUNCATED;
	return *s->at++ == ':' ? WANT_VALUE : E_SYNTAX;
}

static inline int scan_open(struct scan *s, bool object)
{
	if (s->depth == JSON_MAX_DEPTH)
		return E_DEPTH;
	s->at++;
	skip_blanks(s);
	if (s->at < s->end && *s->at == (object ? '}' : ']')) {
		s->at++;
		return DONE;
	}
	push(s, object);
	return object ? scan_key(s) : WANT_VALUE;
}

/* DONE: a whole value was read; WANT_VALUE: a container was opened. */
static inline int scan_value(struct scan *s)
{
	skip_blanks(s);
	if (s->at == s->end)
		return E_TRUNCATED;
	switch (*s->at) {
	case '"':
		s->at++;
		return scan_string(s);
	case '{':
		return scan_open(s, true);
	case '[':
		return scan_open(s, false);
	case 't':
		return scan_word(s, STR("true"));
	case 'f':
		return scan_word(s, STR("false"));
	case 'n':
		return scan_word(s, STR("null"));
	default:
		return *s->at == '-' || is_digit(*s->at) ? scan_number(s) : E_SYNTAX;
	}
}

/* Behind a whole value. DONE: everything is closed; WANT_VALUE: there was a comma. */
static inline int scan_after(struct scan *s)
{
	while (s->depth > 0) {
		bool object = is_in_object(s);
		char c;

		skip_blanks(s);
		if (s->at == s->end)
			return E_TRUNCATED;
		c = *s->at++;
		if (c == ',')
			return object ? scan_key(s) : WANT_VALUE;
		if (c != (object ? '}' : ']'))
			return E_SYNTAX;
		s->depth--;
	}
	return DONE;
}

static enum json_type type_of(char first)
{
	switch (first) {
	case '"':
		return JSON_STRING;
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

int json_parse_prefix(struct str text, struct json_value *v, size_t *used)
{
	struct scan s;
	const char *start;
	int state;

	if (text.n == 0)
		return E_TRUNCATED;
	scan_init(&s, text);
	skip_blanks(&s);
	start = s.at;
	do {
		state = scan_value(&s);
		if (state == DONE)
			state = scan_after(&s);
	} while (state == WANT_VALUE);
	if (state < 0)
		return state;
	v->type = type_of(*start);
	v->raw = str_make(start, (size_t)(s.at - start));
	*used = (size_t)(s.at - text.p);
	return 0;
}

int json_parse(struct str text, struct json_value *v)
{
	struct scan rest;
	size_t used;
	int err;

	err = json_parse_prefix(text, v, &used);
	if (err)
		return err;
	scan_init(&rest, str_skip(text, used));
	skip_blanks(&rest);
	return rest.at == rest.end ? 0 : E_SYNTAX;
}

/* ---- walking ---- */

static inline void walk_blanks(struct json_walk *w)
{
	while (w->at < w->end &&
	       (*w->at == ' ' || *w->at == '\n' || *w->at == '\r' || *w->at == '\t'))
		w->at++;
}

/* How many of the 8 bytes at p precede a quote or backslash: all that matters in a validated string. */
static inline size_t bytes_before_special(const char *p)
{
	uint64_t word, quote, backslash, special;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	quote = word ^ EACH_BYTE * '"';
	backslash = word ^ EACH_BYTE * '\\';
	special = ((quote - EACH_BYTE) & ~quote) | ((backslash - EACH_BYTE) & ~backslash);
	special &= EACH_BYTE * 0x80;
	return special ? (size_t)__builtin_ctzll(special) / 8 : 8;
}

/* At the opening quote; returns the place behind the closing one. */
static const char *skip_string(const char *at, const char *end)
{
	at++;
	for (;;) {
		while (end - at >= 8) {
			size_t plain = bytes_before_special(at);

			at += plain;
			if (plain < 8)
				break;
		}
		if (at >= end)
			return end;
		if (*at == '"')
			return at + 1;
		at += *at == '\\' && end - at >= 2 ? 2 : 1;
	}
}

static const char *skip_container(const char *at, const char *end)
{
	unsigned depth = 0;

	while (at < end) {
		switch (*at) {
		case '"':
			at = skip_string(at, end);
			continue;
		case '{':
		case '[':
			depth++;
			break;
		case '}':
		case ']':
			if (--depth == 0)
				return at + 1;
			break;
		default:
			break;
		}
		at++;
	}
	return end;
}

static const char *skip_value(const char *at, const char *end)
{
	if (*at == '"')
		return skip_string(at, end);
	if (*at == '{' || *at == '[')
		return skip_container(at, end);
	while (at < end && *at != ',' && (unsigned char)*at > ' ' && *at != ']' && *at != '}')
		at++;
	return at;
}

void json_walk(struct json_value container, struct json_walk *w)
{
	*w = (struct json_walk){ NULL, NULL, container.type == JSON_OBJECT };
	if ((container.type != JSON_ARRAY && !w->object) || container.raw.n < 2)
		return;
	w->at = container.raw.p + 1;
	w->end = container.raw.p + container.raw.n - 1;
}

int json_next(struct json_walk *w, struct str *key_raw, struct json_value *v)
{
	struct str key = STR_NONE;
	const char *from;

	walk_blanks(w);
	if (w->at == w->end)
		return E_NOTFOUND;
	if (w->object) {
		from = w->at;
		w->at = skip_string(w->at, w->end);
		key = str_make(from, (size_t)(w->at - from));
		walk_blanks(w);
		w->at += w->at < w->end; /* the colon */
		walk_blanks(w);
	}
	if (w->at == w->end)
		return E_NOTFOUND;
	from = w->at;
	w->at = skip_value(w->at, w->end);
	v->type = type_of(*from);
	v->raw = str_make(from, (size_t)(w->at - from));
	if (key_raw)
		*key_raw = key;
	walk_blanks(w);
	w->at += w->at < w->end; /* the comma */
	return 0;
}

int json_get(struct json_value object, struct str name, struct json_value *v)
{
	struct json_value member;
	struct json_walk w;
	struct str key;
	int err = E_NOTFOUND;

	if (object.type != JSON_OBJECT)
		return E_TYPE;
	json_walk(object, &w);
	while (json_next(&w, &key, &member) == 0) {
		if (json_text_is((struct json_value){ JSON_STRING, key }, name)) {
			*v = member;
			err = 0;
		}
	}
	return err;
}

int json_get_path(struct json_value object, struct str path, struct json_value *v)
{
	struct str name;
	bool more;

	do {
		int err;

		more = str_cut(path, '.', &name, &path);
		err = json_get(object, name, &object);
		if (err)
			return err;
	} while (more);
	*v = object;
	return 0;
}

int json_at(struct json_value array, size_t index, struct json_value *v)
{
	struct json_value element;
	struct json_walk w;

	if (array.type != JSON_ARRAY)
		return E_TYPE;
	json_walk(array, &w);
	while (json_next(&w, NULL, &element) == 0) {
		if (index-- == 0) {
			*v = element;
			return 0;
		}
	}
	return E_NOTFOUND;
}

size_t json_count(struct json_value container)
{
	struct json_value element;
	struct json_walk w;
	size_t count = 0;

	json_walk(container, &w);
	while (json_next(&w, NULL, &element) == 0)
		count++;
	return count;
}
