/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sockets and rooms there are, for Node servers: SOCKETS, ALL_ROOMS and FETCH. Routers are asked room by room and page by page; a page goes on behind
 * the least of what routers that have more have told, so that some are told twice: a socket is taken once, and of rooms servers make a set.
 *
 * Servers wait for as many answers as there are servers. Where routers cannot tell in time, none is given: to the asker that is an error, not an empty list.
 * Bounds: FETCHES_MAX at once, FETCH_COUNT sockets or rooms and FETCH_BYTES of an answer: what is behind that is left out.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "services/ingest/source_redis.h"

#define FETCHES_MAX 64u
#define FETCH_COUNT 10000u
#define FETCH_BYTES (8u << 20)
#define PAGE 500u
#define NAMES_MOST 1000u
#define DEADLINE_MS 4000u /* servers wait 5 s unless told otherwise */
#define AGAIN_MS 100u     /* a router that has just started does not know all yet */

struct taken {
	struct str sid; /* in one allocation with this */
};

struct fetch {
	struct list node; /* on s->fetching */
	struct source_redis *s;
	struct wheel_timer again;
	enum sioredis_kind kind;
	uint64_t deadline_ms;
	struct blob *text;                     /* nsp, id and names, one behind the other; OWNED */
	struct str nsp, id;                    /* of text */
	struct str *names;                     /* of text; rooms, then except; OWNED */
	uint32_t room_count, except_count, at; /* room that is asked for */
	struct buf after_major, after_minor;   /* behind which; empty: from the start */
	bool more;
	struct map taken; /* struct taken by sid */
	uint32_t count;
	struct buf items, key;
};

static void ask(struct fetch *f);

static struct str taken_sid(const void *object)
{
	return ((const struct taken *)object)->sid;
}

static void end(struct fetch *f)
{
	list_remove(&f->node);
	svc_cancel(f->s->ingest->svc, &f->again);
	MAP_EACH(&f->taken, struct taken, one)
		mem_free(one);
	map_fini(&f->taken);
	f->s->fetches--;
	blob_unref(&f->text);
	mem_free(f->names);
	buf_fini(&f->after_major);
	buf_fini(&f->after_minor);
	buf_fini(&f->items);
	buf_fini(&f->key);
	mem_free(f);
}

static void answer(struct fetch *f)
{
	struct source_redis *s = f->s;

	buf_reset(&s->out);
	if (f->kind == SIOREDIS_ALL_ROOMS)
		sioredis_encode_rooms(f->id, buf_str(&f->items), &s->out);
	else
		sioredis_encode_sockets(f->id, buf_str(&f->items), &s->out);
	source_redis_answer(s, f->nsp);
	end(f);
}

/* ── what routers found ── */

static bool is_excepted(const struct fetch *f, struct str name)
{
	for (uint32_t i = 0; i < f->except_count; i++)
		if (str_eq(f->names[f->room_count + i], name))
			return true;
	return false;
}

static bool is_wanted(const struct fetch *f, const struct wire_socket_found *m)
{
	struct wire_list_walk w;
	struct str name;

	if (m->away_ms || is_excepted(f, m->sid)) /* as at a Node server: who is here */
		return false;
	wire_list_walk(&m->rooms, &w);
	while (wire_list_next(&w, &name))
		if (is_excepted(f, name))
			return false;
	return true;
}

/* E_EXISTS: it was taken by another room or page. */
static int note_taken(struct fetch *f, struct str sid)
{
	struct taken *one = mem_try(sizeof(*one) + sid.n);
	int err;

	if (!one)
		return E_NOMEM;
	memcpy(one + 1, sid.p, sid.n);
	one->sid = str_make((const char *)(one + 1), sid.n);
	err = map_put(&f->taken, one);
	if (err)
		mem_free(one);
	return err;
}

