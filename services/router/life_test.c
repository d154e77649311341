/* SPDX-License-Identifier: Apache-2.0 */
/* Who is online and which rooms are occupied, as a whole router tells it. */
#include "services/router/life.h"

#include "services/router/session_test.h"

static struct fixture f;
static size_t expected; /* changes told so far, to whichever ingest */

static void open_fixture(int64_t grace_seconds)
{
	fixture_open(&f);
	f.router.svc->conf.presence_grace_seconds = grace_seconds;
	expected = 0;
}

static void watch(struct node *n, bool on)
{
	struct wire_life_watch m = { .on = on };

	node_say(n, WIRE_LIFE_WATCH, &m);
	node_sync(n);
}

/* The next change is this one; its number. */
static uint64_t expect_life(struct node *n, enum life_kind kind, const char *name, bool here)
{
	const struct seen *seen = script_wait(&n->script, WIRE_LIFE);

	expected++;
	assert_int_equal(seen->any.life.kind, kind);
	assert_int_equal(seen->any.life.here, here);
	assert_str(seen->any.life.name, str_of(name));
	assert_true(seen->any.life.at_ms > 0);
	return seen->any.life.ref;
}

static void done(struct node *n, uint64_t ref)
{
	struct wire_life_done m = { .ref = ref };

	node_say(n, WIRE_LIFE_DONE, &m);
	node_sync(n);
}

static void expect_nothing(struct node *n)
{
	node_sync(n);
	assert_int_equal(script_count(&n->script, WIRE_LIFE), expected);
}

static void live(struct node *n, const char *room, bool live)
{
	struct wire_room_live m = { .room = str_of(room), .live = live };

	node_say(n, WIRE_ROOM_LIVE, &m);
	node_sync(n);
}

static void come(struct node *n, const char *pid, const char *user)
{
	say_session(n, (struct told){ .pid = pid, .sid = pid, .conn = pid, .user = user });
	node_sync(n);
}

static void test_user_is_online_with_the_first_client_and_offline_with_the_last(void **state)
{
	(void)state;
	open_fixture(0);
	watch(&f.ingest, true);
	come(&f.edge[0], "p1", "u");
	done(&f.ingest, expect_life(&f.ingest, LIFE_USER, "u", true));
	come(&f.edge[1], "p2", "u");
	say_parked(&f.edge[0], "p1", 1);
	node_sync(&f.edge[0]);
	expect_nothing(&f.ingest);
	say_ended(&f.edge[1], "p2", 1);
	node_sync(&f.edge[1]);
	done(&f.ingest, expect_life(&f.ingest, LIFE_USER, "u", false));
	assert_int_equal(metrics_values[METRIC_LIFE_SUBJECTS], 0);
	fixture_close(&f);
}

static void test_who_comes_back_in_time_was_never_offline(void **state)
{
	(void)state;
	open_fixture(3600);
	watch(&f.ingest, true);
	come(&f.edge[0], "p", "u");
	done(&f.ingest, expect_life(&f.ingest, LIFE_USER, "u", true));
	for (int i = 0; i < 3; i++) {
		say_parked(&f.edge[0], "p", 1);
		node_sync(&f.edge[0]);
		come(&f.edge[0], "p", "u");
	}
	expect_nothing(&f.ingest);
	fixture_close(&f);
}

static void test_changes_of_one_user_wait_for_each_other_and_melt_together(void **state)
{
	uint64_t ref;

	(void)state;
	open_fixture(0);
	watch(&f.ingest, true);
	come(&f.edge[0], "p", "u");
	ref = expect_life(&f.ingest, LIFE_USER, "u", true);
	for (int i = 0; i < 3; i++) {
		say_parked(&f.edge[0], "p", 1);
		node_sync(&f.edge[0]);
		if (i < 2)
			come(&f.edge[0], "p", "u");
	}
	expect_nothing(&f.ingest);
	done(&f.ingest, ref);
	done(&f.ingest, expect_life(&f.ingest, LIFE_USER, "u", false));
	expect_nothing(&f.ingest);
	fixture_close(&f);
}

static void test_who_is_there_before_an_ingest_asks_is_told_then(void **state)
{
	(void)state;
	open_fixture(0);
	come(&f.edge[0], "p", "u");
	subscribe(&f.edge[0], "/,room");
	assert_int_equal(metrics_values[METRIC_LIFE_SUBJECTS], 0);
	watch(&f.ingest, true);
	done(&f.ingest, expect_life(&f.ingest, LIFE_USER, "u", true));
	done(&f.ingest, expect_life(&f.ingest, LIFE_ROOM, "/,room", true));
	fixture_close(&f);
}

static void test_room_is_occupied_while_somebody_is_there_at_any_edge(void **state)
{
	struct wire_unsubscribe left = { .room = STR("/,room") };

	(void)state;
	open_fixture(0);
	watch(&f.ingest, true);
	subscribe(&f.edge[0], "/,room");
	done(&f.ingest, expect_life(&f.ingest, LIFE_ROOM, "/,room", true));
	subscribe(&f.edge[1], "/,room");
	live(&f.edge[0], "/,room", false); /* held for those who are away */
	expect_nothing(&f.ingest);
	node_say(&f.edge[1], WIRE_UNSUBSCRIBE, &left);
	node_sync(&f.edge[1]);
	done(&f.ingest, expect_life(&f.ingest, LIFE_ROOM, "/,room", false));
	live(&f.edge[0], "/,room", true);
	done(&f.ingest, expect_life(&f.ingest, LIFE_ROOM, "/,room", true));
	fixture_close(&f);
}

static void test_ingest_that_is_gone_leaves_its_changes_to_the_next(void **state)
{
	struct node other;

	(void)state;
	open_fixture(0);
	node_open(&other, &f.world, "ingest", "ingest-1", 10);
	node_greet(&other, 1);
	watch(&f.ingest, true);
	watch(&other, true);
	come(&f.edge[0], "p", "u");
	expect_life(&f.ingest, LIFE_USER, "u", true); /* and dies with it: the broker may have it */
	say_ended(&f.edge[0], "p", 1);
	node_sync(&f.edge[0]);
	watch(&f.ingest, false);
	done(&other, expect_life(&other, LIFE_USER, "u", true));
	done(&other, expect_life(&other, LIFE_USER, "u", false));
	node_close(&other);
	fixture_close(&f);
}

static void test_what_was_told_before_a_restart_is_compared_with_what_is_there(void **state)
{
	(void)state;
	open_fixture(0);
	come(&f.edge[0], "p", "here");
	assert_int_equal(life_restore(&f.router, STR("uhere")), 0);
	assert_int_equal(life_restore(&f.router, STR("ugone")), 0);
	assert_int_equal(life_restore(&f.router, STR("?")), 0); /* nothing of ours */
	watch(&f.ingest, true);
	done(&f.ingest, expect_life(&f.ingest, LIFE_USER, "gone", false));
	expect_nothing(&f.ingest);
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_user_is_online_with_the_first_client_and_offline_with_the_last),
		cmocka_unit_test(test_who_comes_back_in_time_was_never_offline),
		cmocka_unit_test(test_changes_of_one_user_wait_for_each_other_and_melt_together),
		cmocka_unit_test(test_who_is_there_before_an_ingest_asks_is_told_then),
		cmocka_unit_test(test_room_is_occupied_while_somebody_is_there_at_any_edge),
		cmocka_unit_test(test_ingest_that_is_gone_leaves_its_changes_to_the_next),
		cmocka_unit_test(
			test_what_was_told_before_a_restart_is_compared_with_what_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
