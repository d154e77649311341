/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_redis_queue.h"

#include "common/base/mem.h"

#define FIRST_CAP 64u /* cap is a power of two, or 0 */

void redis_queue_init(struct redis_queue *q)
{
	*q = (struct redis_queue){ .first = 1 };
}

void redis_queue_fini(struct redis_queue *q)
{
	mem_free(q->items);
	redis_queue_init(q);
}

int redis_queue_reserve(struct redis_queue *q)
{
	size_t cap = q->cap ? q->cap * 2 : FIRST_CAP;
	struct redis_pending *items;

	if (q->count < q->cap)
		return 0;
	items = mem_try(cap * sizeof(*items));
	if (!items)
		return E_NOMEM;
	for (size_t i = 0; i < q->count; i++)
		items[i] = q->items[(q->head + i) & (q->cap - 1)];
	mem_free(q->items);
	q->items = items;
	q->cap = cap;
	q->head = 0;
	return 0;
}

void redis_queue_push(struct redis_queue *q, const struct redis_pending *p)
{
	BUG_ON(q->count == q->cap);
	q->items[(q->head + q->count++) & (q->cap - 1)] = *p;
	q->bytes += p->bytes;
}

bool redis_queue_pop(struct redis_queue *q, struct redis_pending *p)
{
	if (!q->count)
		return false;
	*p = q->items[q->head];
	q->head = (q->head + 1) & (q->cap - 1);
	q->count--;
	q->first++;
	q->bytes -= p->bytes;
	return true;
}

const struct redis_pending *redis_queue_first(const struct redis_queue *q)
{
	return q->count ? &q->items[q->head] : NULL;
}
