/* SPDX-License-Identifier: Apache-2.0 */
/* One real end, and a peer played by hand: cuts, gaps, doubles, old news, nonsense. */
#include "common/bus/bus_link.h"

#include "common/bus/bus_pair_test.h"
#include "common/metrics/metrics.h"

/* ── the connecting side against a router played by hand ── */

struct greeting {
	struct world world;
	struct side edge;
	struct script router;
	struct seen hello; /* the last one */
};

static void welcome(struct greeting *g, bool resumed, uint64_t received)
{
	struct wire_welcome m = { .version = WIRE_VERSION,
				  .abi = 1,
				  .name = STR("router-0"),
				  .epoch = 99,
				  .nonce = g->hello.any.hello.nonce,
				  .resumed = resumed,
				  .received = received };

	script_say(&g->router, 0, 0, WIRE_WELCOME, &m);
}

static void wait_hello(struct greeting *g)
{
	uint64_t was = g->hello.any.hello.nonce;

	do /* those that were said again are passed over */
		g->hello = *script_wait(&g->router, WIRE_HELLO);
	while (g->hello.any.hello.nonce == was);
}

static void greeting_up(struct greeting *g)
{
	memset(g, 0, sizeof(*g));
	world_open(&g->world);
	side_init(&g->edge, &g->world, "edge", "edge-0");
	script_open(&g->router, &g->world, ADAPT_ZMQ_ROUTER, NULL, g->world.endpoint);
	side_connect(&g->edge, g->world.endpoint);
	wait_hello(g);
	assert_int_equal(g->hello.any.hello.version, WIRE_VERSION);
	assert_int_equal(g->hello.any.hello.abi, wire_abi());
	assert_int_equal(g->hello.any.hello.epoch, bus_epoch());
	assert_int_equal(g->hello.any.hello.peer_epoch, 0);
	assert_int_equal(g->hello.any.hello.series, 0);
	welcome(g, false, 0);
	RUN_UNTIL(&g->world, g->edge.ups == 1);
}

static void greeting_close(struct greeting *g)
{
	side_close(&g->edge);
	script_close(&g->router);
	world_close(&g->world);
}

static void say_number(struct script *s, uint64_t number, uint64_t ack, uint64_t ref)
{
	struct wire_published m = { .ref = ref };

	script_say(s, number, ack, WIRE_PUBLISHED, &m);
}

static void expect_number(struct script *s, uint64_t number)
{
	const struct seen *seen = script_wait(s, WIRE_PUBLISHED);

	assert_int_equal(seen->first, number);
	assert_int_equal(seen->any.published.ref, number);
}

static void send_up_to(struct side *s, uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++)
		assert_int_equal(side_send(s, i), 0);
}

static void test_resume_sends_the_rest_exactly_once(void **state)
{
	struct wire_resync resync = { 0 };
	uint64_t series;
	struct greeting g;

	(void)state;
	greeting_up(&g);
	series = g.hello.any.hello.nonce;
	send_up_to(&g.edge, 1, 5);
	for (uint64_t i = 1; i <= 5; i++)
		expect_number(&g.router, i);
	say_number(&g.router, 1, 2, 1);
	RUN_UNTIL(&g.world, g.edge.acked == 2 && g.edge.got == 1);
	assert_int_equal(bus_link_unacked(g.edge.link), 3);
	script_say(&g.router, 0, 0, WIRE_RESYNC, &resync);
	wait_hello(&g);
	assert_int_equal(g.hello.any.hello.received, 1);
	assert_int_equal(g.hello.any.hello.peer_epoch, 99);
	assert_int_equal(g.hello.any.hello.series, series);
	send_up_to(&g.edge, 6, 6); /* meanwhile: it waits */
	welcome(&g, true, 3);
	RUN_UNTIL(&g.world, g.edge.ups == 2);
	assert_int_equal(g.edge.resumed_ups, 1);
	send_up_to(&g.edge, 7, 7);
	for (uint64_t i = 4; i <= 7; i++)
		expect_number(&g.router, i);
	assert_int_equal(script_count(&g.router, WIRE_PUBLISHED), 5 + 4);
	assert_int_equal(g.edge.acked, 3);
	greeting_close(&g);
}

