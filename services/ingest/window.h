/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of one partition that were taken and not all settled: they are settled in any order, and the watermark tells up to where all of them are. Offsets may have
 * holes (compaction, transactions). Sans-I/O. Thread: one.
 */
#ifndef ROOMWIRE_INGEST_WINDOW_H
#define ROOMWIRE_INGEST_WINDOW_H

#include <stdint.h>

#include "common/base/list.h"

struct window_entry {
	struct list node;
	int64_t offset;
	bool settled;
};

struct window {
	struct list entries; /* struct window_entry, by offset */
	int64_t last;        /* offset of the newest one, ever; -1: none */
	uint32_t count;      /* entries, settled ones behind an unsettled one included */
	uint32_t unsettled;
};

void window_init(struct window *w);
/* false: the offset is not behind all others; nothing was done. */
bool window_add(struct window *w, struct window_entry *e, int64_t offset);
void window_settle(struct window *w, struct window_entry *e);
/* The oldest entry if it is settled, taken out: everything up to its offset is settled. NULL: none. */
struct window_entry *window_pop(struct window *w);

#endif
