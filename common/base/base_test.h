/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test program includes first: cmocka with the headers it wants before it, and helpers for tables. */
#ifndef ROOMWIRE_BASE_BASE_TEST_H
#define ROOMWIRE_BASE_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/base/str.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* got == want, with both printed. */
#define assert_str(got, want) assert_str_at((got), (want), __FILE__, __LINE__)

static inline void assert_str_at(struct str got, struct str want, const char *file, int line)
{
	if (str_eq(got, want))
		return;
	print_error("got  '" STR_FMT "'\nwant '" STR_FMT "'\n", STR_ARG(got), STR_ARG(want));
	_fail(file, line);
}

/* Deterministic random numbers for model tests (SplitMix64): a failure can be run again. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

#endif