static void test_gap_is_noticed_and_filled(void **state)
{
	struct greeting g;

	(void)state;
	greeting_up(&g);
	say_number(&g.router, 1, 0, 1);
	say_number(&g.router, 3, 0, 3);
	wait_hello(&g);
	assert_int_equal(g.hello.any.hello.received, 1);
	say_number(&g.router, 4, 0, 4); /* still on its way from before */
	welcome(&g, true, 0);
	for (uint64_t i = 1; i <= 4; i++) /* 1 is a double */
		say_number(&g.router, i, 0, i);
	RUN_UNTIL(&g.world, g.edge.got == 4);
	assert_int_equal(g.edge.resumed_ups, 1);
	greeting_close(&g);
}

static void test_lost_last_message_is_noticed_by_ping_and_pong(void **state)
{
	struct wire_ping ping = { .sent = 1 };
	struct wire_pong pong = { .sent = 3 };
	struct greeting g;

	(void)state;
	greeting_up(&g);
	say_number(&g.router, 1, 0, 1);
	script_say(&g.router, 0, 0, WIRE_PING, &ping); /* nothing is missing */
	script_wait(&g.router, WIRE_PONG);
	ping.sent = 2;
	script_say(&g.router, 0, 0, WIRE_PING, &ping);
	wait_hello(&g);
	assert_int_equal(g.hello.any.hello.received, 1);
	welcome(&g, true, 0);
	say_number(&g.router, 2, 0, 2);
	RUN_UNTIL(&g.world, g.edge.got == 2);
	RUN_UNTIL(&g.world,
		  script_try_frames(&g.router, STR("x"), STR("y"))); /* nonsense changes nothing */
	do { /* at most one HELLO in 50 ms is said for gaps */
		script_say(&g.router, 0, 0, WIRE_PONG, &pong);
		uv_run(&g.world.loop, UV_RUN_ONCE);
	} while (bus_link_up(g.edge.link));
	wait_hello(&g);
	assert_int_equal(g.hello.any.hello.received, 2);
	greeting_close(&g);
}

static void test_own_pings_say_what_was_sent(void **state)
{
	struct greeting g;

	(void)state;
	greeting_up(&g);
	send_up_to(&g.edge, 1, 3);
	expect_number(&g.router, 1);
	expect_number(&g.router, 2);
	expect_number(&g.router, 3);
	assert_int_equal(script_wait(&g.router, WIRE_PING)->any.ping.sent, 3);
	greeting_close(&g);
}

static void test_welcome_that_claims_too_much_begins_anew(void **state)
{
	struct wire_resync resync = { 0 };
	struct greeting g;

	(void)state;
	greeting_up(&g);
	send_up_to(&g.edge, 1, 2);
	script_say(&g.router, 0, 0, WIRE_RESYNC, &resync);
	wait_hello(&g);
	welcome(&g, true, 99);
	wait_hello(&g);
	assert_int_equal(g.hello.any.hello.peer_epoch, 0);
	assert_int_equal(g.hello.any.hello.series, 0);
	welcome(&g, false, 0);
	RUN_UNTIL(&g.world, g.edge.ups == 2);
	assert_int_equal(g.edge.resumed_ups, 0);
	assert_int_equal(bus_link_unacked(g.edge.link), 0);
	greeting_close(&g);
}

static void test_old_or_second_welcome_is_not_taken(void **state)
{
	struct wire_resync resync = { 0 };
	struct seen old;
	struct greeting g;

	(void)state;
	greeting_up(&g);
	welcome(&g, false, 0); /* to the same HELLO: an established link does not care */
	old = g.hello;
	script_say(&g.router, 0, 0, WIRE_RESYNC, &resync);
	wait_hello(&g);
	{
		struct seen present = g.hello;

		g.hello = old;
		welcome(&g, false, 0);
		say_number(&g.router, 1, 0, 1); /* dropped: the link is not up */
		g.hello = present;
	}
	script_wait(&g.router, WIRE_HELLO); /* said again: it has read both */
	script_wait(&g.router, WIRE_HELLO);
	assert_int_equal(g.edge.ups, 1);
	assert_int_equal(g.edge.got, 0);
	welcome(&g, true, 0);
	say_number(&g.router, 1, 0, 1);
	RUN_UNTIL(&g.world, g.edge.ups == 2 && g.edge.got == 1);
	greeting_close(&g);
}

