/* SPDX-License-Identifier: Apache-2.0 */
/* For wire_test.c and wire_unpack_test.c: messages made of the samples of bus.def, by the descriptors alone. */
#ifndef ROOMWIRE_PROTO_WIRE_TEST_H
#define ROOMWIRE_PROTO_WIRE_TEST_H

#include <stdlib.h>

#include "common/base/base_test.h"
#include "proto/wire.h"

#define ITEMS_MAX 10001
#define FIELDS_MAX 32
#define BYTES_MAX (1u << 20)

static struct str items[ITEMS_MAX];
static char filler[3200000]; /* zeros */

/* ── messages made of samples ── */

static inline void *at_of(union wire_any *any, const struct wire_field *f)
{
	return (char *)any + f->offset;
}

static inline struct wire_list list_of(struct str item, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		items[i] = item;
	return (struct wire_list){ .count = count, .items = items };
}

static inline void set_sample(union wire_any *any, const struct wire_field *f)
{
	void *at = at_of(any, f);

	if (f->type == WIRE_T_U64)
		*(uint64_t *)at = strtoull(f->sample, NULL, 10);
	else if (f->type == WIRE_T_BOOL)
		*(bool *)at = f->sample[0] == '1';
	else if (f->type == WIRE_T_LIST)
		*(struct wire_list *)at = list_of(str_of(f->sample), f->max < 2 ? 1 : 2);
	else
		*(struct str *)at = str_of(f->sample);
}

/* n: the value of a number, the length of a text, the number of items. */
static inline void set_size(union wire_any *any, const struct wire_field *f, uint64_t n)
{
	void *at = at_of(any, f);

	if (f->type == WIRE_T_U64)
		*(uint64_t *)at = n;
	else if (f->type == WIRE_T_BOOL)
		*(bool *)at = n > 0;
	else if (f->type == WIRE_T_LIST)
		*(struct wire_list *)at = list_of(str_of(f->sample), (uint32_t)n);
	else
		*(struct str *)at = str_make(filler, n);
}

static inline void set_samples(const struct wire_message *m, union wire_any *any)
{
	memset(any, 0, sizeof(*any));
	for (const struct wire_field *f = m->fields; f->type != WIRE_T_END; f++)
		set_sample(any, f);
}

static inline size_t field_count(const struct wire_message *m)
{
	size_t n = 0;

	while (m->fields[n].type != WIRE_T_END)
		n++;
	return n;
}

static inline void assert_same_list(const struct wire_list *got, const struct wire_list *want)
{
	struct wire_list_walk g, w;
	struct str a, b;

	assert_int_equal(got->count, want->count);
	wire_list_walk(got, &g);
	wire_list_walk(want, &w);
	while (wire_list_next(&w, &b)) {
		assert_true(wire_list_next(&g, &a));
		assert_str(a, b);
	}
	assert_false(wire_list_next(&g, &a));
}

static inline void assert_same(const struct wire_message *m, union wire_any *got,
			       union wire_any *want)
{
	for (const struct wire_field *f = m->fields; f->type != WIRE_T_END; f++) {
		void *g = at_of(got, f), *w = at_of(want, f);

		if (f->type == WIRE_T_U64)
			assert_true(*(uint64_t *)g == *(uint64_t *)w);
		else if (f->type == WIRE_T_BOOL)
			assert_true(*(bool *)g == *(bool *)w);
		else if (f->type == WIRE_T_LIST)
			assert_same_list(g, w);
		else
			assert_str(*(struct str *)g, *(struct str *)w);
	}
}

#define EACH_MESSAGE(m) \
	for (const struct wire_message *m = wire_messages; m < wire_messages + wire_message_count; \
	     m++)
#define EACH_FIELD(m, f) for (const struct wire_field *f = (m)->fields; f->type != WIRE_T_END; f++)

#endif
