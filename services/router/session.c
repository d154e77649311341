/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/session.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/directory.h"
#include "services/router/life.h"
#include "services/router/persist.h"
#include "services/router/presence.h"
#include "services/router/roll.h"

struct str session_pid_of(const void *session)
{
	const struct session *s = session;

	return str_make(s->text, s->pid_bytes);
}

struct str session_key_of(const struct session *s)
{
	return str_make(s->text + s->pid_bytes, (size_t)s->nsp_bytes + 1 + s->sid_bytes);
}

struct str session_nsp_of(const struct session *s)
{
	return str_make(s->text + s->pid_bytes, s->nsp_bytes);
}

struct str session_sid_of(const struct session *s)
{
	return str_skip(session_key_of(s), (size_t)s->nsp_bytes + 1);
}

struct str session_user_id_of(const struct session *s)
{
	return str_make(s->text + s->pid_bytes + session_key_of(s).n, s->user_bytes);
}

static struct str conn_of(const struct session *s)
{
	return str_make(s->conn, s->conn_bytes);
}

static void show(const struct router *router)
{
	metrics_set(METRIC_SESSIONS, map_count(&router->sessions));
}

/* ── rooms ── */

struct str session_room_name(const struct session_room *room)
{
	return room->roll ? roll_name_of(room->roll) : session_sid_of(room->session);
}

static int find_room(const struct session *s, struct str name)
{
	for (uint32_t i = 0; i < s->room_count; i++)
		if (str_eq(session_room_name(s->rooms[i]), name))
			return (int)i;
	return -1;
}

/* left: for good; else its session has ended, or another item takes its place. */
static void free_room(struct session_room *room, bool left)
{
	presence_leave(room->session, room, left);
	roll_strike(room);
	mem_free(room);
}

static void remove_room(struct session *s, struct str name, bool left)
{
	int at = find_room(s, name);

	if (at < 0)
		return;
	free_room(s->rooms[at], left);
	s->rooms[at] = s->rooms[--s->room_count];
}

/* known: whether it may be there already. */
static int add_room(struct session *s, struct str text, bool known)
{
	struct session_room *room;
	struct item item;

	if (item_read(text, &item) || item.name.n > UINT16_MAX)
		return 0; /* told by nobody of ours */
	if (known)
		remove_room(s, item.name, false);
	if (s->room_count == s->room_cap &&
	    mem_grow((void **)&s->rooms, &s->room_cap, sizeof(struct session_room *)))
		return E_NOMEM;
	room = mem_try(sizeof(*room));
	if (!room)
		return E_NOMEM;
	room->place = item.place;
	room->shard = item.shard;
	room->bits = item.bits;
	s->attends |= (item.bits & ITEM_PRESENCE) != 0;
	room->session = s;
	if (!str_eq(item.name, session_sid_of(s)) &&
	    roll_enter(room, session_nsp_of(s), item.name)) {
		mem_free(room);
		return E_NOMEM;
	}
	s->rooms[s->room_count++] = room;
	return 0;
}

static void drop_rooms(struct session *s)
{
	while (s->room_count > 0)
		free_room(s->rooms[--s->room_count], false);
	mem_free(s->rooms);
	s->rooms = NULL;
	s->room_cap = 0;
}

static int set_rooms(struct session *s, const struct wire_list *rooms)
{
	struct wire_list_walk w;
	struct str text;
	int err = 0;

	drop_rooms(s);
	wire_list_walk(rooms, &w);
	while (!err && wire_list_next(&w, &text))
		err = add_room(s, text, false);
	return err;
}

/* ── connections per user ── */

static bool is_first_of_conn(const struct session_user *u, const struct session *s)
{
	for (const struct session *other = directory_behind(s->router, u, STR_NONE); other;
	     other = directory_following(u, other)) {
		if (other == s)
			return true;
		if (!other->parked_ms && str_eq(conn_of(other), conn_of(s)))
			return false;
	}
	return true;
}

