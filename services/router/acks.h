/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcasts that clients are asked to acknowledge: edges say how many they asked, the publisher is told the sum; answers are passed on to it.
 *
 *   PUBLISH.ack ─▶ DELIVER.ack, a number of ours ─▶ each edge: ASKED ─ all have said so ─▶ ASKED to the publisher
 *                                                  each client: ACK ───────────────────▶ ACK to the publisher
 *
 * Where an edge could not be sent it, or is gone before it has said ASKED, the publisher is told nothing, and its time runs out: never a sum that is too
 * small. All of it is soft state: lost with the router. Bounds: ACKS_MAX broadcasts, each for PUBLISH.ack_ms. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_ACKS_H
#define ROOMWIRE_ROUTER_ACKS_H

#include "services/router/router.h"

#define ACKS_MAX 10000u

struct acks;

/* number: of its DELIVER. NULL: too many are under way, or no memory; it goes out all the same, and what is answered to it is not taken. */
struct acks *acks_begin(struct peer *publisher, const struct wire_publish *p, uint64_t number);
/* One edge more was sent it; or (ok false) was not. acks may be NULL. */
void acks_sent_to(struct acks *acks, bool ok);
/* It was sent everywhere; acks may be NULL, and may be gone after this. */
void acks_sent(struct acks *acks);

void acks_on_asked(struct peer *peer, const struct wire_asked *m);
void acks_on_ack(struct peer *peer, const struct bus_message *m);
/* A publisher is gone. */
void acks_forget_peer(struct peer *peer);
struct str acks_key_of(const void *acks); /* for the map: its number */

#endif
