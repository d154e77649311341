/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the HTTP server, for http_*.c only. A connection's state is the list of the server it is on; each list is in order of
 * deadlines, because all its members got the same time.
 *
 *   FRESH ─▶ HEAD ─▶ BODY ─▶ HANDLING ─▶ (WRITING) ─▶ IDLE ─▶ HEAD …          any ─▶ LINGER ─▶ CLOSING
 */
#ifndef ROOMWIRE_HTTP_HTTP_CONN_H
#define ROOMWIRE_HTTP_HTTP_CONN_H

#include <netinet/in.h>

#include "common/adapt/adapt_http.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/http/http_server.h"

enum http_conn_state {
	HTTP_CONN_FRESH = 0, /* no byte yet */
	HTTP_CONN_IDLE,      /* kept alive, between requests */
	HTTP_CONN_HEAD,      /* a header block is coming */
	HTTP_CONN_BODY,      /* a body is coming */
	HTTP_CONN_HANDLING,  /* the handler has the request */
	HTTP_CONN_WRITING,   /* a part of the answer waits in `out` */
	HTTP_CONN_LINGER,    /* sending side closed, what still comes is dropped */
	HTTP_CONN_CLOSING,   /* libuv is letting go */
	HTTP_CONN_STATE_COUNT,
};

#define HTTP_READ_BYTES 65536
#define HTTP_PENDING_BYTES 16384 /* read behind an unanswered request before reading stops */
#define HTTP_LINGER_BYTES 262144
#define HTTP_LINGER_MS 1000
#define HTTP_ACCEPTS_PER_TURN 64
#define HTTP_REQUESTS_PER_TURN 64 /* pipelined ones of one connection */

/* Connections of one address, while it has any. */
struct http_address {
	char text[INET6_ADDRSTRLEN];
	size_t count;
};

struct http_conn {
	struct list node;        /* owner list: server->lists[state] */
	struct list resume_node; /* server->resume: pending is to be looked at in the next turn */
	struct http_server *server;
	uv_poll_t poll;
	int fd;
	int events; /* polled for */
	enum http_conn_state state;
	uint16_t refuse_status; /* 503 or 429: the first request is answered with it; 0: none */
	bool close_after;       /* when `out` is written */
	bool busy;              /* its bytes are being parsed further up the stack */
	uint8_t in6[16];        /* peer; IPv4 as ::ffff:a.b.c.d */
	struct http_address *address; /* NULL unless addresses are limited */
	uint64_t deadline_ms;         /* of the state, uv_now; UINT64_MAX: none */
	struct http_exchange *x;      /* from a request's first byte to its answer */
	struct buf pending;           /* read, not parsed yet: from pending_at on */
	size_t pending_at;
	struct buf
		out; /* not written yet: from out_at on; while lingering out_at counts dropped bytes */
	size_t out_at;
};

struct http_joined; /* values put together for http_header */

struct http_exchange {
	struct http_conn *conn;
	struct http_parse *parse;
	struct http_request request;
	http_gone_fn on_gone;
	void *gone_user;
	struct http_joined *joined;
	bool in_handler; /* the handler has not returned yet */
	bool ended;      /* answered or taken while in_handler: freed when it returns */
	bool continued;  /* 100 Continue has been sent */
	char address[INET6_ADDRSTRLEN];
};

struct http_server {
	struct http_server_spec spec; /* subject and host are COPIED */
	uv_loop_t *loop;
	int fd, port;
	bool paused, closing, accept_blocked, sweeping;
	uv_poll_t listener;
	uv_timer_t sweeper;
	uv_idle_t resumer;
	struct list lists[HTTP_CONN_STATE_COUNT];
	struct list resume;
	size_t conn_count, refused_count, handle_count;
	struct map addresses;
	uint64_t durations_ms[HTTP_CONN_STATE_COUNT]; /* 0: no deadline */
	void (*on_closed)(void *ctx);
	void *closed_ctx;
	struct buf scratch; /* head of the answer being sent */
	char read_bytes[HTTP_READ_BYTES];
};

/* http_server.c */
int http_server_conn_here(struct http_server *s,
			  struct http_conn *c) MUST_CHECK;              /* counts; E_NOMEM */
void http_server_conn_gone(struct http_server *s, struct http_conn *c); /* counts */
void http_server_handle_closed(struct http_server *s);
void http_server_resume(struct http_server *s, struct http_conn *c);

/* http_conn.c */
/* Take an accepted socket (TAKEN; closed when memory is short). refuse_status: 0, 429 or 503. */
void http_conn_open(struct http_server *s, int fd, const struct sockaddr_storage *peer,
		    int refuse_status);
void http_conn_set_state(struct http_conn *c, enum http_conn_state state);
void http_conn_close(struct http_conn *c);    /* at once; an unanswered exchange is gone */
void http_conn_deadline(struct http_conn *c); /* the state's time is over */
void http_conn_resume(struct http_conn *c);
void http_conn_peer(const struct sockaddr_storage *peer,
		    uint8_t in6[16]); /* IPv4 as ::ffff:a.b.c.d */
void http_conn_peer_text(const uint8_t in6[16], char text[INET6_ADDRSTRLEN]);
/* Send what the exchange is answered with; body may be empty with content_bytes > 0 (HEAD). */
void http_conn_send(struct http_conn *c, struct str head, struct str body, bool close_after);
/* Let go of the socket: the descriptor is the caller's. */
int http_conn_release(struct http_conn *c);

/* http_exchange.c */
struct http_exchange *http_exchange_new(struct http_conn *c);
void http_exchange_free(struct http_exchange *x);
void http_exchange_dispatch(
	struct http_exchange *x); /* the request is whole: give it to the handler */
/* An error of the request itself: answer and close. */
void http_exchange_refuse(struct http_exchange *x, int status, const char *message);

#endif
