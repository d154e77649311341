/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds a room and what it remembers, against a model that keeps everything in plain arrays. */
#include "services/router/room_test.h"

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
	bool there[ROOMS];
	uint64_t dropped[ROOMS]; /* newest place a room no longer has, since it was made */
	uint64_t vacant_ms[ROOMS],
		vacant_turn
			[ROOMS]; /* since when nobody holds it; 0: nobody ever did, or somebody does */
	uint64_t turn, floor;
};

static struct model model;

/* ── the model ── */

static bool model_held(const struct model *m, unsigned room)
{
	for (int i = 0; i < PEERS; i++)
		if (m->holds[room][i])
			return true;
	return false;
}

static bool model_remembers(const struct model *m, unsigned room)
{
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

/* Rooms of which nothing stays: neither who holds them nor messages, and nobody can come back to them. */
static void model_release(struct fixture *f)
{
	uint64_t kept_ms = ((uint64_t)f->router.svc->conf.recovery_seconds + 30) * 1000;
	struct model *m = &model;

	for (unsigned i = 0; i < ROOMS; i++) {
		if (model_held(m, i) || model_remembers(m, i))
			continue;
		if (m->vacant_ms[i] && f->now_ms - m->vacant_ms[i] <= kept_ms)
			continue;
		m->there[i] = false;
		m->vacant_ms[i] = 0;
	}
}

static unsigned model_count(const struct model *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ROOMS; i++)
		n += m->there[i];
	return n;
}

/* Too many: the one that is vacant for longest goes. */
static void model_evict(struct model *m)
{
	unsigned oldest = ROOMS;

	for (unsigned i = 0; i < ROOMS; i++)
		if (m->there[i] && m->vacant_ms[i] &&
		    (oldest == ROOMS || m->vacant_turn[i] < m->vacant_turn[oldest]))
			oldest = i;
	if (oldest == ROOMS)
		return;
	for (size_t i = 0; i < m->event_count; i++) {
		if (!m->events[i].there || m->events[i].room != oldest)
			continue;
		m->events[i].there = false;
		m->dropped[oldest] = m->events[i].place;
	}
	if (m->dropped[oldest] > m->floor)
		m->floor = m->dropped[oldest];
	m->there[oldest] = false;
	m->vacant_ms[oldest] = 0;
}

static bool model_make(struct fixture *f, unsigned room)
{
	struct model *m = &model;
	unsigned most = (unsigned)f->router.svc->conf.max_room_count;

	if (m->there[room])
		return true;
	if (model_count(m) >= most)
		model_evict(m);
	if (model_count(m) >= most)
		return false;
	m->there[room] = true;
	m->dropped[room] = m->floor;
	return true;
}

static void model_let_go(struct fixture *f, unsigned room, int peer)
{
	struct model *m = &model;
	bool held = m->holds[room][peer];

	m->holds[room][peer] = false;
	if (!held || model_held(m, room))
		return;
	m->vacant_ms[room] = f->now_ms;
	m->vacant_turn[room] = ++m->turn;
}

static void model_remember(struct fixture *f, unsigned room, uint64_t bytes)
{
	const struct conf *conf = &f->router.svc->conf;
	struct model *m = &model;
	uint64_t count, total;

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
	model_release(f);
}

static void model_sweep(struct fixture *f)
{
	uint64_t age_ms = ((uint64_t)f->router.svc->conf.recovery_seconds + 10) * 1000;
	struct model *m = &model;

	for (size_t i = 0; i < m->event_count; i++)
		if (m->events[i].there && m->events[i].at_ms + age_ms <= f->now_ms)
			model_drop(m, ROOMS);
	model_release(f);
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
		assert_int_equal(found, model.holds[room][i]);
		count += found;
	}
	assert_int_equal(count, r ? r->edge_count : 0);
}

