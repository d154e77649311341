/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of long-polling POSTs from arbitrary bytes, on the way they take through an edge: payload, base64, Socket.IO packet, its
 * attachments. What was taken in whole is written out as the answer of a GET and must be read again as the same.
 * options: -max_len=8192
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/b64.h"
#include "common/sio/eio.h"
#include "common/sio/sio_assembly.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BYTES 256
#define OUT_MAX_BYTES (1u << 20)

struct client {
	struct sio_assembly *assembly;
	bool again; /* reads what the first one wrote */
	bool over;
	uint32_t packets;
	struct buf out;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void add_packet(struct buf *out, struct str start, struct str packet)
{
	if (out->n)
		buf_addc(out, EIO_SEPARATOR);
	buf_add(out, start);
	buf_add(out, packet);
}

static void add_attachment(struct buf *out, struct str data)
{
	size_t n = b64_encoded_bytes(data.n);
	char *room;

	add_packet(out, STR("b"), STR_NONE);
	room = buf_room(out, n);
	must(room != NULL);
	b64_encode(data, room);
	out->n += n;
}

static void take_whole(struct client *c, struct str text, const struct sio_packet *packet,
		       struct blob *const *attachments, uint32_t count)
{
	must(packet->attachments == count);
	must(count == 0 || sio_placeholders_check(packet->data, count) == 0);
	c->packets++;
	add_packet(&c->out, STR("4"), text);
	for (uint32_t i = 0; i < count; i++)
		add_attachment(&c->out, blob_str(attachments[i]));
}

static void take_text(struct client *c, struct str text)
{
	struct sio_packet packet;

	c->over = c->assembly || sio_decode(text, SIO_MAX_ATTACHMENTS_DEFAULT, &packet);
	if (c->over)
		return;
	if (packet.attachments == 0)
		take_whole(c, text, &packet, NULL, 0);
	else
		c->over = sio_assembly_begin(text, &packet, MAX_BYTES, &c->assembly) != 0;
}

static void take_binary(struct client *c, struct str data)
{
	struct sio_assembly *a = c->assembly;

	c->over = !a || sio_assembly_add(a, data);
	if (c->over || !sio_assembly_is_whole(a))
		return;
	must(a->bytes <= MAX_BYTES);
	take_whole(c, blob_str(a->text), &a->packet, a->attachments, a->got);
	sio_assembly_free(&c->assembly);
}

/* Strict base64 has one text for the same bytes. */
static void take_base64(struct client *c, struct str text)
{
	char *raw = malloc(text.n / 4 * 3 + 3), *again = malloc(text.n + 4);
	size_t n = 0;

	must(raw && again);
	c->over = b64_decode(text, raw, &n) != 0;
	if (!c->over) {
		must(n <= text.n / 4 * 3 && b64_encoded_bytes(n) == text.n);
		b64_encode(str_make(raw, n), again);
		must(str_eq(str_make(again, text.n), text));
		take_binary(c, str_make(raw, n));
	}
	free(again);
	free(raw);
}

static void take_payload(struct client *c, struct str payload)
{
	struct eio_packet packet;
	int err = 0;

	while (!c->over && (err = eio_payload_next(&payload, &packet)) == 0) {
		if (packet.type == EIO_MESSAGE)
			take_text(c, packet.body);
		else if (packet.type == EIO_BINARY)
			take_base64(c, packet.body);
	}
	must(err == 0 || err == E_NOTFOUND || err == E_SYNTAX);
	must(!c->again || (err == E_NOTFOUND && !c->over && !c->assembly));
	sio_assembly_free(&c->assembly);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client first = { .out = BUF_INIT(OUT_MAX_BYTES) };
	struct client second = { .out = BUF_INIT(OUT_MAX_BYTES), .again = true };

	take_payload(&first, str_make((const char *)data, size));
	must(!first.out.failed && first.out.n <= size);
	if (first.packets) {
		take_payload(&second, buf_str(&first.out));
		must(second.packets == first.packets);
		must(str_eq(buf_str(&first.out), buf_str(&second.out)));
	}
	buf_fini(&first.out);
	buf_fini(&second.out);
	return 0;
}
