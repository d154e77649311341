/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/persist.h"

#include "common/adapt/adapt_redis.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/router/life.h"
#include "services/router/room.h"
#include "services/router/session.h"

#define ID_PAGE "2000"
#define ID_BYTES 16
#define ID_TRIM_EVERY 1024u
#define PAGE "100" /* a page stays below the largest reply of the adapter */
#define KEY_BYTES_MAX 256

enum persist_state {
	PERSIST_FIRST = 0, /* never up */
	PERSIST_LOADING,
	PERSIST_ON
};

struct persist {
	struct router *router;
	struct adapt_redis *redis;
	enum persist_state state;
	bool hole; /* something was not written since `from` was */
	uint64_t floor;
	struct list savings; /* struct saving */
	char history[KEY_BYTES_MAX], sessions[KEY_BYTES_MAX], from[KEY_BYTES_MAX],
		ids[KEY_BYTES_MAX], life[KEY_BYTES_MAX];
	uint32_t ids_written;
	char cursor[64]; /* where reading goes on */
};

/* Somebody to tell when a session is written. */
struct saving {
	struct list node;
	struct peer *peer; /* NULL: gone */
	uint64_t ref;
	uint32_t pid_bytes;
	char pid[SESSION_ID_BYTES];
};

static struct str key(const char *z)
{
	return str_of(z);
}

static uint64_t window_ms(const struct router *router)
{
	return (uint64_t)router->svc->conf.recovery_seconds * 1000;
}

static void on_written(void *ctx, int err, const struct redis_reply *reply)
{
	struct persist *p = ctx;

	if (err == 0)
		return;
	p->hole = true;
	if (err == E_FAIL)
		log_error("persist", "Redis refuses what is written", KV_STR("reply", reply->text));
}

static bool ask(struct persist *p, const struct str *argv, size_t argc, adapt_redis_reply_fn fn,
		void *ctx)
{
	if (adapt_redis_command(p->redis, argv, argc, fn, ctx) == 0)
		return true;
	p->hole = true;
	return false;
}

/* From here on every message is written. */
static void note_whole(struct persist *p)
{
	char place[24];
	struct str argv[] = { STR("SET"), key(p->from), STR_NONE };

	snprintf(place, sizeof(place), "%llu", (unsigned long long)p->router->place);
	argv[2] = str_of(place);
	p->hole = false;
	ask(p, argv, 3, on_written, p);
}

/* ── reading ── */

static void finish_loading(struct persist *p)
{
	p->state = PERSIST_ON;
	log_info("persist", "what the router before this one left was read from Redis",
		 KV_U("messages", map_count(&p->router->returned)),
		 KV_U("sessions", map_count(&p->router->sessions)));
}

static void give_up(struct persist *p, int err)
{
	p->state = PERSIST_ON;
	p->floor = 0;
	p->hole = true;
	log_warn("persist", "what the router before this one left cannot be read from Redis",
		 KV_ERR(err));
}

static void on_life(void *ctx, int err, const struct redis_reply *reply);

static void read_life(struct persist *p)
{
	struct str argv[] = { STR("HSCAN"), key(p->life), str_of(p->cursor), STR("COUNT"),
			      STR(ID_PAGE) };

	if (!ask(p, argv, 5, on_life, p))
		give_up(p, E_UNAVAILABLE);
}

static void on_life(void *ctx, int err, const struct redis_reply *reply)
{
	struct persist *p = ctx;
	const struct redis_reply *items;

	if (err || p->router->settled) {
		give_up(p, err ? err : E_TIMEOUT);
		return;
	}
	items = adapt_redis_item(reply, 1);
	for (size_t i = 0; i < items->count; i += 2)
		if (life_restore(p->router, adapt_redis_item(items, i)->text))
			log_warn("persist", "out of memory: that somebody was online is forgotten");
	if (str_copy(adapt_redis_item(reply, 0)->text, p->cursor, sizeof(p->cursor)) ||
	    strcmp(p->cursor, "0") == 0)
		finish_loading(p);
	else
		read_life(p);
}

static void on_sessions(void *ctx, int err, const struct redis_reply *reply);

static void read_sessions(struct persist *p)
{
	struct str argv[] = { STR("HSCAN"), key(p->sessions), str_of(p->cursor), STR("COUNT"),
			      STR(PAGE) };

	if (!ask(p, argv, 5, on_sessions, p))
		give_up(p, E_UNAVAILABLE);
}

