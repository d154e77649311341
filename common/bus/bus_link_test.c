/* SPDX-License-Identifier: Apache-2.0 */
/* Two real ends. What a peer may do wrong is in bus_link_peer_test.c. */
#include "common/bus/bus_link.h"

#include "common/base/mem.h"
#include "common/bus/bus_pair_test.h"
#include "common/metrics/metrics.h"

struct pair {
	struct world world;
	struct side router, edge;
};

static void pair_open(struct pair *p)
{
	world_open(&p->world);
	side_init(&p->router, &p->world, "router", "router-0");
	side_init(&p->edge, &p->world, "edge", "edge-0");
	side_bind(&p->router, p->world.endpoint);
	side_connect(&p->edge, p->world.endpoint);
}

static void pair_up(struct pair *p)
{
	pair_open(p);
	RUN_UNTIL(&p->world, p->router.ups == 1 && p->edge.ups == 1);
}

static void pair_close(struct pair *p)
{
	side_close(&p->edge);
	side_close(&p->router);
	world_close(&p->world);
	assert_int_equal(metrics_values[METRIC_LINKS_UP], 0);
	assert_int_equal(metrics_values[METRIC_LINK_UNACKED], 0);
	assert_int_equal(metrics_values[METRIC_LINK_UNACKED_BYTES], 0);
}

static void test_link_when_new_comes_up_and_tells_who_is_there(void **state)
{
	struct pair p;
	int user;

	(void)state;
	pair_open(&p);
	assert_false(bus_link_up(p.edge.link));
	assert_string_equal(bus_link_peer(p.edge.link), p.world.endpoint);
	RUN_UNTIL(&p.world, p.router.ups == 1 && p.edge.ups == 1);
	assert_int_equal(p.router.resumed_ups + p.edge.resumed_ups, 0);
	assert_string_equal(bus_link_peer(p.edge.link), "router-0");
	assert_string_equal(bus_link_peer(p.router.link), "edge-0");
	assert_string_equal(bus_link_role(p.router.link), "edge");
	assert_int_equal(bus_link_peer_epoch(p.edge.link), bus_epoch());
	assert_int_equal(bus_link_peer_epoch(p.router.link), bus_epoch());
	assert_ptr_equal(bus_server_next(p.router.server, NULL), p.router.link);
	assert_null(bus_server_next(p.router.server, p.router.link));
	assert_null(bus_link_user(p.router.link));
	bus_link_set_user(p.router.link, &user);
	assert_ptr_equal(bus_link_user(p.router.link), &user);
	pair_close(&p);
}

static void test_send_before_the_first_welcome_is_closed(void **state)
{
	struct wire_published m = { .ref = 1 };
	struct side lonely;
	struct world w;

	(void)state;
	world_open(&w);
	side_init(&lonely, &w, "edge", "edge-0");
	side_connect(&lonely, w.endpoint);
	assert_int_equal(side_send(&lonely, 1), E_CLOSED);
	assert_int_equal(bus_link_send_msg(lonely.link, WIRE_PUBLISHED, &m, false), E_CLOSED);
	side_close(&lonely);
	world_close(&w);
}

static void test_messages_flow_both_ways_and_are_acknowledged(void **state)
{
	struct pair p;

	(void)state;
	pair_up(&p);
	for (uint64_t i = 1; i <= 1000; i++) {
		assert_int_equal(side_send(&p.edge, i), 0);
		assert_int_equal(side_send(&p.router, i), 0);
	}
	assert_int_equal(p.edge.got + p.router.got, 0); /* no callback inside a call */
	RUN_UNTIL(&p.world, p.edge.got == 1000 && p.router.got == 1000);
	RUN_UNTIL(&p.world,
		  bus_link_unacked(p.edge.link) == 0 && bus_link_unacked(p.router.link) == 0);
	assert_int_equal(p.edge.acked, 1000);
	assert_int_equal(p.router.acked, 1000);
	pair_close(&p);
}

