/* SPDX-License-Identifier: Apache-2.0 */
/* A router that was started anew: what edges give back to it, and what waits meanwhile. */
#include "common/base/mem.h"
#include "services/router/room.h"
#include "services/router/router_test.h"

#define OLD_EPOCH 4711 /* of the router before */
#define SETTLE_MS 150

static struct fixture f;

/* Places of the life before: in the order of n, all before this life began. */
static uint64_t old(uint64_t n)
{
	return f.router.born - 1000 + n;
}

struct returned {
	uint64_t place, uid, attachments;
	const char *rooms[ROOMS_MAX + 1];
	enum wire_id id;   /* 0: DELIVER */
	uint32_t payloads; /* behind the DELIVER; 0: one */
};

static void give_back(struct node *n, struct returned r)
{
	struct str rooms[ROOMS_MAX], frames[5];
	struct wire_deliver d = { .place = r.place,
				  .uid_low = r.uid,
				  .nsp = STR("/"),
				  .event = STR("e"),
				  .attachments = r.attachments };
	struct wire_return_ m = { 0 };
	struct blob *body = wire_pack(WIRE_RETURN, &m), *deliver;
	char envelope[BUS_ENVELOPE_BYTES];
	uint32_t payloads = r.payloads ? r.payloads : 1;

	while (d.rooms.count < ROOMS_MAX && r.rooms[d.rooms.count]) {
		rooms[d.rooms.count] = str_of(r.rooms[d.rooms.count]);
		d.rooms.count++;
	}
	d.rooms.items = rooms;
	deliver = r.id ? wire_pack(r.id, &m) : wire_pack(WIRE_DELIVER, &d);
	assert_non_null(deliver);
	frames[0] = bus_envelope(envelope, ++n->sent, n->acked);
	frames[1] = blob_str(body);
	frames[2] = blob_str(deliver);
	frames[3] = frames[4] = STR("{\"payload\":1}");
	assert_int_equal(adapt_zmq_send(n->script.sock, frames, 3 + payloads), 0);
	blob_unref(&body);
	blob_unref(&deliver);
}

static void give_back_a(struct node *n, uint64_t number)
{
	give_back(n, (struct returned){ .place = old(number), .uid = number, .rooms = { "a" } });
}

static void subscribe_old(struct node *n, const char *room, uint64_t from, uint64_t upto)
{
	subscribe_known(n, room, OLD_EPOCH, old(from), old(upto));
}

static void open_two(void)
{
	router_open(&f, SETTLE_MS);
	edge_open(&f, 0);
	edge_open(&f, 1);
	assert_false(f.router.settled);
}

static void settle(void)
{
	RUN_UNTIL(&f.world, f.router.settled);
	assert_int_equal(map_count(&f.router.returned), 0);
	assert_true(list_empty(&f.router.early));
}

static void test_returns_of_two_edges_are_merged_once_and_in_order(void **state)
{
	(void)state;
	open_two();
	give_back_a(&f.edge[0], 2);
	give_back_a(&f.edge[0], 4);
	give_back_a(&f.edge[1], 4); /* both had it */
	give_back_a(&f.edge[1], 3);
	give_back_a(&f.edge[1], 5);
	subscribe_old(&f.edge[0], "/,a", 1, 4);
	subscribe_old(&f.edge[1], "/,a", 1, 5);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	assert_int_equal(f.router.history_count, 4);
	assert_int_equal(expect_deliver(&f.edge[0], 5), old(5)); /* the only one it had not */
	assert_false(expect_subscribed(&f.edge[0]));
	assert_false(expect_subscribed(&f.edge[1]));
	assert_int_equal(script_count(&f.edge[1].script, WIRE_DELIVER), 0);
	edge_open(&f, 2);
	subscribe_old(&f.edge[2], "/,a", 1, 1); /* a client's position, from before all of them */
	for (uint64_t uid = 2; uid <= 5; uid++)
		assert_int_equal(expect_deliver(&f.edge[2], uid), old(uid));
	assert_false(expect_subscribed(&f.edge[2]));
	fixture_close(&f);
}

static void test_what_comes_behind_has_greater_places(void **state)
{
	(void)state;
	open_two();
	give_back_a(&f.edge[0], 2);
	subscribe_old(&f.edge[0], "/,a", 1, 1);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	ingest_open(&f);
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 9, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 2);
	assert_true(expect_deliver(&f.edge[0], 9) > f.router.born);
	fixture_close(&f);
}

