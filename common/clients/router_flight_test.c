/* SPDX-License-Identifier: Apache-2.0 */
/* Events on their way to two routers: split, in the order of their lanes, and what becomes of them when a router is none any more. */
#include "common/clients/router_clnt_test.h"

#include "common/base/mem.h"

static struct fixture f;
static struct call calls[CALLS_MAX];
/* Rooms of either router, found by trying. */
static char room_text[ROUTERS][EVENT_ROOMS_MAX][16];
static const char *room[ROUTERS][EVENT_ROOMS_MAX + 1];

static struct shard *shard_at(int router)
{
	LIST_EACH(&f.clnt->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (strcmp(s->endpoint, f.router[router].endpoint) == 0)
			return s;
	}
	fail_msg("no such router");
	return NULL;
}

static void find_rooms(void)
{
	int found[ROUTERS] = { 0 };

	for (int i = 0; found[0] < EVENT_ROOMS_MAX || found[1] < EVENT_ROOMS_MAX; i++) {
		char name[16], key[24];
		int r;

		snprintf(name, sizeof(name), "r%d", i);
		snprintf(key, sizeof(key), "/,%s", name);
		r = router_clnt_shard(f.clnt, str_of(key)) == shard_at(1);
		if (found[r] == EVENT_ROOMS_MAX)
			continue;
		memcpy(room_text[r][found[r]], name, sizeof(name));
		room[r][found[r]] = room_text[r][found[r]];
		found[r]++;
	}
}

static void fixture_open(size_t max_in_flight)
{
	char endpoints[256];

	memset(&f, 0, sizeof(f));
	memset(calls, 0, sizeof(calls));
	world_open(&f.world);
	snprintf(endpoints, sizeof(endpoints), "%s,%s", f.world.endpoint, f.world.second);
	clnt_open(&f, endpoints, max_in_flight, 1u << 20);
	hand_open(&f.router[0], &f.world, f.world.endpoint);
	hand_open(&f.router[1], &f.world, f.world.second);
	for (int i = 0; i < ROUTERS; i++)
		hand_welcome(&f.router[i], 7 + (uint64_t)i, false, 0);
	RUN_UNTIL(&f.world, f.fresh == 2);
	for (int i = 0; i < ROUTERS; i++)
		script_wait(&f.router[i].script, WIRE_SYNCED);
	find_rooms();
}

static int publish(unsigned number, uint64_t lane, const char *a, const char *b)
{
	calls[number] = (struct call){ .f = &f, .number = number };
	return call_publish(&calls[number], &(struct wire_publish){ .uid_low = number + 1 }, lane,
			    (const char *const[]){ a, b, NULL });
}

/* The next event at this router; its `ref`. */
static uint64_t expect_event(int router, unsigned number)
{
	const struct seen *seen = script_wait(&f.router[router].script, WIRE_PUBLISH);

	assert_int_equal(seen->any.publish.uid_low, number + 1);
	return seen->any.publish.ref;
}

static void expect_list(const struct wire_list *list, const char *a, const char *b)
{
	const char *const want[] = { a, b, NULL };
	struct wire_list_walk w;
	struct str name = STR_NONE;
	size_t at = 0;

	wire_list_walk(list, &w);
	for (; want[at] && wire_list_next(&w, &name); at++)
		assert_str(name, str_of(want[at]));
	assert_null(want[at]);
	assert_int_equal(list->count, at);
}

/* How many events this router has seen, when all that was sent has come. */
static size_t count_events(int router)
{
	struct wire_ping ping = { .sent = f.router[router].sent };
	size_t looked_at = f.router[router].script.looked_at;

	f.router[router].script.looked_at = f.router[router].script.count;
	for (int i = 0; i < 2; i++) {
		script_say(&f.router[router].script, 0, 0, WIRE_PING, &ping);
		script_wait(&f.router[router].script, WIRE_PONG);
	}
	f.router[router].script.looked_at = looked_at;
	return script_count(&f.router[router].script, WIRE_PUBLISH);
}

static void answer(int router, uint64_t ref)
{
	hand_answer(&f.router[router], 0, ref, "", false);
}