/* Is it on the connection that its client has left for another one? */
static bool leaves(const struct session *own, const struct session *s)
{
	return own && (s == own || (!own->parked_ms && str_eq(conn_of(s), conn_of(own))));
}

/* Would this connection be one too many for its user? own: the session it comes for, which may exist; the connection that has it ends, with all on it. */
static bool too_many(struct router *router, struct str user_id, struct str conn,
		     const struct session *own)
{
	uint64_t most = (uint64_t)router->svc->conf.max_connections_per_user, count = 0;
	struct session_user *u;

	if (most == 0 || user_id.n == 0)
		return false;
	u = map_get(&router->users, user_id);
	if (!u)
		return false;
	for (const struct session *s = directory_behind(router, u, STR_NONE); s;
	     s = directory_following(u, s)) {
		if (str_eq(conn_of(s), conn))
			return false; /* one more namespace of a connection that is counted */
		if (!s->parked_ms && !leaves(own, s) && is_first_of_conn(u, s))
			count++;
	}
	if (count < most)
		return false;
	metrics_inc(METRIC_LIMITED_USER);
	return true;
}

/* ── life ── */

static void free_session(struct session *s)
{
	struct router *router = s->router;

	persist_session_gone(s);

	if (s->parked_ms)
		metrics_dec(METRIC_SESSIONS_PARKED);
	map_del(&router->sessions, session_pid_of(s));
	drop_rooms(s); /* rolls look at its user */
	directory_strike(s);
	life_note_user(router, session_user_id_of(s));
	list_remove(&s->node);
	mem_free(s);
	show(router);
}

static void park(struct session *s, uint64_t since_ms)
{
	if (s->parked_ms == 0) {
		metrics_inc(METRIC_SESSIONS_PARKED);
		roll_note_away(s, true);
		if (s->user)
			s->user->away++;
		life_note_user(s->router, session_user_id_of(s));
	}
	s->parked_ms = since_ms ? since_ms : 1;
}

/* Nobody has it. */
static void disown(struct session *s)
{
	s->owner = NULL;
	list_remove(&s->node);
	list_append(&s->router->parked, &s->node);
}

void session_own(struct session *s, struct peer *peer)
{
	s->owner = peer;
	list_remove(&s->node);
	list_append(&peer->sessions, &s->node);
}

static void unpark(struct session *s)
{
	if (s->parked_ms) {
		metrics_dec(METRIC_SESSIONS_PARKED);
		roll_note_away(s, false);
		if (s->user)
			s->user->away--;
	}
	s->parked_ms = 0;
	life_note_user(s->router, session_user_id_of(s));
}

static void tell_taken(struct peer *peer, const struct session *s)
{
	struct wire_session_taken m = { .pid = session_pid_of(s), .generation = s->generation };

	peer_say(peer, WIRE_SESSION_TAKEN, &m);
}

static struct session *create(struct router *router, const struct wire_session *m)
{
	struct str parts[5] = { m->pid, m->nsp, STR(","), m->sid, m->user_id };
	struct session *s;
	char *at;