/* Who had published it to the router before had no answer, and sends it again. */
static void test_event_that_was_given_back_is_known(void **state)
{
	(void)state;
	open_two();
	give_back_a(&f.edge[0], 2);
	subscribe_old(&f.edge[0], "/,a", 1, 2);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	ingest_open(&f);
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 2, .rooms = { "a" } });
	expect_published(&f.ingest, 1, true);
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 0);
	fixture_close(&f);
}

static void test_history_of_rooms_nobody_holds_is_not_kept(void **state)
{
	(void)state;
	open_two();
	give_back(&f.edge[0],
		  (struct returned){ .place = old(2), .uid = 2, .rooms = { "a", "b" } });
	subscribe_old(&f.edge[0], "/,b", 1, 2);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	assert_null(room_find(&f.router, STR("/,a")));
	assert_int_equal(room_find(&f.router, STR("/,b"))->history_count, 1);
	fixture_close(&f);
}

/* What the router before had, and no edge that is there: who says that it has seen it is told of a gap. */
static void test_place_nobody_vouches_for_is_a_gap(void **state)
{
	(void)state;
	open_two();
	give_back_a(&f.edge[0], 3);
	subscribe_old(&f.edge[0], "/,a", 2, 4);
	subscribe_old(&f.edge[1], "/,b", 5, 5);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	assert_false(expect_subscribed(&f.edge[0]));
	edge_open(&f, 2);
	subscribe_old(&f.edge[2], "/,a", 1, 1); /* 2 may have been something */
	assert_true(expect_subscribed(&f.edge[2]));
	subscribe_old(&f.edge[2], "/,a", 9, 9); /* has seen more than any edge */
	assert_true(expect_subscribed(&f.edge[2]));
	subscribe_old(&f.edge[2], "/,c", 9, 9); /* nobody held it */
	assert_true(expect_subscribed(&f.edge[2]));
	assert_int_equal(script_count(&f.edge[2].script, WIRE_DELIVER), 0);
	fixture_close(&f);
}

static void test_subscribe_waits_only_when_something_may_be_missed(void **state)
{
	(void)state;
	open_two();
	subscribe_old(&f.edge[0], "/,a", 1, 1);
	subscribe(&f.edge[0], "/,b"); /* is answered */
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_SUBSCRIBED), 1);
	assert_false(f.router.settled);
	give_back_a(&f.edge[1], 2); /* may come behind it */
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	expect_deliver(&f.edge[0], 2);
	assert_false(expect_subscribed(&f.edge[0]));
	fixture_close(&f);
}

static void test_publish_of_an_edge_waits_and_keeps_its_order(void **state)
{
	(void)state;
	open_two();
	subscribe(&f.edge[1], "/,a");
	for (uint64_t uid = 1; uid <= 20; uid++)
		publish(&f.edge[0], (struct publish){ .ref = uid, .uid = uid, .rooms = { "a" } });
	publish(&f.edge[0], (struct publish){ .rooms = { "a" }, .is_volatile = true });
	assert_true(script_wait(&f.edge[1].script, WIRE_DELIVER)->any.deliver.is_volatile);
	assert_false(f.router.settled);
	assert_int_equal(f.router.history_count, 0);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	settle();
	for (uint64_t uid = 1; uid <= 20; uid++)
		expect_deliver(&f.edge[1], uid);
	node_ack(&f.edge[1]);
	for (uint64_t uid = 1; uid <= 20; uid++)
		expect_published(&f.edge[0], uid, false);
	fixture_close(&f);
}

