/* SPDX-License-Identifier: Apache-2.0 */
/* Every row of bus.def, none by name: adding a message adds its tests. What must be refused is in wire_unpack_test.c. */
#include "proto/wire_test.h"

#include "common/base/mem.h"

static void expect_round_trip(const struct wire_message *m, union wire_any *any)
{
	struct blob *body = wire_pack(m->id, any);
	union wire_any got;
	enum wire_id id;

	assert_non_null(body);
	memset(&got, 0xa5, sizeof(got));
	assert_int_equal(wire_unpack(blob_str(body), &id, &got), 0);
	assert_int_equal(id, m->id);
	assert_int_equal(*(uint32_t *)(void *)&got, field_count(m));
	assert_same(m, &got, any);
	blob_unref(&body);
}

/* ── the table ── */

static void test_table_has_sane_rows(void **state)
{
	(void)state;
	EACH_MESSAGE(m)
	{
		for (const struct wire_message *other = wire_messages; other < m; other++) {
			assert_int_not_equal(m->id, other->id);
			assert_string_not_equal(m->name, other->name);
		}
		assert_true(m->size <= sizeof(union wire_any) && m->doc[0]);
		assert_true(field_count(m) < FIELDS_MAX);
		assert_string_equal(wire_name(m->id), m->name);
		assert_ptr_equal(wire_message_of((uint64_t)m->id), m);
		EACH_FIELD(m, f)
		{
			assert_true(f->min <= f->max && f->doc[0]);
			assert_true(f->offset >= sizeof(uint32_t) && f->offset < m->size);
			assert_true(f->type != WIRE_T_LIST || f->max < ITEMS_MAX);
			assert_true(f->type != WIRE_T_STR || f->max < sizeof(filler));
		}
	}
	assert_string_equal(wire_name((enum wire_id)0), "?");
	assert_null(wire_message_of(0));
	assert_null(wire_message_of(UINT64_MAX));
}

static void test_abi_text_has_a_line_per_field(void **state)
{
	struct buf text = BUF_INIT(BYTES_MAX);
	size_t lines = 0, want = wire_message_count;

	(void)state;
	wire_abi_text(&text);
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	EACH_MESSAGE(m)
	want += field_count(m);
	assert_int_equal(lines, want);
	assert_true(wire_abi() != 0 && wire_abi() == wire_abi());
	buf_fini(&text);
}

/* ── packing ── */

static void test_samples_round_trip(void **state)
{
	union wire_any any;

	(void)state;
	EACH_MESSAGE(m)
	{
		set_samples(m, &any);
		expect_round_trip(m, &any);
	}
}

static void test_bounds_round_trip(void **state)
{
	union wire_any any;

	(void)state;
	EACH_MESSAGE(m)
	EACH_FIELD(m, f)
	{
		set_samples(m, &any);
		set_size(&any, f, f->min);
		expect_round_trip(m, &any);
		set_size(&any, f, f->max);
		expect_round_trip(m, &any);
	}
}

/* Around each place where msgpack takes another form. */
static void test_sizes_of_forms_round_trip(void **state)
{
	static const uint64_t sizes[] = {
		0,   1,   15,  16,    31,    32,         127,
		128, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1
	};
	union wire_any any;

	(void)state;
	EACH_MESSAGE(m)
	EACH_FIELD(m, f)
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		if (sizes[i] < f->min || sizes[i] > f->max)
			continue;
		set_samples(m, &any);
		set_size(&any, f, sizes[i]);
		expect_round_trip(m, &any);
	}
}

static void test_pack_when_out_of_bounds_is_refused(void **state)
{
	union wire_any any;

	(void)state;
	EACH_MESSAGE(m)
	EACH_FIELD(m, f)
	{
		if (f->type != WIRE_T_BOOL && f->max < UINT64_MAX) {
			set_samples(m, &any);
			set_size(&any, f, f->max + 1);
			assert_null(wire_pack(m->id, &any));
		}
		if (f->min > 0) {
			set_samples(m, &any);
			set_size(&any, f, f->min - 1);
			assert_null(wire_pack(m->id, &any));
		}
		if (f->type == WIRE_T_LIST) {
			set_samples(m, &any);
			*(struct wire_list *)at_of(&any, f) =
				list_of(str_make(filler, WIRE_MAX_ITEM_BYTES + 1), 1);
			assert_null(wire_pack(m->id, &any));
		}
	}
	assert_null(wire_pack((enum wire_id)0, &any));
}

