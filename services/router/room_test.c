/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a room and what it remembers, against a model that keeps everything in plain arrays. */
#include "services/router/room.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus_hand_test.h"

#define ROOMS 6
#define PEERS 5
#define EVENTS_MAX 20000

struct event {
	unsigned room;
	uint64_t place, bytes, at_ms;
	bool there;
};

struct model {
	bool holds[ROOMS][PEERS];
	struct event events[EVENTS_MAX];
	size_t event_count;
	uint64_t dropped[ROOMS]; /* newest place a room no longer has, since it was made */
	uint64_t forgotten;
};

struct fixture {
	struct world world;
	struct end end;
	struct router router;
	struct peer peers[PEERS];
	struct model model;
	uint64_t now_ms;
};

static void fixture_open(struct fixture *f)
{
	struct router *router = &f->router;

	memset(f, 0, sizeof(*f));
	world_open(&f->world);
	router->svc = end_open(&f->end, &f->world, "router", "router-0");
	list_init(&router->peers);
	list_init(&router->history);
	map_init(&router->rooms, room_key_of);
	for (int i = 0; i < PEERS; i++)
		f->peers[i].router = router;
	f->now_ms = 1000000;
	clock_fake(f->now_ms, 1);
}

static void fixture_close(struct fixture *f)
{
	clock_fake(0, 0);
	for (int i = 0; i < PEERS; i++)
		room_remove_peer(&f->peers[i]);
	room_free_all(&f->router);
	assert_int_equal(map_count(&f->router.rooms), 0);
	assert_int_equal(f->router.history_bytes, 0);
	assert_int_equal(f->router.history_count, 0);
	map_fini(&f->router.rooms);
	end_close(&f->end);
	world_close(&f->world);
}

static struct str key_of(unsigned room)
{
	static char keys[ROOMS][8];

	snprintf(keys[room], sizeof(keys[room]), "/,room%u", room);
	return str_of(keys[room]);
}

static void remember(struct fixture *f, unsigned room, uint64_t bytes)
{
	struct message *m = mem_try(sizeof(*m));
	struct room *r = room_get(&f->router, key_of(room));

	assert_non_null(r);
	m->refs = 1;
	m->place = ++f->router.place;
	m->at_ms = clock_ms();
	m->bytes = bytes;
	room_remember(r, m);
	message_unref(&m);
}

/* ── the model ── */

static bool model_alive(const struct model *m, unsigned room)
{
	for (int i = 0; i < PEERS; i++)
		if (m->holds[room][i])
			return true;
	for (size_t i = 0; i < m->event_count; i++)
		if (m->events[i].there && m->events[i].room == room)
			return true;
	return false;
}

/* Sums over a room, or over all of them (room ROOMS). */
static void model_sums(const struct model *m, unsigned room, uint64_t *count, uint64_t *bytes)
{
	*count = *bytes = 0;
	for (size_t i = 0; i < m->event_count; i++) {
		const struct event *e = &m->events[i];

		if (!e->there || (room != ROOMS && e->room != room))
			continue;
		(*count)++;
		*bytes += e->bytes;
	}
}

static void model_drop(struct model *m, unsigned room)
{
	for (size_t i = 0; i < m->event_count; i++) {
		struct event *e = &m->events[i];

		if (!e->there || (room != ROOMS && e->room != room))
			continue;
		e->there = false;
		m->dropped[e->room] = e->place;
		return;
	}
}

static void model_forget(struct model *m, unsigned room)
{
	if (model_alive(m, room))
		return;
	if (m->dropped[room] > m->forgotten)
		m->forgotten = m->dropped[room];
}

static void model_forget_all(struct model *m)
{
	for (unsigned i = 0; i < ROOMS; i++)
		model_forget(m, i);
}

