/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/tmpl.h"

#include "common/base/base_test.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define UUID_UPPER "8F14E45F-CEEA-467F-A0E6-1B2C3D4E5F60"
#define UUID_LOWER "8f14e45f-ceea-467f-a0e6-1b2c3d4e5f60"

static const char *const names[] = { "ticketId", "isTyping", "text", "gone", "deep" };
static const bool uuids[] = { true, false, false, false, false };
static const struct tmpl_scope everything = { names, uuids, 5, ~0u };

static struct json_value json(const char *text)
{
	struct json_value v = { JSON_NONE, STR_NONE };

	if (text)
		assert_int_equal(json_parse(str_of(text), &v), 0);
	return v;
}

static struct tmpl_env sample_env(void)
{
	return (struct tmpl_env){
		.fields = { json("\"" UUID_UPPER "\""), json("true"), json("\"a\\\"\\u00e9 b\""),
			    json(NULL),
			    json("{\"list\":[1,{\"x\":null}],\"n\":-1.5e3,\"id\":\"\\u0041B\"}") },
		.field_count = 5,
		.args = STR("{\"a\": 1},\"two\\n\",3"),
		.user = json("{\"id\":\"u-1\",\"roles\":[\"agent\"],\"name\":null,\"nul\":"
			     "\"a\\u0000b\"}"),
		.claims = json("{\"sub\":\"s\",\"realm_access\":{\"roles\":[\"r\"]}}"),
		.auth = json("{\"token\":\"t\"}"),
		.body = json("{\"payload\":{\"x\":1},\"data\":null}"),
		.socket_id = STR("sOcKeT"),
		.error_code = STR("FORBIDDEN"),
		.error_message = STR("say \"no\""),
		.now = STR("2026-01-31"),
		.new_id = STR("n-1"),
		.duplicate = true,
		.presence_room = STR("r"),
		.presence_user = STR("u"),
		.presence_status = STR("online"),
	};
}

