/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room and a place in one item of a LIST (proto/bus.def: SESSION, REPLAY): 8 bytes place and 4 bytes shard, big endian, 1 byte bits, the name.
 * Thread: any.
 */
#ifndef ROOMWIRE_PROTO_ITEM_H
#define ROOMWIRE_PROTO_ITEM_H

#include "common/base/buf.h"

#define ITEM_HEAD_BYTES 13

enum item_bits { ITEM_BY_CONNECT = 1 /* joined by the namespace's rules, not by an event */ };

struct item {
	uint64_t place;
	uint32_t shard; /* whose place it is: hash of its endpoint */
	uint8_t bits;
	struct str name; /* BORROWED */
};

void item_add(struct buf *out, const struct item *item);
/* 0, or E_TRUNCATED (no name). */
int item_read(struct str text, struct item *item) MUST_CHECK;

#endif
