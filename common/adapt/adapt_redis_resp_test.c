/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_redis_resp.h"

#include <stdio.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define MAX_BYTES ((size_t)1 << 16)

/* As text: arrays in brackets, errors by "!", statuses by "+", nil as "_". */
static void print(const struct redis_reply *r, struct buf *out)
{
	switch (r->type) {
	case REDIS_NIL:
		buf_addc(out, '_');
		return;
	case REDIS_INTEGER:
		buf_addf(out, "%lld", (long long)r->integer);
		return;
	case REDIS_ARRAY:
		buf_addc(out, '[');
		for (size_t i = 0; i < r->count; i++) {
			buf_addz(out, i ? "," : "");
			print(adapt_redis_item(r, i), out);
		}
		buf_addc(out, ']');
		return;
	default:
		buf_addz(out, r->type == REDIS_ERROR ? "!" : r->type == REDIS_STATUS ? "+" : "");
		buf_add(out, r->text);
	}
}

/* Feed in pieces of so many bytes; the replies printed one after the other, or the error. */
static int read_all(struct str bytes, size_t piece, size_t max_bytes, struct buf *out)
{
	struct redis_reader *reader = redis_reader_new(max_bytes);
	struct redis_reply *reply;
	int err = reader ? 0 : E_NOMEM;

	buf_reset(out);
	for (size_t at = 0; !err && at < bytes.n; at += piece) {
		size_t n = bytes.n - at < piece ? bytes.n - at : piece;

		err = redis_reader_feed(reader, str_make(bytes.p + at, n));
		while (!err && !(err = redis_reader_next(reader, &reply)) && reply) {
			print(reply, out);
			buf_addc(out, ' ');
			redis_reply_free(&reply);
		}
	}
	redis_reader_free(&reader);
	return err;
}

static const struct {
	const char *bytes, *want;
} whole[] = {
	{ "+OK\r\n", "+OK " },
	{ "-ERR no\r\n", "!ERR no " },
	{ ":-42\r\n:9223372036854775807\r\n", "-42 9223372036854775807 " },
	{ "$0\r\n\r\n$3\r\na\nb\r\n$-1\r\n", " a\nb _ " },
	{ "*0\r\n*-1\r\n", "[] _ " },
	{ "*2\r\n*3\r\n:1\r\n$1\r\nx\r\n*-1\r\n-ERR in\r\n+next\r\n", "[[1,x,_],!ERR in] "
								      "+next " },
	{ "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", "[[[[[[[7]]]]]]] " },
};

static void test_reader_when_fed_in_pieces_of_any_size_then_the_same_replies(void **state)
{
	struct buf out = BUF_INIT(MAX_BYTES);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(whole); i++) {
		struct str bytes = str_of(whole[i].bytes);

		for (size_t piece = 1; piece <= bytes.n; piece++) {
			assert_int_equal(read_all(bytes, piece, MAX_BYTES, &out), 0);
			assert_str(buf_str(&out), str_of(whole[i].want));
		}
	}
	buf_fini(&out);
}

static void test_reader_when_given_nonsense_then_an_error(void **state)
{
	static const struct {
		const char *bytes;
		int err;
	} cases[] = {
		{ "HTTP/1.1 400 Bad Request\r\n", E_SYNTAX },
		{ "$x\r\n", E_SYNTAX },
		{ "*-2\r\n", E_SYNTAX },
		{ ":12a\r\n", E_SYNTAX },
		{ "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:7\r\n", E_SYNTAX },
		{ "*1\r\n$1\r\na\r\n*1\r\n?\r\n", E_SYNTAX },
		{ "*2147483647\r\n", E_TOOBIG },
		{ "*2\r\n*5000\r\n:1\r\n", E_TOOBIG },
		{ "*2\r\n:1\r\n*1000000\r\n", E_TOOBIG },
	};
	struct buf out = BUF_INIT(MAX_BYTES);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(read_all(str_of(cases[i].bytes), 7, 4096, &out), cases[i].err);
	buf_fini(&out);
}