static void test_resume_and_replay_wait(void **state)
{
	struct wire_resume resume = {
		.ref = 5, .pid = STR("p"), .nsp = STR("/"), .user_id = STR("u")
	};
	struct wire_session session = { .ref = 6,
					.pid = STR("p"),
					.sid = STR("s"),
					.nsp = STR("/"),
					.user_id = STR("u"),
					.generation = 3,
					.parked_ms = 10 };
	struct str item = STR("\0\0\0\0\0\0\0\1....\0/,a");
	struct wire_replay replay = { .ref = 7, .rooms = { .count = 1, .items = &item } };
	const struct wire_resumed *resumed;

	(void)state;
	open_two();
	node_say(&f.edge[0], WIRE_RESUME, &resume);
	node_say(&f.edge[0], WIRE_REPLAY, &replay);
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_RESUMED), 0);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_REPEATED), 0);
	node_say(&f.edge[1], WIRE_SESSION, &session); /* the edge that has it comes later */
	assert_str(script_wait(&f.edge[1].script, WIRE_SAVED)->any.saved.code, STR_NONE);
	assert_false(f.router.settled);
	node_synced(&f.edge[0]);
	node_synced(&f.edge[1]);
	resumed = &script_wait(&f.edge[0].script, WIRE_RESUMED)->any.resumed;
	assert_str(resumed->code, STR_NONE);
	assert_int_equal(resumed->generation, 4);
	assert_int_equal(script_wait(&f.edge[0].script, WIRE_REPEATED)->any.repeated.ref, 7);
	script_wait(&f.edge[1].script, WIRE_SESSION_TAKEN);
	fixture_close(&f);
}

static void test_router_waits_for_an_edge_that_has_not_told_all(void **state)
{
	(void)state;
	open_two();
	node_synced(&f.edge[0]);
	RUN_UNTIL(&f.world, clock_ms() > f.router.settle_until_ms + 100);
	assert_false(f.router.settled);
	node_synced(&f.edge[1]);
	settle();
	fixture_close(&f);
}

static void test_router_waits_for_the_edges_that_publishers_know(void **state)
{
	struct str names[] = { STR("edge-0") };
	struct wire_list known = { .count = 1, .items = names };

	(void)state;
	router_open(&f, 50);
	node_open(&f.ingest, &f.world, "ingest", "ingest-0", 3);
	node_hello(&f.ingest, 1, &known);
	RUN_UNTIL(&f.world, f.router.awaited_edges);
	node_hello(&f.ingest, 2, &known); /* says it again */
	RUN_UNTIL(&f.world, clock_ms() > f.router.settle_until_ms + 50);
	assert_false(f.router.settled);
	assert_null(f.router.awaited_edges->next);
	edge_open(&f, 0);
	subscribe(&f.edge[0], "/,a");
	assert_false(f.router.settled);
	node_synced(&f.edge[0]);
	settle();
	assert_int_equal(script_count(&f.ingest.script, WIRE_WELCOME), 0);
	node_greet(&f.ingest, 3);
	assert_int_equal(script_wait(&f.ingest.script, WIRE_EDGES)->any.edges.names.count, 1);
	fixture_close(&f);
}