static void on_sessions(void *ctx, int err, const struct redis_reply *reply)
{
	struct persist *p = ctx;
	const struct redis_reply *items;
	union wire_any any;
	enum wire_id id;

	if (err || p->router->settled) {
		give_up(p, err ? err : E_TIMEOUT);
		return;
	}
	items = adapt_redis_item(reply, 1);
	for (size_t i = 1; i < items->count; i += 2) {
		const struct redis_reply *value = adapt_redis_item(items, i);

		if (value->type == REDIS_STRING && wire_unpack(value->text, &id, &any) == 0 &&
		    id == WIRE_SESSION)
			session_restore(p->router, &any.session);
	}
	if (str_copy(adapt_redis_item(reply, 0)->text, p->cursor, sizeof(p->cursor)) ||
	    strcmp(p->cursor, "0") == 0)
		read_life(p);
	else
		read_sessions(p);
}

static void next_page(struct persist *p, const struct redis_reply *entries)
{
	const struct redis_reply *last = adapt_redis_item(entries, entries->count - 1);
	struct str id = adapt_redis_item(last, 0)->text;

	snprintf(p->cursor, sizeof(p->cursor), "(%.*s", (int)(id.n > 48 ? 48 : id.n), id.p);
}

/* [id, [b, BODY, p, PAYLOAD, …]] */
static void take_message(struct router *router, const struct redis_reply *entry)
{
	const struct redis_reply *fields = adapt_redis_item(entry, 1);
	struct str payload[1 + WIRE_MAX_PAYLOADS];
	struct bus_message m = { .payload = payload };

	for (size_t i = 1; i < fields->count && m.payload_count < WIRE_MAX_PAYLOADS; i += 2)
		payload[m.payload_count++] = adapt_redis_item(fields, i)->text;
	settle_on_return(router, &m);
}

static void on_history(void *ctx, int err, const struct redis_reply *reply);

static void read_history(struct persist *p)
{
	struct str argv[] = { STR("XRANGE"), key(p->history), str_of(p->cursor),
			      STR("+"),      STR("COUNT"),    STR(PAGE) };

	if (!ask(p, argv, 6, on_history, p))
		give_up(p, E_UNAVAILABLE);
}

static void on_history(void *ctx, int err, const struct redis_reply *reply)
{
	struct persist *p = ctx;

	if (err || p->router->settled) {
		give_up(p, err ? err : E_TIMEOUT);
		return;
	}
	for (size_t i = 0; i < reply->count; i++)
		take_message(p->router, adapt_redis_item(reply, i));
	if (reply->count > 0) {
		next_page(p, reply);
		read_history(p);
		return;
	}
	snprintf(p->cursor, sizeof(p->cursor), "0");
	read_sessions(p);
}

/* [MILLISECONDS-N, [u, ID]] */
static void take_id(struct router *router, const struct redis_reply *entry)
{
	struct str when = adapt_redis_item(entry, 0)->text, rest;
	struct str id = adapt_redis_item(adapt_redis_item(entry, 1), 1)->text;
	uint64_t parts[2], at = 0, wall = clock_wall_ms(), now = clock_ms(), age;

	if (id.n != ID_BYTES || !str_cut(when, '-', &when, &rest) || str_to_u64(when, &at))
		return;
	memcpy(parts, id.p, sizeof(parts));
	age = wall > at ? wall - at : 0;
	if (idset_add(&router->ids, parts[0], parts[1], now > age ? now - age : 0, NULL) == E_NOMEM)
		log_warn("persist", "out of memory: an event id is forgotten");
}

static void on_ids(void *ctx, int err, const struct redis_reply *reply);

static void read_ids(struct persist *p)
{
	struct str argv[] = { STR("XRANGE"), key(p->ids),  str_of(p->cursor),
			      STR("+"),      STR("COUNT"), STR(ID_PAGE) };

	if (!ask(p, argv, 6, on_ids, p))
		give_up(p, E_UNAVAILABLE);
}

static void on_ids(void *ctx, int err, const struct redis_reply *reply)
{
	struct persist *p = ctx;

	if (err || p->router->settled) {
		give_up(p, err ? err : E_TIMEOUT);
		return;
	}
	for (size_t i = 0; i < reply->count; i++)
		take_id(p->router, adapt_redis_item(reply, i));
	metrics_set(METRIC_EVENT_IDS, idset_count(&p->router->ids));
	if (reply->count > 0) {
		next_page(p, reply);
		read_ids(p);
		return;
	}
	snprintf(p->cursor, sizeof(p->cursor), "-");
	read_history(p);
}

static void on_from(void *ctx, int err, const struct redis_reply *reply)
{
	struct persist *p = ctx;
	uint64_t from = 0, window = (clock_wall_us() - window_ms(p->router) * 1000)
				    << PLACE_US_SHIFT;

	if (err) {
		give_up(p, err);
		return;
	}
	if (reply->type != REDIS_STRING || str_to_u64(reply->text, &from)) {
		finish_loading(p); /* nothing was ever left there */
		note_whole(p);
		return;
	}
	p->floor = from > window ? from : window;
	snprintf(p->cursor, sizeof(p->cursor), "-");
	read_ids(p);
}

