/* SPDX-License-Identifier: Apache-2.0 */
/* The offset a client holds: what it says, and what is no offset. */
#include "services/edge/shard.h"

#include "common/base/base_test.h"

static void expect_same(const struct offset *got, const struct offset *want)
{
	assert_int_equal(got->count, want->count);
	for (uint32_t i = 0; i < got->count; i++) {
		assert_int_equal(got->places[i].shard, want->places[i].shard);
		assert_int_equal(got->places[i].place, want->places[i].place);
	}
}

static void test_offset_written_and_read_is_the_same(void **state)
{
	uint64_t random = 3;

	(void)state;
	for (uint32_t count = 0; count <= OFFSET_SHARDS_MAX; count++) {
		struct buf out = BUF_INIT(OFFSET_MAX_CHARS);
		struct offset offset = { 0 }, got;

		for (uint32_t i = 0; i < count; i++)
			offset_set(&offset, (uint32_t)test_random(&random), test_random(&random));
		offset_write(&offset, &out);
		assert_int_equal(out.failed, 0);
		assert_int_equal(buf_str(&out).n, count * OFFSET_SHARD_CHARS);
		assert_int_equal(offset_read(buf_str(&out), &got), 0);
		expect_same(&got, &offset);
		buf_fini(&out);
	}
}