static void test_edge_that_never_comes_back_is_not_waited_for_for_ever(void **state)
{
	struct str names[] = { STR("edge-0"), STR("edge-9") };
	struct wire_list known = { .count = 2, .items = names };

	(void)state;
	router_open(&f, 20);
	f.router.settle_at_latest_ms = f.router.settle_until_ms + 200;
	node_open(&f.ingest, &f.world, "ingest", "ingest-0", 3);
	node_hello(&f.ingest, 1, &known);
	RUN_UNTIL(&f.world, f.router.awaited_edges);
	edge_open(&f, 0);
	publish(&f.edge[0], (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	node_synced(&f.edge[0]);
	settle();
	assert_true(clock_ms() >= f.router.settle_at_latest_ms);
	assert_null(f.router.awaited_edges);
	expect_published(&f.edge[0], 1, false);
	node_greet(&f.ingest, 2);
	fixture_close(&f);
}

static void test_what_is_given_back_too_late_is_ignored(void **state)
{
	(void)state;
	fixture_open(&f);
	assert_true(f.router.settled);
	subscribe(&f.edge[0], "/,a");
	give_back_a(&f.edge[0], 2);
	node_sync(&f.edge[0]);
	assert_int_equal(f.router.history_count + map_count(&f.router.returned), 0);
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 2, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 2); /* its uid is not known either */
	fixture_close(&f);
}

static void test_what_is_no_message_of_the_life_before_is_ignored(void **state)
{
	const struct returned cases[] = {
		{ .rooms = { "a" }, .place = 0 },
		{ .rooms = { "a" }, .place = UINT64_MAX },
		{ .rooms = { "a" }, .place = 1, .attachments = 1 },
		{ .rooms = { "a" }, .place = 1, .payloads = 2 },
		{ .rooms = { "a" }, .place = 1, .id = WIRE_RETURN },
	};
	struct wire_return_ alone = { 0 };

	(void)state;
	open_two();
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		give_back(&f.edge[0], cases[i]);
	give_back(&f.edge[0], (struct returned){ .place = f.router.born, .rooms = { "a" } });
	node_say(&f.edge[0], WIRE_RETURN, &alone);
	node_sync(&f.edge[0]);
	assert_int_equal(map_count(&f.router.returned), 0);
	fixture_close(&f); /* before it has settled */
}

/* Nobody answers it, nobody acts for it, and nothing of it stays. */
static void test_peer_that_is_gone_while_its_messages_wait_is_forgotten(void **state)
{
	struct wire_bye bye = { .nonce = 1 };
	struct room *room;

	(void)state;
	open_two();
	subscribe_old(&f.edge[0], "/,a", 1, 1);
	subscribe_old(&f.edge[0], "/,b", 1, 1);
	give_back(&f.edge[1], (struct returned){ .place = old(2), .uid = 2, .rooms = { "b" } });
	publish(&f.edge[0], (struct publish){ .ref = 1, .uid = 1, .rooms = { "b" } });
	subscribe_old(&f.edge[1], "/,c", 1, 1);
	node_sync(&f.edge[0]);
	node_sync(&f.edge[1]);
	script_say(&f.edge[0].script, 0, 0, WIRE_BYE, &bye);
	RUN_UNTIL(&f.world, metrics_values[METRIC_EDGES] == 1);
	node_synced(&f.edge[1]);
	settle();
	assert_false(expect_subscribed(&f.edge[1]));
	assert_int_equal(f.router.place, f.router.born); /* nothing was published */
	room = room_find(
		&f.router,
		STR("/,a")); /* of it the router knows how far the edge was: for the window */
	assert_int_equal(room->edge_count, 0);
	room->vacant_ms = 1;
	room_sweep(&f.router);
	assert_null(room_find(&f.router, STR("/,a")));
	fixture_close(&f);
}

/* What could not be kept is told as a gap: better than a hole that nobody sees. */
static void test_given_back_without_memory_is_a_gap(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 5;
	     n++) { /* the message, its body, its payload, its place in the table; none */
		struct str room = STR("a"), payload[2] = { STR_NONE, STR("{}") };
		struct bus_message m = { .payload = payload, .payload_count = 2 };
		struct wire_deliver d = { .nsp = STR("/"),
					  .event = STR("e"),
					  .rooms = { .count = 1, .items = &room } };
		struct blob *body;

		open_two();
		d.place = old(2);
		body = wire_pack(WIRE_DELIVER, &d);
		payload[0] = blob_str(body);
		mem_fail_at(n);
		settle_on_return(&f.router, &m);
		mem_fail_at(0);
		blob_unref(&body);
		subscribe_old(&f.edge[0], "/,a", 1, 1);
		node_synced(&f.edge[0]);
		node_synced(&f.edge[1]);
		settle();
		assert_int_equal(expect_subscribed(&f.edge[0]), n < 5);
		assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), n < 5 ? 0 : 1);
		subscribe_since(&f.edge[1], "/,a", f.router.born); /* of this life all is known */
		assert_false(expect_subscribed(&f.edge[1]));
		fixture_close(&f);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_returns_of_two_edges_are_merged_once_and_in_order),
		cmocka_unit_test(test_what_comes_behind_has_greater_places),
		cmocka_unit_test(test_event_that_was_given_back_is_known),
		cmocka_unit_test(test_history_of_rooms_nobody_holds_is_not_kept),
		cmocka_unit_test(test_place_nobody_vouches_for_is_a_gap),
		cmocka_unit_test(test_subscribe_waits_only_when_something_may_be_missed),
		cmocka_unit_test(test_publish_of_an_edge_waits_and_keeps_its_order),
		cmocka_unit_test(test_resume_and_replay_wait),
		cmocka_unit_test(test_router_waits_for_an_edge_that_has_not_told_all),
		cmocka_unit_test(test_router_waits_for_the_edges_that_publishers_know),
		cmocka_unit_test(test_edge_that_never_comes_back_is_not_waited_for_for_ever),
		cmocka_unit_test(test_what_is_given_back_too_late_is_ignored),
		cmocka_unit_test(test_what_is_no_message_of_the_life_before_is_ignored),
		cmocka_unit_test(test_peer_that_is_gone_while_its_messages_wait_is_forgotten),
		cmocka_unit_test(test_given_back_without_memory_is_a_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