	if (map_count(&router->sessions) >= (size_t)router->svc->conf.max_sessions) {
		struct list *oldest = list_first(&router->parked);

		metrics_inc(METRIC_LIMITED_SESSIONS);
		if (!oldest)
			return NULL;
		free_session(CONTAINER_OF(oldest, struct session, node));
	}
	s = mem_try(sizeof(*s) + m->pid.n + m->nsp.n + 1 + m->sid.n + m->user_id.n);
	if (!s)
		return NULL;
	s->router = router;
	list_init(&s->node);
	s->pid_bytes = (uint8_t)m->pid.n;
	s->sid_bytes = (uint8_t)m->sid.n;
	s->nsp_bytes = (uint8_t)m->nsp.n;
	s->user_bytes = (uint16_t)m->user_id.n;
	at = s->text;
	for (int i = 0; i < 5; i++) {
		if (parts[i].n)
			memcpy(at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	if (map_put(&router->sessions, s)) {
		mem_free(s);
		return NULL;
	}
	if (directory_enter(s)) {
		map_del(&router->sessions, session_pid_of(s));
		mem_free(s);
		return NULL;
	}
	show(router);
	return s;
}

static void set_conn(struct session *s, struct str conn)
{
	s->conn_bytes = (uint8_t)(conn.n > sizeof(s->conn) ? 0 : conn.n);
	if (s->conn_bytes)
		memcpy(s->conn, conn.p, conn.n);
}

static const char *save(struct peer *peer, const struct wire_session *m)
{
	struct router *router = peer->router;
	struct session *s = map_get(&router->sessions, m->pid);
	uint64_t now = clock_ms();

	/* The same edge may have told it before it heard of its own RESUME. */
	if (s && s->generation > m->generation) {
		if (s->owner != peer)
			tell_taken(peer, s);
		return "TAKEN";
	}
	if (m->parked_ms == 0 && too_many(router, m->user_id, m->conn, s))
		return "TOO_MANY_CONNECTIONS";
	if (s && s->owner && s->owner != peer) {
		s->generation = m->generation;
		tell_taken(s->owner, s);
	}
	if (!s)
		s = create(router, m);
	if (!s || set_rooms(s, &m->rooms)) {
		if (s)
			free_session(s);
		return "FULL";
	}
	s->generation = m->generation;
	set_conn(s, m->conn);
	session_own(s, peer);
	unpark(s);
	if (m->parked_ms)
		park(s, now > m->parked_ms ? now - m->parked_ms : 1);
	presence_sync(s);
	return "";
}

void session_answer(struct peer *peer, uint64_t ref, struct str pid, const char *code)
{
	struct wire_saved m = { .ref = ref, .pid = pid, .code = str_of(code) };

	if (ref)
		peer_say(peer, WIRE_SAVED, &m);
}

/* Kept: told when Redis has it, too. */
static void answer_saved(struct peer *peer, uint64_t ref, struct session *s)
{
	if (!persist_session(s, peer, ref))
		session_answer(peer, ref, session_pid_of(s), "");
}

void session_on_session(struct peer *peer, const struct wire_session *m)
{
	const char *code = save(peer, m);
	struct session *s = code[0] ? NULL : map_get(&peer->router->sessions, m->pid);

	if (s)
		answer_saved(peer, m->ref, s);
	else
		session_answer(peer, m->ref, m->pid, code);
}

void session_restore(struct router *router, const struct wire_session *m)
{
	struct session *s;

	if (map_get(&router->sessions, m->pid))
		return;
	s = create(router, m);
	if (!s)
		return;
	if (set_rooms(s, &m->rooms)) {
		free_session(s);
		return;
	}
	s->generation = m->generation;
	set_conn(s, m->conn);
	disown(s);
	park(s, clock_ms()); /* longer than needed rather than too short */
	presence_sync(s);
}

/* The session, if it is the peer's to change. */
static struct session *claimed(struct peer *peer, struct str pid, uint64_t generation)
{
	struct session *s = map_get(&peer->router->sessions, pid);

	return s && s->owner == peer && s->generation == generation ? s : NULL;
}

void session_on_rooms(struct peer *peer, const struct wire_session_rooms *m)
{
	struct session *s = claimed(peer, m->pid, m->generation);
	struct wire_list_walk w;
	struct str text;
	int err = 0;

	if (!s) {
		session_answer(peer, m->ref, m->pid, "UNKNOWN");
		return;
	}
	wire_list_walk(&m->left, &w);
	while (wire_list_next(&w, &text))
		remove_room(s, text, true);
	wire_list_walk(&m->joined, &w);
	while (!err && wire_list_next(&w, &text))
		err = add_room(s, text, true);
	presence_sync(s);
	if (!err) {
		answer_saved(peer, m->ref, s);
		return;
	}
	free_session(s);
	session_answer(peer, m->ref, m->pid, "FULL");
}

void session_on_parked(struct peer *peer, const struct wire_session_parked *m)
{
	struct session *s = claimed(peer, m->pid, m->generation);

	if (!s)
		return;
	if (m->left)
		presence_leave_all(s);
	park(s, clock_ms());
	presence_sync(s);
}

void session_on_ended(struct peer *peer, const struct wire_session_ended *m)
{
	struct session *s = claimed(peer, m->pid, m->generation);

	if (s && m->left)
		presence_leave_all(s);
	if (s && m->moved)
		presence_pass(s);
	else if (s)
		free_session(s);
}

static const char *refusal(struct router *router, struct session *s, const struct wire_resume *m)
{
	uint64_t window_ms = (uint64_t)router->svc->conf.recovery_seconds * 1000;

	if (!s || !str_eq(session_user_id_of(s), m->user_id) ||
	    !str_eq(session_nsp_of(s), m->nsp) ||
	    (s->parked_ms && clock_ms() - s->parked_ms > window_ms))
		return "UNKNOWN";
	if (too_many(router, m->user_id, m->conn, s))
		return "TOO_MANY_CONNECTIONS";
	return "";
}

int session_rooms(const struct session *s, struct item_list *list, struct wire_list *rooms)
{
	int err = item_list_init(list, s->room_count);

	for (uint32_t i = 0; i < s->room_count && !err; i++) {
		const struct session_room *room = s->rooms[i];
		struct item item = { room->place, room->shard, room->bits,
				     session_room_name(room) };

		item_list_add(list, &item);
	}
	return err ? err : item_list_done(list, rooms);
}

struct blob *session_pack(const struct session *s)
{
	struct item_list list;
	struct wire_session m = {
		.pid = session_pid_of(s),
		.sid = session_sid_of(s),
		.conn = conn_of(s),
		.nsp = session_nsp_of(s),
		.user_id = session_user_id_of(s),
		.generation = s->generation,
	};
	struct blob *packed = NULL;

	if (session_rooms(s, &list, &m.rooms) == 0)
		packed = wire_pack(WIRE_SESSION, &m);
	item_list_fini(&list);
	return packed;
}

void session_on_resume(struct peer *peer, const struct wire_resume *m)
{
	struct router *router = peer->router;
	struct session *s = map_get(&router->sessions, m->pid);
	struct wire_resumed answer_m = { .ref = m->ref,
					 .pid = m->pid,
					 .code = str_of(refusal(router, s, m)) };
	struct item_list list = { .items = NULL };

	if (answer_m.code.n == 0 && session_rooms(s, &list, &answer_m.rooms))
		answer_m.code = STR("UNKNOWN");
	if (answer_m.code.n == 0) {
		s->generation++;
		if (s->owner && s->owner != peer)
			tell_taken(s->owner, s);
		set_conn(s, m->conn);
		session_own(s, peer);
		unpark(s);
		presence_sync(s);
		persist_session(s, NULL, 0);
		answer_m.sid = session_sid_of(s);
		answer_m.generation = s->generation;
	}
	metrics_inc(answer_m.code.n ? METRIC_RESUMES_REFUSED : METRIC_RESUMES);
	peer_say(peer, WIRE_RESUMED, &answer_m);
	item_list_fini(&list);
}

void session_forget_peer(struct peer *peer)
{
	struct list *node;

	while ((node = list_first(&peer->sessions)) != NULL) {
		struct session *s = CONTAINER_OF(node, struct session, node);

		disown(s);
		if (!s->parked_ms)
			park(s, clock_ms());
		presence_sync(s);
	}
	session_foster_soon(peer->router);
}

void session_sweep(struct router *router)
{
	uint64_t window_ms = (uint64_t)router->svc->conf.recovery_seconds * 1000, now = clock_ms();

	/* In the order in which they were disowned: at most as late as the one before it was parked. */
	LIST_EACH(&router->parked, node, next) {
		struct session *s = CONTAINER_OF(node, struct session, node);

		if (now - s->parked_ms > window_ms)
			free_session(s);
	}
}

/* At the process's end, when Redis is not asked any more: they stay there. */
void session_free_all(struct router *router)
{
	struct list *node;

	while ((node = list_first(&router->parked)) != NULL)
		free_session(CONTAINER_OF(node, struct session, node));
}