static void test_payload_frames_arrive_and_numbers_are_given(void **state)
{
	struct wire_published m = { .ref = 1 };
	struct blob *frames[256], *body;
	uint64_t number = 0;
	struct pair p;

	(void)state;
	pair_up(&p);
	body = wire_pack(WIRE_PUBLISHED, &m);
	for (size_t i = 0; i < COUNT_OF(frames); i++)
		frames[i] = blob_copy(str_make("0123456789", i % 10));
	assert_int_equal(bus_link_send(p.edge.link, body, frames, COUNT_OF(frames), true, &number),
			 0);
	assert_int_equal(number, 1);
	assert_int_equal(body->refs, 2); /* kept until it is acknowledged */
	RUN_UNTIL(&p.world, p.router.got == 1 && bus_link_unacked(p.edge.link) == 0);
	assert_int_equal(p.router.payload_bytes, 25 * 45 + 15);
	assert_int_equal(body->refs, 1);
	for (size_t i = 0; i < COUNT_OF(frames); i++) {
		assert_int_equal(frames[i]->refs, 1);
		blob_unref(&frames[i]);
	}
	blob_unref(&body);
	pair_close(&p);
}

static void test_uncounted_messages_are_not_kept(void **state)
{
	struct wire_published m = { .ref = 1 };
	struct pair p;

	(void)state;
	pair_up(&p);
	assert_int_equal(bus_link_send_msg(p.edge.link, WIRE_PUBLISHED, &m, false), 0);
	assert_int_equal(bus_link_unacked(p.edge.link), 0);
	RUN_UNTIL(&p.world, p.router.got == 1);
	assert_int_equal(side_send(&p.edge, 2), 0);
	RUN_UNTIL(&p.world, p.edge.acked == 1);
	pair_close(&p);
}

static void test_message_out_of_bounds_or_memory_is_refused(void **state)
{
	struct wire_published bad = { .ref = 0 };
	struct pair p;

	(void)state;
	pair_up(&p);
	assert_int_equal(bus_link_send_msg(p.edge.link, WIRE_PUBLISHED, &bad, true), E_NOMEM);
	mem_fail_at(2); /* the ring's */
	assert_int_equal(side_send(&p.edge, 1), E_NOMEM);
	mem_fail_at(0);
	assert_int_equal(bus_link_unacked(p.edge.link), 0);
	assert_int_equal(side_send(&p.edge, 1), 0);
	RUN_UNTIL(&p.world, p.router.got == 1);
	pair_close(&p);
}

static void test_binding_side_opened_anew_begins_again(void **state)
{
	struct pair p;

	(void)state;
	pair_up(&p);
	assert_int_equal(side_send(&p.edge, 1), 0);
	RUN_UNTIL(&p.world, p.edge.acked == 1);
	bus_server_close(&p.router.server);
	assert_int_equal(p.router.downs, 1);
	assert_int_equal(side_send(&p.edge, 99), 0); /* kept: it cannot know yet */
	side_bind(&p.router, p.world.endpoint);
	p.router.expected = 2;
	p.edge.acked = 0;
	RUN_UNTIL(&p.world, p.edge.ups == 2 && p.router.ups == 2);
	assert_int_equal(p.edge.resumed_ups, 0);
	assert_int_equal(p.router.resumed_ups, 0);
	assert_int_equal(bus_link_unacked(p.edge.link), 0); /* forgotten: the state is told anew */
	assert_int_equal(side_send(&p.edge, 2), 0);
	assert_int_equal(side_send(&p.router, 1), 0);
	RUN_UNTIL(&p.world, p.router.got == 2 && p.edge.got == 1 && p.edge.acked == 1);
	pair_close(&p);
}

static void test_reset_link_comes_up_with_new_numbers(void **state)
{
	struct pair p;

	(void)state;
	pair_up(&p);
	assert_int_equal(side_send(&p.edge, 1), 0);
	RUN_UNTIL(&p.world, p.edge.acked == 1);
	p.edge.acked = 0;
	bus_link_reset(p.router.link);
	assert_false(bus_link_up(p.router.link));
	assert_int_equal(side_send(&p.router, 1), E_CLOSED);
	bus_link_reset(p.router.link); /* harmless */
	RUN_UNTIL(&p.world, p.edge.ups == 2 && p.router.ups == 2);
	assert_int_equal(p.edge.resumed_ups + p.router.resumed_ups + p.router.downs, 0);
	assert_int_equal(side_send(&p.edge, 2), 0);
	assert_int_equal(side_send(&p.router, 1), 0);
	RUN_UNTIL(&p.world, p.router.got == 2 && p.edge.got == 1 && p.edge.acked == 1);
	pair_close(&p);
}

