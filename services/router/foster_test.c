/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions whose edge is gone are given to those that are there. */
#include "services/router/session_test.h"

#define MANY 3000u

static const struct item rooms_ab[] = {
	{ 7, 3, ITEM_BY_CONNECT, STR("a") },
	{ 8, 4, 0, STR("b") },
	{ 0 },
};

static struct fixture f;

/* As many sessions of nobody as are wanted. */
static void restore(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char pid[16];
		struct wire_session m = {
			.sid = STR("s"), .nsp = STR("/"), .user_id = STR("u"), .generation = 1
		};

		snprintf(pid, sizeof(pid), "p%u", i);
		m.pid = str_of(pid);
		session_restore(&f.router, &m);
	}
}

static bool all_owned(void)
{
	return list_empty(&f.router.parked);
}

static uint32_t count_of(const struct node *n)
{
	uint32_t count = 0;

	LIST_EACH(&peer_of(&f, n)->sessions, node, next)
		count++;
	return count;
}

static void test_session_of_a_gone_edge_is_given_to_another(void **state)
{
	const struct wire_session_foster *m;
	struct wire_bye bye = { .nonce = 1 };

	(void)state;
	fixture_open(&f);
	node_synced(&f.edge[1]);
	say_session(&f.edge[0], (struct told){ .generation = 4, .rooms = rooms_ab, .nsp = "/x" });
	expect_saved(&f.edge[0], "p", "");
	node_sync(&f.edge[1]);
	assert_int_equal(script_count(&f.edge[1].script, WIRE_SESSION_FOSTER), 0); /* has one */
	script_say(&f.edge[0].script, 0, 0, WIRE_BYE, &bye);
	m = &script_wait(&f.edge[1].script, WIRE_SESSION_FOSTER)->any.session_foster;
	assert_str(m->pid, STR("p"));
	assert_str(m->sid, STR("s"));
	assert_str(m->nsp, STR("/x"));
	assert_str(m->user_id, STR("u"));
	assert_int_equal(m->generation, 4); /* the same claim: its client has not come back */
	assert_true(m->parked_ms < 10000);
	expect_items(&m->rooms, rooms_ab);
	assert_ptr_equal(session_at(&f, "p")->owner, peer_of(&f, &f.edge[1]));
	assert_true(session_at(&f, "p")->parked_ms > 0);
	say_ended(&f.edge[1], "p", 4); /* it can speak for it now */
	node_sync(&f.edge[1]);
	assert_null(session_at(&f, "p"));
	fixture_close(&f);
}

static void test_sessions_are_spread_over_edges_that_have_told_all(void **state)
{
	(void)state;
	fixture_open(&f);
	edge_open(&f, 2); /* has not told its rooms: may hold newer claims */
	restore(100);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	RUN_UNTIL(&f.world, all_owned());
	assert_int_equal(count_of(&f.edge[0]), 50);
	assert_int_equal(count_of(&f.edge[1]), 50);
	assert_int_equal(count_of(&f.edge[2]), 0);
	fixture_close(&f);
}

static void test_sessions_wait_for_an_edge(void **state)
{
	(void)state;
	router_open(&f, 0);
	restore(3);
	session_foster_soon(&f.router);
	RUN_UNTIL(&f.world, !wheel_armed(&f.router.foster));
	assert_false(all_owned());
	edge_open(&f, 0);
	node_synced(&f.edge[0]);
	RUN_UNTIL(&f.world, all_owned());
	for (int i = 0; i < 3; i++)
		script_wait(&f.edge[0].script, WIRE_SESSION_FOSTER);
	edge_reborn(&f, 0, 77); /* and wait again when it is gone */
	assert_int_equal(count_of(&f.edge[0]), 0);
	node_synced(&f.edge[0]);
	RUN_UNTIL(&f.world, all_owned());
	fixture_close(&f);
}

