/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values between msgpack, as notepack.io 3 writes and reads it, and JSON with placeholders, as Socket.IO packets hold them; used by
 * adapt_sioredis.c only. Sans-I/O. The reader is our own: it allocates nothing by what a message says of itself. Thread: any.
 *
 *   msgpack                                      JSON
 *   nil, NaN, infinity                           null (as JSON.stringify)
 *   ext 0 of one byte (undefined)                null in arrays; members that are it are left out
 *   integers                                     all their digits, also past 2^53
 *   float 32, float 64                           the fewest digits that read as the same number
 *   str                                          string; bytes that are no UTF-8 become U+FFFD
 *   timestamps (ext -1), ext 0 of eight bytes    ISO 8601 as Date.toJSON; an impossible date: null
 *   bin, ext 0 of any other length (ArrayBuffer) {"_placeholder":true,"num":N}, numbered in the order they stand in
 *   other ext                                    [type, placeholder of its bytes]
 */
#ifndef ROOMWIRE_ADAPT_ADAPT_SIOREDIS_VALUE_H
#define ROOMWIRE_ADAPT_ADAPT_SIOREDIS_VALUE_H

#include "common/json/json.h"

#define SIOREDIS_BINS 254 /* binary parts of one message */
#define SIOREDIS_DEPTH_MAX JSON_MAX_DEPTH

struct sioredis_bins {
	uint32_t count;
	struct str items[SIOREDIS_BINS]; /* BORROWED from the message */
};

/*
 * The one value that bytes hold, appended to json. E_TRUNCATED, E_SYNTAX (an unused type; a key that is no text or number; something behind
 * the value), E_DEPTH, E_RANGE (more than SIOREDIS_BINS binary parts), E_TOOBIG, E_NOMEM of json.
 */
int sioredis_value_to_json(struct str bytes, struct buf *json,
			   struct sioredis_bins *bins) MUST_CHECK;

/*
 * A validated value as msgpack, appended to out. Where bin_count is not 0, an object whose _placeholder is true stands for the binary of its num; one that
 * names none is nil. scratch: decoded texts; its content is lost. errors: of out and scratch.
 */
int sioredis_value_from_json(struct json_value v, const struct str *bins, uint32_t bin_count,
			     struct buf *scratch, struct buf *out) MUST_CHECK;

/* Parts of a message, for the encoder. */
void sioredis_pack_array(struct buf *out, size_t count);
void sioredis_pack_map(struct buf *out, size_t count);
void sioredis_pack_text(struct buf *out, struct str text);
void sioredis_pack_uint(struct buf *out, uint64_t n);
void sioredis_pack_true(struct buf *out);

#endif
