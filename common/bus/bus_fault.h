/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults on purpose, for tests: messages that are lost, doubled, late or out of order, as a bad network and restarts would have them. What links
 * count must make good for all of it.
 *
 * Only builds with -DROOMWIRE_FAULTS (`make FAULTS=1`) apply it, to every frame that leaves a link (HELLO, WELCOME, PING included), where the
 * environment variable ROOMWIRE_FAULTS is set. Its syntax, items joined by commas, each at most once:
 *
 *     drop=RATE            the message never leaves
 *     double=RATE          it leaves twice
 *     delay=RATE:MIN-MAX   it leaves so many milliseconds later (whole numbers, 1 to 60000); others overtake it
 *     reorder=RATE         it leaves behind the next one to the same peer, or after 50 ms
 *     seed=NUMBER          of the random sequence; default: 1
 *
 * RATE: 0 to 1, for instance 0.01. Where it is wrong the process ends at its start, exit code 2.
 * At most BUS_FAULT_KEPT_MAX messages are late at a time; past that they leave at once. What is late when a link is closed is lost.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_BUS_BUS_FAULT_H
#define ROOMWIRE_BUS_BUS_FAULT_H

#include "common/svc/svc.h"

#define BUS_FAULT_KEPT_MAX 10000u
#define BUS_FAULT_PER_RATE 1000000u /* rates are kept in millionths */

struct bus_fault_rates {
	uint32_t drop, twice, delay, reorder;
	uint32_t delay_min_ms, delay_max_ms;
	uint64_t seed;
};

/* 0, or E_CONFIG: *why is a sentence (static). */
int bus_fault_read(struct str spec, struct bus_fault_rates *rates, const char **why) MUST_CHECK;

struct bus_fault;
/* Where messages go on: 0 or E_*. frames: BORROWED until it returns. */
typedef int (*bus_fault_send_fn)(void *to, const struct str *frames, size_t frame_count);

struct bus_fault_counts {
	uint64_t passed, dropped, doubled, delayed, reordered;
};

struct bus_fault *bus_fault_new(const struct bus_fault_rates *rates, bus_fault_send_fn send);
void bus_fault_free(struct bus_fault **fault); /* everything has been forgotten before */
/* frames: COPIED where the message is kept. What `send` says, or 0 where it is not called now. svc: whose timers are used. */
int bus_fault_pass(struct bus_fault *fault, struct svc *svc, void *to, const struct str *frames,
		   size_t frame_count) MUST_CHECK;
void bus_fault_forget(struct bus_fault *fault, const void *to); /* `to` is gone */
const struct bus_fault_counts *bus_fault_counts(const struct bus_fault *fault);

#ifdef ROOMWIRE_FAULTS
/* Of this process, by ROOMWIRE_FAULTS; NULL: that is not set. */
struct bus_fault *bus_fault_of_process(bus_fault_send_fn send);
#endif

#endif
