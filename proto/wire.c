/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One interpreter over the descriptors. Packing goes through msgpack-c. Unpacking is a small strict reader of our own: msgpack-c's unpacker
 * builds a tree of objects in a zone first, that is, it allocates for every message and knows no bound of ours before it has done so.
 */
#include "proto/wire.h"

#include <msgpack.h>

#include "common/base/hash.h"

/* ── descriptors ── */

const struct wire_message *wire_message_of(uint64_t id)
{
	for (size_t i = 0; i < wire_message_count; i++)
		if ((uint64_t)wire_messages[i].id == id)
			return &wire_messages[i];
	return NULL;
}

const char *wire_type_name(enum wire_type type)
{
	static const char *const names[] = {
		"END", "U64", "BOOL", "STR", "STR", "LIST"
	}; /* a SECRET is a STR to the other side */

	return names[type];
}

const char *wire_name(enum wire_id id)
{
	const struct wire_message *m = wire_message_of((uint64_t)id);

	return m ? m->name : "?";
}

void wire_abi_text(struct buf *out)
{
	for (size_t i = 0; i < wire_message_count; i++) {
		const struct wire_message *m = &wire_messages[i];

		buf_addf(out, "%d %s\n", (int)m->id, m->name);
		for (const struct wire_field *f = m->fields; f->type != WIRE_T_END; f++)
			buf_addf(out, "%d %s %s %s\n", (int)m->id, m->name, f->name,
				 wire_type_name(f->type));
	}
}

uint64_t wire_abi(void)
{
	static uint64_t known;
	struct buf text = BUF_INIT(1u << 20);

	if (known)
		return known;
	wire_abi_text(&text);
	known = hash_stable64(buf_str(&text));
	buf_fini(&text);
	return known;
}

/* ── packing: first the size, so that the bytes are allocated once ── */

static size_t uint_size(uint64_t n)
{
	return n < 0x80 ? 1 : n <= UINT8_MAX ? 2 : n <= UINT16_MAX ? 3 : n <= UINT32_MAX ? 5 : 9;
}

static size_t bin_size(size_t n)
{
	return n + (n <= UINT8_MAX ? 2 : n <= UINT16_MAX ? 3 : 5);
}

static size_t array_size(size_t count)
{
	return count <= 15 ? 1 : count <= UINT16_MAX ? 3 : 5;
}

/* Of a list's items; 0 when one is too long. */
static size_t items_size(const struct wire_list *l)
{
	struct wire_list_walk w;
	struct str item;
	size_t n = array_size(l->count);

	wire_list_walk(l, &w);
	while (wire_list_next(&w, &item)) {
		if (item.n > WIRE_MAX_ITEM_BYTES)
			return 0;
		n += bin_size(item.n);
	}
	return n;
}

static bool in_bounds(const struct wire_field *f, uint64_t n)
{
	return n >= f->min && n <= f->max;
}

/* 0: out of bounds. */
static size_t field_size(const struct wire_field *f, const void *at)
{
	switch (f->type) {
	case WIRE_T_U64:
		return in_bounds(f, *(const uint64_t *)at) ? uint_size(*(const uint64_t *)at) : 0;
	case WIRE_T_BOOL:
		return 1;
	case WIRE_T_STR:
	case WIRE_T_SECRET:
		return in_bounds(f, ((const struct str *)at)->n)
			       ? bin_size(((const struct str *)at)->n)
			       : 0;
	default:
		return in_bounds(f, ((const struct wire_list *)at)->count) ? items_size(at) : 0;
	}
}

/* 0: a field is out of its bounds, or all of it too large. */
static size_t message_size(const struct wire_message *m, const void *message, size_t *field_count)
{
	size_t n = 0, count = 0;

	for (const struct wire_field *f = m->fields; f->type != WIRE_T_END; f++, count++) {
		size_t size = field_size(f, (const char *)message + f->offset);

		if (size == 0)
			return 0;
		n += size;
	}
	*field_count = count;
	n += array_size(1 + count) + uint_size((uint64_t)m->id);
	return n <= WIRE_MAX_BODY_BYTES ? n : 0;
}

struct writer {
	struct blob *blob;
	size_t at;
};

static int write_to_blob(void *data, const char *bytes, size_t n)
{
	struct writer *w = data;

	BUG_ON(n > w->blob->n - w->at); /* it was measured */
	memcpy(w->blob->data + w->at, bytes, n);
	w->at += n;
	return 0;
}

static void pack_str(msgpack_packer *pk, struct str s)
{
	msgpack_pack_bin(pk, s.n);
	if (s.n)
		msgpack_pack_bin_body(pk, s.p, s.n);
}

static void pack_list(msgpack_packer *pk, const struct wire_list *l)
{
	struct wire_list_walk w;
	struct str item;

	msgpack_pack_array(pk, l->count);
	wire_list_walk(l, &w);
	while (wire_list_next(&w, &item))
		pack_str(pk, item);
}

