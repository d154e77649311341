/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/item.h"

static void put(char *out, uint64_t value, size_t bytes)
{
	for (size_t i = bytes; i-- > 0; value >>= 8)
		out[i] = (char)(unsigned char)(value & 0xff);
}

static uint64_t get(const char *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | (unsigned char)in[i];
	return value;
}

void item_add(struct buf *out, const struct item *item)
{
	char head[ITEM_HEAD_BYTES];

	put(head, item->place, 8);
	put(head + 8, item->shard, 4);
	head[12] = (char)item->bits;
	buf_add(out, str_make(head, sizeof(head)));
	buf_add(out, item->name);
}

int item_read(struct str text, struct item *item)
{
	if (text.n <= ITEM_HEAD_BYTES)
		return E_TRUNCATED;
	item->place = get(text.p, 8);
	item->shard = (uint32_t)get(text.p + 8, 4);
	item->bits = (uint8_t)text.p[12];
	item->name = str_skip(text, ITEM_HEAD_BYTES);
	return 0;
}
