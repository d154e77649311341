/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading calls: rooms, one room, sockets of a room, a user. Routers are asked (router_query.h), what they say is merged into one page (api_page.h), and a
 * call that one of them cannot answer is 503. A list of rooms takes two questions: which there are, then the figures of those on the page.
 */
#include "common/base/clock.h"
#include "proto/values.h"
#include "services/ingest/api.h"
#include "services/ingest/api_page.h"
#include "services/ingest/api_query.h"

#define TEXT_BYTES (64u << 10)
#define BODY_BYTES (64u << 20)
#define NAMES_SHOWN 50u /* rooms of a socket */

/* A call that waits for routers. */
struct reading {
	struct ingest *ingest;
	struct http_exchange *x;
	uint64_t ticket, deadline_ms;
	struct buf text, path; /* decoded: parameters, name */
	struct api_query q;
	struct str name; /* of the path */
	bool single;     /* one room, not a list */
	bool more;       /* of a list: there are more behind the page */
	uint32_t asked;  /* of a list: rooms on the page */
};

static void finish(struct reading *r)
{
	router_query_cancel(r->ingest->queries, r->ticket);
	buf_fini(&r->text);
	buf_fini(&r->path);
	api_end(r->ingest, 1, r);
}

static void on_gone(struct http_exchange *x, void *user)
{
	(void)x;
	finish(user);
}

static void fail(struct reading *r, int err)
{
	api_unavailable(r->x, err == E_FULL ? "too many calls are under way"
					    : "a router does not answer now: what the others say "
					      "would not be the whole");
	finish(r);
}

static void respond(struct reading *r, const struct buf *body)
{
	if (body->failed)
		api_unavailable(r->x, "out of memory");
	else
		http_respond(r->x, 200, STR("application/json"), STR_NONE, buf_str(body));
	finish(r);
}

/* NULL: the answer has been given. */
static struct reading *begin(struct ingest *ingest, struct http_exchange *x,
			     const struct http_request *request, struct str name, unsigned taken,
			     char kind)
{
	struct buf why = BUF_INIT(512);
	struct reading *r = api_begin(ingest, 1, sizeof(*r));
	int err;

	if (!r) {
		api_unavailable(x, "too many calls are under way");
		return NULL;
	}
	r->ingest = ingest;
	r->x = x;
	r->deadline_ms = clock_ms() + (uint64_t)ingest->svc->conf.query_timeout_ms;
	buf_init(&r->text, TEXT_BYTES);
	err = api_query_parse(ingest->profile, request->query, taken, kind, &r->text, &r->q, &why);
	buf_init(&r->path, API_NAME_BYTES + 1);
	buf_add(&r->path, name);
	r->name = buf_str(&r->path);
	if (err) {
		api_refuse(x, &why);
		finish(r);
		r = NULL;
	} else {
		http_on_gone(x, on_gone, r);
	}
	buf_fini(&why);
	return r;
}

static void ask(struct reading *r, enum wire_id id, void *message, struct str user_id,
		router_found_fn fn)
{
	int err = router_query_ask(r->ingest->queries, id, message, user_id, r->deadline_ms, fn, r,
				   &r->ticket);

	if (err)
		fail(r, err);
}

static void add_time(struct buf *out, uint64_t wall_ms)
{
	char iso[CLOCK_ISO_BYTES];

	clock_iso(wall_ms, iso);
	buf_addf(out, "\"%s\"", iso);
}

/* `,"cursor":"…"}`, or null at the end. */
static void add_cursor(struct buf *out, bool more, char kind, struct str major, struct str minor)
{
	buf_addz(out, ",\"cursor\":");
	if (more) {
		buf_addc(out, '"');
		api_query_add_cursor(out, kind, major, minor);
		buf_addz(out, "\"}");
	} else {
		buf_addz(out, "null}");
	}
}

/* namespace ',' name; in a buffer of the caller's. */
static struct str key_of(struct buf *key, struct str nsp, struct str name)
{
	buf_reset(key);
	buf_add(key, nsp);
	buf_addc(key, ',');
	buf_add(key, name);
	return buf_str(key);
}

static struct str nsp_or_main(const struct reading *r)
{
	return r->q.nsp.n ? r->q.nsp : STR("/");
}

/* ── rooms ── */

static void add_room(struct buf *out, const struct wire_room_found *m)
{
	struct str nsp, name;

	str_cut(m->room, ',', &nsp, &name);
	buf_addz(out, "{\"name\":");
	buf_add_json(out, name);
	buf_addz(out, ",\"namespace\":");
	buf_add_json(out, nsp);
	buf_addf(out, ",\"sockets\":%llu,\"away\":%llu,\"users\":%llu,\"edges\":%llu",
		 (unsigned long long)m->sockets, (unsigned long long)m->away,
		 (unsigned long long)m->users, (unsigned long long)m->edges);
	buf_addz(out, ",\"lastMessageAt\":");
	if (m->place)
		add_time(out, (m->place >> PLACE_US_SHIFT) / 1000);
	else
		buf_addz(out, "null");
	buf_addc(out, '}');
}

