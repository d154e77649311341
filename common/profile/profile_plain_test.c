/* SPDX-License-Identifier: Apache-2.0 */
/* What profiles say of plain clients, of things that happen once, later, at a broker, and of users in rooms. */
#include "common/profile/profile.h"

#include <stdlib.h>

#include "common/base/base_test.h"

#define HEAD(dialect) \
	"profile: p\ndialect: " dialect "\n" \
	"auth: { token: required, user_id: sub, user: '{\"id\": {claims.sub}}' }\n"
#define EVENTS "namespaces:\n  - name: /\n    events:\n"
#define FIELDS "        fields: [{ name: a, type: id }, { name: k, type: text, optional: true }]\n"
#define PLAIN(rest) HEAD("plain") EVENTS "      - event: e\n" FIELDS rest
#define SIO(rest) HEAD("socketio") "failure: { ack: '1' }\n" EVENTS "      - event: e\n" FIELDS rest
#define AT "x.yaml:9: namespaces[0].events[0]"

static const struct {
	const char *text, *errors;
} wrong[] = {
	{ HEAD("plain") "failure: { ack: '1' }\nnamespaces: [{ name: / }]\n",
	  "x.yaml:4: failure: found it with dialect: plain, allowed: only where clients can ask "
	  "for an ack\n" },
	{ HEAD("socketio") "namespaces: [{ name: / }]\n",
	  "x.yaml:1: failure: found no failure, allowed: failure: { ack: '…' }, "
	  "what is answered to a refused event\n" },
	{ HEAD("plain") "namespaces:\n  - name: /a\n",
	  "x.yaml:5: namespaces[0].name: found /a, allowed: / (dialect: plain has one)\n" },
	{ PLAIN("        do: [{ ack: '1' }]\n"),
	  AT ".do[0].ack: found it with dialect: plain, allowed: emit\n" },
	{ PLAIN("        do: [{ emit: x, args: '1, 2' }]\n"),
	  AT ".do[0].args: found several values, allowed: one (dialect: plain)\n" },
	{ PLAIN("        do: [{ emit: x, unless_ack: true }]\n"),
	  AT ".do[0].unless_ack: found it with dialect: plain, allowed: in events of clients that "
	     "can ask for an ack\n" },
	{ PLAIN("        do: [{ emit: x, args: '{k}' }]\n"),
	  AT ".do[0].args: found {k}, which may be absent, allowed: {k|DEFAULT}, or a default of "
	     "the field\n" },
	{ PLAIN("        do: [{ emit: x, when_field: b }]\n"),
	  AT ".do[0].when_field: found b, allowed: one of `fields`\n" },
	{ PLAIN("        do: [{ emit: x, confirm: true, presence: true, broker: kafka }]\n"),
	  AT ".do[0].confirm: found it, allowed: only with relay\n" AT
	     ".do[0].presence: found it, allowed: only with join\n" AT
	     ".do[0].broker: found it, allowed: only with produce\n" },
	{ PLAIN("        do: [{ produce: t }]\n"),
	  AT ".do[0]: found produce without value, allowed: value: '{…}'\n" },
	{ PLAIN("        do: [{ produce: t, value: '{a}', broker: redis }]\n"),
	  AT ".do[0].broker: found \"redis\", allowed: kafka, rabbitmq\n" },
	{ PLAIN("        do: [{ emit: x, args: '{once.duplicate}' }]\n"),
	  AT ".do[0].args: found {once.duplicate}, allowed: {a}, {k}, {args}, {args.N}, {user.…}, "
	     "{socket.id}, {now}, {new.id}\n" },
	{ PLAIN("        later: { seconds: 0, event: e, key: x }\n        do: [{ emit: x }]\n"),
	  AT ".later.seconds: found 0, allowed: 1 to 3600\n" },
	{ PLAIN("        later: { seconds: 5, event: f, key: x }\n        do: [{ emit: x }]\n"),
	  AT ".later: found event f, allowed: one of this namespace\n" },
	{ PLAIN("        later: { seconds: 5, event: e, key: x, when: { field: b, any: [x] } }\n   "
		"     do: [{ emit: x }]\n"),
	  AT ".later.when.field: found b, allowed: one of `fields`\n" },
	{ HEAD("plain") EVENTS "      - event: resume\n        do: [{ emit: x }]\n",
	  "x.yaml:7: namespaces[0].events[0].event: found resume, allowed: any other name (the "
	  "gateway itself answers this one)\n" },
	{ SIO("        do: [{ join: r, presence: true, args: '1' }]\n"),
	  "x.yaml:10: namespaces[0].events[0].do[0].args: found it, allowed: only with emit and "
	  "relay\n" },
	{ HEAD("plain") "namespaces:\n  - name: /\n    presence: [{ emit: x }]\n",
	  "x.yaml:6: namespaces[0].presence[0].emit: found emit in presence, allowed: relay\n" },
	{ HEAD("plain") "namespaces:\n  - name: /\n    presence: [{ relay: x, args: '{user.id}', "
			"rooms: ['{presence.room}'], to: all }]\n",
	  "x.yaml:6: namespaces[0].presence[0].args: found {user.id}, allowed: {presence.room}, "
	  "{presence.user}, {presence.status}\n" },
};

static void test_load_when_wrong_then_line_and_key(void **state)
{
	size_t failures = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct buf errors = BUF_INIT(100000);
		struct profile *p;
		int err = profile_load_text("x.yaml", str_of(wrong[i].text), &errors, &p);

		if (err != E_CONFIG || !str_is(buf_str(&errors), wrong[i].errors)) {
			print_error("row %zu:\n%s got  " STR_FMT " want %s", i, wrong[i].text,
				    STR_ARG(buf_str(&errors)), wrong[i].errors);
			failures++;
		}
		profile_free(&p);
		buf_fini(&errors);
	}
	assert_int_equal(failures, 0);
}

