/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.1 request, parsed as its bytes come (RFC 9112), on Debian's http_parser 2.9.4. Sans-I/O: bytes go in, an event comes
 * out; how they are split makes no difference (fuzzed). An object lives from a request's first byte to its answer and holds the header block as
 * it was received, so that an upgrade can be handed on byte for byte.
 *
 *     struct http_parse *p = http_parse_new(max_body);
 *     switch (http_parse_feed(p, bytes, &used)) { case HTTP_PARSE_DONE: … http_parse_head(p)->target … }
 *     http_parse_free(&p);
 *
 * Stricter than http_parser: lines end in CR LF (also between chunks), no folded headers, header names are tokens, exactly one Host in
 * HTTP/1.1, Transfer-Encoding is "chunked" alone and never beside Content-Length or in HTTP/1.0, versions 1.0 and 1.1 only, no CONNECT.
 * Thread: any, one per object.
 */
#ifndef ROOMWIRE_ADAPT_ADAPT_HTTP_H
#define ROOMWIRE_ADAPT_ADAPT_HTTP_H

#include "common/base/buf.h"

#define HTTP_PARSE_MAX_HEADER_BYTES 16384 /* whole header block: 431 */
#define HTTP_PARSE_MAX_TARGET_BYTES 8192  /* 414 */
#define HTTP_PARSE_MAX_HEADERS 100        /* 431 */
#define HTTP_PARSE_MAX_FRAMING_BYTES \
	16384 /* of chunk sizes, extensions and trailers, beside 8 for each byte of body: 400 */

struct http_parse;

enum http_parse_event {
	HTTP_PARSE_MORE = 0, /* everything was used, the request is not complete */
	HTTP_PARSE_DONE, /* complete; what was not used belongs to the next request (or to another protocol: upgrade) */
	HTTP_PARSE_ERROR, /* answer with http_parse_error and close */
};

/* What the header block says; valid when http_parse_head_done. Slices are BORROWED until http_parse_free. */
struct http_parse_head {
	struct str method;     /* "GET" */
	struct str target;     /* as sent */
	int minor;             /* of the version: 0 or 1 */
	bool keep_alive;       /* the client would like to go on */
	bool upgrade;          /* Upgrade with Connection: upgrade, HTTP/1.1, no body */
	bool expects_continue; /* Expect: 100-continue and a body to come */
};

/* NULL: out of memory. max_body: bytes, past it 413 (at once where Content-Length tells). */
struct http_parse *http_parse_new(uint64_t max_body);
void http_parse_free(struct http_parse **p); /* nulls; accepts NULL inside */
/* Bytes before the first byte of a request that are skipped (empty lines, RFC 9112 section 2.2). */
size_t http_parse_blank(struct str bytes);
/* Not to be called again after DONE or ERROR. */
enum http_parse_event http_parse_feed(struct http_parse *p, struct str bytes, size_t *used);

bool http_parse_head_done(const struct http_parse *p);
const struct http_parse_head *http_parse_head(const struct http_parse *p);
struct str http_parse_raw(const struct http_parse *p);  /* the header block as received */
struct str http_parse_body(const struct http_parse *p); /* decoded; BORROWED until the next feed */
size_t http_parse_header_count(const struct http_parse *p);
void http_parse_header(const struct http_parse *p, size_t i, struct str *name,
		       struct str *value); /* trimmed */
/* Status to answer with, and why, after HTTP_PARSE_ERROR. */
int http_parse_error(const struct http_parse *p, const char **message);

/* Standard words of a status ("Not Found"); "Unknown" for others. */
const char *http_parse_status_text(int status);
const char *http_parse_version(void); /* "2.9.4" */

#endif
