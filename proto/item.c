/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/item.h"

#include "common/base/mem.h"

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

bool room_is_reserved(struct str name)
{
	return name.n > 0 && name.p[0] == ROOM_ALL[0];
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

int item_list_init(struct item_list *list, uint32_t cap)
{
	*list = (struct item_list){ .text = BUF_INIT(WIRE_MAX_BODY_BYTES), .cap = cap };
	list->items = mem_try(((size_t)cap + 1) * sizeof(struct str));
	return list->items ? 0 : E_NOMEM;
}

void item_list_add(struct item_list *list, const struct item *item)
{
	size_t start = list->text.n;

	if (list->count == list->cap || !list->items)
		return;
	item_add(&list->text, item);
	list->items[list->count++].n = list->text.n - start;
}

int item_list_done(struct item_list *list, struct wire_list *out)
{
	const char *at = list->text.p; /* it does not move any more */

	if (list->text.failed)
		return list->text.failed;
	for (uint32_t i = 0; i < list->count; at += list->items[i++].n)
		list->items[i].p = at;
	*out = (struct wire_list){ .count = list->count, .items = list->items };
	return 0;
}

void item_list_fini(struct item_list *list)
{
	buf_fini(&list->text);
	mem_free(list->items);
	list->items = NULL;
}
