/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redis or Valkey (RESP2) on the libuv loop; hiredis is its protocol reader.
 *
 * thread     loop thread. blocking: never (names are looked up in libuv's pool).
 * ownership  commands and channel names are COPIED; replies and messages are BORROWED until the callback returns.
 * ordering   commands run, and their callbacks come, in the order of the calls. What is asked in one turn of the loop leaves in one write.
 *
 *   AWAY ──timer──▶ LOOKING_UP ─▶ CONNECTING ─▶ GREETING ─▶ UP        greeting: AUTH, SELECT, what is subscribed, PING
 *     ▲────────────────┴──── failed, or too late ───┴───────┘         back-off with jitter, 100 ms to 5 s, for ever
 *
 * One adapter is one connection. With a `message` handler it is a subscriber, and takes no commands (RESP2 does not let it); else it takes
 * commands. A process that wants both opens two. No handler and no callback runs inside adapt_redis_open, _command or _subscribe.
 *
 * A server that leaves the oldest command unanswered for timeout_ms is given up: everything under way fails, and it is connected to anew. An
 * idle connection is pinged every timeout_ms, so silence is noticed within twice that. A command that failed by E_UNAVAILABLE,
 * E_TIMEOUT or E_CLOSED may have been carried out or not. Nothing is sent again by the adapter.
 *
 * BUGS: no TLS, cluster or sentinel. A server that has become a replica answers writes with an error (READONLY), and is kept.
 */
#ifndef ROOMWIRE_ADAPT_REDIS_H
#define ROOMWIRE_ADAPT_REDIS_H

#include "common/svc/svc.h"

struct adapt_redis;

enum redis_type {
	REDIS_NIL = 0,
	REDIS_INTEGER, /* integer */
	REDIS_STRING,  /* text: any bytes */
	REDIS_STATUS,  /* text: "OK" */
	REDIS_ERROR,   /* text: "WRONGTYPE Operation against …" */
	REDIS_ARRAY    /* count, items */
};

struct redis_reply {
	enum redis_type type;
	int64_t integer;
	struct str text;
	size_t count;
	struct redis_reply **items; /* none NULL; see adapt_redis_item */
};

/* Item i of an array; a nil reply when it is none or has not so many: nested answers can be walked without checks between. */
const struct redis_reply *adapt_redis_item(const struct redis_reply *reply, size_t i);
static inline bool adapt_redis_is(const struct redis_reply *reply, enum redis_type type)
{
	return reply->type == type;
}

/*
 * err 0: the reply. E_FAIL: the reply is an error of the server (type REDIS_ERROR). E_UNAVAILABLE: the connection was lost, E_TIMEOUT: no
 * answer in time, E_CLOSED: adapt_redis_close; then reply is NULL. Runs exactly once per accepted command.
 */
typedef void (*adapt_redis_reply_fn)(void *ctx, int err, const struct redis_reply *reply);

struct adapt_redis_handlers {
	/* The connection stands, for the first time or again; everything subscribed is. May be NULL, as the others. */
	void (*up)(void *ctx);
	/* It was lost, and the callbacks of everything under way have run. Only after up. */
	void (*down)(void *ctx, const char *reason);
	/* Subscriber: one message; pattern is empty unless it came by one. */
	void (*message)(void *ctx, struct str channel, struct str payload, struct str pattern);
	void *ctx;
};

struct adapt_redis_spec {
	struct svc *svc;
	/* redis://[[user]:password@]host[:port][/db], percent-encoded; empty or NULL: host and port */
	const char *url;
	const char *host; /* name or address */
	int port;
	uint64_t timeout_ms; /* of connecting and of each command; 0: 3000 */
	size_t max_commands; /* under way; 0: 65536 */
	size_t max_bytes;    /* of the commands under way; 0: 64 MiB */
	/* Of one reply, as sent and as kept; past it the connection is given up. 0: 64 MiB */
	size_t max_reply_bytes;
	struct adapt_redis_handlers handlers;
};

/* Begins to connect. E_CONFIG: url, host or port is not usable, and the log says why (no credentials). spec: COPIED. */
int adapt_redis_open(const struct adapt_redis_spec *spec, struct adapt_redis **redis) MUST_CHECK;
/*
 * Nulls; accepts NULL inside. Then callbacks of what is under way run, with E_CLOSED; `down` does not. May be called in any callback. For
 * those callbacks adapt_redis_command and adapt_redis_up take NULL for an adapter that is down.
 */
void adapt_redis_close(struct adapt_redis **redis);

/*
 * argv   command and arguments, 1 to 1,048,576, any bytes; COPIED
 * fn     may be NULL: nobody is told
 * errors E_CLOSED (not up: nothing is queued while down), E_FULL (max_commands, max_bytes), E_TOOBIG (never fits), E_NOMEM: fn does not run
 * BUGS   blocking commands (BLPOP, XREAD BLOCK) hold up all behind them and must block for less than timeout_ms
 */
int adapt_redis_command(struct adapt_redis *redis, const struct str *argv, size_t argc,
			adapt_redis_reply_fn fn, void *ctx) MUST_CHECK;

/*
 * Subscribers: SUBSCRIBE (or PSUBSCRIBE) now and after every reconnect; twice is once. What is published while the connection is down is
 * lost: up tells from when on it is not. E_FULL: ADAPT_REDIS_CHANNELS are subscribed; E_TOOBIG, E_NOMEM.
 */
#define ADAPT_REDIS_CHANNELS 4096
#define ADAPT_REDIS_CHANNEL_BYTES 4096
int adapt_redis_subscribe(struct adapt_redis *redis, struct str channel, bool pattern) MUST_CHECK;
void adapt_redis_unsubscribe(struct adapt_redis *redis, struct str channel, bool pattern);

bool adapt_redis_up(const struct adapt_redis *redis);
/* As a svc_need asks: up? If not, why (no credentials). */
bool adapt_redis_reason(const struct adapt_redis *redis, char reason[SVC_REASON_BYTES]);

#endif