static void expect_done(unsigned number, int err)
{
	RUN_UNTIL(&f.world, calls[number].calls > 0);
	assert_int_equal(calls[number].calls, 1);
	assert_int_equal(calls[number].err, err);
}

static void expect_nothing_left(void)
{
	assert_int_equal(router_clnt_pending(f.clnt), 0);
	assert_int_equal(map_count(&f.clnt->lanes), 0);
	assert_int_equal(f.clnt->bytes, 0);
}

/* ── split ── */

static void test_event_over_two_routers_is_published_once_both_have_it(void **state)
{
	const struct wire_publish *m;
	uint64_t refs[ROUTERS];

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 0, room[1][0], room[0][0]), 0);
	for (int i = 0; i < ROUTERS; i++) {
		m = &script_wait(&f.router[i].script, WIRE_PUBLISH)->any.publish;
		refs[i] = m->ref;
		assert_int_equal(m->uid_low, 1);
		expect_list(&m->rooms, room[i][0], NULL);     /* its own */
		expect_list(&m->all, room[1][0], room[0][0]); /* as it was published */
	}
	assert_int_not_equal(refs[0], refs[1]);
	answer(0, refs[0]);
	answer(0, refs[0]); /* said twice: not the other one's */
	count_events(0);
	assert_int_equal(f.called, 0);
	answer(1, refs[1]);
	expect_done(0, 0);
	assert_false(calls[0].duplicate);
	expect_nothing_left();
	fixture_close(&f);
}

static void test_event_of_one_router_goes_whole(void **state)
{
	const struct wire_publish *m;

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 0, room[1][0], room[1][1]), 0);
	m = &script_wait(&f.router[1].script, WIRE_PUBLISH)->any.publish;
	expect_list(&m->rooms, room[1][0], room[1][1]);
	assert_int_equal(m->all.count, 0);
	assert_int_equal(count_events(0), 0);
	fixture_close(&f);
}

static void test_answers_of_two_routers_become_one(void **state)
{
	static const struct {
		const char *code[ROUTERS]; /* in the order in which they answer */
		bool duplicate[ROUTERS];
		int err;
		const char *want;
		bool want_duplicate;
	} cases[] = {
		{ { "", "" }, { true, true }, 0, "", true },
		{ { "", "" }, { true, false }, 0, "", false }, /* for somebody it is new */
		{ { "", "" }, { false, true }, 0, "", false },
		{ { "", "FULL" }, { 0 }, E_DENIED, "FULL", false },
		{ { "FULL", "" }, { 0 }, E_DENIED, "FULL", false },
		{ { "FIRST", "SECOND" }, { 0 }, E_DENIED, "FIRST", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		for (int first = 0; first < ROUTERS; first++) {
			uint64_t refs[ROUTERS];

			fixture_open(100);
			assert_int_equal(publish(0, 0, room[0][0], room[1][0]), 0);
			for (int r = 0; r < ROUTERS; r++)
				refs[r] = expect_event(r, 0);
			for (int k = 0; k < ROUTERS; k++) {
				int r = k == 0 ? first : !first;

				hand_answer(&f.router[r], 0, refs[r], cases[i].code[k],
					    cases[i].duplicate[k]);
				count_events(r);
			}
			expect_done(0, cases[i].err);
			assert_string_equal(calls[0].code, cases[i].want);
			assert_int_equal(calls[0].duplicate, cases[i].want_duplicate);
			fixture_close(&f);
		}
	}
}

static void test_volatile_event_goes_to_both_and_is_not_kept(void **state)
{
	struct wire_publish m = { .is_volatile = true };

	(void)state;
	fixture_open(100);
	calls[0].f = &f;
	assert_int_equal(call_publish(&calls[0], &m, 1,
				      (const char *const[]){ room[0][0], room[1][0], NULL }),
			 0);
	for (int i = 0; i < ROUTERS; i++)
		expect_list(&script_wait(&f.router[i].script, WIRE_PUBLISH)->any.publish.rooms,
			    room[i][0], NULL);
	expect_nothing_left();
	fixture_close(&f);
	assert_int_equal(f.called, 0);
}

/* ── lanes ── */

static void test_next_event_to_another_router_waits_for_its_turn(void **state)
{
	uint64_t first, second;

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 5, room[0][0], NULL), 0);
	assert_int_equal(publish(1, 5, room[1][0], NULL), 0);
	assert_int_equal(publish(2, 5, room[0][1], NULL), 0); /* behind that */
	first = expect_event(0, 0);
	assert_int_equal(publish(3, 6, room[1][0], NULL), 0); /* other lanes, or none */
	assert_int_equal(publish(4, 0, room[1][0], NULL), 0);
	expect_event(1, 3);
	expect_event(1, 4);
	assert_int_equal(count_events(0), 1);
	assert_int_equal(count_events(1), 2);
	answer(0, first);
	second = expect_event(1, 1);
	assert_int_equal(count_events(0), 1);
	answer(1, second);
	answer(0, expect_event(0, 2));
	expect_done(2, 0);
	assert_int_equal(f.called, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(f.order[i], i);
	fixture_close(&f);
}

