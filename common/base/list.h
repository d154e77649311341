/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list, circular through its head. A node is on one list or on none (then it points to itself).
 *
 *     struct list waiting; list_init(&waiting);
 *     list_append(&waiting, &conn->node);
 *     LIST_EACH(&waiting, node, next) { struct conn *c = CONTAINER_OF(node, struct conn, node); ... }  // c may be removed
 */
#ifndef ROOMWIRE_BASE_LIST_H
#define ROOMWIRE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define LIST_EACH(head, node, after) \
	for (struct list *node = (head)->next, *after = node->next; node != (head); \
	     node = after, after = node->next)

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

/* Of a head: nothing in it; of a node: on no list. */
static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_after(struct list *at, struct list *node)
{
	node->prev = at;
	node->next = at->next;
	at->next->prev = node;
	at->next = node;
}

static inline void list_append(struct list *head, struct list *node)
{
	list_insert_after(head->prev, node);
}

static inline void list_prepend(struct list *head, struct list *node)
{
	list_insert_after(head, node);
}

static inline void list_remove(struct list *node) /* harmless on a node that is on no list */
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

static inline struct list *list_first(struct list *head) /* NULL when empty */
{
	return head->next == head ? NULL : head->next;
}

static inline struct list *list_pop(struct list *head) /* NULL when empty */
{
	struct list *node = list_first(head);

	if (node)
		list_remove(node);
	return node;
}

#endif
