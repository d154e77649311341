/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way through a whole router. */
#include "services/router/router_test.h"

#include "common/base/clock.h"
#include "services/router/room.h"

static struct fixture f;

static void test_events_come_in_order_and_are_answered_when_acknowledged(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	for (uint64_t i = 1; i <= 100; i++)
		publish(&f.ingest, (struct publish){ .ref = i, .uid = i, .rooms = { "a" } });
	for (uint64_t i = 1; i <= 100; i++)
		expect_deliver(&f.edge[0], i);
	node_sync(&f.ingest);
	assert_int_equal(script_count(&f.ingest.script, WIRE_PUBLISHED), 0);
	assert_int_equal(f.router.pendings.live, 100);
	node_ack(&f.edge[0]);
	for (uint64_t i = 1; i <= 100; i++)
		expect_published(&f.ingest, i, false);
	assert_int_equal(f.router.pendings.live, 0);
	fixture_close(&f);
}

static void test_event_nobody_holds_is_answered_at_once(void **state)
{
	(void)state;
	fixture_open(&f);
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	expect_published(&f.ingest, 1, false);
	assert_int_equal(f.router.history_count, 1); /* it may be asked for */
	fixture_close(&f);
}

static void test_event_waits_for_all_edges_and_each_gets_one_copy(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	subscribe(&f.edge[0], "/,b");
	subscribe(&f.edge[1], "/,b");
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a", "b", "c" } });
	publish(&f.ingest, (struct publish){ .ref = 2, .uid = 2, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 1);
	expect_deliver(&f.edge[0], 2);
	expect_deliver(&f.edge[1], 1);
	node_sync(&f.edge[1]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 2);
	assert_int_equal(script_count(&f.edge[1].script, WIRE_DELIVER), 1);
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 2, false); /* the first still waits for edge-1 */
	node_ack(&f.edge[1]);
	expect_published(&f.ingest, 1, false);
	fixture_close(&f);
}

static void test_event_that_came_before_is_not_sent_again(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 9, .rooms = { "a" } });
	publish(&f.ingest, (struct publish){ .ref = 2, .uid = 9, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 9);
	node_sync(&f.ingest);
	assert_int_equal(script_count(&f.ingest.script, WIRE_PUBLISHED),
			 0); /* the second waits with the first */
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 1, false);
	expect_published(&f.ingest, 2, true);
	publish(&f.ingest, (struct publish){ .ref = 3, .uid = 9, .rooms = { "a" } });
	expect_published(&f.ingest, 3, true);
	publish(&f.ingest,
		(struct publish){ .ref = 4, .rooms = { "a" } }); /* without an id: always new */
	publish(&f.ingest, (struct publish){ .ref = 5, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 0);
	expect_deliver(&f.edge[0], 0);
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 4, false);
	expect_published(&f.ingest, 5, false);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 3);
	fixture_close(&f);
}

static void test_publisher_that_is_gone_is_not_answered(void **state)
{
	struct node later;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	publish(&f.ingest, (struct publish){ .ref = 2, .uid = 1, .rooms = { "a" } }); /* an asker */
	expect_deliver(&f.edge[0], 1);
	node_sync(&f.ingest);
	node_open(&later, &f.world, "ingest", "ingest-0", 10); /* its next life */
	node_greet(&later, 1);
	assert_int_equal(f.router.pendings.live, 1);
	assert_int_equal(f.router.askers.live, 0);
	publish(&later, (struct publish){ .ref = 1,
					  .uid = 1,
					  .rooms = { "a" } }); /* sent again: it had no answer */
	node_sync(&later);
	later.script.looked_at = 0;
	node_ack(&f.edge[0]);
	expect_published(&later, 1, true);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 1);
	assert_int_equal(f.router.pendings.live, 0);
	node_close(&later);
	fixture_close(&f);
}

static void test_edge_that_is_gone_is_not_waited_for(void **state)
{
	struct node later;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 1);
	node_open(&later, &f.world, "edge", "edge-0", 11);
	node_greet(&later, 1);
	expect_published(&f.ingest, 1, false);
	assert_int_equal(room_find(&f.router, STR("/,a"))->edge_count, 0);
	subscribe_since(&later, "/,a", f.router.born);
	expect_deliver(&later, 1);
	assert_false(script_wait(&later.script, WIRE_SUBSCRIBED)->any.subscribed.gap);
	node_close(&later);
	fixture_close(&f);
}