static const struct {
	enum tmpl_mode mode;
	const char *text;
	int err; /* of rendering */
	const char *want;
} rows[] = {
	{ TMPL_TEXT, "", 0, "" },
	{ TMPL_TEXT, "announcements", 0, "announcements" },
	{ TMPL_TEXT, "ticket:{ticketId}", 0, "ticket:" UUID_LOWER },
	{ TMPL_TEXT, "{ticketId}:{user.id}:{socket.id}", 0, UUID_LOWER ":u-1:sOcKeT" },
	{ TMPL_TEXT, "{text}", 0, "a\"\xc3\xa9 b" },
	{ TMPL_TEXT, "{deep.id}/{deep.n}", 0, "AB/-1.5e3" },
	{ TMPL_TEXT, "{isTyping}{args.2}", 0, "true3" },
	{ TMPL_TEXT, "{args.1}", 0, "two\n" },
	{ TMPL_TEXT, "{args.0.a}", 0, "1" },
	{ TMPL_TEXT, "{1} { } {\"", 0, "{1} { } {\"" },
	{ TMPL_TEXT, "x{gone}", E_NOTFOUND, NULL },
	{ TMPL_TEXT, "x{gone|\"y\\u00e9\"}", 0, "xy\xc3\xa9" },
	{ TMPL_TEXT, "x{gone| 7 }", 0, "x7" },
	{ TMPL_TEXT, "x{user.name}", E_NOTFOUND, NULL }, /* null is absent in text */
	{ TMPL_TEXT, "x{user.nul}", E_TYPE, NULL },      /* no room has a NUL in its name */
	{ TMPL_TEXT, "{user.name|\"nobody\"}", 0, "nobody" },
	{ TMPL_TEXT, "{user.roles}", E_TYPE, NULL },
	{ TMPL_TEXT, "{args.9}", E_NOTFOUND, NULL },
	{ TMPL_TEXT, "{user.id.x}", E_NOTFOUND, NULL },
	{ TMPL_JSON, "", 0, "" },
	{ TMPL_JSON, " { \"ok\" : true , \"room\": \"ticket:{ticketId}\" } ", 0,
	  "{\"ok\":true,\"room\":\"ticket:" UUID_LOWER "\"}" },
	{ TMPL_JSON, "{\"id\": {ticketId}, \"t\": {isTyping}}", 0,
	  "{\"id\":\"" UUID_UPPER "\",\"t\":true}" },
	{ TMPL_JSON, "\"<{text}>\"", 0, "\"<a\\\"\\u00e9 b>\"" },
	{ TMPL_JSON, "\"{deep.n} {isTyping}\"", 0, "\"-1.5e3 true\"" },
	{ TMPL_JSON, "{deep}", 0, "{\"list\":[1,{\"x\":null}],\"n\":-1.5e3,\"id\":\"\\u0041B\"}" },
	{ TMPL_JSON, "{args}", 0, "{\"a\": 1},\"two\\n\",3" },
	{ TMPL_JSON, "[{args}]", 0, "[{\"a\": 1},\"two\\n\",3]" },
	{ TMPL_JSON, "{args.0}", 0, "{\"a\": 1}" },
	{ TMPL_JSON, "{args.2}, {args.0}", 0, "3,{\"a\": 1}" },
	{ TMPL_JSON, "{user.name}", 0, "null" },        /* null is a value in JSON … */
	{ TMPL_JSON, "{user.name|\"-\"}", 0, "\"-\"" }, /* … but for a default */
	{ TMPL_JSON, "{claims.realm_access.roles|[]}", 0, "[\"r\"]" },
	{ TMPL_JSON, "{claims.other|[]}", 0, "[]" },
	{ TMPL_JSON, "{claims.other|{\"a}\":[1, 2]}}", 0, "{\"a}\":[1, 2]}" },
	{ TMPL_JSON, "\"{claims.other|\"none\"}\"", 0, "\"none\"" },
	{ TMPL_JSON, "{auth|{}}", 0, "{\"token\":\"t\"}" },
	{ TMPL_JSON, "{\"code\":{error.code},\"message\":\"{error.message}!\"}", 0,
	  "{\"code\":\"FORBIDDEN\",\"message\":\"say \\\"no\\\"!\"}" },
	{ TMPL_JSON, "{gone}", E_NOTFOUND, NULL },
	{ TMPL_JSON, "\"{user.roles}\"", E_TYPE, NULL },
	{ TMPL_JSON, "{\"a\": 1, \"b\": {gone|}}", 0, "{\"a\":1}" },
	{ TMPL_JSON, "{\"a\": 1, \"b\": {user.name|}, \"c\": {isTyping|}}", 0,
	  "{\"a\":1,\"c\":true}" }, /* null counts as absent, too */
	{ TMPL_JSON, "{\"a\": {deep.n}, \"b\": {gone|}, \"c\": {gone|}}", 0, "{\"a\":-1.5e3}" },
	{ TMPL_JSON, "{\"at\": {now}, \"id\": {new.id}, \"twice\": {once.duplicate}}", 0,
	  "{\"at\":\"2026-01-31\",\"id\":\"n-1\",\"twice\":true}" },
	{ TMPL_TEXT, "{presence.room}/{presence.user}/{presence.status}", 0, "r/u/online" },
	{ TMPL_JSON, "\"\\\"{socket.id}\\\\\"", 0, "\"\\\"sOcKeT\\\\\"" },
	{ TMPL_JSON, "\"a  b\" , \"{\\n}\"", 0, "\"a  b\",\"{\\n}\"" },
};

static void test_render_of_every_kind_then_text(void **state)
{
	struct tmpl_env env = sample_env();

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf why = BUF_INIT(1000), out = BUF_INIT(1000);
		struct tmpl t;
		int err = tmpl_compile(&t, rows[i].mode, str_of(rows[i].text), &everything, &why);

		if (err)
			print_error("row %zu '%s': " STR_FMT "\n", i, rows[i].text,
				    STR_ARG(buf_str(&why)));
		assert_int_equal(err, 0);
		buf_add(&out, STR("before:"));
		err = tmpl_render(&t, &env, &out);
		if (err != rows[i].err)
			print_error("row %zu '%s': got %s\n", i, rows[i].text, err_name(err));
		assert_int_equal(err, rows[i].err);
		assert_str(str_make(out.p, 7), STR("before:"));
		assert_str(str_make(out.p + 7, out.n - 7),
			   str_of(rows[i].want)); /* after an error as it was */
		tmpl_fini(&t);
		buf_fini(&out);
		buf_fini(&why);
	}
}

