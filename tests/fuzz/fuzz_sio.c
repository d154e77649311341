/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Engine.IO payloads and Socket.IO packets (common/sio) from arbitrary bytes: every slice lies in the input, and what was
 * decoded, encoded and decoded again is the same.
 * options: -max_len=4096
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/utf8.h"
#include "common/sio/eio.h"
#include "common/sio/sio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX_BYTES (1u << 20)

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_inside(struct str s, struct str outer)
{
	must(s.n == 0 ||
	     (s.p >= outer.p && s.n <= outer.n && (size_t)(s.p - outer.p) <= outer.n - s.n));
}

static bool is_event(enum sio_type type)
{
	return type == SIO_EVENT || type == SIO_BINARY_EVENT;
}

static bool is_binary(enum sio_type type)
{
	return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

/* The arguments by themselves are the elements of an array, as many as were counted. */
static void check_args(const struct sio_packet *p)
{
	struct buf array = BUF_INIT(TEXT_MAX_BYTES);
	struct json_value v;

	buf_addc(&array, '[');
	buf_add(&array, p->args);
	buf_addc(&array, ']');
	must(json_parse(buf_str(&array), &v) == 0);
	must(json_count(v) == p->arg_count);
	must(p->data.type != JSON_ARRAY || json_count(p->data) == p->arg_count + is_event(p->type));
	buf_fini(&array);
}

static void check_packet(struct str text, const struct sio_packet *p, uint32_t max_attachments)
{
	must(p->nsp.n > 0 && p->nsp.n <= SIO_MAX_NSP_BYTES && p->nsp.p[0] == '/' &&
	     utf8_valid(p->nsp));
	must(!memchr(p->nsp.p, ',', p->nsp.n) && !memchr(p->nsp.p, '?', p->nsp.n));
	if (!str_is(p->nsp, "/"))
		must_be_inside(p->nsp, text);
	must_be_inside(p->data.raw, text);
	must_be_inside(p->event.raw, p->data.raw);
	must_be_inside(p->args, p->data.raw);
	must(p->type != SIO_CONNECT_ERROR);
	must(is_binary(p->type) == (p->attachments > 0) && p->attachments <= max_attachments);
	must((p->event.type == JSON_STRING) == is_event(p->type));
	must(!p->has_ack || p->ack_id <= (uint64_t)1 << 53);
	check_args(p);
}

static void encode(struct buf *out, const struct sio_packet *p, struct str event)
{
	sio_encode_head(out, p->type, p->attachments, p->nsp, p->has_ack ? (int64_t)p->ack_id : -1);
	if (is_event(p->type)) {
		sio_encode_args(out, event, p->args);
	} else if (p->data.type == JSON_ARRAY) {
		buf_addc(out, '[');
		buf_add(out, p->args);
		buf_addc(out, ']');
	} else {
		buf_add(out, p->data.raw);
	}
}

static void check_round_trip(const struct sio_packet *p, uint32_t max_attachments)
{
	struct buf out = BUF_INIT(TEXT_MAX_BYTES), scratch = BUF_INIT(TEXT_MAX_BYTES);
	struct str event = STR_NONE;
	struct sio_packet again;

	if (is_event(p->type))
		must(json_text(p->event, &scratch, &event) == 0);
	encode(&out, p, event);
	must(!out.failed);
	must(sio_decode(buf_str(&out), max_attachments, &again) == 0);
	must(again.type == p->type && again.attachments == p->attachments);
	must(again.has_ack == p->has_ack && again.ack_id == p->ack_id);
	must(str_eq(again.nsp, p->nsp) && str_eq(again.args, p->args));
	must(again.arg_count == p->arg_count && again.data.type == p->data.type);
	if (is_event(p->type))
		must(json_text_is(again.event, event));
	else if (p->data.type == JSON_OBJECT)
		must(str_eq(again.data.raw, p->data.raw));
	buf_fini(&out);
	buf_fini(&scratch);
}

static void decode(struct str text)
{
	for (uint32_t max_attachments = 0; max_attachments <= 10; max_attachments += 10) {
		struct sio_packet p;

		if (sio_decode(text, max_attachments, &p))
			continue;
		check_packet(text, &p, max_attachments);
		check_round_trip(&p, max_attachments);
	}
}

static void walk_payload(struct str payload)
{
	struct eio_packet packet;
	struct str rest = payload;
	size_t bytes = 0;
	int err;

	while ((err = eio_payload_next(&rest, &packet)) == 0) {
		must(packet.type <= EIO_BINARY);
		must_be_inside(packet.body, payload);
		must(packet.body.n == 0 || !memchr(packet.body.p, EIO_SEPARATOR, packet.body.n));
		bytes += packet.body.n + 2; /* its type and a separator */
		if (packet.type == EIO_MESSAGE)
			decode(packet.body);
	}
	must(err == E_SYNTAX || (err == E_NOTFOUND && bytes == payload.n + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	struct eio_packet packet;

	walk_payload(text);
	decode(text);
	if (eio_decode(text, &packet) == 0)
		must(packet.body.n == size - 1 && packet.type <= EIO_NOOP);
	return 0;
}
