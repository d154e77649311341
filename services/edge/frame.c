/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/frame.h"

#include "common/base/mem.h"
#include "common/metrics/metrics.h"

struct frame *frame_new(struct str payload, bool binary)
{
	struct frame *f = mem_try(sizeof(*f) + WS_HEADER_MAX + payload.n);
	char header[WS_HEADER_MAX];
	size_t n;

	if (!f)
		return NULL;
	n = ws_header(header, binary ? WS_BINARY : WS_TEXT, payload.n);
	f->refs = 1;
	f->payload_bytes = (uint32_t)payload.n;
	f->start = (uint8_t)(WS_HEADER_MAX - n);
	f->binary = binary;
	memcpy(f->data + f->start, header, n);
	if (payload.n)
		memcpy(f->data + WS_HEADER_MAX, payload.p, payload.n);
	return f;
}

struct frame *frame_new_ping(void)
{
	struct frame *f =
		frame_new(STR("."), false); /* libwebsockets does not tell of an empty pong */
	char header[WS_HEADER_MAX];

	if (!f)
		return NULL;
	f->start = (uint8_t)(WS_HEADER_MAX - ws_header(header, WS_PING, 1));
	memcpy(f->data + f->start, header, (size_t)(WS_HEADER_MAX - f->start));
	f->packing_tried = true; /* never compressed */
	return f;
}

struct frame *frame_ref(struct frame *f)
{
	f->refs++;
	return f;
}

void frame_unref(struct frame **f)
{
	if (*f && --(*f)->refs == 0) {
		blob_unref(&(*f)->packed);
		mem_free(*f);
	}
	*f = NULL;
}

static struct blob *pack(const struct frame *f, struct deflate *deflate)
{
	struct buf out = BUF_INIT((size_t)f->payload_bytes + 64);
	struct blob *packed = NULL;

	if (deflate_message(deflate, frame_payload(f), &out) == 0) {
		char header[WS_HEADER_MAX];
		size_t n = ws_header_deflated(header, f->binary ? WS_BINARY : WS_TEXT, out.n);

		packed = blob_new(n + out.n);
		if (packed) {
			memcpy(packed->data, header, n);
			memcpy(packed->data + n, out.p, out.n);
			metrics_add(METRIC_DEFLATE_PLAIN, f->payload_bytes);
			metrics_add(METRIC_DEFLATE_PACKED, out.n);
		}
	}
	buf_fini(&out);
	return packed;
}

struct str frame_ws_deflated(struct frame *f, struct deflate *deflate)
{
	if (!f->packing_tried) {
		f->packing_tried = true;
		f->packed = pack(f, deflate);
	}
	return f->packed ? blob_str(f->packed) : frame_ws(f);
}
