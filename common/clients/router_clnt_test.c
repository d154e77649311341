/* SPDX-License-Identifier: Apache-2.0 */
/* Publishing, against a router played by hand: order, bounds, and what is sent again to whom. */
#include "common/clients/router_clnt_test.h"

static struct fixture f;
static struct call calls[CALLS_MAX];

static int publish(unsigned number, struct wire_publish *m)
{
	calls[number] = (struct call){ .f = &f, .number = number };
	return call_publish(&calls[number], m, 0, (const char *const[]){ "a", NULL });
}

static int publish_plain(unsigned number)
{
	return publish(number, &(struct wire_publish){ .attachments = 0 });
}

static void fixture_open(size_t max_in_flight, size_t max_bytes)
{
	memset(&f, 0, sizeof(f));
	memset(calls, 0, sizeof(calls));
	world_open(&f.world);
	clnt_open(&f, f.world.endpoint, max_in_flight, max_bytes);
}

static void router_up(uint64_t epoch)
{
	hand_open(&f.router[0], &f.world, f.world.endpoint);
	hand_welcome(&f.router[0], epoch, false, 0);
}

static void answer(uint64_t ack, uint64_t ref, const char *code, bool duplicate)
{
	hand_answer(&f.router[0], ack, ref, code, duplicate);
}

static const struct wire_publish *expect_publish(uint64_t ref)
{
	const struct seen *seen = script_wait(&f.router[0].script, WIRE_PUBLISH);

	assert_int_equal(seen->any.publish.ref, ref);
	return &seen->any.publish;
}

static void test_events_wait_for_the_router_and_keep_their_order(void **state)
{
	char reason[SVC_REASON_BYTES];

	(void)state;
	fixture_open(100, 1u << 20);
	assert_false(router_clnt_ready(f.clnt, reason));
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(publish_plain(i), 0);
	router_up(7);
	for (unsigned i = 0; i < 5; i++) {
		const struct wire_publish *m = expect_publish(i + 1);

		assert_int_equal(m->uid_high, bus_epoch());
		assert_int_equal(m->uid_low, i + 1);
	}
	assert_true(router_clnt_ready(f.clnt, reason));
	assert_int_equal(f.fresh, 1);
	assert_int_equal(f.fresh_epoch, 0);
	answer(6, 1, "", false);
	answer(6, 3, "", true);
	answer(6, 2, "FORBIDDEN", false);
	answer(6, 99, "", false); /* nobody's */
	RUN_UNTIL(&f.world, f.called == 3);
	assert_int_equal(f.order[0], 0);
	assert_int_equal(f.order[1], 2);
	assert_int_equal(f.order[2], 1);
	assert_int_equal(calls[0].err, 0);
	assert_true(calls[2].duplicate);
	assert_int_equal(calls[1].err, E_DENIED);
	assert_string_equal(calls[1].code, "FORBIDDEN");
	assert_int_equal(router_clnt_pending(f.clnt), 2);
	fixture_close(&f);
	assert_int_equal(calls[3].err, E_CLOSED);
	assert_int_equal(calls[4].calls, 1);
}

static void test_new_router_gets_again_what_was_not_answered(void **state)
{
	(void)state;
	fixture_open(100, 1u << 20);
	router_up(7);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(publish_plain(i), 0);
	for (unsigned i = 0; i < 4; i++)
		expect_publish(i + 1);
	answer(5, 2, "", false); /* all received, one accepted */
	RUN_UNTIL(&f.world, f.called == 1);
	hand_close(&f.router[0]);
	assert_int_equal(publish_plain(4), 0); /* meanwhile */
	f.end.process.svc.conf.link_timeout_ms = 100;
	router_up(8);
	f.end.process.svc.conf.link_timeout_ms = 60000; /* this one says no more, and lives */
	expect_publish(1);
	expect_publish(3);
	expect_publish(4);
	expect_publish(5);
	assert_int_equal(script_count(&f.router[0].script, WIRE_PUBLISH), 4);
	assert_int_equal(f.fresh, 2);
	assert_int_equal(f.fresh_epoch, 7);
	fixture_close(&f);
}

