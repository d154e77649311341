/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_wire.h"

#include "common/base/rnd.h"

static char *put_u64(char *at, uint64_t n)
{
	*at++ = (char)0xcf;
	for (int shift = 56; shift >= 0; shift -= 8)
		*at++ = (char)(n >> shift);
	return at;
}

struct str bus_envelope(char out[BUS_ENVELOPE_BYTES], uint64_t first, uint64_t second)
{
	out[0] = (char)0x92;
	put_u64(put_u64(out + 1, first), second);
	return str_make(out, BUS_ENVELOPE_BYTES);
}

static uint64_t get_u64(const char *at)
{
	uint64_t n = 0;

	for (int i = 1; i <= 8; i++)
		n = n << 8 | (uint8_t)at[i];
	return n;
}

int bus_envelope_read(struct str frame, uint64_t *first, uint64_t *second)
{
	/* One form only: it is written in one place. */
	if (frame.n != BUS_ENVELOPE_BYTES || (uint8_t)frame.p[0] != 0x92 ||
	    (uint8_t)frame.p[1] != 0xcf || (uint8_t)frame.p[10] != 0xcf)
		return E_SYNTAX;
	*first = get_u64(frame.p + 1);
	*second = get_u64(frame.p + 10);
	return 0;
}

uint64_t bus_epoch(void)
{
	static uint64_t epoch;

	if (!epoch)
		epoch = rnd_u64();
	return epoch;
}
