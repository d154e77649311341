/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/eio.h"

int eio_decode(struct str text, struct eio_packet *packet)
{
	if (text.n == 0 || text.p[0] < '0' || text.p[0] > '0' + EIO_NOOP)
		return E_SYNTAX;
	packet->type = (enum eio_type)(text.p[0] - '0');
	packet->body = str_skip(text, 1);
	return 0;
}

/* Where a payload's rest points once its last packet was taken: an empty packet still to come looks different. */
static const char payload_end[1];

int eio_payload_next(struct str *rest, struct eio_packet *packet)
{
	struct str text, tail;

	if (rest->p == payload_end)
		return E_NOTFOUND;
	if (!str_cut(*rest, EIO_SEPARATOR, &text, &tail))
		tail = str_make(payload_end, 0);
	*rest = tail;
	if (text.n > 0 && text.p[0] == 'b') {
		packet->type = EIO_BINARY;
		packet->body = str_skip(text, 1);
		return 0;
	}
	return eio_decode(text, packet);
}

static void put_big_endian(char *out, uint64_t value, size_t bytes)
{
	while (bytes-- > 0) {
		out[bytes] = (char)value;
		value >>= 8;
	}
}

size_t ws_header(char out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t payload_bytes)
{
	enum { FIN = 0x80, LENGTH_16 = 126, LENGTH_64 = 127 };

	out[0] = (char)(FIN | opcode);
	if (payload_bytes < LENGTH_16) {
		out[1] = (char)payload_bytes;
		return 2;
	}
	if (payload_bytes <= UINT16_MAX) {
		out[1] = LENGTH_16;
		put_big_endian(out + 2, payload_bytes, 2);
		return 4;
	}
	out[1] = LENGTH_64;
	put_big_endian(out + 2, payload_bytes, 8);
	return 10;
}

size_t ws_header_deflated(char out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t payload_bytes)
{
	enum { RSV1 = 0x40 };
	size_t n = ws_header(out, opcode, payload_bytes);

	out[0] = (char)(out[0] | RSV1);
	return n;
}
