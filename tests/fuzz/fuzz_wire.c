/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between processes (proto/wire) from arbitrary bytes: every slice lies in the input, every field is in its bounds, what was
 * unpacked, packed and unpacked again is the same, and any of it can be traced. The first byte cuts the input in two: an envelope and a body.
 * options: -max_len=4096
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/bus/bus_wire.h"
#include "proto/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_MAX_BYTES (1u << 20)

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_inside(struct str s, struct str outer)
{
	must(s.p >= outer.p && s.n <= outer.n && (size_t)(s.p - outer.p) <= outer.n - s.n);
}

static void check_list(const struct wire_field *f, const struct wire_list *l, struct str frame)
{
	struct wire_list_walk w;
	struct str item;
	uint32_t count = 0;

	must(l->count >= f->min && l->count <= f->max);
	wire_list_walk(l, &w);
	for (; wire_list_next(&w, &item); count++) {
		must_be_inside(item, frame);
		must(item.n <= WIRE_MAX_ITEM_BYTES);
	}
	must(count == l->count);
}

/* Fields that were not on the wire are empty, as unpacking left them. */
static void check_fields(const struct wire_message *m, const union wire_any *any, struct str frame)
{
	uint32_t present = *(const uint32_t *)(const void *)any;

	for (const struct wire_field *f = m->fields; f->type != WIRE_T_END && present > 0;
	     f++, present--) {
		const void *at = (const char *)any + f->offset;
		const struct str *s = at;

		if (f->type == WIRE_T_U64) {
			must(*(const uint64_t *)at >= f->min && *(const uint64_t *)at <= f->max);
		} else if (f->type == WIRE_T_LIST) {
			check_list(f, at, frame);
		} else if (f->type != WIRE_T_BOOL) {
			must_be_inside(*s, frame);
			must(s->n >= f->min && s->n <= f->max);
		}
	}
	must(present == 0);
}

static void check_again(const struct wire_message *m, union wire_any *any)
{
	struct blob *body = wire_pack(m->id, any), *again;
	union wire_any other;
	enum wire_id id;

	must(body != NULL);
	must(wire_unpack(blob_str(body), &id, &other) == 0 && id == m->id);
	again = wire_pack(id, &other);
	must(again != NULL && str_eq(blob_str(body), blob_str(again)));
	blob_unref(&body);
	blob_unref(&again);
}

static void check_trace(const struct wire_message *m, const union wire_any *any)
{
	struct buf line = BUF_INIT(LINE_MAX_BYTES);

	wire_trace(m->id, any, &line);
	must(line.failed == 0 && str_starts(buf_str(&line), str_of(m->name)));
	must(memchr(line.p, '\n', line.n) == NULL && memchr(line.p, '\0', line.n) == NULL);
	buf_fini(&line);
}

static void decode_body(struct str frame)
{
	const struct wire_message *m;
	union wire_any any;
	enum wire_id id;

	if (wire_unpack(frame, &id, &any))
		return;
	m = wire_message_of((uint64_t)id);
	must(m != NULL);
	check_fields(m, &any, frame);
	check_again(m, &any);
	check_trace(m, &any);
}

static void decode_envelope(struct str frame)
{
	char out[BUS_ENVELOPE_BYTES];
	uint64_t first, second;

	if (bus_envelope_read(frame, &first, &second) == 0)
		must(str_eq(bus_envelope(out, first, second), frame));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_make((const char *)data, size);
	size_t cut;

	if (size == 0)
		return 0;
	input = str_skip(input, 1);
	cut = data[0] < input.n ? data[0] : input.n;
	decode_envelope(str_make(input.p, cut));
	decode_body(str_skip(input, cut));
	return 0;
}