static void test_resumed_link_gets_nothing_twice(void **state)
{
	struct wire_resync resync = { 0 };

	(void)state;
	fixture_open(100, 1u << 20);
	router_up(7);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(publish_plain(i), 0);
	for (unsigned i = 0; i < 3; i++)
		expect_publish(i + 1);
	script_say(&f.router[0].script, 0, 0, WIRE_RESYNC, &resync);
	hand_welcome(&f.router[0], 7, true, 4); /* SYNCED and three events */
	assert_int_equal(publish_plain(3), 0);
	expect_publish(4);
	assert_int_equal(script_count(&f.router[0].script, WIRE_PUBLISH), 4);
	assert_int_equal(f.fresh, 1);
	fixture_close(&f);
}

/* The link is full: what comes waits here, and goes on with acknowledgements alone. */
static void test_full_link_makes_events_wait(void **state)
{
	struct wire_pong pong = { 0 };

	(void)state;
	fixture_open(1000, 1u << 20);
	f.end.process.svc.conf.link_unacked_count = 100;
	router_up(7);
	RUN_UNTIL(&f.world, f.fresh == 1);
	for (unsigned i = 0; i < 250; i++)
		assert_int_equal(publish_plain(i), 0);
	for (unsigned i = 0; i < 99; i++) /* SYNCED is the first of the hundred */
		expect_publish(i + 1);
	script_wait(&f.router[0].script, WIRE_PING);
	assert_int_equal(script_count(&f.router[0].script, WIRE_PUBLISH), 99);
	script_say(&f.router[0].script, 0, 60, WIRE_PONG, &pong);
	for (unsigned i = 99; i < 159; i++)
		expect_publish(i + 1);
	script_say(&f.router[0].script, 0, 160, WIRE_PONG, &pong);
	for (unsigned i = 159; i < 250; i++)
		expect_publish(i + 1);
	fixture_close(&f);
	assert_int_equal(f.called, 250);
}

static void test_bounds_are_kept(void **state)
{
	(void)state;
	fixture_open(3, 1u << 20);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(publish_plain(i), 0);
	assert_int_equal(publish_plain(3), E_FULL);
	assert_int_equal(publish(4, &(struct wire_publish){ .is_volatile = true }), E_CLOSED);
	fixture_close(&f);
	assert_int_equal(f.called, 3);
	fixture_open(100, 10);
	assert_int_equal(publish_plain(0), 0); /* one may be larger */
	assert_int_equal(publish_plain(1), E_FULL);
	fixture_close(&f);
	memset(&f, 0, sizeof(f));
	world_open(&f.world);
	clnt_open(&f, "", 10, 10);
	assert_int_equal(publish_plain(0), E_UNAVAILABLE);
	assert_null(router_clnt_link(f.clnt, STR("/,a")));
	fixture_close(&f);
}

static void test_volatile_event_is_not_kept_and_given_uid_stays(void **state)
{
	const struct wire_publish *m;
	uint64_t high, low;

	(void)state;
	fixture_open(100, 1u << 20);
	router_up(7);
	RUN_UNTIL(&f.world, f.fresh == 1);
	assert_int_equal(publish(0, &(struct wire_publish){ .is_volatile = true }), 0);
	assert_int_equal(router_clnt_pending(f.clnt), 0);
	assert_true(expect_publish(0)->is_volatile);
	router_clnt_uid(STR("event-1"), &high, &low);
	assert_true(high && low);
	assert_int_equal(publish(1, &(struct wire_publish){ .uid_high = high, .uid_low = low }), 0);
	m = expect_publish(1);
	assert_true(m->uid_high == high && m->uid_low == low);
	fixture_close(&f);
	assert_int_equal(f.called, 1);
}

