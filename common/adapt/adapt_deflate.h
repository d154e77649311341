/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of WebSocket's permessage-deflate (RFC 7692 section 7.2) by zlib: each compressed by itself, so that one compressor serves a whole
 * process and one compressed form serves every member of a room.
 *
 * thread     one thread per object. blocking: never; zlib works inside the call.
 * ownership  results are appended to the caller's buffer.
 * ordering   no message depends on one before it.
 * memory     per object: 262 KB once something was compressed, 43 KB once something was expanded; nothing per connection.
 */
#ifndef ROOMWIRE_ADAPT_DEFLATE_H
#define ROOMWIRE_ADAPT_DEFLATE_H

#include "common/base/buf.h"

struct deflate;

/* min_bytes: shorter messages are not compressed. NULL when out of memory. */
struct deflate *deflate_new(size_t min_bytes);
void deflate_free(struct deflate **d);

/* Append the compressed form of a message to out. 0; E_TOOBIG: it is not worth it (short, or would not shrink); E_NOMEM. Then out is as it was. */
int deflate_message(struct deflate *d, struct str in, struct buf *out) MUST_CHECK;

/*
 * Append what was compressed to out. in: any bytes of a peer's, a whole message. 0; E_TOOBIG: more than out->max bytes, noticed before more than
 * that is had; E_SYNTAX: no message of permessage-deflate; E_NOMEM. After an error out holds a part of it.
 */
int deflate_expand(struct deflate *d, struct str in, struct buf *out) MUST_CHECK;

#endif
