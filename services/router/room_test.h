/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of rooms: a router that is nothing but its rooms, at a time the test sets. */
#ifndef ROOMWIRE_ROUTER_ROOM_TEST_H
#define ROOMWIRE_ROUTER_ROOM_TEST_H

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus_hand_test.h"
#include "services/router/room.h"

#define ROOMS 6
#define PEERS 5

struct fixture {
	struct world world;
	struct end end;
	struct router router;
	struct peer peers[PEERS];
	uint64_t now_ms;
};

static inline void fixture_open(struct fixture *f)
{
	struct router *router = &f->router;

	memset(f, 0, sizeof(*f));
	world_open(&f->world);
	router->svc = end_open(&f->end, &f->world, "router", "router-0");
	list_init(&router->peers);
	list_init(&router->history);
	list_init(&router->vacant);
	map_init(&router->rooms, room_key_of);
	for (int i = 0; i < PEERS; i++)
		f->peers[i].router = router;
	f->now_ms = 1000000;
	clock_fake(f->now_ms, 1);
}

static inline void fixture_close(struct fixture *f)
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

static inline struct str key_of(unsigned room)
{
	static char keys[ROOMS][8];

	snprintf(keys[room], sizeof(keys[room]), "/,room%u", room);
	return str_of(keys[room]);
}

static inline void remember(struct fixture *f, unsigned room, uint64_t bytes)
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

#endif
