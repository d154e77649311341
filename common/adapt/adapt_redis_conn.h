/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One TCP connection to one address of a Redis; used by adapt_redis.c only.
 *
 * thread     loop thread. blocking: never.
 * ownership  the connection frees itself after redis_conn_close, when libuv has let go of it.
 * ordering   opened once, then reply any number of times, then failed at most once: redis_conn_close is the answer to it. No hook runs inside
 *            a call made by the owner, and none after redis_conn_close, which may be called inside any of them.
 */
#ifndef ROOMWIRE_ADAPT_REDIS_CONN_H
#define ROOMWIRE_ADAPT_REDIS_CONN_H

#include "common/adapt/adapt_redis.h"

struct redis_conn;

struct redis_conn_hooks {
	void (*opened)(void *ctx);
	void (*reply)(void *ctx, const struct redis_reply *reply); /* BORROWED until it returns */
	void (*failed)(void *ctx, const char *reason);
	void *ctx;
};

/* E_UNAVAILABLE or E_NOMEM, with the reason. */
int redis_conn_open(uv_loop_t *loop, const struct sockaddr *address, size_t max_reply_bytes,
		    const struct redis_conn_hooks *hooks, const char **reason,
		    struct redis_conn **conn) MUST_CHECK;
void redis_conn_close(struct redis_conn **conn); /* nulls; accepts NULL inside */
/* Append a command to what redis_conn_flush will write. E_NOMEM. */
int redis_conn_add(struct redis_conn *conn, const struct str *argv, size_t argc) MUST_CHECK;
bool redis_conn_wants_flush(const struct redis_conn *conn);
/* Write what was added, in one call to the system, unless an earlier write is still under way (then it follows by itself). E_IO with the reason. */
int redis_conn_flush(struct redis_conn *conn, const char **reason) MUST_CHECK;

#endif
