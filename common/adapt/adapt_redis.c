/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Life of the connection, commands in their order, and time. The queue holds everything asked and not answered, the adapter's own
 * questions among it; answers come in the same order, so the oldest entry is always the one that is answered, and the one that is late.
 */
#include "common/adapt/adapt_redis.h"

#include <stdio.h>

#include "common/adapt/adapt_redis_conn.h"
#include "common/adapt/adapt_redis_lookup.h"
#include "common/adapt/adapt_redis_queue.h"
#include "common/adapt/adapt_redis_resp.h"
#include "common/adapt/adapt_redis_url.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MOST_MS 5000u
#define GRACE_MS \
	50u /* what a late answer may need to be read when it was this process that slept */
#define TIMEOUT_MS 3000u
#define MAX_COMMANDS ((size_t)65536)
#define MAX_BYTES ((size_t)64 << 20)
#define MOST_BYTES ((size_t)1 << 30) /* libuv counts a write in an int */
#define MAX_ARGUMENTS ((size_t)1 << 20)

enum state { AWAY = 0, LOOKING_UP, CONNECTING, GREETING, UP };

struct subscription {
	struct list node;
	bool pattern;
	size_t bytes;
	char channel[];
};

struct adapt_redis {
	struct adapt_redis_spec spec; /* its texts are not used after open */
	struct redis_url url;
	enum state state;
	struct redis_lookup *lookup; /* under way, perhaps longer than LOOKING_UP */
	struct redis_addresses addresses;
	unsigned next_address;
	struct redis_conn *conn; /* CONNECTING and later */
	struct redis_queue queue;
	uint64_t suspect; /* number of the command that was late when last looked at */
	bool broken;      /* a question of our own could not be asked: the timer gives up */
	bool closed;
	uint32_t backoff_ms;
	uint64_t up_since_ms, heard_ms;
	uint64_t timer_due_ms; /* 0: not armed */
	uv_timer_t timer;      /* its close callback frees the adapter */
	struct svc_turn flush_turn, sleep_turn;
	struct list subscriptions;
	size_t subscription_count;
	char reason[SVC_REASON_BYTES];
};

static unsigned open_count, up_count; /* of the process, as the metric is */

static void arm(struct adapt_redis *r, uint64_t due_ms);

static void show_up(int opened, int up)
{
	open_count += (unsigned)opened;
	up_count += (unsigned)up;
	metrics_set(METRIC_REDIS_UP, open_count && up_count == open_count);
}

/* ── commands end ── */

static void finish(const struct redis_pending *p, int err, const struct redis_reply *reply)
{
	if (p->own)
		return;
	metrics_dec(METRIC_REDIS_PENDING);
	if (err)
		metrics_inc(METRIC_REDIS_FAILED);
	if (p->fn)
		p->fn(p->ctx, err, reply);
}

/* One by one off the queue: a callback may close the adapter, which ends the others. */
static void end_all(struct adapt_redis *r, int err)
{
	struct redis_pending p;

	while (redis_queue_pop(&r->queue, &p))
		finish(&p, err, NULL);
}

/* ── up and down ── */

/* The only way into a state; what was armed for the one before is void. */
static void set_state(struct adapt_redis *r, enum state state, uint64_t limit_ms)
{
	if ((state == UP) != (r->state == UP))
		show_up(0, state == UP ? 1 : -1);
	r->state = state;
	r->timer_due_ms = 0;
	arm(r, clock_ms() + limit_ms);
}

