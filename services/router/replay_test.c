/* SPDX-License-Identifier: Apache-2.0 */
/* What one client has missed, asked for by its edge. */
#include "common/base/mem.h"
#include "proto/item.h"
#include "services/router/room.h"
#include "services/router/router_test.h"

#define ITEMS_MAX 8

struct wanted {
	const char *room;
	uint64_t since;
};

static struct fixture f;
static uint64_t place_of[SEEN_MAX]; /* by uid */

static void replay(struct node *n, uint64_t ref, const struct wanted *wanted, uint32_t count)
{
	struct buf text = BUF_INIT(4096);
	struct str items[ITEMS_MAX];
	struct wire_replay m = { .ref = ref, .rooms = { .count = count, .items = items } };
	size_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct item item = { wanted[i].since, 7, 0, str_of(wanted[i].room) };

		item_add(&text, &item);
	}
	for (uint32_t i = 0; i < count; i++) {
		items[i] = str_make(text.p + at, ITEM_HEAD_BYTES + strlen(wanted[i].room));
		at += items[i].n;
	}
	assert_int_equal(text.failed, 0);
	node_say(n, WIRE_REPLAY, &m);
	buf_fini(&text);
}

/* The next message of this answer; its uid, 0: it was REPEATED. */
static uint64_t next_repeat(struct node *n, uint64_t ref, bool *gap)
{
	for (;;) {
		const struct seen *seen;
		union wire_any any;
		enum wire_id id;

		RUN_UNTIL(n->script.world, n->script.looked_at < n->script.count);
		seen = &n->script.seen[n->script.looked_at++];
		if (seen->id == WIRE_REPEATED) {
			assert_int_equal(seen->any.repeated.ref, ref);
			assert_int_equal(seen->any.repeated.place, f.router.place);
			*gap = seen->any.repeated.gap;
			return 0;
		}
		if (seen->id != WIRE_REPEAT)
			continue;
		assert_int_equal(seen->any.repeat.ref, ref);
		assert_int_equal(wire_unpack(blob_str(node_payload(n, seen, 0)), &id, &any), 0);
		assert_int_equal(id, WIRE_DELIVER);
		assert_int_equal(any.deliver.place, place_of[any.deliver.uid_low]);
		assert_str(blob_str(node_payload(n, seen, 1)), STR("{\"payload\":1}"));
		assert_null(node_payload(n, seen, 2));
		return any.deliver.uid_low;
	}
}

static void expect_repeats(struct node *n, uint64_t ref, const uint64_t *uids, bool gap)
{
	bool got_gap = false;

	for (size_t i = 0; uids && uids[i]; i++)
		assert_int_equal(next_repeat(n, ref, &got_gap), uids[i]);
	assert_int_equal(next_repeat(n, ref, &got_gap), 0);
	assert_int_equal(got_gap, gap);
}

/* Published, and its place noted. */
static void post(uint64_t uid, const char *a, const char *b)
{
	uint64_t before = f.router.place;

	publish(&f.ingest, (struct publish){ .ref = uid, .uid = uid, .rooms = { a, b } });
	RUN_UNTIL(&f.world, f.router.place != before);
	place_of[uid] = f.router.place;
}

static void open_with_rooms(void)
{
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	subscribe(&f.edge[0], "/,b");
	subscribe(&f.edge[0], "/,c");
	post(1, "a", NULL);
	post(2, "b", NULL);
	post(3, "c", "a");
	post(4, "b", "c");
	post(5, "a", NULL);
}

static void test_rooms_that_were_asked_come_once_and_in_order(void **state)
{
	static const struct {
		struct {
			const char *room;
			uint64_t since; /* uid of that message; 0: the router's birth */
		} wanted[4];
		uint64_t uids[6];
	} cases[] = {
		{ { { "/,a", 0 } }, { 1, 3, 5 } },
		{ { { "/,a", 1 } }, { 3, 5 } },
		{ { { "/,a", 2 } }, { 3, 5 } }, /* a place of another room's message */
		{ { { "/,a", 5 } }, { 0 } },
		{ { { "/,c", 0 }, { "/,a", 0 } }, { 1, 3, 4, 5 } }, /* 3 is in both */
		{ { { "/,b", 2 }, { "/,a", 3 }, { "/,c", 0 } }, { 3, 4, 5 } },
		{ { { "/,c", 4 }, { "/,b", 4 }, { "/,a", 5 } }, { 0 } },
		{ { { "/,a", 0 }, { "/,a", 3 } }, { 1, 3, 5 } }, /* named twice */
		{ { { "/,d", 0 }, { "/,a", 3 } }, { 5 } },       /* one nobody ever held */
		{ { { "/x,a", 0 } }, { 0 } },                    /* of another namespace */
	};

	(void)state;
	open_with_rooms();
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct wanted wanted[4];
		uint32_t n = 0;

		place_of[0] = f.router.born;
		for (; n < 4 && cases[i].wanted[n].room; n++)
			wanted[n] = (struct wanted){ cases[i].wanted[n].room,
						     place_of[cases[i].wanted[n].since] };
		replay(&f.edge[1], i + 1, wanted, n);
		expect_repeats(&f.edge[1], i + 1, cases[i].uids, false);
	}
	fixture_close(&f);
}

