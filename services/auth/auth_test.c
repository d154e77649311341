/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole process between its two ends: questions are put in by hand.
 */
#include "services/auth/auth_ends_test.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/svc/svc_process.h"

#define SECRET "a-secret-of-the-tests"
#define NOW_S 1790000000

static const char profile_text[] =
	"profile: test\n"
	"dialect: socketio\n"
	"auth:\n"
	"  token: required\n"
	"  user_id: sub\n"
	"  user: '{\"id\": {claims.sub}, \"roles\": {claims.roles|[]}, \"team\": "
	"{claims.team|null}}'\n"
	"failure:\n"
	"  ack: '{\"ok\": false}'\n"
	"checks:\n"
	"  - name: thing_access\n"
	"    args: [thing]\n"
	"    rules:\n"
	"      - when: { user: roles, any: [admin] }\n"
	"        allow: true\n"
	"      - when: { user: roles, any: [agent] }\n"
	"        sql: SELECT 1 FROM things WHERE id = $1\n"
	"        params: ['{thing}']\n"
	"        none: NOT_FOUND\n"
	"        message: no such thing\n"
	"      - sql: SELECT 1 FROM shares WHERE thing = $1 AND team = $2\n"
	"        params: ['{thing}', 'team-{user.team|\"none\"}']\n"
	"        none: next\n"
	"      - sql: SELECT 1 FROM things WHERE id = $1 AND owner = $2\n"
	"        params: ['{thing}', '{user.id}']\n"
	"        none: FORBIDDEN\n"
	"        message: not yours\n"
	"    embedded:\n"
	"      - when: { user: roles, any: [admin, agent, 'thing:{thing}'] }\n"
	"        allow: true\n"
	"      - deny: FORBIDDEN\n"
	"        message: not yours either\n"
	"  - name: staff\n"
	"    args: []\n"
	"    rules:\n"
	"      - when: { user: team, any: [staff] }\n"
	"        allow: true\n"
	"namespaces:\n"
	"  - name: /\n"
	"    events:\n"
	"      - event: thing.join\n"
	"        fields:\n"
	"          - { name: thing, type: id }\n"
	"        check: { name: thing_access, args: ['{thing}'] }\n"
	"        do:\n"
	"          - join: 'thing:{thing}'\n"
	"      - event: staff.join\n"
	"        check: { name: staff, args: [] }\n"
	"        do:\n"
	"          - join: 'staff'\n";

static const char open_profile[] = "profile: open\n"
				   "dialect: socketio\n"
				   "auth:\n"
				   "  token: none\n"
				   "failure:\n"
				   "  ack: '{\"ok\": false}'\n"
				   "namespaces:\n"
				   "  - name: /\n"
				   "    events:\n"
				   "      - event: hello\n"
				   "        do:\n"
				   "          - ack: '{\"ok\": true}'\n";

/* ── the process ── */

static struct svc_process process;
static struct auth auth;
static uint64_t requests;
static char logged[8192];

static void keep_line(struct str text, void *ctx)
{
	size_t n = strlen(logged);

	(void)ctx;
	if (n + text.n + 1 < sizeof(logged)) {
		memcpy(logged + n, text.p, text.n);
		logged[n + text.n] = 0;
	}
}

static int setup(void **state)
{
	(void)state;
	memset(&process, 0, sizeof(process));
	memset(&auth, 0, sizeof(auth));
	memset(replies, 0, sizeof(replies));
	query_count = pg_refuses = 0;
	pg_opened = false;
	requests = 0;
	*logged = 0;
	log_capture(keep_line, NULL);
	log_threshold = LOG_DEBUG;
	clock_fake(1000, (uint64_t)NOW_S * 1000);
	conf_init(&process.svc.conf);
	free(process.svc.conf.jwt_secret);
	process.svc.conf.jwt_secret = strdup(SECRET);
	return 0;
}

static void set_database(const char *url)
{
	free(process.svc.conf.database_url);
	process.svc.conf.database_url = strdup(url);
}

