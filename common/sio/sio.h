/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket.IO protocol 5: decoding of what clients send, encoding of what they are sent. Sans-I/O; payloads are validated once
 * and passed on as slices. Source: the Socket.IO protocol document, revision 5.
 *
 *     <type>[<attachments>-][<namespace>,][<ack id>][JSON]          e.g.  51-/admin,12["file",{"_placeholder":true,"num":0}]
 */
#ifndef ROOMWIRE_SIO_SIO_H
#define ROOMWIRE_SIO_SIO_H

#include "common/json/json.h"

enum sio_type {
	SIO_CONNECT = 0,
	SIO_DISCONNECT = 1,
	SIO_EVENT = 2,
	SIO_ACK = 3,
	SIO_CONNECT_ERROR = 4,
	SIO_BINARY_EVENT = 5,
	SIO_BINARY_ACK = 6,
};

#define SIO_MAX_ATTACHMENTS_DEFAULT 10
#define SIO_MAX_NSP_BYTES 255

struct sio_packet {
	enum sio_type type;
	bool has_ack;
	uint32_t attachments; /* binary packets that must follow */
	uint64_t ack_id;      /* when has_ack */
	struct str nsp; /* "/" when none was named; query string ("/a?x=1") cut off; BORROWED */
	struct json_value data;  /* JSON_NONE, or the validated payload; BORROWED */
	struct json_value event; /* events: the name, a JSON string; BORROWED from data */
	struct str
		args; /* events and acks: the text between the name (or '[') and ']', i.e. the arguments joined by
	                         * commas as they came; empty when there are none; BORROWED */
	uint32_t arg_count;
};

/*
 * Decode and validate one packet (the body of an EIO_MESSAGE).
 * What a client may send: CONNECT (object or nothing), DISCONNECT (nothing), EVENT (array whose first element is a string, not one of
 * the reserved names connect, connect_error, disconnect, disconnecting, newListener, removeListener), ACK (array with an id),
 * the binary forms (1 to max_attachments attachments). CONNECT_ERROR from a client is E_SYNTAX.
 * errors: E_SYNTAX, E_UTF8, E_DEPTH, E_TRUNCATED, E_TOOBIG (attachments, namespace), E_RANGE (ack id past 2^53).
 */
int sio_decode(struct str text, uint32_t max_attachments, struct sio_packet *packet) MUST_CHECK;

/* Append "<type>[n-][nsp,][id]" — everything before the JSON; the caller appends the JSON. nsp "/" is left out; ack_id < 0: none.
 * The leading Engine.IO '4' is not included. */
void sio_encode_head(struct buf *out, enum sio_type type, uint32_t attachments, struct str nsp,
		     int64_t ack_id);
/* Append `["event",args]`; event is plain text (it is escaped here), args is JSON text joined by commas, possibly empty. */
void sio_encode_args(struct buf *out, struct str event, struct str args);

#endif
