/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_sioredis_value.h"

#include <math.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/utf8.h"

/* ── from msgpack ── */

struct reader {
	const uint8_t *at, *end;
	struct buf *out;
	struct sioredis_bins *bins;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static int read_uint(struct reader *r, unsigned bytes, uint64_t *n)
{
	if (left(r) < bytes)
		return E_TRUNCATED;
	*n = 0;
	while (bytes-- > 0)
		*n = *n << 8 | *r->at++;
	return 0;
}

static int read_bytes(struct reader *r, uint64_t n, struct str *s)
{
	if (left(r) < n)
		return E_TRUNCATED;
	*s = str_make((const char *)r->at, (size_t)n);
	r->at += n;
	return 0;
}

/* Bytes of a length or number: types that follow each other take 1, 2, 4, 8. */
static unsigned width(uint8_t type, uint8_t first)
{
	return 1u << ((unsigned)(type - first) & 3);
}

static void add_text(struct buf *out, struct str s)
{
	struct buf clean = BUF_INIT(s.n * 3);

	if (utf8_valid(s)) {
		buf_add_json(out, s);
		return;
	}
	for (size_t i = 0; i < s.n && !clean.failed;) {
		size_t n = utf8_step((const unsigned char *)s.p + i, s.n - i);

		buf_add(&clean, n ? str_make(s.p + i, n) : STR("\xef\xbf\xbd"));
		i += n ? n : 1;
	}
	buf_add_json(out, buf_str(&clean));
	if (clean.failed && !out->failed)
		out->failed = clean.failed;
	buf_fini(&clean);
}

static void add_signed(struct buf *out, int64_t n)
{
	if (n < 0)
		buf_addc(out, '-');
	buf_addu(out, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
}

static void add_double(struct buf *out, double d)
{
	char text[40];

	if (!isfinite(d)) {
		buf_addz(out, "null");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, d == 0 ? 0.0 : d);
		if (strtod(text, NULL) == d)
			break;
	}
	buf_addz(out, text);
}

#define DAY_MS 86400000
#define DATE_MAX_MS 8.64e15 /* ECMA-262, time values */

/* Year, month and day of a day counted from 1970-01-01 (proleptic Gregorian calendar). */
static void civil(int64_t day, int64_t *year, int *month, int *dom)
{
	int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*dom = (int)(doy - (153 * mp + 2) / 5 + 1);
	*month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*year = yoe + era * 400 + (*month <= 2);
}

static void add_date(struct buf *out, double ms)
{
	int64_t t, day, year;
	int month, dom, rest;

	if (!(ms >= -DATE_MAX_MS && ms <= DATE_MAX_MS)) {
		buf_addz(out, "null");
		return;
	}
	t = (int64_t)ms;
	day = t / DAY_MS - (t % DAY_MS < 0);
	rest = (int)(t - day * DAY_MS);
	civil(day, &year, &month, &dom);
	if (year >= 0 && year <= 9999)
		buf_addf(out, "\"%04d", (int)year);
	else
		buf_addf(out, "\"%c%06d", year < 0 ? '-' : '+', (int)(year < 0 ? -year : year));
	buf_addf(out, "-%02d-%02dT%02d:%02d:%02d.%03dZ\"", month, dom, rest / 3600000,
		 rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}

static int add_binary(struct reader *r, struct str s)
{
	if (r->bins->count == SIOREDIS_BINS)
		return E_RANGE;
	buf_addz(r->out, "{\"_placeholder\":true,\"num\":");
	buf_addu(r->out, r->bins->count);
	buf_addc(r->out, '}');
	r->bins->items[r->bins->count++] = s;
	return 0;
}

static uint64_t big_endian(struct str s, size_t from, size_t n)
{
	uint64_t value = 0;

	while (n-- > 0)
		value = value << 8 | (uint8_t)s.p[from++];
	return value;
}

/* Timestamps of the msgpack specification: 4, 8 or 12 bytes. */
static bool add_timestamp(struct buf *out, struct str s)
{
	uint64_t n;

	switch (s.n) {
	case 4:
		add_date(out, (double)big_endian(s, 0, 4) * 1e3);
		return true;
	case 8:
		n = big_endian(s, 0, 8);
		add_date(out, (double)(n & 0x3ffffffffull) * 1e3 + (double)(n >> 34) / 1e6);
		return true;
	case 12:
		add_date(out, (double)(int64_t)big_endian(s, 4, 8) * 1e3 +
				      (double)big_endian(s, 0, 4) / 1e6);
		return true;
	default:
		return false;
	}
}

static int add_ext(struct reader *r, uint64_t size, bool fixed)
{
	uint64_t type;
	struct str s;
	int err = read_uint(r, 1, &type);

	if (!err)
		err = read_bytes(r, size, &s);
	if (err)
		return err;
	if (type == 0xff && add_timestamp(r->out, s))
		return 0;
	if (type == 0 && fixed && size == 1) {
		buf_addz(r->out, "null"); /* undefined */
		return 0;
	}
	if (type == 0 && fixed && size == 8) {
		add_date(r->out, (double)(int64_t)big_endian(s, 0, 8));
		return 0;
	}
	if (type == 0 && !fixed)
		return add_binary(r, s);
	buf_addc(r->out, '[');
	add_signed(r->out, (int8_t)type);
	buf_addc(r->out, ',');
	err = add_binary(r, s);
	buf_addc(r->out, ']');
	return err;
}

static int add_value(struct reader *r, unsigned depth);

static int add_array(struct reader *r, uint64_t count, unsigned depth)
{
	if (depth >= SIOREDIS_DEPTH_MAX)
		return E_DEPTH;
	if (count > left(r))
		return E_TRUNCATED;
	buf_addc(r->out, '[');
	for (uint64_t i = 0; i < count; i++) {
		int err;

		if (i)
			buf_addc(r->out, ',');
		err = add_value(r, depth + 1);
		if (err)
			return err;
	}
	buf_addc(r->out, ']');
	return 0;
}

static int add_key(struct reader *r)
{
	uint64_t n;
	struct str s;
	uint8_t b;
	int err;

	if (left(r) == 0)
		return E_TRUNCATED;
	b = *r->at++;
	if (b <= 0x7f || (b >= 0xcc && b <= 0xcf)) {
		n = b;
		err = b <= 0x7f ? 0 : read_uint(r, width(b, 0xcc), &n);
		if (!err)
			buf_addf(r->out, "\"%llu\"", (unsigned long long)n);
		return err;
	}
	if (b >= 0xa0 && b <= 0xbf) {
		n = b & 0x1f;
		err = 0;
	} else {
		err = b >= 0xd9 && b <= 0xdb ? read_uint(r, width(b, 0xd9), &n) : E_SYNTAX;
	}
	if (!err)
		err = read_bytes(r, n, &s);
	if (!err)
		add_text(r->out, s);
	return err;
}

static bool next_is_undefined(const struct reader *r)
{
	return left(r) >= 3 && r->at[0] == 0xd4 && r->at[1] == 0;
}

static int add_map(struct reader *r, uint64_t count, unsigned depth)
{
	bool first = true;

	if (depth >= SIOREDIS_DEPTH_MAX)
		return E_DEPTH;
	if (count > left(r) / 2)
		return E_TRUNCATED;
	buf_addc(r->out, '{');
	for (uint64_t i = 0; i < count && !r->out->failed; i++) {
		size_t before = r->out->n;
		int err;

		if (!first)
			buf_addc(r->out, ',');
		err = add_key(r);
		if (!err && next_is_undefined(r)) {
			r->at += 3;
			if (!r->out->failed)
				r->out->n = before;
			continue;
		}
		buf_addc(r->out, ':');
		if (!err)
			err = add_value(r, depth + 1);
		if (err)
			return err;
		first = false;
	}
	buf_addc(r->out, '}');
	return 0;
}

static int add_float(struct reader *r, unsigned bytes)
{
	uint64_t n;
	int err = read_uint(r, bytes, &n);
	uint32_t half;
	float f;
	double d;

	if (err)
		return err;
	half = (uint32_t)n;
	memcpy(&f, &half, sizeof(f));
	memcpy(&d, &n, sizeof(d));
	add_double(r->out, bytes == 4 ? (double)f : d);
	return 0;
}

static int add_integer(struct reader *r, unsigned bytes, bool is_signed)
{
	uint64_t n;
	int err = read_uint(r, bytes, &n);

	if (err)
		return err;
	if (is_signed)
		add_signed(r->out, bytes == 1   ? (int8_t)n
				   : bytes == 2 ? (int16_t)n
				   : bytes == 4 ? (int32_t)n
						: (int64_t)n);
	else
		buf_addu(r->out, n);
	return 0;
}

/* What is preceded by its length: of `bytes` bytes. */
static int add_long(struct reader *r, uint8_t b, unsigned bytes, unsigned depth)
{
	uint64_t n;
	struct str s;
	int err = read_uint(r, bytes, &n);

	if (err)
		return err;
	if (b >= 0xdc)
		return b <= 0xdd ? add_array(r, n, depth) : add_map(r, n, depth);
	if (b >= 0xc7 && b <= 0xc9)
		return add_ext(r, n, false);
	err = read_bytes(r, n, &s);
	if (err)
		return err;
	if (b <= 0xc6)
		return add_binary(r, s);
	add_text(r->out, s);
	return 0;
}

static int add_short(struct reader *r, uint8_t b, unsigned depth)
{
	struct str s;
	int err;

	if (b <= 0x7f || b >= 0xe0) {
		add_signed(r->out, (int8_t)b);
		return 0;
	}
	if (b <= 0x8f)
		return add_map(r, b & 0x0f, depth);
	if (b <= 0x9f)
		return add_array(r, b & 0x0f, depth);
	err = read_bytes(r, b & 0x1f, &s);
	if (!err)
		add_text(r->out, s);
	return err;
}

static int add_value(struct reader *r, unsigned depth)
{
	uint8_t b;

	if (r->out->failed)
		return r->out->failed;
	if (left(r) == 0)
		return E_TRUNCATED;
	b = *r->at++;
	if (b < 0xc0 || b >= 0xe0)
		return add_short(r, b, depth);
	if (b == 0xc1)
		return E_SYNTAX;
	if (b <= 0xc3) {
		buf_addz(r->out, b == 0xc0 ? "null" : b == 0xc2 ? "false" : "true");
		return 0;
	}
	if (b <= 0xc9)
		return add_long(r, b, width(b, b <= 0xc6 ? 0xc4 : 0xc7), depth);
	if (b <= 0xcb)
		return add_float(r, b == 0xca ? 4 : 8);
	if (b <= 0xd3)
		return add_integer(r, width(b, 0xcc), b >= 0xd0);
	if (b <= 0xd8)
		return add_ext(r, width(b, 0xd4), true);
	return b <= 0xdb ? add_long(r, b, width(b, 0xd9), depth)
			 : add_long(r, b, b & 1 ? 4 : 2, depth);
}

int sioredis_value_to_json(struct str bytes, struct buf *json, struct sioredis_bins *bins)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	struct reader r = { p, p ? p + bytes.n : p, json, bins };
	int err = add_value(&r, 0);

	if (!err && r.at != r.end)
		err = E_SYNTAX;
	return err ? err : json->failed;
}

/* ── to msgpack ── */

static int write_to_buf(void *data, const char *bytes, size_t n)
{
	struct buf *out = data;

	buf_add(out, str_make(bytes, n));
	return out->failed;
}

static msgpack_packer packer(struct buf *out)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, out, write_to_buf);
	return pk;
}

