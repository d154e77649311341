/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/compile.h"
#include "common/profile/field.h"

static bool is_field_name(const char *name)
{
	bool good = (name[0] >= 'a' && name[0] <= 'z') || (name[0] >= 'A' && name[0] <= 'Z');

	for (; good && *name; name++)
		good = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
		       (*name >= '0' && *name <= '9') || *name == '_' || *name == '-' ||
		       *name == '$';
	return good;
}

static void check_name(struct compile *c, const struct field_list *list, const char *name)
{
	static const char *const reserved[] = { "args", "user", "claims",  "socket",
						"auth", "body", "error",   "now",
						"new",  "once", "presence" };

	if (!is_field_name(name)) {
		compile_fail(c, "name",
			     "found \"%.80s\", allowed: a letter, then letters, digits, _, - and $",
			     name);
		return;
	}
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		if (str_is(str_of(name), reserved[i]))
			compile_fail(c, "name",
				     "found %s, allowed: any other name (this one is a variable of "
				     "its own)",
				     name);
	for (uint32_t i = 0; i < list->count; i++)
		if (str_is(str_of(name), list->fields[i].name))
			compile_fail(c, "name", "found %s a second time, allowed: once", name);
}

static bool has_range(enum field_type type)
{
	return type == FIELD_TEXT || type == FIELD_INTEGER || type == FIELD_ARRAY;
}

static void set_range(struct compile *c, const struct raw_field *raw, struct field_spec *f)
{
	f->min = f->type == FIELD_INTEGER ? INT64_MIN : 0;
	f->max = INT64_MAX;
	if ((raw->min || raw->max) && !has_range(f->type)) {
		compile_fail(c, raw->min ? "min" : "max",
			     "found it, allowed: only with type text, integer or array");
		return;
	}
	if (raw->min)
		f->min = *raw->min;
	if (raw->max)
		f->max = *raw->max;
	if (f->min > f->max)
		compile_fail(c, "min", "found %lld, allowed: at most max (%lld)", (long long)f->min,
			     (long long)f->max);
	else if (f->type != FIELD_INTEGER && f->min < 0)
		compile_fail(c, "min", "found %lld, allowed: 0 and more", (long long)f->min);
}

static char **dup_list(struct compile *c, char *const *texts, uint32_t count)
{
	char **list = compile_alloc(c, (count + 1) * sizeof(*list));

	for (uint32_t i = 0; i < count; i++)
		list[i] = compile_dup(c, texts[i]);
	return list;
}

static void set_lists(struct compile *c, const struct raw_field *raw, struct field_spec *f)
{
	if (raw->values_count && f->type != FIELD_ID && f->type != FIELD_TEXT)
		compile_fail(c, "values", "found it, allowed: only with type id or text");
	f->values = dup_list(c, raw->values, raw->values_count);
	f->value_count = raw->values_count;
	for (uint32_t i = 0; i < raw->paths_count; i++) {
		size_t mark = compile_enter(c, "paths", i);

		(void)compile_name(c, NULL, raw->paths[i], COMPILE_EVENT_BYTES);
		compile_leave(c, mark);
	}
	f->paths = dup_list(c, raw->paths, raw->paths_count);
	f->path_count = raw->paths_count;
}

void compile_fields_of_message(struct compile *c, struct field_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		struct field_spec *f = &list->fields[i];
		uint32_t count = f->path_count ? f->path_count : 1;
		char **paths = compile_alloc(c, 2 * count * sizeof(*paths));

		for (uint32_t at = 0; at < count; at++) {
			char *path = f->path_count ? f->paths[at] : f->name;
			char *below = compile_alloc(c, strlen(path) + sizeof("payload."));

			memcpy(below, "payload.", 8);
			memcpy(below + 8, path, strlen(path) + 1);
			paths[2 * at] = below;
			paths[2 * at + 1] = path;
		}
		f->paths = paths;
		f->path_count = 2 * count;
		if (f->bare)
			compile_fail(c, "fields", "found bare, allowed: with dialect: socketio");
	}
}

static void set_fallback(struct compile *c, const struct raw_field *raw, struct field_spec *f)
{
	struct buf scratch = BUF_INIT(TMPL_MAX_BYTES), why = BUF_INIT(1000);
	struct str text;

	if (!raw->fallback)
		return;
	if (f->optional)
		compile_fail(c, "optional", "found it beside default, allowed: one of them");
	text = compile_dup_str(c, str_of(raw->fallback));
	if (json_parse(text, &f->fallback)) {
		compile_fail(
			c, "default",
			"found %.80s, allowed: JSON, a text in quotes of its own: '\"online\"'",
			raw->fallback);
		f->fallback = (struct json_value){ JSON_NONE, STR_NONE };
	} else if (field_check(f, f->fallback, &scratch, &why)) {
		compile_fail(c, "default", "found %.80s, allowed: what the field allows: %.*s",
			     raw->fallback, STR_ARG(buf_str(&why)));
	}
	buf_fini(&scratch);
	buf_fini(&why);
}

static void set_bare(struct compile *c, const struct raw_field *raw, const struct field_list *list,
		     struct field_spec *f)
{
	f->bare = raw->bare;
	if (!f->bare)
		return;
	if (f->type == FIELD_ANY || f->type == FIELD_OBJECT)
		compile_fail(c, "bare",
			     "found it with a type that may be an object itself, allowed: with any "
			     "other type");
	for (uint32_t i = 0; i < list->count; i++)
		if (list->fields[i].bare)
			compile_fail(c, "bare", "found it a second time, allowed: one field");
}

void compile_fields(struct compile *c, const struct raw_field *raw, uint32_t count,
		    struct field_list *list)
{
	if (count > TMPL_MAX_FIELDS) {
		compile_fail(c, "fields", "found %u fields, allowed: %d", count, TMPL_MAX_FIELDS);
		count = TMPL_MAX_FIELDS;
	}
	list->fields = compile_alloc(c, count * sizeof(*list->fields));
	for (list->count = 0; list->count < count; list->count++) {
		const struct raw_field *from = &raw[list->count];
		struct field_spec *f = &list->fields[list->count];
		size_t mark = compile_enter(c, "fields", list->count);

		check_name(c, list, from->name);
		f->name = compile_dup(c, from->name);
		f->type = from->type;
		f->optional = from->optional;
		set_range(c, from, f);
		set_lists(c, from, f);
		set_fallback(c, from, f);
		set_bare(c, from, list, f);
		compile_leave(c, mark);
	}
}

void compile_scope(struct compile_scope *s, const struct field_list *list, unsigned roots)
{
	for (uint32_t i = 0; i < list->count; i++) {
		s->names[i] = list->fields[i].name;
		s->uuids[i] = list->fields[i].type == FIELD_UUID;
	}
	s->scope = (struct tmpl_scope){ s->names, s->uuids, list->count, roots };
}