static const struct {
	enum tmpl_mode mode;
	const char *text;
	int err;
	const char *why;
} wrong[] = {
	{ TMPL_TEXT, "{nam}", E_UNKNOWN, "found {nam}, allowed: {id}, {args.N}, {user.…}" },
	{ TMPL_TEXT, "x {id", E_SYNTAX, "found {id, allowed: {NAME}, {NAME.PATH} or {NAME|JSON}" },
	{ TMPL_TEXT, "{id x}", E_SYNTAX,
	  "found {id x}, allowed: {NAME}, {NAME.PATH} or {NAME|JSON}" },
	{ TMPL_TEXT, "{id.}", E_SYNTAX,
	  "found {id.}, allowed: {NAME}, {NAME.PATH} or {NAME|JSON}" },
	{ TMPL_TEXT, "{id|}", E_SYNTAX,
	  "found }, allowed: a default that is JSON, such as {name|null}" },
	{ TMPL_JSON, "{\"a\": {id|}}", E_SYNTAX,
	  "found }}, allowed: an empty default for the value of a member that is not its object's "
	  "first" },
	{ TMPL_JSON, "[1, {id|}]", E_SYNTAX,
	  "found }], allowed: an empty default for the value of a member that is not its object's "
	  "first" },
	{ TMPL_TEXT, "{id|1 2}", E_SYNTAX,
	  "found {id|1 2}, allowed: a closing } behind the default" },
	{ TMPL_TEXT, "{id|[]}", E_SYNTAX,
	  "found [], allowed: a text, number or boolean as default in text" },
	{ TMPL_TEXT, "{args}", E_SYNTAX,
	  "found {args}, allowed: {args.N} in text; {args} in the place of JSON values alone" },
	{ TMPL_TEXT, "{args.x}", E_SYNTAX,
	  "found {args.x}, allowed: {args} or {args.N} with N from 0 to 255" },
	{ TMPL_TEXT, "{args.256}", E_SYNTAX,
	  "found {args.256}, allowed: {args} or {args.N} with N from 0 to 255" },
	{ TMPL_TEXT, "{user}", E_SYNTAX,
	  "found {user}, allowed: a path below it in text, such as {user.id}" },
	{ TMPL_TEXT, "{claims.sub}", E_UNKNOWN,
	  "found {claims.sub}, allowed: {id}, {args.N}, {user.…}" },
	{ TMPL_TEXT, "{error.code}", E_UNKNOWN,
	  "found {error.code}, allowed: {id}, {args.N}, {user.…}" },
	{ TMPL_TEXT, "\xff", E_SYNTAX, "found bytes that are no text, allowed: UTF-8 without NUL" },
	{ TMPL_JSON, "{\"a\": {nam}}", E_UNKNOWN,
	  "found {nam}, allowed: {id}, {args}, {args.N}, {user.…}" },
	{ TMPL_JSON, "{\"a\": 1", E_SYNTAX,
	  "found {\"a\": 1, allowed: JSON, with variables in the place of values or inside "
	  "strings" },
	{ TMPL_JSON, "1 2", E_SYNTAX,
	  "found 1 2, allowed: JSON, with variables in the place of values or inside strings" },
	{ TMPL_JSON, "1{id}", E_SYNTAX,
	  "found 1{id}, allowed: JSON, with variables in the place of values or inside strings" },
	{ TMPL_JSON, "{id} {id}", E_SYNTAX,
	  "found {id} {id}, allowed: JSON, with variables in the place of values or inside "
	  "strings" },
	{ TMPL_JSON, "{ {id}: 1}", E_SYNTAX,
	  "found { {id}: 1}, allowed: JSON, with variables in the place of values or inside "
	  "strings" },
	{ TMPL_JSON, "\"\\u12{id}\"", E_SYNTAX,
	  "found \"\\u12{id}\", allowed: JSON, with variables in the place of values or inside "
	  "strings" },
	{ TMPL_JSON, "\"{args}\"", E_SYNTAX,
	  "found {args}, allowed: {args.N} in text; {args} in the place of JSON values alone" },
	{ TMPL_JSON, "1, {args}", E_SYNTAX,
	  "found 1, {args}, allowed: {args} as all there is, or in brackets: [{args}] (it may be "
	  "empty)" },
	{ TMPL_JSON, "{\"a\": {args}}", E_SYNTAX,
	  "found {\"a\": {args}}, allowed: JSON, with variables in the place of values or inside "
	  "strings" },
	{ TMPL_JSON, "true,", E_SYNTAX,
	  "found true,, allowed: JSON, with variables in the place of values or inside strings" },
};

static void test_compile_when_wrong_then_reason(void **state)
{
	static const char *const one[] = { "id" };
	static const struct tmpl_scope scope = {
		one, NULL, 1, 1u << TMPL_USER | 1u << TMPL_ARGS | 1u << TMPL_ARG
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct buf why = BUF_INIT(1000);
		struct tmpl t;
		int err = tmpl_compile(&t, wrong[i].mode, str_of(wrong[i].text), &scope, &why);

		assert_str(buf_str(&why), str_of(wrong[i].why));
		assert_int_equal(err, wrong[i].err);
		assert_null(t.parts);
		buf_fini(&why);
	}
}

static void test_compile_when_nothing_allowed_then_says_so(void **state)
{
	static const struct tmpl_scope nothing = { 0 };
	struct buf why = BUF_INIT(1000);
	struct tmpl t;

	(void)state;
	assert_int_equal(tmpl_compile(&t, TMPL_TEXT, STR("{id}"), &nothing, &why), E_UNKNOWN);
	assert_str(buf_str(&why), STR("found {id}, allowed: no variables here"));
	buf_fini(&why);
}