void sioredis_pack_array(struct buf *out, size_t count)
{
	msgpack_packer pk = packer(out);

	msgpack_pack_array(&pk, count);
}

void sioredis_pack_map(struct buf *out, size_t count)
{
	msgpack_packer pk = packer(out);

	msgpack_pack_map(&pk, count);
}

void sioredis_pack_text(struct buf *out, struct str text)
{
	msgpack_packer pk = packer(out);

	msgpack_pack_str(&pk, text.n);
	if (text.n)
		msgpack_pack_str_body(&pk, text.p, text.n);
}

void sioredis_pack_uint(struct buf *out, uint64_t n)
{
	msgpack_packer pk = packer(out);

	msgpack_pack_uint64(&pk, n);
}

void sioredis_pack_true(struct buf *out)
{
	msgpack_packer pk = packer(out);

	msgpack_pack_true(&pk);
}

struct writer {
	struct buf *out, *scratch;
	const struct str *bins;
	uint32_t bin_count;
};

/* Numbers of a message are doubles to its readers: whole ones go as integers, as notepack.io sends them. */
static void pack_number(struct writer *w, struct json_value v)
{
	msgpack_packer pk = packer(w->out);
	uint64_t u;
	int64_t i;
	double d;

	if (json_u64(v, &u) == 0) {
		msgpack_pack_uint64(&pk, u);
	} else if (json_i64(v, &i) == 0) {
		msgpack_pack_int64(&pk, i);
	} else {
		buf_reset(w->scratch);
		buf_add(w->scratch, v.raw);
		buf_addc(w->scratch, '\0');
		d = w->scratch->failed ? 0 : strtod(w->scratch->p, NULL);
		if (d > -9e15 && d < 9e15 && d == (double)(int64_t)d)
			msgpack_pack_int64(&pk, (int64_t)d);
		else
			msgpack_pack_double(&pk, d);
	}
}