/* Clients and other edges keep it: the text may not change. */
static void test_offset_is_shard_and_place_in_base64url(void **state)
{
	static const struct {
		struct offset_place place;
		const char *text;
	} cases[] = {
		{ { 0, 0 }, "AAAAAAAAAAAAAAAA" },
		{ { UINT32_MAX, UINT64_MAX }, "________________" },
		{ { 0x01020304, UINT64_C(0x05060708090a0b0c) }, "AQIDBAUGBwgJCgsM" },
		{ { 0xfbefbefb, UINT64_C(0xefbefbefbefbefbe) }, "----------------" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct offset offset = { .count = 1, .places = { cases[i].place } }, got;
		struct buf out = BUF_INIT(OFFSET_MAX_CHARS);

		offset_write(&offset, &out);
		assert_str(buf_str(&out), str_of(cases[i].text));
		assert_int_equal(offset_read(str_of(cases[i].text), &got), 0);
		expect_same(&got, &offset);
		buf_fini(&out);
	}
}

static void test_what_is_no_offset_is_refused(void **state)
{
	static const char *const texts[] = {
		"A",
		"AAAAAAAAAAAAAAA",   /* one less */
		"AAAAAAAAAAAAAAAAA", /* one more */
		"AAAAAAAAAAAAAAA=",
		"AAAAAAAAAAAAAA==",
		"AAAAAAAAAAAAAA+/", /* the other base64 */
		"AAAAAAAA AAAAAAA",
		"AAAAAAAAAAAAAAA\n",
		/* a good one first */
		"AAAAAAAAAAAAAAAA\xc3\xa4" /* NOLINT(bugprone-suspicious-missing-comma): no hex digits behind */
		"AAAAAAAAAAAAAA",
	};
	struct offset got;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		if (offset_read(str_of(texts[i]), &got) != E_SYNTAX)
			fail_msg("accepted: '%s'", texts[i]);
	assert_int_equal(offset_read(STR("AAAAAAAA\0AAAAAAA"), &got), E_SYNTAX);
	assert_int_equal(offset_read(STR_NONE, &got), 0); /* a client that had nothing yet */
	assert_int_equal(got.count, 0);
}

static void test_offset_of_too_many_shards_is_refused(void **state)
{
	char text[OFFSET_MAX_CHARS + OFFSET_SHARD_CHARS];
	struct offset got;

	(void)state;
	memset(text, 'A', sizeof(text));
	assert_int_equal(offset_read(str_make(text, OFFSET_MAX_CHARS), &got), 0);
	assert_int_equal(got.count, OFFSET_SHARDS_MAX);
	assert_int_equal(offset_read(str_make(text, sizeof(text)), &got), E_SYNTAX);
}

static void test_garbage_is_read_or_refused_and_never_more_than_fits(void **state)
{
	static const char alphabet[] = "AZaz09-_=+/ \n\xff";
	uint64_t random = 11;
	uint64_t accepted = 0;

	(void)state;
	for (int round = 0; round < 50000; round++) {
		char text[3 * OFFSET_SHARD_CHARS + 2];
		size_t n = test_random(&random) % sizeof(text);
		size_t letters = round % 2 ? 8 : sizeof(alphabet); /* half of them clean */
		struct offset got;
		struct buf out = BUF_INIT(OFFSET_MAX_CHARS);

		if (round % 4 == 1)
			n -= n % OFFSET_SHARD_CHARS;
		for (size_t i = 0; i < n; i++)
			text[i] = alphabet[test_random(&random) % letters];
		if (offset_read(str_make(text, n), &got) == 0) {
			offset_write(&got, &out);
			assert_str(buf_str(&out),
				   str_make(text, n)); /* no two texts say the same */
			accepted++;
		}
		buf_fini(&out);
	}
	assert_true(accepted > 1000);
}

static void test_place_of_a_shard_is_set_once_and_changed(void **state)
{
	struct offset offset = { 0 };

	(void)state;
	assert_int_equal(offset_get(&offset, 7), 0);
	offset_set(&offset, 7, 100);
	offset_set(&offset, 8, 200);
	offset_set(&offset, 7, 101);
	assert_int_equal(offset.count, 2);
	assert_int_equal(offset_get(&offset, 7), 101);
	assert_int_equal(offset_get(&offset, 8), 200);
	assert_int_equal(offset_get(&offset, 9), 0);
	for (uint32_t i = 0; i < 2 * OFFSET_SHARDS_MAX; i++)
		offset_set(&offset, 1000 + i, i + 1);
	assert_int_equal(offset.count, OFFSET_SHARDS_MAX);
	assert_int_equal(offset_get(&offset, 7), 101);
	offset_set(&offset, 7, 102); /* full: those that are there still change */
	assert_int_equal(offset_get(&offset, 7), 102);
	assert_int_equal(offset_get(&offset, 1000 + 2 * OFFSET_SHARDS_MAX - 1), 0);
}

/* What messages carry: where the edge stands in every shard. */
static void test_offset_of_an_edge_follows_its_shards(void **state)
{
	static struct edge edge;
	static struct shard shards[3];
	struct offset got;
	struct str before;

	(void)state;
	list_init(&edge.shards);
	buf_init(&edge.offset, OFFSET_MAX_CHARS);
	for (uint32_t i = 0; i < 3; i++) {
		shards[i] = (struct shard){ .edge = &edge, .id = 10 + i };
		list_append(&edge.shards, &shards[i].node);
	}
	assert_str(shard_offset(&edge), STR_NONE); /* nothing has come yet */
	shard_passed(&shards[0], 5);
	shard_passed(&shards[2], 7);
	assert_int_equal(offset_read(shard_offset(&edge), &got), 0);
	assert_int_equal(got.count, 2);
	assert_int_equal(offset_get(&got, 10), 5);
	assert_int_equal(offset_get(&got, 12), 7);
	before = shard_offset(&edge);
	shard_passed(&shards[0], 4); /* never backwards */
	assert_int_equal(shards[0].place, 5);
	shard_passed(&shards[0], 5);
	assert_ptr_equal(shard_offset(&edge).p, before.p);
	assert_int_equal(shards[0].place, 5);
	shard_passed(&shards[0], 6);
	assert_int_equal(offset_read(shard_offset(&edge), &got), 0);
	assert_int_equal(offset_get(&got, 10), 6);
	assert_int_equal(offset_get(&got, 12), 7);
	buf_fini(&edge.offset);
}

/* While rooms are filled from history what comes is out of turn: no offset says that all before it was had. */
static void test_offset_stands_while_a_shard_is_filled(void **state)
{
	static struct edge edge;
	static struct shard shard;
	struct offset got;

	(void)state;
	list_init(&edge.shards);
	buf_init(&edge.offset, OFFSET_MAX_CHARS);
	shard = (struct shard){ .edge = &edge, .id = 10, .place = 5, .passed = 5, .filling = 1 };
	list_append(&edge.shards, &shard.node);
	shard_passed(&shard, 9);
	assert_int_equal(offset_read(shard_offset(&edge), &got), 0);
	assert_int_equal(offset_get(&got, 10), 5);
	assert_int_equal(shard.passed, 9); /* and is then taken up */
	buf_fini(&edge.offset);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offset_written_and_read_is_the_same),
		cmocka_unit_test(test_offset_is_shard_and_place_in_base64url),
		cmocka_unit_test(test_what_is_no_offset_is_refused),
		cmocka_unit_test(test_offset_of_too_many_shards_is_refused),
		cmocka_unit_test(test_garbage_is_read_or_refused_and_never_more_than_fits),
		cmocka_unit_test(test_place_of_a_shard_is_set_once_and_changed),
		cmocka_unit_test(test_offset_of_an_edge_follows_its_shards),
		cmocka_unit_test(test_offset_stands_while_a_shard_is_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
