/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/life.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/directory.h"
#include "services/router/persist.h"
#include "services/router/room.h"

struct subject {
	struct list node;  /* on life->waiting, ->fading or ->under_way; or on none: told, and so */
	bool told;         /* as here */
	bool telling;      /* what is under way, or waits */
	bool unsure;       /* it may have been told already: it is told again as it was */
	uint64_t ref;      /* under way; 0: not */
	uint64_t since_ms; /* wall clock, when what is to be told became so */
	uint64_t fading_ms; /* monotonic, since when nobody is here; 0: not fading */
	uint32_t key_bytes;
	char key[]; /* kind, then the user's id or the room's key */
};

struct life {
	struct router *router;
	bool on; /* an ingest has asked */
	struct map subjects;
	struct list waiting, fading, under_way;
	uint32_t in_window;
	uint64_t last_ref;
	struct peer *watcher; /* NULL: none */
	struct wheel_timer timer;
};

static struct str subject_key_of(const void *subject)
{
	const struct subject *s = subject;

	return str_make(s->key, s->key_bytes);
}

static struct str name_of(const struct subject *s)
{
	return str_skip(subject_key_of(s), 1);
}

static bool is_here(const struct life *life, const struct subject *s)
{
	struct router *router = life->router;

	if (s->key[0] == LIFE_USER) {
		const struct session_user *u = map_get(&router->users, name_of(s));

		return u && u->count > u->away;
	}
	return room_is_live(room_find(router, name_of(s)));
}

static void show(const struct life *life)
{
	metrics_set(METRIC_LIFE_SUBJECTS, map_count(&life->subjects));
	metrics_set(METRIC_LIFE_UNDER_WAY, life->in_window);
}

static void drop(struct life *life, struct subject *s)
{
	list_remove(&s->node);
	map_del(&life->subjects, subject_key_of(s));
	mem_free(s);
}

static uint64_t grace_ms(const struct life *life)
{
	return (uint64_t)life->router->svc->conf.presence_grace_seconds * 1000;
}

/* ── telling ── */

static int tell(struct life *life, struct subject *s)
{
	struct wire_life m = {
		.ref = ++life->last_ref,
		.kind = (uint64_t)s->key[0],
		.here = s->telling,
		.name = name_of(s),
		.at_ms = s->since_ms,
	};
	int err = bus_link_send_msg(life->watcher->link, WIRE_LIFE, &m, true);

	if (err)
		return err;
	s->ref = m.ref;
	list_remove(&s->node);
	list_append(&life->under_way, &s->node);
	life->in_window++;
	return 0;
}

static void pump(struct life *life)
{
	struct list *node;

	while (life->watcher && life->router->settled && life->in_window < LIFE_WINDOW &&
	       (node = list_first(&life->waiting)) != NULL)
		if (tell(life, CONTAINER_OF(node, struct subject, node)))
			break; /* the link is full: with the next answer, or the sweep */
	show(life);
}

static void fade_later(struct life *life)
{
	struct list *first = list_first(&life->fading);

	if (first && !wheel_armed(&life->timer))
		svc_arm(life->router->svc, &life->timer,
			CONTAINER_OF(first, struct subject, node)->fading_ms + grace_ms(life));
}

/* What is so, against what was told. May free it. */
static void weigh(struct life *life, struct subject *s)
{
	bool here = is_here(life, s);
	uint64_t now = clock_ms();

	if (s->ref || s->unsure)
		return; /* when that is done */
	if (here == s->told) {
		s->fading_ms = 0;
		list_remove(&s->node);
		if (!here)
			drop(life, s);
		return;
	}
	if (!here && s->fading_ms == 0) {
		s->fading_ms = now;
		s->since_ms = clock_wall_ms();
		list_remove(&s->node);
		list_append(&life->fading, &s->node);
		fade_later(life);
	}
	if (!here && now < s->fading_ms + grace_ms(life))
		return;
	if (here)
		s->since_ms = clock_wall_ms();
	s->telling = here;
	list_remove(&s->node);
	list_append(&life->waiting, &s->node);
}

static void on_timer(struct wheel_timer *timer)
{
	struct life *life = CONTAINER_OF(timer, struct life, timer);
	uint64_t now = clock_ms();
	struct list *node;

	while (life->router->settled && (node = list_first(&life->fading)) != NULL) {
		struct subject *s = CONTAINER_OF(node, struct subject, node);

		if (now < s->fading_ms + grace_ms(life))
			break;
		weigh(life, s);
	}
	if (life->router->settled)
		fade_later(life);
	pump(life);
}

static struct subject *get(struct life *life, enum life_kind kind, struct str name, bool make)
{
	struct buf key = BUF_INIT(2048);
	struct subject *s = NULL;

	buf_addc(&key, (char)kind);
	buf_add(&key, name);
	if (!key.failed)
		s = map_get(&life->subjects, buf_str(&key));
	if (!s && make && !key.failed && (s = mem_try(sizeof(*s) + key.n)) != NULL) {
		list_init(&s->node);
		s->key_bytes = (uint32_t)key.n;
		memcpy(s->key, key.p, key.n);
		if (map_put(&life->subjects, s)) {
			mem_free(s);
			s = NULL;
		}
	}
	buf_fini(&key);
	return s;
}