/* An edge publishes to a room it holds itself, and dies while its own acknowledgement is waited for. */
static void test_edge_that_waits_for_itself_may_go(void **state)
{
	struct node later;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	publish(&f.edge[0], (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	publish(&f.edge[0], (struct publish){ .ref = 2, .uid = 1, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 1);
	node_sync(&f.edge[0]);
	node_open(&later, &f.world, "edge", "edge-0", 11);
	node_greet(&later, 1);
	assert_int_equal(f.router.pendings.live + f.router.askers.live, 0);
	node_close(&later);
	fixture_close(&f);
}

static void test_slow_edge_is_reset_and_gets_the_rest_from_history(void **state)
{
	uint64_t uid, had = 0;

	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.link_unacked_count = 100;
	subscribe(&f.edge[0], "/,a"); /* its answer is not acknowledged either */
	for (uid = 1; uid <= 120; uid++) {
		publish(&f.ingest, (struct publish){ .ref = uid, .uid = uid, .rooms = { "a" } });
		if (uid % 50 == 0) {
			node_sync(&f.ingest);
			node_ack(&f.ingest); /* the bound is for its answers, too */
		}
	}
	for (uid = 1; uid <= 60; uid++)
		had = expect_deliver(&f.edge[0], uid);
	script_wait(&f.edge[0].script, WIRE_RESYNC);
	node_sync(&f.ingest);
	node_ack(&f.ingest);
	node_sync(&f.ingest);
	node_greet(&f.edge[0], 2);
	subscribe_since(&f.edge[0], "/,a", had);
	for (uid = 61; uid <= 120; uid++)
		expect_deliver(&f.edge[0], uid);
	assert_false(expect_subscribed(&f.edge[0]));
	for (uid = 1; uid <= 120; uid++)
		script_wait(&f.ingest.script, WIRE_PUBLISHED);
	fixture_close(&f);
}

static void test_replay_starts_where_the_edge_was(void **state)
{
	uint64_t place[6];

	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.history_count = 3;
	subscribe(&f.edge[1], "/,a");
	for (uint64_t uid = 1; uid <= 5; uid++) {
		publish(&f.ingest, (struct publish){ .ref = uid, .uid = uid, .rooms = { "a" } });
		place[uid] = expect_deliver(&f.edge[1], uid);
	}
	subscribe_since(&f.edge[0], "/,a", place[3]);
	expect_deliver(&f.edge[0], 4);
	expect_deliver(&f.edge[0], 5);
	assert_false(expect_subscribed(&f.edge[0]));
	f.edge[0].last_place = 0;
	subscribe_since(&f.edge[0], "/,a", place[2]); /* exactly what is there */
	for (uint64_t uid = 3; uid <= 5; uid++)
		expect_deliver(&f.edge[0], uid);
	assert_false(expect_subscribed(&f.edge[0]));
	subscribe_since(&f.edge[0], "/,a", place[1]); /* 2 is no longer there */
	assert_true(expect_subscribed(&f.edge[0]));
	subscribe_since(&f.edge[0], "/,a", place[5]);
	assert_false(expect_subscribed(&f.edge[0]));
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 5);
	fixture_close(&f);
}

/* Places go on across the lives of a router: one of a time before this one's is of an earlier life, and nobody has vouched for it. */
static void test_place_of_an_earlier_life_is_a_gap(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe_since(&f.edge[0], "/,a", f.router.born - 1);
	assert_true(expect_subscribed(&f.edge[0]));
	subscribe_since(&f.edge[0], "/,b", f.router.born);
	assert_false(expect_subscribed(&f.edge[0]));
	subscribe(&f.edge[1], "/,a"); /* nothing was seen: nothing is missed */
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	assert_true(expect_deliver(&f.edge[1], 1) > f.router.born);
	fixture_close(&f);
}

static void test_places_grow_whatever_the_clock_does(void **state)
{
	static const struct {
		uint64_t wall_ms, want;
	} cases[] = {
		{ 1000, UINT64_C(1000000) << PLACE_US_SHIFT },
		{ 1000, (UINT64_C(1000000) << PLACE_US_SHIFT) + 1 }, /* it stands */
		{ 400, (UINT64_C(1000000) << PLACE_US_SHIFT) + 2 },  /* it goes back */
		{ 1001, UINT64_C(1001000) << PLACE_US_SHIFT },
	};
	struct router router = { .place = 5 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		clock_fake(1, cases[i].wall_ms);
		router.place = router_next_place(&router);
		clock_fake(0, 0);
		assert_int_equal(router.place, cases[i].want);
	}
}

static void test_volatile_event_is_sent_and_forgotten(void **state)
{
	const struct seen *seen;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	publish(&f.ingest,
		(struct publish){ .uid = 5, .rooms = { "a", "b" }, .is_volatile = true });
	seen = script_wait(&f.edge[0].script, WIRE_DELIVER);
	assert_int_equal(seen->first, 0);
	assert_int_equal(seen->any.deliver.place, 0);
	assert_true(seen->any.deliver.is_volatile);
	node_sync(&f.ingest);
	assert_int_equal(script_count(&f.ingest.script, WIRE_PUBLISHED), 0);
	assert_int_equal(f.router.history_count + f.router.pendings.live, 0);
	assert_null(room_find(&f.router, STR("/,b")));
	fixture_close(&f);
}

static void test_malformed_event_is_refused(void **state)
{
	const struct seen *seen;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	publish(&f.ingest,
		(struct publish){ .ref = 7, .uid = 1, .rooms = { "a" }, .attachments = 2 });
	seen = script_wait(&f.ingest.script, WIRE_PUBLISHED);
	assert_int_equal(seen->any.published.ref, 7);
	assert_int_equal(seen->any.published.code.n, sizeof("MALFORMED") - 1);
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 0);
	fixture_close(&f);
}

static void test_event_when_memory_ends_is_refused_whole(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	f.router.pendings.max = 1;
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	publish(&f.ingest, (struct publish){ .ref = 2, .uid = 2, .rooms = { "a" } });
	assert_int_equal(script_wait(&f.ingest.script, WIRE_PUBLISHED)->any.published.code.n,
			 sizeof("UNAVAILABLE") - 1);
	node_ack(&f.edge[0]);
	expect_deliver(&f.edge[0], 1);
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 1, false);
	publish(&f.ingest, (struct publish){ .ref = 3,
					     .uid = 2,
					     .rooms = { "a" } }); /* its id was not taken */
	expect_deliver(&f.edge[0], 2);
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 3, false);
	fixture_close(&f);
}

