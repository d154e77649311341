/* SPDX-License-Identifier: Apache-2.0 */
/* Claims, as a whole router answers them. */
#include "services/router/claim.h"

#include "services/router/router_test.h"

#define OWNER 0x1111111111111111ull
#define OTHER 0x2222222222222222ull

static struct fixture f;

static enum claim_state claim(struct node *n, uint64_t identity, uint64_t owner,
			      enum claim_stage stage)
{
	static uint64_t ref;
	struct wire_claim m = {
		.uid_high = 1, .uid_low = identity, .owner = owner, .stage = stage
	};
	const struct wire_claimed *answer;

	m.ref = ++ref;
	node_say(n, WIRE_CLAIM, &m);
	answer = &script_wait(&n->script, WIRE_CLAIMED)->any.claimed;
	assert_int_equal(answer->ref, ref);
	return (enum claim_state)answer->state;
}

static void test_claim_is_given_once_and_remembered_when_through(void **state)
{
	(void)state;
	fixture_open(&f);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_YES);
	assert_int_equal(claim(&f.edge[1], 7, OTHER, CLAIM_ASK), CLAIM_UNDER_WAY);
	assert_int_equal(claim(&f.edge[1], 8, 3, CLAIM_ASK), CLAIM_YES);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_YES); /* asked again */
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_THROUGH), CLAIM_YES);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_KNOWN);
	assert_int_equal(claim(&f.edge[1], 7, OTHER, CLAIM_ASK), CLAIM_KNOWN);
	fixture_close(&f);
}

static void test_claim_that_came_to_nothing_is_free_again(void **state)
{
	(void)state;
	fixture_open(&f);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_YES);
	assert_int_equal(claim(&f.edge[1], 7, OTHER, CLAIM_NOT), CLAIM_YES); /* not its own */
	assert_int_equal(claim(&f.edge[1], 7, OTHER, CLAIM_ASK), CLAIM_UNDER_WAY);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_NOT), CLAIM_YES);
	assert_int_equal(claim(&f.edge[1], 7, OTHER, CLAIM_ASK), CLAIM_YES);
	fixture_close(&f);
}

/* The same session, at another edge: the one that has the claim says what becomes of it, as long as it is there. */
static void test_claim_passes_to_the_owner_elsewhere_when_its_edge_is_gone(void **state)
{
	(void)state;
	fixture_open(&f);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_YES);
	assert_int_equal(claim(&f.edge[1], 7, OWNER, CLAIM_ASK), CLAIM_UNDER_WAY);
	assert_int_equal(claim(&f.edge[1], 7, OWNER, CLAIM_NOT), CLAIM_YES); /* not its own */
	assert_int_equal(claim(&f.edge[1], 7, OWNER, CLAIM_ASK), CLAIM_UNDER_WAY);
	edge_reborn(&f, 0, 9);
	assert_int_equal(claim(&f.edge[1], 7, OTHER, CLAIM_ASK), CLAIM_UNDER_WAY);
	assert_int_equal(claim(&f.edge[1], 7, OWNER, CLAIM_ASK), CLAIM_YES);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_UNDER_WAY);
	assert_int_equal(claim(&f.edge[1], 7, OWNER, CLAIM_NOT), CLAIM_YES);
	assert_int_equal(claim(&f.edge[0], 7, OTHER, CLAIM_ASK), CLAIM_YES);
	fixture_close(&f);
}

/* The event itself bears the same identity when it comes back from the broker. */
static void test_claim_does_not_hide_the_event(void **state)
{
	(void)state;
	fixture_open(&f);
	subscribe(&f.edge[0], "/,a");
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_ASK), CLAIM_YES);
	assert_int_equal(claim(&f.edge[0], 7, OWNER, CLAIM_THROUGH), CLAIM_YES);
	publish(&f.ingest, (struct publish){ .ref = 1, .uid = 7, .rooms = { "a" } });
	expect_deliver(&f.edge[0], 7);
	node_ack(&f.edge[0]);
	expect_published(&f.ingest, 1, false);
	fixture_close(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claim_is_given_once_and_remembered_when_through),
		cmocka_unit_test(test_claim_that_came_to_nothing_is_free_again),
		cmocka_unit_test(test_claim_passes_to_the_owner_elsewhere_when_its_edge_is_gone),
		cmocka_unit_test(test_claim_does_not_hide_the_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
