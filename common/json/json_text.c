/* SPDX-License-Identifier: Apache-2.0 */
/* Values of validated scalars. Escapes are known to be whole; still nothing is read outside the slice. */
#include "common/json/json.h"

#define UTF8_MAX_BYTES 4
#define REPLACEMENT 0xfffd

static unsigned hex4(const char *p)
{
	unsigned value = 0;

	for (int i = 0; i < 4; i++) {
		unsigned digit = (unsigned char)p[i];

		value = value << 4 | (digit <= '9' ? digit - '0' : (digit & 0x0f) + 9);
	}
	return value & 0xffff;
}

static size_t utf8_put(char out[UTF8_MAX_BYTES], unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* `rest` begins with the backslash of a validated escape: take it off, return the bytes it stands for. */
static size_t unescape(struct str *rest, char out[UTF8_MAX_BYTES])
{
	static const char meaning[256] = {
		['b'] = '\b', ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r',
		['t'] = '\t', ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',
	};
	unsigned code, low;

	if (rest->n < 6 || rest->p[1] != 'u') {
		out[0] = rest->n < 2 ? '\\' : meaning[(unsigned char)rest->p[1]];
		*rest = str_skip(*rest, rest->n < 2 ? rest->n : 2);
		return 1;
	}
	code = hex4(rest->p + 2);
	*rest = str_skip(*rest, 6);
	if (code < 0xd800 || code > 0xdfff)
		return utf8_put(out, code);
	low = rest->n >= 6 && rest->p[0] == '\\' && rest->p[1] == 'u' ? hex4(rest->p + 2) : 0;
	if (code > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return utf8_put(out, REPLACEMENT); /* half a pair */
	*rest = str_skip(*rest, 6);
	return utf8_put(out, 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff));
}

/* Content of a string's raw text, still escaped. */
static struct str inside(struct str raw)
{
	return raw.n < 2 ? STR_NONE : str_make(raw.p + 1, raw.n - 2);
}

static bool escaped_is(struct str rest, struct str text)
{
	char out[UTF8_MAX_BYTES];

	if (rest.n < text.n)
		return false; /* escapes only lengthen */
	if (rest.n == text.n || !memchr(rest.p, '\\', rest.n))
		return str_eq(rest, text) && (rest.n == 0 || !memchr(rest.p, '\\', rest.n));
	while (rest.n > 0) {
		size_t n = 1;

		if (*rest.p == '\\') {
			n = unescape(&rest, out);
		} else {
			out[0] = *rest.p;
			rest = str_skip(rest, 1);
		}
		if (!str_starts(text, str_make(out, n)))
			return false;
		text = str_skip(text, n);
	}
	return text.n == 0;
}

int json_text(struct json_value v, struct buf *scratch, struct str *text)
{
	struct str rest;
	char *out;
	size_t n = 0;

	if (v.type != JSON_STRING)
		return E_TYPE;
	rest = inside(v.raw);
	if (rest.n == 0 || !memchr(rest.p, '\\', rest.n)) {
		*text = rest;
		return 0;
	}
	/* Decoding never lengthens, so one piece of room is enough. */
	out = buf_room(scratch, rest.n);
	if (!out)
		return scratch->failed;
	while (rest.n > 0) {
		const char *stop = memchr(rest.p, '\\', rest.n);
		size_t plain = stop ? (size_t)(stop - rest.p) : rest.n;
		char bytes[UTF8_MAX_BYTES];
		size_t count;

		memcpy(out + n, rest.p, plain);
		n += plain;
		rest = str_skip(rest, plain);
		if (rest.n == 0)
			break;
		count = unescape(&rest, bytes);
		memcpy(out + n, bytes, count);
		n += count;
	}
	scratch->n += n;
	*text = str_make(out, n);
	return 0;
}

bool json_text_is(struct json_value v, struct str text)
{
	return v.type == JSON_STRING && escaped_is(inside(v.raw), text);
}

int json_u64(struct json_value v, uint64_t *n)
{
	if (v.type != JSON_NUMBER)
		return E_TYPE;
	return str_to_u64(v.raw, n) ? E_RANGE : 0;
}

int json_i64(struct json_value v, int64_t *n)
{
	if (v.type != JSON_NUMBER)
		return E_TYPE;
	return str_to_i64(v.raw, n) ? E_RANGE : 0;
}

bool json_bool(struct json_value v, bool *b)
{
	if (v.type != JSON_TRUE && v.type != JSON_FALSE)
		return false;
	*b = v.type == JSON_TRUE;
	return true;
}

bool json_holds_text(struct json_value v, struct str wanted)
{
	struct json_value element;
	struct json_walk w;

	if (v.type != JSON_ARRAY)
		return json_text_is(v, wanted);
	json_walk(v, &w);
	while (json_next(&w, NULL, &element) == 0)
		if (json_text_is(element, wanted))
			return true;
	return false;
}
