/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is connected, as ingest asks: rooms with members, how many they are, which sockets. Answered from the sessions this router keeps, in an order that
 * another question can go on from; no question looks at more than it answers.
 */
#include "common/base/clock.h"
#include "common/metrics/metrics.h"
#include "services/router/directory.h"
#include "services/router/roll.h"
#include "services/router/room.h"

#define FOUND_BYTES (1u << 20)      /* past it the answer ends early, and says so */
#define FOUND_MOST_BYTES (4u << 20) /* figures: of each room that was asked for */
#define LENGTH_BYTES 4u

/* An answer under construction. */
struct answer {
	struct peer *peer;
	struct wire_found m;
	struct buf parts;
	uint64_t limit, count;
};

/* Edges that are telling what they hold: not all is known here. */
static bool is_whole(const struct router *router)
{
	const struct list *head = &router->peers;

	for (const struct list *node = head->next; node != head; node = node->next) {
		const struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && !peer->synced && bus_link_up(peer->link) &&
		    !bus_link_gone(peer->link))
			return false;
	}
	return router->settled;
}

static bool begin(struct answer *a, struct peer *peer, uint64_t ref, uint64_t limit)
{
	*a = (struct answer){ .peer = peer,
			      .m = { .ref = ref },
			      .parts = BUF_INIT(FOUND_MOST_BYTES),
			      .limit = limit };
	if (!is_whole(peer->router))
		a->m.code = STR("UNAVAILABLE");
	return a->m.code.n == 0;
}

/* It is sent or dropped: who asks has a deadline. */
static void end(struct answer *a)
{
	struct blob *body, *payload;
	int err = E_NOMEM;

	if (a->parts.failed)
		a->m = (struct wire_found){ .ref = a->m.ref, .code = STR("UNAVAILABLE") };
	body = wire_pack(WIRE_FOUND, &a->m);
	payload = blob_copy(a->m.code.n ? STR_NONE : buf_str(&a->parts));
	if (body && payload)
		err = bus_link_send(a->peer->link, body, &payload, 1, false, NULL);
	metrics_inc(err ? METRIC_LINK_VOLATILE_DROPPED : METRIC_ROOM_QUERIES);
	blob_unref(&body);
	blob_unref(&payload);
	buf_fini(&a->parts);
}

static void add(struct answer *a, enum wire_id id, const void *message)
{
	struct blob *part = wire_pack(id, message);
	uint32_t n = part ? part->n : 0;
	const unsigned char length[LENGTH_BYTES] = { (unsigned char)(n >> 24),
						     (unsigned char)(n >> 16),
						     (unsigned char)(n >> 8), (unsigned char)n };

	if (!part) {
		a->parts.failed = E_NOMEM;
		return;
	}
	buf_add(&a->parts, str_make((const char *)length, LENGTH_BYTES));
	buf_add(&a->parts, blob_str(part));
	blob_unref(&part);
	a->count++;
}

/* Room for one more? Else there are more behind the last one. */
static bool goes_on(struct answer *a)
{
	a->m.more = a->count == a->limit || a->parts.n >= FOUND_BYTES;
	return !a->m.more && !a->parts.failed;
}

/* ── rooms ── */

static void count_members(struct wire_room_found *m, const struct roll *roll)
{
	m->sockets = roll->count;
	m->away = roll->away;
	m->users = roll->users;
}

/* Whose own room it is. */
static void count_owner(struct wire_room_found *m, const struct roll *roll,
			const struct session *owner)
{
	struct str user_id = session_user_id_of(owner);
	const struct session_room *other = roll ? roll_behind(roll, user_id, STR_NONE) : NULL;

	m->sockets++;
	m->away += owner->parked_ms != 0;
	m->users += user_id.n > 0 &&
		    !(other && str_eq(session_user_id_of(other->session), user_id));
}