static void compare_history(unsigned room, const struct room *r)
{
	const struct entry *e = r ? r->oldest : NULL;
	uint64_t count, bytes;

	model_sums(&model, room, &count, &bytes);
	assert_int_equal(r ? r->history_count : 0, count);
	assert_int_equal(r ? r->history_bytes : 0, bytes);
	for (size_t i = 0; i < model.event_count; i++) {
		if (!model.events[i].there || model.events[i].room != room)
			continue;
		assert_non_null(e);
		if (!e)
			return; /* never: for the analyzer, which does not know that the line above ends the test */
		assert_int_equal(e->message->place, model.events[i].place);
		assert_true(e->newer || r->newest == e);
		e = e->newer;
	}
	assert_null(e);
	if (!r)
		return;
	assert_int_equal(r->dropped_place, model.dropped[room]);
	assert_int_equal(r->vacant_ms, model.vacant_ms[room]);
	assert_int_equal(list_empty(&r->vacant), r->vacant_ms == 0);
}

static void compare(struct fixture *f)
{
	uint64_t count, bytes;
	size_t rooms = 0;

	for (unsigned i = 0; i < ROOMS; i++) {
		const struct room *r = room_find(&f->router, key_of(i));

		assert_int_equal(r != NULL, model.there[i]);
		compare_members(f, i, r);
		compare_history(i, r);
		rooms += r != NULL;
	}
	model_sums(&model, ROOMS, &count, &bytes);
	assert_int_equal(f->router.history_count, count);
	assert_int_equal(f->router.history_bytes, bytes);
	assert_int_equal(f->router.floor, model.floor);
	assert_int_equal(map_count(&f->router.rooms), rooms);
}

static void subscribe(struct fixture *f, unsigned room, int peer)
{
	struct room *r = room_get(&f->router, key_of(room));

	assert_int_equal(r != NULL, model_make(f, room));
	if (!r)
		return;
	assert_int_equal(room_add_edge(r, &f->peers[peer]), 0);
	model.holds[room][peer] = true;
	model.vacant_ms[room] = 0;
}

static void publish(struct fixture *f, unsigned room, uint64_t bytes)
{
	if (!model_make(f, room)) {
		assert_null(room_get(&f->router, key_of(room)));
		return;
	}
	model_remember(f, room, bytes);
	remember(f, room, bytes);
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
		model_let_go(f, room, peer);
		break;
	case 7:
		/* The router goes through a peer's rooms from its last one: as does the model. */
		while (f->peers[peer].room_count > 0) {
			const struct room *last =
				f->peers[peer].rooms[f->peers[peer].room_count - 1].room;

			room = (unsigned)(last->key[6] - '0');
			if (f->peers[peer].room_count == 1)
				room_remove_peer(&f->peers[peer]);
			else
				room_remove_edge(room_find(&f->router, key_of(room)),
						 &f->peers[peer]);
			model_let_go(f, room, peer);
		}
		break;
	case 8:
		f->now_ms += (x >> 24) % 9000;
		clock_fake(f->now_ms, 1);
		room_sweep(&f->router);
		model_sweep(f);
		break;
	default:
		publish(f, room, 10 + (x >> 24) % 400);
	}
	model_release(f);
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

static void run_random(uint64_t seed, int64_t max_room_count)
{
	static struct fixture f;

	fixture_open(&f);
	model = (struct model){ .turn = 0 };
	f.router.svc->conf.history_count = 12;
	f.router.svc->conf.history_bytes = 2000;
	f.router.svc->conf.history_total_bytes = 6000;
	f.router.svc->conf.recovery_seconds = 3;
	f.router.svc->conf.max_room_count = max_room_count;
	for (int i = 0; i < 20000; i++) {
		step(&f, test_random(&seed));
		compare(&f);
		model_compact(&model);
	}
	fixture_close(&f);
}

static void test_random_operations_match_model(void **state)
{
	(void)state;
	run_random(7, 100);
	run_random(8, 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_match_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
