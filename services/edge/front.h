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
void front_refuse(struct edge *edge, struct http_exchange *x, enum front_refusal why);
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
extern const struct ws_handlers ws_link_handlers;

/* assets.c: files of DEMO_DIR, read at start. */
int assets_load(const char *dir, struct assets **assets) MUST_CHECK;
void assets_free(struct assets **assets);
bool assets_serve(const struct assets *assets, struct http_exchange *x,
		  const struct http_request *request);

#endif