static void add_socket(struct fetch *f, const struct wire_socket_found *m)
{
	struct buf *out = &f->items;
	struct wire_list_walk w;
	struct str name;

	if (!str_eq(m->nsp, f->nsp) || !is_wanted(f, m) || note_taken(f, m->sid))
		return;
	if (f->count++)
		buf_addc(out, ',');
	if (f->kind == SIOREDIS_SOCKETS) {
		buf_add_json(out, m->sid);
		return;
	}
	sioredis_add_socket(out, m->sid, m->user_id);
	wire_list_walk(&m->rooms, &w);
	while (wire_list_next(&w, &name)) {
		if (name.n == 0 || room_is_reserved(name))
			continue; /* not the application's */
		buf_addc(out, ',');
		buf_add_json(out, name);
	}
	buf_addz(out, "]}");
}

static void add_room(struct fetch *f, const struct wire_room_found *m)
{
	struct str name = m->room;

	if (name.n <= f->nsp.n + 1)
		return;
	name = str_skip(name, f->nsp.n + 1);
	if (room_is_reserved(name))
		return;
	if (f->count++)
		buf_addc(&f->items, ',');
	buf_add_json(&f->items, name);
}

static int compare(struct str a, struct str b)
{
	int order = memcmp(a.p ? a.p : "", b.p ? b.p : "", a.n < b.n ? a.n : b.n);

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* One router has more behind this: the next page begins behind the least such. */
static void note_more(struct fetch *f, struct str major, struct str minor)
{
	int order = compare(major, buf_str(&f->after_major));

	if (f->more && (order > 0 || (order == 0 && compare(minor, buf_str(&f->after_minor)) >= 0)))
		return;
	f->more = true;
	buf_reset(&f->after_major);
	buf_reset(&f->after_minor);
	buf_add(&f->after_major, major);
	buf_add(&f->after_minor, minor);
}

/* One router's answer. Its texts are of the frame, and so are the last ones, which the next page may begin behind. */
static int take(struct fetch *f, const struct router_found *found)
{
	struct str rest = found->parts, major = STR_NONE, minor = STR_NONE;
	union wire_any any;
	enum wire_id id;
	int err;

	while ((err = router_query_part(&rest, &id, &any)) == 0) {
		if (id == WIRE_SOCKET_FOUND) {
			major = any.socket_found.user_id;
			minor = any.socket_found.sid;
			if (f->count < FETCH_COUNT)
				add_socket(f, &any.socket_found);
		} else if (id == WIRE_ROOM_FOUND) {
			major = any.room_found.room;
			if (f->count < FETCH_COUNT)
				add_room(f, &any.room_found);
		}
	}
	if (found->more && (major.n || minor.n))
		note_more(f, major, minor);
	return err == E_NOTFOUND ? f->items.failed : err;
}

static void on_again(struct wheel_timer *timer)
{
	ask(CONTAINER_OF(timer, struct fetch, again));
}

/* The page could not be had: once more, or not at all. */
static void fail(struct fetch *f, int err)
{
	uint64_t again_ms = clock_ms() + AGAIN_MS;

	if (err == E_UNAVAILABLE && again_ms < f->deadline_ms) {
		svc_arm(f->s->ingest->svc, &f->again, again_ms);
		return;
	}
	metrics_inc(METRIC_SIOREDIS_LOST_OUT);
	end(f);
}

static void on_found(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	struct fetch *f = ctx;

	if (err) {
		fail(f, err);
		return;
	}
	f->more = false;
	for (uint32_t i = 0; i < count && !err; i++)
		err = take(f, &found[i]);
	if (err) {
		fail(f, err);
		return;
	}
	if (!f->more || f->count >= FETCH_COUNT) {
		f->more = false;
		buf_reset(&f->after_major);
		buf_reset(&f->after_minor);
		f->at++;
	}
	ask(f);
}

/* ── questions ── */

static int ask_routers(struct fetch *f)
{
	struct router_query *queries = f->s->ingest->queries;
	uint64_t ticket;

	buf_reset(&f->key);
	buf_add(&f->key, f->nsp);
	buf_addc(&f->key, ',');
	if (f->kind == SIOREDIS_ALL_ROOMS) {
		struct wire_query_rooms m = { .prefix = buf_str(&f->key),
					      .after = buf_str(&f->after_major),
					      .limit = PAGE,
					      .own = true };

		return router_query_ask(queries, WIRE_QUERY_ROOMS, &m, STR_NONE, f->deadline_ms,
					on_found, f, &ticket);
	}
	buf_add(&f->key, f->room_count ? f->names[f->at] : STR(ROOM_ALL));
	struct wire_query_sockets m = { .room = buf_str(&f->key),
					.after_user = buf_str(&f->after_major),
					.after_sid = buf_str(&f->after_minor),
					.limit = PAGE,
					.names = NAMES_MOST };

	return router_query_ask(queries, WIRE_QUERY_SOCKETS, &m, STR_NONE, f->deadline_ms, on_found,
				f, &ticket);
}

static void ask(struct fetch *f)
{
	uint32_t rooms = f->room_count ? f->room_count : 1;
	int err;

	if (f->at >= rooms || f->count >= FETCH_COUNT) {
		answer(f);
		return;
	}
	err = ask_routers(f);
	if (err)
		fail(f, err);
}

static size_t text_bytes(const struct sioredis_names *names)
{
	size_t n = 0;

	for (uint32_t i = 0; i < names->count; i++)
		n += names->items[i].n;
	return n;
}

static struct str keep(struct str s, char **at)
{
	char *to = *at;

	if (s.n)
		memcpy(to, s.p, s.n);
	*at += s.n;
	return str_make(to, s.n);
}

static bool copy_question(struct fetch *f, struct str nsp, const struct sioredis_request *r)
{
	size_t count = (size_t)r->rooms.count + r->except.count;
	char *at;

	f->text = blob_new(nsp.n + r->id.n + text_bytes(&r->rooms) + text_bytes(&r->except));
	f->names = mem_try((count + 1) * sizeof(*f->names));
	if (!f->text || !f->names)
		return false;
	at = f->text->data;
	f->nsp = keep(nsp, &at);
	f->id = keep(r->id, &at);
	for (uint32_t i = 0; i < r->rooms.count; i++)
		if (r->rooms.items[i].n > 0 && r->rooms.items[i].n <= REDIS_ROOM_BYTES)
			f->names[f->room_count++] = keep(r->rooms.items[i], &at);
	if (r->rooms.count > 0 && f->room_count == 0)
		f->names[f->room_count++] = STR("\x01none"); /* no such room: nobody */
	for (uint32_t i = 0; i < r->except.count; i++)
		f->names[f->room_count + f->except_count++] = keep(r->except.items[i], &at);
	return true;
}

void redis_fetch(struct source_redis *s, struct str nsp, const struct sioredis_request *r)
{
	struct fetch *f = s->fetches < FETCHES_MAX ? mem_try(sizeof(*f)) : NULL;

	if (!f) {
		metrics_inc(METRIC_SIOREDIS_LOST_OUT);
		return;
	}
	s->fetches++;
	f->s = s;
	list_append(&s->fetching, &f->node);
	wheel_timer_init(&f->again, on_again);
	f->kind = r->kind;
	f->deadline_ms = clock_ms() + DEADLINE_MS;
	map_init(&f->taken, taken_sid);
	buf_init(&f->items, FETCH_BYTES);
	buf_init(&f->key, 4096);
	buf_init(&f->after_major, 4096);
	buf_init(&f->after_minor, 4096);
	if (copy_question(f, nsp, r)) {
		ask(f);
		return;
	}
	metrics_inc(METRIC_SIOREDIS_LOST_OUT);
	end(f);
}

void redis_fetch_close(struct source_redis *s)
{
	struct list *node;

	while ((node = list_first(&s->fetching)) != NULL)
		end(CONTAINER_OF(node, struct fetch, node));
}
