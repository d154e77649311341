/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RESP2, the protocol of Redis (https://redis.io/docs/reference/protocol-spec): commands into bytes, bytes into replies (by hiredis's
 * reader). Sans-I/O; used by adapt_redis*.c only. Thread: one per reader.
 */
#ifndef ROOMWIRE_ADAPT_REDIS_RESP_H
#define ROOMWIRE_ADAPT_REDIS_RESP_H

#include "common/adapt/adapt_redis.h"

size_t redis_resp_bytes(const struct str *argv, size_t argc); /* that the command takes */
/* E_NOMEM: nothing was appended and out has not failed. */
int redis_resp_add(struct buf *out, const struct str *argv, size_t argc) MUST_CHECK;

struct redis_reader;
/* max_reply_bytes bounds one reply: what is received of it and not yet complete, and what it takes in memory. NULL: out of memory. */
struct redis_reader *redis_reader_new(size_t max_reply_bytes);
void redis_reader_free(struct redis_reader **reader); /* nulls; accepts NULL inside */
/* At most REDIS_READER_FEED_BYTES at a time; then take every reply before the next. E_NOMEM, E_TOOBIG. */
#define REDIS_READER_FEED_BYTES ((size_t)16 << 10)
int redis_reader_feed(struct redis_reader *reader, struct str bytes) MUST_CHECK;
/* The next whole reply, OWNED by caller, or NULL. E_SYNTAX, E_TOOBIG, E_NOMEM: the reader is of no further use. */
int redis_reader_next(struct redis_reader *reader, struct redis_reply **reply) MUST_CHECK;
void redis_reply_free(struct redis_reply **reply); /* nulls; accepts NULL inside */

#endif
