/* SPDX-License-Identifier: Apache-2.0 */
/* A router says that a user has come to a room, or is gone from it (ROOM_USER): the namespace's `presence` actions. Thread: loop thread. */
#ifndef ROOMWIRE_EDGE_PRESENCE_H
#define ROOMWIRE_EDGE_PRESENCE_H

#include "services/edge/edge.h"

void presence_on_room_user(struct edge *edge, const struct wire_room_user *m);

#endif