static void test_what_history_has_dropped_is_a_gap(void **state)
{
	(void)state;
	open_with_rooms();
	f.end.process.svc.conf.history_count = 2;
	post(6, "a", NULL); /* only 5 and 6 of a are left */
	replay(&f.edge[1], 1, (struct wanted[]){ { "/,a", place_of[1] } }, 1);
	expect_repeats(&f.edge[1], 1, NULL, true); /* 3 is missing: nothing is sent at all */
	replay(&f.edge[1], 2, (struct wanted[]){ { "/,a", place_of[3] } }, 1);
	expect_repeats(&f.edge[1], 2, (uint64_t[]){ 5, 6, 0 }, false);
	replay(&f.edge[1], 3, (struct wanted[]){ { "/,b", place_of[1] }, { "/,a", place_of[1] } },
	       2);
	expect_repeats(&f.edge[1], 3, NULL, true); /* one room's gap is the client's */
	fixture_close(&f);
}

static void test_more_bytes_than_allowed_are_a_gap(void **state)
{
	uint64_t bytes;

	(void)state;
	open_with_rooms();
	bytes = room_find(&f.router, STR("/,a"))->history_bytes;
	f.end.process.svc.conf.replay_bytes = (int64_t)bytes;
	replay(&f.edge[1], 1, (struct wanted[]){ { "/,a", f.router.born } }, 1);
	expect_repeats(&f.edge[1], 1, (uint64_t[]){ 1, 3, 5, 0 }, false);
	f.end.process.svc.conf.replay_bytes = (int64_t)bytes - 1;
	replay(&f.edge[1], 2, (struct wanted[]){ { "/,a", f.router.born } }, 1);
	expect_repeats(&f.edge[1], 2, NULL, true);
	replay(&f.edge[1], 3, (struct wanted[]){ { "/,a", place_of[1] } }, 1);
	expect_repeats(&f.edge[1], 3, (uint64_t[]){ 3, 5, 0 }, false);
	fixture_close(&f);
}

static void test_places_of_an_earlier_life_that_nobody_vouches_for_are_a_gap(void **state)
{
	(void)state;
	open_with_rooms();
	replay(&f.edge[1], 1, (struct wanted[]){ { "/,a", f.router.born - 1 } }, 1);
	expect_repeats(&f.edge[1], 1, NULL, true);
	replay(&f.edge[1], 2, (struct wanted[]){ { "/,unknown", f.router.born - 1 } }, 1);
	expect_repeats(&f.edge[1], 2, NULL, true);
	replay(&f.edge[1], 3, (struct wanted[]){ { "/,unknown", f.router.born } }, 1);
	expect_repeats(&f.edge[1], 3, NULL, false);
	fixture_close(&f);
}

static void test_item_that_is_none_is_passed_over(void **state)
{
	struct str items[] = { STR(""), STR("short"), STR("0123456789012") };
	struct wire_replay m = { .ref = 9, .rooms = { .count = 3, .items = items } };

	(void)state;
	open_with_rooms();
	node_say(&f.edge[1], WIRE_REPLAY, &m);
	expect_repeats(&f.edge[1], 9, NULL, false);
	fixture_close(&f);
}

/* What is delivered behind REPEATED is newer than all that was repeated. */
static void test_live_messages_come_behind_the_answer(void **state)
{
	const struct seen *repeated;

	(void)state;
	open_with_rooms();
	subscribe(&f.edge[1], "/,a");
	replay(&f.edge[1], 1, (struct wanted[]){ { "/,a", f.router.born } }, 1);
	expect_repeats(&f.edge[1], 1, (uint64_t[]){ 1, 3, 5, 0 }, false);
	repeated = &f.edge[1].script.seen[f.edge[1].script.looked_at - 1];
	post(6, "a", NULL);
	assert_true(expect_deliver(&f.edge[1], 6) > repeated->any.repeated.place);
	fixture_close(&f);
}

