/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain dialect: one JSON object per WebSocket text message, {"type":"…","payload":{…}}. Sans-I/O; what comes is validated once and passed on
 * as slices. Source: docs/plain.md.
 */
#ifndef ROOMWIRE_SIO_PLAIN_H
#define ROOMWIRE_SIO_PLAIN_H

#include "common/json/json.h"

struct plain_message {
	struct json_value whole;   /* object */
	struct json_value type;    /* string */
	struct json_value payload; /* JSON_NONE: there is none */
};

/* Slices of text. E_TYPE: no object, or `type` is no text; E_NOTFOUND: no `type`; else as json_parse. */
int plain_decode(struct str text, struct plain_message *m) MUST_CHECK;
/*
 * Append {"type":type,"payload":args,"offset":offset}. type is plain text (it is escaped here); args is JSON: nothing (then there is no payload), one
 * value, or several joined by commas (then the payload is an array of them). offset: text that needs no escape; empty: left out.
 */
void plain_encode(struct buf *out, struct str type, struct str args, struct str offset);

#endif
