/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of nanoseconds: exact below 128, then 64 steps to each doubling, so a value is told to 1.6 %.
 * Nothing is sampled or dropped; past HIST_TOP_NS (18 minutes) the last step counts.
 */
#ifndef TESTS_BENCH_HIST_H
#define TESTS_BENCH_HIST_H

#include <stdint.h>

#define HIST_STEP_BITS 6
#define HIST_TOP_BITS 40
#define HIST_TOP_NS ((1ULL << HIST_TOP_BITS) - 1)
#define HIST_STEPS ((HIST_TOP_BITS - HIST_STEP_BITS + 1) << HIST_STEP_BITS)

struct hist {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t step[HIST_STEPS];
};

void hist_clear(struct hist *h);
void hist_add(struct hist *h, uint64_t ns);

/* The value that `part` (0 to 1) of all values do not exceed; 0 if there are none. */
uint64_t hist_at(const struct hist *h, double part);

#endif