static void add_room(struct answer *a, struct str key, const struct roll *roll,
		     const struct session *owner)
{
	struct wire_room_found m = { .room = key };
	const struct room *room = room_find(a->peer->router, key);

	if (roll)
		count_members(&m, roll);
	if (owner)
		count_owner(&m, roll, owner);
	if (room) {
		m.edges = room->edge_count;
		m.place = room->newest ? room->newest->message->place : 0;
	}
	add(a, WIRE_ROOM_FOUND, &m);
}

/* Keys behind `after` begin with the prefix, or all of them stand behind it. */
static struct str begin_behind(struct str prefix, struct str after)
{
	return roll_compare(after, prefix) > 0 ? after : prefix;
}

/* The roll, or the next one that is listed, while the prefix lasts. */
static struct roll *in_prefix(const struct router *router, struct roll *roll, struct str prefix)
{
	while (roll && room_is_reserved(roll_name_of(roll)))
		roll = roll_following(router, roll);
	return roll && str_starts(roll_key_of(roll), prefix) ? roll : NULL;
}

static struct session *owner_in_prefix(struct session *s, struct str prefix)
{
	return s && str_starts(session_key_of(s), prefix) ? s : NULL;
}

/* Two orders merged: rooms with members, and those that sockets have for themselves. */
void query_on_rooms(struct peer *peer, const struct wire_query_rooms *m)
{
	struct router *router = peer->router;
	struct str from = begin_behind(m->prefix, m->after);
	struct answer a;
	struct roll *roll;
	struct session *owner = NULL;
	bool at_prefix;

	if (!begin(&a, peer, m->ref, m->limit))
		goto out;
	at_prefix = roll_compare(m->after, m->prefix) < 0; /* the prefix itself may be a key */
	roll = at_prefix ? roll_find(router, m->prefix) : NULL;
	roll = in_prefix(router, roll ? roll : roll_first_behind(router, from), m->prefix);
	if (m->own && at_prefix)
		owner = directory_find(router, m->prefix);
	if (m->own && !owner)
		owner = owner_in_prefix(directory_behind(router, NULL, from), m->prefix);
	while ((roll || owner) && goes_on(&a)) {
		int order = !owner  ? -1
			    : !roll ? 1
				    : roll_compare(roll_key_of(roll), session_key_of(owner));

		add_room(&a, order <= 0 ? roll_key_of(roll) : session_key_of(owner),
			 order <= 0 ? roll : NULL, order >= 0 ? owner : NULL);
		if (order <= 0)
			roll = in_prefix(router, roll_following(router, roll), m->prefix);
		if (order >= 0)
			owner = owner_in_prefix(directory_following(NULL, owner), m->prefix);
	}
out:
	end(&a);
}

void query_on_figures(struct peer *peer, const struct wire_query_figures *m)
{
	struct wire_list_walk w;
	struct answer a;
	struct str key;

	if (begin(&a, peer, m->ref, m->rooms.count)) {
		wire_list_walk(&m->rooms, &w);
		while (wire_list_next(&w, &key))
			add_room(&a, key, roll_find(peer->router, key),
				 directory_find(peer->router, key));
	}
	end(&a);
}

/* ── sockets ── */

#define NAMES_MAX 1000u

static void add_socket(struct answer *a, const struct session *s, uint64_t names)
{
	struct str list[NAMES_MAX];
	struct wire_socket_found m = {
		.sid = session_sid_of(s),
		.nsp = session_nsp_of(s),
		.user_id = session_user_id_of(s),
		.away_ms = s->parked_ms ? clock_ms() - s->parked_ms + 1 : 0,
		.rooms = { .items = list },
	};

	for (uint32_t i = 0; i < s->room_count; i++) {
		if (!s->rooms[i]->roll || room_is_reserved(session_room_name(s->rooms[i])))
			continue;
		m.room_count++;
		if (m.rooms.count < names && m.rooms.count < NAMES_MAX)
			list[m.rooms.count++] = session_room_name(s->rooms[i]);
	}
	add(a, WIRE_SOCKET_FOUND, &m);
}

