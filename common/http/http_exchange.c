/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/http/http_conn.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

struct http_joined {
	struct http_joined *next;
	struct buf text;
};

/* Codes of the errors the server answers by itself. */
static const struct {
	int status;
	const char *code;
} error_codes[] = {
	{ 400, "BAD_REQUEST" },        { 408, "REQUEST_TIMEOUT" },
	{ 413, "PAYLOAD_TOO_LARGE" },  { 414, "URI_TOO_LONG" },
	{ 417, "EXPECTATION_FAILED" }, { 429, "TOO_MANY_CONNECTIONS" },
	{ 431, "HEADER_TOO_LARGE" },   { 501, "NOT_IMPLEMENTED" },
	{ 503, "UNAVAILABLE" },        { 505, "VERSION_NOT_SUPPORTED" },
};

struct http_exchange *http_exchange_new(struct http_conn *c)
{
	struct http_exchange *x = mem_try(sizeof(*x));

	if (!x)
		return NULL;
	x->conn = c;
	x->parse = http_parse_new(c->server->spec.max_body_bytes);
	if (!x->parse) {
		mem_free(x);
		return NULL;
	}
	return x;
}

void http_exchange_free(struct http_exchange *x)
{
	while (x->joined) {
		struct http_joined *joined = x->joined;

		x->joined = joined->next;
		buf_fini(&joined->text);
		mem_free(joined);
	}
	http_parse_free(&x->parse);
	mem_free(x);
}

/* The connection has no request any more (conn->x is NULL by now). */
static void end(struct http_exchange *x)
{
	if (x->in_handler)
		x->ended = true;
	else
		http_exchange_free(x);
}

/* ── request ── */

static enum http_method method_of(struct str name)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = {
		{ "GET", HTTP_METHOD_GET },   { "POST", HTTP_METHOD_POST },
		{ "HEAD", HTTP_METHOD_HEAD }, { "OPTIONS", HTTP_METHOD_OPTIONS },
		{ "PUT", HTTP_METHOD_PUT },   { "DELETE", HTTP_METHOD_DELETE },
	};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (str_is(name, methods[i].name))
			return methods[i].method;
	return HTTP_METHOD_OTHER;
}

/* "http://host/path?query" (RFC 9112 section 3.2.2) → "/path?query" */
static struct str origin_form(struct str target)
{
	const char *at = target.n && target.p[0] != '/' ? memmem(target.p, target.n, "://", 3)
							: NULL;

	if (!at)
		return target;
	for (at += 3; at < target.p + target.n && *at != '/' && *at != '?';)
		at++;
	return str_make(at, target.n - (size_t)(at - target.p));
}

static void fill_request(struct http_exchange *x)
{
	const struct http_parse_head *head = http_parse_head(x->parse);
	struct http_request *r = &x->request;
	struct str fragment, rest;

	http_conn_peer_text(x->conn->in6, x->address);
	str_cut(origin_form(head->target), '#', &rest, &fragment);
	str_cut(rest, '?', &r->path, &r->query);
	if (r->path.n == 0)
		r->path = STR("/");
	r->method = method_of(head->method);
	r->target = head->target;
	r->body = http_parse_body(x->parse);
	r->upgrade = head->upgrade;
	r->address = str_of(x->address);
}

void http_exchange_dispatch(struct http_exchange *x)
{
	struct http_server *s = x->conn->server;

	fill_request(x);
	metrics_inc(METRIC_HTTP_REQUESTS);
	http_conn_set_state(x->conn, HTTP_CONN_HANDLING);
	x->in_handler = true;
	s->spec.on_request(x, &x->request, s->spec.ctx);
	x->in_handler = false;
	if (x->ended)
		http_exchange_free(x);
}

static bool join(struct http_exchange *x, struct str first, struct str second, struct str *value)
{
	struct http_joined *joined = mem_try(sizeof(*joined));

	if (!joined)
		return false;
	buf_init(&joined->text, HTTP_MAX_HEADER_BYTES * 2);
	joined->next = x->joined;
	x->joined = joined;
	buf_add(&joined->text, first);
	buf_addz(&joined->text, ", ");
	buf_add(&joined->text, second);
	*value = buf_str(&joined->text);
	return !joined->text.failed;
}

bool http_header(const struct http_exchange *x, const char *name, struct str *value)
{
	bool found = false;

	*value = STR_NONE;
	for (size_t i = 0; i < http_parse_header_count(x->parse); i++) {
		struct str this_name, this_value;

		http_parse_header(x->parse, i, &this_name, &this_value);
		if (!str_eq_nocase(this_name, str_of(name)))
			continue;
		if (!found)
			*value = this_value;
		else if (!join((struct http_exchange *)(uintptr_t)x, *value, this_value, value))
			return false;
		found = true;
	}
	return found;
}

/* Malformed escapes stay as they are. */
static struct str percent_decode(struct str s, struct buf *scratch)
{
	size_t start = scratch->n;

