/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain messages (common/sio/plain.h) from arbitrary bytes: every slice lies in the input, and what was decoded, encoded and decoded again is the same;
 * whatever arguments are given, what is encoded is a message.
 * options: -max_len=4096
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/sio/plain.h"

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

static void check_round_trip(const struct plain_message *m)
{
	struct buf out = BUF_INIT(TEXT_MAX_BYTES), scratch = BUF_INIT(TEXT_MAX_BYTES);
	struct plain_message again;
	struct str type;

	must(json_text(m->type, &scratch, &type) == 0);
	plain_encode(&out, type, m->payload.raw, STR("AbC-_"));
	must(!out.failed);
	must(plain_decode(buf_str(&out), &again) == 0);
	must(json_text_is(again.type, type));
	must(again.payload.type == m->payload.type && str_eq(again.payload.raw, m->payload.raw));
	buf_fini(&out);
	buf_fini(&scratch);
}

/* Values joined by commas, as an event of several arguments has them. */
static void check_args(struct str text)
{
	struct buf array = BUF_INIT(TEXT_MAX_BYTES), out = BUF_INIT(TEXT_MAX_BYTES);
	struct plain_message m;
	struct json_value v;

	buf_addc(&array, '[');
	buf_add(&array, text);
	buf_addc(&array, ']');
	if (json_parse(buf_str(&array), &v) == 0 && json_count(v) > 0) {
		plain_encode(&out, STR("t"), text, STR_NONE);
		must(plain_decode(buf_str(&out), &m) == 0);
		must(m.payload.type != JSON_NONE);
		if (json_count(v) > 1)
			must(m.payload.type == JSON_ARRAY &&
			     json_count(m.payload) == json_count(v));
	}
	buf_fini(&array);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make((const char *)data, size);
	struct plain_message m;

	if (plain_decode(text, &m) == 0) {
		must(m.whole.type == JSON_OBJECT && m.type.type == JSON_STRING);
		must_be_inside(m.whole.raw, text);
		must_be_inside(m.type.raw, m.whole.raw);
		must_be_inside(m.payload.raw, m.whole.raw);
		check_round_trip(&m);
	}
	check_args(text);
	return 0;
}
