/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/presence.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define AGAIN_MS 100u  /* nobody can be told now */
#define LATE_MS 10000u /* who was away for longer when a router died had been told of by it */

/* A user in a room. */
struct attendance {
	struct list node;  /* on router->leaving, in the order of time */
	uint64_t left_ms;  /* when it began to leave */
	uint32_t sessions; /* there */
	bool passed;       /* nothing is to be said of its end */
	uint16_t nsp_bytes, room_bytes, user_bytes;
	char key[]; /* nsp, room, user; a 0 behind each of the first two */
};

struct str presence_key_of(const void *attendance)
{
	const struct attendance *a = attendance;

	return str_make(a->key, (size_t)a->nsp_bytes + a->room_bytes + a->user_bytes + 2);
}

static struct str make_key(struct router *router, struct str nsp, struct str room, struct str user)
{
	struct buf *key = &router->key;

	buf_reset(key);
	buf_add(key, nsp);
	buf_addc(key, '\0');
	buf_add(key, room);
	buf_addc(key, '\0');
	buf_add(key, user);
	return key->failed ? STR_NONE : buf_str(key);
}

static struct attendance *find(const struct session *s, const struct session_room *room)
{
	struct str key = make_key(s->router, session_nsp_of(s), session_room_name(room),
				  session_user_id_of(s));

	return key.n ? map_get(&s->router->attendances, key) : NULL;
}

static struct attendance *create(const struct session *s, const struct session_room *room)
{
	struct router *router = s->router;
	struct str nsp = session_nsp_of(s), user = session_user_id_of(s);
	struct str key = make_key(router, nsp, session_room_name(room), user);
	struct attendance *a = key.n ? mem_try(sizeof(*a) + key.n) : NULL;

	if (!a)
		return NULL;
	list_init(&a->node);
	a->nsp_bytes = (uint16_t)nsp.n;
	a->room_bytes = (uint16_t)session_room_name(room).n;
	a->user_bytes = (uint16_t)user.n;
	memcpy(a->key, key.p, key.n);
	if (map_put(&router->attendances, a)) {
		mem_free(a);
		return NULL;
	}
	metrics_set(METRIC_ATTENDANCES, map_count(&router->attendances));
	return a;
}

static void forget(struct router *router, struct attendance *a)
{
	list_remove(&a->node);
	map_del(&router->attendances, presence_key_of(a));
	metrics_set(METRIC_ATTENDANCES, map_count(&router->attendances));
	mem_free(a);
}

/* ── telling ── */

static bool tell_peer(struct peer *peer, const struct wire_room_user *m)
{
	return peer && peer->edge && bus_link_up(peer->link) && !bus_link_gone(peer->link) &&
	       bus_link_send_msg(peer->link, WIRE_ROOM_USER, m, true) == 0;
}

/* first: the edge that it came from; or any. False: there is none now. */
static bool tell(struct router *router, struct peer *first, const struct attendance *a, bool online,
		 struct str sid)
{
	struct wire_room_user m = {
		.nsp = str_make(a->key, a->nsp_bytes),
		.room = str_make(a->key + a->nsp_bytes + 1, a->room_bytes),
		.user_id = str_make(a->key + a->nsp_bytes + a->room_bytes + 2, a->user_bytes),
		.online = online,
		.sid = sid,
	};

	if (tell_peer(first, &m))
		return true;
	LIST_EACH(&router->peers, node, next)
		if (tell_peer(CONTAINER_OF(node, struct peer, node), &m))
			return true;
	return false;
}

static uint64_t grace_ms(const struct router *router)
{
	return (uint64_t)router->svc->conf.presence_grace_seconds * 1000;
}

static void arm(struct router *router, uint64_t at_ms)
{
	if (!wheel_armed(&router->presence_timer))
		svc_arm(router->svc, &router->presence_timer, at_ms);
}

