/* SPDX-License-Identifier: Apache-2.0 */
/* A whole router, with edges and publishers played by hand over real links. */
#include "services/router/router.h"

#include "common/base/mem.h"
#include "common/bus/bus_hand_test.h"
#include "common/metrics/metrics.h"
#include "services/router/room.h"

#define ROOMS_MAX 3

/* An edge or a publisher. */
struct node {
	struct script script;
	const char *name, *role;
	uint64_t epoch, sent, acked;
	size_t acked_at; /* what of script.seen has been acknowledged */
};

struct fixture {
	struct world world;
	struct end end;
	struct router router;
	struct node edge[2], ingest;
};

static void node_say(struct node *n, enum wire_id id, const void *message)
{
	script_say(&n->script, ++n->sent, n->acked, id, message);
}

static void node_hello(struct node *n, uint64_t nonce, const struct wire_list *known)
{
	struct wire_hello m = { .version = WIRE_VERSION,
				.name = str_of(n->name),
				.role = str_of(n->role),
				.epoch = n->epoch,
				.nonce = nonce };

	if (known)
		m.known = *known;
	n->sent = n->acked = 0;
	script_say(&n->script, 0, 0, WIRE_HELLO, &m);
}

static void node_greet(struct node *n, uint64_t nonce)
{
	node_hello(n, nonce, NULL);
	while (script_wait(&n->script, WIRE_WELCOME)->any.welcome.nonce != nonce)
		;
	n->acked_at = n->script.count;
}

static void node_open(struct node *n, struct fixture *f, const char *role, const char *name,
		      uint64_t epoch)
{
	char identity[64];

	memset(n, 0, sizeof(*n));
	n->role = role;
	n->name = name;
	n->epoch = epoch;
	snprintf(identity, sizeof(identity), "%s/%llu", name, (unsigned long long)epoch);
	script_open(&n->script, &f->world, ADAPT_ZMQ_DEALER, identity, f->world.endpoint);
}

static void node_close(struct node *n)
{
	if (n->script.sock)
		script_close(&n->script);
}

/* Everything that came so far is acknowledged. */
static void node_ack(struct node *n)
{
	struct wire_pong pong = { .sent = n->sent };

	for (; n->acked_at < n->script.count; n->acked_at++)
		if (n->script.seen[n->acked_at].first > n->acked)
			n->acked = n->script.seen[n->acked_at].first;
	script_say(&n->script, 0, n->acked, WIRE_PONG, &pong);
}

static bool is_handled(const struct node *n)
{
	return n->sent == 0 ||
	       (n->script.count > 0 && n->script.seen[n->script.count - 1].second >= n->sent);
}

/* The router has handled what was said, and what it answered has come. */
static void node_sync(struct node *n)
{
	struct wire_ping ping = { .sent = n->sent };

	RUN_UNTIL(n->script.world, is_handled(n));
	n->script.looked_at = n->script.count;
	script_say(&n->script, 0, n->acked, WIRE_PING, &ping);
	script_wait(&n->script, WIRE_PONG);
	script_say(&n->script, 0, n->acked, WIRE_PING, &ping);
	script_wait(&n->script, WIRE_PONG);
}

static void subscribe_since(struct node *n, const char *room, uint64_t epoch, uint64_t since)
{
	struct wire_subscribe m = { .room = str_of(room), .epoch = epoch, .since = since };

	node_say(n, WIRE_SUBSCRIBE, &m);
}

static void subscribe(struct node *n, const char *room)
{
	subscribe_since(n, room, 0, 0);
	script_wait(&n->script, WIRE_SUBSCRIBED);
}

struct publish {
	uint64_t ref, uid;
	const char *rooms[ROOMS_MAX + 1];
	bool is_volatile;
	uint64_t attachments; /* claimed; one payload frame is sent */
};