static void test_same_router_is_not_waited_for(void **state)
{
	uint64_t refs[3];

	(void)state;
	fixture_open(100);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(publish(i, 5, room[0][i], NULL), 0);
	assert_int_equal(publish(3, 5, room[1][0], NULL), 0);
	for (unsigned i = 0; i < 3; i++)
		refs[i] = expect_event(0, i);
	answer(0, refs[1]);
	answer(0, refs[0]);
	assert_int_equal(count_events(1), 0); /* until all of them are published */
	answer(0, refs[2]);
	expect_event(1, 3);
	fixture_close(&f);
}

/* What has waited goes on without waiting for each other, too. */
static void test_those_that_waited_for_one_router_go_together(void **state)
{
	uint64_t first;

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 5, room[0][0], NULL), 0);
	for (unsigned i = 1; i < 5; i++)
		assert_int_equal(publish(i, 5, room[1][0], NULL), 0);
	assert_int_equal(publish(5, 5, room[0][0], NULL), 0);
	first = expect_event(0, 0);
	assert_int_equal(count_events(1), 0);
	answer(0, first);
	for (unsigned i = 1; i < 5; i++)
		expect_event(1, i);
	assert_int_equal(count_events(0), 1);
	fixture_close(&f);
}

static void test_event_to_both_is_waited_for_by_all(void **state)
{
	uint64_t refs[ROUTERS];

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 5, room[0][0], room[1][0]), 0);
	assert_int_equal(publish(1, 5, room[0][0], NULL), 0);
	for (int i = 0; i < ROUTERS; i++)
		refs[i] = expect_event(i, 0);
	answer(0, refs[0]); /* that router has it, the other one may not */
	assert_int_equal(count_events(0), 1);
	answer(1, refs[1]);
	answer(0, expect_event(0, 1));
	expect_done(1, 0);
	expect_nothing_left();
	fixture_close(&f);
}

static void test_what_waits_is_counted(void **state)
{
	(void)state;
	fixture_open(3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(publish(i, 5, room[i % 2][0], NULL), 0);
	assert_int_equal(publish(3, 5, room[0][0], NULL), E_FULL);
	assert_int_equal(router_clnt_pending(f.clnt), 3);
	assert_true(f.clnt->bytes > 0);
	fixture_close(&f);
}

/* ── a router is none any more, the process ends, memory ends ── */

/* What router_clnt.c does when an endpoint is gone. */
static void retire(int router)
{
	struct shard *s = shard_at(router);
	struct list *node;

	s->retired = true;
	f.clnt->shard_count--;
	while ((node = list_first(&s->flights)) != NULL || (node = list_first(&s->waiting)) != NULL)
		flight_rehome(f.clnt, CONTAINER_OF(node, struct flight, node));
}

static void test_events_of_a_removed_router_go_to_the_other(void **state)
{
	const struct wire_publish *m;
	uint64_t ref;

	(void)state;
	fixture_open(100);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(publish(i, 0, room[0][i], NULL), 0);
	assert_int_equal(publish(3, 0, room[1][0], room[0][3]), 0);
	for (unsigned i = 0; i < 4; i++)
		expect_event(0, i);
	ref = expect_event(1, 3);
	retire(0);
	for (unsigned i = 0; i < 3; i++)
		answer(1, expect_event(1, i)); /* in their order, under their ids */
	m = &script_wait(&f.router[1].script, WIRE_PUBLISH)->any.publish;
	assert_int_equal(m->uid_low, 4);
	expect_list(&m->rooms, room[0][3], NULL);
	expect_list(&m->all, room[1][0], room[0][3]);
	answer(1, m->ref);
	count_events(1);
	assert_int_equal(f.called, 3); /* its other part is still on its way */
	answer(1, ref);
	expect_done(3, 0);
	assert_false(calls[3].duplicate);
	expect_nothing_left();
	fixture_close(&f);
}

static void test_lane_goes_on_when_its_router_is_removed(void **state)
{
	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 5, room[0][0], NULL), 0);
	assert_int_equal(publish(1, 5, room[1][0], NULL), 0); /* waits */
	expect_event(0, 0);
	retire(0);
	answer(1, expect_event(1, 0));
	answer(1, expect_event(1, 1));
	expect_done(1, 0);
	assert_int_equal(f.order[0], 0);
	expect_nothing_left();
	fixture_close(&f);
}

