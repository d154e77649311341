/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/ws.h"

#include <string.h>

int ws_head_parse(const uint8_t *from, size_t bytes, struct ws_head *out)
{
	if (bytes < 2)
		return 0;
	if (from[0] & 0x70)
		return -1;
	out->final = from[0] & 0x80;
	out->opcode = from[0] & 0x0f;
	out->masked = from[1] & 0x80;

	uint32_t at = 2;
	uint64_t length = from[1] & 0x7f;
	const uint32_t more = length == 126 ? 2 : length == 127 ? 8 : 0;
	if (bytes < at + more + (out->masked ? 4 : 0))
		return 0;
	if (more) {
		length = 0;
		for (uint32_t i = 0; i < more; i++)
			length = length << 8 | from[at++];
	}
	if (out->masked) {
		memcpy(out->mask, from + at, 4);
		at += 4;
	}
	out->payload_bytes = length;
	out->head_bytes = at;
	return 1;
}

size_t ws_frame_write(uint8_t *to, enum ws_opcode opcode, const void *payload, size_t bytes,
		      const uint8_t mask[4])
{
	const uint8_t masked = mask ? 0x80 : 0;
	size_t at = 2;

	to[0] = 0x80 | (uint8_t)opcode;
	if (bytes < 126) {
		to[1] = masked | (uint8_t)bytes;
	} else {
		const int more = bytes < 65536 ? 2 : 8;
		to[1] = masked | (more == 2 ? 126 : 127);
		for (int i = more - 1; i >= 0; i--)
			to[at++] = (uint8_t)((uint64_t)bytes >> (8 * i));
	}
	if (mask) {
		memcpy(to + at, mask, 4);
		at += 4;
	}
	if (bytes)
		memcpy(to + at, payload, bytes);
	if (mask)
		ws_mask(to + at, bytes, mask);
	return at + bytes;
}

void ws_mask(uint8_t *payload, size_t bytes, const uint8_t mask[4])
{
	uint64_t wide;
	memcpy(&wide, mask, 4);
	memcpy((char *)&wide + 4, mask, 4);

	size_t i = 0;
	for (; i + 8 <= bytes; i += 8) {
		uint64_t word;
		memcpy(&word, payload + i, 8);
		word ^= wide;
		memcpy(payload + i, &word, 8);
	}
	for (; i < bytes; i++)
		payload[i] ^= mask[i & 3];
}