static void test_held_role_waits_and_tells_what_it_knows(void **state)
{
	struct str names[] = { STR("edge-0"), STR("edge-1"), STR("edge-2") };
	struct wire_list known = { .count = COUNT_OF(names), .items = names };
	struct side ingest;
	struct pair p;

	(void)state;
	pair_open(&p);
	bus_server_hold_role(p.router.server, "ingest", true);
	side_init(&ingest, &p.world, "ingest", "ingest-0");
	side_connect(&ingest, p.world.endpoint);
	bus_link_set_known(ingest.link, &known);
	RUN_UNTIL(&p.world, p.router.helds >= 2 && p.edge.ups == 1);
	assert_int_equal(ingest.ups, 0);
	assert_int_equal(p.router.ups, 1); /* other roles come in */
	assert_int_equal(p.router.known_count, 3);
	assert_string_equal(p.router.known, "edge-2");
	known.count = 0;
	bus_link_set_known(ingest.link, &known);
	p.router.helds = 0;
	RUN_UNTIL(&p.world, p.router.helds >= 2);
	assert_int_equal(p.router.known_count, 0);
	bus_server_hold_role(p.router.server, "ingest", false);
	RUN_UNTIL(&p.world, ingest.ups == 1 && p.router.ups == 2);
	side_close(&ingest);
	pair_close(&p);
}

static void test_full_link_refuses_and_goes_on_after_acknowledgements(void **state)
{
	uint64_t sent = 0, refused = 0;
	struct pair p;

	(void)state;
	pair_open(&p);
	p.edge.svc->conf.link_unacked_count = 1000;
	RUN_UNTIL(&p.world, p.edge.ups == 1);
	while (sent < 100000) {
		while (sent < 100000 && side_send(&p.edge, sent + 1) == 0)
			sent++;
		assert_true(bus_link_unacked(p.edge.link) <= 1000);
		refused += sent < 100000;
		RUN_UNTIL(&p.world, bus_link_unacked(p.edge.link) < 1000);
	}
	RUN_UNTIL(&p.world, p.router.got == 100000 && bus_link_unacked(p.edge.link) == 0);
	assert_true(refused >= 100);
	pair_close(&p);
}

static void test_link_full_of_bytes_refuses(void **state)
{
	struct wire_published m = { .ref = 1 };
	struct blob *body, *payload;
	struct pair p;

	(void)state;
	pair_open(&p);
	p.edge.svc->conf.link_unacked_bytes = 1000;
	RUN_UNTIL(&p.world, p.edge.ups == 1);
	body = wire_pack(WIRE_PUBLISHED, &m);
	payload = blob_new(2000);
	memset(payload->data, 0, 2000);
	assert_int_equal(bus_link_send(p.edge.link, body, &payload, 1, true, NULL),
			 0); /* one may be larger */
	assert_int_equal(bus_link_send(p.edge.link, body, &payload, 1, true, NULL), E_FULL);
	RUN_UNTIL(&p.world, bus_link_unacked(p.edge.link) == 0);
	assert_int_equal(side_send(&p.edge, 2), 0);
	RUN_UNTIL(&p.world, p.router.got == 2);
	blob_unref(&payload);
	blob_unref(&body);
	pair_close(&p);
}

