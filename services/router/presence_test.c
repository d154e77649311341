/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told that a user has come to a room or is gone, as edges say what becomes of its sessions. */
#include "services/router/presence.h"

#include "services/router/session_test.h"

#define IN ITEM_PRESENCE
#define SHOWN (ITEM_PRESENCE | ITEM_SHOWN)

static struct fixture f;
static size_t told[EDGES]; /* times each edge was, as expected */

static const struct item in_a[] = { { 7, 1, IN, STR("a") }, { 8, 1, 0, STR("quiet") }, { 0 } };
static const struct item shown_a[] = { { 7, 1, SHOWN, STR("a") }, { 0 } };
static const struct str just_a[] = { { "a", 1 } };
static const struct wire_list leave_a = { .count = 1, .items = just_a };

static void open_with_grace(int64_t seconds)
{
	fixture_open(&f);
	memset(told, 0, sizeof(told));
	f.router.svc->conf.presence_grace_seconds = seconds;
}

static void expect_user(struct node *n, const char *room, const char *user, bool online,
			const char *sid)
{
	const struct wire_room_user *m = &script_wait(&n->script, WIRE_ROOM_USER)->any.room_user;

	told[n - f.edge]++;
	assert_str(m->nsp, STR("/"));
	assert_str(m->room, str_of(room));
	assert_str(m->user_id, str_of(user));
	assert_int_equal(m->online, online);
	assert_str(m->sid, str_of(sid));
}

/* Nobody has been told of anything (more). */
static void expect_silence(void)
{
	for (int i = 0; i < 2; i++) {
		node_sync(&f.edge[i]);
		assert_int_equal(script_count(&f.edge[i].script, WIRE_ROOM_USER), told[i]);
	}
}

static void test_first_one_comes_and_last_one_leaves_then_told_at_once(void **state)
{
	(void)state;
	open_with_grace(3600);
	say_session(&f.edge[0], (struct told){ .pid = "p0", .sid = "s0", .rooms = in_a });
	expect_user(&f.edge[0], "a", "u", true, "s0");
	say_session(&f.edge[1], (struct told){ .pid = "p1", .sid = "s1" });
	say_rooms(&f.edge[1], "p1", 1, in_a, NULL);
	say_rooms(&f.edge[1], "p1", 1, in_a, NULL); /* said again */
	node_sync(&f.edge[1]);                      /* each edge has a link of its own */
	say_rooms(&f.edge[0], "p0", 1, NULL, &leave_a);
	expect_silence();
	say_rooms(&f.edge[1], "p1", 1, NULL, &leave_a);
	expect_user(&f.edge[1], "a", "u", false, "s1");
	say_rooms(&f.edge[1], "p1", 1, in_a, NULL);
	expect_user(&f.edge[1], "a", "u", true, "s1");
	expect_silence();
	fixture_close(&f);
}

static void test_connection_ends_then_told_after_grace(void **state)
{
	(void)state;
	open_with_grace(0);
	say_session(&f.edge[0], (struct told){ .rooms = in_a });
	expect_user(&f.edge[0], "a", "u", true, "s");
	say_parked(&f.edge[0], "p", 1);
	expect_user(&f.edge[0], "a", "u", false, "");
	say_resume(&f.edge[0], (struct told){ .pid = "p" }); /* it was away for too long for this */
	expect_user(&f.edge[0], "a", "u", true, "s");
	say_ended(&f.edge[0], "p", 2);
	expect_user(&f.edge[0], "a", "u", false, "");
	assert_int_equal(map_count(&f.router.attendances), 0);
	expect_silence();
	fixture_close(&f);
}

static void test_client_closes_in_order_then_told_at_once(void **state)
{
	struct wire_session_ended ended = { .pid = STR("p1"), .generation = 1, .left = true };

	(void)state;
	open_with_grace(3600);
	say_session(&f.edge[0], (struct told){ .rooms = in_a });
	expect_user(&f.edge[0], "a", "u", true, "s");
	say_session(&f.edge[1], (struct told){ .pid = "p1", .sid = "s1", .rooms = in_a });
	node_sync(&f.edge[1]);
	say_left(&f.edge[0], "p", 1);
	expect_silence(); /* another one is there */
	node_say(&f.edge[1], WIRE_SESSION_ENDED, &ended);
	expect_user(&f.edge[1], "a", "u", false, "s1");
	say_resume(&f.edge[1], (struct told){ .pid = "p" });
	expect_user(&f.edge[1], "a", "u", true, "s");
	say_left(&f.edge[1], "p", 2);
	expect_user(&f.edge[1], "a", "u", false, "s");
	expect_silence();
	assert_int_equal(map_count(&f.router.attendances), 0);
	fixture_close(&f);
}

