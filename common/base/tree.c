/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/tree.h"

#include <stdint.h>

/* splitmix64's finish: addresses are multiples of 16, weights are not. */
static uint64_t weight(const struct tree_node *node)
{
	uint64_t x = (uint64_t)(uintptr_t)node;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static bool stands_before(const struct tree_node *a, const struct tree_node *b,
			  tree_compare_fn compare)
{
	int order = compare(a, b);

	return order ? order < 0 : (uintptr_t)a < (uintptr_t)b;
}

void tree_add(struct tree *t, struct tree_node *node, tree_compare_fn compare)
{
	struct tree_node **at = &t->root, **left = &node->left, **right = &node->right, *rest;
	uint64_t own = weight(node);

	while (*at && weight(*at) >= own)
		at = stands_before(node, *at, compare) ? &(*at)->left : &(*at)->right;
	rest = *at;
	*at = node;
	while (rest) { /* what was there stands on one side of it or the other */
		if (stands_before(rest, node, compare)) {
			*left = rest;
			left = &rest->right;
			rest = rest->right;
		} else {
			*right = rest;
			right = &rest->left;
			rest = rest->left;
		}
	}
	*left = *right = NULL;
}

void tree_remove(struct tree *t, struct tree_node *node, tree_compare_fn compare)
{
	struct tree_node **at = &t->root, *left = node->left, *right = node->right;

	while (*at != node)
		at = stands_before(node, *at, compare) ? &(*at)->left : &(*at)->right;
	while (left && right) {
		if (weight(left) >= weight(right)) {
			*at = left;
			at = &left->right;
			left = left->right;
		} else {
			*at = right;
			at = &right->left;
			right = right->left;
		}
	}
	*at = left ? left : right;
	node->left = node->right = NULL;
}

struct tree_node *tree_seek(const struct tree *t, tree_before_fn before, const void *key)
{
	struct tree_node *found = NULL, *node = t->root;

	while (node) {
		if (before(node, key)) {
			node = node->right;
		} else {
			found = node;
			node = node->left;
		}
	}
	return found;
}

struct tree_node *tree_next(const struct tree *t, const struct tree_node *node,
			    tree_compare_fn compare)
{
	struct tree_node *found = NULL, *at = t->root;

	while (at) {
		if (stands_before(node, at, compare)) {
			found = at;
			at = at->left;
		} else {
			at = at->right;
		}
	}
	return found;
}

struct tree_node *tree_previous(const struct tree *t, const struct tree_node *node,
				tree_compare_fn compare)
{
	struct tree_node *found = NULL, *at = t->root;

	while (at) {
		if (stands_before(at, node, compare)) {
			found = at;
			at = at->right;
		} else {
			at = at->left;
		}
	}
	return found;
}
