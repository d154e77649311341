/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room and a place in one item of a LIST (proto/bus.def: SESSION, REPLAY): 8 bytes place and 4 bytes shard, big endian, 1 byte bits, the name.
 * Thread: any.
 */
#ifndef ROOMWIRE_PROTO_ITEM_H
#define ROOMWIRE_PROTO_ITEM_H

#include "proto/wire.h"

#define ITEM_HEAD_BYTES 13
#define ROOM_ALL \
	"\1all" /* the room of every socket of a namespace, where Redis is set: publishers there may mean all */

enum item_bits {
	ITEM_BY_CONNECT = 1, /* joined by the namespace's rules, not by an event */
	ITEM_PRESENCE = 2,   /* others are told when the user comes to it, and is gone from it */
	ITEM_SHOWN = 4,      /* they have been told that it has come */
};

struct item {
	uint64_t place;
	uint32_t shard; /* whose place it is: hash of its endpoint */
	uint8_t bits;
	struct str name; /* BORROWED */
};

void item_add(struct buf *out, const struct item *item);
/* A room that sockets have of themselves, ROOM_ALL: it counts for no limit, nobody names it in a room's place, and it is not listed. */
bool room_is_reserved(struct str name);
/* 0, or E_TRUNCATED (no name). */
int item_read(struct str text, struct item *item) MUST_CHECK;

/*
 * A LIST of items under construction:
 *
 *     struct item_list list; struct wire_list rooms;
 *     err = item_list_init(&list, room_count);
 *     ... item_list_add(&list, &item) ...
 *     if (!err) err = item_list_done(&list, &rooms);
 *     ... send ...
 *     item_list_fini(&list);
 */
struct item_list {
	struct buf text;
	struct str *items; /* OWNED; their lengths until item_list_done */
	uint32_t count, cap;
};

/* For at most cap items, and as many bytes as a message may have. E_NOMEM; fini is harmless after it. */
int item_list_init(struct item_list *list, uint32_t cap) MUST_CHECK;
void item_list_add(struct item_list *list, const struct item *item);
/* All are added: *out is BORROWED until fini. 0, or what has gone wrong on the way: E_NOMEM, E_TOOBIG. */
int item_list_done(struct item_list *list, struct wire_list *out) MUST_CHECK;
void item_list_fini(struct item_list *list);

#endif
