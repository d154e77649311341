/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Monotonic milliseconds for deadlines, cached once per loop turn; wall-clock milliseconds for what people and tokens
 * see. Tests set both by hand (clock_fake). Thread: any for *_exact, loop thread for the cached one.
 */
#ifndef ROOMWIRE_BASE_CLOCK_H
#define ROOMWIRE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_ms(void); /* monotonic, cached by clock_tick; never 0 */
void clock_tick(void);   /* refresh the cache */
/* The next clock_ms refreshes it: svc does this before and after the loop sleeps. */
void clock_expire(void);
uint64_t clock_exact_ns(void); /* monotonic, exact */
uint64_t clock_wall_ms(void);  /* milliseconds since 1970 UTC */
uint64_t clock_wall_us(void);  /* microseconds since 1970 UTC, exact */
/* Tests: from now on these; 0,0 returns to the real clocks. */
void clock_fake(uint64_t mono_ms, uint64_t wall_ms);

#define CLOCK_ISO_BYTES 25
/* "2026-01-31T23:59:59.123Z" (ISO 8601, UTC, milliseconds), terminated. */
void clock_iso(uint64_t wall_ms, char out[CLOCK_ISO_BYTES]);

#endif
