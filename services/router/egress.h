/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of accepted events for one ingest, the watcher, that passes them on to servers that are not of Roomwire: over Redis (services/ingest/redis_out.c).
 *
 *   ingest ──WATCH──▶ the watcher, until another one asks
 *   publish.c ─▶ egress_copy ─▶ WATCHED ─▶ watcher ──acked──▶ forgotten
 *
 * In the order of acceptance, so that each room keeps its order. Not copied: what came from there; what another router copies (the one that owns the first
 * of an event's rooms does). At most once: without a watcher, with one that is gone, or past the bounds (EGRESS_COUNT, EGRESS_BYTES of what the
 * watcher has not acknowledged) events are not kept but counted. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_EGRESS_H
#define ROOMWIRE_ROUTER_EGRESS_H

#include "proto/values.h"
#include "services/router/router.h"

#define EGRESS_COUNT 16384u /* a power of two */
#define EGRESS_BYTES (64u << 20)

struct egress;
struct message;

struct egress *egress_new(void);
void egress_free(struct egress **egress); /* nulls; accepts NULL inside */
void egress_on_watch(struct peer *peer, const struct wire_watch *m);
/* It was forgotten, or is a new process. */
void egress_forget_peer(struct peer *peer);
/* The watcher's link has acknowledged this number. */
void egress_on_acked(struct peer *peer, uint64_t number);
/* p was accepted, and is msg. */
void egress_copy(struct router *router, const struct wire_publish *p, struct message *msg);

#endif
