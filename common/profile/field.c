/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/field.h"

#define FIELD_ID_MAX 128 /* characters */
#define UUID_BYTES 36

/* Code points that show nothing: controls, blanks, and the invisible marks that make two ids look alike (Unicode 15, Cc Zs Zl Zp Cf). */
static const struct {
	uint32_t first, last;
} invisible[] = {
	{ 0x0000, 0x0020 },   { 0x007f, 0x00a0 }, { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
	{ 0x1680, 0x1680 },   { 0x180e, 0x180e }, { 0x2000, 0x200f }, { 0x2028, 0x202f },
	{ 0x205f, 0x206f },   { 0x3000, 0x3000 }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb },
	{ 0xe0000, 0xe007f },
};

/* The next code point of valid UTF-8. */
static uint32_t next_char(struct str *s)
{
	unsigned char lead = (unsigned char)s->p[0];
	size_t more = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
	uint32_t ch = more ? lead & (0x3fu >> more) : lead;

	if (more >= s->n)
		more = s->n - 1;
	for (size_t i = 1; i <= more; i++)
		ch = ch << 6 | ((unsigned char)s->p[i] & 0x3fu);
	*s = str_skip(*s, more + 1);
	return ch;
}

static bool is_visible(uint32_t ch)
{
	for (size_t i = 0; i < sizeof(invisible) / sizeof(invisible[0]); i++)
		if (ch >= invisible[i].first && ch <= invisible[i].last)
			return false;
	return true;
}

static bool is_id(struct str s)
{
	size_t count = 0;

	if (!s.n || s.n > 4 * FIELD_ID_MAX)
		return false;
	while (s.n) {
		unsigned char ch = (unsigned char)s.p[0];

		if (ch > 0x20 && ch < 0x7f)
			s = str_skip(s, 1);
		else if (!is_visible(next_char(&s)))
			return false;
		if (++count > FIELD_ID_MAX)
			return false;
	}
	return true;
}

bool field_is_uuid(struct str s)
{
	if (s.n != UUID_BYTES)
		return false;
	for (size_t i = 0; i < UUID_BYTES; i++) {
		char ch = s.p[i];

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (ch != '-')
				return false;
		} else if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') ||
			     (ch >= 'A' && ch <= 'F'))) {
			return false;
		}
	}
	return true;
}

static bool is_listed(const struct field_spec *f, struct str s)
{
	for (uint32_t i = 0; i < f->value_count; i++)
		if (str_is(s, f->values[i]))
			return true;
	return !f->value_count;
}

static bool fits_string(const struct field_spec *f, struct json_value v, struct buf *scratch)
{
	size_t before = scratch->n;
	struct str s;
	bool fits = false;

	if (v.type != JSON_STRING || json_text(v, scratch, &s))
		return false;
	if (f->type == FIELD_UUID)
		fits = field_is_uuid(s);
	else if (f->type == FIELD_ID)
		fits = is_id(s) && is_listed(f, s);
	else
		fits = s.n <= INT64_MAX && (int64_t)s.n >= f->min && (int64_t)s.n <= f->max &&
		       is_listed(f, s);
	scratch->n = before;
	return fits;
}

static bool fits(const struct field_spec *f, struct json_value v, struct buf *scratch)
{
	int64_t n;

	switch (f->type) {
	case FIELD_ANY:
		return v.type != JSON_NONE;
	case FIELD_ID:
	case FIELD_UUID:
	case FIELD_TEXT:
		return fits_string(f, v, scratch);
	case FIELD_BOOL:
		return v.type == JSON_TRUE || v.type == JSON_FALSE;
	case FIELD_INTEGER:
		return json_i64(v, &n) == 0 && n >= f->min && n <= f->max;
	case FIELD_NUMBER:
		return v.type == JSON_NUMBER;
	case FIELD_OBJECT:
		return v.type == JSON_OBJECT;
	case FIELD_ARRAY:
		return v.type == JSON_ARRAY && (int64_t)json_count(v) >= f->min &&
		       (int64_t)json_count(v) <= f->max;
	}
	return false;
}