static void list_user(struct answer *a, const struct wire_query_sockets *m)
{
	struct router *router = a->peer->router;
	const struct session_user *user = map_get(&router->users, m->user_id);
	char text[258];
	struct str prefix = STR_NONE;
	struct session *s;

	if (!user)
		return;
	a->m.total = user->count;
	a->m.away = user->away;
	if (m->nsp.n) {
		memcpy(text, m->nsp.p, m->nsp.n);
		text[m->nsp.n] = ',';
		prefix = str_make(text, m->nsp.n + 1);
	}
	s = directory_behind(router, user, begin_behind(prefix, m->after_sid));
	while (s && str_starts(session_key_of(s), prefix) && goes_on(a)) {
		add_socket(a, s, m->names);
		s = directory_following(user, s);
	}
}

static bool is_behind(const struct session *s, const struct wire_query_sockets *m)
{
	int order = roll_compare(session_user_id_of(s), m->after_user);

	return order > 0 || (order == 0 && roll_compare(session_sid_of(s), m->after_sid) > 0);
}

static bool wanted(const struct session *s, const struct wire_query_sockets *m)
{
	return m->user_id.n == 0 || str_eq(session_user_id_of(s), m->user_id);
}

/* Whichever stands first; a or b may be NULL. */
static const struct session *first_of(const struct session *a, const struct session *b)
{
	int order;

	if (!a || !b)
		return a ? a : b;
	order = roll_compare(session_user_id_of(a), session_user_id_of(b));
	if (order == 0)
		order = roll_compare(session_sid_of(a), session_sid_of(b));
	return order < 0 ? a : b;
}

static const struct session *wanted_of(const struct session_room *member,
				       const struct wire_query_sockets *m)
{
	return member && wanted(member->session, m) ? member->session : NULL;
}

/* The room's members; where it is a socket's own room, that socket at its place among them. */
static void list_room(struct answer *a, const struct wire_query_sockets *m)
{
	struct router *router = a->peer->router;
	const struct roll *roll = roll_find(router, m->room);
	const struct session *owner = directory_find(router, m->room), *next;
	struct str user_id = m->after_user, sid = m->after_sid;
	struct session_room *member;

	if (roll_compare(m->user_id, user_id) > 0) {
		user_id = m->user_id;
		sid = STR_NONE;
	}
	member = roll ? roll_behind(roll, user_id, sid) : NULL;
	if (owner && !(is_behind(owner, m) && wanted(owner, m)))
		owner = NULL;
	while ((next = first_of(wanted_of(member, m), owner)) != NULL && goes_on(a)) {
		add_socket(a, next, m->names);
		if (next == owner)
			owner = NULL;
		else
			member = roll_next(roll, member);
	}
}

/* Those of these sockets that are in the room. */
static void list_named(struct answer *a, const struct wire_query_sockets *m)
{
	struct router *router = a->peer->router;
	const struct roll *roll = roll_find(router, m->room);
	struct buf key = BUF_INIT(4096);
	struct str nsp, name, sid;
	struct wire_list_walk w;

	str_cut(m->room, ',', &nsp, &name);
	wire_list_walk(&m->sids, &w);
	while (wire_list_next(&w, &sid)) {
		const struct session *s;

		buf_reset(&key);
		buf_add(&key, nsp);
		buf_addc(&key, ',');
		buf_add(&key, sid);
		s = directory_find(router, buf_str(&key));
		if (s && wanted(s, m) && (str_eq(sid, name) || (roll && roll_member(roll, s))))
			add_socket(a, s, m->names);
	}
	buf_fini(&key);
}

void query_on_sockets(struct peer *peer, const struct wire_query_sockets *m)
{
	struct answer a;

	if (begin(&a, peer, m->ref, m->limit)) {
		if (m->room.n == 0)
			list_user(&a, m);
		else if (m->sids.count)
			list_named(&a, m);
		else
			list_room(&a, m);
	}
	end(&a);
}