static int start_with(const char *text)
{
	struct buf errors = BUF_INIT(1 << 16);

	if (profile_load_text("test.yaml", str_of(text), &errors, &process.svc.profile))
		fail_msg(STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	return auth_start(&process.svc, &auth);
}

static void start(const char *database_url)
{
	set_database(database_url);
	assert_int_equal(start_with(profile_text), 0);
}

static int teardown(void **state)
{
	(void)state;
	auth_stop(&process.svc, &auth);
	conf_fini(&process.svc.conf);
	profile_free(&process.svc.profile);
	log_capture(NULL, NULL);
	log_threshold = LOG_INFO;
	clock_fake(0, 0);
	assert_null(strstr(logged, SECRET));
	assert_null(strstr(logged, "eyJ"));
	return 0;
}

/* Through the wire and back, as it would come. */
static struct reply *put(enum wire_id id, const void *message)
{
	struct bus_question q = { .request = ++requests };
	struct blob *body = wire_pack(id, message);
	union wire_any any;
	enum wire_id got;

	assert_non_null(body);
	assert_int_equal(wire_unpack(blob_str(body), &got, &any), 0);
	question_fn(question_ctx, &q, got, &any);
	memset(body->data, '?', body->n); /* what was BORROWED is gone */
	blob_unref(&body);
	return &replies[q.request];
}

static struct reply *allow(const char *check, const char *user, const char *arg)
{
	struct str items[1] = { str_of(arg) };
	struct wire_allow m = { .check = str_of(check),
				.user_id = STR("u1"),
				.user = str_of(user),
				.args = { arg ? 1 : 0, items, STR_NONE } };

	return put(WIRE_ALLOW, &m);
}

static struct reply *verify_as(const char *claims, const char *user_id)
{
	struct wire_verify m = { .nsp = STR("/"), .user_id = str_of(user_id) };
	struct reply *r;
	char *token = NULL;

	if (*claims)
		assert_int_equal(adapt_jwt_sign(SECRET, str_of(claims), &token), 0);
	m.token = str_of(token);
	r = put(WIRE_VERIFY, &m);
	free(token);
	assert_int_equal(r->count, 1);
	return r;
}

#define ADMIN "{\"id\":\"u1\",\"roles\":[\"admin\"]}"
#define AGENT "{\"id\":\"u1\",\"roles\":[\"agent\"]}"
#define OTHER "{\"id\":\"u1\",\"roles\":[],\"team\":\"red\"}"
#define EXP ",\"exp\":1790003600"

static void test_verify_when_token_varies_then_user_or_code(void **state)
{
	static const struct {
		const char *claims, *user_id, *code, *user;
	} rows[] = {
		{ "{\"sub\":\"u1\"" EXP "}", "", "", "{\"id\":\"u1\",\"roles\":[],\"team\":null}" },
		{ "{\"sub\":\"u1\",\"roles\":[\"a\",\"b\"],\"team\":1.50" EXP "}", "", "",
		  "{\"id\":\"u1\",\"roles\":[\"a\",\"b\"],\"team\":1.5}" },
		{ "{\"sub\":\"u1\"" EXP "}", "u1", "",
		  "{\"id\":\"u1\",\"roles\":[],\"team\":null}" },
		{ "{\"sub\":\"u1\"" EXP "}", "u2", "AUTH_TOKEN_INVALID", "" },
		{ "{\"sub\":\"u 1\"" EXP "}", "", "AUTH_TOKEN_INVALID", "" },
		{ "{\"sub\":\"u1\",\"exp\":1789990000}", "", "AUTH_TOKEN_EXPIRED", "" },
		{ "{\"sub\":\"u1\",\"exp\":1789990000}", "u2", "AUTH_TOKEN_EXPIRED", "" },
		{ "{\"sub\":\"u1\"}", "", "AUTH_TOKEN_INVALID", "" },
		{ "", "", "AUTH_TOKEN_MISSING", "" },
	};

	(void)state;
	start("");
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct reply *r = verify_as(rows[i].claims, rows[i].user_id);

		assert_int_equal(r->id, WIRE_VERIFIED);
		assert_string_equal(r->code, rows[i].code);
		assert_string_equal(r->user, rows[i].user);
		assert_string_equal(r->user_id, *rows[i].code ? "" : "u1");
		assert_int_equal(r->expires_ms, *rows[i].code ? 0 : 1790003600000);
	}
}

static void test_verify_when_no_token_is_asked_for_then_anonymous(void **state)
{
	struct wire_verify m = { .token = STR("whatever"), .nsp = STR("/") };
	struct reply *r;

	(void)state;
	*process.svc.conf.jwt_secret = 0;
	assert_int_equal(start_with(open_profile), 0);
	r = put(WIRE_VERIFY, &m);
	assert_string_equal(r->code, "");
	assert_string_equal(r->user_id, "");
	assert_string_equal(r->user, "{}");
	assert_int_equal(r->expires_ms, 0);
}

