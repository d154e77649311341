/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What routers send: a room's next message is encoded once and queued for every local member. Doubles (the same event by a router that was
 * started anew) are recognised by their uid. Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_DELIVER_H
#define ROOMWIRE_EDGE_DELIVER_H

#include "services/edge/edge.h"

void deliver_on_message(void *ctx, struct bus_link *link, const struct bus_message *m);
/* Place of the last message handled on this link; 0: none. */
uint64_t deliver_place(struct bus_link *link);
void deliver_set_place(struct bus_link *link, uint64_t place);

#endif
