/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What routers send: a room's next message is encoded once and queued for every local member. Each message that a client can come back to
 * carries, as one more argument, where the edge stood in every shard (shard_offset). Doubles (the same event by a router that was
 * started anew) are recognised by their uid. A socket in several of an event's rooms gets it with the first of them in the event's order, from
 * that room's router. Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_DELIVER_H
#define ROOMWIRE_EDGE_DELIVER_H

#include "services/edge/shard.h"

struct frame;
struct sock;

void deliver_on_message(void *ctx, struct bus_link *link, const struct bus_message *m);
/* A message of the shard's history for one socket that is being recovered. m: the DELIVER as it was. */
void deliver_repeat(struct shard *shard, struct sock *sock, const struct bus_message *m);
/* Whether a kept message is for the socket, by the rooms it is in now. m: the item, read. */
bool deliver_is_for(struct sock *sock, const struct tail_item *item, const struct bus_message *m);
/* As if it came now: for fill.c. */
void deliver_now(struct shard *shard, const struct bus_message *m);

#endif
