/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is online and which rooms are occupied, from the routers to a broker (PRESENCE_STREAM):
 *
 *   router ──LIFE──▶ life_out_on_life ─▶ produce_record ──the broker has it──▶ LIFE_DONE ─▶ router
 *
 * user.online, user.offline, room.occupied, room.vacated. What the broker does not take now is tried again; a router whose link begins anew tells it
 * anew. Bound: what routers have under way (LIFE_WINDOW of services/router/life.h each). Thread: loop thread.
 */
#ifndef ROOMWIRE_INGEST_LIFE_OUT_H
#define ROOMWIRE_INGEST_LIFE_OUT_H

#include "services/ingest/ingest.h"

int life_out_open(struct ingest *ingest)
	MUST_CHECK; /* 0 also where PRESENCE_STREAM is unset; E_CONFIG */
void life_out_close(struct ingest *ingest);
/* A router knows nothing of us (any more). */
void life_out_on_fresh(struct ingest *ingest, struct bus_link *link);
/* The link is no more. */
void life_out_on_lost(struct ingest *ingest, struct bus_link *link);
void life_out_on_life(struct ingest *ingest, struct bus_link *link, const struct wire_life *m);
/* We end: routers give what comes to others. */
void life_out_drain(struct ingest *ingest);
void life_out_stop(struct ingest *ingest); /* before the brokers are closed */
size_t life_out_under_way(const struct ingest *ingest);

#endif