static void test_router_messages_are_passed_on_and_edges_kept_for_the_next(void **state)
{
	struct str names[] = { STR("edge-0"), STR("edge-1") };
	struct wire_edges edges = { .names = { .count = 2, .items = names } };
	struct wire_subscribed subscribed = { .room = STR("/,a") };
	const struct seen *hello;

	(void)state;
	fixture_open(100, 1u << 20);
	router_up(7);
	RUN_UNTIL(&f.world, f.fresh == 1);
	script_say(&f.router[0].script, 1, 0, WIRE_EDGES, &edges);
	script_say(&f.router[0].script, 2, 0, WIRE_SUBSCRIBED, &subscribed);
	RUN_UNTIL(&f.world, f.messages == 1);
	assert_int_equal(f.edges, 1);
	assert_int_equal(f.edge_count, 2);
	assert_ptr_equal(router_clnt_link(f.clnt, STR("/,a")), f.fresh_link);
	script_say(&f.router[0].script, 0, 0, WIRE_RESYNC, &(struct wire_resync){ 0 });
	do /* the first one may have been said twice */
		hello = script_wait(&f.router[0].script, WIRE_HELLO);
	while (hello->any.hello.nonce == f.router[0].hello_nonce);
	assert_int_equal(hello->any.hello.known.count, 2);
	fixture_close(&f);
}

#define FEW 5u
#define MANY_ROOMS 5000u

/* The router of each room, by its number in the test's list. */
static void find_owners(const char *const *endpoints, uint8_t owners[MANY_ROOMS])
{
	for (uint32_t i = 0; i < MANY_ROOMS; i++) {
		const struct shard *s;
		char key[24];

		snprintf(key, sizeof(key), "/,room:%u", i);
		s = router_clnt_shard(f.clnt, str_of(key));
		owners[i] = 0;
		while (strcmp(endpoints[owners[i]], s->endpoint) != 0)
			owners[i]++;
	}
}

static void test_rooms_are_spread_and_only_those_of_a_lost_router_move(void **state)
{
	static const char *const endpoints[FEW] = {
		"ipc:///tmp/roomwire-0", "ipc:///tmp/roomwire-1", "ipc:///tmp/roomwire-2",
		"ipc:///tmp/roomwire-3", "ipc:///tmp/roomwire-4"
	};
	static uint8_t before[MANY_ROOMS], after[MANY_ROOMS];
	uint32_t had[FEW] = { 0 }, got[FEW] = { 0 };

	(void)state;
	memset(&f, 0, sizeof(f));
	world_open(&f.world);
	clnt_open(&f,
		  "ipc:///tmp/roomwire-2,ipc:///tmp/roomwire-0,ipc:///tmp/roomwire-4,"
		  "ipc:///tmp/roomwire-1,ipc:///tmp/roomwire-3",
		  10, 1000);
	find_owners(endpoints, before);
	LIST_EACH(&f.clnt->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		s->retired = strcmp(s->endpoint, endpoints[3]) == 0;
	}
	find_owners(endpoints, after);
	for (uint32_t i = 0; i < MANY_ROOMS; i++) {
		had[before[i]]++;
		if (before[i] == 3)
			got[after[i]]++;
		else
			assert_int_equal(after[i], before[i]);
	}
	for (uint32_t i = 0; i < FEW; i++) {
		assert_in_range(had[i], MANY_ROOMS / FEW * 85 / 100, MANY_ROOMS / FEW * 115 / 100);
		assert_in_range(got[i], i == 3 ? 0 : had[3] / 6, i == 3 ? 0 : had[3] / 3);
	}
	LIST_EACH(&f.clnt->shards, node, next)
		CONTAINER_OF(node, struct shard, node)->retired = false;
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_wait_for_the_router_and_keep_their_order),
		cmocka_unit_test(test_new_router_gets_again_what_was_not_answered),
		cmocka_unit_test(test_resumed_link_gets_nothing_twice),
		cmocka_unit_test(test_full_link_makes_events_wait),
		cmocka_unit_test(test_bounds_are_kept),
		cmocka_unit_test(test_volatile_event_is_not_kept_and_given_uid_stays),
		cmocka_unit_test(test_router_messages_are_passed_on_and_edges_kept_for_the_next),
		cmocka_unit_test(test_rooms_are_spread_and_only_those_of_a_lost_router_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
