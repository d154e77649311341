/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages: what several routers have found, in one order. Each router answers with its first ones behind a cursor, in order; a page ends where the first
 * of those that have more to say has stopped, so that nothing that stays is ever skipped. Sans-I/O.
 */
#ifndef ROOMWIRE_INGEST_API_PAGE_H
#define ROOMWIRE_INGEST_API_PAGE_H

#include "common/clients/router_query.h"

/* What the parts are, and so their order: by bytes, major first. */
enum page_kind {
	PAGE_ROOMS = 'r',   /* minor: the room's key */
	PAGE_MEMBERS = 'm', /* user, socket id */
	PAGE_OF_USER = 'u'  /* minor: namespace ',' socket id; of one router alone */
};

struct page_entry {
	struct str major, minor;
	struct str parts; /* begins with the entry: router_query_part */
	bool away;
};

struct page {
	struct page_entry *entries; /* OWNED */
	uint32_t count;
	bool more; /* behind the last entry */
	struct buf text;
};

/* Slices are BORROWED from found and the page. Of a socket that two routers know of, the one that is here counts. E_NOMEM; E_SYNTAX …: no router
 * of ours has said that. page_fini also after an error. */
int page_merge(enum page_kind kind, const struct router_found *found, uint32_t count,
	       uint64_t limit, struct page *page) MUST_CHECK;
void page_fini(struct page *page);

#endif
