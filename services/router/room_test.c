/* SPDX-License-Identifier: Apache-2.0 */
/* What a room remembers, for how long, and what it says of what it does not. room_model_test.c plays the same at random. */
#include "services/router/room_test.h"

static struct room *hold(struct fixture *f, unsigned room, int peer)
{
	struct room *r = room_get(&f->router, key_of(room));

	assert_non_null(r);
	assert_int_equal(room_add_edge(r, &f->peers[peer]), 0);
	return r;
}

static void test_room_nobody_ever_held_is_freed_without_history(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_count = 0;
	remember(&f, 0, 100);
	assert_null(room_find(&f.router, key_of(0)));
	assert_int_equal(f.router.floor, 0); /* nobody can have a place in it */
	fixture_close(&f);
}

/* A room that was held keeps what it has lost in mind: one of its clients may come back. */
static void test_room_that_was_held_stays_for_the_window(void **state)
{
	static struct fixture f;
	struct room *r;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_count = 1;
	f.router.svc->conf.recovery_seconds = 5;
	r = hold(&f, 0, 0);
	room_remove_edge(r, &f.peers[0]);
	remember(&f, 0, 100);
	remember(&f, 0, 100);
	clock_fake(f.now_ms + 34999, 1); /* five seconds, and thirty */
	room_sweep(&f.router);
	assert_ptr_equal(room_find(&f.router, key_of(0)), r);
	assert_int_equal(r->history_count, 0);
	assert_true(room_has_gap(r, 1));
	assert_false(room_has_gap(r, 2));
	clock_fake(f.now_ms + 35001, 1);
	room_sweep(&f.router);
	assert_null(room_find(&f.router, key_of(0)));
	fixture_close(&f);
}

static void test_room_that_is_held_again_is_not_vacant(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	hold(&f, 0, 0);
	room_remove_edge(room_find(&f.router, key_of(0)), &f.peers[0]);
	hold(&f, 0, 1);
	clock_fake(f.now_ms + 10000000, 1);
	room_sweep(&f.router);
	assert_int_equal(room_find(&f.router, key_of(0))->edge_count, 1);
	fixture_close(&f);
}

static void test_message_larger_than_all_history_is_not_kept(void **state)
{
	static struct fixture f;
	struct room *r;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_total_bytes = 1000;
	hold(&f, 0, 0);
	remember(&f, 0, 400);
	remember(&f, 1, 400);
	remember(&f, 0, 5000);
	r = room_find(&f.router, key_of(0));
	assert_int_equal(r->history_count, 0);
	assert_null(r->newest);
	assert_int_equal(r->dropped_place, 3);
	assert_null(room_find(&f.router, key_of(1))); /* the other room's went first */
	remember(&f, 0, 10);
	assert_int_equal(r->oldest->message->place, 4);
	fixture_close(&f);
}