/* The reader's loop stands still meanwhile: ZeroMQ and the kernel fill up, the rest waits in the ring. */
static void test_slow_reader_gets_everything_in_order(void **state)
{
	const uint64_t count = 300000;
	struct world writers, readers;
	struct side edge, router;
	uint64_t began_ns;

	(void)state;
	world_open(&readers);
	world_open(&writers);
	side_init(&router, &readers, "router", "router-0");
	side_init(&edge, &writers, "edge", "edge-0");
	edge.svc->conf.link_unacked_count = (int64_t)count;
	side_bind(&router, readers.endpoint);
	side_connect(&edge, readers.endpoint);
	while (edge.ups == 0) {
		uv_run(&writers.loop, UV_RUN_NOWAIT);
		uv_run(&readers.loop, UV_RUN_NOWAIT);
	}
	for (uint64_t i = 1; i <= count; i++)
		assert_int_equal(side_send(&edge, i), 0);
	assert_int_equal(side_send(&edge, count + 1), E_FULL);
	began_ns = clock_exact_ns();
	while (router.got < count || bus_link_unacked(edge.link) > 0) {
		assert_true(clock_exact_ns() - began_ns < 60 * 1000000000ull);
		uv_run(&writers.loop, UV_RUN_NOWAIT);
		uv_run(&readers.loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(edge.ups, 1); /* not a single gap */
	side_close(&edge);
	side_close(&router);
	world_close(&writers);
	world_close(&readers);
}

static void test_links_are_found_among_many(void **state)
{
	static struct side edges[50];
	static char names[COUNT_OF(edges)][16];
	struct pair p;

	(void)state;
	pair_up(&p);
	for (size_t i = 0; i < COUNT_OF(edges); i++) {
		snprintf(names[i], sizeof(names[i]), "many-%zu", i);
		side_init(&edges[i], &p.world, "edge", names[i]);
		side_connect(&edges[i], p.world.endpoint);
	}
	RUN_UNTIL(&p.world, p.router.ups == 1 + COUNT_OF(edges));
	for (size_t i = 0; i < COUNT_OF(edges); i++) {
		RUN_UNTIL(&p.world, edges[i].ups == 1);
		assert_int_equal(side_send(&edges[i], i + 1), 0);
		RUN_UNTIL(&p.world, p.router.got == i + 1);
	}
	for (size_t i = 0; i < COUNT_OF(edges); i += 2)
		side_close(&edges[i]);
	RUN_UNTIL(&p.world, p.router.downs == COUNT_OF(edges) / 2);
	for (size_t i = 1; i < COUNT_OF(edges); i += 2) {
		p.router.expected = 1;
		assert_int_equal(side_send(&edges[i], 1), 0);
		RUN_UNTIL(&p.world, edges[i].acked == 2);
		side_close(&edges[i]);
	}
	RUN_UNTIL(&p.world, p.router.downs == COUNT_OF(edges));
	assert_true(bus_link_up(p.router.link = bus_server_next(p.router.server, NULL)));
	assert_string_equal(bus_link_peer(p.router.link), "edge-0");
	pair_close(&p);
}

static void test_server_that_cannot_listen_says_so(void **state)
{
	struct side router;
	struct world w;

	(void)state;
	world_open(&w);
	side_init(&router, &w, "router", "router-0");
	assert_int_equal(bus_server_open(router.svc, "ipc:///nowhere/at/all", &side_handlers,
					 &router, &router.server),
			 E_CONFIG);
	assert_int_equal(
		bus_link_open(router.svc, "nonsense", &side_handlers, &router, &router.link),
		E_CONFIG);
	assert_null(router.server);
	side_close(&router);
	world_close(&w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link_when_new_comes_up_and_tells_who_is_there),
		cmocka_unit_test(test_send_before_the_first_welcome_is_closed),
		cmocka_unit_test(test_messages_flow_both_ways_and_are_acknowledged),
		cmocka_unit_test(test_payload_frames_arrive_and_numbers_are_given),
		cmocka_unit_test(test_uncounted_messages_are_not_kept),
		cmocka_unit_test(test_message_out_of_bounds_or_memory_is_refused),
		cmocka_unit_test(test_binding_side_opened_anew_begins_again),
		cmocka_unit_test(test_reset_link_comes_up_with_new_numbers),
		cmocka_unit_test(test_held_role_waits_and_tells_what_it_knows),
		cmocka_unit_test(test_full_link_refuses_and_goes_on_after_acknowledgements),
		cmocka_unit_test(test_link_full_of_bytes_refuses),
		cmocka_unit_test(test_slow_reader_gets_everything_in_order),
		cmocka_unit_test(test_links_are_found_among_many),
		cmocka_unit_test(test_server_that_cannot_listen_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
