/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile language (common/profile) on arbitrary text. The first byte chooses:
 *   T, J  a template (text, JSON) up to the first newline, then a JSON value that stands for every variable: what is rendered of a
 *         JSON template is JSON, of a text template UTF-8 without NUL, and after an error the output is as it was
 *   F     a JSON value for lists of fields of every type, and as a domain event of a small profile
 *   else  the whole input is a profile
 * options: -max_len=8192
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/utf8.h"
#include "common/profile/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct json_value value_of(struct str text)
{
	struct json_value v;

	if (json_parse(text, &v))
		must(json_parse(STR("{\"a\":\"x\\u0041\\\"\",\"b\":null,\"c\":[1]}"), &v) == 0);
	return v;
}

/* ── templates ── */

static void check_rendered(enum tmpl_mode mode, struct str out)
{
	struct buf text = BUF_INIT(4u << 20);
	struct json_value v;
	int err;

	if (mode == TMPL_TEXT) {
		must(utf8_valid(out) && (!out.n || !memchr(out.p, 0, out.n)));
		return;
	}
	buf_addc(&text, '[');
	buf_add(&text, out);
	buf_addc(&text, ']');
	err = json_parse(buf_str(&text), &v);
	must(err == 0 ||
	     err == E_DEPTH); /* a template and a value may be deep, each within the bound */
	buf_fini(&text);
}

static void render(const struct tmpl *t, const struct tmpl_env *env)
{
	struct buf out = BUF_INIT(1u << 20);
	struct str s;
	int err;

	buf_add(&out, STR("kept"));
	err = tmpl_render(t, env, &out);
	must(out.n >= 4 && !memcmp(out.p, "kept", 4));
	if (err)
		must(out.n == 4);
	else
		check_rendered(t->mode, str_make(out.p + 4, out.n - 4));
	buf_reset(&out);
	if (tmpl_render_slice(t, env, &out, &s) == 0)
		check_rendered(t->mode, s);
	buf_fini(&out);
}

static void one_template(enum tmpl_mode mode, struct str in)
{
	static const char *const names[] = { "a", "id", "c" };
	static const bool uuids[] = { false, true, false };
	const struct tmpl_scope scope = { names, uuids, 3, ~0u };
	struct buf why = BUF_INIT(100000);
	struct str text, rest;
	struct json_value v;
	struct tmpl_env env;
	struct tmpl t;

	(void)str_cut(in, '\n', &text, &rest);
	v = value_of(rest);
	env = (struct tmpl_env){ .fields = { v, v, v },
				 .field_count = 3,
				 .user = v,
				 .claims = v,
				 .auth = v,
				 .body = v,
				 .socket_id = STR("sid"),
				 .error_code = STR("CODE"),
				 .error_message = STR("a \"b\"\n") };
	env.args = v.type == JSON_ARRAY ? str_make(v.raw.p + 1, v.raw.n - 2) : v.raw;
	if (v.type == JSON_ARRAY && !json_count(v))
		env.args = STR_NONE;
	if (tmpl_compile(&t, mode, text, &scope, &why) == 0) {
		struct buf sample = BUF_INIT(1u << 20);

		tmpl_sample(&t, &sample);
		buf_fini(&sample);
		render(&t, &env);
		env.null_is_absent = true;
		render(&t, &env);
		tmpl_fini(&t);
	} else {
		must(why.n > 0 && !t.parts);
	}
	buf_fini(&why);
}

/* ── fields and domain events ── */

static const char small[] =
	"profile: small\n"
	"dialect: socketio\n"
	"auth: { token: none }\n"
	"failure: { ack: '' }\n"
	"namespaces:\n"
	"  - name: /\n"
	"    events:\n"
	"      - event: one\n"
	"        fields: [{ name: a, type: id, bare: true }]\n"
	"        do: [{ ack: '{a}' }]\n"
	"      - event: all\n"
	"        fields:\n"
	"          - { name: a, type: id, optional: true }\n"
	"          - { name: b, type: uuid, optional: true }\n"
	"          - { name: c, type: text, min: 1, max: 9, optional: true }\n"
	"          - { name: d, type: bool, default: 'true' }\n"
	"          - { name: e, type: integer, min: -5, max: 5, optional: true }\n"
	"          - { name: f, type: number, optional: true }\n"
	"          - { name: g, type: array, max: 3, optional: true }\n"
	"          - { name: h, type: any, paths: [a.b, c.d] }\n"
	"        do: [{ ack: '{d}' }]\n"
	"ingest:\n"
	"  events:\n"
	"    - type: t\n"
	"      fields: [{ name: b, type: uuid, optional: true }, { name: x, type: text, optional: "
	"true, paths: [a, c.d] }]\n"
	"      rooms: ['r:{x}', 's:{b}', 't:{body.e}']\n"
	"      args: ['{body.a.b}', '{\"b\": \"{b}\", \"x\": {x}}', '{body}']\n";

static void one_value(struct str in)
{
	static struct profile *p;
	struct json_value v = value_of(in);
	struct buf scratch = BUF_INIT(1u << 20), why = BUF_INIT(10000);
	struct ingest_mapped mapped;

	if (!p)
		must(profile_load_text("small.yaml", str_of(small), &why, &p) == 0);
	for (uint32_t i = 0; i < p->nsps[0].event_count; i++) {
		struct tmpl_env env = { 0 };

		buf_reset(&why);
		if (field_list_take(&p->nsps[0].event_list[i].fields, v, &env, &scratch, &why))
			must(why.n > 0);
	}
	buf_reset(&why);
	if (ingest_map(p, STR("t"), v, &scratch, &mapped, &why) == 0) {
		must(mapped.room_count > 0 && mapped.room_count <= INGEST_MAX_ROOMS);
		for (uint32_t i = 0; i < mapped.room_count; i++)
			check_rendered(TMPL_TEXT, mapped.rooms[i]);
		check_rendered(TMPL_JSON, mapped.args);
	} else {
		must(why.n > 0);
	}
	buf_fini(&scratch);
	buf_fini(&why);
}

static void one_profile(struct str in)
{
	struct buf errors = BUF_INIT(1u << 20);
	struct profile *p;

	if (profile_load_text("fuzz.yaml", in, &errors, &p))
		must(errors.n > 0 && !p);
	else
		must(p != NULL);
	profile_free(&p);
	buf_fini(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make((const char *)data, size);

	if (!in.n)
		return 0;
	if (in.p[0] == 'T' || in.p[0] == 'J')
		one_template(in.p[0] == 'T' ? TMPL_TEXT : TMPL_JSON, str_skip(in, 1));
	else if (in.p[0] == 'F')
		one_value(str_skip(in, 1));
	else
		one_profile(in);
	return 0;
}