static void test_start_when_configuration_is_wrong_then_it_says_what_to_do(void **state)
{
	static const struct {
		const char *mode, *secret, *database, *says;
	} rows[] = {
		{ "local", "", "", "set JWT_SECRET (or JWT_DEV)" },
		{ "keycloak", SECRET, "", "set AUTH_MODE=local" },
		{ "local", SECRET, "bad", "DATABASE_URL: found ***, allowed: postgres://" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		*logged = 0;
		free(process.svc.conf.auth_mode);
		process.svc.conf.auth_mode = strdup(rows[i].mode);
		free(process.svc.conf.jwt_secret);
		process.svc.conf.jwt_secret = strdup(rows[i].secret);
		set_database(rows[i].database);
		assert_int_equal(start_with(profile_text), E_CONFIG);
		if (!strstr(logged, rows[i].says))
			fail_msg("got: %s", logged);
		auth_stop(&process.svc, &auth);
		profile_free(&process.svc.profile);
	}
}

static void expect(const struct reply *r, const char *code, const char *message)
{
	assert_int_equal(r->count, 1);
	assert_int_equal(r->id, WIRE_ALLOWED);
	assert_string_equal(r->code, code);
	if (message)
		assert_string_equal(r->message, message);
}

static void test_allow_when_embedded_then_its_rules_decide(void **state)
{
	char reason[SVC_REASON_BYTES];

	(void)state;
	start("");
	assert_false(pg_opened);
	assert_true(auth_database_ready(&auth, reason));
	assert_non_null(strstr(logged, "embedded rules"));
	expect(allow("thing_access", ADMIN, "7"), "", "");
	expect(allow("thing_access", OTHER, "7"), "FORBIDDEN", "not yours either");
	expect(allow("thing_access", "{\"roles\":[\"x\",\"thing:7\"]}", "7"), "", NULL);
	expect(allow("thing_access", "{\"roles\":[\"x\",\"thing:7\"]}", "8"), "FORBIDDEN", NULL);
	expect(allow("thing_access", "{\"roles\":\"agent\"}", "8"), "", NULL);
	expect(allow("thing_access", "{\"roles\":{\"agent\":\"agent\"}}", "8"), "FORBIDDEN", NULL);
	expect(allow("thing_access", "{\"roles\":[[\"agent\"],7,null]}", "8"), "FORBIDDEN", NULL);
	expect(allow("thing_access", "{}", "8"), "FORBIDDEN", NULL);
	expect(allow("thing_access", "", "8"), "FORBIDDEN", NULL);
	expect(allow("staff", "{\"team\":\"staff\"}", NULL), "", NULL);
	expect(allow("staff", "{\"team\":\"staffs\"}", NULL), "FORBIDDEN", NULL);
	assert_int_equal(query_count, 0);
}

static void test_allow_when_the_question_is_odd_then_unavailable(void **state)
{
	(void)state;
	start("postgres://x");
	expect(allow("no_such_check", ADMIN, "7"), "UNAVAILABLE", NULL);
	expect(allow("thing_access", ADMIN, NULL), "UNAVAILABLE", NULL);
	expect(allow("staff", ADMIN, "7"), "UNAVAILABLE", NULL);
	expect(allow("thing_access", "[]", "7"), "UNAVAILABLE", NULL);
	expect(allow("thing_access", "{\"roles\":[\"admin\"]", "7"), "UNAVAILABLE", NULL);
	assert_int_equal(query_count, 0);
}

static void test_allow_when_sql_then_rows_decide(void **state)
{
	struct reply *r;

	(void)state;
	start("postgres://x");
	expect(allow("thing_access", ADMIN, "7"), "", NULL);
	assert_int_equal(query_count, 0);

	r = allow("thing_access", AGENT, "it's \"7\"\n");
	assert_int_equal(r->count, 0);
	assert_int_equal(query_count, 1);
	assert_string_equal(queries[0].sql, "SELECT 1 FROM things WHERE id = $1");
	assert_string_equal(queries[0].params[0], "it's \"7\"\n");
	answer_query(0, 0, 1);
	expect(r, "", "");

	r = allow("thing_access", AGENT, "8");
	answer_query(1, 0, 0);
	expect(r, "NOT_FOUND", "no such thing");
}

static void test_allow_when_no_row_and_next_then_the_rule_after_it(void **state)
{
	struct reply *r;

	(void)state;
	start("postgres://x");
	r = allow("thing_access", OTHER, "7");
	assert_string_equal(queries[0].params[0], "7");
	assert_string_equal(queries[0].params[1], "team-red");
	answer_query(0, 0, 0);
	assert_int_equal(r->count, 0);
	assert_int_equal(query_count, 2);
	assert_string_equal(queries[1].sql, "SELECT 1 FROM things WHERE id = $1 AND owner = $2");
	assert_string_equal(queries[1].params[1], "u1");
	answer_query(1, 0, 0);
	expect(r, "FORBIDDEN", "not yours");

	r = allow("thing_access", "{\"id\":\"u2\"}", "7");
	assert_string_equal(queries[2].params[1], "team-none");
	answer_query(2, 0, 3);
	expect(r, "", NULL);

	r = allow("thing_access", "{\"team\":\"red\"}",
		  "7"); /* no id: the last rule has no parameter to ask with */
	answer_query(3, 0, 0);
	expect(r, "FORBIDDEN", NULL);
	assert_int_equal(query_count, 4);
}

static void test_allow_when_asked_again_then_remembered_for_a_while(void **state)
{
	struct reply *r;

	(void)state;
	start("postgres://x");
	allow("thing_access", AGENT, "7");
	answer_query(0, 0, 1);
	expect(allow("thing_access", AGENT, "7"), "", NULL);
	r = allow("thing_access", AGENT, "8");
	answer_query(1, 0, 0);
	expect(r, "NOT_FOUND", NULL);
	expect(allow("thing_access", AGENT, "8"), "NOT_FOUND", "no such thing");
	assert_int_equal(query_count, 2);
	clock_fake(1000 + 1000, 1); /* auth_cache_deny_ms */
	allow("thing_access", AGENT, "8");
	assert_int_equal(query_count, 3);
	expect(allow("thing_access", AGENT, "7"), "", NULL);
	clock_fake(1000 + 5000, 1); /* auth_cache_allow_ms */
	allow("thing_access", AGENT, "7");
	assert_int_equal(query_count, 4);
	allow("thing_access", "{\"id\":\"u1\",\"roles\":[\"agent\"] }",
	      "7"); /* another user text, another question */
	assert_int_equal(query_count, 5);
}

static void test_allow_when_the_same_is_under_way_then_one_query_for_all(void **state)
{
	struct reply *r[50], *other;

	(void)state;
	start("postgres://x");
	for (int i = 0; i < 50; i++)
		r[i] = allow("thing_access", AGENT, "7");
	other = allow("thing_access", AGENT, "77");
	assert_int_equal(query_count, 2);
	answer_query(0, 0, 1);
	for (int i = 0; i < 50; i++)
		expect(r[i], "", NULL);
	assert_int_equal(other->count, 0);
	answer_query(1, 0, 0);
	expect(other, "NOT_FOUND", NULL);
	assert_int_equal(auth.waiters.live, 0);
}

static void test_allow_when_database_is_down_then_unavailable_and_not_remembered(void **state)
{
	char reason[SVC_REASON_BYTES];
	struct reply *r;

	(void)state;
	start("postgres://x");
	static const int errors[] = { E_UNAVAILABLE, E_FAIL, E_TIMEOUT };
	for (size_t i = 0; i < COUNT_OF(errors); i++) {
		r = allow("thing_access", AGENT, "7");
		answer_query((int)i, errors[i], 0);
		expect(r, "UNAVAILABLE", NULL);
	}
	pg_refuses = E_UNAVAILABLE;
	assert_false(auth_database_ready(&auth, reason));
	expect(allow("thing_access", AGENT, "7"), "UNAVAILABLE", NULL);
	pg_refuses = E_FULL;
	expect(allow("thing_access", AGENT, "7"), "UNAVAILABLE", NULL);
	pg_refuses = E_SYNTAX; /* a NUL in a parameter */
	expect(allow("thing_access", AGENT, "x"), "FORBIDDEN", NULL);
	pg_refuses = 0;
	r = allow("thing_access", OTHER, "9"); /* lost between two queries */
	pg_refuses = E_UNAVAILABLE;
	answer_query(3, 0, 0);
	expect(r, "UNAVAILABLE", NULL);
	expect(allow("thing_access", ADMIN, "7"), "", NULL); /* needs no query */
	pg_refuses = 0;
	r = allow("thing_access", AGENT, "7");
	answer_query(4, 0, 1);
	expect(r, "", NULL);
}

static void test_allow_when_too_many_wait_then_unavailable_at_once(void **state)
{
	struct reply *r[12];

	(void)state;
	process.svc.conf.auth_max_waiting = 10;
	start("postgres://x");
	for (int i = 0; i < 10; i++)
		r[i] = allow("thing_access", AGENT, i % 2 ? "7" : "8");
	r[10] = allow("thing_access", AGENT, "7");
	r[11] = allow("thing_access", AGENT, "9");
	expect(r[10], "UNAVAILABLE", NULL);
	expect(r[11], "UNAVAILABLE", NULL);
	assert_int_equal(query_count, 2);
	answer_query(1, 0, 1);
	answer_query(0, 0, 1);
	for (int i = 0; i < 10; i++)
		expect(r[i], "", NULL);
}

static void test_drain_when_questions_wait_then_they_are_answered_first(void **state)
{
	struct reply *r, *late;

	(void)state;
	start("postgres://x");
	r = allow("thing_access", AGENT, "7");
	process.svc.state = SVC_DRAINING;
	auth_drain(&process.svc, &auth);
	assert_false(process.stop_wanted);
	late = allow("thing_access", AGENT, "8"); /* left to another process */
	expect(allow("thing_access", ADMIN, "8"), "", NULL);
	assert_string_equal(verify_as("{\"sub\":\"u1\"" EXP "}", "")->code, "");
	answer_query(0, 0, 1);
	expect(r, "", NULL);
	assert_true(process.stop_wanted);
	assert_int_equal(late->count, 0);
	assert_int_equal(query_count, 1);
}

static void test_drain_when_nothing_waits_then_done_at_once(void **state)
{
	(void)state;
	start("");
	process.svc.state = SVC_DRAINING;
	auth_drain(&process.svc, &auth);
	assert_true(process.stop_wanted);
}

static void test_stop_when_questions_wait_then_nothing_leaks(void **state)
{
	(void)state;
	start("postgres://x");
	allow("thing_access", AGENT, "7");
	allow("thing_access", AGENT, "7");
	allow("thing_access", OTHER, "7");
	/* teardown stops; the sanitizer's leak check looks */
}

static void test_allow_when_any_allocation_fails_then_an_answer_all_the_same(void **state)
{
	(void)state;
	start("postgres://x");
	for (uint64_t n = 1; n < 12; n++) {
		struct bus_question q = { .request = ++requests };
		struct str item = STR("7");
		struct wire_allow m = { .check = STR("thing_access"),
					.user = STR(OTHER),
					.args = { 1, &item, STR_NONE } };
		struct blob *body = wire_pack(WIRE_ALLOW, &m);
		int before = query_count;
		union wire_any any;
		enum wire_id id;

		assert_int_equal(wire_unpack(blob_str(body), &id, &any), 0);
		buf_fini(&auth.key);
		buf_fini(&auth.quoted);
		buf_fini(&auth.text);
		pg_refuses = E_NOMEM;
		mem_fail_at(n);
		question_fn(question_ctx, &q, id, &any);
		mem_fail_at(0);
		blob_unref(&body);
		assert_int_equal(replies[q.request].count, 1);
		assert_string_equal(replies[q.request].code, "UNAVAILABLE");
		assert_int_equal(query_count, before);
		assert_int_equal(map_count(&auth.asks), 0);
		assert_int_equal(auth.waiters.live, 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_verify_when_token_varies_then_user_or_code),
		TEST(test_verify_when_no_token_is_asked_for_then_anonymous),
		TEST(test_start_when_configuration_is_wrong_then_it_says_what_to_do),
		TEST(test_allow_when_embedded_then_its_rules_decide),
		TEST(test_allow_when_the_question_is_odd_then_unavailable),
		TEST(test_allow_when_sql_then_rows_decide),
		TEST(test_allow_when_no_row_and_next_then_the_rule_after_it),
		TEST(test_allow_when_asked_again_then_remembered_for_a_while),
		TEST(test_allow_when_the_same_is_under_way_then_one_query_for_all),
		TEST(test_allow_when_database_is_down_then_unavailable_and_not_remembered),
		TEST(test_allow_when_too_many_wait_then_unavailable_at_once),
		TEST(test_drain_when_questions_wait_then_they_are_answered_first),
		TEST(test_drain_when_nothing_waits_then_done_at_once),
		TEST(test_stop_when_questions_wait_then_nothing_leaks),
		TEST(test_allow_when_any_allocation_fails_then_an_answer_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
