/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP request parser (common/adapt/adapt_http.c) on arbitrary bytes: the same stream fed whole, byte by byte and in arbitrary
 * pieces must give the same requests, the same error and the same place where it stops; nothing is read or kept beyond the bounds.
 *
 * options: -max_len=20000
 *
 * Input: 4 bytes that choose the splits and the body limit, then the stream.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/adapt/adapt_http.h"

#define STORY_MAX_BYTES (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void tell_request(struct buf *story, const struct http_parse *p)
{
	const struct http_parse_head *head = http_parse_head(p);

	buf_add(story, head->method);
	buf_addc(story, ' ');
	buf_add(story, head->target);
	buf_addf(story, " 1.%d %d %d %d\n", head->minor, head->keep_alive, head->upgrade,
		 head->expects_continue);
	for (size_t i = 0; i < http_parse_header_count(p); i++) {
		struct str name, value;

		http_parse_header(p, i, &name, &value);
		buf_add(story, name);
		buf_addc(story, ':');
		buf_add(story, value);
		buf_addc(story, '\n');
	}
	buf_addf(story, "raw %zu\n", http_parse_raw(p).n);
	buf_add(story, http_parse_body(p));
	buf_addc(story, '\n');
}

static void check_bounds(const struct http_parse *p, uint64_t max_body)
{
	must(http_parse_raw(p).n <= HTTP_PARSE_MAX_HEADER_BYTES);
	must(http_parse_body(p).n <= max_body);
	must(http_parse_header_count(p) <= HTTP_PARSE_MAX_HEADERS);
	must(http_parse_head(p)->target.n <= HTTP_PARSE_MAX_TARGET_BYTES);
}

struct stream {
	struct http_parse *p;
	struct buf *story;
	uint64_t max_body;
	size_t at; /* bytes used in all */
	bool over;
};

/* Everything of one piece; requests follow each other. */
static void feed(struct stream *s, struct str piece)
{
	while (piece.n && !s->over) {
		enum http_parse_event event;
		const char *message;
		size_t used, blank = s->p ? 0 : http_parse_blank(piece);

		if (blank) {
			piece = str_skip(piece, blank);
			s->at += blank;
			continue;
		}
		if (!s->p)
			s->p = http_parse_new(s->max_body);
		must(s->p != NULL);
		event = http_parse_feed(s->p, piece, &used);
		must(used <= piece.n && (event != HTTP_PARSE_MORE || used == piece.n));
		check_bounds(s->p, s->max_body);
		s->at += used;
		piece = str_skip(piece, used);
		if (event == HTTP_PARSE_MORE)
			continue;
		if (event == HTTP_PARSE_ERROR) {
			buf_addf(s->story, "error %d\n", http_parse_error(s->p, &message));
			must(message != NULL);
		} else {
			tell_request(s->story, s->p);
		}
		s->over = event == HTTP_PARSE_ERROR || http_parse_head(s->p)->upgrade;
		if (event == HTTP_PARSE_DONE)
			buf_addf(s->story, "at %zu\n", s->at);
		http_parse_free(&s->p);
	}
}

/* seed 0: whole; 1: byte by byte; else pieces of pseudo-random sizes */
static void tell(struct buf *story, struct str bytes, uint64_t max_body, uint32_t seed)
{
	struct stream s = { .story = story, .max_body = max_body };

	while (bytes.n) {
		size_t n = bytes.n;

		if (seed == 1)
			n = 1;
		else if (seed > 1) {
			seed = seed * 1664525u + 1013904223u;
			n = 1 + (seed >> 16) % ((seed >> 8 & 1) ? 7 : 4099);
		}
		if (n > bytes.n)
			n = bytes.n;
		feed(&s, str_make(bytes.p, n));
		bytes = str_skip(bytes, n);
	}
	if (s.p)
		buf_addf(story, "open %d at %zu\n", http_parse_head_done(s.p), s.at);
	http_parse_free(&s.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT(STORY_MAX_BYTES), pieces = BUF_INIT(STORY_MAX_BYTES);
	uint32_t seed;
	struct str bytes;

	if (size < 4)
		return 0;
	seed = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16;
	bytes = str_make((const char *)data + 4, size - 4);
	tell(&whole, bytes, data[3] < 128 ? data[3] : 100000, 0);
	tell(&pieces, bytes, data[3] < 128 ? data[3] : 100000, 1);
	must(whole.failed || str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_reset(&pieces);
	tell(&pieces, bytes, data[3] < 128 ? data[3] : 100000, seed + 2);
	must(whole.failed || str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