static void publish(struct node *n, struct publish p)
{
	struct str rooms[ROOMS_MAX];
	struct wire_publish m = { .ref = p.ref,
				  .uid_low = p.uid,
				  .nsp = STR("/"),
				  .event = STR("e"),
				  .is_volatile = p.is_volatile,
				  .attachments = p.attachments };
	char envelope[BUS_ENVELOPE_BYTES];
	struct blob *body;
	struct str frames[3];

	m.rooms.items = rooms;
	while (m.rooms.count < ROOMS_MAX && p.rooms[m.rooms.count]) {
		rooms[m.rooms.count] = str_of(p.rooms[m.rooms.count]);
		m.rooms.count++;
	}
	body = wire_pack(WIRE_PUBLISH, &m);
	assert_non_null(body);
	frames[0] = bus_envelope(envelope, p.is_volatile ? 0 : ++n->sent, n->acked);
	frames[1] = blob_str(body);
	frames[2] = STR("{\"payload\":1}");
	assert_int_equal(adapt_zmq_send(n->script.sock, frames, 3), 0);
	blob_unref(&body);
}

static void expect_published(struct node *n, uint64_t ref, bool duplicate)
{
	const struct seen *seen = script_wait(&n->script, WIRE_PUBLISHED);

	assert_int_equal(seen->any.published.ref, ref);
	assert_int_equal(seen->any.published.duplicate, duplicate);
	assert_int_equal(seen->any.published.code.n, 0);
}

static void expect_deliver(struct node *n, uint64_t uid, uint64_t place)
{
	const struct seen *seen = script_wait(&n->script, WIRE_DELIVER);

	assert_int_equal(seen->any.deliver.uid_low, uid);
	assert_int_equal(seen->any.deliver.place, place);
}

static void router_open(struct fixture *f, int64_t settle_ms)
{
	struct svc *svc;

	memset(f, 0, sizeof(*f));
	world_open(&f->world);
	svc = end_open(&f->end, &f->world, "router", "router-0");
	svc->conf.router_settle_ms = settle_ms;
	free(svc->conf.router_bind);
	svc->conf.router_bind = str_dup(str_of(f->world.endpoint));
	assert_int_equal(router_start(svc, &f->router), 0);
}

static void fixture_open(struct fixture *f)
{
	router_open(f, 0);
	node_open(&f->edge[0], f, "edge", "edge-0", 1);
	node_open(&f->edge[1], f, "edge", "edge-1", 2);
	node_open(&f->ingest, f, "ingest", "ingest-0", 3);
	node_greet(&f->edge[0], 1);
	node_greet(&f->edge[1], 1);
	node_greet(&f->ingest, 1);
}

static void fixture_close(struct fixture *f)
{
	node_close(&f->edge[0]);
	node_close(&f->edge[1]);
	node_close(&f->ingest);
	router_stop(&f->end.process.svc, &f->router);
	assert_int_equal(f->router.pendings.live + f->router.askers.live, 0);
	end_close(&f->end);
	world_close(&f->world);
	assert_int_equal(metrics_values[METRIC_EDGES], 0);
}

static struct fixture f;

