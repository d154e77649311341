/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_parser is fed in steps of our own choosing, so that limits and refusals fall on the same byte however the input was split: the
 * header block line by line (and byte by byte where the target may become too long), chunk framing line by line, chunk data as it comes.
 * Debian builds http_parser without its strict mode: it takes CR and anything for the end of a line, any two bytes for the end of a
 * chunk, blanks in header names and more. What two parsers could read differently is refused here.
 */
#include "common/adapt/adapt_http.h"

#include <http_parser.h>
#include <stdio.h>

#include "common/base/mem.h"

#define LINE_STEP_BYTES 8000 /* a request line of this size cannot have too long a target yet */

enum stage { STAGE_LINE = 0, STAGE_HEADERS, STAGE_BODY, STAGE_DONE };

struct span {
	uint16_t at, n; /* bytes, in the raw header block */
};

struct header {
	struct span name, value;
};

struct http_parse {
	http_parser parser;
	struct http_parse_head head;
	enum stage stage;
	bool in_value, head_done, chunked;
	struct buf raw, body;
	uint64_t max_body;
	size_t line_at;     /* where the present line begins in raw */
	uint64_t data_left; /* of the present chunk */
	uint64_t framing_bytes;
	bool after_data; /* CR LF must follow */
	char last;       /* byte of the header block or of the framing; 0 behind chunk data */
	struct span target;
	struct header headers[HTTP_PARSE_MAX_HEADERS];
	size_t header_count;
	int status; /* 0, or that of the error */
	const char *message;
};

_Static_assert(HTTP_PARSE_MAX_HEADER_BYTES <= UINT16_MAX, "spans are 16 bits");

static int refuse(struct http_parse *p, int status, const char *message)
{
	if (!p->status) {
		p->status = status;
		p->message = message;
	}
	return -1;
}

static struct str span_str(const struct http_parse *p, struct span s)
{
	return s.n ? str_make(p->raw.p + s.at, s.n) : STR_NONE;
}

/* Bytes the parser reports are in raw, and those of one item follow each other. */
static void span_grow(struct http_parse *p, struct span *s, const char *at, size_t n)
{
	if (s->n == 0)
		s->at = (uint16_t)(at - p->raw.p);
	s->n = (uint16_t)(s->n + n);
}

/* ── callbacks of http_parser ── */

static int on_url(http_parser *parser, const char *at, size_t n)
{
	struct http_parse *p = parser->data;

	span_grow(p, &p->target, at, n);
	if (p->target.n > HTTP_PARSE_MAX_TARGET_BYTES)
		return refuse(p, 414, "the request target is too long");
	return 0;
}