static void test_without_memory_nothing_is_said_to_be_whole(void **state)
{
	(void)state;
	open_with_rooms();
	for (uint64_t n = 1; n <= 4; n++) {
		struct peer *peer = peer_of(&f, &f.edge[1]);
		struct buf text = BUF_INIT(64);
		struct item item = { f.router.born, 7, 0, STR("/,a") };
		struct wire_replay m = { .ref = n };
		struct str items[1];
		bool gap = false;
		size_t got = 0;

		item_add(&text, &item);
		items[0] = buf_str(&text);
		m.rooms = (struct wire_list){ .count = 1, .items = items };
		mem_fail_at(n);
		replay_on_replay(peer, &m);
		mem_fail_at(0);
		if (n < 3) { /* the list of what was found */
			while (next_repeat(&f.edge[1], n, &gap))
				got++;
			assert_true(gap || got == 3);
			assert_int_equal(gap ? 0 : 3, got);
		} else { /* a message on its way: the link begins anew */
			script_wait(&f.edge[1].script, WIRE_RESYNC);
			node_greet(&f.edge[1], n);
		}
		buf_fini(&text);
	}
	fixture_close(&f);
}

/* ── at random, against a plain list of all messages ── */

#define MODEL_ROOMS 5
#define MODEL_MESSAGES 200

static const char *const model_rooms[MODEL_ROOMS] = { "a", "b", "c", "d", "e" };
static const char *const model_keys[MODEL_ROOMS] = { "/,a", "/,b", "/,c", "/,d", "/,e" };
static unsigned in_rooms[MODEL_MESSAGES + 1]; /* bits, by uid */

/* How many of its newest messages a room still has. */
static bool model_has(uint64_t uid, uint64_t last, unsigned room, unsigned keeps)
{
	for (uint64_t i = last; i > uid; i--)
		keeps -= keeps && (in_rooms[i] & 1u << room);
	return keeps > 0;
}

static void ask_model(uint64_t ref, uint64_t last, unsigned keeps, uint64_t x)
{
	struct wanted wanted[MODEL_ROOMS];
	uint64_t uids[MODEL_MESSAGES + 1] = { 0 };
	bool want[MODEL_MESSAGES + 1] = { false };
	uint32_t n = 0, found = 0;
	bool gap = false;

	for (unsigned room = 0; room < MODEL_ROOMS; room++) {
		uint64_t since = (x >> (8 + 8 * room)) % (last + 1);

		if (!(x >> room & 1))
			continue;
		wanted[n++] = (struct wanted){ model_keys[room], place_of[since] };
		for (uint64_t uid = since + 1; uid <= last; uid++) {
			if (!(in_rooms[uid] & 1u << room))
				continue;
			want[uid] = true;
			gap |= !model_has(uid, last, room, keeps);
		}
	}
	if (n == 0)
		return;
	for (uint64_t uid = 1; uid <= last && !gap; uid++)
		if (want[uid])
			uids[found++] = uid;
	replay(&f.edge[1], ref, wanted, n);
	expect_repeats(&f.edge[1], ref, uids, gap);
	node_ack(&f.edge[1]);
	node_forget(&f.edge[1]);
}

static void run_random(uint64_t seed)
{
	const unsigned keeps = 12;

	fixture_open(&f);
	f.end.process.svc.conf.history_count = keeps;
	for (unsigned i = 0; i < MODEL_ROOMS; i++) /* so that a room stays */
		subscribe(&f.edge[0], model_keys[i]);
	place_of[0] = f.router.place;
	for (uint64_t uid = 1; uid <= MODEL_MESSAGES; uid++) {
		uint64_t x = test_random(&seed);
		unsigned a = x % MODEL_ROOMS, b = (x >> 8) % MODEL_ROOMS;

		in_rooms[uid] = 1u << a | 1u << b;
		post(uid, model_rooms[a], a == b ? NULL : model_rooms[b]);
		ask_model(uid, uid, keeps, test_random(&seed));
		node_forget(&f.ingest);
	}
	fixture_close(&f);
}

static void test_random_questions_match_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 4; seed++)
		run_random(seed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rooms_that_were_asked_come_once_and_in_order),
		cmocka_unit_test(test_what_history_has_dropped_is_a_gap),
		cmocka_unit_test(test_more_bytes_than_allowed_are_a_gap),
		cmocka_unit_test(test_places_of_an_earlier_life_that_nobody_vouches_for_are_a_gap),
		cmocka_unit_test(test_item_that_is_none_is_passed_over),
		cmocka_unit_test(test_live_messages_come_behind_the_answer),
		cmocka_unit_test(test_without_memory_nothing_is_said_to_be_whole),
		cmocka_unit_test(test_random_questions_match_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