static void test_unsubscribed_edge_gets_no_more(void **state)
{
	struct wire_unsubscribe m = { .room = STR("/,a") };

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	node_say(&f.edge[0], WIRE_UNSUBSCRIBE, &m);
	node_say(&f.edge[0], WIRE_UNSUBSCRIBE, &m);
	node_sync(&f.edge[0]);
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 1, .rooms = { "a" } });
	expect_published(&f.ingest, 1, false);
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 0);
	fixture_close(&f);
}

/* A socket is a room of its own: whoever holds it gets the event, and nobody else. */
static void test_event_to_a_socket_goes_to_its_edge_alone(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[1], "/,abcdefghijklmnopqrst");
	publish(&f.ingest,
		(struct publish){ .ref = 1, .uid = 1, .rooms = { "abcdefghijklmnopqrst" } });
	expect_deliver(&f.edge[1], 1);
	node_ack(&f.edge[1]);
	expect_published(&f.ingest, 1, false);
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 0);
	fixture_close(&f);
}

static void expect_edges(struct node *n, const char *const *names, const char *const *endpoints,
			 const char *const *tags)
{
	const struct wire_edges *m = &script_wait(&n->script, WIRE_EDGES)->any.edges;
	const struct wire_list *lists[3] = { &m->names, &m->endpoints, &m->tags };
	const char *const *wanted[3] = { names, endpoints, tags };

	for (int i = 0; i < 3; i++) {
		struct wire_list_walk w;
		struct str text = STR_NONE;
		size_t at = 0;

		wire_list_walk(lists[i], &w);
		for (; wanted[i][at] && wire_list_next(&w, &text); at++)
			assert_str(text, str_of(wanted[i][at]));
		assert_null(wanted[i][at]);
		assert_int_equal(lists[i]->count, at);
	}
}

static const char *const both[] = { "edge-0", "edge-1", NULL };
static const char *const nowhere[] = { "", "", NULL };

