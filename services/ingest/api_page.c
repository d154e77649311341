/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/api_page.h"

#include <stdlib.h>

#include "common/base/mem.h"

#define TEXT_BYTES (8u << 20)

static int compare_text(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare(const struct page_entry *a, const struct page_entry *b)
{
	int order = compare_text(a->major, b->major);

	return order ? order : compare_text(a->minor, b->minor);
}

static int by_place(const void *a, const void *b)
{
	const struct page_entry *x = a, *y = b;
	int order = compare(x, y);

	return order ? order : x->away - y->away;
}

/* The part's place in the order. */
static int read_entry(enum page_kind kind, struct str *parts, struct page_entry *e,
		      struct buf *text)
{
	union wire_any any;
	enum wire_id id;
	int err;

	*e = (struct page_entry){ .parts = *parts };
	err = router_query_part(parts, &id, &any);
	if (err)
		return err;
	if (id != (kind == PAGE_ROOMS ? WIRE_ROOM_FOUND : WIRE_SOCKET_FOUND))
		return E_TYPE;
	if (kind == PAGE_ROOMS) {
		e->minor = any.room_found.room;
		return 0;
	}
	e->away = any.socket_found.away_ms > 0;
	e->major = any.socket_found.user_id;
	e->minor = any.socket_found.sid;
	if (kind == PAGE_OF_USER) {
		size_t at = text->n;

		e->major = STR_NONE;
		buf_add(text, any.socket_found.nsp);
		buf_addc(text, ',');
		buf_add(text, any.socket_found.sid);
		if (text->failed)
			return text->failed;
		e->minor = str_make(text->p + at, text->n - at); /* there is room: it stays */
	}
	return 0;
}

static int count_parts(const struct router_found *found, uint32_t count, size_t *parts)
{
	union wire_any any;
	enum wire_id id;

	*parts = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct str rest = found[i].parts;
		size_t before = *parts;
		int err;

		while ((err = router_query_part(&rest, &id, &any)) == 0)
			++*parts;
		if (err != E_NOTFOUND)
			return err;
		if (found[i].more && *parts == before)
			return E_TRUNCATED; /* more behind nothing: no page would ever end */
	}
	return 0;
}

/* Behind this nobody has said all. */
static void note_end(struct page_entry *end, bool *bounded, const struct page_entry *last)
{
	if (!*bounded || compare(last, end) < 0)
		*end = *last;
	*bounded = true;
}

static int collect(enum page_kind kind, const struct router_found *found, uint32_t count,
		   struct page *page, struct page_entry *end, bool *bounded)
{
	for (uint32_t i = 0; i < count; i++) {
		struct str rest = found[i].parts;
		int err = 0;

		while (!err && rest.n)
			err = read_entry(kind, &rest, &page->entries[page->count++], &page->text);
		if (err)
			return err;
		if (found[i].more)
			note_end(end, bounded, &page->entries[page->count - 1]);
	}
	return 0;
}

int page_merge(enum page_kind kind, const struct router_found *found, uint32_t count,
	       uint64_t limit, struct page *page)
{
	struct page_entry end = { .away = false };
	bool bounded = false;
	uint32_t kept = 0;
	size_t parts;
	int err;

	*page = (struct page){ .text = BUF_INIT(TEXT_BYTES) };
	err = count_parts(found, count, &parts);
	if (err)
		return err;
	page->entries = mem_try((parts + 1) * sizeof(page->entries[0]));
	if (!page->entries || (kind == PAGE_OF_USER && !buf_room(&page->text, parts * 320 + 1)))
		return E_NOMEM;
	err = collect(kind, found, count, page, &end, &bounded);
	if (err)
		return err;
	if (count > 1)
		qsort(page->entries, page->count, sizeof(page->entries[0]), by_place);
	for (uint32_t i = 0; i < page->count; i++) {
		const struct page_entry *e = &page->entries[i];

		if (kept && compare(&page->entries[kept - 1], e) == 0)
			continue;
		if (kept == limit || (bounded && compare(e, &end) > 0)) {
			page->more = true;
			break;
		}
		page->entries[kept++] = *e;
	}
	page->count = kept;
	page->more |= bounded;
	return 0;
}

void page_fini(struct page *page)
{
	mem_free(page->entries);
	page->entries = NULL;
	buf_fini(&page->text);
}