static void test_events_come_in_order_and_are_answered_when_acknowledged(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	for (uint64_t i = 1; i <= 100; i++)
		publish(&f.ingest, (struct publish){ .ref = i, .uid = i, .rooms = { "a" } });
	for (uint64_t i = 1; i <= 100; i++)
		expect_deliver(&f.edge[0], i, i);
	node_sync(&f.ingest);
	assert_int_equal(script_count(&f.ingest.script, WIRE_PUBLISHED), 0);
	assert_int_equal(f.router.pendings.live, 100);
	f.ingest.script.looked_at = 0;
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
	expect_deliver(&f.edge[0], 1, 1);
	expect_deliver(&f.edge[0], 2, 2);
	expect_deliver(&f.edge[1], 1, 1);
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
	expect_deliver(&f.edge[0], 9, 1);
	node_sync(&f.ingest);
	assert_int_equal(script_count(&f.ingest.script, WIRE_PUBLISHED),
			 0); /* the second waits with the first */
	f.ingest.script.looked_at = 0;
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 1, false);
	expect_published(&f.ingest, 2, true);
	publish(&f.ingest, (struct publish){ .ref = 3, .uid = 9, .rooms = { "a" } });
	expect_published(&f.ingest, 3, true);
	publish(&f.ingest,
		(struct publish){ .ref = 4, .rooms = { "a" } }); /* without an id: always new */
	publish(&f.ingest, (struct publish){ .ref = 5, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 0, 2);
	expect_deliver(&f.edge[0], 0, 3);
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
	expect_deliver(&f.edge[0], 1, 1);
	node_sync(&f.ingest);
	node_open(&later, &f, "ingest", "ingest-0", 33); /* its next life */
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
	expect_deliver(&f.edge[0], 1, 1);
	node_open(&later, &f, "edge", "edge-0", 11);
	node_greet(&later, 1);
	expect_published(&f.ingest, 1, false);
	assert_int_equal(room_find(&f.router, STR("/,a"))->edge_count, 0);
	subscribe_since(&later, "/,a", bus_epoch(), 0);
	expect_deliver(&later, 1, 1);
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
	expect_deliver(&f.edge[0], 1, 1);
	node_sync(&f.edge[0]);
	node_open(&later, &f, "edge", "edge-0", 11);
	node_greet(&later, 1);
	assert_int_equal(f.router.pendings.live + f.router.askers.live, 0);
	node_close(&later);
	fixture_close(&f);
}

static void test_slow_edge_is_reset_and_gets_the_rest_from_history(void **state)
{
	uint64_t uid;

	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.link_unacked_count = 100;
	subscribe(&f.edge[0], "/,a"); /* its answer is the first unacknowledged */
	for (uid = 1; uid <= 120; uid++) {
		publish(&f.ingest, (struct publish){ .ref = uid, .uid = uid, .rooms = { "a" } });
		if (uid % 50 == 0)
			node_sync(&f.ingest);
	}
	for (uid = 1; uid <= 99; uid++)
		expect_deliver(&f.edge[0], uid, uid);
	script_wait(&f.edge[0].script, WIRE_RESYNC);
	node_sync(&f.ingest);
	node_ack(&f.ingest); /* the bound is for its answers, too */
	node_sync(&f.ingest);
	node_greet(&f.edge[0], 2);
	subscribe_since(&f.edge[0], "/,a", bus_epoch(), 60);
	for (uid = 61; uid <= 120; uid++)
		expect_deliver(&f.edge[0], uid, uid);
	assert_false(script_wait(&f.edge[0].script, WIRE_SUBSCRIBED)->any.subscribed.gap);
	f.ingest.script.looked_at = 0;
	for (uid = 1; uid <= 120; uid++)
		script_wait(&f.ingest.script, WIRE_PUBLISHED);
	fixture_close(&f);
}

static void test_replay_starts_where_the_edge_was(void **state)
{
	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.history_count = 3;
	for (uint64_t uid = 1; uid <= 5; uid++)
		publish(&f.ingest, (struct publish){ .ref = uid, .uid = uid, .rooms = { "a" } });
	for (uint64_t uid = 1; uid <= 5; uid++)
		expect_published(&f.ingest, uid, false);
	subscribe_since(&f.edge[0], "/,a", bus_epoch(), 3);
	expect_deliver(&f.edge[0], 4, 4);
	expect_deliver(&f.edge[0], 5, 5);
	assert_false(script_wait(&f.edge[0].script, WIRE_SUBSCRIBED)->any.subscribed.gap);
	subscribe_since(&f.edge[0], "/,a", bus_epoch(), 1); /* 2 is no longer there */
	expect_deliver(&f.edge[0], 3, 3);
	assert_true(script_wait(&f.edge[0].script, WIRE_SUBSCRIBED)->any.subscribed.gap);
	subscribe_since(&f.edge[0], "/,a", bus_epoch() + 1,
			4); /* of another life of the router's: all of this one is new */
	expect_deliver(&f.edge[0], 3, 3);
	assert_true(script_wait(&f.edge[0].script, WIRE_SUBSCRIBED)->any.subscribed.gap);
	subscribe(&f.edge[1], "/,a"); /* nothing was seen: nothing is missed */
	node_sync(&f.edge[1]);
	assert_int_equal(script_count(&f.edge[1].script, WIRE_DELIVER), 0);
	fixture_close(&f);
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
	expect_deliver(&f.edge[0], 1, 1);
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 1, false);
	publish(&f.ingest, (struct publish){ .ref = 3,
					     .uid = 2,
					     .rooms = { "a" } }); /* its id was not taken */
	expect_deliver(&f.edge[0], 2, 2);
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

