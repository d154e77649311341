/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_deflate.h"

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define MAX_BYTES (4u << 20)

struct fixture {
	struct deflate *d;
	struct buf packed, plain, message;
};

static int set_up(void **state)
{
	struct fixture *f = mem_need(sizeof(*f));

	f->d = deflate_new(1);
	assert_non_null(f->d);
	buf_init(&f->packed, MAX_BYTES);
	buf_init(&f->plain, MAX_BYTES);
	buf_init(&f->message, MAX_BYTES);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	deflate_free(&f->d);
	assert_null(f->d);
	deflate_free(&f->d);
	buf_fini(&f->packed);
	buf_fini(&f->plain);
	buf_fini(&f->message);
	mem_free(f);
	return 0;
}

/* variety: 1, all the same byte … 256, random bytes */
static void fill(struct buf *b, size_t n, unsigned variety, uint64_t *random)
{
	buf_reset(b);
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (char)(test_random(random) % variety));
}

static void test_message_of_any_kind_and_size_comes_back(void **state)
{
	static const size_t sizes[] = { 1,     2,     5,     100,   1023,   1024,
					16383, 16384, 65535, 65536, 100000, 1000000 };
	static const unsigned varieties[] = { 1, 2, 10, 60, 256 };
	struct fixture *f = *state;
	uint64_t random = 7692;

	for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(varieties); i++) {
		int err;

		fill(&f->message, sizes[i / COUNT_OF(varieties)],
		     varieties[i % COUNT_OF(varieties)], &random);
		buf_reset(&f->packed);
		buf_reset(&f->plain);
		err = deflate_message(f->d, buf_str(&f->message), &f->packed);
		if (err == E_TOOBIG) {
			assert_int_equal(f->packed.n, 0);
			continue;
		}
		assert_int_equal(err, 0);
		assert_true(f->packed.n < f->message.n);
		assert_int_equal(deflate_expand(f->d, buf_str(&f->packed), &f->plain), 0);
		assert_true(str_eq(buf_str(&f->plain), buf_str(&f->message)));
	}
}

static void test_message_not_worth_it_is_left_alone(void **state)
{
	struct fixture *f = *state;
	struct deflate *d = deflate_new(64);
	uint64_t random = 1;

	buf_add(&f->packed, STR("before"));
	assert_int_equal(deflate_message(d, STR_NONE, &f->packed), E_TOOBIG);
	fill(&f->message, 63, 1, &random);
	assert_int_equal(deflate_message(d, buf_str(&f->message), &f->packed), E_TOOBIG);
	fill(&f->message, 5000, 256, &random);
	assert_int_equal(deflate_message(d, buf_str(&f->message), &f->packed), E_TOOBIG);
	assert_str(buf_str(&f->packed), STR("before"));
	fill(&f->message, 64, 1, &random);
	assert_int_equal(deflate_message(d, buf_str(&f->message), &f->packed), 0);
	assert_true(str_starts(buf_str(&f->packed), STR("before")));
	deflate_free(&d);
}

static void test_message_without_room_leaves_the_buffer_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct buf small = BUF_INIT(100);
	uint64_t random = 1;

	fill(&f->message, 1000, 1, &random);
	buf_add(&small, STR("before"));
	assert_int_equal(deflate_message(f->d, buf_str(&f->message), &small), E_TOOBIG);
	assert_int_equal(small.failed, 0);
	assert_str(buf_str(&small), STR("before"));
	buf_fini(&small);
}

