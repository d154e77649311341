/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_ring.h"

#include "common/base/mem.h"

#define FIRST_CAP 64u

void bus_ring_init(struct bus_ring *r)
{
	memset(r, 0, sizeof(*r));
	r->first = 1;
}

static uint64_t bytes_of(const struct bus_ring_item *item)
{
	uint64_t n = item->body->n;

	for (uint32_t i = 0; i < item->payload_count; i++)
		n += bus_ring_payload(item)[i]->n;
	return n;
}

static void drop_oldest(struct bus_ring *r)
{
	struct bus_ring_item *item = &r->items[r->head];

	r->bytes -= bytes_of(item);
	blob_unref(&item->body);
	if (item->payload_count == 1)
		blob_unref(&item->payload.one);
	for (uint32_t i = 0; item->payload_count > 1 && i < item->payload_count; i++)
		blob_unref(&item->payload.many[i]);
	if (item->payload_count > 1)
		mem_free(item->payload.many);
	r->head = (r->head + 1) & (r->cap - 1);
	r->count--;
	r->first++;
}

void bus_ring_reset(struct bus_ring *r)
{
	while (r->count > 0)
		drop_oldest(r);
	mem_free(r->items);
	bus_ring_init(r);
}

static int grow(struct bus_ring *r)
{
	uint32_t cap = r->cap ? r->cap * 2 : FIRST_CAP;
	struct bus_ring_item *items = mem_try(cap * sizeof(*items));

	if (!items)
		return E_NOMEM;
	for (uint32_t i = 0; i < r->count; i++)
		items[i] = r->items[(r->head + i) & (r->cap - 1)];
	mem_free(r->items);
	r->items = items;
	r->cap = cap;
	r->head = 0;
	return 0;
}

int bus_ring_push(struct bus_ring *r, struct blob *body, struct blob *const *payload,
		  uint32_t payload_count, uint64_t *number)
{
	struct bus_ring_item *item;
	struct blob **many = NULL;

	if (r->count == r->cap && grow(r))
		return E_NOMEM;
	if (payload_count > 1 && !(many = mem_try(payload_count * sizeof(struct blob *))))
		return E_NOMEM;
	item = &r->items[(r->head + r->count) & (r->cap - 1)];
	item->body = blob_ref(body);
	item->payload_count = payload_count;
	if (payload_count == 1)
		item->payload.one = blob_ref(payload[0]);
	else
		item->payload.many = many;
	for (uint32_t i = 0; many && i < payload_count; i++)
		many[i] = blob_ref(payload[i]);
	r->bytes += bytes_of(item);
	r->count++;
	*number = bus_ring_newest(r);
	return 0;
}

const struct bus_ring_item *bus_ring_get(const struct bus_ring *r, uint64_t number)
{
	if (number < r->first || number >= r->first + r->count)
		return NULL;
	return &r->items[(r->head + (uint32_t)(number - r->first)) & (r->cap - 1)];
}

void bus_ring_drop(struct bus_ring *r, uint64_t upto)
{
	while (r->count > 0 && r->first <= upto)
		drop_oldest(r);
}