static void test_user_returns_within_grace_then_nobody_hears(void **state)
{
	(void)state;
	open_with_grace(3600);
	say_session(&f.edge[0], (struct told){ .rooms = in_a });
	expect_user(&f.edge[0], "a", "u", true, "s");
	say_parked(&f.edge[0], "p", 1);
	node_sync(&f.edge[0]);
	assert_false(list_empty(&f.router.leaving));
	say_resume(&f.edge[1], (struct told){ .pid = "p" });
	expect_resumed(&f.edge[1], "");
	assert_true(list_empty(&f.router.leaving));
	say_ended(&f.edge[1], "p", 2);
	say_session(&f.edge[0], (struct told){ .pid = "p2", .rooms = in_a });
	node_sync(&f.edge[1]);
	expect_silence();
	assert_true(list_empty(&f.router.leaving));
	fixture_close(&f);
}

/* Its edge is gone without a word: any other is told. */
static void test_edge_dies_then_another_is_told(void **state)
{
	(void)state;
	open_with_grace(0);
	say_session(&f.edge[0], (struct told){ .rooms = in_a });
	expect_user(&f.edge[0], "a", "u", true, "s");
	session_forget_peer(peer_of(&f, &f.edge[0]));
	expect_user(&f.edge[0], "a", "u", false, "");
	fixture_close(&f);
}

static void test_what_was_shown_is_told_anew_then_silence(void **state)
{
	(void)state;
	open_with_grace(0);
	say_session(&f.edge[0], (struct told){ .rooms = shown_a });
	expect_silence();
	say_session(
		&f.edge[1],
		(struct told){ .pid = "p1", .user = "away", .rooms = shown_a, .parked_ms = 100 });
	expect_user(&f.edge[0], "a", "away", false, ""); /* it had gone when no router was there */
	say_session(
		&f.edge[1],
		(struct told){ .pid = "p2", .user = "long", .rooms = shown_a, .parked_ms = 60000 });
	expect_silence(); /* told by the router before this one */
	say_parked(&f.edge[0], "p", 1);
	expect_user(&f.edge[0], "a", "u", false, "");
	fixture_close(&f);
}

static void test_session_is_moved_then_silence(void **state)
{
	struct wire_session_ended moved = { .pid = STR("p"), .generation = 1, .moved = true };

	(void)state;
	open_with_grace(0);
	say_session(&f.edge[0], (struct told){ .rooms = in_a });
	expect_user(&f.edge[0], "a", "u", true, "s");
	node_say(&f.edge[0], WIRE_SESSION_ENDED, &moved);
	expect_silence();
	say_parked(&f.edge[0], "p", 1);
	expect_silence();
	say_session(&f.edge[0], (struct told){ .rooms = shown_a }); /* and back again */
	expect_silence();
	say_ended(&f.edge[0], "p", 1);
	expect_user(&f.edge[0], "a", "u", false, "");
	fixture_close(&f);
}

static void test_nobody_in_particular_is_nobody(void **state)
{
	(void)state;
	open_with_grace(0);
	say_session(&f.edge[0], (struct told){ .user = "", .rooms = in_a });
	expect_silence();
	assert_int_equal(map_count(&f.router.attendances), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_one_comes_and_last_one_leaves_then_told_at_once),
		cmocka_unit_test(test_connection_ends_then_told_after_grace),
		cmocka_unit_test(test_client_closes_in_order_then_told_at_once),
		cmocka_unit_test(test_user_returns_within_grace_then_nobody_hears),
		cmocka_unit_test(test_edge_dies_then_another_is_told),
		cmocka_unit_test(test_what_was_shown_is_told_anew_then_silence),
		cmocka_unit_test(test_session_is_moved_then_silence),
		cmocka_unit_test(test_nobody_in_particular_is_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
