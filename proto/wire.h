/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between our processes, from bus.def: structs, descriptors, and one interpreter that packs and unpacks them as
 * msgpack arrays. Decoding never reads past its frame and checks every bound of the table; decoded strings are BORROWED from
 * the frame. Thread: any.
 *
 *     struct wire_subscribe m = { .room = room, .epoch = e, .since = p };
 *     struct blob *body = wire_pack(WIRE_SUBSCRIBE, &m);
 *     ...
 *     union wire_any any; enum wire_id id;
 *     if (wire_unpack(frame, &id, &any) == 0 && id == WIRE_SUBSCRIBE) use(any.subscribe.room);
 */
#ifndef ROOMWIRE_PROTO_WIRE_H
#define ROOMWIRE_PROTO_WIRE_H

#include "common/base/buf.h"

#define WIRE_VERSION 1
#define WIRE_MAX_BODY_BYTES (4u << 20)
#define WIRE_MAX_ITEM_BYTES 2048
#define WIRE_MAX_PAYLOADS 256
#define WIRE_SINCE_ALL \
	1 /* SUBSCRIBE: everything the router has, of a room that was not its own before */
#define WIRE_MAX_DEPTH 32 /* of arrays and maps in a field that is not known here */

/*
 * A list of byte strings. To pack: count items at `items` (BORROWED). Unpacked: `packed` is the msgpack of the array inside the frame, already
 * validated, walked by wire_list_next; items is NULL.
 */
struct wire_list {
	uint32_t count;
	const struct str *items;
	struct str packed;
};

struct wire_list_walk {
	const struct wire_list *list;
	uint32_t index;
	size_t offset;
};
void wire_list_walk(const struct wire_list *list, struct wire_list_walk *w);
bool wire_list_next(struct wire_list_walk *w, struct str *item);

#define WIRE_C_U64 uint64_t
#define WIRE_C_BOOL bool
#define WIRE_C_STR struct str
#define WIRE_C_SECRET struct str
#define WIRE_C_LIST struct wire_list

enum wire_id {
#define MSG(ID, name, number, doc) WIRE_##ID = (number),
#define FIELD(name, type, field, min, max, sample, doc)
#define END(ID, name)
#include "proto/bus.def"
#undef MSG
#undef FIELD
#undef END
};

#define MSG(ID, name, number, doc) \
	struct wire_##name { \
		uint32_t present; /* number of fields that were on the wire */
#define FIELD(name, type, field, min, max, sample, doc) WIRE_C_##type field;
#define END(ID, name) \
	} \
	;
#include "proto/bus.def"
#undef MSG
#undef FIELD
#undef END

union wire_any {
#define MSG(ID, name, number, doc) struct wire_##name name;
#define FIELD(name, type, field, min, max, sample, doc)
#define END(ID, name)
#include "proto/bus.def"
#undef MSG
#undef FIELD
#undef END
};

/* The message as bytes, refs 1, OWNED by caller: one allocation, of its exact size. NULL when out of memory, when a field is out of its bounds (a
 * BUG of ours unless a peer's text went in unchecked: check sizes first), or when all of it is larger than WIRE_MAX_BODY_BYTES. */
struct blob *wire_pack(enum wire_id id, const void *message);
/* 0; E_UNKNOWN (a type not in the table: count and drop); E_SYNTAX, E_TYPE, E_RANGE, E_TRUNCATED, E_TOOBIG. */
int wire_unpack(struct str frame, enum wire_id *id, union wire_any *message) MUST_CHECK;

const char *wire_name(enum wire_id id); /* "SUBSCRIBE", or "?" */
/* One readable line of any message, without line end, cut to the buffer's bound. Strings longer than WIRE_TRACE_BYTES and lists longer than
 * WIRE_TRACE_ITEMS are cut, what is not ASCII is escaped; a SECRET prints as ***. */
#define WIRE_TRACE_BYTES 64
#define WIRE_TRACE_ITEMS 8
void wire_trace(enum wire_id id, const void *message, struct buf *out);
/* The file abi.txt: number, type and name of each field in their order. Two processes with the same text understand all of each other. */
void wire_abi_text(struct buf *out);
uint64_t wire_abi(void); /* hash of that: the `abi` of HELLO */

/* The descriptor tables, for tests, docs and trace. */
enum wire_type { WIRE_T_END = 0, WIRE_T_U64, WIRE_T_BOOL, WIRE_T_STR, WIRE_T_SECRET, WIRE_T_LIST };
struct wire_field {
	enum wire_type type;
	const char *name;
	size_t offset; /* in the message's struct */
	uint64_t min, max;
	const char *sample; /* as text */
	const char *doc;
};
struct wire_message {
	enum wire_id id;
	const char *name; /* "SUBSCRIBE" */
	const char *doc;
	size_t size;                     /* of the struct */
	const struct wire_field *fields; /* ends with WIRE_T_END */
};
extern const struct wire_message wire_messages[];
extern const size_t wire_message_count;
const struct wire_message *wire_message_of(uint64_t id); /* NULL: no such message */
const char *wire_type_name(
	enum wire_type type); /* as it is on the wire: "U64", "BOOL", "STR", "LIST" */

#endif