static void note(struct life *life, enum life_kind kind, struct str name, bool here)
{
	struct subject *s = get(life, kind, name, here);

	if (!s && here) {
		metrics_inc(METRIC_LIFE_LOST);
		log_error("life", "out of memory: that somebody is here is not told");
	}
	if (!s)
		return;
	weigh(life, s);
	pump(life);
}

bool life_is_wanted(const struct router *router)
{
	return router->life && router->life->on;
}

void life_note_user(struct router *router, struct str user_id)
{
	const struct session_user *u;

	if (!life_is_wanted(router) || user_id.n == 0)
		return;
	u = map_get(&router->users, user_id);
	note(router->life, LIFE_USER, user_id, u && u->count > u->away);
}

void life_note_room(const struct room *room)
{
	struct life *life = room->router->life;

	if (life_is_wanted(room->router) && !room->own)
		note(life, LIFE_ROOM, room_key_of(room), room_is_live(room));
}

void life_settled(struct router *router)
{
	struct life *life = router->life;

	if (!life_is_wanted(router))
		return;
	MAP_EACH(&life->subjects, struct subject, s) {
		if (!s->ref && !is_here(life, s))
			weigh(life, s); /* told before, so that it fades: nothing is freed here */
	}
	pump(life);
}

/* ── the watcher ── */

/* From now on: what there is already, too. */
static void begin(struct life *life)
{
	struct router *router = life->router;

	life->on = true;
	MAP_EACH(&router->users, struct session_user, u) {
		if (u->count > u->away)
			note(life, LIFE_USER, str_make(u->id, u->bytes), true);
	}
	MAP_EACH(&router->rooms, struct room, room) {
		if (!room->own && room_is_live(room))
			note(life, LIFE_ROOM, room_key_of(room), true);
	}
	if (router->settled)
		life_settled(router);
	peer_tell_edges(router); /* they say which rooms have nobody in them */
}

/* Nobody says any more what became of it. */
static void take_back(struct life *life)
{
	struct list *node;

	while ((node = list_pop(&life->under_way)) != NULL) {
		struct subject *s = CONTAINER_OF(node, struct subject, node);

		s->ref = 0;
		s->unsure = true;
		list_prepend(&life->waiting, &s->node);
	}
	life->in_window = 0;
	life->watcher = NULL;
}

static void choose(struct life *life)
{
	LIST_EACH(&life->router->peers, node, next) {
		struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (!life->watcher && peer->watches_life && bus_link_up(peer->link))
			life->watcher = peer;
	}
	pump(life);
}

void life_on_watch(struct peer *peer, const struct wire_life_watch *m)
{
	struct life *life = peer->router->life;

	if (peer->edge)
		return;
	peer->watches_life = m->on;
	if (life->watcher == peer && !m->on)
		take_back(life);
	if (m->on && !life->on)
		begin(life);
	choose(life);
}

void life_forget_peer(struct peer *peer)
{
	struct life *life = peer->router->life;

	peer->watches_life = false;
	if (life->watcher != peer)
		return;
	take_back(life);
	choose(life);
}

void life_on_done(struct peer *peer, const struct wire_life_done *m)
{
	struct life *life = peer->router->life;
	struct subject *s = NULL;

	LIST_EACH(&life->under_way, node,
		  next) { /* in the order they were sent: mostly the first */
		s = CONTAINER_OF(node, struct subject, node);
		if (s->ref == m->ref)
			break;
		s = NULL;
	}
	if (!s || life->watcher != peer)
		return;
	s->ref = 0;
	s->unsure = false;
	s->told = s->telling;
	life->in_window--;
	list_remove(&s->node);
	metrics_inc(METRIC_LIFE_TOLD);
	persist_life(life->router, subject_key_of(s), s->told);
	s->fading_ms = 0;
	weigh(life, s);
	pump(life);
}

/* ── life ── */

int life_restore(struct router *router, struct str key)
{
	struct subject *s;

	if (key.n < 2 || (key.p[0] != LIFE_USER && key.p[0] != LIFE_ROOM))
		return 0;
	s = get(router->life, (enum life_kind)key.p[0], str_skip(key, 1), true);
	if (!s)
		return E_NOMEM;
	s->told = true;
	return 0;
}

void life_open(struct router *router)
{
	struct life *life = mem_need(sizeof(*life));

	life->router = router;
	map_init(&life->subjects, subject_key_of);
	list_init(&life->waiting);
	list_init(&life->fading);
	list_init(&life->under_way);
	wheel_timer_init(&life->timer, on_timer);
	router->life = life;
}

void life_close(struct router *router)
{
	struct life *life = router->life;

	if (!life)
		return;
	svc_cancel(router->svc, &life->timer);
	MAP_EACH(&life->subjects, struct subject, s) {
		list_remove(&s->node);
		mem_free(s);
	}
	map_fini(&life->subjects);
	mem_free(life);
	router->life = NULL;
}
