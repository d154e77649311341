/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions whose edge is gone: parked here, with their rooms held, and with what their rooms were sent before (asked for from the routers), so that
 * they survive their router. Best effort: what cannot be had is no worse than before.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_FOSTER_H
#define ROOMWIRE_EDGE_FOSTER_H

#include "services/edge/shard.h"

struct str foster_key_of(const void *backfill); /* for the map */
void foster_on_session(struct shard *shard, const struct wire_session_foster *m);
/* Of a room's history; false: nothing of ours. */
bool foster_on_repeat(struct shard *shard, const struct bus_message *m);
bool foster_on_repeated(struct edge *edge, const struct wire_repeated *m);
void foster_free_all(struct edge *edge);

#endif