static void give_up(struct adapt_redis *r, int err, struct str why)
{
	bool was_up = r->state == UP;
	char reason[SVC_REASON_BYTES];
	uint32_t wait_ms;

	redis_url_reason(&r->url, why, reason, sizeof(reason));
	if (was_up && clock_ms() - r->up_since_ms >= BACKOFF_MOST_MS)
		r->backoff_ms = BACKOFF_FIRST_MS;
	wait_ms = r->backoff_ms / 2 + rnd_below(r->backoff_ms / 2 + 1);
	r->backoff_ms = r->backoff_ms * 2 < BACKOFF_MOST_MS ? r->backoff_ms * 2 : BACKOFF_MOST_MS;
	if (was_up || strcmp(r->reason, reason) != 0)
		log_warn("redis", was_up ? "the connection is lost" : "no connection",
			 KV_Z("host", r->url.host), KV_I("port", r->url.port),
			 KV_Z("reason", reason), KV_U("commands_failed", r->queue.count),
			 KV_U("retry_ms", wait_ms));
	snprintf(r->reason, sizeof(r->reason), "%s", reason);
	redis_conn_close(&r->conn);
	r->broken = false;
	set_state(r, AWAY, wait_ms);
	end_all(r, err);
	if (was_up && !r->closed && r->spec.handlers.down)
		r->spec.handlers.down(r->spec.handlers.ctx, r->reason);
}

static void give_up_late(struct adapt_redis *r)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "no answer within %llu ms",
			 (unsigned long long)r->spec.timeout_ms);

	give_up(r, E_TIMEOUT, str_make(text, (size_t)n));
}

static void come_up(struct adapt_redis *r)
{
	r->up_since_ms = clock_ms();
	*r->reason = 0;
	set_state(r, UP, r->spec.timeout_ms);
	metrics_inc(METRIC_REDIS_RECONNECTS);
	log_info("redis", "connected", KV_Z("host", r->url.host), KV_I("port", r->url.port),
		 KV_U("channels", r->subscription_count));
	if (r->spec.handlers.up)
		r->spec.handlers.up(r->spec.handlers.ctx);
}

/* ── asking ── */

static int ask(struct adapt_redis *r, const struct str *argv, size_t argc,
	       const struct redis_pending *p)
{
	int err = redis_queue_reserve(&r->queue);

	if (!err)
		err = redis_conn_add(r->conn, argv, argc);
	if (err)
		return err;
	redis_queue_push(&r->queue, p);
	arm(r, p->asked_ms + r->spec.timeout_ms);
	return 0;
}

static int ask_own(struct adapt_redis *r, const struct str *argv, size_t argc)
{
	struct redis_pending p = { .asked_ms = clock_ms(), .own = true };
	int err = ask(r, argv, argc, &p);

	if (err) {
		r->broken =
			true; /* not given up here: no callback runs inside calls of the owner */
		arm(r, clock_ms());
	}
	return err;
}

static int ask_subscription(struct adapt_redis *r, const struct subscription *s, bool on)
{
	static const struct str names[2][2] = {
		{ { "UNSUBSCRIBE", 11 }, { "PUNSUBSCRIBE", 12 } },
		{ { "SUBSCRIBE", 9 }, { "PSUBSCRIBE", 10 } },
	};

	return ask_own(r, (struct str[]){ names[on][s->pattern], str_make(s->channel, s->bytes) },
		       2);
}

/* All at once. PING is last: its answer says that the server is willing, and not still loading its data. */
static int greet(struct adapt_redis *r)
{
	char db[16];
	int err = 0;

	if (*r->url.user)
		err = ask_own(
			r,
			(struct str[]){ STR("AUTH"), str_of(r->url.user), str_of(r->url.password) },
			3);
	else if (*r->url.password)
		err = ask_own(r, (struct str[]){ STR("AUTH"), str_of(r->url.password) }, 2);
	if (!err && r->url.db) {
		snprintf(db, sizeof(db), "%u", (unsigned)r->url.db);
		err = ask_own(r, (struct str[]){ STR("SELECT"), str_of(db) }, 2);
	}
	LIST_EACH(&r->subscriptions, node, after)
		if (!err)
			err = ask_subscription(r, CONTAINER_OF(node, struct subscription, node),
					       true);
	return err ? err : ask_own(r, (struct str[]){ STR("PING") }, 1);
}

/* ── answers ── */

/* ["message", channel, payload] or ["pmessage", pattern, channel, payload]; at a subscriber only. */
static bool take_message(struct adapt_redis *r, const struct redis_reply *reply)
{
	struct str kind = adapt_redis_item(reply, 0)->text;
	bool by_pattern = str_is(kind, "pmessage");
	size_t at = by_pattern ? 2 : 1;

	if (!r->spec.handlers.message || (!by_pattern && !str_is(kind, "message")))
		return false;
	r->spec.handlers.message(r->spec.handlers.ctx, adapt_redis_item(reply, at)->text,
				 adapt_redis_item(reply, at + 1)->text,
				 by_pattern ? adapt_redis_item(reply, 1)->text : STR_NONE);
	return true;
}

