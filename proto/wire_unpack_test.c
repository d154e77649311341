/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of bus.def, none by name, from bytes written by hand: what must be refused, skipped or taken. */
#include "proto/wire_test.h"

#include <msgpack.h>

/* ── messages written by hand ── */

static void put_number(struct buf *b, int type, unsigned bytes, uint64_t n)
{
	buf_addc(b, (char)type);
	while (bytes-- > 0)
		buf_addc(b, (char)(n >> (8 * bytes)));
}

static void put_field(struct buf *b, const struct wire_field *f, const void *at)
{
	const struct wire_list *l = at;
	const struct str *s = at;

	if (f->type == WIRE_T_U64) {
		put_number(b, 0xcf, 8, *(const uint64_t *)at);
	} else if (f->type == WIRE_T_BOOL) {
		buf_addc(b, (char)(*(const bool *)at ? 0xc3 : 0xc2));
	} else if (f->type == WIRE_T_LIST) {
		put_number(b, 0xdd, 4, l->count);
		for (uint32_t i = 0; i < l->count; i++) {
			put_number(b, 0xc6, 4, l->items[i].n);
			buf_add(b, l->items[i]);
		}
	} else {
		put_number(b, 0xc6, 4, s->n);
		buf_add(b, *s);
	}
}

/* The first `count` fields, in the longest forms msgpack has, of an array that says it has `said` of them. */
static void put_message(struct buf *b, const struct wire_message *m, union wire_any *any,
			size_t count, size_t said)
{
	buf_reset(b);
	put_number(b, 0xdd, 4, 1 + said);
	put_number(b, 0xcf, 8, (uint64_t)m->id);
	for (size_t i = 0; i < count; i++)
		put_field(b, &m->fields[i], at_of(any, &m->fields[i]));
}

/* From memory of exactly its size, so that a sanitizer sees a byte too far. */
static int unpack_exact(struct str frame, enum wire_id *id, union wire_any *any)
{
	char *copy = malloc(frame.n ? frame.n : 1);
	int err;

	assert_non_null(copy);
	if (frame.n)
		memcpy(copy, frame.p, frame.n);
	memset(any, 0xa5, sizeof(*any));
	err = wire_unpack(str_make(copy, frame.n), id, any);
	free(copy);
	return err;
}

static int unpack_buf(const struct buf *b, union wire_any *any)
{
	enum wire_id id;

	assert_int_equal(b->failed, 0);
	return unpack_exact(buf_str(b), &id, any);
}

/* ── unpacking ── */

static void test_truncated_at_every_byte_is_refused(void **state)
{
	union wire_any any, got;
	struct blob *body;
	enum wire_id id;

	(void)state;
	EACH_MESSAGE(m)
	{
		set_samples(m, &any);
		body = wire_pack(m->id, &any);
		for (size_t n = 0; n < body->n; n++)
			assert_int_equal(unpack_exact(str_make(body->data, n), &id, &got),
					 E_TRUNCATED);
		blob_unref(&body);
	}
	assert_int_equal(wire_unpack(STR_NONE, &id, &got), E_TRUNCATED);
}

static void test_out_of_bounds_is_refused(void **state)
{
	struct buf b = BUF_INIT(4 * BYTES_MAX);
	union wire_any any, got;

	(void)state;
	EACH_MESSAGE(m)
	EACH_FIELD(m, f)
	{
		size_t n = field_count(m);

		if (f->type != WIRE_T_BOOL && f->max < UINT64_MAX) {
			set_samples(m, &any);
			set_size(&any, f, f->max + 1);
			put_message(&b, m, &any, n, n);
			assert_int_equal(unpack_buf(&b, &got), E_RANGE);
		}
		if (f->min > 0) {
			set_samples(m, &any);
			set_size(&any, f, f->min - 1);
			put_message(&b, m, &any, n, n);
			assert_int_equal(unpack_buf(&b, &got), E_RANGE);
		}
		if (f->type == WIRE_T_LIST) {
			set_samples(m, &any);
			*(struct wire_list *)at_of(&any, f) =
				list_of(str_make(filler, WIRE_MAX_ITEM_BYTES + 1), 1);
			put_message(&b, m, &any, n, n);
			assert_int_equal(unpack_buf(&b, &got), E_RANGE);
		}
	}
	buf_fini(&b);
}

