/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers by the hundred thousand: a hierarchical timing wheel (4 levels of 64 slots, 10 ms granularity, 46 hours),
 * O(1) to arm, cancel and expire; one libuv timer drives it (svc arms it for the next occupied slot).
 * Sans-I/O: it knows the time only by wheel_advance. Never fires early; late by at most one granule plus the loop turn.
 */
#ifndef ROOMWIRE_BASE_WHEEL_H
#define ROOMWIRE_BASE_WHEEL_H

#include <stdint.h>

#include "common/base/list.h"

#define WHEEL_GRANULE_MS 10
#define WHEEL_LEVELS 4
#define WHEEL_SLOTS 64

struct wheel_timer;
/* Disarmed when called; may arm itself again or be freed. */
typedef void (*wheel_timer_fn)(struct wheel_timer *timer);

struct wheel_timer {
	struct list node;
	uint64_t due_ms; /* monotonic; 0 while disarmed */
	wheel_timer_fn fn;
};

struct wheel {
	uint64_t now_granule;
	uint64_t count; /* armed timers */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);
void wheel_timer_init(struct wheel_timer *t, wheel_timer_fn fn);
/* Arm, or move when armed. due_ms in the past fires at the next advance; past 46 h it is re-filed until due. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms);
void wheel_cancel(struct wheel *w, struct wheel_timer *t); /* harmless when disarmed */
static inline int wheel_armed(const struct wheel_timer *t)
{
	return t->due_ms != 0;
}
/* Fire everything due at now_ms. Timers armed by callbacks for now or the past fire in the next call. */
void wheel_advance(struct wheel *w, uint64_t now_ms);
/* Milliseconds (>= 0) from now_ms until wheel_advance should be called, or -1 when nothing is armed. May be early, never late. */
int64_t wheel_next_ms(const struct wheel *w, uint64_t now_ms);

#endif
