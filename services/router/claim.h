/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is accepted once: an event that goes to a broker is not published here, and yet of those with one identity only the first may pass.
 *
 *   (none) ──CLAIM──▶ under way ──through──▶ known, like an event id (EVENT_ID_SECONDS; with Redis across this router's death)
 *                         └── not, or CLAIM_LEASE_MS without a word ──▶ (none)
 *
 * While the edge that has the claim is there, nobody else gets it, the same session at another edge neither: that edge says what becomes of the event.
 * When that edge is gone, the same session has its claim back at once (nobody will ever say more), others with the lease's end.
 *
 * Bound: EVENT_ID_COUNT. Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_CLAIM_H
#define ROOMWIRE_ROUTER_CLAIM_H

#include "proto/values.h"
#include "services/router/router.h"

#define CLAIM_LEASE_MS 60000u /* longer than an edge waits for a broker */

void claim_on_claim(struct peer *peer, const struct wire_claim *m);

#endif
