/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of Node servers (common/adapt/adapt_sioredis.c) from arbitrary bytes: read within bounds; what is accepted is valid, and what is made of it
 * is read as the same again.
 *
 * options: -max_len=4096
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/adapt/adapt_sioredis.h"

#define MAX_BYTES 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool same_names(const struct sioredis_names *a, const struct sioredis_names *b)
{
	bool same = a->count == b->count;

	for (uint32_t i = 0; same && i < a->count; i++)
		same = str_eq(a->items[i], b->items[i]);
	return same;
}

static void check_args(const struct sioredis_event *e)
{
	struct buf array = BUF_INIT(2 * MAX_BYTES);
	struct json_value v;

	buf_addc(&array, '[');
	buf_add(&array, e->args);
	buf_addc(&array, ']');
	must(!array.failed && json_parse(buf_str(&array), &v) == 0);
	buf_fini(&array);
}

/* Once more round: numbers may be written otherwise the first time, then never again. */
static void check_round(const struct sioredis_event *e)
{
	struct sioredis_decoder *first = sioredis_decoder_new(4 * MAX_BYTES),
				*second = sioredis_decoder_new(4 * MAX_BYTES);
	struct buf scratch = BUF_INIT(4 * MAX_BYTES), out = BUF_INIT(4 * MAX_BYTES);
	struct sioredis_event back, again;

	if (sioredis_encode_event(e, &scratch, &out) == 0) {
		must(sioredis_decode_event(first, buf_str(&out), &back) == 0);
		must(str_eq(e->uid, back.uid) && str_eq(e->nsp, back.nsp) &&
		     str_eq(e->event, back.event) && e->is_volatile == back.is_volatile);
		must(same_names(&e->rooms, &back.rooms) && same_names(&e->except, &back.except));
		buf_reset(&out);
		must(sioredis_encode_event(&back, &scratch, &out) == 0);
		must(sioredis_decode_event(second, buf_str(&out), &again) == 0);
		must(str_eq(back.args, again.args) && back.bin_count == again.bin_count);
		for (uint32_t i = 0; i < back.bin_count; i++)
			must(str_eq(back.bins[i], again.bins[i]));
	}
	buf_fini(&scratch);
	buf_fini(&out);
	sioredis_decoder_free(&first);
	sioredis_decoder_free(&second);
}

/* What a client answers, to whom has asked: read by Node servers as one map. */
static void check_ack(struct sioredis_decoder *d, const struct sioredis_request *r)
{
	struct buf scratch = BUF_INIT(4 * MAX_BYTES), out = BUF_INIT(4 * MAX_BYTES);
	struct sioredis_request back;

	if (sioredis_encode_ack(r->id, r->event.args, r->event.bins, r->event.bin_count, &scratch,
				&out) == 0) {
		must(sioredis_decode_request(d, buf_str(&out), &back) == 0);
		must(back.kind == SIOREDIS_ACK);
	}
	buf_fini(&scratch);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sioredis_decoder *d = sioredis_decoder_new(MAX_BYTES);
	char *exact = malloc(size ? size : 1);
	struct sioredis_request r;
	struct sioredis_event e;

	must(exact != NULL);
	if (size)
		memcpy(exact, data, size);
	if (sioredis_decode_event(d, str_make(exact, size), &e) == 0) {
		must(e.nsp.n > 0 && e.bin_count <= SIOREDIS_BINS);
		check_args(&e);
		check_round(&e);
	}
	if (sioredis_decode_request(d, str_make(exact, size), &r) == 0) {
		must(r.rooms.count <= SIOREDIS_NAMES_MAX);
		if (r.kind == SIOREDIS_BROADCAST) {
			struct sioredis_decoder *second = sioredis_decoder_new(4 * MAX_BYTES);

			check_args(&r.event);
			if (r.id.n)
				check_ack(second, &r);
			sioredis_decoder_free(&second);
		}
	}
	free(exact);
	sioredis_decoder_free(&d);
	return 0;
}
