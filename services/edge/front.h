/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes in by HTTP: routing, CORS, the checks every Engine.IO request passes, and who answers it.
 * Source: Engine.IO protocol 4; Fetch standard (CORS); RFC 6455 section 4.2.
 */
#ifndef ROOMWIRE_EDGE_FRONT_H
#define ROOMWIRE_EDGE_FRONT_H

#include "services/edge/session.h"

/* Codes of the contract, section 2. */
enum front_refusal {
	FRONT_TRANSPORT_UNKNOWN = 0,
	FRONT_SESSION_UNKNOWN = 1,
	FRONT_BAD_METHOD = 2,
	FRONT_BAD_REQUEST = 3,
	FRONT_FORBIDDEN = 4,
	FRONT_BAD_VERSION = 5,
};

void front_on_request(struct http_exchange *x, const struct http_request *request, void *ctx);
/* The protocol's version is mandatory on every request, those of a session included. */
bool front_is_version_4(const struct http_request *request);
/* A request to the Engine.IO path. */
void front_on_engine_request(struct edge *edge, struct http_exchange *x,
			     const struct http_request *request);
void front_refuse(struct edge *edge, struct http_exchange *x, enum front_refusal why);
/* Answer whoever asks: the exchange, or the other edge's question. */
void front_reply(struct edge *edge, const struct asker *to, const char *content_type,
		 struct str body);
void front_refuse_asker(struct edge *edge, const struct asker *to, enum front_refusal why);
/* Give the request to the one who can answer it; the session is not known here. */
void front_on_session_request(struct edge *edge, struct session *s, struct http_exchange *x,
			      const struct http_request *request, bool websocket);
/* Answer with CORS headers where the origin is allowed. */
void front_answer(struct edge *edge, struct http_exchange *x, int status, const char *content_type,
		  struct str body);
/* 503 and 429 of session_admit. */
void front_turn_away(struct edge *edge, struct http_exchange *x, int status);
/* Token of the handshake: Authorization: Bearer, else query `token`; empty where there is none. BORROWED from request or scratch. */
struct str front_token(struct http_exchange *x, const struct http_request *request,
		       struct buf *scratch);

/* cors.c: may a WebSocket from this request's origin be accepted? */
bool cors_allows_websocket(const struct edge *edge, const struct http_exchange *x);
/* Header lines for an answer to this request, or nothing. */
void cors_add_headers(const struct edge *edge, const struct http_exchange *x, struct buf *out);
void cors_preflight(struct edge *edge, struct http_exchange *x);

/* polling.c and ws.c: requests that passed the common checks; s is NULL for a handshake. */
void polling_on_request(struct edge *edge, struct session *s, struct http_exchange *x,
			const struct http_request *request);
void ws_on_request(struct edge *edge, struct session *s, struct http_exchange *x,
		   const struct http_request *request);
/* For requests that came by another edge. body: of a POST. */
void polling_get(struct edge *edge, struct session *s, const struct asker *from);
void polling_post(struct edge *edge, struct session *s, const struct asker *from, struct str body);
/* The client of the GET that waits is gone. */
void polling_gone(struct session *s);
/* A WebSocket wants to take over: the GET that waits ends. */
void polling_make_way(struct session *s);
/* ws.c: take the request's socket for a WebSocket; NULL: it was answered, or is gone. */
struct ws_link *ws_take_socket(struct edge *edge, struct http_exchange *x, struct session *s,
			       struct str key);
bool ws_is_handshake(struct http_exchange *x, struct str *key);
void ws_write_text(struct ws_link *link, struct str payload);
extern const struct ws_handlers ws_link_handlers;

/* assets.c: files of DEMO_DIR, read at start. */
int assets_load(const char *dir, struct assets **assets) MUST_CHECK;
void assets_free(struct assets **assets);
bool assets_serve(const struct assets *assets, struct http_exchange *x,
		  const struct http_request *request);

#endif
