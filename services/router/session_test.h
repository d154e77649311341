/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of sessions: what edges say of them, and what the router keeps. */
#ifndef ROOMWIRE_ROUTER_SESSION_TEST_H
#define ROOMWIRE_ROUTER_SESSION_TEST_H

#include "proto/item.h"
#include "services/router/router_test.h"
#include "services/router/session.h"

#define SESSION_ROOMS_MAX 4

/* As an edge tells it. Where something is not said, it is what most tests want. */
struct told {
	uint64_t ref; /* 0: 1 */
	const char *pid, *sid, *conn, *nsp, *user;
	uint64_t generation, parked_ms;
	const struct item *rooms; /* ends with one without a name */
};

struct told_items {
	struct buf text;
	struct str list[SESSION_ROOMS_MAX];
	struct wire_list wire;
};

static inline void items_open(struct told_items *items, const struct item *rooms)
{
	size_t at = 0;

	*items = (struct told_items){ .text = BUF_INIT(4096) };
	for (uint32_t i = 0; rooms && rooms[i].name.n; i++)
		item_add(&items->text, &rooms[i]);
	for (uint32_t i = 0; rooms && rooms[i].name.n; i++) {
		items->list[i] = str_make(items->text.p + at, ITEM_HEAD_BYTES + rooms[i].name.n);
		at += items->list[i].n;
		items->wire.count++;
	}
	items->wire.items = items->list;
}

static inline const char *or_else(const char *said, const char *otherwise)
{
	return said ? said : otherwise;
}

static inline void say_session(struct node *n, struct told t)
{
	struct told_items items;
	struct wire_session m = { .ref = t.ref ? t.ref : 1,
				  .pid = str_of(or_else(t.pid, "p")),
				  .sid = str_of(or_else(t.sid, "s")),
				  .conn = str_of(or_else(t.conn, "c")),
				  .nsp = str_of(or_else(t.nsp, "/")),
				  .user_id = str_of(or_else(t.user, "u")),
				  .generation = t.generation ? t.generation : 1,
				  .parked_ms = t.parked_ms };

	items_open(&items, t.rooms);
	m.rooms = items.wire;
	node_say(n, WIRE_SESSION, &m);
	buf_fini(&items.text);
}

static inline void say_rooms(struct node *n, const char *pid, uint64_t generation,
			     const struct item *joined, const struct wire_list *left)
{
	struct told_items items;
	struct wire_session_rooms m = { .ref = 2, .pid = str_of(pid), .generation = generation };

	items_open(&items, joined);
	m.joined = items.wire;
	if (left)
		m.left = *left;
	node_say(n, WIRE_SESSION_ROOMS, &m);
	buf_fini(&items.text);
}

static inline void say_parked(struct node *n, const char *pid, uint64_t generation)
{
	struct wire_session_parked m = { .pid = str_of(pid), .generation = generation };

	node_say(n, WIRE_SESSION_PARKED, &m);
}

/* Its client has closed in order. */
static inline void say_left(struct node *n, const char *pid, uint64_t generation)
{
	struct wire_session_parked m = { .pid = str_of(pid),
					 .generation = generation,
					 .left = true };

	node_say(n, WIRE_SESSION_PARKED, &m);
}

static inline void say_ended(struct node *n, const char *pid, uint64_t generation)
{
	struct wire_session_ended m = { .pid = str_of(pid), .generation = generation };

	node_say(n, WIRE_SESSION_ENDED, &m);
}

static inline void say_resume(struct node *n, struct told t)
{
	struct wire_resume m = { .ref = t.ref ? t.ref : 3,
				 .pid = str_of(or_else(t.pid, "p")),
				 .conn = str_of(or_else(t.conn, "c2")),
				 .nsp = str_of(or_else(t.nsp, "/")),
				 .user_id = str_of(or_else(t.user, "u")) };

	node_say(n, WIRE_RESUME, &m);
}

static inline struct session *session_at(struct fixture *f, const char *pid)
{
	return map_get(&f->router.sessions, str_of(pid));
}

/* The next answer to SESSION or SESSION_ROOMS. */
static inline void expect_saved(struct node *n, const char *pid, const char *code)
{
	const struct wire_saved *m = &script_wait(&n->script, WIRE_SAVED)->any.saved;

	assert_str(m->pid, str_of(pid));
	assert_str(m->code, str_of(code));
}

static inline const struct wire_resumed *expect_resumed(struct node *n, const char *code)
{
	const struct wire_resumed *m = &script_wait(&n->script, WIRE_RESUMED)->any.resumed;

	assert_str(m->code, str_of(code));
	return m;
}

static inline void expect_taken(struct node *n, const char *pid, uint64_t generation)
{
	const struct wire_session_taken *m =
		&script_wait(&n->script, WIRE_SESSION_TAKEN)->any.session_taken;

	assert_str(m->pid, str_of(pid));
	assert_int_equal(m->generation, generation);
}

/* Exactly these rooms, in any order. */
static inline void expect_items(const struct wire_list *list, const struct item *rooms)
{
	struct wire_list_walk w;
	uint32_t count = 0;
	struct item got;
	struct str text;

	while (rooms && rooms[count].name.n)
		count++;
	assert_int_equal(list->count, count);
	wire_list_walk(list, &w);
	while (wire_list_next(&w, &text)) {
		uint32_t i = 0;

		assert_int_equal(item_read(text, &got), 0);
		while (i < count && !str_eq(rooms[i].name, got.name))
			i++;
		assert_true(i < count);
		assert_int_equal(got.place, rooms[i].place);
		assert_int_equal(got.shard, rooms[i].shard);
		assert_int_equal(got.bits, rooms[i].bits);
	}
}

/* Time goes by for one that is parked. */
static inline void pass_ms(struct session *s, uint64_t ms)
{
	assert_true(s->parked_ms > ms);
	s->parked_ms -= ms;
}

#endif
