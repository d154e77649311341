/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/rnd.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/base_test.h"

static void test_bytes_of_any_size_are_filled(void **state)
{
	static const size_t sizes[] = { 1, 7, 16, 1000, 1024, 1025, 2048, 5000 };
	static unsigned char out[5001], any[5001];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		memset(any, 0, sizeof(any));
		/* A byte that stays zero 30 times is not being written. */
		for (int round = 0; round < 30; round++) {
			memset(out, 0, sizeof(out));
			rnd_bytes(out, sizes[i]);
			for (size_t k = 0; k < sizes[i]; k++)
				any[k] |= out[k];
			assert_int_equal(out[sizes[i]], 0);
		}
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_not_equal(any[k], 0);
	}
	rnd_bytes(out, 0);
}

static void test_numbers_do_not_repeat(void **state)
{
	static uint64_t seen[2000];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(seen); i++) {
		seen[i] = rnd_u64();
		assert_int_not_equal(seen[i], 0);
		for (size_t k = 0; k < i; k++)
			assert_true(seen[i] != seen[k]);
	}
}

static void test_ids_use_the_whole_url_alphabet(void **state)
{
	size_t counts[256] = { 0 }, letters = 0;
	char id[20];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		rnd_id(id, sizeof(id));
		for (size_t i = 0; i < sizeof(id); i++)
			counts[(unsigned char)id[i]]++;
	}
	for (int c = 0; c < 256; c++) {
		bool allowed = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			       (c >= 'a' && c <= 'z') || c == '-' || c == '_';

		assert_int_equal(counts[c] > 0, allowed);
		letters += allowed;
	}
	assert_int_equal(letters, 64);
}

static void test_below_covers_its_range_evenly(void **state)
{
	size_t counts[10] = { 0 };

	(void)state;
	for (int i = 0; i < 100000; i++) {
		uint32_t value = rnd_below(10);

		assert_true(value < 10);
		counts[value]++;
	}
	/* 10 standard deviations (95) around 10000. */
	for (int i = 0; i < 10; i++)
		assert_in_range(counts[i], 9050, 10950);
	assert_int_equal(rnd_below(1), 0);
	(void)rnd_below(UINT32_MAX);
}

static void test_child_after_fork_does_not_repeat_its_parent(void **state)
{
	uint64_t of_parent, of_child;
	int ends[2];
	pid_t child;

	(void)state;
	(void)rnd_u64();
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		of_child = rnd_u64();
		_exit(write(ends[1], &of_child, sizeof(of_child)) != sizeof(of_child));
	}
	of_parent = rnd_u64();
	assert_int_equal(read(ends[0], &of_child, sizeof(of_child)), sizeof(of_child));
	assert_true(of_child != of_parent);
	waitpid(child, NULL, 0);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_any_size_are_filled),
		cmocka_unit_test(test_numbers_do_not_repeat),
		cmocka_unit_test(test_ids_use_the_whole_url_alphabet),
		cmocka_unit_test(test_below_covers_its_range_evenly),
		cmocka_unit_test(test_child_after_fork_does_not_repeat_its_parent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
