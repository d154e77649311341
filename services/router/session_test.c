/* SPDX-License-Identifier: Apache-2.0 */
/* Who may come back to what. session_model_test.c plays the same at random, foster_test.c what becomes of sessions whose edge is gone. */
#include "services/router/session_test.h"

#include "common/base/mem.h"
#include "services/router/room.h"

#define WINDOW_MS 120000u

static const struct item rooms_ab[] = {
	{ 7, 0x01020304, ITEM_BY_CONNECT, STR("a") },
	{ UINT64_C(0x1122334455667788), UINT32_MAX, 0, STR("b") },
	{ 0 },
};

static struct fixture f;

static void test_session_is_resumed_by_another_edge_with_all_of_it(void **state)
{
	const struct wire_resumed *m;

	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .rooms = rooms_ab, .generation = 5 });
	expect_saved(&f.edge[0], "p", "");
	say_parked(&f.edge[0], "p", 5);
	node_sync(&f.edge[0]);
	assert_true(session_at(&f, "p")->parked_ms > 0);
	say_resume(&f.edge[1], (struct told){ .ref = 99 });
	m = expect_resumed(&f.edge[1], "");
	assert_int_equal(m->ref, 99);
	assert_int_equal(m->generation, 6);
	assert_str(m->sid, STR("s"));
	assert_str(m->pid, STR("p"));
	expect_items(&m->rooms, rooms_ab);
	expect_taken(&f.edge[0], "p", 6);
	assert_int_equal(session_at(&f, "p")->parked_ms, 0);
	say_resume(&f.edge[1], (struct told){ .conn = "c3" }); /* once more, at the same edge */
	assert_int_equal(expect_resumed(&f.edge[1], "")->generation, 7);
	node_sync(&f.edge[1]);
	assert_int_equal(script_count(&f.edge[1].script, WIRE_SESSION_TAKEN), 0);
	fixture_close(&f);
}

static void test_session_with_a_client_can_be_taken(void **state)
{
	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .rooms = NULL });
	expect_saved(&f.edge[0], "p", "");
	say_resume(
		&f.edge[1],
		(struct told){ .pid = "p" }); /* its old connection is not known to be gone yet */
	assert_int_equal(expect_resumed(&f.edge[1], "")->rooms.count, 0);
	expect_taken(&f.edge[0], "p", 2);
	say_parked(&f.edge[0], "p", 1); /* said before it has heard: not its own any more */
	say_ended(&f.edge[0], "p", 1);
	say_ended(&f.edge[0], "p", 2);
	say_rooms(&f.edge[0], "p", 2, rooms_ab, NULL);
	expect_saved(&f.edge[0], "p", "UNKNOWN");
	assert_int_equal(session_at(&f, "p")->parked_ms, 0);
	assert_int_equal(session_at(&f, "p")->room_count, 0);
	fixture_close(&f);
}

static void test_session_is_not_given_to_others(void **state)
{
	static const struct told wrong[] = {
		{ .pid = "q" },
		{ .user = "v" },
		{ .user = "" },
		{ .nsp = "/x" },
	};

	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .parked_ms = 5 });
	expect_saved(&f.edge[0], "p", "");
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		const struct wire_resumed *m;

		say_resume(&f.edge[1], wrong[i]);
		m = expect_resumed(&f.edge[1], "UNKNOWN");
		assert_int_equal(m->sid.n + m->generation + m->rooms.count, 0);
	}
	assert_int_equal(session_at(&f, "p")->generation, 1);
	assert_true(session_at(&f, "p")->parked_ms > 0);
	say_resume(&f.edge[1], (struct told){ .pid = "p" });
	expect_resumed(&f.edge[1], "");
	fixture_close(&f);
}

