/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/claim.h"

#include "common/base/clock.h"
#include "common/metrics/metrics.h"
#include "services/router/persist.h"

/* The identity is the returning event's, too: as a claim it is another one. */
#define CLAIM_SALT 0x636c61696dull

static void answer(struct peer *peer, uint64_t ref, enum claim_state state)
{
	struct wire_claimed m = { .ref = ref, .state = state };

	peer_say(peer, WIRE_CLAIMED, &m);
}

static enum claim_state ask(struct router *router, const struct wire_claim *m, uint64_t high)
{
	uint64_t note = m->owner;
	int err;

	if (idset_find(&router->ids, high, m->uid_low, clock_ms(), NULL))
		return CLAIM_KNOWN;
	err = idset_add(&router->claims, high, m->uid_low, clock_ms(), &note);
	if (err == E_NOMEM)
		return CLAIM_LATER;
	return err == E_EXISTS && note != m->owner ? CLAIM_UNDER_WAY : CLAIM_YES;
}

static enum claim_state remember(struct router *router, const struct wire_claim *m, uint64_t high)
{
	int err = idset_add(&router->ids, high, m->uid_low, clock_ms(), NULL);

	if (err == E_NOMEM)
		return CLAIM_LATER;
	metrics_set(METRIC_EVENT_IDS, idset_count(&router->ids));
	idset_forget(&router->claims, high, m->uid_low);
	if (err == 0)
		persist_id(router, high, m->uid_low);
	return CLAIM_YES;
}

void claim_on_claim(struct peer *peer, const struct wire_claim *m)
{
	struct router *router = peer->router;
	uint64_t high = m->uid_high ^ CLAIM_SALT;
	enum claim_state state = CLAIM_YES;
	uint64_t owner;

	if (m->stage == CLAIM_ASK)
		state = ask(router, m, high);
	else if (m->stage == CLAIM_THROUGH)
		state = remember(router, m, high);
	else if (idset_find(&router->claims, high, m->uid_low, clock_ms(), &owner) &&
		 owner == m->owner)
		idset_forget(&router->claims, high, m->uid_low);
	answer(peer, m->ref, state);
}