static void test_expand_table(void **state)
{
	static const struct {
		const char *what;
		struct str in;
		int err;
		struct str out;
	} rows[] = {
		/* RFC 7692 section 7.2.3 */
		{ "one block", STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 0, STR("Hello") },
		{ "stored", STR("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), 0, STR("Hello") },
		{ "last block", STR("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), 0, STR("Hello") },
		{ "two blocks", STR("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), 0,
		  STR("Hello") },
		{ "empty", STR("\x00"), 0, STR("") },
		/* what is not in the RFC */
		{ "last block alone", STR("\xf3\x48\xcd\xc9\xc9\x07\x00"), 0, STR("Hello") },
		{ "two last blocks", STR("\x03\x00\xf3\x48\xcd\xc9\xc9\x07\x00"), 0, STR("Hello") },
		{ "context of a message before", STR("\xf2\x00\x11\x00\x00"), E_SYNTAX, STR("") },
		{ "nothing", { NULL, 0 }, E_SYNTAX, STR("") },
		{ "cut off", STR("\xf2\x48\xcd\xc9"), E_SYNTAX, STR("") },
		{ "cut off, stored", STR("\x00\x0a\x00\xf5\xff\x48"), E_SYNTAX, STR("") },
		{ "no such block", STR("\xff\xff\xff\xff"), E_SYNTAX, STR("") },
		{ "text", STR("42[\"message\",\"hello\"]"), E_SYNTAX, STR("") },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int err;

		buf_reset(&f->plain);
		err = deflate_expand(f->d, rows[i].in, &f->plain);
		if (err != rows[i].err)
			fail_msg("%s: got %d, want %d", rows[i].what, err, rows[i].err);
		if (!err)
			assert_str(buf_str(&f->plain), rows[i].out);
	}
}

static void test_expand_up_to_the_bound_and_no_byte_more(void **state)
{
	static const size_t bounds[] = { 1, 4095, 4096, 4097, 100000 };
	struct fixture *f = *state;
	uint64_t random = 1;

	for (size_t i = 0; i < COUNT_OF(bounds); i++) {
		for (size_t over = 0; over < 2; over++) {
			struct buf out = BUF_INIT(bounds[i]);
			int err;

			fill(&f->message, bounds[i] + over, 1, &random);
			buf_reset(&f->packed);
			err = deflate_message(f->d, buf_str(&f->message), &f->packed);
			if (err) /* one or two bytes do not shrink */
				buf_add(&f->packed,
					over ? STR("\x62\x60\x00\x00") : STR("\x62\x00\x00"));
			err = deflate_expand(f->d, buf_str(&f->packed), &out);
			assert_int_equal(err, over ? E_TOOBIG : 0);
			if (!over)
				assert_true(str_eq(buf_str(&out), buf_str(&f->message)));
			assert_true(out.cap <= bounds[i]);
			buf_fini(&out);
		}
	}
}

static void test_expand_of_a_bomb_stops_at_the_bound(void **state)
{
	struct fixture *f = *state;
	struct buf out = BUF_INIT(1000000);
	struct buf bomb = BUF_INIT(64u << 20);
	uint64_t random = 1;

	fill(&f->message, MAX_BYTES, 1, &random);
	assert_int_equal(deflate_message(f->d, buf_str(&f->message), &bomb), 0);
	for (size_t i = 0, n = bomb.n; i < 100; i++) { /* more of the same */
		buf_add(&bomb, STR("\x00\x00\xff\xff"));
		buf_add(&bomb, str_make(bomb.p, n));
	}
	assert_int_equal(bomb.failed, 0);
	assert_int_equal(deflate_expand(f->d, buf_str(&bomb), &out), E_TOOBIG);
	assert_true(out.cap <= 1000000);
	buf_fini(&bomb);
	buf_fini(&out);
}

static void test_expand_of_damaged_messages_never_passes_the_bound(void **state)
{
	struct fixture *f = *state;
	uint64_t random = 99;

	for (size_t i = 0; i < 5000; i++) {
		struct buf out = BUF_INIT(3000);
		int err;

		fill(&f->message, 1 + test_random(&random) % 3000,
		     1 + (unsigned)(test_random(&random) % 40), &random);
		buf_reset(&f->packed);
		if (deflate_message(f->d, buf_str(&f->message), &f->packed))
			buf_add(&f->packed, buf_str(&f->message));
		for (size_t j = test_random(&random) % 4; j > 0; j--)
			f->packed.p[test_random(&random) % f->packed.n] =
				(char)test_random(&random);
		f->packed.n -= test_random(&random) % (f->packed.n + 1) / 2;
		err = deflate_expand(f->d, buf_str(&f->packed), &out);
		assert_true(err == 0 || err == E_TOOBIG || err == E_SYNTAX);
		assert_true(out.n <= 3000 && out.cap <= 3000);
		buf_fini(&out);
		/* and the next one is unharmed */
		buf_reset(&f->plain);
		assert_int_equal(
			deflate_expand(f->d, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), &f->plain), 0);
		assert_str(buf_str(&f->plain), STR("Hello"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_message_of_any_kind_and_size_comes_back,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_message_not_worth_it_is_left_alone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			test_message_without_room_leaves_the_buffer_as_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_expand_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_expand_up_to_the_bound_and_no_byte_more,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_expand_of_a_bomb_stops_at_the_bound, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			test_expand_of_damaged_messages_never_passes_the_bound, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
