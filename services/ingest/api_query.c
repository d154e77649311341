/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/api_query.h"

#include "common/base/b64.h"
#include "common/base/utf8.h"

#define CURSOR_BYTES 1600 /* kind, 2 bytes length, two names */
#define CURSOR_HEAD_BYTES 3u

static int wrong(struct buf *why, int err, const char *text)
{
	buf_addz(why, text);
	return err;
}

/* Strict: each % begins an escape. scratch has room for all of it. '+' stays. */
static int decode(struct str s, struct buf *scratch, struct str *text)
{
	size_t start = scratch->n;

	*text = s;
	if (s.n && memchr(s.p, '%', s.n)) {
		for (size_t i = 0; i < s.n; i++) {
			int high, low;

			if (s.p[i] != '%') {
				buf_addc(scratch, s.p[i]);
				continue;
			}
			high = i + 2 < s.n ? str_hex_digit(s.p[i + 1]) : -1;
			low = high >= 0 ? str_hex_digit(s.p[i + 2]) : -1;
			if (low < 0)
				return E_SYNTAX;
			buf_addc(scratch, (char)(high * 16 + low));
			i += 2;
		}
		if (scratch->failed)
			return scratch->failed;
		*text = str_make(scratch->p + start, scratch->n - start);
	}
	return utf8_valid(*text) ? 0 : E_UTF8;
}

int api_query_name(struct str segment, struct buf *scratch, struct str *name, struct buf *why)
{
	if (!buf_room(scratch, segment.n + 1))
		return wrong(why, E_NOMEM, "out of memory");
	if (decode(segment, scratch, name))
		return wrong(why, E_SYNTAX,
			     "the path is not percent-encoded UTF-8: write % as %25, / as %2F");
	if (name->n == 0 || name->n > API_NAME_BYTES)
		return wrong(why, E_RANGE, "the name in the path must be of 1 to 700 bytes");
	return 0;
}

/* ── cursors ── */

void api_query_add_cursor(struct buf *out, char kind, struct str major, struct str minor)
{
	char plain[CURSOR_BYTES], *to;
	size_t n = CURSOR_HEAD_BYTES + major.n + minor.n;

	if (n > sizeof(plain))
		return; /* names are bounded: see api_query.h */
	plain[0] = kind;
	plain[1] = (char)(major.n >> 8);
	plain[2] = (char)major.n;
	if (major.n)
		memcpy(plain + CURSOR_HEAD_BYTES, major.p, major.n);
	if (minor.n)
		memcpy(plain + CURSOR_HEAD_BYTES + major.n, minor.p, minor.n);
	to = buf_room(out, b64_encoded_bytes(n));
	if (to)
		out->n += b64url_encode(str_make(plain, n), to);
}

static int parse_cursor(struct str text, char kind, struct buf *scratch, struct api_query *q)
{
	char *plain = buf_room(scratch, text.n / 4 * 3 + 3);
	size_t n, major;

	if (!plain || b64url_decode(text, plain, &n) || n < CURSOR_HEAD_BYTES || n > CURSOR_BYTES ||
	    plain[0] != kind)
		return E_SYNTAX;
	major = (size_t)(unsigned char)plain[1] << 8 | (unsigned char)plain[2];
	if (major > n - CURSOR_HEAD_BYTES)
		return E_SYNTAX;
	scratch->n += n;
	q->after_major = str_make(plain + CURSOR_HEAD_BYTES, major);
	q->after_minor = str_make(plain + CURSOR_HEAD_BYTES + major, n - CURSOR_HEAD_BYTES - major);
	return q->after_major.n <= API_USER_BYTES && q->after_minor.n <= 1024 ? 0 : E_RANGE;
}

/* ── parameters ── */

struct parse {
	const struct profile *profile;
	struct buf *scratch;
	struct api_query *q;
	char kind;
};

static int set_namespace(struct parse *p, struct str value)
{
	p->q->nsp = value;
	return str_is(value, "*") || profile_nsp_find(p->profile, value) ? 0 : E_UNKNOWN;
}

static int set_prefix(struct parse *p, struct str value)
{
	p->q->prefix = value;
	return value.n <= API_NAME_BYTES ? 0 : E_RANGE;
}

static int set_own(struct parse *p, struct str value)
{
	p->q->own = str_is(value, "true");
	return p->q->own || str_is(value, "false") ? 0 : E_RANGE;
}

static int set_room(struct parse *p, struct str value)
{
	p->q->room = value;
	return value.n > 0 && value.n <= API_NAME_BYTES ? 0 : E_RANGE;
}

static int set_user(struct parse *p, struct str value)
{
	p->q->user = value;
	return value.n > 0 && value.n <= API_USER_BYTES ? 0 : E_RANGE;
}

static int set_limit(struct parse *p, struct str value)
{
	int err = str_to_u64(value, &p->q->limit);

	return err || (p->q->limit >= 1 && p->q->limit <= API_LIMIT_MOST) ? err : E_RANGE;
}

static int set_cursor(struct parse *p, struct str value)
{
	return parse_cursor(value, p->kind, p->scratch, p->q);
}

static const struct param {
	enum api_param bit;
	const char *name;
	int (*set)(struct parse *p, struct str value);
	const char *wrong;
} params[] = {
	{ API_PARAM_NAMESPACE, "namespace", set_namespace,
	  "namespace must be one of the profile's namespaces" },
	{ API_PARAM_PREFIX, "prefix", set_prefix, "prefix must be at most 700 bytes of UTF-8" },
	{ API_PARAM_OWN, "own", set_own, "own must be true or false" },
	{ API_PARAM_ROOM, "room", set_room, "room must be 1 to 700 bytes of UTF-8" },
	{ API_PARAM_USER, "user", set_user, "user must be 1 to 256 bytes of UTF-8" },
	{ API_PARAM_LIMIT, "limit", set_limit, "limit must be a number from 1 to 500" },
	{ API_PARAM_CURSOR, "cursor", set_cursor, "cursor is none that this call has given out" },
};

static const struct param *find(struct str key, unsigned taken)
{
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if ((params[i].bit & taken) && str_is(key, params[i].name))
			return &params[i];
	return NULL;
}

static int refuse_key(struct buf *why, unsigned taken)
{
	buf_addz(why, "a query parameter is unknown here: there are");
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (params[i].bit & taken)
			buf_addf(why, " %s", params[i].name);
	return E_UNKNOWN;
}

int api_query_parse(const struct profile *profile, struct str text, unsigned taken, char kind,
		    struct buf *scratch, struct api_query *query, struct buf *why)
{
	struct parse p;

	*query = (struct api_query){ .limit = API_LIMIT_DEFAULT };
	p = (struct parse){ profile, scratch, query, kind };
	/* Decoded text must not move: room for all of it, and for a cursor. */
	if (!buf_room(scratch, text.n * 2 + 64))
		return wrong(why, E_NOMEM, "out of memory");
	while (text.n) {
		struct str pair, key, raw, value;
		const struct param *param;

		str_cut(text, '&', &pair, &text);
		if (pair.n == 0)
			continue;
		str_cut(pair, '=', &key, &raw);
		param = find(key, taken);
		if (!param)
			return refuse_key(why, taken);
		if (query->given & param->bit) {
			buf_addf(why, "%s is given twice", param->name);
			return E_EXISTS;
		}
		query->given |= param->bit;
		if (decode(raw, scratch, &value) || param->set(&p, value))
			return wrong(why, E_RANGE, param->wrong);
	}
	return 0;
}
