/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/window.h"

void window_init(struct window *w)
{
	*w = (struct window){ .last = -1 };
	list_init(&w->entries);
}

bool window_add(struct window *w, struct window_entry *e, int64_t offset)
{
	if (offset <= w->last)
		return false;
	e->offset = w->last = offset;
	e->settled = false;
	list_append(&w->entries, &e->node);
	w->count++;
	w->unsettled++;
	return true;
}

void window_settle(struct window *w, struct window_entry *e)
{
	if (e->settled)
		return;
	e->settled = true;
	w->unsettled--;
}

struct window_entry *window_pop(struct window *w)
{
	struct list *node = list_first(&w->entries);
	struct window_entry *e;

	if (!node)
		return NULL;
	e = CONTAINER_OF(node, struct window_entry, node);
	if (!e->settled)
		return NULL;
	list_remove(node);
	w->count--;
	return e;
}
