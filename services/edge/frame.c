/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/frame.h"

#include "common/base/mem.h"

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

struct frame *frame_ref(struct frame *f)
{
	f->refs++;
	return f;
}

void frame_unref(struct frame **f)
{
	if (*f && --(*f)->refs == 0)
		mem_free(*f);
	*f = NULL;
}