static void test_everybody_is_told_of_edges(void **state)
{
	static const char *const first[] = { "edge-0", NULL }, *const none[] = { "", NULL };
	static const char *const endpoints[] = { "", "ipc:///tmp/e1", NULL };
	static const char *const tags[] = { "", "AbCd", NULL };
	struct wire_advertise advertise = { .endpoint = STR("ipc:///tmp/e1"), .tag = STR("AbCd") };

	(void)state;
	fixture_open(&f);
	expect_edges(&f.edge[0], first, none, none);
	expect_edges(&f.edge[1], both, nowhere, nowhere);
	expect_edges(&f.ingest, both, nowhere, nowhere);
	node_say(&f.edge[1], WIRE_ADVERTISE, &advertise);
	expect_edges(&f.ingest, both, endpoints, tags);
	expect_edges(&f.edge[0], both, endpoints, tags);
	expect_edges(&f.edge[1], both, endpoints, tags);
	node_synced(&f.edge[0]);
	expect_edges(&f.ingest, both, endpoints, tags);
	node_say(&f.edge[1], WIRE_VERIFY,
		 &(struct wire_verify){ 0 }); /* not for a router: counted */
	node_sync(&f.edge[1]);
	fixture_close(&f);
}

static void test_edge_that_says_goodbye_is_no_longer_told_of(void **state)
{
	static const char *const second[] = { "edge-1", NULL }, *const none[] = { "", NULL };
	struct wire_bye bye = { .nonce = 1 };

	(void)state;
	fixture_open(&f);
	expect_edges(&f.ingest, both, nowhere, nowhere);
	script_say(&f.edge[0].script, 0, 0, WIRE_BYE, &bye);
	expect_edges(&f.ingest, second, none, none);
	assert_int_equal(metrics_values[METRIC_EDGES], 1);
	fixture_close(&f);
}

/* 255 attachments and the DELIVER's body are more frames than a link takes: nobody could be given that message again. */
static void test_event_of_too_many_frames_is_refused(void **state)
{
	struct str room = STR("a");
	struct wire_publish m = { .ref = 7,
				  .nsp = STR("/"),
				  .event = STR("e"),
				  .rooms = { .count = 1, .items = &room } };
	struct str frames[2 + WIRE_MAX_PAYLOADS];
	char envelope[BUS_ENVELOPE_BYTES];

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	for (uint64_t count = WIRE_MAX_PAYLOADS - 1; count <= WIRE_MAX_PAYLOADS; count++) {
		struct blob *body;

		m.attachments = count - 1;
		m.uid_low = count;
		body = wire_pack(WIRE_PUBLISH, &m);
		frames[0] = bus_envelope(envelope, ++f.ingest.sent, 0);
		frames[1] = blob_str(body);
		for (uint64_t i = 0; i < count; i++)
			frames[2 + i] = STR("{}");
		assert_int_equal(adapt_zmq_send(f.ingest.script.sock, frames, 2 + count), 0);
		blob_unref(&body);
		if (count < WIRE_MAX_PAYLOADS) {
			expect_deliver(&f.edge[0], count);
			node_ack(&f.edge[0]);
			expect_published(&f.ingest, 7, false);
		}
	}
	assert_str(script_wait(&f.ingest.script, WIRE_PUBLISHED)->any.published.code,
		   STR("MALFORMED"));
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_come_in_order_and_are_answered_when_acknowledged),
		cmocka_unit_test(test_event_nobody_holds_is_answered_at_once),
		cmocka_unit_test(test_event_waits_for_all_edges_and_each_gets_one_copy),
		cmocka_unit_test(test_event_that_came_before_is_not_sent_again),
		cmocka_unit_test(test_publisher_that_is_gone_is_not_answered),
		cmocka_unit_test(test_edge_that_is_gone_is_not_waited_for),
		cmocka_unit_test(test_edge_that_waits_for_itself_may_go),
		cmocka_unit_test(test_slow_edge_is_reset_and_gets_the_rest_from_history),
		cmocka_unit_test(test_replay_starts_where_the_edge_was),
		cmocka_unit_test(test_place_of_an_earlier_life_is_a_gap),
		cmocka_unit_test(test_places_grow_whatever_the_clock_does),
		cmocka_unit_test(test_volatile_event_is_sent_and_forgotten),
		cmocka_unit_test(test_malformed_event_is_refused),
		cmocka_unit_test(test_event_when_memory_ends_is_refused_whole),
		cmocka_unit_test(test_unsubscribed_edge_gets_no_more),
		cmocka_unit_test(test_event_to_a_socket_goes_to_its_edge_alone),
		cmocka_unit_test(test_everybody_is_told_of_edges),
		cmocka_unit_test(test_edge_that_says_goodbye_is_no_longer_told_of),
		cmocka_unit_test(test_event_of_too_many_frames_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