static void pack_field(msgpack_packer *pk, const struct wire_field *f, const void *at)
{
	switch (f->type) {
	case WIRE_T_U64:
		msgpack_pack_uint64(pk, *(const uint64_t *)at);
		break;
	case WIRE_T_BOOL:
		if (*(const bool *)at)
			msgpack_pack_true(pk);
		else
			msgpack_pack_false(pk);
		break;
	case WIRE_T_STR:
	case WIRE_T_SECRET:
		pack_str(pk, *(const struct str *)at);
		break;
	default:
		pack_list(pk, at);
		break;
	}
}

struct blob *wire_pack(enum wire_id id, const void *message)
{
	const struct wire_message *m = wire_message_of((uint64_t)id);
	size_t count = 0, n = m ? message_size(m, message, &count) : 0;
	struct writer w = { n ? blob_new(n) : NULL, 0 };
	msgpack_packer pk;

	if (!w.blob)
		return NULL;
	msgpack_packer_init(&pk, &w, write_to_blob);
	msgpack_pack_array(&pk, 1 + count);
	msgpack_pack_uint64(&pk, (uint64_t)id);
	for (const struct wire_field *f = m->fields; f->type != WIRE_T_END; f++)
		pack_field(&pk, f, (const char *)message + f->offset);
	BUG_ON(w.at != n);
	return w.blob;
}

/* ── unpacking ── */

struct reader {
	const uint8_t *at, *end;
};

static int read_big_endian(struct reader *r, unsigned bytes, uint64_t *n)
{
	if ((size_t)(r->end - r->at) < bytes)
		return E_TRUNCATED;
	*n = 0;
	while (bytes-- > 0)
		*n = *n << 8 | *r->at++;
	return 0;
}

static int read_byte(struct reader *r, uint8_t *b)
{
	if (r->at >= r->end)
		return E_TRUNCATED;
	*b = *r->at++;
	return 0;
}

static int read_uint(struct reader *r, uint64_t *n)
{
	uint8_t b;
	int err = read_byte(r, &b);

	if (err)
		return err;
	if (b <= 0x7f) {
		*n = b;
		return 0;
	}
	if (b >= 0xcc && b <= 0xcf)
		return read_big_endian(r, 1u << (b - 0xcc), n);
	return E_TYPE;
}

static int read_bool(struct reader *r, bool *value)
{
	uint8_t b;
	int err = read_byte(r, &b);

	if (err)
		return err;
	if (b != 0xc2 && b != 0xc3)
		return E_TYPE;
	*value = b == 0xc3;
	return 0;
}

/* str and bin alike. */
static int read_str(struct reader *r, struct str *s)
{
	uint64_t n = 0;
	uint8_t b;
	int err = read_byte(r, &b);

	if (err)
		return err;
	if (b >= 0xa0 && b <= 0xbf)
		n = b & 0x1f;
	else if (b >= 0xc4 && b <= 0xc6)
		err = read_big_endian(r, 1u << (b - 0xc4), &n);
	else if (b >= 0xd9 && b <= 0xdb)
		err = read_big_endian(r, 1u << (b - 0xd9), &n);
	else
		err = E_TYPE;
	if (err)
		return err;
	if (n > (size_t)(r->end - r->at))
		return E_TRUNCATED;
	*s = str_make((const char *)r->at, n);
	r->at += n;
	return 0;
}

static int read_array(struct reader *r, uint64_t *count)
{
	uint8_t b;
	int err = read_byte(r, &b);

	if (err)
		return err;
	if (b >= 0x90 && b <= 0x9f) {
		*count = b & 0x0f;
		return 0;
	}
	if (b == 0xdc || b == 0xdd)
		return read_big_endian(r, b == 0xdc ? 2 : 4, count);
	return E_TYPE;
}

static int skip_bytes(struct reader *r, uint64_t n)
{
	if (n > (size_t)(r->end - r->at))
		return E_TRUNCATED;
	r->at += n;
	return 0;
}

/* Size of what follows the type byte of a scalar, str, bin or ext; containers report how many values they hold. */
static int skip_head(struct reader *r, uint8_t b, uint64_t *bytes, uint64_t *values)
{
	static const uint8_t fixed[] = {
		/* 0xca … 0xd8 */ 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17
	};

	*bytes = *values = 0;
	if (b <= 0x7f || b >= 0xe0 || b == 0xc0 || b == 0xc2 || b == 0xc3)
		return 0;
	if (b <= 0x8f)
		*values = (uint64_t)(b & 0x0f) * 2;
	else if (b <= 0x9f)
		*values = b & 0x0f;
	else if (b <= 0xbf)
		*bytes = b & 0x1f;
	else if (b >= 0xc4 && b <= 0xc6)
		return read_big_endian(r, 1u << (b - 0xc4), bytes);
	else if (b >= 0xc7 && b <= 0xc9) {
		int err = read_big_endian(r, 1u << (b - 0xc7), bytes);

		*bytes += 1; /* the ext type */
		return err;
	} else if (b >= 0xca && b <= 0xd8)
		*bytes = fixed[b - 0xca];
	else if (b >= 0xd9 && b <= 0xdb)
		return read_big_endian(r, 1u << (b - 0xd9), bytes);
	else if (b == 0xdc || b == 0xdd)
		return read_big_endian(r, b == 0xdc ? 2 : 4, values);
	else if (b == 0xde || b == 0xdf) {
		int err = read_big_endian(r, b == 0xde ? 2 : 4, values);

		*values *= 2;
		return err;
	} else
		return E_SYNTAX; /* 0xc1 is never used */
	return 0;
}

