/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One packet on its way to clients: encoded once, reference-counted, written to every member as it is. The WebSocket header stands in front of the
 * payload; long-polling takes the payload alone. For WebSockets with permessage-deflate it is compressed once, when the first of them is written to.
 * Thread: loop thread. Ownership: frame_new gives one reference.
 */
#ifndef ROOMWIRE_EDGE_FRAME_H
#define ROOMWIRE_EDGE_FRAME_H

#include "common/adapt/adapt_deflate.h"
#include "common/base/buf.h"
#include "common/sio/eio.h"

struct frame {
	uint32_t refs;
	uint32_t payload_bytes;
	struct blob
		*packed; /* header and compressed payload; NULL: not wanted yet, or not worth it */
	bool packing_tried;
	uint8_t start; /* where the WebSocket header begins in data; the payload begins at WS_HEADER_MAX */
	bool binary;
	char data[];
};

struct frame *frame_new(struct str payload, bool binary); /* COPIED; NULL when out of memory */
struct frame *frame_new_ping(void); /* of the WebSocket itself: RFC 6455 section 5.5.2 */
struct frame *frame_ref(struct frame *f);
void frame_unref(struct frame **f);

static inline struct str frame_ws(const struct frame *f) /* header and payload */
{
	return str_make(f->data + f->start, WS_HEADER_MAX - f->start + f->payload_bytes);
}

/* The same for a WebSocket with ws_deflated: compressed where that is worth it. BORROWED as long as the frame. */
struct str frame_ws_deflated(struct frame *f, struct deflate *deflate);

static inline struct str frame_payload(const struct frame *f)
{
	return str_make(f->data + WS_HEADER_MAX, f->payload_bytes);
}

#endif