static void test_window_that_is_over_ends_the_session(void **state)
{
	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .parked_ms = WINDOW_MS - 5000 });
	expect_saved(&f.edge[0], "p", "");
	say_resume(&f.edge[1], (struct told){ .pid = "p" });
	expect_resumed(&f.edge[1], "");
	say_parked(&f.edge[1], "p", 2);
	node_sync(&f.edge[1]);
	pass_ms(session_at(&f, "p"), WINDOW_MS + 1);
	say_resume(&f.edge[0], (struct told){ .pid = "p" });
	expect_resumed(&f.edge[0], "UNKNOWN");
	session_sweep(&f.router); /* its edge ends it, as long as there is one */
	assert_non_null(session_at(&f, "p"));
	say_ended(&f.edge[1], "p", 2);
	node_sync(&f.edge[1]);
	assert_null(session_at(&f, "p"));
	fixture_close(&f);
}

static void test_rooms_change(void **state)
{
	static const struct item more[] = { { 9, 1, 0, STR("a") }, { 8, 1, 0, STR("c") }, { 0 } };
	static const struct item want[] = { { 9, 1, 0, STR("a") }, { 8, 1, 0, STR("c") }, { 0 } };
	struct str names[] = { STR("b"), STR("never") };
	struct wire_list left = { .count = 2, .items = names };

	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .rooms = rooms_ab });
	expect_saved(&f.edge[0], "p", "");
	say_rooms(&f.edge[0], "p", 1, more, &left); /* a is there: joined anew */
	expect_saved(&f.edge[0], "p", "");
	say_rooms(&f.edge[0], "p", 2, rooms_ab, NULL); /* another generation */
	expect_saved(&f.edge[0], "p", "UNKNOWN");
	say_rooms(&f.edge[0], "q", 1, rooms_ab, NULL);
	expect_saved(&f.edge[0], "q", "UNKNOWN");
	say_resume(&f.edge[1], (struct told){ .pid = "p" });
	expect_items(&expect_resumed(&f.edge[1], "")->rooms, want);
	say_session(&f.edge[1],
		    (struct told){ .generation = 2, .rooms = rooms_ab }); /* told as a whole */
	expect_saved(&f.edge[1], "p", "");
	assert_int_equal(session_at(&f, "p")->room_count, 2);
	fixture_close(&f);
}

static void test_left_and_joined_in_one_message_is_joined(void **state)
{
	struct str name = STR("a");
	struct wire_list left = { .count = 1, .items = &name };

	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .pid = "p" });
	expect_saved(&f.edge[0], "p", "");
	say_rooms(&f.edge[0], "p", 1, rooms_ab, &left);
	expect_saved(&f.edge[0], "p", "");
	assert_int_equal(session_at(&f, "p")->room_count, 2);
	fixture_close(&f);
}

/* A router that was started anew hears of it from both: the one that had it, and the one that has it. */
static void test_of_two_claims_the_greater_generation_holds(void **state)
{
	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .pid = "p", .generation = 2 });
	expect_saved(&f.edge[0], "p", "");
	say_session(&f.edge[1], (struct told){ .pid = "p", .generation = 1, .rooms = rooms_ab });
	expect_taken(&f.edge[1], "p", 2);
	expect_saved(&f.edge[1], "p", "TAKEN");
	assert_int_equal(session_at(&f, "p")->room_count, 0);
	say_session(&f.edge[1], (struct told){ .pid = "q", .generation = 1 });
	expect_saved(&f.edge[1], "q", "");
	say_session(&f.edge[0], (struct told){ .pid = "q", .generation = 2 });
	expect_saved(&f.edge[0], "q", "");
	expect_taken(&f.edge[1], "q", 2);
	assert_ptr_equal(session_at(&f, "q")->owner, peer_of(&f, &f.edge[0]));
	say_session(&f.edge[1],
		    (struct told){ .pid = "q", .generation = 2 }); /* equal: who says it last */
	expect_saved(&f.edge[1], "q", "");
	expect_taken(&f.edge[0], "q", 2);
	fixture_close(&f);
}