static void test_version_that_does_not_fit_stays_down(void **state)
{
	struct wire_welcome m = { .version = WIRE_VERSION + 1,
				  .name = STR("router-9"),
				  .epoch = 5 };
	struct greeting g;

	(void)state;
	memset(&g, 0, sizeof(g));
	world_open(&g.world);
	side_init(&g.edge, &g.world, "edge", "edge-0");
	script_open(&g.router, &g.world, ADAPT_ZMQ_ROUTER, NULL, g.world.endpoint);
	side_connect(&g.edge, g.world.endpoint);
	wait_hello(&g);
	m.nonce = g.hello.any.hello.nonce;
	script_say(&g.router, 0, 0, WIRE_WELCOME, &m);
	script_wait(&g.router, WIRE_HELLO);
	script_wait(&g.router, WIRE_HELLO);
	assert_int_equal(g.edge.ups, 0);
	welcome(&g, false, 0);
	RUN_UNTIL(&g.world, g.edge.ups == 1);
	greeting_close(&g);
}

static void test_nonsense_neither_acknowledges_nor_stops_the_link(void **state)
{
	char unknown[] = { (char)0x91, (char)0xcd, 0x7f, 0x7f }; /* message 32639 */
	char envelope[BUS_ENVELOPE_BYTES];
	struct greeting g;

	(void)state;
	greeting_up(&g);
	send_up_to(&g.edge, 1, 3);
	expect_number(&g.router, 1);
	script_say_frames(&g.router, STR("\x92\xcf"), STR("\x91\x03"));
	script_say_frames(&g.router, STR(""), STR(""));
	script_say_frames(&g.router, bus_envelope(envelope, 0, UINT64_MAX),
			  STR("\x91\x03")); /* more than was sent */
	script_say_frames(&g.router, bus_envelope(envelope, 1, 0), STR("\xc1"));
	script_say_frames(&g.router, bus_envelope(envelope, 2, 0),
			  str_make(unknown, sizeof(unknown)));
	say_number(&g.router, 3, 0, 1); /* the two before it were counted, too */
	RUN_UNTIL(&g.world, g.edge.got == 1);
	assert_int_equal(bus_link_unacked(g.edge.link), 3);
	assert_int_equal(g.edge.acked, 0);
	greeting_close(&g);
}

static void test_silent_router_is_held_to_be_gone_until_it_answers(void **state)
{
	struct greeting g;

	(void)state;
	greeting_up(&g);
	g.edge.svc->conf.link_timeout_ms = 100;
	send_up_to(&g.edge, 1, 1);
	expect_number(&g.router, 1);
	RUN_UNTIL(&g.world, g.edge.downs == 1);
	assert_false(bus_link_up(g.edge.link));
	send_up_to(&g.edge, 2, 2); /* waits */
	wait_hello(&g);
	welcome(&g, true, 0);
	RUN_UNTIL(&g.world, g.edge.ups == 2);
	expect_number(&g.router, 1);
	expect_number(&g.router, 2);
	greeting_close(&g);
}

/* ── the binding side against connecting ones played by hand ── */

struct hall {
	struct world world;
	struct side router;
	struct script edge;
	uint64_t series;
};

static struct wire_hello hello_of(const char *name, uint64_t epoch, uint64_t nonce)
{
	return (struct wire_hello){ .version = WIRE_VERSION,
				    .name = str_of(name),
				    .role = STR("edge"),
				    .epoch = epoch,
				    .nonce = nonce };
}

static struct seen greet(struct script *s, struct wire_hello m)
{
	const struct seen *answer;

	script_say(s, 0, 0, WIRE_HELLO, &m);
	do
		answer = script_wait(s, WIRE_WELCOME);
	while (answer->any.welcome.nonce != m.nonce);
	assert_int_equal(answer->any.welcome.epoch, bus_epoch());
	return *answer;
}

static struct seen hall_greet(struct hall *h, uint64_t nonce, uint64_t series, uint64_t received)
{
	struct wire_hello m = hello_of("edge-0", 7, nonce);

	m.peer_epoch = bus_epoch();
	m.series = series;
	m.received = received;
	return greet(&h->edge, m);
}

static void hall_open(struct hall *h)
{
	memset(h, 0, sizeof(*h));
	world_open(&h->world);
	side_init(&h->router, &h->world, "router", "router-0");
	side_bind(&h->router, h->world.endpoint);
	script_open(&h->edge, &h->world, ADAPT_ZMQ_DEALER, "edge-0/7", h->world.endpoint);
}

static void hall_up(struct hall *h)
{
	hall_open(h);
	h->series = 1000;
	assert_false(greet(&h->edge, hello_of("edge-0", 7, h->series)).any.welcome.resumed);
	assert_int_equal(h->router.ups, 1);
}

