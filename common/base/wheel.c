/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Level 0 holds what is due in the next 64 granules, level 1 the next 64 x 64, and so on. When time enters a new block of
 * a higher level, that block's slot is filed anew into the levels below. Expired timers are first collected and then
 * fired, with the wheel already at its new time: callbacks may arm, cancel and free as they like.
 *
 * (Varghese, Lauck: Hashed and hierarchical timing wheels, 1987.)
 */
#include "common/base/wheel.h"

#define LEVEL_BITS 6
#define SLOT_MASK (WHEEL_SLOTS - 1)
#define SPAN_GRANULES ((uint64_t)1 << (LEVEL_BITS * WHEEL_LEVELS))

_Static_assert(WHEEL_SLOTS == 1 << LEVEL_BITS, "a level is LEVEL_BITS of the granule number");

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	w->now_granule = now_ms / WHEEL_GRANULE_MS;
	w->count = 0;
	for (int level = 0; level < WHEEL_LEVELS; level++) {
		for (int slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
	}
}

void wheel_timer_init(struct wheel_timer *t, wheel_timer_fn fn)
{
	list_init(&t->node);
	t->due_ms = 0;
	t->fn = fn;
}

/* Rounded up: never early. */
static uint64_t due_granule(const struct wheel_timer *t)
{
	return t->due_ms / WHEEL_GRANULE_MS + (t->due_ms % WHEEL_GRANULE_MS != 0);
}

/* What is due already waits in the current slot of level 0, which the next wheel_advance empties first. */
static void file_timer(struct wheel *w, struct wheel_timer *t)
{
	uint64_t due = due_granule(t);
	unsigned level = 0;

	if (due < w->now_granule)
		due = w->now_granule;
	if (due - w->now_granule >= SPAN_GRANULES)
		due = w->now_granule + SPAN_GRANULES - 1;
	while ((due - w->now_granule) >> (LEVEL_BITS * (level + 1)))
		level++;
	list_append(&w->slots[level][(due >> (LEVEL_BITS * level)) & SLOT_MASK], &t->node);
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms)
{
	wheel_cancel(w, t);
	t->due_ms = due_ms ? due_ms : 1;
	file_timer(w, t);
	w->count++;
}

void wheel_cancel(struct wheel *w, struct wheel_timer *t)
{
	if (!wheel_armed(t))
		return;
	list_remove(&t->node);
	t->due_ms = 0;
	w->count--;
}

/* Move all of `from` to the end of `to`. */
static void splice(struct list *from, struct list *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

static void refile_block(struct wheel *w, unsigned level)
{
	struct list block;
	struct list *node;

	list_init(&block);
	splice(&w->slots[level][(w->now_granule >> (LEVEL_BITS * level)) & SLOT_MASK], &block);
	while ((node = list_pop(&block)))
		file_timer(w, CONTAINER_OF(node, struct wheel_timer, node));
}

static void step(struct wheel *w, struct list *expired)
{
	w->now_granule++;
	for (unsigned level = 1; level < WHEEL_LEVELS; level++) {
		if (w->now_granule & (((uint64_t)1 << (LEVEL_BITS * level)) - 1))
			break;
		refile_block(w, level);
	}
	splice(&w->slots[0][w->now_granule & SLOT_MASK], expired);
}

void wheel_advance(struct wheel *w, uint64_t now_ms)
{
	uint64_t target = now_ms / WHEEL_GRANULE_MS;
	struct list expired;
	struct list *node;

	list_init(&expired);
	splice(&w->slots[0][w->now_granule & SLOT_MASK], &expired);
	if (w->count == 0 && target > w->now_granule)
		w->now_granule = target;
	while (w->now_granule < target)
		step(w, &expired);
	while ((node = list_pop(&expired))) {
		struct wheel_timer *t = CONTAINER_OF(node, struct wheel_timer, node);

		t->due_ms = 0;
		w->count--;
		t->fn(t);
	}
}

/* Granules until the first occupied slot of a level begins; UINT64_MAX when all are empty. */
static uint64_t level_next(const struct wheel *w, unsigned level)
{
	uint64_t block = w->now_granule >> (LEVEL_BITS * level);

	for (uint64_t i = level == 0 ? 0 : 1; i <= WHEEL_SLOTS; i++) {
		if (!list_empty(&w->slots[level][(block + i) & SLOT_MASK]))
			return ((block + i) << (LEVEL_BITS * level)) - w->now_granule;
	}
	return UINT64_MAX;
}

int64_t wheel_next_ms(const struct wheel *w, uint64_t now_ms)
{
	uint64_t granules = UINT64_MAX;
	uint64_t at_ms;

	if (w->count == 0)
		return -1;
	for (unsigned level = 0; level < WHEEL_LEVELS && granules > 0; level++) {
		uint64_t next = level_next(w, level);

		if (next < granules)
			granules = next;
	}
	at_ms = (w->now_granule + granules) * WHEEL_GRANULE_MS;
	return granules == 0 || at_ms <= now_ms ? 0 : (int64_t)(at_ms - now_ms);
}