/* An edge tells the socket that was parked there (its link was full till now), and has asked to resume it meanwhile. */
static void test_stale_claim_of_the_same_edge_does_not_hold(void **state)
{
	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .pid = "p", .generation = 1, .rooms = rooms_ab });
	expect_saved(&f.edge[0], "p", "");
	say_resume(&f.edge[0], (struct told){ .pid = "p" });
	assert_int_equal(expect_resumed(&f.edge[0], "")->generation, 2);
	say_session(&f.edge[0], (struct told){ .pid = "p", .generation = 1, .parked_ms = 10 });
	expect_saved(&f.edge[0], "p", "TAKEN");
	assert_int_equal(session_at(&f, "p")->generation, 2);
	assert_int_equal(session_at(&f, "p")->parked_ms, 0);
	say_rooms(&f.edge[0], "p", 2, rooms_ab, NULL);
	expect_saved(&f.edge[0], "p", "");
	assert_int_equal(script_count(&f.edge[0].script, WIRE_SESSION_TAKEN), 0);
	fixture_close(&f);
}

static void test_session_of_a_forgotten_edge_is_parked_for_the_window(void **state)
{
	uint64_t since;

	(void)state;
	fixture_open(&f);
	say_session(&f.edge[0], (struct told){ .pid = "here" });
	say_session(&f.edge[0], (struct told){ .pid = "away", .parked_ms = 50000 });
	node_sync(&f.edge[0]);
	since = session_at(&f, "away")->parked_ms;
	assert_int_equal(metrics_values[METRIC_SESSIONS_PARKED], 1);
	edge_reborn(&f, 0, 77);
	assert_int_equal(metrics_values[METRIC_SESSIONS_PARKED], 2);
	assert_null(session_at(&f, "here")->owner);
	assert_true(session_at(&f, "here")->parked_ms > since);
	assert_int_equal(session_at(&f, "away")->parked_ms, since); /* not from now on */
	pass_ms(session_at(&f, "away"), WINDOW_MS - 55000);
	session_sweep(&f.router);
	assert_non_null(session_at(&f, "here"));
	assert_non_null(session_at(&f, "away"));
	pass_ms(session_at(&f, "away"), 6000);
	session_sweep(&f.router);
	assert_non_null(session_at(&f, "here"));
	assert_null(session_at(&f, "away"));
	say_resume(&f.edge[1], (struct told){ .pid = "here" });
	assert_int_equal(expect_resumed(&f.edge[1], "")->generation, 2);
	fixture_close(&f);
}

static void test_too_many_sessions_the_first_of_nobody_goes(void **state)
{
	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.max_sessions = 3;
	say_session(&f.edge[0], (struct told){ .pid = "1" });
	say_session(&f.edge[0], (struct told){ .pid = "2" });
	say_session(&f.edge[1], (struct told){ .pid = "3" });
	node_sync(&f.edge[1]);
	edge_reborn(&f, 0, 77);
	node_forget(&f.edge[1]);
	say_session(&f.edge[1], (struct told){ .pid = "4" });
	expect_saved(&f.edge[1], "4", "");
	assert_null(session_at(&f, "1"));
	assert_non_null(session_at(&f, "2"));
	say_session(&f.edge[1], (struct told){ .pid = "3" }); /* is there: not one more */
	expect_saved(&f.edge[1], "3", "");
	assert_non_null(session_at(&f, "2"));
	say_session(&f.edge[1], (struct told){ .pid = "5" });
	expect_saved(&f.edge[1], "5", "");
	say_session(&f.edge[1], (struct told){ .pid = "6" }); /* all have an edge now */
	expect_saved(&f.edge[1], "6", "FULL");
	assert_int_equal(map_count(&f.router.sessions), 3);
	assert_null(session_at(&f, "6"));
	fixture_close(&f);
}

/* ── connections per user ── */

static void open_limited(int64_t most)
{
	fixture_open(&f);
	f.end.process.svc.conf.max_connections_per_user = most;
}

static void told(int edge, const char *pid, const char *conn, const char *user, const char *code)
{
	say_session(&f.edge[edge], (struct told){ .pid = pid, .conn = conn, .user = user });
	expect_saved(&f.edge[edge], pid, code);
}