static void test_lane_does_not_remember_a_removed_router(void **state)
{
	const struct lane *lane;
	uint64_t key = 5;

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, key, room[0][0], NULL), 0);
	expect_event(0, 0);
	retire(0);
	lane = map_get(&f.clnt->lanes, str_make((const char *)&key, sizeof(key)));
	assert_non_null(lane);
	assert_ptr_not_equal(lane->shard, shard_at(0)); /* it will be freed */
	fixture_close(&f);
}

static void test_without_any_router_events_are_given_back(void **state)
{
	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 5, room[0][0], NULL), 0);
	assert_int_equal(publish(1, 5, room[1][0], NULL), 0);
	assert_int_equal(publish(2, 0, room[0][0], room[1][0]), 0);
	retire(0);
	retire(1);
	for (unsigned i = 0; i < 3; i++)
		expect_done(i, E_UNAVAILABLE);
	expect_nothing_left();
	assert_int_equal(publish(3, 5, room[0][0], NULL), E_UNAVAILABLE);
	fixture_close(&f);
	assert_int_equal(f.called, 3);
}

static void test_closing_ends_all_of_them(void **state)
{
	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 5, room[0][0], NULL), 0);
	assert_int_equal(publish(1, 5, room[1][0], NULL), 0); /* these wait */
	assert_int_equal(publish(2, 5, room[0][0], NULL), 0);
	assert_int_equal(publish(3, 6, room[0][0], room[1][0]), 0);
	assert_int_equal(publish(4, 6, room[1][0], NULL), 0);
	fixture_close(&f);
	assert_int_equal(f.called, 5);
	for (unsigned i = 0; i < 5; i++)
		expect_done(i, E_CLOSED);
}

static void test_without_memory_nothing_of_an_event_stays(void **state)
{
	uint64_t refused = 0;

	(void)state;
	fixture_open(100);
	assert_int_equal(publish(0, 9, room[0][0], NULL), 0); /* so that 2 must wait */
	for (uint64_t n = 1; n < 40; n++) {
		size_t pending = router_clnt_pending(f.clnt), bytes = f.clnt->bytes;
		unsigned number = 1 + n % 3;
		const char *first = number == 2 ? room[1][0] : room[0][0];
		const char *second = number == 1 ? room[1][0] : NULL;
		struct blob *payload = blob_copy(STR("{}"));
		struct str names[2] = { str_of(first), second ? str_of(second) : STR_NONE };
		struct wire_publish m = { .nsp = STR("/"),
					  .event = STR("e"),
					  .uid_low = number + 1,
					  .rooms = { .count = second ? 2 : 1, .items = names } };
		int err;

		calls[number] = (struct call){ .f = &f, .number = number };
		mem_fail_at(n / 3 + 1);
		err = router_clnt_publish(f.clnt, &m, &payload, 1, number == 3 ? 8 : 9, call_done,
					  &calls[number]);
		mem_fail_at(0);
		if (number == 3 && !err) /* in its lane, or not at all */
			assert_int_equal(map_count(&f.clnt->lanes), 2);
		if (err) {
			assert_int_equal(payload->refs, 1);
			refused++;
			assert_int_equal(router_clnt_pending(f.clnt), pending);
			assert_int_equal(f.clnt->bytes, bytes);
			assert_int_equal(calls[number].calls, 0);
		}
		blob_unref(&payload);
	}
	assert_true(refused > 5);
	fixture_close(&f);
}

