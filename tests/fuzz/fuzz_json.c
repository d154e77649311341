/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON scanner (common/json) beside jansson: both accept the same texts and read the same values out of them, every
 * slice lies in the input, and what is left over by a prefix is refused as a whole.
 * options: -max_len=4096
 *
 * Known differences: jansson refuses numbers it cannot hold, names with a NUL, half a surrogate pair and nesting past 2048, and reads over some
 * NUL bytes outside of strings; we refuse nesting past JSON_MAX_DEPTH.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/json/json.h"
#include "tests/fuzz/reference_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX_BYTES (1u << 20)

static struct str input;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_be_inside(struct str s, struct str outer)
{
	must(s.p >= outer.p && s.n <= outer.n && (size_t)(s.p - outer.p) <= outer.n - s.n);
}

/* What a slice holds is a value by itself, and no more than that. */
static void must_stand_alone(struct json_value v)
{
	struct json_value again;
	size_t used;

	must_be_inside(v.raw, input);
	must(json_parse(v.raw, &again) == 0);
	must(again.type == v.type && again.raw.p == v.raw.p && again.raw.n == v.raw.n);
	must(json_parse_prefix(str_make(v.raw.p, (size_t)(input.p + input.n - v.raw.p)), &again,
			       &used) == 0);
	must(again.raw.n == v.raw.n && used == v.raw.n);
}

static void compare_string(struct json_value v, const struct reference *want)
{
	struct buf scratch = BUF_INIT(TEXT_MAX_BYTES);
	struct str want_text, text;

	want_text.p = reference_string(want, &want_text.n);
	must(json_text(v, &scratch, &text) == 0);
	must(str_eq(text, want_text));
	must(json_text_is(v, want_text));
	if (want_text.n > 0)
		must(!json_text_is(v, str_make(want_text.p, want_text.n - 1)));
	buf_fini(&scratch);
}

static void compare_number(struct json_value v, const struct reference *want)
{
	char *copy = str_dup(v.raw);
	int64_t integer;
	int err = json_i64(v, &integer);

	must(v.type == JSON_NUMBER && copy);
	if (reference_type(want) == 'i')
		must(err == 0 && integer == reference_integer(want));
	else
		must(strtod(copy, NULL) == reference_real(want));
	free(copy);
}

static void compare(struct json_value v, const struct reference *want);

static void compare_array(struct json_value v, const struct reference *want)
{
	struct json_value element, at;
	struct json_walk w;
	size_t count = 0;

	json_walk(v, &w);
	while (json_next(&w, NULL, &element) == 0) {
		must_be_inside(element.raw, v.raw);
		if (count < 8)
			must(json_at(v, count, &at) == 0 && at.raw.p == element.raw.p);
		must(reference_at(want, count));
		compare(element, reference_at(want, count++));
	}
	must(count == reference_count(want) && count == json_count(v));
	must(json_at(v, count, &at) == E_NOTFOUND);
}

static void compare_object(struct json_value v, const struct reference *want)
{
	struct buf scratch = BUF_INIT(TEXT_MAX_BYTES);
	struct json_value member, last;
	struct json_walk w;
	struct str key, name;
	size_t distinct = 0;

	json_walk(v, &w);
	while (json_next(&w, &key, &member) == 0) {
		const struct reference *want_member;

		must_be_inside(key, v.raw);
		must_be_inside(member.raw, v.raw);
		must_stand_alone((struct json_value){ JSON_STRING, key });
		buf_reset(&scratch);
		must(json_text((struct json_value){ JSON_STRING, key }, &scratch, &name) == 0);
		want_member = reference_member(want, name.p ? name.p : "", name.n);
		must(want_member != NULL);
		must(json_get(v, name, &last) == 0);
		if (last.raw.p != member.raw.p)
			continue; /* a later one has the same name, and wins */
		distinct++;
		compare(last, want_member);
	}
	must(distinct == reference_count(want));
	buf_fini(&scratch);
}

static void compare(struct json_value v, const struct reference *want)
{
	bool b = false;

	must_stand_alone(v);
	switch (reference_type(want)) {
	case 'n':
		must(v.type == JSON_NULL && !json_bool(v, &b));
		break;
	case 't':
	case 'f':
		must(json_bool(v, &b) && b == (reference_type(want) == 't'));
		break;
	case 's':
		must(v.type == JSON_STRING);
		compare_string(v, want);
		break;
	case 'a':
		must(v.type == JSON_ARRAY);
		compare_array(v, want);
		break;
	case 'o':
		must(v.type == JSON_OBJECT);
		compare_object(v, want);
		break;
	default:
		compare_number(v, want);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reference *root;
	enum reference_verdict verdict;
	struct json_value v, prefix;
	size_t used = 0;
	int err, prefix_err;

	input = str_make((const char *)data, size);
	err = json_parse(input, &v);
	prefix_err = json_parse_prefix(input, &prefix, &used);
	must(used <= size && (prefix_err == 0 || prefix_err == err));
	if (prefix_err == 0)
		must_stand_alone(prefix);

	if (size > 0 && memchr(data, '\0', size)) {
		must(err != 0);
		return 0;
	}
	verdict = reference_parse((const char *)data, size, &root);
	if (verdict == REFERENCE_VALID)
		must(err == 0 || err == E_DEPTH);
	else if (verdict == REFERENCE_INVALID)
		must(err != 0);
	if (verdict == REFERENCE_VALID && err == 0)
		compare(v, root);
	if (root)
		reference_free(root);
	return 0;
}