/* Those who did not come back. */
static void on_timer(struct wheel_timer *timer)
{
	struct router *router = CONTAINER_OF(timer, struct router, presence_timer);
	struct list *node;

	while ((node = list_first(&router->leaving)) != NULL) {
		struct attendance *a = CONTAINER_OF(node, struct attendance, node);
		uint64_t due = a->left_ms + grace_ms(router);

		if (clock_ms() < due) {
			arm(router, due);
			return;
		}
		/* A router that has just come up does not know yet who is there at other edges. */
		if (!router->settled || (!a->passed && !tell(router, NULL, a, false, STR_NONE))) {
			arm(router, clock_ms() + AGAIN_MS);
			return;
		}
		forget(router, a);
	}
}

/* ── coming and going ── */

static void enter(struct session *s, struct session_room *room)
{
	struct attendance *a = find(s, room);
	bool shown = a || (room->bits & ITEM_SHOWN);

	if (!a)
		a = create(s, room);
	if (!a)
		return; /* out of memory: nobody hears of it */
	a->sessions++;
	a->passed = false;
	list_remove(&a->node);
	room->counted = true;
	room->bits |= ITEM_SHOWN;
	if (!shown && !tell(s->router, s->owner, a, true, session_sid_of(s)))
		log_debug("presence", "nobody could be told of a user who has come");
}

/* It had been shown by a router before this one, and its client was away by then. */
static void note_away(struct session *s, struct session_room *room)
{
	struct router *router = s->router;
	bool shown = room->bits & ITEM_SHOWN;
	struct attendance *a;

	room->bits &= (uint8_t)~ITEM_SHOWN;
	if (!shown || find(s, room) || clock_ms() - s->parked_ms > grace_ms(router) + LATE_MS)
		return;
	a = create(s, room);
	if (!a)
		return;
	a->left_ms =
		clock_ms(); /* in the order of the list; later than it was rather than too early */
	list_append(&router->leaving, &a->node);
	arm(router, a->left_ms + grace_ms(router));
}

void presence_leave(struct session *s, struct session_room *room, bool left)
{
	struct router *router = s->router;
	struct attendance *a = room->counted ? find(s, room) : NULL;

	room->counted = false;
	room->bits &= (uint8_t)~ITEM_SHOWN; /* the attendance knows, as long as there is one */
	if (!a || --a->sessions > 0)
		return;
	if (left && tell(router, s->owner, a, false, session_sid_of(s))) {
		forget(router, a);
		return;
	}
	a->left_ms = clock_ms();
	list_append(&router->leaving, &a->node);
	arm(router, a->left_ms + grace_ms(router));
}

void presence_leave_all(struct session *s)
{
	for (uint32_t i = 0; i < s->room_count; i++)
		if (s->rooms[i]->counted)
			presence_leave(s, s->rooms[i], true);
}

void presence_sync(struct session *s)
{
	bool there = s->owner && !s->parked_ms;

	if (!s->attends || s->user_bytes == 0)
		return;
	for (uint32_t i = 0; i < s->room_count; i++) {
		struct session_room *room = s->rooms[i];

		if (!(room->bits & ITEM_PRESENCE))
			continue;
		if (there && !room->counted)
			enter(s, room);
		else if (!there && room->counted)
			presence_leave(s, room, false);
		else if (!there)
			note_away(s, room);
	}
}

void presence_pass(struct session *s)
{
	s->attends = false;
	for (uint32_t i = 0; i < s->room_count; i++) {
		struct attendance *a = s->rooms[i]->counted ? find(s, s->rooms[i]) : NULL;

		s->rooms[i]->counted = false;
		if (!a || --a->sessions > 0)
			continue;
		a->passed = true;
		a->left_ms = clock_ms();
		list_append(&s->router->leaving, &a->node);
		arm(s->router, a->left_ms + grace_ms(s->router));
	}
}

void presence_init(struct router *router)
{
	list_init(&router->leaving);
	map_init(&router->attendances, presence_key_of);
	wheel_timer_init(&router->presence_timer, on_timer);
}

void presence_fini(struct router *router)
{
	size_t at;
	struct attendance *a;

	svc_cancel(router->svc, &router->presence_timer);
	while (at = 0, (a = map_next(&router->attendances, &at)) != NULL)
		forget(router, a);
	map_fini(&router->attendances);
}