static void begin_loading(struct persist *p)
{
	struct str argv[] = { STR("GET"), key(p->from) };

	p->state = PERSIST_LOADING;
	if (!ask(p, argv, 2, on_from, p))
		give_up(p, E_UNAVAILABLE);
}

/* Back after an outage: sessions are written anew, and history counts from now on. */
static void write_all(struct persist *p)
{
	struct str argv[] = { STR("DEL"), key(p->sessions) };

	ask(p, argv, 2, on_written, p);
	MAP_EACH(&p->router->sessions, struct session, s)
		persist_session(s, NULL, 0);
	note_whole(p);
}

static void on_up(void *ctx)
{
	struct persist *p = ctx;

	metrics_set(METRIC_REDIS_UP, 1);
	if (p->state == PERSIST_FIRST && !p->router->settled) {
		begin_loading(p);
		return;
	}
	p->state = PERSIST_ON;
	write_all(p);
}

static void on_down(void *ctx, const char *reason)
{
	struct persist *p = ctx;

	(void)reason; /* the adapter has logged it */
	metrics_set(METRIC_REDIS_UP, 0);
	p->hole = true;
}

/* ── writing ── */

struct writing {
	struct persist *persist;
	struct pending *pending;
};

static void on_message_written(void *ctx, int err, const struct redis_reply *reply)
{
	struct writing *w = ctx;
	struct router *router = w->persist->router;

	on_written(w->persist, err, reply);
	publish_release(router, w->pending);
	mem_free(w);
}

/* Before the event it belongs to: who knows the one knows the other. */
static void write_id(struct persist *p, uint64_t high, uint64_t low)
{
	const struct conf *conf = &p->router->svc->conf;
	uint64_t parts[2] = { high, low };
	char since[24], most[24];
	struct str add[] = { STR("XADD"), key(p->ids), STR("MINID"), STR("~"),
			     STR_NONE,    STR("*"),    STR("u"),     STR_NONE };
	struct str trim[] = { STR("XTRIM"), key(p->ids), STR("MAXLEN"), STR("~"), STR_NONE };

	snprintf(since, sizeof(since), "%llu",
		 (unsigned long long)(clock_wall_ms() - (uint64_t)conf->event_id_seconds * 1000));
	add[4] = str_of(since);
	add[7] = str_make((const char *)parts, sizeof(parts));
	ask(p, add, 8, on_written, p);
	if (++p->ids_written % ID_TRIM_EVERY)
		return;
	snprintf(most, sizeof(most), "%lld", (long long)conf->event_id_count);
	trim[4] = str_of(most);
	ask(p, trim, 5, on_written, p);
}

void persist_id(struct router *router, uint64_t high, uint64_t low)
{
	struct persist *p = router->persist;

	if (p && p->state == PERSIST_ON && adapt_redis_up(p->redis))
		write_id(p, high, low);
}

void persist_message(struct router *router, const struct message *message, struct pending *pending)
{
	struct persist *p = router->persist;
	struct str argv[7 + 2 * (1 + WIRE_MAX_PAYLOADS)];
	struct writing *w;
	char since[24];
	size_t n = 0;

	if (!p || p->state != PERSIST_ON || !adapt_redis_up(p->redis)) {
		if (p)
			p->hole = true;
		return;
	}
	w = mem_try(sizeof(*w));
	if (!w) {
		p->hole = true;
		return;
	}
	if (p->hole)
		note_whole(p); /* this one and all behind it */
	if (pending->uid_high || pending->uid_low)
		write_id(p, pending->uid_high, pending->uid_low);
	*w = (struct writing){ p, pending };
	snprintf(since, sizeof(since), "%llu",
		 (unsigned long long)(clock_wall_ms() - window_ms(router)));
	argv[n++] = STR("XADD");
	argv[n++] = key(p->history);
	argv[n++] = STR("MINID");
	argv[n++] = STR("~");
	argv[n++] = str_of(since);
	argv[n++] = STR("*");
	argv[n++] = STR("b");
	argv[n++] = blob_str(message->body);
	for (uint32_t i = 0; i < message->payload_count && i < WIRE_MAX_PAYLOADS; i++) {
		argv[n++] = STR("p");
		argv[n++] = blob_str(message->payload[i]);
	}
	pending->wait++;
	if (ask(p, argv, n, on_message_written, w))
		return;
	pending->wait--; /* not the last one: whoever publishes still waits for itself */
	mem_free(w);
}

