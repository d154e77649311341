/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"

#define BUF_MIN_BYTES 64
#define BLOB_MAX_BYTES ((size_t)1 << 31)

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf)BUF_INIT(max_bytes);
}

void buf_fini(struct buf *b)
{
	mem_free(b->p);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = 0;
}

static void fail(struct buf *b, int err)
{
	if (!b->failed)
		b->failed = err;
}

/* Doubles, so that building n bytes copies O(n); never beyond the bound. */
static int grow(struct buf *b, size_t need)
{
	size_t cap = b->cap < BUF_MIN_BYTES / 2 ? BUF_MIN_BYTES : b->cap;
	char *p;

	while (cap < need)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;
	p = mem_try_resize(b->p, cap);
	if (!p)
		return E_NOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->failed)
		return NULL;
	if (b->n > b->max || n > b->max - b->n) {
		fail(b, E_TOOBIG);
		return NULL;
	}
	if ((n > b->cap - b->n || !b->p) && grow(b, b->n + n)) {
		fail(b, E_NOMEM);
		return NULL;
	}
	return b->p + b->n;
}

void buf_add(struct buf *b, struct str s)
{
	char *at;

	if (s.n == 0)
		return;
	at = buf_room(b, s.n);
	if (!at)
		return;
	memcpy(at, s.p, s.n);
	b->n += s.n;
}

void buf_addc(struct buf *b, char c)
{
	char *at = buf_room(b, 1);

	if (!at)
		return;
	*at = c;
	b->n++;
}

void buf_addz(struct buf *b, const char *z)
{
	buf_add(b, str_of(z));
}

static void add_long_format(struct buf *b, size_t n, const char *fmt, va_list args)
	PRINTF_LIKE(3, 0);

/* Text longer than the fixed room of buf_addf; n is its length. */
static void add_long_format(struct buf *b, size_t n, const char *fmt, va_list args)
{
	/* One byte more than wanted, and so not in b itself: vsnprintf writes the terminator. */
	char *text = mem_try_resize(NULL, n + 1);

	if (!text) {
		fail(b, E_NOMEM);
		return;
	}
	vsnprintf(text, n + 1, fmt, args);
	buf_add(b, str_make(text, n));
	mem_free(text);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	char text[256];
	va_list args, again;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(text, sizeof(text), fmt, args);
	if (n < 0)
		fail(b, E_FAIL);
	else if ((size_t)n < sizeof(text))
		buf_add(b, str_make(text, (size_t)n));
	else if (!b->failed)
		add_long_format(b, (size_t)n, fmt, again);
	va_end(again);
	va_end(args);
}

void buf_addu(struct buf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_add(b, str_make(digits + at, sizeof(digits) - at));
}

static bool must_escape(char c)
{
	return (unsigned char)c < 0x20 || c == '"' || c == '\\';
}

static void add_escaped(struct buf *b, char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char short_form[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r',
	};
	unsigned char byte = (unsigned char)c;
	char out[6] = { '\\', c, '0', '0', '0', '0' };
	size_t n = 2;

	if (byte < 0x20 && short_form[byte]) {
		out[1] = short_form[byte];
	} else if (byte < 0x20) {
		out[1] = 'u';
		out[4] = hex[byte >> 4];
		out[5] = hex[byte & 15];
		n = 6;
	}
	buf_add(b, str_make(out, n));
}

void buf_add_json(struct buf *b, struct str s)
{
	size_t from = 0;

	buf_addc(b, '"');
	for (size_t i = 0; i < s.n && !b->failed; i++) {
		if (!must_escape(s.p[i]))
			continue;
		buf_add(b, str_make(s.p + from, i - from));
		add_escaped(b, s.p[i]);
		from = i + 1;
	}
	if (s.n > from)
		buf_add(b, str_make(s.p + from, s.n - from));
	buf_addc(b, '"');
}

void buf_drop_front(struct buf *b, size_t n)
{
	BUG_ON(n > b->n);
	b->n -= n;
	if (n && b->n)
		memmove(b->p, b->p + n, b->n);
}

struct blob *blob_new(size_t n)
{
	struct blob *blob;

	if (n > BLOB_MAX_BYTES)
		return NULL;
	blob = mem_try_resize(NULL, sizeof(*blob) + n);
	if (!blob)
		return NULL;
	blob->refs = 1;
	blob->n = (uint32_t)n;
	return blob;
}

struct blob *blob_copy(struct str s)
{
	struct blob *blob = blob_new(s.n);

	if (blob && s.n)
		memcpy(blob->data, s.p, s.n);
	return blob;
}

struct blob *blob_ref(struct blob *blob)
{
	BUG_ON(blob->refs == 0 || blob->refs == UINT32_MAX);
	blob->refs++;
	return blob;
}

void blob_unref(struct blob **blob)
{
	struct blob *gone = *blob;

	*blob = NULL;
	if (!gone)
		return;
	BUG_ON(gone->refs == 0);
	if (--gone->refs == 0)
		mem_free(gone);
}

struct blob *buf_take_blob(struct buf *b)
{
	struct blob *blob;

	if (b->failed)
		return NULL;
	blob = blob_copy(buf_str(b));
	if (blob)
		buf_reset(b);
	return blob;
}
