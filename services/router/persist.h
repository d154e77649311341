/* SPDX-License-Identifier: Apache-2.0 */
/*
 * History and sessions in Redis, where it is set: what this router has said it has survives it and every edge together.
 *
 *   PREFIX:INSTANCE:history    stream: each message of the recovery window, the DELIVER's body and its payload frames
 *   PREFIX:INSTANCE:ids        stream: the id of each event of the last EVENT_ID_SECONDS, EVENT_ID_COUNT at most
 *   PREFIX:INSTANCE:sessions   hash by private id: the SESSION as an edge told it
 *   PREFIX:INSTANCE:from       place from which on the stream has every message
 *   PREFIX:INSTANCE:life       hash: the users that were told to be online, the rooms that were told to be occupied (life.h)
 *
 * At a start they are read before the router settles, together with what edges give back. An event is answered when Redis has it, too; while Redis is
 * down nobody waits for it: /readyz tells, and from where on the stream is whole again is noted when it is back.
 * Bounds: those of common/adapt/adapt_redis.h; the stream by its age. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_PERSIST_H
#define ROOMWIRE_ROUTER_PERSIST_H

#include "services/router/router.h"

struct message;
struct persist;
struct session;

int persist_open(struct router *router) MUST_CHECK; /* 0 also where Redis is not set */
void persist_close(struct router *router);
/* Still reading what the life before this one has left; false when it cannot be had now. */
bool persist_loading(const struct router *router);
/* What was read vouches for everything behind this place; 0: nothing was read. */
uint64_t persist_floor(const struct router *router);
bool persist_ready(const struct router *router, char reason[SVC_REASON_BYTES]);

/* pending is released when Redis has it (once more to wait for), or cannot be asked. */
void persist_message(struct router *router, const struct message *message, struct pending *pending);
/* An id that is known from now on; nobody waits for it. */
void persist_id(struct router *router, uint64_t high, uint64_t low);
/* What was told of this subject (life.h): here, or nothing any more. */
void persist_life(struct router *router, struct str subject, bool here);
/* The session as it is now. peer, ref: to be told SAVED when Redis has it; ref 0: nobody. False: it is not kept there, tell at once. */
bool persist_session(struct session *session, struct peer *peer, uint64_t ref);
void persist_session_gone(struct session *session);
void persist_forget_peer(struct peer *peer); /* it waits for nothing any more */

#endif
