/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hiredis's reader builds our replies by five functions of ours, so that nothing is built twice and all that a server sends is bounded
 * before it is kept. A reply is one allocation per node: the node, then its text or the pointers to its items.
 */
#include "common/adapt/adapt_redis_resp.h"

#include <hiredis/read.h>

#include "common/base/mem.h"

struct redis_reader {
	redisReader *hiredis;
	size_t max_reply_bytes;
	size_t reply_bytes; /* taken by the reply that is being built */
	bool too_big;
};

/* ── commands ── */

static size_t digits_of(size_t value)
{
	size_t n = 1;

	while (value >= 10) {
		value /= 10;
		n++;
	}
	return n;
}

static size_t head_bytes(size_t value) /* "$12\r\n" */
{
	return 1 + digits_of(value) + 2;
}

size_t redis_resp_bytes(const struct str *argv, size_t argc)
{
	size_t bytes = head_bytes(argc);

	for (size_t i = 0; i < argc; i++)
		bytes += head_bytes(argv[i].n) + argv[i].n + 2;
	return bytes;
}

static void add_head(struct buf *out, char kind, size_t value)
{
	buf_addc(out, kind);
	buf_addu(out, value);
	buf_add(out, STR("\r\n"));
}

int redis_resp_add(struct buf *out, const struct str *argv, size_t argc)
{
	if (!buf_room(out, redis_resp_bytes(argv, argc))) {
		out->failed = 0;
		return E_NOMEM;
	}
	add_head(out, '*', argc);
	for (size_t i = 0; i < argc; i++) {
		add_head(out, '$', argv[i].n);
		buf_add(out, argv[i]);
		buf_add(out, STR("\r\n"));
	}
	return 0;
}

/* ── replies ── */

void redis_reply_free(struct redis_reply **reply)
{
	struct redis_reply *r = *reply;

	*reply = NULL;
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		redis_reply_free(&r->items[i]); /* at most 8 deep: hiredis refuses more */
	mem_free(r);
}

static void free_object(void *object)
{
	struct redis_reply *reply = object;

	redis_reply_free(&reply);
}

/* A node with `more` bytes behind it, in its place within the array it belongs to. NULL makes the reader fail. */
static struct redis_reply *add_node(const redisReadTask *task, enum redis_type type, size_t more)
{
	struct redis_reader *reader = task->privdata;
	size_t bytes = sizeof(struct redis_reply) + more;
	struct redis_reply *r;

	if (bytes > reader->max_reply_bytes - reader->reply_bytes) {
		reader->too_big = true;
		return NULL;
	}
	r = mem_try(bytes);
	if (!r)
		return NULL;
	reader->reply_bytes += bytes;
	r->type = type;
	if (task->parent)
		((struct redis_reply *)task->parent->obj)->items[task->idx] = r;
	return r;
}

static void *create_string(const redisReadTask *task, char *bytes, size_t n)
{
	enum redis_type type = task->type == REDIS_REPLY_ERROR    ? REDIS_ERROR
			       : task->type == REDIS_REPLY_STATUS ? REDIS_STATUS
								  : REDIS_STRING;
	struct redis_reply *r = add_node(task, type, n);

	if (!r)
		return NULL;
	if (n)
		memcpy(r + 1, bytes, n);
	r->text = str_make((const char *)(r + 1), n);
	return r;
}

static void *create_array(const redisReadTask *task, int elements)
{
	size_t count = elements > 0 ? (size_t)elements : 0;
	struct redis_reply *r = add_node(task, REDIS_ARRAY, count * sizeof(void *));

	if (!r)
		return NULL;
	r->count = count;
	r->items = (struct redis_reply **)(void *)(r + 1); /* NULL until they come */
	return r;
}

static void *create_integer(const redisReadTask *task, long long value)
{
	struct redis_reply *r = add_node(task, REDIS_INTEGER, 0);

	if (r)
		r->integer = value;
	return r;
}

static void *create_nil(const redisReadTask *task)
{
	return add_node(task, REDIS_NIL, 0);
}

/* ── reader ── */

struct redis_reader *redis_reader_new(size_t max_reply_bytes)
{
	static redisReplyObjectFunctions functions = { create_string, create_array, create_integer,
						       create_nil, free_object };
	struct redis_reader *reader = mem_try(sizeof(*reader));

	if (!reader)
		return NULL;
	reader->max_reply_bytes = max_reply_bytes;
	reader->hiredis = redisReaderCreateWithFunctions(&functions);
	if (!reader->hiredis) {
		mem_free(reader);
		return NULL;
	}
	reader->hiredis->privdata = reader;
	return reader;
}

void redis_reader_free(struct redis_reader **reader)
{
	struct redis_reader *r = *reader;

	*reader = NULL;
	if (!r)
		return;
	redisReaderFree(r->hiredis);
	mem_free(r);
}

static int error_of(const struct redis_reader *reader)
{
	if (reader->too_big)
		return E_TOOBIG;
	return reader->hiredis->err == REDIS_ERR_OOM ? E_NOMEM : E_SYNTAX;
}

int redis_reader_feed(struct redis_reader *reader, struct str bytes)
{
	/* What is there and no reply yet belongs to one reply: a long text is not known to the functions above before its end. */
	if (reader->hiredis->len - reader->hiredis->pos > reader->max_reply_bytes) {
		reader->too_big = true;
		return E_TOOBIG;
	}
	return redisReaderFeed(reader->hiredis, bytes.p, bytes.n) == REDIS_OK ? 0
									      : error_of(reader);
}

int redis_reader_next(struct redis_reader *reader, struct redis_reply **reply)
{
	void *whole = NULL;

	*reply = NULL;
	if (redisReaderGetReply(reader->hiredis, &whole) != REDIS_OK)
		return error_of(reader);
	if (!whole)
		return 0;
	reader->reply_bytes = 0;
	*reply = whole;
	return 0;
}