static void pack_string(struct writer *w, struct json_value v)
{
	struct str text;

	buf_reset(w->scratch);
	if (json_text(v, w->scratch, &text) == 0)
		sioredis_pack_text(w->out, text);
	else if (!w->out->failed)
		w->out->failed = w->scratch->failed ? w->scratch->failed : E_SYNTAX;
}

static void pack_key(struct writer *w, struct str key)
{
	pack_string(w, (struct json_value){ JSON_STRING, key });
}

/* Is it a placeholder? Then its binary is packed. */
static bool pack_binary(struct writer *w, struct json_value object)
{
	msgpack_packer pk = packer(w->out);
	struct json_value v;
	uint64_t num = UINT64_MAX;
	bool is = false;

	if (w->bin_count == 0 || json_get(object, STR("_placeholder"), &v) || !json_bool(v, &is) ||
	    !is)
		return false;
	if (json_get(object, STR("num"), &v) || json_u64(v, &num) || num >= w->bin_count) {
		msgpack_pack_nil(&pk);
		return true;
	}
	msgpack_pack_bin(&pk, w->bins[num].n);
	if (w->bins[num].n)
		msgpack_pack_bin_body(&pk, w->bins[num].p, w->bins[num].n);
	return true;
}

static void pack_value(struct writer *w, struct json_value v);

