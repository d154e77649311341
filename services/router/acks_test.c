/* SPDX-License-Identifier: Apache-2.0 */
/* Broadcasts that clients acknowledge, through a whole router. */
#include "services/router/acks.h"
#include "services/router/room.h"
#include "services/router/router_test.h"

static struct fixture f;

static void ask(struct node *n, uint64_t ref, const char *room, uint64_t ack_ms)
{
	publish(n, (struct publish){ .ref = ref,
				     .uid = ref,
				     .rooms = { room },
				     .ack = 100 + ref,
				     .ack_ms = ack_ms });
}

/* The number of the next DELIVER. */
static uint64_t number_at(struct node *n)
{
	const struct wire_deliver *d = &script_wait(&n->script, WIRE_DELIVER)->any.deliver;

	assert_int_equal(d->place, 0);
	assert_int_not_equal(d->ack, 0);
	return d->ack;
}

static void say_asked(struct node *n, uint64_t number, uint64_t clients)
{
	struct wire_asked m = { .ack = number, .clients = clients };

	node_say(n, WIRE_ASKED, &m);
}

static void say_ack(struct node *n, uint64_t number, const char *args)
{
	struct wire_ack m = { .ack = number };
	struct blob *body = wire_pack(WIRE_ACK, &m);
	char envelope[BUS_ENVELOPE_BYTES];
	struct str frames[] = { bus_envelope(envelope, ++n->sent, n->acked), blob_str(body),
				str_of(args) };

	assert_int_equal(adapt_zmq_send(n->script.sock, frames, 3), 0);
	blob_unref(&body);
}

static void expect_asked(uint64_t ref, uint64_t clients, uint64_t rooms)
{
	const struct wire_asked *m = &script_wait(&f.ingest.script, WIRE_ASKED)->any.asked;

	assert_int_equal(m->ack, 100 + ref);
	assert_int_equal(m->clients, clients);
	assert_int_equal(m->rooms, rooms);
}

static void expect_ack(uint64_t ref, const char *args)
{
	const struct seen *seen = script_wait(&f.ingest.script, WIRE_ACK);

	assert_int_equal(seen->any.ack.ack, 100 + ref);
	assert_str(blob_str(node_payload(&f.ingest, seen, 0)), str_of(args));
}

static void test_clients_of_all_edges_are_added_up_and_their_answers_passed_on(void **state)
{
	uint64_t first, second;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	subscribe(&f.edge[1], "/,a");
	ask(&f.ingest, 1, "a", 60000);
	first = number_at(&f.edge[0]);
	assert_int_equal(number_at(&f.edge[1]), first);
	say_asked(&f.edge[0], first, 2);
	say_ack(&f.edge[0], first, "1");
	expect_ack(1, "1");
	assert_int_equal(script_count(&f.ingest.script, WIRE_ASKED), 0);
	say_asked(&f.edge[1], first, 1);
	expect_asked(1, 3, 1);
	say_ack(&f.edge[1], first, "2,\"more\"");
	expect_ack(1, "2,\"more\"");
	assert_int_equal(map_count(&f.router.acks), 1);
	say_ack(&f.edge[0], first, "");
	expect_ack(1, "");
	assert_int_equal(map_count(&f.router.acks), 0); /* that was the last one */
	say_ack(&f.edge[0], first, "one too many");
	ask(&f.ingest, 2, "a", 60000);
	second = number_at(&f.edge[0]);
	assert_true(second > first);
	say_asked(&f.edge[0], second, 0);
	say_asked(&f.edge[1], second, 0);
	expect_asked(2, 0, 1);
	assert_int_equal(map_count(&f.router.acks), 0);
	assert_int_equal(script_count(&f.ingest.script, WIRE_ACK), 3);
	assert_int_equal(f.router.history_count, 0); /* nobody comes back to it */
	fixture_close(&f);
}

static void test_room_nobody_holds_is_told_at_once(void **state)
{
	(void)state;
	fixture_open(&f);
	ask(&f.ingest, 1, "a", 60000);
	expect_asked(1, 0, 1);
	expect_published(&f.ingest, 1, false);
	assert_int_equal(map_count(&f.router.acks), 0);
	assert_null(room_find(&f.router, STR("/,a")));
	fixture_close(&f);
}

static void test_event_that_came_before_is_not_asked_again(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	ask(&f.ingest, 1, "a", 60000);
	ask(&f.ingest, 1, "a", 60000);
	node_sync(&f.ingest);
	assert_int_equal(map_count(&f.router.acks), 1);
	assert_int_equal(script_count(&f.edge[0].script, WIRE_DELIVER), 1);
	fixture_close(&f);
	assert_int_equal(map_count(&f.router.acks), 0);
}

static void test_edge_that_is_gone_leaves_the_sum_untold_until_time_is_up(void **state)
{
	uint64_t number;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	subscribe(&f.edge[1], "/,a");
	ask(&f.ingest, 1, "a", 100);
	number = number_at(&f.edge[0]);
	say_asked(&f.edge[0], number, 1);
	edge_reborn(&f, 1, 77);
	say_ack(&f.edge[0], number, "1");
	expect_ack(1, "1");
	RUN_UNTIL(&f.world, map_count(&f.router.acks) == 0);
	assert_int_equal(script_count(&f.ingest.script, WIRE_ASKED), 0);
	say_ack(&f.edge[0], number, "late");
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.ingest.script, WIRE_ACK), 1);
	fixture_close(&f);
}

static void test_publisher_that_is_gone_is_told_nothing(void **state)
{
	uint64_t number;

	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	ask(&f.ingest, 1, "a", 60000);
	number = number_at(&f.edge[0]);
	node_close(&f.ingest);
	node_open(&f.ingest, &f.world, "ingest", "ingest-0", 10); /* its next life */
	node_greet(&f.ingest, 1);
	assert_int_equal(map_count(&f.router.acks), 0);
	say_asked(&f.edge[0], number, 1);
	say_ack(&f.edge[0], number, "1");
	node_sync(&f.edge[0]);
	assert_int_equal(script_count(&f.ingest.script, WIRE_ASKED), 0);
	assert_int_equal(script_count(&f.ingest.script, WIRE_ACK), 0);
	fixture_close(&f);
}

static void test_too_many_go_out_and_are_not_taken(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	for (uint64_t i = 1; i <= ACKS_MAX; i++) {
		struct wire_publish p = { .ack = i, .ack_ms = 60000 };

		assert_non_null(acks_begin(peer_of(&f, &f.ingest), &p, i));
	}
	ask(&f.ingest, 1, "a", 60000);
	say_asked(&f.edge[0], number_at(&f.edge[0]), 1);
	node_sync(&f.edge[0]);
	assert_int_equal(map_count(&f.router.acks), ACKS_MAX);
	assert_int_equal(script_count(&f.ingest.script, WIRE_ASKED), 0);
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_clients_of_all_edges_are_added_up_and_their_answers_passed_on),
		cmocka_unit_test(test_room_nobody_holds_is_told_at_once),
		cmocka_unit_test(test_event_that_came_before_is_not_asked_again),
		cmocka_unit_test(test_edge_that_is_gone_leaves_the_sum_untold_until_time_is_up),
		cmocka_unit_test(test_publisher_that_is_gone_is_told_nothing),
		cmocka_unit_test(test_too_many_go_out_and_are_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