/* What edges of the life before tell: from where on they have the room's messages, and up to where. */
static void test_restored_room_has_a_gap_where_nobody_vouches(void **state)
{
	static const struct {
		struct {
			uint64_t from, upto;
		} known[3];
		bool vouched;
		uint64_t since;
		bool gap;
	} cases[] = {
		{ .since = 50, .gap = true }, /* nobody has told anything */
		{ .since = 100, .gap = false },
		{ .since = 0, .gap = true },
		{ .known = { { 10, 60 } }, .since = 10, .gap = false },
		{ .known = { { 10, 60 } }, .since = 9, .gap = true },
		{ .known = { { 10, 60 } }, .since = 60, .gap = false },
		{ .known = { { 10, 60 } },
		  .since = 61,
		  .gap = true }, /* seen by nobody who is there */
		{ .known = { { 10, 60 } }, .since = 99, .gap = true },
		{ .known = { { 10, 60 } }, .since = 100, .gap = false },
		{ .known = { { 40, 60 }, { 10, 50 } }, .since = 10, .gap = false },
		{ .known = { { 10, 50 }, { 40, 60 } }, .since = 60, .gap = false },
		{ .known = { { 10, 50 }, { 40, 60 }, { 5, 20 } }, .since = 5, .gap = false },
		{ .known = { { 10, 100 } }, .vouched = true, .since = 99, .gap = false },
		{ .known = { { 10, 60 } }, .vouched = true, .since = 9, .gap = true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		static struct fixture f;
		struct room *r;

		fixture_open(&f);
		f.router.place = f.router.born = f.router.floor = 100;
		f.router.vouched = cases[i].vouched;
		r = room_get(&f.router, key_of(0));
		for (int k = 0; k < 3 && cases[i].known[k].upto; k++)
			room_restore(r, cases[i].known[k].from, cases[i].known[k].upto);
		if (room_has_gap(r, cases[i].since) != cases[i].gap)
			fail_msg("case %zu: got %d", i, !cases[i].gap);
		assert_int_equal(room_add_edge(r, &f.peers[0]), 0); /* so that it is freed */
		fixture_close(&f);
	}
}

static void test_history_when_memory_ends_is_dropped_and_remembered_as_gap(void **state)
{
	static struct fixture f;
	struct message *m;
	struct room *r;

	(void)state;
	fixture_open(&f);
	hold(&f, 0, 0);
	remember(&f, 0, 100);
	remember(&f, 0, 100);
	r = room_find(&f.router, key_of(0));
	m = mem_try(sizeof(*m));
	m->refs = 1;
	m->place = 3;
	m->bytes = 100;
	mem_fail_at(1);
	room_remember(r, m);
	mem_fail_at(0);
	assert_int_equal(m->refs, 1);
	assert_int_equal(r->history_count, 0);
	assert_int_equal(r->dropped_place, 3);
	message_unref(&m);
	fixture_close(&f);
}

static void test_edge_when_memory_ends_is_not_added(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	for (uint64_t n = 1; n <= 2; n++) {
		struct room *r = room_get(&f.router, key_of(0));

		assert_non_null(r);
		mem_fail_at(n);
		assert_int_equal(room_add_edge(r, &f.peers[0]), E_NOMEM);
		mem_fail_at(0);
		assert_null(
			room_find(&f.router, key_of(0))); /* nobody holds it: it does not stay */
		assert_int_equal(f.peers[0].room_count, 0);
	}
	hold(&f, 0, 0);
	assert_int_equal(f.peers[0].room_count, 1);
	fixture_close(&f);
}

static void test_too_many_rooms_the_longest_vacant_goes_and_is_remembered_as_gap(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.max_room_count = 2;
	hold(&f, 0, 0);
	hold(&f, 1, 0);
	remember(&f, 0, 10);
	remember(&f, 1, 10);
	room_remove_edge(room_find(&f.router, key_of(1)), &f.peers[0]);
	room_remove_edge(room_find(&f.router, key_of(0)), &f.peers[0]);
	assert_non_null(room_get(&f.router, key_of(2)));
	assert_null(room_find(&f.router, key_of(1)));
	assert_non_null(room_find(&f.router, key_of(0)));
	assert_int_equal(f.router.floor, 2);
	/* Who comes back to it from before is told of a gap. */
	assert_true(room_has_gap(room_find(&f.router, key_of(2)), 1));
	assert_false(room_has_gap(room_find(&f.router, key_of(2)), 2));
	assert_int_equal(room_add_edge(room_find(&f.router, key_of(2)), &f.peers[0]), 0);
	fixture_close(&f);
}

static void test_rooms_are_bounded(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.max_room_count = 2;
	hold(&f, 0, 0);
	hold(&f, 1, 0);
	assert_null(room_get(&f.router, key_of(2)));
	assert_non_null(room_get(&f.router, key_of(1)));
	fixture_close(&f);
}

/* ── what was kept from a socket is nothing it has missed ── */

static void remember_spared(struct fixture *f, const char *except)
{
	struct message *m = mem_try(sizeof(*m));
	struct str name = str_of(except ? except : "");
	struct wire_list list = { .count = except != NULL, .items = &name };
	struct wire_publish p = { .nsp = STR("/"), .except = list };
	union wire_any any;
	enum wire_id id;
	struct blob *body;
	struct str room = STR("r");

	p.rooms = (struct wire_list){ .count = 1, .items = &room };
	body = wire_pack(WIRE_PUBLISH, &p);
	assert_int_equal(wire_unpack(blob_str(body), &id, &any), 0); /* as it comes: packed */
	m->refs = 1;
	m->place = ++f->router.place;
	m->at_ms = clock_ms();
	m->bytes = 10;
	message_note_except(m, &any.publish.except);
	room_remember(room_get(&f->router, key_of(0)), m);
	message_unref(&m);
	blob_unref(&body);
}

static void test_who_only_sends_misses_nothing(void **state)
{
	static struct fixture f;
	const struct room *r;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_count = 2;
	r = hold(&f, 0, 0);
	for (int i = 0; i < 10; i++)
		remember_spared(&f, "me");
	assert_false(room_has_gap_for(r, 0, STR("me")));
	assert_true(room_has_gap_for(r, 0, STR("you")));
	assert_true(room_has_gap_for(r, 7, STR("you")));
	assert_false(room_has_gap_for(r, 8, STR("you")));
	assert_true(room_has_gap_for(r, 0, STR_NONE));
	remember_spared(&f, "you"); /* 11 */
	remember_spared(&f, NULL);
	remember_spared(&f, NULL);
	assert_true(room_has_gap_for(r, 0, STR("me"))); /* 11 is gone */
	assert_true(room_has_gap_for(r, 10, STR("me")));
	assert_false(room_has_gap_for(r, 11, STR("me")));
	assert_false(room_has_gap_for(r, 10, STR("you")));
	fixture_close(&f);
}

static void test_random_losses_are_never_silent(void **state)
{
	static struct fixture f;
	static const char *const names[] = { "a", "b", NULL };
	const char *spared[301];
	uint64_t random = 5, quiet = 0;
	const struct room *r;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_count = 3;
	r = hold(&f, 0, 0);
	for (uint64_t place = 1; place <= 300; place++) {
		spared[place] = names[test_random(&random) % 16 % 5 % 3];
		remember_spared(&f, spared[place]);
		for (int i = 0; i < 3; i++) {
			uint64_t since = test_random(&random) % (place + 1);
			struct str sid = names[i] ? str_of(names[i]) : STR_NONE;
			bool missed = false;

			for (uint64_t p = since + 1; p + 3 <= place; p++)
				missed |= !spared[p] || !names[i] ||
					  strcmp(spared[p], names[i]) != 0;
			if (missed)
				assert_true(room_has_gap_for(r, since, sid));
			quiet += !room_has_gap_for(r, since, sid);
		}
	}
	assert_true(quiet > 10);
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_nobody_ever_held_is_freed_without_history),
		cmocka_unit_test(test_room_that_was_held_stays_for_the_window),
		cmocka_unit_test(test_room_that_is_held_again_is_not_vacant),
		cmocka_unit_test(test_message_larger_than_all_history_is_not_kept),
		cmocka_unit_test(test_history_when_memory_ends_is_dropped_and_remembered_as_gap),
		cmocka_unit_test(test_edge_when_memory_ends_is_not_added),
		cmocka_unit_test(test_restored_room_has_a_gap_where_nobody_vouches),
		cmocka_unit_test(
			test_too_many_rooms_the_longest_vacant_goes_and_is_remembered_as_gap),
		cmocka_unit_test(test_rooms_are_bounded),
		cmocka_unit_test(test_who_only_sends_misses_nothing),
		cmocka_unit_test(test_random_losses_are_never_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