static void test_client_that_comes_back_first_is_not_fostered(void **state)
{
	(void)state;
	fixture_open(&f);
	restore(2);
	say_resume(&f.edge[0], (struct told){ .pid = "p0" });
	expect_resumed(&f.edge[0], "");
	node_synced(&f.edge[1]);
	RUN_UNTIL(&f.world, all_owned());
	assert_str(script_wait(&f.edge[1].script, WIRE_SESSION_FOSTER)->any.session_foster.pid,
		   STR("p1"));
	node_sync(&f.edge[1]);
	assert_int_equal(script_count(&f.edge[1].script, WIRE_SESSION_FOSTER), 1);
	assert_ptr_equal(session_at(&f, "p0")->owner, peer_of(&f, &f.edge[0]));
	fixture_close(&f);
}

static void test_more_than_a_portion_and_more_than_the_link_takes(void **state)
{
	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.link_unacked_count = 400;
	restore(MANY);
	node_synced(&f.edge[0]);
	RUN_UNTIL(&f.world, script_count(&f.edge[0].script, WIRE_SESSION_FOSTER) > 300);
	node_sync(&f.edge[0]);
	assert_false(all_owned()); /* the link is full: the others have not been forgotten */
	while (!all_owned()) {
		uint64_t heard = f.edge[0].heard;

		node_ack(&f.edge[0]);
		node_forget(&f.edge[0]);
		RUN_UNTIL(&f.world, f.edge[0].heard > heard);
	}
	assert_int_equal(count_of(&f.edge[0]), MANY);
	fixture_close(&f);
}

/* ── the process's end ── */

static void drain(void)
{
	struct svc_process *p = &f.end.process;

	p->svc.state = SVC_DRAINING;
	p->drain_deadline_ms = clock_ms() + 10000;
	router_drain(&p->svc, &f.router);
	p->svc.state = SVC_READY; /* the process of this test does not end with it */
}

static void test_drain_ends_when_edges_have_all(void **state)
{
	uint64_t began;

	(void)state;
	fixture_open(&f);
	node_synced(&f.edge[1]);
	node_sync(&f.edge[1]);
	node_ack(&f.edge[0]);
	node_ack(&f.edge[1]);
	restore(10);
	began = clock_ms();
	drain();
	assert_true(all_owned()); /* at once */
	RUN_UNTIL(&f.world, clock_ms() > began + 300);
	assert_true(wheel_armed(&f.router.foster)); /* the edge has not acknowledged them */
	node_sync(&f.edge[1]);
	node_ack(&f.edge[1]);
	RUN_UNTIL(&f.world, !wheel_armed(&f.router.foster));
	assert_true(clock_ms() < began + 4000);
	fixture_close(&f);
}

static void test_drain_goes_on_with_acknowledgements(void **state)
{
	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.link_unacked_count = 400;
	node_synced(&f.edge[0]);
	node_sync(&f.edge[0]);
	restore(MANY);
	drain(); /* the link is full: this returns all the same */
	assert_false(all_owned());
	while (!all_owned()) {
		uint64_t heard = f.edge[0].heard;

		node_sync(&f.edge[0]);
		node_ack(&f.edge[0]);
		node_forget(&f.edge[0]);
		RUN_UNTIL(&f.world, all_owned() || f.edge[0].heard > heard);
	}
	fixture_close(&f);
}

static void test_drain_without_edges_ends(void **state)
{
	(void)state;
	router_open(&f, 0);
	restore(MANY);
	drain();
	RUN_UNTIL(&f.world, !wheel_armed(&f.router.foster));
	assert_int_equal(map_count(&f.router.sessions), MANY);
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_of_a_gone_edge_is_given_to_another),
		cmocka_unit_test(test_sessions_are_spread_over_edges_that_have_told_all),
		cmocka_unit_test(test_sessions_wait_for_an_edge),
		cmocka_unit_test(test_client_that_comes_back_first_is_not_fostered),
		cmocka_unit_test(test_more_than_a_portion_and_more_than_the_link_takes),
		cmocka_unit_test(test_drain_ends_when_edges_have_all),
		cmocka_unit_test(test_drain_goes_on_with_acknowledgements),
		cmocka_unit_test(test_drain_without_edges_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