static void test_pack_takes_one_allocation(void **state)
{
	union wire_any any;
	struct blob *body;
	uint64_t before;

	(void)state;
	EACH_MESSAGE(m)
	{
		set_samples(m, &any);
		before = mem_alloc_count();
		body = wire_pack(m->id, &any);
		assert_int_equal(mem_alloc_count() - before, 1);
		blob_unref(&body);
		mem_fail_at(1);
		assert_null(wire_pack(m->id, &any));
	}
}

/* ── lists ── */

static void test_unpacked_list_packs_again(void **state)
{
	union wire_any any, got;
	struct blob *body, *again;
	enum wire_id id;

	(void)state;
	EACH_MESSAGE(m)
	{
		set_samples(m, &any);
		body = wire_pack(m->id, &any);
		assert_int_equal(wire_unpack(blob_str(body), &id, &got), 0);
		again = wire_pack(m->id, &got);
		assert_non_null(again);
		assert_str(blob_str(again), blob_str(body));
		blob_unref(&again);
		blob_unref(&body);
	}
}

/* ── trace ── */

static void test_trace_names_fields_and_hides_secrets(void **state)
{
	struct buf line = BUF_INIT(BYTES_MAX);
	union wire_any any;

	(void)state;
	EACH_MESSAGE(m)
	{
		set_samples(m, &any);
		buf_reset(&line);
		wire_trace(m->id, &any, &line);
		buf_addc(&line, '\0');
		assert_int_equal(line.failed, 0);
		assert_ptr_equal(strstr(line.p, m->name), line.p);
		EACH_FIELD(m, f)
		{
			if (f->type == WIRE_T_SECRET)
				assert_null(strstr(line.p, f->sample));
			if (f->type == WIRE_T_SECRET ||
			    (f->type == WIRE_T_U64 && f->sample[0] != '0'))
				assert_non_null(strstr(line.p, f->name));
		}
		for (size_t i = 0; i + 1 < line.n; i++) /* "…" apart */
			assert_true((unsigned char)line.p[i] >= 0x20);
	}
	buf_fini(&line);
}

static void test_trace_is_bounded(void **state)
{
	struct buf line = BUF_INIT(BYTES_MAX), small = BUF_INIT(10);
	union wire_any any;

	(void)state;
	EACH_MESSAGE(m)
	{
		memset(&any, 0, sizeof(any));
		EACH_FIELD(m, f)
		set_size(&any, f, f->max);
		buf_reset(&line);
		wire_trace(m->id, &any, &line);
		assert_int_equal(line.failed, 0);
		assert_true(line.n <
			    256 + field_count(m) * 4 * WIRE_TRACE_BYTES * WIRE_TRACE_ITEMS);
		buf_reset(&small);
		wire_trace(m->id, &any, &small);
		assert_true(small.n <= 10);
	}
	buf_reset(&line);
	wire_trace((enum wire_id)0, &any, &line);
	assert_str(buf_str(&line), STR("?"));
	buf_fini(&line);
	buf_fini(&small);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_has_sane_rows),
		cmocka_unit_test(test_abi_text_has_a_line_per_field),
		cmocka_unit_test(test_samples_round_trip),
		cmocka_unit_test(test_bounds_round_trip),
		cmocka_unit_test(test_sizes_of_forms_round_trip),
		cmocka_unit_test(test_pack_when_out_of_bounds_is_refused),
		cmocka_unit_test(test_pack_takes_one_allocation),
		cmocka_unit_test(test_unpacked_list_packs_again),
		cmocka_unit_test(test_trace_names_fields_and_hides_secrets),
		cmocka_unit_test(test_trace_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
