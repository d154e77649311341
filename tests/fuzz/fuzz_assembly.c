/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets with attachments (common/sio/sio_assembly) driven by a script: texts, attachments, ends and failing allocations in any
 * order. Beside it stands a plain model of what must be remembered, and a second judge of placeholders that walks values recursively.
 * options: -max_len=4096
 *
 * Input: 2 bytes, the bound of all parts together; then steps: a byte that says what (its low 3 bits) and, for texts and attachments, a byte
 * with the length of what follows.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/sio/sio_assembly.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct model {
	size_t max_bytes, bytes;
	struct str text;
	struct str parts[SIO_MAX_ATTACHMENTS_DEFAULT];
	uint32_t got;
};

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_bad(struct json_value v, uint32_t attachments)
{
	struct json_value flag, num, member;
	struct json_walk w;

	if (v.type == JSON_OBJECT && json_get(v, STR("_placeholder"), &flag) == 0 &&
	    flag.type == JSON_TRUE) {
		double n = json_get(v, STR("num"), &num) == 0 && num.type == JSON_NUMBER
				   ? strtod(num.raw.p, NULL)
				   : -1;

		for (uint32_t i = 0; i < attachments; i++) {
			if (n == i)
				return false;
		}
		return true;
	}
	json_walk(v, &w);
	while (json_next(&w, NULL, &member) == 0) {
		if (is_bad(member, attachments))
			return true;
	}
	return false;
}

static void check(const struct sio_assembly *a, const struct model *m)
{
	struct sio_packet want;

	must(a->bytes == m->bytes && a->bytes <= m->max_bytes && a->got == m->got);
	must(str_eq(blob_str(a->text), m->text));
	for (uint32_t i = 0; i < m->got; i++)
		must(str_eq(blob_str(a->attachments[i]), m->parts[i]));
	must(sio_decode(blob_str(a->text), SIO_MAX_ATTACHMENTS_DEFAULT, &want) == 0);
	must(a->packet.type == want.type && a->packet.attachments == want.attachments);
	must(a->packet.has_ack == want.has_ack && a->packet.ack_id == want.ack_id);
	must(str_eq(a->packet.nsp, want.nsp) && a->packet.arg_count == want.arg_count);
	must(a->packet.data.raw.p == want.data.raw.p && a->packet.data.raw.n == want.data.raw.n);
	must(a->packet.event.raw.p == want.event.raw.p && a->packet.args.p == want.args.p);
	must(a->packet.event.raw.n == want.event.raw.n && a->packet.args.n == want.args.n);
	must(sio_assembly_is_whole(a) == (m->got == want.attachments));
}

static void give_text(struct sio_assembly **a, struct model *m, struct str text, bool poor)
{
	const struct sio_assembly *before = *a;
	struct sio_packet packet;
	int err;

	if (sio_decode(text, SIO_MAX_ATTACHMENTS_DEFAULT, &packet))
		return;
	err = sio_assembly_begin(text, &packet, m->max_bytes, a);
	if (err)
		must(*a == before);
	if (before)
		must(err == E_EXISTS);
	else if (packet.attachments == 0 || is_bad(packet.data, packet.attachments))
		must(err == E_SYNTAX);
	else if (text.n > m->max_bytes)
		must(err == E_TOOBIG);
	else
		must(err == 0 || (err == E_NOMEM && poor));
	if (err)
		return;
	m->text = text;
	m->bytes = text.n;
	m->got = 0;
}

/* Like an edge, it lets go of the packet once it is whole or cannot be. */
static void give_attachment(struct sio_assembly **a, struct model *m, struct str data, bool poor)
{
	int err;

	if (!*a)
		return;
	err = sio_assembly_add(*a, data);
	if (data.n > m->max_bytes - m->bytes)
		must(err == E_TOOBIG);
	else
		must(err == 0 || (err == E_NOMEM && poor));
	if (err == 0) {
		m->parts[m->got++] = data;
		m->bytes += data.n;
		check(*a, m);
	}
	if (err == 0 && sio_assembly_is_whole(*a))
		must(sio_assembly_add(*a, STR("x")) == E_RANGE);
	if (err || sio_assembly_is_whole(*a))
		sio_assembly_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make((const char *)data, size), piece;
	struct sio_assembly *a = NULL;
	struct model m = { 0 };
	bool poor = false;

	if (size < 2)
		return 0;
	m.max_bytes = (size_t)data[0] | (size_t)data[1] << 8;
	rest = str_skip(rest, 2);
	while (rest.n >= 2) {
		unsigned step = (unsigned char)rest.p[0] & 7;
		size_t n = (unsigned char)rest.p[1];

		if (step >= 6) {
			mem_fail_at(n % 3);
			poor = n % 3 != 0;
			rest = str_skip(rest, 2);
			continue;
		}
		if (step == 5) {
			sio_assembly_free(&a);
			rest = str_skip(rest, 1);
			continue;
		}
		rest = str_skip(rest, 2);
		piece = str_make(rest.p, n < rest.n ? n : rest.n);
		rest = str_skip(rest, piece.n);
		if (step < 2)
			give_text(&a, &m, piece, poor);
		else
			give_attachment(&a, &m, piece, poor);
		if (a)
			check(a, &m);
	}
	mem_fail_at(0);
	sio_assembly_free(&a);
	return 0;
}