static struct profile *load(const char *text)
{
	struct buf errors = BUF_INIT(10000);
	struct profile *p;

	if (profile_load_text("x.yaml", str_of(text), &errors, &p))
		fail_msg(STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	return p;
}

static const char everything[] = PLAIN(
	"        once: { key: '{k}' }\n"
	"        later: { seconds: 5, event: e, key: '{a}', args: '{\"a\": {a}}', when: { field: "
	"k, any: [x, y] } }\n"
	"        do:\n"
	"          - { join: '{a}', presence: true }\n"
	"          - { produce: t, topic_env: PLAIN_TEST_TOPIC, key: '{a}', value: '{new.id}' }\n"
	"          - { relay: r, args: '{k}', rooms: ['{a}'], to: all, confirm: true, "
	"unless_broker: kafka, when_field: k }\n"
	"ingest:\n  events:\n    - type: t\n      fields: [{ name: act, type: text }, { name: who, "
	"type: id, optional: true }]\n"
	"      rooms: [r]\n      remove: { user: '{who}', when: { field: act, any: [removed, "
	"banned] } }\n");

static void test_load_when_all_of_it_then_compiled(void **state)
{
	struct profile *p = load(everything);
	const struct profile_event *e = &p->nsps[0].event_list[0];

	(void)state;
	assert_int_equal(p->dialect, PROFILE_PLAIN);
	assert_true(e->has_once);
	assert_true(e->makes);
	assert_int_equal(e->later->delay_ms, 5000);
	assert_int_equal(e->later->when_field, 1);
	assert_int_equal(e->later->when_any_count, 2);
	assert_true(e->actions[0].presence);
	assert_int_equal(e->actions[0].when_field, -1);
	assert_int_equal(e->actions[1].kind, ACTION_PRODUCE);
	assert_int_equal(e->actions[1].when_broker, BROKER_KAFKA);
	assert_str(e->actions[1].topic, STR("t"));
	assert_true(e->actions[2].confirm);
	assert_int_equal(e->actions[2].unless_broker, BROKER_KAFKA);
	assert_int_equal(e->actions[2].when_field, 1);
	profile_free(&p);
}

static void test_load_when_topic_is_renamed_then_that(void **state)
{
	struct profile *p;

	(void)state;
	setenv("PLAIN_TEST_TOPIC", "other.topic", 1);
	p = load(everything);
	assert_str(p->nsps[0].event_list[0].actions[1].topic, STR("other.topic"));
	profile_free(&p);
	unsetenv("PLAIN_TEST_TOPIC");
}

/* Fields of a plain message: below payload, else at its top. */
static void test_fields_when_plain_then_payload_first(void **state)
{
	static const struct {
		const char *message, *want;
	} rows[] = {
		{ "{\"payload\":{\"a\":\"in\"},\"a\":\"top\"}", "\"in\"" },
		{ "{\"payload\":{\"b\":1},\"a\":\"top\"}", "\"top\"" },
		{ "{\"payload\":{\"a\":null},\"a\":\"top\"}", "\"top\"" },
		{ "{\"payload\":\"text\",\"a\":\"top\"}", "\"top\"" },
		{ "{\"a\":\"top\"}", "\"top\"" },
		{ "{\"payload\":{}}", NULL },
	};
	struct profile *p = load(everything);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(1000), why = BUF_INIT(1000);
		struct tmpl_env env = { 0 };
		struct json_value message;
		int err;

		assert_int_equal(json_parse(str_of(rows[i].message), &message), 0);
		err = field_list_take(&p->nsps[0].event_list[0].fields, message, &env, &scratch,
				      &why);
		assert_int_equal(err, rows[i].want ? 0 : E_TYPE);
		if (rows[i].want)
			assert_str(env.fields[0].raw, str_of(rows[i].want));
		else
			assert_str(buf_str(&why), STR("a is missing"));
		buf_fini(&scratch);
		buf_fini(&why);
	}
	profile_free(&p);
}

static void test_map_when_removed_then_user(void **state)
{
	static const struct {
		const char *body, *user;
	} rows[] = {
		{ "{\"act\":\"removed\",\"who\":\"u1\"}", "u1" },
		{ "{\"act\":\"ban\\u006eed\",\"who\":\"u1\"}", "u1" },
		{ "{\"act\":\"added\",\"who\":\"u1\"}", "" },
		{ "{\"act\":\"removed\"}", "" },
		{ "{\"act\":\"removed\",\"who\":null}", "" },
	};
	struct profile *p = load(everything);

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf scratch = BUF_INIT(1000), why = BUF_INIT(1000);
		struct ingest_mapped out;
		struct json_value body;

		assert_int_equal(json_parse(str_of(rows[i].body), &body), 0);
		assert_int_equal(ingest_map(p, STR("t"), body, &scratch, &out, &why), 0);
		assert_str(out.remove_user, str_of(rows[i].user));
		assert_str(out.args, str_of(rows[i].body));
		buf_fini(&scratch);
		buf_fini(&why);
	}
	profile_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_when_wrong_then_line_and_key),
		cmocka_unit_test(test_load_when_all_of_it_then_compiled),
		cmocka_unit_test(test_load_when_topic_is_renamed_then_that),
		cmocka_unit_test(test_fields_when_plain_then_payload_first),
		cmocka_unit_test(test_map_when_removed_then_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
