/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/hist.h"

#include <string.h>

static uint32_t step_of(uint64_t ns)
{
	if (ns > HIST_TOP_NS)
		ns = HIST_TOP_NS;
	if (ns < 2U << HIST_STEP_BITS)
		return (uint32_t)ns;
	const uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - HIST_STEP_BITS;
	return (shift << HIST_STEP_BITS) + (uint32_t)(ns >> shift);
}

/* The greatest value that is counted in a step */
static uint64_t step_end(uint32_t step)
{
	if (step < 2U << HIST_STEP_BITS)
		return step;
	const uint32_t shift = (step >> HIST_STEP_BITS) - 1;
	const uint64_t lead = step - (shift << HIST_STEP_BITS);
	return ((lead + 1) << shift) - 1;
}

void hist_clear(struct hist *h)
{
	memset(h, 0, sizeof(*h));
}

void hist_add(struct hist *h, uint64_t ns)
{
	h->count++;
	h->sum_ns += ns;
	if (ns > h->max_ns)
		h->max_ns = ns;
	h->step[step_of(ns)]++;
}

uint64_t hist_at(const struct hist *h, double part)
{
	const uint64_t rank = (uint64_t)(part * (double)h->count);
	uint64_t below = 0;

	for (uint32_t i = 0; i < HIST_STEPS; i++) {
		below += h->step[i];
		if (below > rank || (below == h->count && below)) {
			const uint64_t end = step_end(i);
			return end < h->max_ns ? end : h->max_ns;
		}
	}
	return 0;
}
