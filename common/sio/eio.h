/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine.IO protocol 4: packets, polling payloads, and the WebSocket frame header in front of them. Sans-I/O.
 * Source: the Engine.IO protocol document, revision 4; RFC 6455 section 5.2.
 */
#ifndef ROOMWIRE_SIO_EIO_H
#define ROOMWIRE_SIO_EIO_H

#include "common/base/buf.h"

enum eio_type {
	EIO_OPEN = 0,
	EIO_CLOSE = 1,
	EIO_PING = 2,
	EIO_PONG = 3,
	EIO_MESSAGE = 4,
	EIO_UPGRADE = 5,
	EIO_NOOP = 6,
	EIO_BINARY =
		7, /* not on the wire: a binary message ('b' + base64 in polling, a binary frame on WebSocket) */
};

#define EIO_SEPARATOR '\x1e'

struct eio_packet {
	enum eio_type type;
	struct str
		body; /* without the type character; BORROWED from the input; base64 still encoded for EIO_BINARY of polling */
};

/* One text packet ("4hello"). 0 or E_SYNTAX (empty, or a type that is none). */
int eio_decode(struct str text, struct eio_packet *packet) MUST_CHECK;
/* Take the next packet off a polling payload (packets joined by EIO_SEPARATOR); 'b…' gives EIO_BINARY.
 * 0, E_NOTFOUND at the end, E_SYNTAX. An empty payload is E_SYNTAX at the first call. */
int eio_payload_next(struct str *rest, struct eio_packet *packet) MUST_CHECK;

#define WS_HEADER_MAX 10
enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
/* Header of an unfragmented, unmasked (server) frame; returns its length, 2 to WS_HEADER_MAX. */
size_t ws_header(char out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t payload_bytes);
/* The same in front of a compressed message, of which payload_bytes is the compressed size (RFC 7692 section 6: bit RSV1). */
size_t ws_header_deflated(char out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t payload_bytes);

#endif