static void test_render_slice_when_one_variable_then_no_copy(void **state)
{
	struct tmpl_env env = sample_env();
	struct buf why = BUF_INIT(1000), out = BUF_INIT(1000);
	struct tmpl t;
	struct str s;

	(void)state;
	assert_int_equal(tmpl_compile(&t, TMPL_JSON, STR("{body.payload}"), &everything, &why), 0);
	assert_int_equal(tmpl_render_slice(&t, &env, &out, &s), 0);
	assert_str(s, STR("{\"x\":1}"));
	assert_int_equal(out.n, 0);
	tmpl_fini(&t);
	assert_int_equal(tmpl_compile(&t, TMPL_JSON, STR("{body.data}"), &everything, &why), 0);
	assert_int_equal(tmpl_render_slice(&t, &env, &out, &s), 0);
	assert_str(s, STR("null"));
	env.null_is_absent = true;
	assert_int_equal(tmpl_render_slice(&t, &env, &out, &s), E_NOTFOUND);
	tmpl_fini(&t);
	assert_int_equal(tmpl_compile(&t, TMPL_JSON, STR("[{body.payload}]"), &everything, &why),
			 0);
	assert_int_equal(tmpl_render_slice(&t, &env, &out, &s), 0);
	assert_str(s, STR("[{\"x\":1}]"));
	tmpl_fini(&t);
	buf_fini(&out);
	buf_fini(&why);
}

static void test_render_when_out_is_full_then_toobig(void **state)
{
	struct tmpl_env env = sample_env();
	struct buf why = BUF_INIT(1000), out = BUF_INIT(20);
	struct tmpl t;

	(void)state;
	assert_int_equal(tmpl_compile(&t, TMPL_TEXT, STR("ticket:{ticketId}"), &everything, &why),
			 0);
	assert_int_equal(tmpl_render(&t, &env, &out), E_TOOBIG);
	tmpl_fini(&t);
	buf_fini(&out);
	buf_fini(&why);
}

static void test_compile_when_memory_fails_then_nomem(void **state)
{
	struct buf why = BUF_INIT(1000);
	struct tmpl t;
	int err = E_NOMEM;

	(void)state;
	for (uint64_t n = 1; err && n < 20; n++) {
		mem_fail_at(n);
		err = tmpl_compile(&t, TMPL_JSON, STR("{\"a\":{ticketId}}"), &everything, &why);
		assert_true(err == 0 || err == E_NOMEM);
	}
	mem_fail_at(0);
	assert_int_equal(err, 0);
	tmpl_fini(&t);
	buf_fini(&why);
}

/* Not a limit that is checked: figures for people, printed with the test. */
static void test_render_costs_printed(void **state)
{
	static const struct {
		const char *what;
		enum tmpl_mode mode;
		const char *text;
	} costs[] = {
		{ "room", TMPL_TEXT, "ticket:{ticketId}" },
		{ "room of the user", TMPL_TEXT, "user:{user.id}" },
		{ "event", TMPL_JSON,
		  "{\"ticketId\": {ticketId}, \"userId\": {user.id}, \"isTyping\": {isTyping}}" },
		{ "first argument", TMPL_JSON, "{args.0}" },
	};
	struct tmpl_env env = sample_env();
	struct buf why = BUF_INIT(1000), out = BUF_INIT(1000);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(costs); i++) {
		const unsigned rounds = 200000;
		struct tmpl t;
		uint64_t start;

		assert_int_equal(
			tmpl_compile(&t, costs[i].mode, str_of(costs[i].text), &everything, &why),
			0);
		start = clock_exact_ns();
		for (unsigned r = 0; r < rounds; r++) {
			buf_reset(&out);
			assert_int_equal(tmpl_render(&t, &env, &out), 0);
		}
		print_message("render %s: %llu ns\n", costs[i].what,
			      (unsigned long long)((clock_exact_ns() - start) / rounds));
		tmpl_fini(&t);
	}
	buf_fini(&out);
	buf_fini(&why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_render_of_every_kind_then_text),
		cmocka_unit_test(test_compile_when_wrong_then_reason),
		cmocka_unit_test(test_compile_when_nothing_allowed_then_says_so),
		cmocka_unit_test(test_render_slice_when_one_variable_then_no_copy),
		cmocka_unit_test(test_render_when_out_is_full_then_toobig),
		cmocka_unit_test(test_compile_when_memory_fails_then_nomem),
		cmocka_unit_test(test_render_costs_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
