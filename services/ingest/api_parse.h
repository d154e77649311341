/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the publish API: from JSON to what is published, with a reason where something is wrong. Sans-I/O. */
#ifndef ROOMWIRE_INGEST_API_PARSE_H
#define ROOMWIRE_INGEST_API_PARSE_H

#include "services/ingest/ingest.h"

#define API_ID_BYTES 256
#define API_ROOMS_MAX 1000
#define API_ROOM_BYTES 700
#define API_EVENT_BYTES 255

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

/* Slices are BORROWED from body and scratch. E_SYNTAX, E_TYPE, E_RANGE … with why. api_publish_fini also after an error. */
int api_parse_publish(const struct profile *profile, struct str body, struct api_publish *p,
		      struct buf *scratch, struct buf *why) MUST_CHECK;
void api_publish_fini(struct api_publish *p);
int api_parse_event(struct str body, struct api_event *e, struct buf *scratch,
		    struct buf *why) MUST_CHECK;

#endif
