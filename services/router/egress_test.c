/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of accepted events for an ingest, through a whole router. */
#include "services/router/egress.h"

#include "services/router/router_test.h"

static struct fixture f;

static void watch(struct node *n, bool on)
{
	struct wire_watch m = { .on = on };

	node_say(n, WIRE_WATCH, &m);
	node_sync(n);
}

static void publish_from(uint64_t uid, uint64_t origin, const char *all, const char *mine)
{
	struct str rooms[] = { str_of(mine) }, every[] = { str_of(all ? all : mine), str_of(mine) };
	struct wire_publish m = { .ref = uid,
				  .uid_low = uid,
				  .nsp = STR("/"),
				  .rooms = { .count = 1, .items = rooms },
				  .event = STR("e"),
				  .origin = origin };
	char envelope[BUS_ENVELOPE_BYTES];
	struct blob *body;
	struct str frames[3];

	if (all)
		m.all = (struct wire_list){ .count = 2, .items = every };
	body = wire_pack(WIRE_PUBLISH, &m);
	assert_non_null(body);
	frames[0] = bus_envelope(envelope, ++f.ingest.sent, f.ingest.acked);
	frames[1] = blob_str(body);
	frames[2] = STR("{\"payload\":1}");
	assert_int_equal(adapt_zmq_send(f.ingest.script.sock, frames, 3), 0);
	blob_unref(&body);
	RUN_UNTIL(&f.world, f.ingest.heard_ack >= f.ingest.sent);
}

static void expect_copy(struct node *n, uint64_t uid)
{
	const struct seen *seen = script_wait(&n->script, WIRE_WATCHED);
	union wire_any any;
	enum wire_id id;

	assert_int_equal(wire_unpack(blob_str(node_payload(n, seen, 0)), &id, &any), 0);
	assert_int_equal(id, WIRE_DELIVER);
	assert_int_equal(any.deliver.uid_low, uid);
	assert_str(blob_str(node_payload(n, seen, 1)), STR("{\"payload\":1}"));
}

static size_t copies(struct node *n)
{
	node_sync(n);
	return script_count(&n->script, WIRE_WATCHED);
}

static void test_copies_when_watched_then_in_order_until_acknowledged(void **state)
{
	(void)state;
	fixture_open(&f);
	publish_from(1, 0, NULL, "a");
	watch(&f.ingest, true);
	for (uint64_t i = 2; i < 10; i++)
		publish_from(i, 0, NULL, i % 2 ? "a" : "b");
	for (uint64_t i = 2; i < 10; i++)
		expect_copy(&f.ingest, i);
	assert_int_equal(metrics_values[METRIC_EGRESS_UNACKED], 8);
	assert_true(metrics_values[METRIC_EGRESS_UNACKED_BYTES] > 0);
	node_ack(&f.ingest);
	node_sync(&f.ingest);
	assert_int_equal(metrics_values[METRIC_EGRESS_UNACKED], 0);
	assert_int_equal(metrics_values[METRIC_EGRESS_UNACKED_BYTES], 0);
	watch(&f.ingest, false);
	publish_from(10, 0, NULL, "a");
	assert_int_equal(copies(&f.ingest), 8);
	fixture_close(&f);
}

static void test_copies_when_from_redis_or_anothers_or_known_then_none(void **state)
{
	(void)state;
	fixture_open(&f);
	watch(&f.ingest, true);
	publish_from(1, ORIGIN_REDIS, NULL, "a");
	publish_from(2, 0, "elsewhere", "a"); /* its first room is another router's */
	publish_from(3, 0, "a", "a");
	publish(&f.ingest, (struct publish){ .ref = 4, .uid = 3, .rooms = { "a" } });
	expect_copy(&f.ingest, 3);
	expect_published(&f.ingest, 3, false);
	expect_published(&f.ingest, 4, true);
	assert_int_equal(copies(&f.ingest), 1);
	fixture_close(&f);
}

static void test_copies_when_another_one_asks_then_it_gets_them(void **state)
{
	struct node *other = &f.edge[2]; /* its place in the fixture, so that it is closed */

	(void)state;
	fixture_open(&f);
	node_open(other, &f.world, "ingest", "ingest-1", 10);
	node_greet(other, 1);
	watch(&f.ingest, true);
	watch(other, true);
	watch(&f.ingest, false); /* too late: it is no longer the watcher */
	publish_from(1, 0, NULL, "a");
	expect_copy(other, 1);
	assert_int_equal(copies(&f.ingest), 0);
	node_greet(other, 2); /* a new link: it says so again, or gets none */
	publish_from(2, 0, NULL, "a");
	assert_int_equal(copies(other), 1);
	fixture_close(&f);
}

static void test_copies_when_volatile_then_sent_and_not_kept(void **state)
{
	(void)state;
	fixture_open(&f);
	watch(&f.ingest, true);
	publish(&f.ingest, (struct publish){ .uid = 7, .rooms = { "a" }, .is_volatile = true });
	expect_copy(&f.ingest, 7);
	assert_int_equal(metrics_values[METRIC_EGRESS_UNACKED], 0);
	fixture_close(&f);
}

static void test_copies_when_not_acknowledged_then_no_more_than_the_bound(void **state)
{
	uint64_t dropped = metrics_values[METRIC_EGRESS_DROPPED];

	(void)state;
	fixture_open(&f);
	f.end.process.svc.conf.link_unacked_count = 100;
	watch(&f.ingest, true);
	for (uint64_t i = 1; i <= 60; i++) {
		publish(&f.ingest, (struct publish){ .uid = i, .rooms = { "a" } });
		node_sync(&f.ingest);
	}
	assert_int_equal(copies(&f.ingest), 50);
	assert_int_equal(metrics_values[METRIC_EGRESS_DROPPED] - dropped, 10);
	node_ack(&f.ingest);
	node_sync(&f.ingest);
	publish(&f.ingest, (struct publish){ .uid = 61, .rooms = { "a" } });
	assert_int_equal(copies(&f.ingest), 51);
	fixture_close(&f);
}

static void test_watch_when_from_an_edge_then_ignored(void **state)
{
	(void)state;
	fixture_open(&f);
	watch(&f.edge[0], true);
	publish_from(1, 0, NULL, "a");
	assert_int_equal(copies(&f.edge[0]), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_when_watched_then_in_order_until_acknowledged),
		cmocka_unit_test(test_copies_when_from_redis_or_anothers_or_known_then_none),
		cmocka_unit_test(test_copies_when_another_one_asks_then_it_gets_them),
		cmocka_unit_test(test_copies_when_volatile_then_sent_and_not_kept),
		cmocka_unit_test(test_copies_when_not_acknowledged_then_no_more_than_the_bound),
		cmocka_unit_test(test_watch_when_from_an_edge_then_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
