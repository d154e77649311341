/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/item.h"

#include "common/base/base_test.h"
#include "common/base/mem.h"

static const struct item samples[] = {
	{ 0, 0, 0, STR("r") },
	{ 1, 2, ITEM_BY_CONNECT, STR("room") },
	{ UINT64_C(0x0102030405060708), 0x090a0b0c, 0xff, STR("/,ticket:42") },
	{ UINT64_C(0x01800280037f0480), 0x80017f80, 0x80,
	  STR("\xff\x80") }, /* bytes that look negative */
	{ UINT64_MAX, UINT32_MAX, 255, STR("\0\xff") },
};

static void expect_item(const struct item *got, const struct item *want)
{
	assert_int_equal(got->place, want->place);
	assert_int_equal(got->shard, want->shard);
	assert_int_equal(got->bits, want->bits);
	assert_str(got->name, want->name);
}

static void test_item_written_and_read_is_the_same(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(samples); i++) {
		struct buf out = BUF_INIT(64);
		struct item got;

		item_add(&out, &samples[i]);
		assert_int_equal(buf_str(&out).n, ITEM_HEAD_BYTES + samples[i].name.n);
		assert_int_equal(item_read(buf_str(&out), &got), 0);
		expect_item(&got, &samples[i]);
		buf_fini(&out);
	}
}

/* Other processes read it: the bytes may not change. */
static void test_item_is_big_endian(void **state)
{
	struct buf out = BUF_INIT(64);

	(void)state;
	item_add(&out, &samples[2]);
	assert_str(buf_str(&out), STR("\1\2\3\4\5\6\7\10\11\12\13\14\377/,ticket:42"));
	buf_fini(&out);
}

static void test_items_follow_each_other(void **state)
{
	struct buf out = BUF_INIT(256);
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(samples); i++)
		item_add(&out, &samples[i]);
	for (size_t i = 0; i < COUNT_OF(samples); i++) {
		size_t bytes = ITEM_HEAD_BYTES + samples[i].name.n;
		struct item got;

		assert_int_equal(item_read(str_make(buf_str(&out).p + at, bytes), &got), 0);
		expect_item(&got, &samples[i]);
		at += bytes;
	}
	assert_int_equal(at, buf_str(&out).n);
	buf_fini(&out);
}

static void test_item_without_a_name_is_refused(void **state)
{
	const char *text = "0123456789012x";
	struct item got;

	(void)state;
	for (size_t n = 0; n <= ITEM_HEAD_BYTES; n++)
		assert_int_equal(item_read(str_make(text, n), &got), E_TRUNCATED);
	assert_int_equal(item_read(str_make(text, ITEM_HEAD_BYTES + 1), &got), 0);
	assert_str(got.name, STR("x"));
	assert_int_equal(item_read(STR_NONE, &got), E_TRUNCATED);
}

static void test_item_larger_than_its_buffer_is_noticed(void **state)
{
	struct buf out = BUF_INIT(ITEM_HEAD_BYTES + 10);

	(void)state;
	item_add(&out, &samples[2]);
	assert_int_not_equal(out.failed, 0);
	buf_fini(&out);
}

static void test_list_of_items_reads_as_they_were_added(void **state)
{
	struct item_list list;
	struct wire_list out;

	(void)state;
	assert_int_equal(item_list_init(&list, COUNT_OF(samples)), 0);
	for (size_t i = 0; i < COUNT_OF(samples); i++)
		item_list_add(&list, &samples[i]);
	item_list_add(&list, &samples[0]); /* more than was asked for: left out */
	assert_int_equal(item_list_done(&list, &out), 0);
	assert_int_equal(out.count, COUNT_OF(samples));
	for (size_t i = 0; i < COUNT_OF(samples); i++) {
		struct item got;

		assert_int_equal(item_read(out.items[i], &got), 0);
		expect_item(&got, &samples[i]);
	}
	item_list_fini(&list);
}

static void test_list_of_none_is_empty(void **state)
{
	struct item_list list;
	struct wire_list out;

	(void)state;
	assert_int_equal(item_list_init(&list, 0), 0);
	assert_int_equal(item_list_done(&list, &out), 0);
	assert_int_equal(out.count, 0);
	item_list_fini(&list);
}

static void test_list_too_large_for_a_message_says_so(void **state)
{
	const size_t bytes = 1 << 20, count = WIRE_MAX_BODY_BYTES / (1 << 20) + 1;
	struct item item = { .name = str_make(mem_need(bytes), bytes) };
	struct item_list list;
	struct wire_list out;

	(void)state;
	assert_int_equal(item_list_init(&list, (uint32_t)count), 0);
	for (size_t i = 0; i < count; i++)
		item_list_add(&list, &item);
	assert_int_equal(item_list_done(&list, &out), E_TOOBIG);
	item_list_fini(&list);
	mem_free((char *)item.name.p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_item_written_and_read_is_the_same),
		cmocka_unit_test(test_item_is_big_endian),
		cmocka_unit_test(test_items_follow_each_other),
		cmocka_unit_test(test_item_without_a_name_is_refused),
		cmocka_unit_test(test_item_larger_than_its_buffer_is_noticed),
		cmocka_unit_test(test_list_of_items_reads_as_they_were_added),
		cmocka_unit_test(test_list_of_none_is_empty),
		cmocka_unit_test(test_list_too_large_for_a_message_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
