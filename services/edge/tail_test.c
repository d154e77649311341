/* SPDX-License-Identifier: Apache-2.0 */
/* The latest messages of an edge: how many it keeps, what it says it knows, and that a router that was started anew gets them back. */
#include "services/edge/shard.h"

#include "common/base/mem.h"
#include "common/bus/bus_hand_test.h"
#include "common/metrics/metrics.h"
#include "services/edge/room.h"
#include "services/edge/sock.h"

#define TOLD_MAX 400

/* What the router was told, in order. */
struct told {
	enum wire_id id;
	uint64_t place, since, known_from;
	size_t payload_bytes;
};

struct fixture {
	struct world world;
	struct end end;
	struct edge edge;
	struct sock sock; /* in the rooms */
	struct script router;
	struct told told[TOLD_MAX];
	size_t told_count;
	uint64_t sent, hello_nonce;
};

static struct fixture f;

static void on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	(void)ctx;
	if (m->id == WIRE_SUBSCRIBED)
		room_on_subscribed(bus_link_user(link), &m->any.subscribed);
}

/* A router that keeps only what it was told of rooms and messages. */
static void on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	size_t before = f.router.count;
	const struct seen *seen = &f.router.seen[before];
	struct told *told = &f.told[f.told_count];
	union wire_any any;
	enum wire_id id;

	script_on_frames(ctx, frames, frame_count);
	uv_stop(&f.world.loop);
	if (f.router.count == before ||
	    (seen->id != WIRE_RETURN && seen->id != WIRE_SUBSCRIBE && seen->id != WIRE_SYNCED))
		return;
	assert_true(f.told_count++ < TOLD_MAX);
	*told = (struct told){ .id = seen->id };
	if (seen->id == WIRE_SUBSCRIBE) {
		told->since = seen->any.subscribe.since;
		told->known_from = seen->any.subscribe.known_from;
	} else if (seen->id == WIRE_RETURN) {
		assert_true(frame_count >= 5); /* peer, envelope, body, the DELIVER, its payload */
		assert_int_equal(wire_unpack(frames[3], &id, &any), 0);
		assert_int_equal(id, WIRE_DELIVER);
		told->place = any.deliver.place;
		for (size_t i = 4; i < frame_count; i++)
			told->payload_bytes += frames[i].n;
	}
}

static void fixture_open(void)
{
	static const struct router_clnt_handlers handlers = { .fresh = shard_on_fresh,
							      .message = on_message,
							      .acked = shard_on_acked,
							      .added = shard_on_added,
							      .changed = shard_on_changed,
							      .removed = shard_on_removed };
	struct router_clnt_spec spec = {
		.handlers = &handlers, .ctx = &f.edge, .max_in_flight = 10, .max_bytes = 1000
	};
	struct edge *edge = &f.edge;

	memset(&f, 0, sizeof(f));
	world_open(&f.world);
	edge->svc = spec.svc = end_open(&f.end, &f.world, "edge", "edge-0");
	memcpy(edge->tag, "AbCd", EDGE_TAG_BYTES);
	map_init(&edge->pids, NULL);
	map_init(&edge->restores, NULL);
	map_init(&edge->rooms, room_key_of);
	list_init(&edge->shards);
	list_init(&edge->parked);
	list_init(&edge->lingering);
	list_init(&edge->tail);
	buf_init(&edge->offset, OFFSET_MAX_CHARS);
	f.sock.edge = edge;
	f.sock.state = SOCK_PARKED; /* its client is away: it holds rooms, and asks for nothing */
	spec.endpoints = f.world.endpoint;
	assert_int_equal(router_clnt_open(&spec, &edge->router), 0);
}

static struct shard *shard(void)
{
	return CONTAINER_OF(list_first(&f.edge.shards), struct shard, node);
}