static int on_header_field(http_parser *parser, const char *at, size_t n)
{
	struct http_parse *p = parser->data;

	if (p->head_done)
		return 0; /* trailers are dropped */
	if (p->header_count == 0 || p->in_value) {
		if (p->header_count == HTTP_PARSE_MAX_HEADERS)
			return refuse(p, 431, "there are too many header fields");
		p->headers[p->header_count++] = (struct header){ 0 };
		p->in_value = false;
	}
	span_grow(p, &p->headers[p->header_count - 1].name, at, n);
	return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t n)
{
	struct http_parse *p = parser->data;

	if (p->head_done || p->header_count == 0)
		return 0;
	p->in_value = true;
	span_grow(p, &p->headers[p->header_count - 1].value, at, n);
	return 0;
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z');

		if (!alnum && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return s.n > 0;
}

static bool is_value(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool is_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

struct framing_seen {
	unsigned hosts, lengths, codings;
};

static int check_field(struct http_parse *p, struct str name, struct str value,
		       struct framing_seen *seen)
{
	if (!is_token(name) || !is_value(value))
		return refuse(p, 400, "a header field is malformed");
	if (str_eq_nocase(name, STR("host")))
		seen->hosts++;
	if (str_eq_nocase(name, STR("content-length"))) {
		seen->lengths++;
		if (!is_digits(value))
			return refuse(p, 400, "Content-Length is malformed");
	}
	if (str_eq_nocase(name, STR("transfer-encoding"))) {
		seen->codings++;
		if (!str_eq_nocase(value, STR("chunked")))
			return refuse(p, 400, "only the transfer coding chunked is supported");
	}
	if (str_eq_nocase(name, STR("expect"))) {
		if (!str_eq_nocase(value, STR("100-continue")))
			return refuse(p, 417, "only 100-continue can be expected");
		p->head.expects_continue = true;
	}
	return 0;
}

static int check_fields(struct http_parse *p)
{
	struct framing_seen seen = { 0 };

	for (size_t i = 0; i < p->header_count; i++) {
		struct str name, value;

		http_parse_header(p, i, &name, &value);
		if (check_field(p, name, value, &seen))
			return -1;
	}
	if (seen.hosts > 1 || (seen.hosts == 0 && p->parser.http_minor == 1))
		return refuse(p, 400, "there must be one Host header");
	if (seen.codings > 1 || (seen.codings && seen.lengths) ||
	    (seen.codings && p->parser.http_minor == 0))
		return refuse(p, 400, "the length of the body is ambiguous");
	return 0;
}

static int on_headers_complete(http_parser *parser)
{
	struct http_parse *p = parser->data;
	bool has_length = (parser->flags & F_CONTENTLENGTH) != 0, has_body;

	if (check_fields(p))
		return -1;
	if (parser->method == HTTP_CONNECT)
		return refuse(p, 501, "CONNECT is not supported");
	if (has_length && parser->content_length > p->max_body)
		return refuse(p, 413, "the body is too large");
	p->chunked = (parser->flags & F_CHUNKED) != 0;
	has_body = p->chunked || (has_length && parser->content_length > 0);
	p->head.method = str_of(http_method_str((enum http_method)parser->method));
	p->head.target = span_str(p, p->target);
	p->head.minor = parser->http_minor;
	p->head.keep_alive = http_should_keep_alive(parser) != 0;
	p->head.upgrade = parser->upgrade && parser->http_minor == 1 && !has_body;
	p->head.expects_continue = p->head.expects_continue && has_body && parser->http_minor == 1;
	p->head_done = true;
	p->stage = STAGE_BODY;
	return 0;
}

static int on_chunk_header(http_parser *parser)
{
	struct http_parse *p = parser->data;

	p->data_left = parser->content_length;
	if (p->data_left > p->max_body - p->body.n)
		return refuse(p, 413, "the body is too large");
	return 0;
}

static int on_body(http_parser *parser, const char *at, size_t n)
{
	struct http_parse *p = parser->data;

	if (n > p->max_body - p->body.n)
		return refuse(p, 413, "the body is too large");
	buf_add(&p->body, str_make(at, n));
	if (p->body.failed)
		return refuse(p, 503, "out of memory");
	return 0;
}

static int on_message_complete(http_parser *parser)
{
	struct http_parse *p = parser->data;

	p->stage = STAGE_DONE;
	http_parser_pause(parser, 1); /* what follows is another request */
	return 0;
}

static const http_parser_settings settings = {
	.on_url = on_url,
	.on_header_field = on_header_field,
	.on_header_value = on_header_value,
	.on_headers_complete = on_headers_complete,
	.on_chunk_header = on_chunk_header,
	.on_body = on_body,
	.on_message_complete = on_message_complete,
};

/* ── feeding ── */

static void refuse_parser_error(struct http_parse *p, size_t error_at)
{
	switch (HTTP_PARSER_ERRNO(&p->parser)) {
	case HPE_INVALID_METHOD:
		if (p->stage == STAGE_LINE && is_token(str_make(p->raw.p, error_at + 1)))
			refuse(p, 501, "the method is not supported");
		else
			refuse(p, 400, "this is no HTTP request");
		break;
	case HPE_HEADER_OVERFLOW:
		refuse(p, 431, "the header is too large");
		break;
	default:
		refuse(p, 400, http_errno_description(HTTP_PARSER_ERRNO(&p->parser)));
		break;
	}
}

/* Give bytes to the parser. Used may be less than n only at the end of the request. -1: refused. */
static int execute(struct http_parse *p, const char *at, size_t n, size_t *used)
{
	*used = http_parser_execute(&p->parser, &settings, at, n);
	if (p->status)
		return -1;
	if (p->stage == STAGE_DONE || HTTP_PARSER_ERRNO(&p->parser) == HPE_OK)
		return 0;
	refuse_parser_error(p, p->head_done ? 0 : (size_t)(at - p->raw.p) + *used);
	return -1;
}

static size_t up_to_line_end(struct str bytes)
{
	const char *lf = memchr(bytes.p, '\n', bytes.n);

	return lf ? (size_t)(lf - bytes.p) + 1 : bytes.n;
}

/* How many of the bytes come before the first CR without LF or LF without CR. */
static size_t up_to_bad_line_end(struct str bytes, char last)
{
	for (size_t i = 0; i < bytes.n; i++) {
		if ((last == '\r') != (bytes.p[i] == '\n'))
			return i;
		last = bytes.p[i];
	}
	return bytes.n;
}

static bool target_is_clean(struct str target)
{
	for (size_t i = 0; i < target.n; i++)
		if ((unsigned char)target.p[i] <= ' ' || target.p[i] == 0x7f)
			return false;
	return true;
}

/* The request line has been parsed: "METHOD SP TARGET SP HTTP/1.x CR LF", and not one blank more. */
static int request_line_done(struct http_parse *p)
{
	size_t method_n = strlen(http_method_str((enum http_method)p->parser.method));

	if (p->parser.http_major != 1 || p->parser.http_minor > 1)
		return refuse(p, 505, "only versions 1.0 and 1.1 are supported");
	if (p->raw.n != method_n + 1 + p->target.n + sizeof(" HTTP/1.1\r\n") - 1 ||
	    !target_is_clean(span_str(p, p->target)))
		return refuse(p, 400, "the request line is malformed");
	p->stage = STAGE_HEADERS;
	return 0;
}

/* Bytes of the header block have been parsed, at most to the end of a line. */
static int after_head_bytes(struct http_parse *p)
{
	p->last = p->raw.p[p->raw.n - 1];
	if (p->last != '\n')
		return 0;
	p->line_at = p->raw.n;
	return p->stage == STAGE_LINE ? request_line_done(p) : 0;
}

static int check_line_start(struct http_parse *p, char first)
{
	if (first == ' ' || first == '\t')
		return refuse(p, 400, "header fields may not be folded");
	if (first != '\r' && p->header_count == HTTP_PARSE_MAX_HEADERS)
		return refuse(p, 431, "there are too many header fields");
	return 0;
}

static int feed_head(struct http_parse *p, struct str bytes, size_t *used)
{
	size_t n = up_to_line_end(bytes), at = p->raw.n, parsed;

	if (p->stage == STAGE_LINE)
		n = at >= LINE_STEP_BYTES ? 1 : n > LINE_STEP_BYTES - at ? LINE_STEP_BYTES - at : n;
	if (n > HTTP_PARSE_MAX_HEADER_BYTES - at)
		n = HTTP_PARSE_MAX_HEADER_BYTES - at;
	if (n == 0)
		return refuse(p, 431, "the header is too large");
	if (p->stage == STAGE_HEADERS && at == p->line_at && check_line_start(p, bytes.p[0]))
		return -1;
	n = up_to_bad_line_end(str_make(bytes.p, n), p->last);
	if (n == 0)
		return refuse(p, 400, "lines must end in CR LF");
	buf_add(&p->raw, str_make(bytes.p, n));
	if (p->raw.failed)
		return refuse(p, 503, "out of memory");
	*used = n;
	return execute(p, p->raw.p + at, n, &parsed) ? -1 : after_head_bytes(p);
}

static int feed_framing(struct http_parse *p, struct str bytes, size_t *used)
{
	uint64_t room = HTTP_PARSE_MAX_FRAMING_BYTES + 8 * (uint64_t)p->body.n - p->framing_bytes;
	size_t n = up_to_line_end(bytes);

	if (n > room)
		n = (size_t)room;
	if (n == 0)
		return refuse(p, 400, "there is too much between the chunks");
	n = up_to_bad_line_end(str_make(bytes.p, n), p->last);
	if (n == 0 || (p->after_data && bytes.p[0] != '\r'))
		return refuse(p, 400, "lines must end in CR LF");
	p->after_data = false;
	p->framing_bytes += n;
	p->last = bytes.p[n - 1];
	return execute(p, bytes.p, n, used);
}

static int feed_body(struct http_parse *p, struct str bytes, size_t *used)
{
	if (!p->chunked)
		return execute(p, bytes.p, bytes.n, used);
	if (p->data_left == 0)
		return feed_framing(p, bytes, used);
	if (bytes.n > p->data_left)
		bytes.n = (size_t)p->data_left;
	p->data_left -= bytes.n;
	p->after_data = true;
	p->last = 0;
	return execute(p, bytes.p, bytes.n, used);
}

enum http_parse_event http_parse_feed(struct http_parse *p, struct str bytes, size_t *used)
{
	size_t total = 0;

	while (total < bytes.n && p->stage != STAGE_DONE && !p->status) {
		struct str rest = str_skip(bytes, total);
		size_t n = 0;

		if (p->head_done ? feed_body(p, rest, &n) : feed_head(p, rest, &n))
			break;
		total += n;
	}
	*used = total;
	if (p->status)
		return HTTP_PARSE_ERROR;
	return p->stage == STAGE_DONE ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

size_t http_parse_blank(struct str bytes)
{
	size_t n = 0;

	while (n < bytes.n && (bytes.p[n] == '\r' || bytes.p[n] == '\n'))
		n++;
	return n;
}

/* ── object ── */

struct http_parse *http_parse_new(uint64_t max_body)
{
	struct http_parse *p = mem_try(sizeof(*p));

	if (!p)
		return NULL;
	http_parser_init(&p->parser, HTTP_REQUEST);
	p->parser.data = p;
	p->max_body = max_body;
	buf_init(&p->raw, HTTP_PARSE_MAX_HEADER_BYTES);
	buf_init(&p->body, max_body < SIZE_MAX ? (size_t)max_body : SIZE_MAX);
	return p;
}

void http_parse_free(struct http_parse **p)
{
	if (!*p)
		return;
	buf_fini(&(*p)->raw);
	buf_fini(&(*p)->body);
	mem_free(*p);
	*p = NULL;
}

bool http_parse_head_done(const struct http_parse *p)
{
	return p->head_done;
}

const struct http_parse_head *http_parse_head(const struct http_parse *p)
{
	return &p->head;
}

struct str http_parse_raw(const struct http_parse *p)
{
	return buf_str(&p->raw);
}

struct str http_parse_body(const struct http_parse *p)
{
	return buf_str(&p->body);
}

size_t http_parse_header_count(const struct http_parse *p)
{
	return p->header_count;
}

void http_parse_header(const struct http_parse *p, size_t i, struct str *name, struct str *value)
{
	*name = span_str(p, p->headers[i].name);
	*value = str_trim(span_str(p, p->headers[i].value));
}

int http_parse_error(const struct http_parse *p, const char **message)
{
	*message = p->message;
	return p->status;
}

const char *http_parse_status_text(int status)
{
	const char *text = http_status_str((enum http_status)status);

	return strcmp(text, "<unknown>") == 0 ? "Unknown" : text;
}

const char *http_parse_version(void)
{
	static char version[32];
	unsigned long v = http_parser_version();

	snprintf(version, sizeof(version), "%lu.%lu.%lu", v >> 16 & 255, v >> 8 & 255, v & 255);
	return version;
}