static void test_reader_when_one_text_is_longer_than_allowed_then_not_kept(void **state)
{
	static char bytes[1 << 16];
	struct buf out = BUF_INIT(MAX_BYTES);
	int n = snprintf(bytes, sizeof(bytes), "$60000\r\n");

	(void)state;
	memset(bytes + n, 'x', sizeof(bytes) - (size_t)n);
	memcpy(bytes + n + 60000, "\r\n", 2);
	assert_int_equal(read_all(str_make(bytes, (size_t)n + 60002), 1000, MAX_BYTES, &out), 0);
	assert_int_equal(out.n, 60001);
	assert_int_equal(read_all(str_make(bytes, sizeof(bytes)), 1000, 4096, &out), E_TOOBIG);
	/* a line without an end, too */
	memset(bytes, '+', sizeof(bytes));
	assert_int_equal(read_all(str_make(bytes, sizeof(bytes)), 1000, 4096, &out), E_TOOBIG);
	buf_fini(&out);
}

static void test_reader_when_memory_fails_anywhere_then_an_error_and_no_leak(void **state)
{
	struct buf out = BUF_INIT(MAX_BYTES);
	struct str bytes = STR("*3\r\n*2\r\n:1\r\n$3\r\nabc\r\n*-1\r\n+OK\r\n");
	int err = E_NOMEM;

	(void)state;
	assert_non_null(buf_room(&out, 1000)); /* what is printed allocates no more */
	for (uint64_t n = 1; err; n++) {
		mem_fail_at(n);
		err = read_all(bytes, 5, MAX_BYTES, &out);
		mem_fail_at(0);
		assert_true(err == 0 || err == E_NOMEM);
		assert_true(n < 20);
	}
	assert_str(buf_str(&out), STR("[[1,abc],_,+OK] "));
	buf_fini(&out);
}

static void test_command_is_written_as_counted_and_binary_safe(void **state)
{
	const struct str argv[] = { STR("SET"), STR("a\0b"), STR(""), STR("0123456789") };
	const struct str want =
		STR("*4\r\n$3\r\nSET\r\n$3\r\na\0b\r\n$0\r\n\r\n$10\r\n0123456789\r\n");
	struct buf out = BUF_INIT(SIZE_MAX / 2);

	(void)state;
	assert_int_equal(redis_resp_add(&out, argv, COUNT_OF(argv)), 0);
	assert_str(buf_str(&out), want);
	assert_int_equal(redis_resp_bytes(argv, COUNT_OF(argv)), want.n);
	buf_fini(&out);
	mem_fail_at(1);
	assert_int_equal(redis_resp_add(&out, argv, COUNT_OF(argv)), E_NOMEM);
	mem_fail_at(0);
	assert_int_equal(redis_resp_add(&out, argv, 1), 0);
	assert_str(buf_str(&out), STR("*1\r\n$3\r\nSET\r\n"));
	buf_fini(&out);
}

static void test_item_when_not_there_then_nil(void **state)
{
	struct redis_reader *reader = redis_reader_new(MAX_BYTES);
	struct redis_reply *r;

	(void)state;
	assert_int_equal(redis_reader_feed(reader, STR("*2\r\n:1\r\n*1\r\n+x\r\n")), 0);
	assert_int_equal(redis_reader_next(reader, &r), 0);
	assert_str(adapt_redis_item(adapt_redis_item(r, 1), 0)->text, STR("x"));
	assert_int_equal(adapt_redis_item(r, 2)->type, REDIS_NIL);
	assert_int_equal(adapt_redis_item(adapt_redis_item(adapt_redis_item(r, 0), 5), 1)->type,
			 REDIS_NIL);
	redis_reply_free(&r);
	redis_reader_free(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reader_when_fed_in_pieces_of_any_size_then_the_same_replies),
		cmocka_unit_test(test_reader_when_given_nonsense_then_an_error),
		cmocka_unit_test(test_reader_when_one_text_is_longer_than_allowed_then_not_kept),
		cmocka_unit_test(test_reader_when_memory_fails_anywhere_then_an_error_and_no_leak),
		cmocka_unit_test(test_command_is_written_as_counted_and_binary_safe),
		cmocka_unit_test(test_item_when_not_there_then_nil),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