static void fixture_close(void)
{
	room_leave_all(&f.sock);
	f.edge.closing = true;
	router_clnt_close(&f.edge.router);
	assert_true(list_empty(&f.edge.shards));
	assert_true(list_empty(&f.edge.tail));
	assert_int_equal(f.edge.tail_count + f.edge.tail_bytes, 0);
	assert_int_equal(map_count(&f.edge.rooms), 0);
	map_fini(&f.edge.pids);
	map_fini(&f.edge.restores);
	map_fini(&f.edge.rooms);
	buf_fini(&f.edge.offset);
	end_close(&f.end);
	if (f.router.sock)
		script_close(&f.router);
	world_close(&f.world);
}

static void router_up(uint64_t epoch)
{
	struct wire_welcome m = { .version = WIRE_VERSION,
				  .name = STR("router-0"),
				  .epoch = epoch };

	memset(&f.router, 0, sizeof(f.router));
	f.router.world = &f.world;
	f.router.routes = true;
	end_open(&f.router.end, &f.world, "script", "script");
	assert_int_equal(adapt_zmq_open(&f.router.end.process.svc, ADAPT_ZMQ_ROUTER, NULL,
					f.world.endpoint, on_frames, &f.router, &f.router.sock),
			 0);
	do
		m.nonce = script_wait(&f.router, WIRE_HELLO)->any.hello.nonce;
	while (m.nonce == f.hello_nonce);
	f.hello_nonce = m.nonce;
	f.sent = 0;
	script_say(&f.router, 0, 0, WIRE_WELCOME, &m);
}

static void say_subscribed(const char *key, uint64_t place)
{
	struct wire_subscribed m = { .room = str_of(key), .place = place };
	struct room *room = room_find(&f.edge, str_of(key));

	script_say(&f.router, ++f.sent, 0, WIRE_SUBSCRIBED, &m);
	RUN_UNTIL(&f.world, room->confirmed);
}

/* In the edge's room from this place on. */
static struct room *hold(const char *key, uint64_t place)
{
	struct item item = { .place = place, .shard = shard()->id };
	struct room *room;

	assert_int_equal(room_hold(&f.sock, str_of(key), &item), 0);
	room = room_find(&f.edge, str_of(key));
	room->known_from = place;
	return room;
}

struct delivered {
	struct wire_deliver d;
	struct str rooms[3], payload[2];
	struct blob *body;
	struct bus_message m;
};

/* payload_bytes: of the second frame; 0: there is none */
static void deliver_make(struct delivered *x, uint64_t place, const char *a, const char *b,
			 size_t payload_bytes)
{
	static const char zeros[4096];

	*x = (struct delivered){ .d = { .place = place,
					.nsp = STR("/"),
					.event = STR("e"),
					.attachments = payload_bytes > 0 } };
	x->rooms[x->d.rooms.count++] = str_of(a);
	if (b)
		x->rooms[x->d.rooms.count++] = str_of(b);
	x->d.rooms.items = x->rooms;
	x->body = wire_pack(WIRE_DELIVER, &x->d);
	assert_non_null(x->body);
	x->payload[0] = STR("{}");
	x->payload[1] = str_make(zeros, payload_bytes);
	x->m = (struct bus_message){ .body = blob_str(x->body),
				     .payload = x->payload,
				     .payload_count = 1 + (payload_bytes > 0) };
	assert_int_equal(wire_unpack(x->m.body, &x->m.id, &x->m.any), 0);
}

static void add(uint64_t place, const char *a, const char *b, size_t payload_bytes)
{
	struct delivered x;

	deliver_make(&x, place, a, b, payload_bytes);
	tail_add(shard(), &x.m, place);
	shard_passed(shard(), place);
	blob_unref(&x.body);
}

static void add_old(uint64_t place, const char *a, const char *b)
{
	struct delivered x;

	deliver_make(&x, place, a, b, 0);
	tail_add_old(shard(), &x.m);
	blob_unref(&x.body);
}

static uint64_t first_place(void)
{
	return CONTAINER_OF(list_first(&f.edge.tail), struct tail_item, all)->place;
}

