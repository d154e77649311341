/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of links and questions: a peer played by hand that says what the test wants and keeps what it was told. */
#ifndef ROOMWIRE_BUS_BUS_HAND_TEST_H
#define ROOMWIRE_BUS_BUS_HAND_TEST_H

#include "common/bus/bus_ends_test.h"

struct seen {
	enum wire_id id;
	uint64_t first, second; /* of the envelope */
	union wire_any any;     /* numbers only: texts are gone */
};

struct script {
	struct end end;
	struct world *world;
	struct adapt_zmq *sock;
	bool routes; /* ROUTER: answers go to who was heard last */
	char peer[128];
	size_t peer_bytes;
	struct seen seen[SEEN_MAX];
	size_t count, looked_at;
};

static inline void script_on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct script *s = ctx;
	struct seen *seen = &s->seen[s->count];
	const struct str *at = frames + s->routes;

	if (s->routes && adapt_zmq_is_probe(frames, frame_count))
		return;
	assert_true(frame_count >= (size_t)s->routes + 2 && s->count < SEEN_MAX);
	if (s->routes) {
		memcpy(s->peer, frames[0].p, frames[0].n);
		s->peer_bytes = frames[0].n;
	}
	assert_int_equal(bus_envelope_read(at[0], &seen->first, &seen->second), 0);
	assert_int_equal(wire_unpack(at[1], &seen->id, &seen->any), 0);
	s->count++;
}

static inline void script_open(struct script *s, struct world *w, enum adapt_zmq_kind kind,
			       const char *identity, const char *endpoint)
{
	memset(s, 0, sizeof(*s));
	s->world = w;
	s->routes = kind == ADAPT_ZMQ_ROUTER;
	end_open(&s->end, w, "script", "script");
	assert_int_equal(adapt_zmq_open(&s->end.process.svc, kind, identity, endpoint,
					script_on_frames, s, &s->sock),
			 0);
}

static inline void script_close(struct script *s)
{
	adapt_zmq_close(&s->sock);
	end_close(&s->end);
}

static inline bool script_try_frames(struct script *s, struct str envelope, struct str body)
{
	struct str frames[3] = { str_make(s->peer, s->peer_bytes), envelope, body };

	return adapt_zmq_send(s->sock, s->routes ? frames : frames + 1, s->routes ? 3 : 2) == 0;
}

static inline void script_say_frames(struct script *s, struct str envelope, struct str body)
{
	RUN_UNTIL(s->world, script_try_frames(s, envelope, body)); /* not before it is connected */
}

static inline void script_say(struct script *s, uint64_t first, uint64_t second, enum wire_id id,
			      const void *message)
{
	struct blob *body = wire_pack(id, message);
	char envelope[BUS_ENVELOPE_BYTES];

	assert_non_null(body);
	script_say_frames(s, bus_envelope(envelope, first, second), blob_str(body));
	blob_unref(&body);
}

/* The next message of this kind; others before it are passed over. NULL: not yet. */
static inline const struct seen *script_find(struct script *s, enum wire_id id)
{
	while (s->looked_at < s->count)
		if (s->seen[s->looked_at++].id == id)
			return &s->seen[s->looked_at - 1];
	return NULL;
}

static inline const struct seen *script_wait(struct script *s, enum wire_id id)
{
	const struct seen *found = NULL;

	RUN_UNTIL(s->world, (found = script_find(s, id)) != NULL);
	return found;
}

static inline size_t script_count(const struct script *s, enum wire_id id)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += s->seen[i].id == id;
	return n;
}

#endif