static uint64_t greater(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The next room, of all routers together: users of one router are none of another's; a room that moves may be at two. */
static int next_room(struct str *parts, uint32_t count, struct wire_room_found *sum)
{
	*sum = (struct wire_room_found){ .sockets = 0 };
	for (uint32_t i = 0; i < count; i++) {
		union wire_any any;
		enum wire_id id;
		int err = router_query_part(&parts[i], &id, &any);

		if (err)
			return err;
		if (id != WIRE_ROOM_FOUND || (i > 0 && !str_eq(any.room_found.room, sum->room)))
			return E_TYPE;
		sum->room = any.room_found.room;
		sum->sockets += any.room_found.sockets;
		sum->away += any.room_found.away;
		sum->users += any.room_found.users;
		sum->edges = greater(sum->edges, any.room_found.edges);
		sum->place = greater(sum->place, any.room_found.place);
	}
	return 0;
}

static void on_figures(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	struct reading *r = ctx;
	struct str parts[ROUTER_QUERY_MOST];
	struct buf body = BUF_INIT(BODY_BYTES);
	struct wire_room_found m = { .sockets = 0 };
	uint32_t shown = 0;

	for (uint32_t i = 0; i < count; i++)
		parts[i] = found[i].parts;
	buf_addz(&body, r->single ? "" : "{\"rooms\":[");
	for (uint32_t i = 0; i < r->asked && !err; i++) {
		err = next_room(parts, count, &m);
		if (err || (!r->single && m.sockets == 0))
			continue; /* empty by now */
		if (shown++)
			buf_addc(&body, ',');
		add_room(&body, &m);
	}
	if (!r->single) {
		buf_addc(&body, ']');
		add_cursor(&body, r->more, PAGE_ROOMS, STR_NONE, m.room);
	}
	if (err)
		fail(r, err);
	else
		respond(r, &body);
	buf_fini(&body);
}

static void on_rooms(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	struct reading *r = ctx;
	struct str keys[API_LIMIT_MOST];
	struct wire_query_figures m = { .rooms = { .items = keys } };
	struct page page = { .count = 0 };
	struct buf body = BUF_INIT(64);

	if (!err)
		err = page_merge(PAGE_ROOMS, found, count, r->q.limit, &page);
	for (uint32_t i = 0; i < page.count && !err; i++)
		keys[m.rooms.count++] = page.entries[i].minor;
	r->more = page.more;
	r->asked = m.rooms.count;
	if (err) {
		fail(r, err);
	} else if (m.rooms.count == 0) {
		buf_addz(&body, "{\"rooms\":[],\"cursor\":null}");
		respond(r, &body);
	} else {
		ask(r, WIRE_QUERY_FIGURES, &m, STR_NONE, on_figures);
	}
	page_fini(&page);
	buf_fini(&body);
}

void api_get_rooms(struct ingest *ingest, struct http_exchange *x,
		   const struct http_request *request, struct str name)
{
	struct reading *r = begin(ingest, x, request, name,
				  API_PARAM_NAMESPACE | API_PARAM_PREFIX | API_PARAM_OWN |
					  API_PARAM_LIMIT | API_PARAM_CURSOR,
				  PAGE_ROOMS);
	struct wire_query_rooms m = { 0 };
	struct buf key = BUF_INIT(2048);

	if (r && str_is(r->q.nsp, "*") && r->q.prefix.n) {
		http_respond_error(x, 400, "INVALID_PAYLOAD",
				   "prefix is of one namespace: name it, or leave it out for /");
		finish(r);
	} else if (r) {
		if (!str_is(r->q.nsp, "*"))
			m.prefix = key_of(&key, nsp_or_main(r), r->q.prefix);
		m.after = r->q.after_minor;
		m.limit = r->q.limit;
		m.own = r->q.own;
		ask(r, WIRE_QUERY_ROOMS, &m, STR_NONE, on_rooms);
	}
	buf_fini(&key);
}

/* Of one namespace: `*` stands for all of them, where a call takes it. */
static bool refuse_all(struct reading *r)
{
	if (!str_is(r->q.nsp, "*"))
		return false;
	http_respond_error(r->x, 400, "INVALID_PAYLOAD",
			   "namespace must be one of the profile's namespaces");
	finish(r);
	return true;
}

void api_get_room(struct ingest *ingest, struct http_exchange *x,
		  const struct http_request *request, struct str name)
{
	struct reading *r = begin(ingest, x, request, name, API_PARAM_NAMESPACE, '-');
	struct buf key = BUF_INIT(2048);
	struct str keys[1];
	struct wire_query_figures m = { .rooms = { .count = 1, .items = keys } };

	if (r && !refuse_all(r)) {
		keys[0] = key_of(&key, nsp_or_main(r), r->name);
		r->single = true;
		r->asked = 1;
		ask(r, WIRE_QUERY_FIGURES, &m, STR_NONE, on_figures);
	}
	buf_fini(&key);
}

/* ── sockets ── */

static void add_socket(struct buf *out, const struct wire_socket_found *m)
{
	struct wire_list_walk w;
	struct str name;
	bool first = true;

	buf_addz(out, "{\"id\":");
	buf_add_json(out, m->sid);
	buf_addz(out, ",\"namespace\":");
	buf_add_json(out, m->nsp);
	buf_addz(out, ",\"user\":");
	if (m->user_id.n)
		buf_add_json(out, m->user_id);
	else
		buf_addz(out, "null");
	buf_addf(out, ",\"connected\":%s,\"awaySince\":", m->away_ms ? "false" : "true");
	if (m->away_ms)
		add_time(out, clock_wall_ms() - (m->away_ms - 1));
	else
		buf_addz(out, "null");
	buf_addf(out, ",\"roomCount\":%llu,\"rooms\":[", (unsigned long long)m->room_count);
	wire_list_walk(&m->rooms, &w);
	while (wire_list_next(&w, &name)) {
		if (!first)
			buf_addc(out, ',');
		first = false;
		buf_add_json(out, name);
	}
	buf_addz(out, "]}");
}

static int add_sockets(struct buf *out, const struct page *page)
{
	int err = 0;

	buf_addz(out, "\"sockets\":[");
	for (uint32_t i = 0; i < page->count && !err; i++) {
		struct str rest = page->entries[i].parts;
		union wire_any any;
		enum wire_id id;

		if (i)
			buf_addc(out, ',');
		err = router_query_part(&rest, &id, &any);
		if (!err)
			add_socket(out, &any.socket_found);
	}
	buf_addc(out, ']');
	return err;
}

static void show_sockets(struct reading *r, enum page_kind kind, const struct router_found *found,
			 uint32_t count, int err)
{
	struct buf body = BUF_INIT(BODY_BYTES);
	struct page page = { .count = 0 };
	const struct page_entry *last;

	if (!err)
		err = page_merge(kind, found, count, r->q.limit, &page);
	if (!err && kind == PAGE_OF_USER) {
		buf_addz(&body, "{\"id\":");
		buf_add_json(&body, r->name);
		buf_addf(&body, ",\"connected\":%llu,\"away\":%llu,",
			 (unsigned long long)(found[0].total - found[0].away),
			 (unsigned long long)found[0].away);
	} else {
		buf_addc(&body, '{');
	}
	if (!err)
		err = add_sockets(&body, &page);
	last = page.count ? &page.entries[page.count - 1] : NULL;
	add_cursor(&body, page.more, (char)kind, last ? last->major : STR_NONE,
		   last ? last->minor : STR_NONE);
	if (err)
		fail(r, err);
	else
		respond(r, &body);
	page_fini(&page);
	buf_fini(&body);
}

static void on_members(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	show_sockets(ctx, PAGE_MEMBERS, found, count, err);
}

static void on_user(void *ctx, int err, const struct router_found *found, uint32_t count)
{
	show_sockets(ctx, PAGE_OF_USER, found, count, err);
}

void api_get_sockets(struct ingest *ingest, struct http_exchange *x,
		     const struct http_request *request, struct str name)
{
	struct reading *r = begin(ingest, x, request, name,
				  API_PARAM_ROOM | API_PARAM_NAMESPACE | API_PARAM_USER |
					  API_PARAM_LIMIT | API_PARAM_CURSOR,
				  PAGE_MEMBERS);
	struct buf key = BUF_INIT(2048);

	if (r && r->q.room.n == 0) {
		http_respond_error(x, 400, "INVALID_PAYLOAD",
				   "room is missing; for the sockets of a user: GET /v1/users/ID");
		finish(r);
	} else if (r && !refuse_all(r)) {
		struct wire_query_sockets m = { .room = key_of(&key, nsp_or_main(r), r->q.room),
						.user_id = r->q.user,
						.after_user = r->q.after_major,
						.after_sid = r->q.after_minor,
						.limit = r->q.limit,
						.names = NAMES_SHOWN };

		ask(r, WIRE_QUERY_SOCKETS, &m, r->q.user, on_members);
	}
	buf_fini(&key);
}

void api_get_user(struct ingest *ingest, struct http_exchange *x,
		  const struct http_request *request, struct str name)
{
	struct reading *r = begin(ingest, x, request, name,
				  API_PARAM_NAMESPACE | API_PARAM_LIMIT | API_PARAM_CURSOR,
				  PAGE_OF_USER);

	if (r && r->name.n > API_USER_BYTES) {
		http_respond_error(x, 400, "INVALID_PAYLOAD", "a user's id has at most 256 bytes");
		finish(r);
	} else if (r) {
		struct wire_query_sockets m = { .user_id = r->name,
						.after_sid = r->q.after_minor,
						.limit = r->q.limit,
						.names = NAMES_SHOWN };

		if (!str_is(r->q.nsp, "*"))
			m.nsp = r->q.nsp;
		ask(r, WIRE_QUERY_SOCKETS, &m, r->name, on_user);
	}
}