static void test_copy_read_is_the_message(void **state)
{
	struct str payload[WIRE_MAX_PAYLOADS];
	struct tail_item *item;
	struct delivered x;
	struct bus_message m;

	(void)state;
	fixture_open();
	deliver_make(&x, 42, "a", "b", 100);
	item = tail_copy(shard(), &x.m, 42);
	blob_unref(&x.body);
	assert_int_equal(item->place, 42);
	assert_true(tail_read(item, &m, payload));
	assert_int_equal(m.any.deliver.place, 42);
	assert_int_equal(m.any.deliver.rooms.count, 2);
	assert_int_equal(m.payload_count, 2);
	assert_str(payload[0], STR("{}"));
	assert_int_equal(payload[1].n, 100);
	mem_free(item);
	fixture_close();
}

static void test_too_many_messages_the_oldest_goes_and_its_rooms_know_less(void **state)
{
	const struct room *a, *b;

	(void)state;
	fixture_open();
	f.edge.svc->conf.edge_history_count = 3;
	a = hold("/,a", 1);
	b = hold("/,b", 2);
	add(10, "a", NULL, 0);
	add(11, "b", "never-held", 0);
	add(12, "a", NULL, 0);
	assert_int_equal(a->known_from, 1);
	add(13, "b", NULL, 0);
	assert_int_equal(f.edge.tail_count, 3);
	assert_int_equal(first_place(), 11);
	assert_int_equal(a->known_from, 10); /* behind this it has all of them */
	assert_int_equal(b->known_from, 2);
	add(14, "a", "b", 0);
	assert_int_equal(a->known_from, 10);
	assert_int_equal(b->known_from, 11);
	f.edge.svc->conf.edge_history_count = 0;
	add(15, "b", NULL, 0);
	assert_true(list_empty(&f.edge.tail));
	assert_int_equal(a->known_from, 14);
	assert_int_equal(b->known_from, 15);
	assert_int_equal(metrics_values[METRIC_TAIL_MESSAGES], 0);
	fixture_close();
}

static void test_bytes_are_bounded(void **state)
{
	(void)state;
	fixture_open();
	hold("/,a", 1);
	f.edge.svc->conf.edge_history_bytes = 10000;
	for (uint64_t place = 10; place < 60; place++) {
		add(place, "a", NULL, 1000);
		assert_true(f.edge.tail_bytes <= 10000);
		assert_int_equal(metrics_values[METRIC_TAIL_BYTES], f.edge.tail_bytes);
	}
	assert_true(f.edge.tail_bytes > 8000);
	assert_int_equal(room_find(&f.edge, STR("/,a"))->known_from, first_place() - 1);
	fixture_close();
}

static void test_what_is_too_old_goes(void **state)
{
	const struct room *a;

	(void)state;
	fixture_open();
	f.edge.svc->conf.recovery_seconds = 5;
	a = hold("/,a", 1);
	clock_fake(1000000, 1);
	add(10, "a", NULL, 0);
	clock_fake(1001000, 1);
	add(11, "a", NULL, 0);
	clock_fake(1015000, 1); /* five seconds, and ten */
	tail_sweep(&f.edge);
	assert_int_equal(f.edge.tail_count, 2);
	clock_fake(1015001, 1);
	tail_sweep(&f.edge);
	assert_int_equal(first_place(), 11);
	assert_int_equal(a->known_from, 10);
	clock_fake(0, 0);
	fixture_close();
}

static void test_message_from_before_is_kept_only_where_it_is_not_known(void **state)
{
	(void)state;
	fixture_open();
	hold("/,a", 10);
	hold("/,b", 20);
	add_old(15, "a", NULL); /* the edge had it */
	assert_int_equal(f.edge.tail_count, 0);
	add_old(15, "a", "b"); /* not of b */
	add_old(10, "a", NULL);
	add_old(9, "a", NULL);
	add_old(5, "never-held", NULL);
	assert_int_equal(f.edge.tail_count, 3);
	fixture_close();
}

/* ── given back ── */

static void run_until_synced(void)
{
	RUN_UNTIL(&f.world, f.told_count > 0 && f.told[f.told_count - 1].id == WIRE_SYNCED);
}

