/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP API (docs/http-api.md): api.c finds the row of its table for a request, judges key and method, and calls one of these. Each answers the
 * exchange, now or later. name: the room or user that the path names, decoded, BORROWED until the handler returns; empty: the path names none.
 *
 *   GET  /v1/rooms, /v1/rooms/{room}, /v1/users/{id}, /v1/sockets   api_read.c      questions to routers, merged (api_page.h)
 *   POST /v1/publish, /v1/events                                    api_publish.c
 *   POST /v1/rooms/{room}/join, leave, disconnect                   api_act.c       commands to members, in the order of their rooms
 *   GET  /v1/openapi.json                                           openapi.c
 */
#ifndef ROOMWIRE_INGEST_API_H
#define ROOMWIRE_INGEST_API_H

#include "services/ingest/ingest.h"

typedef void (*api_handler_fn)(struct ingest *ingest, struct http_exchange *x,
			       const struct http_request *request, struct str name);

void api_get_rooms(struct ingest *ingest, struct http_exchange *x,
		   const struct http_request *request, struct str name);
void api_get_room(struct ingest *ingest, struct http_exchange *x,
		  const struct http_request *request, struct str name);
void api_get_user(struct ingest *ingest, struct http_exchange *x,
		  const struct http_request *request, struct str name);
void api_get_sockets(struct ingest *ingest, struct http_exchange *x,
		     const struct http_request *request, struct str name);
void api_post_publish(struct ingest *ingest, struct http_exchange *x,
		      const struct http_request *request, struct str name);
void api_post_event(struct ingest *ingest, struct http_exchange *x,
		    const struct http_request *request, struct str name);
void api_post_join(struct ingest *ingest, struct http_exchange *x,
		   const struct http_request *request, struct str name);
void api_post_leave(struct ingest *ingest, struct http_exchange *x,
		    const struct http_request *request, struct str name);
void api_post_disconnect(struct ingest *ingest, struct http_exchange *x,
			 const struct http_request *request, struct str name);
void api_get_openapi(struct ingest *ingest, struct http_exchange *x,
		     const struct http_request *request, struct str name);

/* 400 with the reason (a text without NUL; empty: it cannot be read). */
void api_refuse(struct http_exchange *x, struct buf *why);
/* 503 with Retry-After. */
void api_unavailable(struct http_exchange *x, const char *message);
/* Zeroed memory for a call, or NULL: too many are under way (a call of several messages counts as so many), or there is none. */
void *api_begin(struct ingest *ingest, size_t count, size_t bytes);
/* It is over: api_begin's count is given back, and the memory is freed. */
void api_end(struct ingest *ingest, size_t count, void *call);
/* For router_clnt_publish: what one call publishes keeps its order. */
uint64_t api_lane(struct ingest *ingest);

#endif