static void on_reply(void *ctx, const struct redis_reply *reply)
{
	struct adapt_redis *r = ctx;
	bool is_error = adapt_redis_is(reply, REDIS_ERROR);
	struct redis_pending p;

	r->heard_ms = clock_ms();
	if (take_message(r, reply))
		return;
	if (!redis_queue_pop(&r->queue, &p))
		give_up(r, E_UNAVAILABLE,
			is_error ? reply->text : STR("the server says what nobody asked for"));
	else if (p.own && is_error)
		give_up(r, E_UNAVAILABLE, reply->text);
	else if (!p.own)
		finish(&p, is_error ? E_FAIL : 0, reply);
	else if (r->state == GREETING && !r->queue.count)
		come_up(r);
}

/* ── connecting ── */

static void connect_next(struct adapt_redis *r);

static void on_opened(void *ctx)
{
	struct adapt_redis *r = ctx;

	set_state(r, GREETING, r->spec.timeout_ms);
	if (greet(r))
		give_up(r, E_UNAVAILABLE, STR("out of memory"));
}

static void fail_address(struct adapt_redis *r, struct str why)
{
	redis_conn_close(&r->conn);
	if (r->next_address < r->addresses.count)
		connect_next(r);
	else
		give_up(r, E_UNAVAILABLE, why);
}

static void on_failed(void *ctx, const char *reason)
{
	struct adapt_redis *r = ctx;

	if (r->state == CONNECTING)
		fail_address(r, str_of(reason));
	else
		give_up(r, E_UNAVAILABLE, str_of(reason));
}

static void connect_next(struct adapt_redis *r)
{
	struct redis_conn_hooks hooks = { on_opened, on_reply, on_failed, r };
	const struct sockaddr *address =
		(const struct sockaddr *)&r->addresses.items[r->next_address++];
	const char *reason;

	set_state(r, CONNECTING, r->spec.timeout_ms);
	if (redis_conn_open(r->spec.svc->loop, address, r->spec.max_reply_bytes, &hooks, &reason,
			    &r->conn))
		fail_address(r, str_of(reason));
}

static void on_looked_up(void *ctx, const struct redis_addresses *found, const char *reason)
{
	struct adapt_redis *r = ctx;

	r->lookup = NULL;
	if (r->state != LOOKING_UP)
		return; /* it came too late; the next attempt asks again */
	r->addresses = *found;
	if (found->count)
		connect_next(r);
	else
		give_up(r, E_UNAVAILABLE, str_of(reason));
}

static void connect_now(struct adapt_redis *r)
{
	r->next_address = 0;
	if (redis_lookup_literal(&r->url, &r->addresses)) {
		connect_next(r);
		return;
	}
	set_state(r, LOOKING_UP, r->spec.timeout_ms);
	/* One that hangs is waited for again instead of filling libuv's threads. */
	if (!r->lookup &&
	    redis_lookup_start(r->spec.svc->loop, &r->url, on_looked_up, r, &r->lookup))
		give_up(r, E_UNAVAILABLE, STR("out of memory"));
}

/* ── time ── */