static void hall_close(struct hall *h)
{
	script_close(&h->edge);
	side_close(&h->router);
	world_close(&h->world);
}

static void test_server_resumes_and_repeats_what_was_not_received(void **state)
{
	struct seen answer;
	struct hall h;

	(void)state;
	hall_up(&h);
	send_up_to(&h.router, 1, 4);
	say_number(&h.edge, 1, 1, 1);
	say_number(&h.edge, 2, 1, 2);
	RUN_UNTIL(&h.world, h.router.got == 2 && h.router.acked == 1);
	for (uint64_t i = 1; i <= 4; i++)
		expect_number(&h.edge, i);
	answer = hall_greet(&h, 1001, h.series, 2);
	assert_true(answer.any.welcome.resumed);
	assert_int_equal(answer.any.welcome.received, 2);
	expect_number(&h.edge, 3);
	expect_number(&h.edge, 4);
	send_up_to(&h.router, 5, 5);
	expect_number(&h.edge, 5);
	assert_int_equal(h.router.resumed_ups, 1);
	assert_int_equal(h.router.acked, 2);
	say_number(&h.edge, 2, 5, 2); /* a double */
	say_number(&h.edge, 3, 5, 3);
	RUN_UNTIL(&h.world, h.router.got == 3 && bus_link_unacked(h.router.link) == 0);
	hall_close(&h);
}

/* What does not belong together must not be taken for each other, however well the numbers fit. */
static void test_server_resumes_only_the_same_series_and_possible_numbers(void **state)
{
	static const struct {
		uint64_t series, received;
	} wrong[] = { { 0, 1 }, { 999, 1 }, { 1000, 4 }, { 1000, UINT64_MAX } };
	struct hall h;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		hall_up(&h);
		send_up_to(&h.router, 1, 3);
		expect_number(&h.edge, 1);
		assert_false(hall_greet(&h, 1001, wrong[i].series, wrong[i].received)
				     .any.welcome.resumed);
		assert_int_equal(h.router.ups, 2);
		assert_int_equal(bus_link_unacked(h.router.link), 0);
		assert_true(hall_greet(&h, 1002, 1001, 0).any.welcome.resumed);
		hall_close(&h);
	}
}

static void test_server_does_not_resume_what_another_process_began(void **state)
{
	struct wire_hello m = hello_of("edge-0", 7, 1001);
	struct hall h;

	(void)state;
	hall_up(&h);
	m.series = h.series;
	m.peer_epoch = bus_epoch() + 1;
	assert_false(greet(&h.edge, m).any.welcome.resumed);
	hall_close(&h);
}

static void test_server_answers_a_second_hello_like_the_first(void **state)
{
	struct hall h;

	(void)state;
	hall_up(&h);
	send_up_to(&h.router, 1, 1);
	assert_false(greet(&h.edge, hello_of("edge-0", 7, h.series)).any.welcome.resumed);
	assert_int_equal(h.router.ups, 1);
	assert_int_equal(bus_link_unacked(h.router.link), 1);
	hall_close(&h);
}

static void test_server_notices_gaps_and_unknown_peers(void **state)
{
	struct wire_ping ping = { .sent = 5 };
	struct hall h;

	(void)state;
	hall_open(&h);
	say_number(&h.edge, 1, 0, 1); /* nobody has said HELLO */
	script_wait(&h.edge, WIRE_RESYNC);
	assert_int_equal(h.router.ups, 0);
	assert_false(greet(&h.edge, hello_of("edge-0", 7, 1000)).any.welcome.resumed);
	say_number(&h.edge, 2, 0, 2);
	script_wait(&h.edge, WIRE_RESYNC);
	assert_true(bus_link_up(h.router.link));
	assert_int_equal(hall_greet(&h, 1001, 1000, 0).any.welcome.received, 0);
	say_number(&h.edge, 1, 0, 1);
	RUN_UNTIL(&h.world, h.router.got == 1);
	for (size_t seen = script_count(&h.edge, WIRE_RESYNC);
	     script_count(&h.edge, WIRE_RESYNC) == seen;) {
		script_say(&h.edge, 0, 0, WIRE_PING, &ping); /* one RESYNC in 50 ms */
		uv_run(&h.world.loop, UV_RUN_ONCE);
	}
	assert_true(hall_greet(&h, 1002, 1000, 0).any.welcome.resumed);
	hall_close(&h);
}

