/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of links: a side that counts what its handlers are told, and numbers what it sends, so that order and doubles show. */
#ifndef ROOMWIRE_BUS_BUS_PAIR_TEST_H
#define ROOMWIRE_BUS_BUS_PAIR_TEST_H

#include "common/bus/bus_hand_test.h"
#include "common/bus/bus_link.h"

/* One end with its handlers. PUBLISHED carries the numbers: it has a `ref`. */
struct side {
	struct end end;
	struct svc *svc;
	struct bus_server *server; /* binding side */
	struct bus_link
		*link; /* connecting side: its link; binding side: the one that came up last */
	unsigned ups, resumed_ups, downs, helds, gones;
	uint64_t got, expected; /* messages; ref of the next one */
	uint64_t acked;
	uint64_t payload_bytes;
	uint32_t known_count;
	char known[65]; /* the last name a held role knew */
};

static inline void side_on_up(void *ctx, struct bus_link *link, bool resumed)
{
	struct side *s = ctx;

	s->link = link;
	s->ups++;
	s->resumed_ups += resumed;
	assert_true(bus_link_up(link));
}

static inline void side_on_down(void *ctx, struct bus_link *link)
{
	struct side *s = ctx;

	s->downs++;
	assert_false(bus_link_up(link));
	if (s->server && s->link == link)
		s->link = NULL;
}

static inline void side_on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct side *s = ctx;

	(void)link;
	assert_int_equal(m->id, WIRE_PUBLISHED);
	assert_int_equal(m->any.published.ref, s->expected);
	s->expected++;
	s->got++;
	for (uint32_t i = 0; i < m->payload_count; i++)
		s->payload_bytes += m->payload[i].n;
}

static inline void side_on_acked(void *ctx, struct bus_link *link, uint64_t number)
{
	struct side *s = ctx;

	(void)link;
	assert_true(number > s->acked);
	s->acked = number;
}

static inline void side_on_held(void *ctx, const struct wire_list *known)
{
	struct side *s = ctx;
	struct wire_list_walk w;
	struct str name;

	s->helds++;
	s->known_count = known->count;
	wire_list_walk(known, &w);
	while (wire_list_next(&w, &name))
		assert_int_equal(str_copy(name, s->known, sizeof(s->known)), 0);
}

static inline void side_on_gone(void *ctx, struct bus_link *link)
{
	struct side *s = ctx;

	s->gones++;
	assert_true(bus_link_gone(link));
}

static const struct bus_handlers side_handlers = { side_on_up,    side_on_down, side_on_message,
						   side_on_acked, side_on_held, side_on_gone };

static inline void side_init(struct side *s, struct world *w, const char *role,
			     const char *instance)
{
	*s = (struct side){ .expected = 1 };
	s->svc = end_open(&s->end, w, role, instance);
}

static inline void side_bind(struct side *s, const char *endpoint)
{
	assert_int_equal(bus_server_open(s->svc, endpoint, &side_handlers, s, &s->server), 0);
}

static inline void side_connect(struct side *s, const char *endpoint)
{
	assert_int_equal(bus_link_open(s->svc, endpoint, &side_handlers, s, &s->link), 0);
}

static inline void side_close(struct side *s)
{
	if (s->server)
		bus_server_close(&s->server);
	else
		bus_link_close(&s->link);
	end_close(&s->end);
}

static inline int side_send(struct side *s, uint64_t ref)
{
	struct wire_published m = { .ref = ref };

	return bus_link_send_msg(s->link, WIRE_PUBLISHED, &m, true);
}

#endif