/* The oldest command's end, or the next sign of life. A late command is looked at twice: between the looks what has come is read. */
static void watch(struct adapt_redis *r)
{
	const struct redis_pending *oldest = redis_queue_first(&r->queue);
	uint64_t now_ms = clock_ms(), limit_ms = r->spec.timeout_ms;

	if (r->broken) {
		give_up(r, E_UNAVAILABLE, STR("out of memory"));
		return;
	}
	if (!oldest && now_ms >= r->heard_ms + limit_ms) {
		(void)ask_own(r, (struct str[]){ STR("PING") }, 1); /* arms the timer */
	} else if (!oldest) {
		arm(r, r->heard_ms + limit_ms);
	} else if (now_ms < oldest->asked_ms + limit_ms) {
		arm(r, oldest->asked_ms + limit_ms);
	} else if (r->suspect != r->queue.first) {
		r->suspect = r->queue.first;
		arm(r, now_ms + GRACE_MS);
	} else {
		give_up_late(r);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct adapt_redis *r = timer->data;

	r->timer_due_ms = 0;
	if (r->state == AWAY)
		connect_now(r);
	else if (r->state == UP)
		watch(r);
	else if (r->state == CONNECTING)
		fail_address(r, STR("the server does not answer"));
	else if (r->state == LOOKING_UP)
		give_up(r, E_UNAVAILABLE, STR("the name of the host is not told in time"));
	else
		give_up_late(r);
}

/* One timer for everything. Within a state the earlier end wins: firing too early only looks again. */
static void arm(struct adapt_redis *r, uint64_t due_ms)
{
	uint64_t now_ms = clock_ms();

	if (r->timer_due_ms && r->timer_due_ms <= due_ms)
		return;
	r->timer_due_ms = due_ms;
	uv_update_time(r->spec.svc->loop);
	uv_timer_start(&r->timer, on_timer, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* ── turns of the loop ── */

static bool on_flush_turn(void *ctx)
{
	struct adapt_redis *r = ctx;
	const char *reason;

	if (r->conn && redis_conn_flush(r->conn, &reason))
		give_up(r, E_UNAVAILABLE, str_of(reason));
	return false;
}

/* Asked in a flush hook that ran after ours: go round once more. */
static bool on_sleep_turn(void *ctx)
{
	const struct adapt_redis *r = ctx;

	return r->conn && redis_conn_wants_flush(r->conn);
}

/* ── from outside ── */

static size_t or_default(size_t value, size_t otherwise)
{
	size_t chosen = value ? value : otherwise;

	return chosen < MOST_BYTES ? chosen : MOST_BYTES;
}

static int read_place(const struct adapt_redis_spec *spec, struct redis_url *url)
{
	const char *why;
	bool by_url = spec->url && *spec->url;
	int err = by_url ? redis_url_parse(str_of(spec->url), url, &why)
			 : redis_url_of(spec->host, spec->port, url, &why);

	if (err)
		log_error("redis",
			  by_url ? "the URL cannot be used" : "host and port cannot be used",
			  KV_Z("reason", why));
	return err;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct adapt_redis *r = handle->data;

	redis_queue_fini(&r->queue);
	mem_free(r);
}

int adapt_redis_open(const struct adapt_redis_spec *spec, struct adapt_redis **redis)
{
	struct adapt_redis *r = mem_need(sizeof(*r));
	int err = read_place(spec, &r->url);

	if (err) {
		mem_free(r);
		return err;
	}
	r->spec = *spec;
	r->spec.url = r->spec.host = NULL;
	r->spec.timeout_ms = spec->timeout_ms ? spec->timeout_ms : TIMEOUT_MS;
	r->spec.max_commands = or_default(spec->max_commands, MAX_COMMANDS);
	r->spec.max_bytes = or_default(spec->max_bytes, MAX_BYTES);
	r->spec.max_reply_bytes = or_default(spec->max_reply_bytes, MAX_BYTES);
	r->backoff_ms = BACKOFF_FIRST_MS;
	snprintf(r->reason, sizeof(r->reason), "not connected yet");
	redis_queue_init(&r->queue);
	list_init(&r->subscriptions);
	uv_timer_init(spec->svc->loop, &r->timer);
	r->timer.data = r->flush_turn.ctx = r->sleep_turn.ctx = r;
	r->flush_turn.fn = on_flush_turn;
	r->sleep_turn.fn = on_sleep_turn;
	svc_turn_add(spec->svc, SVC_RANK_FLUSH, &r->flush_turn);
	svc_turn_add(spec->svc, SVC_RANK_SLEEP, &r->sleep_turn);
	show_up(1, 0);
	arm(r, clock_ms());
	*redis = r;
	return 0;
}

static void drop_subscription(struct adapt_redis *r, struct subscription *s)
{
	list_remove(&s->node);
	r->subscription_count--;
	mem_free(s);
}

void adapt_redis_close(struct adapt_redis **redis)
{
	struct adapt_redis *r = *redis;
	struct list *node;

	*redis = NULL;
	if (!r)
		return;
	r->closed = true;
	show_up(-1, r->state == UP ? -1 : 0);
	r->state = AWAY;
	svc_turn_remove(&r->flush_turn);
	svc_turn_remove(&r->sleep_turn);
	redis_conn_close(&r->conn);
	redis_lookup_drop(&r->lookup);
	while ((node = list_first(&r->subscriptions)) != NULL)
		drop_subscription(r, CONTAINER_OF(node, struct subscription, node));
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
	end_all(r, E_CLOSED);
}

int adapt_redis_command(struct adapt_redis *redis, const struct str *argv, size_t argc,
			adapt_redis_reply_fn fn, void *ctx)
{
	struct redis_pending p = { fn, ctx, clock_ms(), 0, false };
	int err;

	if (!adapt_redis_up(redis))
		return E_CLOSED;
	BUG_ON(!argc || redis->spec.handlers.message != NULL);
	if (argc > MAX_ARGUMENTS)
		return E_TOOBIG;
	p.bytes = redis_resp_bytes(argv, argc);
	if (p.bytes > redis->spec.max_bytes)
		return E_TOOBIG;
	if (redis->queue.count >= redis->spec.max_commands ||
	    p.bytes > redis->spec.max_bytes - redis->queue.bytes)
		return E_FULL;
	err = ask(redis, argv, argc, &p);
	if (err)
		return err;
	metrics_inc(METRIC_REDIS_COMMANDS);
	metrics_inc(METRIC_REDIS_PENDING);
	return 0;
}

bool adapt_redis_up(const struct adapt_redis *redis)
{
	return redis && redis->state == UP && !redis->broken;
}

bool adapt_redis_reason(const struct adapt_redis *redis, char reason[SVC_REASON_BYTES])
{
	if (adapt_redis_up(redis))
		return true;
	snprintf(reason, SVC_REASON_BYTES, "%s", redis->broken ? "out of memory" : redis->reason);
	return false;
}

const struct redis_reply *adapt_redis_item(const struct redis_reply *reply, size_t i)
{
	static const struct redis_reply nil = { .type = REDIS_NIL };

	return i < reply->count ? reply->items[i] : &nil;
}

/* ── subscriptions ── */

static struct subscription *find_subscription(struct adapt_redis *r, struct str channel,
					      bool pattern)
{
	LIST_EACH(&r->subscriptions, node, after) {
		struct subscription *s = CONTAINER_OF(node, struct subscription, node);

		if (s->pattern == pattern && str_eq(channel, str_make(s->channel, s->bytes)))
			return s;
	}
	return NULL;
}

int adapt_redis_subscribe(struct adapt_redis *redis, struct str channel, bool pattern)
{
	struct subscription *s;

	BUG_ON(!redis->spec.handlers.message);
	if (find_subscription(redis, channel, pattern))
		return 0;
	if (channel.n > ADAPT_REDIS_CHANNEL_BYTES)
		return E_TOOBIG;
	if (redis->subscription_count >= ADAPT_REDIS_CHANNELS)
		return E_FULL;
	s = mem_try(sizeof(*s) + channel.n);
	if (!s)
		return E_NOMEM;
	s->pattern = pattern;
	s->bytes = channel.n;
	if (channel.n)
		memcpy(s->channel, channel.p, channel.n);
	list_append(&redis->subscriptions, &s->node);
	redis->subscription_count++;
	if (redis->state >= GREETING)
		(void)ask_subscription(redis, s, true); /* or with the next connection, at once */
	return 0;
}

void adapt_redis_unsubscribe(struct adapt_redis *redis, struct str channel, bool pattern)
{
	struct subscription *s = find_subscription(redis, channel, pattern);

	if (!s)
		return;
	if (redis->state >= GREETING)
		(void)ask_subscription(redis, s, false); /* or the connection is given up */
	drop_subscription(redis, s);
}