void persist_life(struct router *router, struct str subject, bool here)
{
	struct persist *p = router->persist;
	struct str argv[] = { here ? STR("HSET") : STR("HDEL"), p ? key(p->life) : STR_NONE,
			      subject, STR("1") };

	if (p && p->state == PERSIST_ON && adapt_redis_up(p->redis))
		ask(p, argv, here ? 4 : 3, on_written, p);
}

static void on_session_written(void *ctx, int err, const struct redis_reply *reply)
{
	struct saving *s = ctx;

	(void)reply;
	if (err)
		log_debug("persist", "a session is not in Redis: it is written when Redis is back");
	if (s->peer)
		session_answer(s->peer, s->ref, str_make(s->pid, s->pid_bytes), "");
	list_remove(&s->node);
	mem_free(s);
}

static struct saving *make_saving(struct persist *p, struct peer *peer, uint64_t ref,
				  struct str pid)
{
	struct saving *s = pid.n <= SESSION_ID_BYTES ? mem_try(sizeof(*s)) : NULL;

	if (!s)
		return NULL;
	s->peer = peer;
	s->ref = ref;
	s->pid_bytes = (uint32_t)pid.n;
	memcpy(s->pid, pid.p, pid.n);
	list_append(&p->savings, &s->node);
	return s;
}

bool persist_session(struct session *session, struct peer *peer, uint64_t ref)
{
	struct persist *p = session->router->persist;
	struct str pid = session_pid_of(session);
	struct blob *value = p && adapt_redis_up(p->redis) ? session_pack(session) : NULL;
	struct saving *s = value && ref ? make_saving(p, peer, ref, pid) : NULL;
	bool asked = false;

	if (value && (s || !ref)) {
		struct str argv[] = { STR("HSET"), key(p->sessions), pid, blob_str(value) };

		asked = ask(p, argv, 4, s ? on_session_written : on_written,
			    s ? (void *)s : (void *)p);
	}
	if (s && !asked) {
		list_remove(&s->node);
		mem_free(s);
	}
	blob_unref(&value);
	return asked && ref;
}

void persist_session_gone(struct session *session)
{
	struct persist *p = session->router->persist;
	struct str argv[] = { STR("HDEL"), p ? key(p->sessions) : STR_NONE,
			      session_pid_of(session) };

	if (p && adapt_redis_up(p->redis))
		ask(p, argv, 3, on_written, p);
}

void persist_forget_peer(struct peer *peer)
{
	struct persist *p = peer->router->persist;

	if (!p)
		return;
	LIST_EACH(&p->savings, node, next) {
		struct saving *s = CONTAINER_OF(node, struct saving, node);

		if (s->peer == peer)
			s->peer = NULL;
	}
}

/* ── life ── */

bool persist_loading(const struct router *router)
{
	return router->persist && router->persist->state != PERSIST_ON;
}

uint64_t persist_floor(const struct router *router)
{
	return router->persist && router->persist->state == PERSIST_ON ? router->persist->floor : 0;
}

bool persist_ready(const struct router *router, char reason[SVC_REASON_BYTES])
{
	return !router->persist || adapt_redis_reason(router->persist->redis, reason);
}

int persist_open(struct router *router)
{
	const struct conf *conf = &router->svc->conf;
	struct persist *p;
	struct adapt_redis_spec spec = {
		.svc = router->svc,
		.url = conf->redis_url,
		.host = conf->redis_host,
		.port = (int)conf->redis_port,
		.timeout_ms = (uint64_t)conf->redis_timeout_ms,
		.handlers = { .up = on_up, .down = on_down },
	};
	int err;

	if (!conf->redis_url[0] && !conf->redis_host[0])
		return 0;
	p = mem_need(sizeof(*p));
	p->router = router;
	list_init(&p->savings);
	snprintf(p->history, sizeof(p->history), "%.64s:%.64s:history", conf->redis_prefix,
		 router->svc->instance);
	snprintf(p->sessions, sizeof(p->sessions), "%.64s:%.64s:sessions", conf->redis_prefix,
		 router->svc->instance);
	snprintf(p->from, sizeof(p->from), "%.64s:%.64s:from", conf->redis_prefix,
		 router->svc->instance);
	snprintf(p->life, sizeof(p->life), "%.64s:%.64s:life", conf->redis_prefix,
		 router->svc->instance);
	snprintf(p->ids, sizeof(p->ids), "%.64s:%.64s:ids", conf->redis_prefix,
		 router->svc->instance);
	spec.handlers.ctx = p;
	err = adapt_redis_open(&spec, &p->redis);
	if (err) {
		mem_free(p);
		return err;
	}
	router->persist = p;
	return 0;
}

void persist_close(struct router *router)
{
	struct persist *p = router->persist;

	if (!p)
		return;
	adapt_redis_close(&p->redis); /* what is under way is answered here */
	router->persist = NULL;
	mem_free(p);
}
