/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive ordered set (a treap): what is to be read in order and from the middle, page by page. Two pointers a node, nothing is allocated; a node's
 * weight is a hash of its address. Adding, removing, finding, next: O(log n) expected. Nodes that compare equal stand in the order of their addresses.
 *
 *     static int by_name(const struct tree_node *a, const struct tree_node *b);
 *     tree_add(&t, &thing->node, by_name);
 *     for (n = tree_seek(&t, before, &key); n; n = tree_next(&t, n, by_name)) ...
 *
 * Thread: one. While a tree is walked it may change; a node that was removed has no next.
 */
#ifndef ROOMWIRE_BASE_TREE_H
#define ROOMWIRE_BASE_TREE_H

#include <stdbool.h>
#include <stddef.h>

struct tree_node {
	struct tree_node *left, *right;
};

struct tree {
	struct tree_node *root; /* NULL: empty. Zeroed memory is an empty tree */
};

/* < 0, 0, > 0: a stands before b, where b does, or behind it. */
typedef int (*tree_compare_fn)(const struct tree_node *a, const struct tree_node *b);
/* Whether the node stands before what is looked for. */
typedef bool (*tree_before_fn)(const struct tree_node *node, const void *key);

void tree_add(struct tree *t, struct tree_node *node, tree_compare_fn compare);
void tree_remove(struct tree *t, struct tree_node *node, tree_compare_fn compare); /* is in it */
/* The first node that does not stand before the key; NULL: all do. */
struct tree_node *tree_seek(const struct tree *t, tree_before_fn before, const void *key);
/* The neighbours of a node that is in the tree; NULL at the end. */
struct tree_node *tree_next(const struct tree *t, const struct tree_node *node,
			    tree_compare_fn compare);
struct tree_node *tree_previous(const struct tree *t, const struct tree_node *node,
				tree_compare_fn compare);

#endif
