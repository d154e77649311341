/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/tree.h"

#include "common/base/base_test.h"
#include "common/base/list.h"

#define THINGS 400
#define STEPS 20000

struct thing {
	struct tree_node node;
	unsigned key;
	bool in;
};

static struct thing things[THINGS];
static struct tree tree;

static unsigned key_of(const struct tree_node *node)
{
	return CONTAINER_OF(node, const struct thing, node)->key;
}

static int by_key(const struct tree_node *a, const struct tree_node *b)
{
	return key_of(a) < key_of(b) ? -1 : key_of(a) > key_of(b);
}

static bool is_before(const struct tree_node *node, const void *key)
{
	return key_of(node) < *(const unsigned *)key;
}

static unsigned random_below(unsigned *seed, unsigned most)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % most;
}

/* In order, all that are in it, and the same backwards. */
static void check(unsigned from)
{
	unsigned want = 0, got = 0, last = 0;
	struct tree_node *n, *newest = NULL;

	for (size_t i = 0; i < THINGS; i++)
		want += things[i].in && things[i].key >= from;
	for (n = tree_seek(&tree, is_before, &from); n; n = tree_next(&tree, n, by_key)) {
		assert_true(key_of(n) >= last && key_of(n) >= from);
		assert_true(CONTAINER_OF(n, struct thing, node)->in);
		last = key_of(n);
		newest = n;
		got++;
	}
	assert_int_equal(got, want);
	for (n = newest; n && key_of(n) >= from; n = tree_previous(&tree, n, by_key))
		got--;
	assert_int_equal(got, 0);
}

static void test_tree_is_a_sorted_set_whatever_comes_and_goes(void **state)
{
	unsigned seed = 7;

	(void)state;
	for (size_t step = 0; step < STEPS; step++) {
		struct thing *t = &things[random_below(&seed, THINGS)];

		if (t->in) {
			tree_remove(&tree, &t->node, by_key);
		} else {
			t->key = random_below(&seed, THINGS / 2); /* some are equal */
			tree_add(&tree, &t->node, by_key);
		}
		t->in = !t->in;
		if (step % 97 == 0)
			check(random_below(&seed, THINGS / 2));
	}
	for (size_t i = 0; i < THINGS; i++)
		if (things[i].in)
			tree_remove(&tree, &things[i].node, by_key);
	assert_null(tree.root);
}

static unsigned depth_of(const struct tree_node *node)
{
	unsigned left, right;

	if (!node)
		return 0;
	left = depth_of(node->left);
	right = depth_of(node->right);
	return 1 + (left > right ? left : right);
}

static void test_tree_stays_shallow_when_keys_come_in_order(void **state)
{
	(void)state;
	for (unsigned i = 0; i < THINGS; i++) {
		things[i] = (struct thing){ .key = i, .in = true };
		tree_add(&tree, &things[i].node, by_key);
	}
	check(0);
	assert_true(depth_of(tree.root) < 40);
	for (size_t i = 0; i < THINGS; i++)
		tree_remove(&tree, &things[i].node, by_key);
	assert_null(tree_seek(&tree, is_before, &(unsigned){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree_is_a_sorted_set_whatever_comes_and_goes),
		cmocka_unit_test(test_tree_stays_shallow_when_keys_come_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
