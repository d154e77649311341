/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of one direction of a link that the other side has not acknowledged, by number. Sans-I/O. Thread: one.
 */
#ifndef ROOMWIRE_BUS_BUS_RING_H
#define ROOMWIRE_BUS_BUS_RING_H

#include "common/base/buf.h"

struct bus_ring_item {
	struct blob *body;
	uint32_t payload_count;
	union {
		struct blob *one;   /* payload_count 1 */
		struct blob **many; /* more; OWNED */
	} payload;
};

struct bus_ring {
	struct bus_ring_item *items; /* OWNED */
	uint32_t cap, head, count;
	uint64_t first; /* number of the oldest item; numbers begin at 1 */
	uint64_t bytes;
};

void bus_ring_init(struct bus_ring *r);
void bus_ring_reset(struct bus_ring *r); /* empty, numbers begin at 1 again; the memory goes, too */
/* Append (referenced, not TAKEN). *number is its number. E_NOMEM. */
int bus_ring_push(struct bus_ring *r, struct blob *body, struct blob *const *payload,
		  uint32_t payload_count, uint64_t *number) MUST_CHECK;
/* The item with this number, or NULL when it is not (or no longer) there. */
const struct bus_ring_item *bus_ring_get(const struct bus_ring *r, uint64_t number);
static inline struct blob *const *bus_ring_payload(const struct bus_ring_item *item)
{
	return item->payload_count == 1 ? &item->payload.one : item->payload.many;
}
void bus_ring_drop(struct bus_ring *r, uint64_t upto); /* everything up to this number */
static inline uint64_t bus_ring_newest(
	const struct bus_ring *r) /* the number given last; 0: none */
{
	return r->first + r->count - 1;
}

#endif