static void add_range(const struct field_spec *f, const char *unit, struct buf *why)
{
	if (f->max == INT64_MAX && f->min <= 0)
		return;
	if (f->max == INT64_MAX)
		buf_addf(why, " of at least %lld %s", (long long)f->min, unit);
	else
		buf_addf(why, " of %lld to %lld %s", (long long)f->min, (long long)f->max, unit);
}

static void add_integer(const struct field_spec *f, struct buf *why)
{
	buf_addz(why, " must be a whole number");
	if (f->min != INT64_MIN)
		buf_addf(why, " from %lld", (long long)f->min);
	if (f->max != INT64_MAX)
		buf_addf(why, " to %lld", (long long)f->max);
}

static void add_expected(const struct field_spec *f, struct buf *why)
{
	static const char *const plain[] = {
		[FIELD_ANY] = " must be there",
		[FIELD_ID] = " must be an id of 1 to 128 visible characters",
		[FIELD_UUID] = " must be a uuid",
		[FIELD_TEXT] = " must be a text",
		[FIELD_BOOL] = " must be true or false",
		[FIELD_INTEGER] = "",
		[FIELD_NUMBER] = " must be a number",
		[FIELD_OBJECT] = " must be an object",
		[FIELD_ARRAY] = " must be an array",
	};

	buf_addz(why, f->name);
	if (f->value_count) {
		buf_addz(why, " must be one of ");
		for (uint32_t i = 0; i < f->value_count; i++)
			buf_addf(why, "%s%s", i ? ", " : "", f->values[i]);
		return;
	}
	buf_addz(why, plain[f->type]);
	if (f->type == FIELD_INTEGER)
		add_integer(f, why);
	else if (f->type == FIELD_TEXT)
		add_range(f, "bytes", why);
	else if (f->type == FIELD_ARRAY)
		add_range(f, "elements", why);
}

int field_check(const struct field_spec *f, struct json_value v, struct buf *scratch,
		struct buf *why)
{
	if (fits(f, v, scratch))
		return 0;
	add_expected(f, why);
	return E_TYPE;
}

/* JSON null counts as absent, but for a field of any type. */
static bool is_there(const struct field_spec *f, struct json_value v)
{
	return v.type != JSON_NONE && (v.type != JSON_NULL || f->type == FIELD_ANY);
}

static struct json_value find(const struct field_spec *f, struct json_value container)
{
	struct json_value v;

	if (container.type != JSON_OBJECT)
		return f->bare ? container : (struct json_value){ JSON_NONE, STR_NONE };
	if (!f->path_count && json_get(container, str_of(f->name), &v) == 0)
		return v;
	for (uint32_t i = 0; i < f->path_count; i++)
		if (json_get_path(container, str_of(f->paths[i]), &v) == 0 && is_there(f, v))
			return v;
	return (struct json_value){ JSON_NONE, STR_NONE };
}

static bool has_bare(const struct field_list *l)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (l->fields[i].bare)
			return true;
	return false;
}

int field_list_take(const struct field_list *l, struct json_value container, struct tmpl_env *env,
		    struct buf *scratch, struct buf *why)
{
	uint32_t count = l->count < TMPL_MAX_FIELDS ? l->count : TMPL_MAX_FIELDS;

	env->field_count = count;
	if (count && container.type != JSON_NONE && container.type != JSON_NULL &&
	    container.type != JSON_OBJECT && !has_bare(l)) {
		env->field_count = 0;
		buf_addz(why, "the fields must be in an object");
		return E_TYPE;
	}
	for (uint32_t i = 0; i < count; i++) {
		const struct field_spec *f = &l->fields[i];
		struct json_value v = find(f, container);

		if (!is_there(f, v)) {
			v = f->fallback;
			if (v.type == JSON_NONE && !f->optional) {
				buf_addf(why, "%s is missing", f->name);
				return E_TYPE;
			}
		} else if (field_check(f, v, scratch, why)) {
			return E_TYPE;
		}
		env->fields[i] = v;
	}
	return 0;
}

bool field_is_one(struct json_value v, char *const *any, uint32_t count, struct buf *scratch)
{
	size_t before = scratch->n;
	struct str text;
	bool found = false;

	if (v.type != JSON_STRING || json_text(v, scratch, &text))
		return false;
	for (uint32_t i = 0; i < count && !found; i++)
		found = str_is(text, any[i]);
	scratch->n = before;
	return found;
}
