/* SPDX-License-Identifier: Apache-2.0 */
/* Every way a profile can be wrong that is looked for, with the line it is told at; and the shipped ones. */
#include "common/adapt/adapt_yaml.h"
#include "common/base/base_test.h"
#include "common/profile/profile.h"

/* Line 13 is the first of a row's own. */
#define HEAD \
	"profile: p\n" \
	"dialect: socketio\n" \
	"auth: { token: required, user_id: sub, user: '{\"id\": {claims.sub}, \"roles\": " \
	"{claims.roles|[]}}' }\n" \
	"failure: { ack: '{\"e\": {error.code}}' }\n" \
	"checks:\n" \
	"  - name: c\n" \
	"    args: [a]\n" \
	"    rules: [{ sql: 'SELECT 1 WHERE $1 = $2', params: ['{a}', '{user.id}'], none: " \
	"FORBIDDEN }]\n" \
	"    embedded: [{ deny: FORBIDDEN }]\n" \
	"namespaces:\n" \
	"  - name: /\n" \
	"    events:\n"
#define FIRST "      - { event: ok, do: [{ ack: '1' }] }\n"
#define EVENT(text) HEAD "      - event: e\n" text
#define DO(text) EVENT("        do:\n          - " text "\n")
#define FIELD(text) EVENT("        do: [{ ack: '1' }]\n        fields: [{ " text " }]\n")
#define CHECKS(text) \
	"profile: p\n" \
	"dialect: socketio\n" \
	"auth: { token: required, user_id: sub, user: '{\"id\": {claims.sub}}' }\n" \
	"failure: { ack: '1' }\n" \
	"namespaces: [{ name: / }]\n" \
	"checks:\n" \
	"  - name: c\n" \
	"    args: [a]\n" text
#define RULE(text) CHECKS("    rules:\n      - " text "\n    embedded: [{ deny: NO }]\n")
#define AUTH(text) \
	"profile: p\n" \
	"dialect: socketio\n" \
	"auth: " text "\n" \
	"failure: { ack: '1' }\n" \
	"namespaces: [{ name: / }]\n"
#define INGEST(text) \
	AUTH("{ token: none }") \
	"ingest:\n" \
	"  events:\n" \
	"    - type: t\n" text