/* Every type of msgpack, as one value each. */
static const struct {
	struct str bytes;
	enum wire_type type; /* WIRE_T_END: of no field of ours */
} values[] = {
	{ STR("\x07"), WIRE_T_U64 },
	{ STR("\xcc\xff"), WIRE_T_U64 },
	{ STR("\xcd\x01\x00"), WIRE_T_U64 },
	{ STR("\xce\x00\x01\x00\x00"), WIRE_T_U64 },
	{ STR("\xcf\x00\x00\x00\x00\x00\x00\x00\x01"), WIRE_T_U64 },
	{ STR("\xff"), WIRE_T_END },
	{ STR("\xd0\x80"), WIRE_T_END },
	{ STR("\xd1\x80\x00"), WIRE_T_END },
	{ STR("\xd2\x80\x00\x00\x00"), WIRE_T_END },
	{ STR("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), WIRE_T_END },
	{ STR("\xca\x00\x00\x00\x00"), WIRE_T_END },
	{ STR("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"), WIRE_T_END },
	{ STR("\xc0"), WIRE_T_END },
	{ STR("\xc2"), WIRE_T_BOOL },
	{ STR("\xc3"), WIRE_T_BOOL },
	{ STR("\xa3xyz"), WIRE_T_STR },
	{ STR("\xd9\x03xyz"), WIRE_T_STR },
	{ STR("\xda\x00\x03xyz"), WIRE_T_STR },
	{ STR("\xdb\x00\x00\x00\x03xyz"), WIRE_T_STR },
	{ STR("\xc4\x03xyz"), WIRE_T_STR },
	{ STR("\xc5\x00\x03xyz"), WIRE_T_STR },
	{ STR("\xc6\x00\x00\x00\x03xyz"), WIRE_T_STR },
	{ STR("\x91\xa3xyz"), WIRE_T_LIST },
	{ STR("\xdc\x00\x01\xa3xyz"), WIRE_T_LIST },
	{ STR("\xdd\x00\x00\x00\x01\xa3xyz"), WIRE_T_LIST },
	{ STR("\x91\x01"), WIRE_T_END },
	{ STR("\x92\x91\x90\x82\x01\xc0\xa1x\x93\x01\x02\x03"), WIRE_T_END },
	{ STR("\x80"), WIRE_T_END },
	{ STR("\x81\xa1k\x01"), WIRE_T_END },
	{ STR("\xde\x00\x01\xa1k\x01"), WIRE_T_END },
	{ STR("\xdf\x00\x00\x00\x01\xa1k\x01"), WIRE_T_END },
	{ STR("\xd4\x05\x00"), WIRE_T_END },
	{ STR("\xd5\x05\x00\x00"), WIRE_T_END },
	{ STR("\xd6\x05\x00\x00\x00\x00"), WIRE_T_END },
	{ STR("\xd7\x05\x00\x00\x00\x00\x00\x00\x00\x00"), WIRE_T_END },
	{ STR("\xd8\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
	  WIRE_T_END },
	{ STR("\xc7\x02\x05\x00\x00"), WIRE_T_END },
	{ STR("\xc8\x00\x02\x05\x00\x00"), WIRE_T_END },
	{ STR("\xc9\x00\x00\x00\x02\x05\x00\x00"), WIRE_T_END },
};

static bool fits(enum wire_type type, size_t value)
{
	return values[value].type == (type == WIRE_T_SECRET ? WIRE_T_STR : type);
}

/* Each field replaced by a value of each type: only its own are taken, in every form msgpack has for them. */
static void test_wrong_type_is_refused(void **state)
{
	struct buf b = BUF_INIT(4 * BYTES_MAX);
	union wire_any any, got;

	(void)state;
	EACH_MESSAGE(m)
	for (size_t i = 0; i < field_count(m); i++)
		for (size_t v = 0; v < COUNT_OF(values); v++) {
			int err;

			set_samples(m, &any);
			put_message(&b, m, &any, i, field_count(m));
			buf_add(&b, values[v].bytes);
			for (size_t k = i + 1; k < field_count(m); k++)
				put_field(&b, &m->fields[k], at_of(&any, &m->fields[k]));
			err = unpack_buf(&b, &got);
			if (fits(m->fields[i].type, v))
				assert_true(err == 0 || err == E_RANGE);
			else
				assert_int_equal(err, E_TYPE);
		}
	buf_fini(&b);
}

static void test_missing_trailing_fields_count_as_empty(void **state)
{
	struct buf b = BUF_INIT(4 * BYTES_MAX);
	union wire_any any, got;

	(void)state;
	EACH_MESSAGE(m)
	for (size_t count = 0; count <= field_count(m); count++) {
		bool allowed = true;

		set_samples(m, &any);
		for (size_t i = count; i < field_count(m); i++) {
			allowed = allowed && m->fields[i].min == 0;
			set_size(&any, &m->fields[i], 0);
		}
		put_message(&b, m, &any, count, count);
		if (!allowed) {
			assert_int_equal(unpack_buf(&b, &got), E_TRUNCATED);
			continue;
		}
		enum wire_id id;

		memset(&got, 0xa5, sizeof(got));
		assert_int_equal(wire_unpack(buf_str(&b), &id, &got), 0);
		assert_int_equal(*(uint32_t *)(void *)&got, count);
		assert_same(m, &got, &any);
	}
	buf_fini(&b);
}

static int unpack_with_more(struct buf *b, const struct wire_message *m, struct str more,
			    size_t more_count, union wire_any *got)
{
	union wire_any any;

	set_samples(m, &any);
	put_message(b, m, &any, field_count(m), field_count(m) + more_count);
	buf_add(b, more);
	return unpack_buf(b, got);
}

static void test_further_fields_of_every_type_are_skipped(void **state)
{
	struct buf b = BUF_INIT(4 * BYTES_MAX), all = BUF_INIT(BYTES_MAX);
	union wire_any got;

	(void)state;
	EACH_MESSAGE(m)
	{
		buf_reset(&all);
		for (size_t v = 0; v < COUNT_OF(values); v++) {
			struct str bytes = values[v].bytes;

			assert_int_equal(unpack_with_more(&b, m, bytes, 1, &got), 0);
			for (size_t n = 0; n < bytes.n; n++)
				assert_int_equal(
					unpack_with_more(&b, m, str_make(bytes.p, n), 1, &got),
					E_TRUNCATED);
			buf_add(&all, bytes);
		}
		assert_int_equal(unpack_with_more(&b, m, buf_str(&all), COUNT_OF(values), &got), 0);
		assert_int_equal(unpack_with_more(&b, m, STR("\xc1"), 1, &got), E_SYNTAX);
		assert_int_equal(unpack_with_more(&b, m, STR("\x01"), 0, &got), E_SYNTAX);
	}
	buf_fini(&b);
	buf_fini(&all);
}

static void test_further_field_nested_too_deep_is_refused(void **state)
{
	struct buf b = BUF_INIT(BYTES_MAX), deep = BUF_INIT(BYTES_MAX);
	union wire_any got;

	(void)state;
	for (int depth = WIRE_MAX_DEPTH; depth <= WIRE_MAX_DEPTH + 1; depth++) {
		buf_reset(&deep);
		for (int i = 0; i < depth; i++)
			buf_addc(&deep, (char)0x91);
		buf_addc(&deep, '\x01');
		assert_int_equal(unpack_with_more(&b, wire_messages, buf_str(&deep), 1, &got),
				 depth > WIRE_MAX_DEPTH ? E_DEPTH : 0);
	}
	buf_reset(&deep);
	for (int i = 0; i < 100000; i++)
		buf_addz(&deep, "\x91");
	assert_int_equal(unpack_with_more(&b, wire_messages, buf_str(&deep), 1, &got), E_DEPTH);
	/* Counts that promise more than any frame has. */
	assert_int_equal(
		unpack_with_more(&b, wire_messages, STR("\xdf\xff\xff\xff\xff\x01"), 1, &got),
		E_TRUNCATED);
	assert_int_equal(
		unpack_with_more(&b, wire_messages, STR("\xc9\xff\xff\xff\xff\x01"), 1, &got),
		E_TRUNCATED);
	assert_int_equal(unpack_with_more(&b, wire_messages, STR("\xdb\xff\xff\xff\xff"), 1, &got),
			 E_TRUNCATED);
	assert_int_equal(unpack_with_more(&b, wire_messages, STR(""), UINT32_MAX - 64, &got),
			 E_TRUNCATED);
	buf_fini(&b);
	buf_fini(&deep);
}

static void test_not_a_message_is_refused(void **state)
{
	static const struct {
		struct str bytes;
		int err;
	} rows[] = {
		{ STR(""), E_TRUNCATED },
		{ STR("\x90"), E_TRUNCATED },
		{ STR("\x91"), E_TRUNCATED },
		{ STR("\xdc\x00"), E_TRUNCATED },
		{ STR("\x01"), E_TYPE },
		{ STR("\x81\x01\x01"), E_TYPE },
		{ STR("\x91\xa1x"), E_TYPE },
		{ STR("\x91\xff"), E_TYPE },
		{ STR("\x91\x00"), E_UNKNOWN },
		{ STR("\x91\xcd\xff\xff"), E_UNKNOWN },
		{ STR("\x91\xcf\x00\x00\x00\x01\x00\x00\x00\x01"),
		  E_UNKNOWN }, /* the low half is known */
		{ STR("\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), E_UNKNOWN },
		{ STR("\xc1"), E_TYPE },
		{ STR("hello world"), E_TYPE },
	};
	union wire_any got;
	enum wire_id id;
	char *large = calloc(1, WIRE_MAX_BODY_BYTES + 1);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		assert_int_equal(unpack_exact(rows[i].bytes, &id, &got), rows[i].err);
	assert_int_equal(wire_unpack(str_make(large, WIRE_MAX_BODY_BYTES + 1), &id, &got),
			 E_TOOBIG);
	free(large);
}

/* ── the reader beside msgpack-c ── */

static void pack_random(msgpack_packer *pk, uint64_t *seed, int depth)
{
	uint64_t n = test_random(seed) >> (test_random(seed) % 64);
	uint32_t count = (uint32_t)(n % 4);

	switch (test_random(seed) % (depth > 0 ? 9 : 7)) {
	case 0:
		msgpack_pack_uint64(pk, n);
		break;
	case 1:
		msgpack_pack_int64(pk, -(int64_t)(n >> 1));
		break;
	case 2:
		msgpack_pack_double(pk, (double)n);
		break;
	case 3:
		msgpack_pack_nil(pk);
		break;
	case 4:
		msgpack_pack_str(pk, n % 300);
		msgpack_pack_str_body(pk, filler, n % 300);
		break;
	case 5:
		msgpack_pack_bin(pk, n % 70000);
		msgpack_pack_bin_body(pk, filler, n % 70000);
		break;
	case 6:
		msgpack_pack_ext(pk, n % 300, 1);
		msgpack_pack_ext_body(pk, filler, n % 300);
		break;
	case 7:
		msgpack_pack_array(pk, count);
		for (uint32_t i = 0; i < count; i++)
			pack_random(pk, seed, depth - 1);
		break;
	default:
		msgpack_pack_map(pk, count);
		for (uint32_t i = 0; i < 2 * count; i++)
			pack_random(pk, seed, depth - 1);
		break;
	}
}

static void test_skips_what_msgpack_packs(void **state)
{
	struct buf b = BUF_INIT(4 * BYTES_MAX);
	msgpack_sbuffer packed;
	msgpack_packer pk;
	uint64_t seed = 1;
	union wire_any got;

	(void)state;
	msgpack_sbuffer_init(&packed);
	msgpack_packer_init(&pk, &packed, msgpack_sbuffer_write);
	for (int i = 0; i < 3000; i++) {
		msgpack_sbuffer_clear(&packed);
		pack_random(&pk, &seed, 6);
		assert_int_equal(unpack_with_more(&b, wire_messages,
						  str_make(packed.data, packed.size), 1, &got),
				 0);
	}
	msgpack_sbuffer_destroy(&packed);
	buf_fini(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated_at_every_byte_is_refused),
		cmocka_unit_test(test_out_of_bounds_is_refused),
		cmocka_unit_test(test_wrong_type_is_refused),
		cmocka_unit_test(test_missing_trailing_fields_count_as_empty),
		cmocka_unit_test(test_further_fields_of_every_type_are_skipped),
		cmocka_unit_test(test_further_field_nested_too_deep_is_refused),
		cmocka_unit_test(test_not_a_message_is_refused),
		cmocka_unit_test(test_skips_what_msgpack_packs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
