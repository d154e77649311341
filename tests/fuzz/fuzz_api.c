/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the HTTP API is sent: by the first byte a query, a segment of a path, a body; or what a router answers, made into a page.
 * link: services/ingest
 * options: -max_len=8192
 */
#include <stdint.h>
#include <stdlib.h>

#include "services/ingest/api_page.h"
#include "services/ingest/api_parse.h"
#include "services/ingest/api_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct profile *profile;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static bool is_inside(struct str s, struct str text)
{
	return s.n == 0 ||
	       (s.p >= text.p && s.n <= text.n && (size_t)(s.p - text.p) <= text.n - s.n);
}

/* Slices are of the input or of scratch, which has not moved under them. */
static void check(struct str s, struct str text, const struct buf *scratch)
{
	must(is_inside(s, text) || is_inside(s, buf_str(scratch)) || str_is(s, "/"));
}

/* A cursor that is taken is one that would be given out. */
static void check_cursor(const struct api_query *q)
{
	struct buf text = BUF_INIT(8192), scratch = BUF_INIT(16384), why = BUF_INIT(512);
	struct api_query again;

	buf_addz(&text, "cursor=");
	api_query_add_cursor(&text, 'm', q->after_major, q->after_minor);
	must(api_query_parse(profile, buf_str(&text), API_PARAM_CURSOR, 'm', &scratch, &again,
			     &why) == 0);
	must(str_eq(again.after_major, q->after_major) &&
	     str_eq(again.after_minor, q->after_minor));
	buf_fini(&text);
	buf_fini(&scratch);
	buf_fini(&why);
}

static void query(struct str text)
{
	struct buf scratch = BUF_INIT(65536), why = BUF_INIT(512);
	struct api_query q;

	if (api_query_parse(profile, text, 127, 'm', &scratch, &q, &why) == 0) {
		must(q.limit >= 1 && q.limit <= API_LIMIT_MOST && why.n == 0);
		check(q.room, text, &scratch);
		check(q.user, text, &scratch);
		check(q.prefix, text, &scratch);
		must(q.room.n <= API_NAME_BYTES && q.user.n <= API_USER_BYTES);
		check_cursor(&q);
	} else {
		must(why.n > 0);
	}
	buf_fini(&scratch);
	buf_fini(&why);
}

static void segment(struct str text)
{
	struct buf scratch = BUF_INIT(8200), why = BUF_INIT(512);
	struct str name;

	if (api_query_name(text, &scratch, &name, &why) == 0) {
		must(name.n >= 1 && name.n <= API_NAME_BYTES);
		check(name, text, &scratch);
	}
	buf_fini(&scratch);
	buf_fini(&why);
}

static void action(struct str text)
{
	struct buf scratch = BUF_INIT(65536), why = BUF_INIT(512);
	struct api_action a;

	if (api_parse_action(profile, text, &a, &scratch, &why) == 0) {
		must((a.sockets == NULL) == (a.socket_count == 0));
		must((a.users == NULL) == (a.user_count == 0) && a.user_count <= API_USERS_MAX);
		for (uint32_t i = 0; i < a.socket_count; i++)
			check(a.sockets[i], text, &scratch);
		for (uint32_t i = 0; i < a.user_count; i++)
			check(a.users[i], text, &scratch);
	} else {
		must(why.n > 0);
	}
	api_action_fini(&a);
	buf_fini(&scratch);
	buf_fini(&why);
}

static void batch(struct str text)
{
	struct buf scratch = BUF_INIT(65536), why = BUF_INIT(512);
	struct json_value object, messages, v;
	struct json_walk walk;

	if (api_parse_body(text, &object, &why) == 0 &&
	    json_get(object, STR("messages"), &messages) == 0) {
		json_walk(messages, &walk);
		while (json_next(&walk, NULL, &v) == 0) {
			struct api_publish p;

			buf_reset(&scratch);
			if (api_parse_publish(profile, v, &p, &scratch, &why) == 0)
				check(p.id, text, &scratch);
			api_publish_fini(&p);
		}
	}
	buf_fini(&scratch);
	buf_fini(&why);
}

/* Two routers: the input cut in the middle. */
static void page(struct str text, enum page_kind kind, uint64_t limit)
{
	size_t half = text.n / 2;
	struct router_found found[2] = {
		{ .parts = str_make(text.p, half), .more = limit & 1 },
		{ .parts = str_skip(text, half), .more = limit & 2 },
	};
	struct page p;

	if (page_merge(kind, found, 2, limit, &p) == 0) {
		must(p.count <= limit);
		for (uint32_t i = 0; i < p.count; i++) {
			union wire_any any;
			enum wire_id id;

			must(router_query_part(&p.entries[i].parts, &id, &any) == 0);
		}
	}
	page_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum page_kind kinds[] = { PAGE_ROOMS, PAGE_MEMBERS, PAGE_OF_USER };
	struct buf errors = BUF_INIT(10000);
	struct str text;

	if (!profile)
		must(profile_load("conformance", &errors, &profile) == 0);
	buf_fini(&errors);
	if (size == 0)
		return 0;
	text = str_make((const char *)data + 1, size - 1);
	switch (data[0] % 8) {
	case 0:
		query(text);
		break;
	case 1:
		segment(text);
		break;
	case 2:
		action(text);
		break;
	case 3:
		batch(text);
		break;
	default:
		page(text, kinds[data[0] % 3], 1 + data[0] / 16);
		break;
	}
	return 0;
}