static void pack_container(struct writer *w, struct json_value v)
{
	struct json_walk walk;
	struct json_value item;
	struct str key;

	if (v.type == JSON_OBJECT)
		sioredis_pack_map(w->out, json_count(v));
	else
		sioredis_pack_array(w->out, json_count(v));
	json_walk(v, &walk);
	while (!w->out->failed && json_next(&walk, &key, &item) == 0) {
		if (v.type == JSON_OBJECT)
			pack_key(w, key);
		pack_value(w, item);
	}
}

static void pack_value(struct writer *w, struct json_value v)
{
	msgpack_packer pk = packer(w->out);

	switch (v.type) {
	case JSON_FALSE:
		msgpack_pack_false(&pk);
		break;
	case JSON_TRUE:
		msgpack_pack_true(&pk);
		break;
	case JSON_NUMBER:
		pack_number(w, v);
		break;
	case JSON_STRING:
		pack_string(w, v);
		break;
	case JSON_OBJECT:
		if (!pack_binary(w, v))
			pack_container(w, v);
		break;
	case JSON_ARRAY:
		pack_container(w, v);
		break;
	default:
		msgpack_pack_nil(&pk);
		break;
	}
}

int sioredis_value_from_json(struct json_value v, const struct str *bins, uint32_t bin_count,
			     struct buf *scratch, struct buf *out)
{
	struct writer w = { out, scratch, bins, bin_count };

	pack_value(&w, v);
	return out->failed;
}
