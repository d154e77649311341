/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames (RFC 6455, section 5) as far as measuring needs them: whole messages in one frame, no
 * extensions. Used by both ends here, loadgen (masks) and rawsend (does not).
 */
#ifndef TESTS_BENCH_WS_H
#define TESTS_BENCH_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_HEAD_MAX_BYTES 14

/* The key every client of loadgen sends, and the only answer to it (the example of RFC 6455, section 1.3) */
#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

struct ws_head {
	uint64_t payload_bytes;
	uint32_t head_bytes;
	uint8_t opcode; /* enum ws_opcode, or what else the peer wrote there */
	uint8_t mask[4];
	bool masked;
	bool final;
};

/* 1: out is filled; 0: more bytes are needed; -1: reserved bits are set, which nobody negotiated */
int ws_head_parse(const uint8_t *from, size_t bytes, struct ws_head *out);

/* Writes a whole frame to `to`, which has room for WS_HEAD_MAX_BYTES + bytes. mask NULL: unmasked. Returns its size. */
size_t ws_frame_write(uint8_t *to, enum ws_opcode opcode, const void *payload, size_t bytes,
		      const uint8_t mask[4]);

/* XORs in place (RFC 6455, section 5.3). */
void ws_mask(uint8_t *payload, size_t bytes, const uint8_t mask[4]);

#endif