static void test_new_router_gets_messages_in_order_then_rooms_then_the_word(void **state)
{
	(void)state;
	fixture_open();
	router_up(7);
	run_until_synced();
	hold("/,a", 9);
	say_subscribed("/,a", 9);
	for (uint64_t place = 10; place < 15; place++)
		add(place, "a", NULL, place);
	script_close(&f.router);
	f.end.process.svc.conf.link_timeout_ms = 100;
	f.told_count = 0;
	router_up(8);
	run_until_synced();
	assert_int_equal(f.told_count, 7);
	for (uint64_t i = 0; i < 5; i++) {
		assert_int_equal(f.told[i].id, WIRE_RETURN);
		assert_int_equal(f.told[i].place, 10 + i);
		assert_int_equal(f.told[i].payload_bytes, 2 + 10 + i);
	}
	assert_int_equal(f.told[5].id, WIRE_SUBSCRIBE);
	assert_int_equal(f.told[5].since, 14);
	assert_int_equal(f.told[5].known_from, 9);
	say_subscribed("/,a", 300); /* a room whose answer is under way stays */
	fixture_close();
}

/* More than half of what the link may hold waits for acknowledgements; what has come from the new router meanwhile is not given back to it. */
static void test_portions_go_with_acknowledgements(void **state)
{
	struct wire_pong pong = { 0 };
	size_t told;

	(void)state;
	fixture_open();
	router_up(7);
	run_until_synced();
	hold("/,a", 9);
	say_subscribed("/,a", 9);
	for (uint64_t place = 10; place < 130; place++)
		add(place, "a", NULL, 0);
	script_close(&f.router);
	f.end.process.svc.conf.link_timeout_ms = 100;
	f.end.process.svc.conf.link_unacked_count = 100;
	f.told_count = 0;
	router_up(8);
	RUN_UNTIL(&f.world, f.told_count >= 49); /* ADVERTISE is one of the fifty */
	add(200, "a", NULL, 0);                  /* of the new router's life */
	script_wait(&f.router, WIRE_PING);
	assert_int_equal(f.told_count, 49);
	do {
		told = f.told_count;
		script_say(&f.router, 0, 1 + told, WIRE_PONG, &pong);
		RUN_UNTIL(&f.world, f.told_count > told);
	} while (f.told[f.told_count - 1].id != WIRE_SYNCED);
	assert_int_equal(f.told_count, 122);
	for (uint64_t i = 0; i < 120; i++) {
		assert_int_equal(f.told[i].id, WIRE_RETURN);
		assert_int_equal(f.told[i].place, 10 + i);
	}
	assert_int_equal(f.told[120].id, WIRE_SUBSCRIBE);
	say_subscribed("/,a", 300); /* a room whose answer is under way stays */
	fixture_close();
}

/* The same router has forgotten the link: it has its messages itself. */
static void test_router_that_lives_on_gets_no_messages(void **state)
{
	(void)state;
	fixture_open();
	router_up(7);
	run_until_synced();
	hold("/,a", 9);
	say_subscribed("/,a", 9);
	add(10, "a", NULL, 0);
	script_close(&f.router);
	f.end.process.svc.conf.link_timeout_ms = 100;
	f.told_count = 0;
	router_up(7);
	run_until_synced();
	assert_int_equal(f.told_count, 2);
	assert_int_equal(f.told[0].id, WIRE_SUBSCRIBE);
	assert_int_equal(f.told[0].since, 10);
	say_subscribed("/,a", 300); /* a room whose answer is under way stays */
	fixture_close();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_read_is_the_message),
		cmocka_unit_test(test_too_many_messages_the_oldest_goes_and_its_rooms_know_less),
		cmocka_unit_test(test_bytes_are_bounded),
		cmocka_unit_test(test_what_is_too_old_goes),
		cmocka_unit_test(test_message_from_before_is_kept_only_where_it_is_not_known),
		cmocka_unit_test(test_new_router_gets_messages_in_order_then_rooms_then_the_word),
		cmocka_unit_test(test_portions_go_with_acknowledgements),
		cmocka_unit_test(test_router_that_lives_on_gets_no_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
