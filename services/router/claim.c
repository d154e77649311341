/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/claim.h"

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/metrics/metrics.h"
#include "services/router/persist.h"

#define HOLDER_MASK \
	0xffffffull /* bits of the note that are the edge's, the others are the owner's */

/* The identity is the returning event's, too: as a claim it is another one. */
#define CLAIM_SALT 0x636c61696dull

static void answer(struct peer *peer, uint64_t ref, enum claim_state state)
{
	struct wire_claimed m = { .ref = ref, .state = state };

	peer_say(peer, WIRE_CLAIMED, &m);
}

/* One life of an edge. */
static uint64_t holder_of(const struct peer *peer)
{
	return (hash_stable64(str_of(bus_link_peer(peer->link))) ^
		bus_link_peer_epoch(peer->link) * 0x9e3779b97f4a7c15ull) >>
		       32 &
	       HOLDER_MASK;
}

static uint64_t note_of(const struct peer *peer, uint64_t owner)
{
	return (owner & ~HOLDER_MASK) | holder_of(peer);
}

static bool is_there(const struct router *router, uint64_t holder)
{
	LIST_EACH(&router->peers, node, next) {
		const struct peer *peer = CONTAINER_OF(node, struct peer, node);

		if (peer->edge && !bus_link_gone(peer->link) && holder_of(peer) == holder)
			return true;
	}
	return false;
}

/* Of the same owner, and the edge that had it will not say any more what became of it. */
static bool passes_on(const struct router *router, uint64_t had, uint64_t wants)
{
	return (had & ~HOLDER_MASK) == (wants & ~HOLDER_MASK) &&
	       !is_there(router, had & HOLDER_MASK);
}

static enum claim_state ask(struct peer *peer, const struct wire_claim *m, uint64_t high)
{
	struct router *router = peer->router;
	uint64_t own = note_of(peer, m->owner), note = own;
	int err;

	if (idset_find(&router->ids, high, m->uid_low, clock_ms(), NULL))
		return CLAIM_KNOWN;
	err = idset_add(&router->claims, high, m->uid_low, clock_ms(), &note);
	if (err == E_NOMEM)
		return CLAIM_LATER;
	if (err != E_EXISTS || note == own)
		return CLAIM_YES;
	if (!passes_on(router, note, own) || idset_note(&router->claims, high, m->uid_low, own))
		return CLAIM_UNDER_WAY;
	return CLAIM_YES;
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
		state = ask(peer, m, high);
	else if (m->stage == CLAIM_THROUGH)
		state = remember(router, m, high);
	else if (idset_find(&router->claims, high, m->uid_low, clock_ms(), &owner) &&
		 owner == note_of(peer, m->owner))
		idset_forget(&router->claims, high, m->uid_low);
	answer(peer, m->ref, state);
}