static const struct {
	const char *text, *errors;
} rows[] = {
	/* the file */
	{ "", "x.yaml:1: found nothing, allowed: a document\n" },
	{ "profile: [\n", NULL },
	{ AUTH("{ token: none }") "presence: on\n",
	  "x.yaml:6: found key \"presence\", allowed: profile, dialect, port_env, recovery, "
	  "settings, auth, failure, checks, namespaces, "
	  "ingest\n" },
	{ "profile: P P\ndialect: socketio\nauth: { token: none }\nfailure: { ack: '' "
	  "}\nnamespaces: [{ name: / }]\n",
	  "x.yaml:1: profile: found \"P P\", allowed: small letters, digits, - and _, at most "
	  "64\n" },
	{ AUTH("{ token: none }") "recovery: sometimes\n",
	  "x.yaml:6: recovery: found \"sometimes\", allowed: true or false\n" },
	{ AUTH("{ token: none }") "settings:\n  port: 99999\n  profile: x\n",
	  "x.yaml:8: settings.profile: found in a profile, allowed: only in a config file\n"
	  "x.yaml:7: port: found \"99999\", allowed: whole number 0 to 65535\n" },
	{ AUTH("{ token: none }") "settings: { jwt_secret: x }\n", NULL },
	/* auth, failure */
	{ AUTH("{ token: none, user_id: sub }"), "x.yaml:3: auth.user_id: found it beside token: "
						 "none, allowed: only with token: required\n" },
	{ AUTH("{ token: required, user_id: sub }"),
	  "x.yaml:3: auth: found no user, allowed: token: required needs it\n" },
	{ AUTH("{ token: required, user_id: sub, user: '{user.id}' }"),
	  "x.yaml:3: auth.user: found {user.id}, allowed: {claims.…}\n" },
	{ AUTH("{ token: required, user_id: sub, user: '{\"a\":1},{\"b\":2}' }"),
	  "x.yaml:3: auth.user: found something else, allowed: one JSON object, such as {\"id\": "
	  "{claims.sub}}\n" },
	{ AUTH("{ token: required, user_id: sub, user: '{\"a\":' }"),
	  "x.yaml:3: auth.user: found {\"a\":, allowed: JSON, with variables in the place of "
	  "values or inside strings\n" },
	/* templates of events */
	{ DO("{ join: 'ticket:{ticketld}' }"),
	  "x.yaml:15: namespaces[0].events[0].do[0].join: found {ticketld}, allowed: {args.N}, "
	  "{user.…}, {socket.id}, {now}, {new.id}\n" },
	{ DO("{ join: '{user.id}' }"),
	  "x.yaml:15: namespaces[0].events[0].do[0].join: found \"{user.id}\", a name that could "
	  "be empty, allowed: fixed text beside it, "
	  "such as ticket:{ticketId}\n" },
	{ DO("{ leave: '' }"), "x.yaml:15: namespaces[0].events[0].do[0].leave: found \"\", a name "
			       "that could be empty, allowed: fixed text beside it, such as "
			       "ticket:{ticketId}\n" },
	{ DO("{ ack: '{\"u\": {user.nam}}' }"), "x.yaml:15: namespaces[0].events[0].do[0].ack: "
						"found user.nam, allowed: id, roles\n" },
	{ EVENT("        fields: [{ name: n, type: text, optional: true }]\n        do: [{ ack: "
		"'{n}' }]\n"),
	  "x.yaml:15: namespaces[0].events[0].do[0].ack: found {n}, which may be absent, allowed: "
	  "{n|DEFAULT}, or a default of the field\n" },
	{ EVENT("        fields: [{ name: n, type: text }]\n        member: '{n}'\n        do: [{ "
		"ack: '{n}' }]\n"),
	  "x.yaml:15: namespaces[0].events[0].member: found \"{n}\", a name that could be empty, "
	  "allowed: fixed text beside it, such as "
	  "ticket:{ticketId}\n" },
	/* actions */
	{ DO("{ join: a, leave: b }"),
	  "x.yaml:15: namespaces[0].events[0].do[0]: found 2 actions in one entry, allowed: one of "
	  "join, leave, ack, emit, relay, produce\n" },
	{ DO("{ args: '1' }"), "x.yaml:15: namespaces[0].events[0].do[0]: found 0 actions in one "
			       "entry, allowed: one of join, leave, ack, emit, relay, produce\n" },
	{ DO("{ join: a, rooms: [b], volatile: true, to: all, args: '1', unless_ack: true }"),
	  "x.yaml:15: namespaces[0].events[0].do[0].args: found it, allowed: only with emit and "
	  "relay\n"
	  "x.yaml:15: namespaces[0].events[0].do[0].rooms: found it, allowed: only with relay\n"
	  "x.yaml:15: namespaces[0].events[0].do[0].to: found it, allowed: only with relay\n"
	  "x.yaml:15: namespaces[0].events[0].do[0].volatile: found it, allowed: only with relay\n"
	  "x.yaml:15: namespaces[0].events[0].do[0].unless_ack: found it, allowed: only with "
	  "emit\n" },
	{ DO("{ relay: a }"), "x.yaml:15: namespaces[0].events[0].do[0]: found relay without "
			      "rooms, allowed: rooms: [\"ticket:{ticketId}\"]\n"
			      "x.yaml:15: namespaces[0].events[0].do[0]: found relay without to, "
			      "allowed: to: others, or to: all\n" },
	{ DO("{ relay: a, rooms: [r], to: friends }"),
	  "x.yaml:15: namespaces[0].events[0].do[0].to: found \"friends\", allowed: others, "
	  "all\n" },
	{ DO("{ emit: connect_error }"),
	  "x.yaml:15: namespaces[0].events[0].do[0].emit: found connect_error, allowed: any name "
	  "but those Socket.IO keeps for itself\n" },
	{ DO("{ emit: 'a b' }"), "x.yaml:15: namespaces[0].events[0].do[0].emit: found \"a b\", "
				 "allowed: 1 to 255 bytes without blanks\n" },
	{ HEAD FIRST "    connect: [{ ack: '1' }]\n",
	  "x.yaml:14: namespaces[0].connect[0].ack: found ack on connect, allowed: join, emit\n" },
	{ HEAD FIRST "    connect: [{ emit: e, args: '{args}' }]\n",
	  "x.yaml:14: namespaces[0].connect[0].args: found {args}, allowed: {user.…}, {socket.id}, "
	  "{auth.…}\n" },
	/* events, namespaces */
	{ HEAD FIRST FIRST,
	  "x.yaml:14: namespaces[0].events[1].event: found ok a second time, allowed: once\n" },
	{ HEAD FIRST "  - name: /\n",
	  "x.yaml:14: namespaces[1].name: found / a second time, allowed: once\n" },
	{ HEAD FIRST "  - name: custom\n",
	  "x.yaml:14: namespaces[1].name: found custom, allowed: / or /NAME without , and ?\n" },
	{ HEAD "      - { event: token:update, do: [{ ack: '1' }] }\n",
	  "x.yaml:13: namespaces[0].events[0].event: found token:update, allowed: any other name "
	  "(the gateway itself answers this one)\n" },
	{ HEAD "      - { event: e, do: [] }\n",
	  "x.yaml:13: namespaces[0].events[0].do: found a list of 0, allowed: 1 to 4294967295\n" },
	{ HEAD "      - { do: [{ ack: '1' }] }\n", "x.yaml:13: namespaces[0].events[0]: found no "
						   "key \"event\", allowed: it must be there\n" },
	/* checks in use */
	{ EVENT("        check: { name: d, args: [x] }\n        do: [{ ack: '1' }]\n"),
	  "x.yaml:14: namespaces[0].events[0].check.name: found d, allowed: c\n" },
	{ EVENT("        check: { name: c }\n        do: [{ ack: '1' }]\n"),
	  "x.yaml:14: namespaces[0].events[0].check: found 0 args, allowed: 1, as many as the "
	  "check has\n" },
	{ HEAD FIRST "    check: { name: c, args: ['1'] }\n",
	  "x.yaml:14: namespaces[0].check.name: found a check with arguments, allowed: one "
	  "without\n" },
	/* fields */
	{ FIELD("name: 1a, type: id"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].name: found \"1a\", allowed: a letter, "
	  "then letters, digits, _, - and $\n" },
	{ FIELD("name: user, type: id"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].name: found user, allowed: any other name "
	  "(this one is a variable of its own)\n" },
	{ FIELD("name: a, type: id }, { name: a, type: id"),
	  "x.yaml:15: namespaces[0].events[0].fields[1].name: found a a second time, allowed: "
	  "once\n" },
	{ FIELD("name: a, type: string"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].type: found \"string\", allowed: any, id, "
	  "uuid, text, bool, integer, number, object, "
	  "array\n" },
	{ FIELD("name: a, type: bool, min: 1"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].min: found it, allowed: only with type "
	  "text, integer or array\n" },
	{ FIELD("name: a, type: text, min: 5, max: 4"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].min: found 5, allowed: at most max (4)\n" },
	{ FIELD("name: a, type: text, min: -1"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].min: found -1, allowed: 0 and more\n" },
	{ FIELD("name: a, type: bool, values: [x]"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].values: found it, allowed: only with type "
	  "id or text\n" },
	{ FIELD("name: a, type: text, default: online"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].default: found online, allowed: JSON, a "
	  "text in quotes of its own: '\"online\"'\n" },
	{ FIELD("name: a, type: bool, default: '1'"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].default: found 1, allowed: what the field "
	  "allows: a must be true or false\n" },
	{ FIELD("name: a, type: bool, default: 'true', optional: true"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].optional: found it beside default, "
	  "allowed: one of them\n" },
	{ FIELD("name: a, type: object, bare: true"),
	  "x.yaml:15: namespaces[0].events[0].fields[0].bare: found it with a type that may be an "
	  "object itself, allowed: with any other "
	  "type\n" },
	{ FIELD("name: a, type: id, bare: true }, { name: b, type: id, bare: true"),
	  "x.yaml:15: namespaces[0].events[0].fields[1].bare: found it a second time, allowed: one "
	  "field\n" },
	/* checks */
	{ CHECKS("    rules: [{ allow: true }]\n  - name: c\n    rules: [{ allow: true }]\n"),
	  "x.yaml:10: checks[1].name: found c a second time, allowed: once\n" },
	{ CHECKS("    rules: [{ sql: SELECT 1, none: 'NO' }]\n"),
	  "x.yaml:7: checks[0]: found no embedded, allowed: rules for when there is no database, "
	  "as some rule has SQL\n" },
	{ CHECKS("    rules: [{ allow: true }]\n    embedded: [{ allow: true }]\n"),
	  "x.yaml:10: checks[0].embedded: found it beside rules without SQL, allowed: only where "
	  "rules need a database\n" },
	{ CHECKS("    rules: [{ sql: SELECT 1, none: 'NO' }]\n    embedded: [{ sql: SELECT 1, "
		 "none: 'NO' }]\n"),
	  "x.yaml:10: checks[0].embedded[0].sql: found it in embedded, allowed: allow and deny "
	  "(there is no database then)\n" },
	{ RULE("{ sql: 'SELECT $1 + $3', params: ['{a}'], none: NOT_FOUND }"),
	  "x.yaml:10: checks[0].rules[0].params: found 1, allowed: 3, as many as the SQL names "
	  "($1, $2 …)\n"
	  "x.yaml:10: checks[0].rules[0].sql: found no $2, allowed: every parameter up to $3\n" },
	{ RULE("{ sql: \"SELECT '$1' -- $2\\n\", params: ['{a}'], none: NOT_FOUND }"),
	  "x.yaml:10: checks[0].rules[0].params: found 1, allowed: 0, as many as the SQL names "
	  "($1, $2 …)\n" },
	{ RULE("{ sql: 'SELECT 1; DROP TABLE t', none: NOT_FOUND }"),
	  "x.yaml:10: checks[0].rules[0].sql: found several statements, allowed: one\n" },
	{ RULE("{ sql: SELECT $0, none: NOT_FOUND }"),
	  "x.yaml:10: checks[0].rules[0].sql: found a parameter out of range, allowed: $1 to "
	  "$64\n" },
	{ RULE("{ sql: SELECT 1 }"), "x.yaml:10: checks[0].rules[0]: found sql without none, "
				     "allowed: none: CODE, or none: next\n" },
	{ RULE("{ sql: SELECT 1, none: nobody }"),
	  "x.yaml:10: checks[0].rules[0].none: found \"nobody\", allowed: next, or a word in "
	  "capitals such as FORBIDDEN, NOT_FOUND, "
	  "UNAVAILABLE\n" },
	{ RULE("{ sql: SELECT 1, deny: 'NO', none: 'NO' }"),
	  "x.yaml:10: checks[0].rules[0]: found 2 of allow, deny and sql, allowed: one\n" },
	{ CHECKS("    rules:\n      - { allow: true, message: hm, params: [x] }\n      - { allow: "
		 "true }\n"),
	  "x.yaml:10: checks[0].rules[0].params: found it without sql, allowed: with sql\n"
	  "x.yaml:10: checks[0].rules[0].message: found it on a rule that never refuses, allowed: "
	  "with deny, or with sql and a code in none\n"
	  "x.yaml:11: checks[0].rules[1]: found a rule behind one that always decides, allowed: "
	  "none\n" },
	{ CHECKS("    rules: [{ allow: false }]\n"),
	  "x.yaml:9: checks[0].rules[0].allow: found false, allowed: true (or deny: CODE)\n" },
	{ CHECKS("    rules: [{ when: { user: role, any: ['{b}'] }, allow: true }]\n"),
	  "x.yaml:9: checks[0].rules[0].when.any[0]: found {b}, allowed: {a}, {user.…}\n"
	  "x.yaml:9: checks[0].rules[0].when.user: found user.role, allowed: id\n" },
	{ AUTH("{ token: none }") "checks: [{ name: c, rules: [{ when: { user: role, any: [x] }, "
				  "allow: true }] }]\n",
	  "x.yaml:6: checks[0].rules[0].when.user: found role, allowed: nothing, as auth.token is "
	  "none\n" },
	/* ingest */
	{ INGEST("      rooms: ['{body.r}']\n"),
	  "x.yaml:9: ingest.events[0].rooms[0]: found \"{body.r}\", a name that could be empty, "
	  "allowed: fixed text beside it, such as "
	  "ticket:{ticketId}\n" },
	{ INGEST("      rooms: ['r:{user.id}']\n"),
	  "x.yaml:9: ingest.events[0].rooms[0]: found {user.id}, allowed: {body.…}\n" },
	{ INGEST("      rooms: [r]\n      namespace: /no\n"),
	  "x.yaml:10: ingest.events[0].namespace: found /no, allowed: a namespace of this "
	  "profile\n" },
	{ INGEST("      rooms: [r]\n    - type: t\n      rooms: [r]\n"),
	  "x.yaml:10: ingest.events[1].type: found t a second time, allowed: once\n" },
	{ INGEST("      rooms: [r]\n      args: ['{body', '1']\n"),
	  "x.yaml:10: ingest.events[0].args[0]: found {body, allowed: {NAME}, {NAME.PATH} or "
	  "{NAME|JSON}\n" },
	{ INGEST("      rooms: [r]\n      emit: disconnect\n"),
	  "x.yaml:10: ingest.events[0].emit: found disconnect, allowed: any name but those "
	  "Socket.IO keeps for itself\n" },
	{ INGEST("      rooms: [r]\n  kafka: { topics: [{ topic: 'a b' }] }\n"),
	  "x.yaml:10: ingest.kafka.topics[0].topic: found \"a b\", allowed: 1 to 240 bytes "
	  "without blanks\n" },
	{ INGEST("      rooms: [r]\n  kafka: { topics: [{ topic: 'a*' }] }\n"),
	  "x.yaml:10: ingest.kafka.topics[0].topic: found a*, allowed: letters, digits, '.', '_' "
	  "and '-'\n" },
	{ INGEST("      rooms: [r]\n  kafka: { topics: [{ topic: a, type: no }] }\n"),
	  "x.yaml:10: ingest.kafka.topics[0].type: found no, allowed: a type of `events`\n" },
	{ INGEST("      rooms: []\n"),
	  "x.yaml:9: ingest.events[0].rooms: found a list of 0, allowed: 1 to 4294967295\n" },
};

static void test_load_when_wrong_then_line_and_key(void **state)
{
	size_t failures = 0;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf errors = BUF_INIT(100000);
		struct profile *p;
		int err = profile_load_text("x.yaml", str_of(rows[i].text), &errors, &p);

		if (err != E_CONFIG)
			print_error("row %zu: got %s for\n%s", i, err_name(err), rows[i].text);
		assert_int_equal(err, E_CONFIG);
		assert_null(p);
		assert_true(errors.n > 0);
		if (rows[i].errors && !str_is(buf_str(&errors), rows[i].errors)) {
			print_error("row %zu:\n%s got  " STR_FMT " want %s", i, rows[i].text,
				    STR_ARG(buf_str(&errors)), rows[i].errors);
			failures++;
		}
		buf_fini(&errors);
	}
	assert_int_equal(failures, 0);
}

static void test_load_when_many_errors_then_bounded(void **state)
{
	struct buf errors = BUF_INIT(100000), text = BUF_INIT(100000);
	struct profile *p;
	size_t lines = 0;

	(void)state;
	buf_addz(&text, HEAD);
	for (int i = 0; i < 80; i++)
		buf_addf(&text, "      - { event: 'e%d', do: [{ join: '{nobody}' }] }\n", i);
	assert_int_equal(profile_load_text("x.yaml", buf_str(&text), &errors, &p), E_CONFIG);
	for (size_t i = 0; i < errors.n; i++)
		lines += errors.p[i] == '\n';
	assert_int_equal(lines, 51);
	buf_fini(&errors);
	buf_fini(&text);
}

static struct profile *load(const char *name)
{
	struct buf errors = BUF_INIT(100000);
	struct profile *p;
	int err = profile_load(name, &errors, &p);

	assert_str(buf_str(&errors), STR_NONE);
	assert_int_equal(err, 0);
	buf_fini(&errors);
	return p;
}

static void test_load_of_shipped_profiles_then_good(void **state)
{
	static const char *const names[] = { "opsdesk", "conformance", "bench" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct profile *p = load(names[i]);

		assert_string_equal(p->name, names[i]);
		profile_free(&p);
		assert_null(p);
	}
}

/* The example of docs/profiles.md is a profile. */
static void test_load_of_the_documented_example_then_good(void **state)
{
	struct buf page = BUF_INIT(1 << 20), errors = BUF_INIT(100000);
	struct profile *p;
	const char *from, *to;

	(void)state;
	assert_int_equal(yaml_read("docs/profiles.md", &page, &errors), 0);
	buf_addc(&page, 0);
	from = strstr(page.p, "```yaml\n");
	assert_non_null(from);
	from += 8;
	to = strstr(from, "```");
	assert_non_null(to);
	if (profile_load_text("docs/profiles.md", str_make(from, (size_t)(to - from)), &errors, &p))
		fail_msg(STR_FMT, STR_ARG(buf_str(&errors)));
	assert_int_equal(p->nsp_count, 2);
	assert_int_equal(p->check_count, 2);
	profile_free(&p);
	buf_fini(&page);
	buf_fini(&errors);
}

static const struct profile_event *event_of(const struct profile *p, const char *nsp,
					    const char *name)
{
	const struct profile_nsp *n = profile_nsp_find(p, str_of(nsp));

	assert_non_null(n);
	return map_get((struct map *)&n->events, str_of(name));
}

static void test_opsdesk_then_compiled_as_written(void **state)
{
	struct profile *p = load("opsdesk");
	const struct profile_event *join = event_of(p, "/", "ticket.join"),
				   *typing = event_of(p, "/", "typing");
	const struct profile_check *check = profile_check_find(p, STR("ticket_access"));

	(void)state;
	assert_true(p->token_required);
	assert_true(p->recovery);
	assert_string_equal(p->user_id_path, "sub");
	assert_string_equal(p->port_env, "REALTIME_PORT");
	assert_int_equal(p->setting_count, 1);
	assert_string_equal(p->settings[0].key, "port");
	assert_string_equal(p->settings[0].value, "3002");
	assert_int_equal(p->nsps[0].action_count, 1);
	assert_int_equal(p->nsps[0].actions[0].kind, ACTION_JOIN);
	assert_ptr_equal(join->check, check);
	assert_false(join->has_member);
	assert_int_equal(join->action_count, 3);
	assert_int_equal(join->actions[1].kind, ACTION_ACK);
	assert_true(join->actions[2].unless_ack);
	assert_str(join->actions[2].event_json, STR("\"ticket.joined\""));
	assert_true(typing->has_member);
	assert_int_equal(typing->actions[0].kind, ACTION_RELAY);
	assert_false(typing->actions[0].to_all);
	assert_true(typing->actions[0].is_volatile);
	assert_int_equal(typing->fields.fields[1].fallback.type, JSON_TRUE);
	assert_true(check->needs_database);
	assert_int_equal(check->rule_count, 2);
	assert_int_equal(check->embedded_count, 3);
	assert_string_equal(check->rules[0].code, "NOT_FOUND");
	assert_string_equal(p->ingest.amqp_exchange, "opsdesk.events");
	assert_string_equal(p->ingest.amqp_queue, "opsdesk.realtime");
	assert_string_equal(p->ingest.kafka.group, "opsdesk.realtime");
	assert_int_equal(p->ingest.kafka.topic_count, 1);
	assert_string_equal(p->ingest.kafka.topics[0].name, "opsdesk.events");
	assert_null(p->ingest.kafka.topics[0].type);
	assert_string_equal(p->ingest.amqp_queue_type, "classic");
	assert_null(event_of(p, "/", "ticket.close"));
	assert_null(profile_nsp_find(p, STR("/no")));
	profile_free(&p);
}

static void test_conformance_then_compiled_as_written(void **state)
{
	struct profile *p = load("conformance");

	(void)state;
	assert_false(p->token_required);
	assert_false(p->recovery);
	assert_null(p->user_id_path);
	assert_int_equal(p->setting_count, 5);
	assert_non_null(event_of(p, "/custom", "message-with-ack"));
	assert_int_equal(event_of(p, "/", "room:send")->actions[0].args.parts[0].root, TMPL_ARG);
	assert_string_equal(p->ingest.amqp_exchange, "conformance.events");
	assert_string_equal(p->ingest.amqp_queue, "conformance.realtime");
	assert_string_equal(p->ingest.amqp_queue_type, "classic");
	assert_int_equal(p->ingest.event_count, 0);
	assert_int_equal(p->ingest.kafka.topic_count, 0);
	assert_null(map_get(&p->ingest.events, STR("x")));
	profile_free(&p);
}

static void test_check_without_sql_then_embedded_is_the_same(void **state)
{
	static const char text[] = CHECKS("    rules:\n      - { when: { user: id, any: ['{a}'] }, "
					  "allow: true }\n      - { deny: HIDDEN }\n");
	struct buf errors = BUF_INIT(1000);
	struct profile *p;

	(void)state;
	assert_int_equal(profile_load_text("x.yaml", str_of(text), &errors, &p), 0);
	assert_false(p->checks[0].needs_database);
	assert_ptr_equal(p->checks[0].embedded, p->checks[0].rules);
	assert_int_equal(p->checks[0].embedded_count, 2);
	assert_string_equal(p->checks[0].rules[1].message, "not allowed");
	assert_null(p->checks[0].rules[0].code);
	profile_free(&p);
	buf_fini(&errors);
}

static void test_load_when_not_there_then_places_named(void **state)
{
	static const char *const names[] = { "nosuch", "./nosuch.yaml", "../profiles/nosuch" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		struct buf errors = BUF_INIT(100000);
		struct profile *p;

		assert_int_equal(profile_load(names[i], &errors, &p), E_CONFIG);
		assert_null(p);
		assert_true(errors.n > 0 && errors.p[errors.n - 1] == '\n');
		buf_fini(&errors);
	}
	profile_free(&(struct profile *){ NULL });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load_when_wrong_then_line_and_key),
		cmocka_unit_test(test_load_when_many_errors_then_bounded),
		cmocka_unit_test(test_load_of_shipped_profiles_then_good),
		cmocka_unit_test(test_load_of_the_documented_example_then_good),
		cmocka_unit_test(test_opsdesk_then_compiled_as_written),
		cmocka_unit_test(test_conformance_then_compiled_as_written),
		cmocka_unit_test(test_check_without_sql_then_embedded_is_the_same),
		cmocka_unit_test(test_load_when_not_there_then_places_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