/* ── at random ── */

struct underway {
	unsigned number;
	uint64_t ref;
};

#define LANES 3
#define EVENTS 250

static uint64_t lane_of[EVENTS];
static unsigned parts_of[EVENTS], open_of[EVENTS]; /* routers; of them unanswered: bits */
static int arrived_at[EVENTS];                     /* how often it came to a router */

/* An event has come: those of its lane before it are published, or went to the very same router alone. */
static void check_turn(unsigned number, int router)
{
	for (unsigned i = 0; i < number; i++) {
		if (lane_of[i] == 0 || lane_of[i] != lane_of[number] || open_of[i] == 0)
			continue;
		assert_int_equal(parts_of[number], 1u << router);
		assert_int_equal(parts_of[i], 1u << router);
		assert_int_equal(arrived_at[i], 1);
	}
}

static uint32_t collect(int router, struct underway *underway, uint32_t count)
{
	const struct seen *seen;

	count_events(router);
	while ((seen = script_find(&f.router[router].script, WIRE_PUBLISH)) != NULL) {
		unsigned number = (unsigned)seen->any.publish.uid_low - 1;

		check_turn(number, router);
		arrived_at[number]++;
		underway[count++] = (struct underway){ number, seen->any.publish.ref };
	}
	return count;
}

static void run_random(uint64_t seed)
{
	static struct underway underway[ROUTERS][EVENTS];
	uint32_t counts[ROUTERS] = { 0 };
	unsigned published = 0;

	fixture_open(1000);
	memset(arrived_at, 0, sizeof(arrived_at));
	while (published < EVENTS || counts[0] + counts[1] > 0 || router_clnt_pending(f.clnt) > 0) {
		uint64_t x = test_random(&seed);
		int r = (int)(x >> 8 & 1);

		if (x % 3 && published < EVENTS) {
			unsigned n = published++;
			bool both = x >> 16 & 1 && x >> 17 & 1;

			lane_of[n] = (x >> 20) % (LANES + 1);
			parts_of[n] = open_of[n] = both ? 3u : 1u << r;
			assert_int_equal(
				publish(n, lane_of[n], room[r][0], both ? room[!r][0] : NULL), 0);
			continue;
		}
		counts[r] = collect(r, underway[r], counts[r]);
		if (counts[r] > 0) {
			uint32_t at = (x >> 24) % counts[r];
			struct underway answered = underway[r][at];

			underway[r][at] = underway[r][--counts[r]];
			open_of[answered.number] &= ~(1u << r);
			answer(r, answered.ref);
		}
	}
	for (unsigned i = 0; i < EVENTS; i++) {
		assert_int_equal(calls[i].calls, 1);
		assert_int_equal(arrived_at[i], parts_of[i] == 3 ? 2 : 1);
	}
	expect_nothing_left();
	fixture_close(&f);
}

static void test_random_lanes_keep_their_order(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		run_random(seed);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_over_two_routers_is_published_once_both_have_it),
		cmocka_unit_test(test_event_of_one_router_goes_whole),
		cmocka_unit_test(test_answers_of_two_routers_become_one),
		cmocka_unit_test(test_volatile_event_goes_to_both_and_is_not_kept),
		cmocka_unit_test(test_next_event_to_another_router_waits_for_its_turn),
		cmocka_unit_test(test_same_router_is_not_waited_for),
		cmocka_unit_test(test_those_that_waited_for_one_router_go_together),
		cmocka_unit_test(test_event_to_both_is_waited_for_by_all),
		cmocka_unit_test(test_what_waits_is_counted),
		cmocka_unit_test(test_events_of_a_removed_router_go_to_the_other),
		cmocka_unit_test(test_lane_goes_on_when_its_router_is_removed),
		cmocka_unit_test(test_lane_does_not_remember_a_removed_router),
		cmocka_unit_test(test_without_any_router_events_are_given_back),
		cmocka_unit_test(test_closing_ends_all_of_them),
		cmocka_unit_test(test_without_memory_nothing_of_an_event_stays),
		cmocka_unit_test(test_random_lanes_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