static void test_room_named_like_a_socket_goes_to_all_edges(void **state)
{
	(void)state;
	fixture_open(&f);
	publish(&f.ingest,
		(struct publish){ .ref = 1, .uid = 1, .rooms = { "abcdefghijklmnopqrst" } });
	expect_deliver(&f.edge[0], 1, 1);
	expect_deliver(&f.edge[1], 1, 1);
	node_ack(&f.edge[0]);
	node_ack(&f.edge[1]);
	expect_published(&f.ingest, 1, false);
	fixture_close(&f);
}

static void test_new_router_waits_for_the_edges_that_publishers_know(void **state)
{
	struct str names[] = { STR("edge-0") };
	struct wire_list known = { .count = 1, .items = names };
	struct wire_synced synced = { 0 };

	(void)state;
	router_open(&f, 1000);
	node_open(&f.ingest, &f, "ingest", "ingest-0", 3);
	node_hello(&f.ingest, 1, &known);
	RUN_UNTIL(&f.world, f.router.awaited_edges);
	RUN_UNTIL(&f.world, clock_ms() > f.router.settle_until_ms + 50);
	assert_false(f.router.settled);
	node_open(&f.edge[0], &f, "edge", "edge-0", 1);
	node_greet(&f.edge[0], 1);
	subscribe(&f.edge[0], "/,a");
	assert_false(f.router.settled);
	node_say(&f.edge[0], WIRE_SYNCED, &synced);
	RUN_UNTIL(&f.world, f.router.settled);
	assert_int_equal(script_count(&f.ingest.script, WIRE_WELCOME), 0);
	node_greet(&f.ingest, 1);
	assert_int_equal(script_wait(&f.ingest.script, WIRE_EDGES)->any.edges.names.count, 1);
	fixture_close(&f);
}

static void test_publishers_are_told_of_edges(void **state)
{
	struct wire_synced synced = { 0 };

	(void)state;
	fixture_open(&f);
	assert_int_equal(script_wait(&f.ingest.script, WIRE_EDGES)->any.edges.names.count, 2);
	node_say(&f.edge[0], WIRE_SYNCED, &synced);
	assert_int_equal(script_wait(&f.ingest.script, WIRE_EDGES)->any.edges.names.count, 2);
	node_say(&f.edge[1], WIRE_VERIFY,
		 &(struct wire_verify){ 0 }); /* not for a router: counted */
	node_sync(&f.edge[1]);
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
		cmocka_unit_test(test_volatile_event_is_sent_and_forgotten),
		cmocka_unit_test(test_malformed_event_is_refused),
		cmocka_unit_test(test_event_when_memory_ends_is_refused_whole),
		cmocka_unit_test(test_unsubscribed_edge_gets_no_more),
		cmocka_unit_test(test_room_named_like_a_socket_goes_to_all_edges),
		cmocka_unit_test(test_new_router_waits_for_the_edges_that_publishers_know),
		cmocka_unit_test(test_publishers_are_told_of_edges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