static void test_connections_are_counted_not_namespaces(void **state)
{
	(void)state;
	open_limited(2);
	told(0, "1", "a", "u", "");
	told(0, "2", "a", "u", "");
	told(0, "3", "a", "u", "");
	told(1, "4", "b", "u", "");
	told(0, "5", "c", "u", "TOO_MANY_CONNECTIONS");
	assert_null(session_at(&f, "5"));
	told(0, "6", "b", "u", "");
	told(0, "7", "c", "v", ""); /* another user */
	told(0, "8", "d", "", "");  /* nobody: not limited */
	told(0, "9", "e", "", "");
	told(0, "10", "f", "", "");
	told(0, "1", "a", "u", ""); /* told anew */
	say_ended(&f.edge[1], "4", 1);
	node_sync(&f.edge[1]);
	told(0, "5", "c", "u", "TOO_MANY_CONNECTIONS"); /* 6 is still on b */
	say_ended(&f.edge[0], "6", 1);
	told(0, "5", "c", "u", "");
	fixture_close(&f);
}

static void test_who_is_away_is_not_counted(void **state)
{
	(void)state;
	open_limited(1);
	told(0, "1", "a", "u", "");
	say_parked(&f.edge[0], "1", 1);
	told(0, "2", "b", "u", "");
	say_resume(&f.edge[1], (struct told){ .pid = "1", .conn = "c" });
	expect_resumed(&f.edge[1], "TOO_MANY_CONNECTIONS");
	assert_int_equal(session_at(&f, "1")->generation, 1);
	say_parked(&f.edge[0], "2", 1);
	node_sync(&f.edge[0]);
	say_resume(&f.edge[1], (struct told){ .pid = "1", .conn = "c" });
	expect_resumed(&f.edge[1], "");
	say_session(
		&f.edge[0],
		(struct told){ .pid = "2", .conn = "b", .parked_ms = 5 }); /* told anew: is kept */
	expect_saved(&f.edge[0], "2", "");
	fixture_close(&f);
}

/* Its old connection is still held to be there: that is the one it comes from, whichever of its namespaces comes first. */
static void test_connection_that_comes_back_is_not_one_more(void **state)
{
	static const char *const orders[2][2] = { { "1", "2" }, { "2", "1" } };

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_limited(1);
		told(0, "1", "a", "u", "");
		told(0, "2", "a", "u", "");
		for (int k = 0; k < 2; k++) {
			say_resume(&f.edge[1], (struct told){ .pid = orders[i][k], .conn = "b" });
			expect_resumed(&f.edge[1], "");
		}
		told(1, "3", "c", "u", "TOO_MANY_CONNECTIONS");
		fixture_close(&f);
	}
}

static void test_session_without_memory_is_refused_and_gone(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 9; n++) {
		struct peer *peer;
		struct told_items items;
		struct wire_session m = { .pid = STR("p"),
					  .sid = STR("s"),
					  .nsp = STR("/"),
					  .user_id = STR("u"),
					  .generation = 1 };

		fixture_open(&f);
		f.end.process.svc.conf.max_connections_per_user = 10;
		peer = peer_of(&f, &f.edge[0]);
		items_open(&items, rooms_ab);
		m.rooms = items.wire;
		mem_fail_at(n);
		session_on_session(peer, &m); /* ref 0: nothing is said */
		mem_fail_at(0);
		buf_fini(&items.text);
		if (session_at(&f, "p"))
			assert_int_equal(session_at(&f, "p")->room_count, 2);
		fixture_close(&f);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_is_resumed_by_another_edge_with_all_of_it),
		cmocka_unit_test(test_session_with_a_client_can_be_taken),
		cmocka_unit_test(test_session_is_not_given_to_others),
		cmocka_unit_test(test_window_that_is_over_ends_the_session),
		cmocka_unit_test(test_rooms_change),
		cmocka_unit_test(test_left_and_joined_in_one_message_is_joined),
		cmocka_unit_test(test_of_two_claims_the_greater_generation_holds),
		cmocka_unit_test(test_stale_claim_of_the_same_edge_does_not_hold),
		cmocka_unit_test(test_session_of_a_forgotten_edge_is_parked_for_the_window),
		cmocka_unit_test(test_too_many_sessions_the_first_of_nobody_goes),
		cmocka_unit_test(test_connections_are_counted_not_namespaces),
		cmocka_unit_test(test_who_is_away_is_not_counted),
		cmocka_unit_test(test_connection_that_comes_back_is_not_one_more),
		cmocka_unit_test(test_session_without_memory_is_refused_and_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