static void test_new_life_of_a_name_replaces_the_old_link(void **state)
{
	struct script later;
	struct hall h;

	(void)state;
	hall_up(&h);
	send_up_to(&h.router, 1, 3);
	script_open(&later, &h.world, ADAPT_ZMQ_DEALER, "edge-0/8", h.world.endpoint);
	assert_false(greet(&later, hello_of("edge-0", 8, 5)).any.welcome.resumed);
	assert_int_equal(h.router.downs, 1);
	assert_int_equal(h.router.ups, 2);
	assert_int_equal(bus_link_peer_epoch(h.router.link), 8);
	assert_int_equal(bus_link_unacked(h.router.link), 0);
	assert_null(bus_server_next(h.router.server, h.router.link));
	say_number(&h.edge, 1, 0, 9); /* the old one speaks on */
	script_wait(&h.edge, WIRE_RESYNC);
	assert_int_equal(h.router.got, 0);
	script_close(&later);
	hall_close(&h);
}

static void test_server_ignores_versions_that_do_not_fit_and_nonsense(void **state)
{
	struct wire_hello m = hello_of("edge-0", 7, 1);
	struct hall h;

	(void)state;
	hall_open(&h);
	m.version = WIRE_VERSION + 1;
	script_say(&h.edge, 0, 0, WIRE_HELLO, &m);
	script_say_frames(&h.edge, STR(""), STR("\x91\x01")); /* a HELLO without fields */
	m.version = WIRE_VERSION;
	greet(&h.edge, m);
	assert_int_equal(script_count(&h.edge, WIRE_WELCOME), 1);
	assert_int_equal(h.router.ups, 1);
	hall_close(&h);
}

static void test_silent_peer_is_forgotten(void **state)
{
	struct hall h;

	(void)state;
	hall_up(&h);
	h.router.svc->conf.link_timeout_ms = 100;
	RUN_UNTIL(&h.world, h.router.downs == 1);
	assert_null(bus_server_next(h.router.server, NULL));
	hall_close(&h);
}

/* The peer that comes back after a reset claims numbers of before: they are of another series. */
static void test_reset_asks_until_hello_comes(void **state)
{
	struct hall h;

	(void)state;
	hall_up(&h);
	send_up_to(&h.router, 1, 3);
	expect_number(&h.edge, 1);
	bus_link_reset(h.router.link);
	script_wait(&h.edge, WIRE_RESYNC);
	script_wait(&h.edge, WIRE_RESYNC);
	say_number(&h.edge, 1, 3, 1); /* dropped: it belongs to the old numbers */
	assert_false(hall_greet(&h, 1001, 1000, 1).any.welcome.resumed);
	assert_int_equal(h.router.got, 0);
	send_up_to(&h.router, 1, 1);
	while (script_wait(&h.edge, WIRE_PUBLISHED)->first != 1)
		; /* 2 and 3 were sent before */
	hall_close(&h);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resume_sends_the_rest_exactly_once),
		cmocka_unit_test(test_gap_is_noticed_and_filled),
		cmocka_unit_test(test_lost_last_message_is_noticed_by_ping_and_pong),
		cmocka_unit_test(test_own_pings_say_what_was_sent),
		cmocka_unit_test(test_welcome_that_claims_too_much_begins_anew),
		cmocka_unit_test(test_old_or_second_welcome_is_not_taken),
		cmocka_unit_test(test_version_that_does_not_fit_stays_down),
		cmocka_unit_test(test_nonsense_neither_acknowledges_nor_stops_the_link),
		cmocka_unit_test(test_silent_router_is_held_to_be_gone_until_it_answers),
		cmocka_unit_test(test_server_resumes_and_repeats_what_was_not_received),
		cmocka_unit_test(test_server_resumes_only_the_same_series_and_possible_numbers),
		cmocka_unit_test(test_server_does_not_resume_what_another_process_began),
		cmocka_unit_test(test_server_answers_a_second_hello_like_the_first),
		cmocka_unit_test(test_server_notices_gaps_and_unknown_peers),
		cmocka_unit_test(test_new_life_of_a_name_replaces_the_old_link),
		cmocka_unit_test(test_server_ignores_versions_that_do_not_fit_and_nonsense),
		cmocka_unit_test(test_silent_peer_is_forgotten),
		cmocka_unit_test(test_reset_asks_until_hello_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