	if (!s.n || !memchr(s.p, '%', s.n))
		return s;
	for (size_t i = 0; i < s.n; i++) {
		int high = s.p[i] == '%' && i + 2 < s.n ? str_hex_digit(s.p[i + 1]) : -1;
		int low = high >= 0 ? str_hex_digit(s.p[i + 2]) : -1;

		if (low >= 0)
			i += 2;
		buf_addc(scratch, low >= 0 ? (char)(high * 16 + low) : s.p[i]);
	}
	return scratch->failed ? STR_NONE : str_make(scratch->p + start, scratch->n - start);
}

bool http_query(const struct http_request *request, const char *name, struct buf *scratch,
		struct str *value)
{
	struct str rest = request->query;

	while (rest.n) {
		struct str pair, key, raw;

		str_cut(rest, '&', &pair, &rest);
		str_cut(pair, '=', &key, &raw);
		if (!str_is(key, name))
			continue;
		*value = percent_decode(raw, scratch);
		return true;
	}
	*value = STR_NONE;
	return false;
}

/* ── answer ── */

static bool has_content(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

static void answer(struct http_exchange *x, int status, struct str content_type, struct str headers,
		   struct str body, bool close)
{
	struct http_conn *c = x->conn;
	const struct http_parse_head *head = http_parse_head(x->parse);
	struct buf *out = &c->server->scratch;
	bool is_head = str_is(head->method, "HEAD");

	buf_reset(out);
	buf_addf(out, "HTTP/1.1 %d %s\r\n", status, http_parse_status_text(status));
	if (has_content(status)) {
		if (content_type.n)
			buf_addf(out, "Content-Type: " STR_FMT "\r\n", STR_ARG(content_type));
		buf_addf(out, "Content-Length: %zu\r\n", body.n);
	}
	if (close)
		buf_addz(out, "Connection: close\r\n");
	else if (head->minor == 0)
		buf_addz(out, "Connection: keep-alive\r\n");
	buf_add(out, headers);
	buf_addz(out, "\r\n");
	if (out->failed) {
		log_error(c->server->spec.subject, "an answer has too long a header",
			  KV_U("bytes", headers.n));
		http_conn_close(c);
		return;
	}
	c->x = NULL;
	http_conn_send(c, buf_str(out), is_head || !has_content(status) ? STR_NONE : body, close);
	end(x); /* only now: the body may be a slice of the request */
}

static bool keeps(const struct http_exchange *x)
{
	const struct http_parse_head *head = http_parse_head(x->parse);

	/* Behind an upgrade request may be bytes of the other protocol: they are not parsed as HTTP. */
	return head->keep_alive && !head->upgrade && !x->conn->server->paused;
}

void http_respond(struct http_exchange *x, int status, struct str content_type, struct str headers,
		  struct str body)
{
	answer(x, status, content_type, headers, body, !keeps(x));
}

void http_respond_close(struct http_exchange *x, int status, struct str content_type,
			struct str headers, struct str body)
{
	answer(x, status, content_type, headers, body, true);
}

static void error_body(struct buf *body, const char *code, const char *message)
{
	buf_addz(body, "{\"code\":");
	buf_add_json(body, str_of(code));
	buf_addz(body, ",\"message\":");
	buf_add_json(body, str_of(message));
	buf_addc(body, '}');
}

void http_respond_error(struct http_exchange *x, int status, const char *code, const char *message)
{
	struct buf body = BUF_INIT(4096);

	error_body(&body, code, message);
	http_respond(x, status, STR("application/json"), STR_NONE, buf_str(&body));
	buf_fini(&body);
}

void http_exchange_refuse(struct http_exchange *x, int status, const char *message)
{
	const char *code = "BAD_REQUEST";
	struct buf body = BUF_INIT(4096);
	struct str headers = status == 429 || status == 503 ? STR("Retry-After: 1\r\n") : STR_NONE;

	for (size_t i = 0; i < sizeof(error_codes) / sizeof(error_codes[0]); i++)
		if (error_codes[i].status == status)
			code = error_codes[i].code;
	metrics_inc(METRIC_HTTP_BAD);
	log_debug(x->conn->server->spec.subject, "a request is refused", KV_I("status", status),
		  KV_Z("reason", message));
	error_body(&body, code, message);
	answer(x, status, STR("application/json"), headers, buf_str(&body), true);
	buf_fini(&body);
}

void http_on_gone(struct http_exchange *x, http_gone_fn fn, void *user)
{
	x->on_gone = fn;
	x->gone_user = user;
}

int http_take_socket(struct http_exchange *x, struct buf *head)
{
	struct http_conn *c = x->conn;
	struct str raw = http_parse_raw(x->parse);
	struct str rest = str_make(c->pending.p ? c->pending.p + c->pending_at : NULL,
				   c->pending.n - c->pending_at);

	buf_init(head, HTTP_MAX_HEADER_BYTES + HTTP_PENDING_BYTES + HTTP_READ_BYTES);
	buf_add(head, raw);
	buf_add(head, rest);
	c->x = NULL;
	end(x);
	return http_conn_release(c);
}
