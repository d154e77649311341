/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server (RFC 9112) on libuv with Debian's http_parser (common/adapt/adapt_http.c): the operations port, the publish
 * API and the edge's front use this one. It accepts on its own SO_REUSEPORT socket, so that several processes can share a port.
 *
 * One request at a time per connection: a pipelined request is parsed after the answer to the one before it; an upgrade is
 * handed over with the bytes that were read behind it, from a kept-alive connection, too. Answers may be given at once or later.
 *
 * Bounds: header block HTTP_MAX_HEADER_BYTES (431), target HTTP_MAX_TARGET_BYTES (414), body max_body_bytes (413, before it is read where
 * Content-Length tells), time for header and for body timeout_ms each, absolute (408), idle keep-alive idle_ms, connections
 * max_connections (503, closed). Transfer-Encoding chunked is decoded; Transfer-Encoding together with Content-Length, or any other
 * coding, is 400 and closed (request smuggling).
 *
 * A client that closes its sending side before the answer counts as gone. An upgrade request that is answered instead of taken is the
 * last one of its connection. Errors the server answers itself have the body {"code":"WORD","message":"…"}.
 *
 * Thread: loop thread. Callbacks never run before the call that caused them returned, except http_request_fn → http_respond.
 */
#ifndef ROOMWIRE_HTTP_HTTP_SERVER_H
#define ROOMWIRE_HTTP_HTTP_SERVER_H

#include <uv.h>

#include "common/base/buf.h"

#define HTTP_MAX_HEADER_BYTES 16384 /* the same as in adapt_http.h */
#define HTTP_MAX_TARGET_BYTES 8192
#define HTTP_MAX_HEADER_COUNT 100

enum http_method {
	HTTP_METHOD_OTHER = 0,
	HTTP_METHOD_GET,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_POST,
	HTTP_METHOD_PUT,
	HTTP_METHOD_DELETE,
	HTTP_METHOD_OPTIONS
};

struct http_server;
struct http_exchange; /* one request and its answer */

struct http_request {
	enum http_method method;
	struct str target; /* as sent: "/a?b=c" */
	struct str path;   /* before '?', still percent-encoded */
	struct str query;  /* behind '?', may be empty */
	struct str body;
	bool upgrade;       /* the client asks for another protocol (RFC 9110 section 7.8) */
	struct str address; /* the peer's IP address as text */
};

/*
 * A whole request has arrived (body included; for an upgrade: the header). Answer now or later with http_respond, or, when
 * request->upgrade, take the socket with http_take_socket. request and everything in it is BORROWED until the exchange ends.
 */
typedef void (*http_request_fn)(struct http_exchange *x, const struct http_request *request,
				void *ctx);
/* The client left before the answer. The exchange is gone after this returns. */
typedef void (*http_gone_fn)(struct http_exchange *x, void *user);

struct http_server_spec {
	const char *subject; /* in logs */
	const char *host;
	int port;            /* 0: any */
	bool exclusive_port; /* without SO_REUSEPORT: a second process on the port is an error */
	uint64_t max_body_bytes;
	uint64_t timeout_ms, idle_ms;
	size_t max_connections;
	size_t max_per_address; /* 0: off; past it 429 with Retry-After: 1 */
	http_request_fn on_request;
	void *ctx;
};

/* Bind and listen. 0, or E_IO / E_CONFIG with the reason logged (address in use, not an address of this host …). */
int http_server_open(uv_loop_t *loop, const struct http_server_spec *spec,
		     struct http_server **server) MUST_CHECK;
int http_server_port(const struct http_server *server); /* the port in effect */
/* Stop accepting (what is in the backlog is taken first); connections go on, each answer from now on closes its own. */
void http_server_pause(struct http_server *server);
/*
 * Close the listener and every connection, free everything; done (may be NULL) is called when libuv has let go. Exchanges that are still
 * to be answered are gone: their http_gone_fn runs before this returns.
 */
void http_server_close(struct http_server **server, void (*done)(void *ctx), void *ctx);
size_t http_server_connections(const struct http_server *server);
void http_server_set_max_body(struct http_server *server, uint64_t bytes);

/* Header value by name (any case), trimmed; repeated ones are joined by ", ". False when there is none. */
bool http_header(const struct http_exchange *x, const char *name, struct str *value);
/* Query argument by name, percent-decoded into scratch when needed ('+' stays). The first one where it repeats. */
bool http_query(const struct http_request *request, const char *name, struct buf *scratch,
		struct str *value);

/*
 * Answer. headers: further header lines, each ending in "\r\n", or empty. body is COPIED. The connection is kept alive where the
 * client wants it and status < 400 or the request was read whole.
 */
void http_respond(struct http_exchange *x, int status, struct str content_type, struct str headers,
		  struct str body);
/* As http_respond, and close the connection after it. */
void http_respond_close(struct http_exchange *x, int status, struct str content_type,
			struct str headers, struct str body);
/* {"code":code,"message":message} with the status. */
void http_respond_error(struct http_exchange *x, int status, const char *code, const char *message);
/* For answers given later: called when the client leaves first. */
void http_on_gone(struct http_exchange *x, http_gone_fn fn, void *user);

/*
 * Take the socket of an upgrade request: the file descriptor (non-blocking) becomes yours, *head is the request as it was received from its
 * first byte and everything read behind it (COPIED into a buffer you own: buf_fini). The exchange is gone.
 */
int http_take_socket(struct http_exchange *x, struct buf *head);

#endif
