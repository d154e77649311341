/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the publish API: from JSON to what is published, with a reason where something is wrong. Sans-I/O. */
#ifndef ROOMWIRE_INGEST_API_PARSE_H
#define ROOMWIRE_INGEST_API_PARSE_H

#include "services/ingest/ingest.h"

#define API_ID_BYTES 256
#define API_ROOMS_MAX 1000
#define API_ROOM_BYTES 700
#define API_EVENT_BYTES 255
#define API_USERS_MAX 100
#define API_BATCH_MAX 1000

struct api_publish {
	struct wire_publish message; /* without uid */
	struct str data;             /* JSON */
	struct str id;               /* empty: none given */
	struct str *rooms, *except;  /* OWNED */
};

struct api_event {
	struct str type, id;
	struct json_value body; /* without `type` */
};

/* Whom something is done to. What is not named is NULL; what is named is never empty. */
struct api_action {
	struct str nsp;
	struct str *sockets, *users, *rooms; /* OWNED */
	uint32_t socket_count, user_count, room_count;
};

/* A body that is a JSON object. */
int api_parse_body(struct str body, struct json_value *object, struct buf *why) MUST_CHECK;
/* Slices are BORROWED from body and scratch. E_SYNTAX, E_TYPE, E_RANGE … with why. api_publish_fini also after an error. */
int api_parse_publish(const struct profile *profile, struct json_value object,
		      struct api_publish *p, struct buf *scratch, struct buf *why) MUST_CHECK;
void api_publish_fini(struct api_publish *p);
int api_parse_event(struct str body, struct api_event *e, struct buf *scratch,
		    struct buf *why) MUST_CHECK;

/* An empty body is {}. Members that are not known are refused: a name that was misspelt must not mean everybody. api_action_fini also after an error. */
int api_parse_action(const struct profile *profile, struct str body, struct api_action *a,
		     struct buf *scratch, struct buf *why) MUST_CHECK;
void api_action_fini(struct api_action *a);

#endif