static void model_remember(struct fixture *f, unsigned room, uint64_t bytes)
{
	const struct conf *conf = &f->router.svc->conf;
	struct model *m = &f->model;
	uint64_t count, total;

	if (!model_alive(m, room))
		m->dropped[room] = m->forgotten;
	m->events[m->event_count++] =
		(struct event){ room, f->router.place + 1, bytes, f->now_ms, true };
	for (;;) {
		model_sums(m, room, &count, &total);
		if (count <= (uint64_t)conf->history_count &&
		    total <= (uint64_t)conf->history_bytes)
			break;
		model_drop(m, room);
	}
	for (;;) {
		model_sums(m, ROOMS, &count, &total);
		if (total <= (uint64_t)conf->history_total_bytes)
			break;
		model_drop(m, ROOMS);
	}
	model_forget_all(m);
}

static void model_sweep(struct fixture *f)
{
	uint64_t age_ms = (uint64_t)f->router.svc->conf.recovery_seconds * 1000;
	struct model *m = &f->model;

	for (size_t i = 0; i < m->event_count; i++)
		if (m->events[i].there && m->events[i].at_ms + age_ms <= f->now_ms)
			model_drop(m, ROOMS);
	model_forget_all(m);
}

/* ── both compared ── */

static void compare_members(const struct fixture *f, unsigned room, const struct room *r)
{
	uint32_t count = 0;

	for (int i = 0; i < PEERS; i++) {
		bool found = false;

		for (uint32_t at = 0; r && at < r->edge_count; at++) {
			const struct holder *h = &r->edges[at];

			if (h->peer != &f->peers[i])
				continue;
			assert_false(found);
			found = true;
			assert_ptr_equal(h->peer->rooms[h->slot].room, r);
			assert_int_equal(h->peer->rooms[h->slot].index, at);
		}
		assert_int_equal(found, f->model.holds[room][i]);
		count += found;
	}
	assert_int_equal(count, r ? r->edge_count : 0);
}

static void compare_history(const struct fixture *f, unsigned room, const struct room *r)
{
	const struct entry *e = r ? r->oldest : NULL;
	uint64_t count, bytes;

	model_sums(&f->model, room, &count, &bytes);
	assert_int_equal(r ? r->history_count : 0, count);
	assert_int_equal(r ? r->history_bytes : 0, bytes);
	for (size_t i = 0; i < f->model.event_count; i++) {
		if (!f->model.events[i].there || f->model.events[i].room != room)
			continue;
		assert_non_null(e);
		if (!e)
			return; /* never: for the analyzer, which does not know that the line above ends the test */
		assert_int_equal(e->message->place, f->model.events[i].place);
		assert_true(e->newer || r->newest == e);
		e = e->newer;
	}
	assert_null(e);
	if (r)
		assert_int_equal(r->dropped_place, f->model.dropped[room]);
}

static void compare(struct fixture *f)
{
	uint64_t count, bytes;
	size_t rooms = 0;

	for (unsigned i = 0; i < ROOMS; i++) {
		const struct room *r = room_find(&f->router, key_of(i));

		assert_int_equal(r != NULL, model_alive(&f->model, i));
		compare_members(f, i, r);
		compare_history(f, i, r);
		rooms += r != NULL;
	}
	model_sums(&f->model, ROOMS, &count, &bytes);
	assert_int_equal(f->router.history_count, count);
	assert_int_equal(f->router.history_bytes, bytes);
	assert_int_equal(f->router.forgotten_place, f->model.forgotten);
	assert_int_equal(map_count(&f->router.rooms), rooms);
}

static void subscribe(struct fixture *f, unsigned room, int peer)
{
	if (!model_alive(&f->model, room))
		f->model.dropped[room] = f->model.forgotten;
	assert_int_equal(room_add_edge(room_get(&f->router, key_of(room)), &f->peers[peer]), 0);
	f->model.holds[room][peer] = true;
}