/* One value of any type. */
static int skip_value(struct reader *r)
{
	uint64_t left[1 + WIRE_MAX_DEPTH], bytes, values;
	int depth = 0;

	left[0] = 1;
	while (depth >= 0) {
		uint8_t b;
		int err;

		if (left[depth] == 0) {
			depth--;
			continue;
		}
		left[depth]--;
		err = read_byte(r, &b);
		if (!err)
			err = skip_head(r, b, &bytes, &values);
		if (!err)
			err = skip_bytes(r, bytes);
		if (err)
			return err;
		if (values > 0) {
			if (++depth > WIRE_MAX_DEPTH)
				return E_DEPTH;
			left[depth] = values;
		}
	}
	return 0;
}

static int read_list(struct reader *r, const struct wire_field *f, struct wire_list *l)
{
	const uint8_t *start;
	uint64_t count;
	int err = read_array(r, &count);

	if (err)
		return err;
	if (!in_bounds(f, count))
		return E_RANGE;
	start = r->at;
	for (uint64_t i = 0; i < count; i++) {
		struct str item;

		err = read_str(r, &item);
		if (err)
			return err;
		if (item.n > WIRE_MAX_ITEM_BYTES)
			return E_RANGE;
	}
	l->count = (uint32_t)count;
	l->items = NULL;
	l->packed = str_make((const char *)start, (size_t)(r->at - start));
	return 0;
}

static int read_field(struct reader *r, const struct wire_field *f, char *at)
{
	int err;

	switch (f->type) {
	case WIRE_T_U64: {
		uint64_t *n = (uint64_t *)(void *)at;

		err = read_uint(r, n);
		return err ? err : in_bounds(f, *n) ? 0 : E_RANGE;
	}
	case WIRE_T_BOOL:
		return read_bool(r, (bool *)at);
	case WIRE_T_STR:
	case WIRE_T_SECRET: {
		struct str *s = (struct str *)(void *)at;

		err = read_str(r, s);
		return err ? err : in_bounds(f, s->n) ? 0 : E_RANGE;
	}
	default:
		return read_list(r, f, (struct wire_list *)(void *)at);
	}
}

/* A field that an older peer does not send must be one that may be empty. */
static int check_missing(const struct wire_field *f)
{
	for (; f->type != WIRE_T_END; f++)
		if (f->min > 0)
			return E_TRUNCATED;
	return 0;
}

int wire_unpack(struct str frame, enum wire_id *id, union wire_any *message)
{
	struct reader r = { (const uint8_t *)frame.p, (const uint8_t *)frame.p + frame.n };
	const struct wire_message *m;
	const struct wire_field *f;
	uint64_t count, number;
	int err;

	if (frame.n > WIRE_MAX_BODY_BYTES)
		return E_TOOBIG;
	err = read_array(&r, &count);
	if (!err && count == 0)
		err = E_TRUNCATED;
	if (!err)
		err = read_uint(&r, &number);
	if (err)
		return err;
	m = wire_message_of(number);
	if (!m)
		return E_UNKNOWN;
	memset(message, 0, m->size);
	for (f = m->fields, count--; f->type != WIRE_T_END && count > 0 && !err; f++, count--) {
		err = read_field(&r, f, (char *)message + f->offset);
		*(uint32_t *)(void *)message += 1; /* `present` is the first member of each */
	}
	if (!err)
		err = check_missing(f);
	for (; count > 0 && !err; count--)
		err = skip_value(&r);
	if (!err && r.at != r.end)
		err = E_SYNTAX;
	*id = m->id;
	return err;
}

/* ── lists ── */

void wire_list_walk(const struct wire_list *list, struct wire_list_walk *w)
{
	w->list = list;
	w->index = 0;
	w->offset = 0;
}

bool wire_list_next(struct wire_list_walk *w, struct str *item)
{
	const struct wire_list *l = w->list;
	struct reader r;

	if (w->index >= l->count)
		return false;
	if (l->items) {
		*item = l->items[w->index++];
		return true;
	}
	r.at = (const uint8_t *)l->packed.p + w->offset;
	r.end = (const uint8_t *)l->packed.p + l->packed.n;
	if (read_str(&r, item))
		return false;
	w->offset = (size_t)(r.at - (const uint8_t *)l->packed.p);
	w->index++;
	return true;
}
