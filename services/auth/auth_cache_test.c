/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/base_test.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "services/auth/auth_cache.h"

#define ALLOW_MS 5000
#define DENY_MS 1000

static const struct auth_answer yes = { { NULL, 0 }, { NULL, 0 } };
static const struct auth_answer no = { { "FORBIDDEN", 9 }, { "not yours", 9 } };
static struct auth_cache cache;

static struct str key_of(unsigned n)
{
	static char texts[8][32];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, 32, "check-%u", n);
	return str_of(text);
}

static int setup(void **state)
{
	(void)state;
	clock_fake(1000, 1);
	auth_cache_init(&cache, 4, ALLOW_MS, DENY_MS);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mem_fail_at(0);
	auth_cache_fini(&cache);
	assert_int_equal(cache.bytes, 0);
	clock_fake(0, 0);
	return 0;
}

static void test_get_when_put_then_the_answer_until_its_time_is_over(void **state)
{
	const struct auth_answer *got;

	(void)state;
	assert_null(auth_cache_get(&cache, STR("a")));
	auth_cache_put(&cache, STR("a"), &yes);
	auth_cache_put(&cache, STR("b"), &no);
	clock_fake(1000 + DENY_MS - 1, 1);
	got = auth_cache_get(&cache, STR("b"));
	assert_non_null(got);
	assert_str(got->code, STR("FORBIDDEN"));
	assert_str(got->message, STR("not yours"));
	clock_fake(1000 + DENY_MS, 1);
	assert_null(auth_cache_get(&cache, STR("b")));
	assert_int_equal(auth_cache_count(&cache), 1);
	clock_fake(1000 + ALLOW_MS - 1, 1);
	assert_non_null(auth_cache_get(
		&cache, STR("a"))); /* being asked for does not make it live longer */
	clock_fake(1000 + ALLOW_MS, 1);
	assert_null(auth_cache_get(&cache, STR("a")));
	assert_int_equal(auth_cache_count(&cache), 0);
}

static void test_put_when_full_then_the_least_recently_used_goes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++)
		auth_cache_put(&cache, key_of(i), &yes);
	assert_non_null(auth_cache_get(&cache, key_of(0)));
	auth_cache_put(&cache, key_of(4), &yes);
	assert_int_equal(auth_cache_count(&cache), 4);
	assert_null(auth_cache_get(&cache, key_of(1)));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(auth_cache_get(&cache, key_of(i)) != NULL, i != 1);
}

static void test_put_when_known_then_replaced(void **state)
{
	(void)state;
	auth_cache_put(&cache, STR("a"), &no);
	auth_cache_put(&cache, STR("a"), &yes);
	assert_int_equal(auth_cache_count(&cache), 1);
	assert_int_equal(auth_cache_get(&cache, STR("a"))->code.n, 0);
	auth_cache_put(&cache, STR("a"), &no);
	assert_str(auth_cache_get(&cache, STR("a"))->code, STR("FORBIDDEN"));
}

static void test_put_when_keys_are_long_then_bounded_in_bytes(void **state)
{
	static char text[AUTH_CACHE_KEY_MAX_BYTES + 1];

	(void)state;
	memset(text, 'x', sizeof(text));
	auth_cache_put(&cache, str_make(text, sizeof(text)), &yes);
	assert_int_equal(auth_cache_count(&cache), 0);
	auth_cache_put(&cache, STR("small"), &yes);
	auth_cache_put(&cache, str_make(text, 4000), &yes); /* fits, alone */
	assert_int_equal(auth_cache_count(&cache), 1);
	assert_non_null(auth_cache_get(&cache, str_make(text, 4000)));
	assert_null(auth_cache_get(&cache, STR("small")));
	auth_cache_put(&cache, str_make(text, 4096),
		       &yes); /* past what four entries may have together */
	assert_int_equal(auth_cache_count(&cache), 1);
	assert_true(cache.bytes <= 4 * AUTH_CACHE_ENTRY_BYTES);
}

static void test_put_when_switched_off_then_nothing_is_kept(void **state)
{
	(void)state;
	auth_cache_fini(&cache);
	auth_cache_init(&cache, 0, ALLOW_MS, DENY_MS);
	auth_cache_put(&cache, STR("a"), &yes);
	assert_null(auth_cache_get(&cache, STR("a")));
	auth_cache_fini(&cache);
	auth_cache_init(&cache, 4, 0, DENY_MS);
	auth_cache_put(&cache, STR("b"), &no);
	auth_cache_put(&cache, STR("a"), &yes);
	assert_null(auth_cache_get(&cache, STR("a")));
	assert_non_null(auth_cache_get(&cache, STR("b")));
	auth_cache_put(&cache, STR("b"), &yes); /* what was known no longer holds */
	assert_null(auth_cache_get(&cache, STR("b")));
}

static void test_put_when_memory_is_short_then_not_kept(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 2; n++) {
		mem_fail_at(n);
		auth_cache_put(&cache, STR("a"), &yes);
		mem_fail_at(0);
		assert_int_equal(auth_cache_count(&cache), 0);
		assert_int_equal(cache.bytes, 0);
	}
}

/* Against a plain array of the same rules. */
static void test_all_when_used_at_random_then_as_the_model(void **state)
{
	enum { KEYS = 12, MAX = 4 };
	struct {
		uint64_t until_ms, used;
		bool refused;
	} model[KEYS] = { 0 };
	uint64_t random = 7, now_ms = 1000, clock = 0;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		unsigned i = (unsigned)(test_random(&random) % KEYS), live = 0, oldest = KEYS;
		bool refused = test_random(&random) % 2;

		now_ms += test_random(&random) % 300;
		clock_fake(now_ms, 1);
		if (test_random(&random) % 2) {
			const struct auth_answer *got = auth_cache_get(&cache, key_of(i));

			if (model[i].until_ms && now_ms >= model[i].until_ms)
				model[i].until_ms = 0;
			assert_int_equal(got != NULL, model[i].until_ms != 0);
			if (got) {
				assert_int_equal(got->code.n != 0, model[i].refused);
				model[i].used = ++clock;
			}
			continue;
		}
		model[i].until_ms = 0;
		for (unsigned k = 0; k < KEYS; k++) {
			live += model[k].until_ms != 0;
			if (model[k].until_ms &&
			    (oldest == KEYS || model[k].used < model[oldest].used))
				oldest = k;
		}
		if (live == MAX)
			model[oldest].until_ms = 0;
		auth_cache_put(&cache, key_of(i), refused ? &no : &yes);
		model[i].until_ms = now_ms + (refused ? DENY_MS : ALLOW_MS);
		model[i].refused = refused;
		model[i].used = ++clock;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_get_when_put_then_the_answer_until_its_time_is_over),
		TEST(test_put_when_full_then_the_least_recently_used_goes),
		TEST(test_put_when_known_then_replaced),
		TEST(test_put_when_keys_are_long_then_bounded_in_bytes),
		TEST(test_put_when_switched_off_then_nothing_is_kept),
		TEST(test_put_when_memory_is_short_then_not_kept),
		TEST(test_all_when_used_at_random_then_as_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