static void step(struct fixture *f, uint64_t x)
{
	unsigned room = (unsigned)(x >> 8) % ROOMS;
	int peer = (int)((x >> 16) % PEERS);
	struct room *r = room_find(&f->router, key_of(room));

	switch (x % 16) {
	case 0 ... 3:
		subscribe(f, room, peer);
		break;
	case 4 ... 6:
		if (r)
			room_remove_edge(r, &f->peers[peer]);
		f->model.holds[room][peer] = false;
		break;
	case 7:
		room_remove_peer(&f->peers[peer]);
		for (unsigned i = 0; i < ROOMS; i++)
			f->model.holds[i][peer] = false;
		break;
	case 8:
		f->now_ms += (x >> 24) % 1500;
		clock_fake(f->now_ms, 1);
		room_sweep(&f->router);
		model_sweep(f);
		break;
	default:
		model_remember(f, room, 10 + (x >> 24) % 400);
		remember(f, room, 10 + (x >> 24) % 400);
	}
	model_forget_all(&f->model);
}

/* The model's array would grow without end: what is gone leaves it. */
static void model_compact(struct model *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->event_count; i++)
		if (m->events[i].there)
			m->events[n++] = m->events[i];
	m->event_count = n;
}

static void test_random_operations_match_model(void **state)
{
	static struct fixture f;
	uint64_t random = 7;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_count = 12;
	f.router.svc->conf.history_bytes = 2000;
	f.router.svc->conf.history_total_bytes = 6000;
	f.router.svc->conf.recovery_seconds = 3;
	for (int i = 0; i < 20000; i++) {
		step(&f, test_random(&random));
		compare(&f);
		model_compact(&f.model);
	}
	fixture_close(&f);
}

static void test_room_without_history_and_edges_is_freed(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_count = 0;
	remember(&f, 0, 100);
	assert_null(room_find(&f.router, key_of(0)));
	assert_int_equal(f.router.forgotten_place,
			 1); /* who asks for what came before is told of a gap */
	subscribe(&f, 1, 0);
	assert_int_equal(room_find(&f.router, key_of(1))->dropped_place, 1);
	fixture_close(&f);
}

static void test_message_larger_than_all_history_is_not_kept(void **state)
{
	static struct fixture f;
	struct room *r;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.history_total_bytes = 1000;
	subscribe(&f, 0, 0);
	remember(&f, 0, 400);
	remember(&f, 1, 400);
	remember(&f, 0, 5000);
	r = room_find(&f.router, key_of(0));
	assert_int_equal(r->history_count, 0);
	assert_null(r->newest);
	assert_int_equal(r->dropped_place, 3);
	assert_null(room_find(&f.router, key_of(1))); /* the other room's went first */
	assert_int_equal(f.router.forgotten_place, 2);
	remember(&f, 0, 10);
	assert_int_equal(r->oldest->message->place, 4);
	fixture_close(&f);
}

static void test_history_when_memory_ends_is_dropped_and_remembered_as_gap(void **state)
{
	static struct fixture f;
	struct message *m;
	struct room *r;

	(void)state;
	fixture_open(&f);
	subscribe(&f, 0, 0);
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
	subscribe(&f, 0, 0);
	compare(&f);
	fixture_close(&f);
}

static void test_rooms_are_bounded(void **state)
{
	static struct fixture f;

	(void)state;
	fixture_open(&f);
	f.router.svc->conf.max_room_count = 2;
	subscribe(&f, 0, 0);
	subscribe(&f, 1, 0);
	assert_null(room_get(&f.router, key_of(2)));
	assert_non_null(room_get(&f.router, key_of(1)));
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_match_model),
		cmocka_unit_test(test_room_without_history_and_edges_is_freed),
		cmocka_unit_test(test_message_larger_than_all_history_is_not_kept),
		cmocka_unit_test(test_history_when_memory_ends_is_dropped_and_remembered_as_gap),
		cmocka_unit_test(test_edge_when_memory_ends_is_not_added),
		cmocka_unit_test(test_rooms_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
