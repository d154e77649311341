/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Socket.IO servers on Node say to each other over Redis: the wire format of @socket.io/redis-adapter 8 and @socket.io/redis-emitter 5.
 * Sans-I/O: bytes of a message to what it means, and back. Everything that is read is bounded; what is not understood is an error, never half
 * a message. Thread: any, one at a time.
 *
 *   KEY#NSP#, KEY#NSP#ROOM#  broadcasts (the second when they are to one room): msgpack [uid, packet {type, data, nsp}, {rooms, except, flags}]
 *   KEY-request#NSP#         requests: JSON, or msgpack where they hold a packet: {uid, requestId, type, …}
 *   KEY-response#NSP#        answers: {requestId, …}; KEY-response#NSP#UID# reaches the asking server alone
 *
 * uid is of the sending server: it ignores its own broadcasts; "emitter" for the emitter. How many servers there are is PUBSUB NUMSUB of the request channel.
 */
#ifndef ROOMWIRE_ADAPT_ADAPT_SIOREDIS_H
#define ROOMWIRE_ADAPT_ADAPT_SIOREDIS_H

#include "common/adapt/adapt_sioredis_value.h"

#define SIOREDIS_NAMES_MAX 1000 /* rooms of one list */
#define SIOREDIS_ID_BYTES 64    /* of a request, a server */

enum sioredis_kind {
	SIOREDIS_SOCKETS = 0, /* of rooms: {requestId, sockets: [id…]} */
	SIOREDIS_ALL_ROOMS,   /* {requestId, rooms: […]} */
	SIOREDIS_JOIN,        /* no answer */
	SIOREDIS_LEAVE,
	SIOREDIS_DISCONNECT,
	SIOREDIS_FETCH,            /* {requestId, sockets: [{id, handshake, rooms, data}…]} */
	SIOREDIS_SERVER_SIDE_EMIT, /* with a requestId: {type, requestId, data} */
	SIOREDIS_BROADCAST,        /* with acks: a CLIENT_COUNT, then an ACK for each client */
	SIOREDIS_CLIENT_COUNT,     /* {type, requestId, clientCount} */
	SIOREDIS_ACK,              /* {type, requestId, packet}, msgpack */
	SIOREDIS_KINDS             /* how many there are */
};

struct sioredis_names {
	uint32_t count;
	const struct str *items;
};

struct sioredis_event {
	struct str uid;
	struct str nsp;
	struct str event; /* plain text */
	struct str args;  /* JSON joined by commas; placeholders stand for bins */
	const struct str *bins;
	uint32_t bin_count;
	struct sioredis_names rooms; /* none: the whole namespace */
	struct sioredis_names except;
	bool is_volatile;
};

struct sioredis_request {
	enum sioredis_kind kind;
	struct str uid;              /* empty: not said */
	struct str id;               /* its JSON text; empty: no answer wanted */
	struct sioredis_names rooms; /* SOCKETS, JOIN … BROADCAST: who; none: the whole namespace */
	struct sioredis_names except;
	struct sioredis_names targets; /* JOIN, LEAVE */
	bool close;                    /* DISCONNECT: the connection, too */
	struct sioredis_event event;   /* BROADCAST */
	uint64_t timeout_ms;           /* BROADCAST: how long its sender waits; 0: not said */
};

struct sioredis_decoder; /* memory of one decoding; what it gave is BORROWED from it and the message until the next */

struct sioredis_decoder *sioredis_decoder_new(size_t max_bytes); /* of a message as JSON */
void sioredis_decoder_free(struct sioredis_decoder **d);         /* nulls; accepts NULL inside */
/*
 * E_SYNTAX, E_TYPE (not of this format), E_RANGE (too many rooms or binary parts, a name of the event or namespace that is too long), E_TOOBIG,
 * E_DEPTH, E_TRUNCATED, E_UTF8, E_NOMEM. Numbers among rooms are their digits.
 */
int sioredis_decode_event(struct sioredis_decoder *d, struct str message,
			  struct sioredis_event *event) MUST_CHECK;
int sioredis_decode_request(struct sioredis_decoder *d, struct str message,
			    struct sioredis_request *request) MUST_CHECK;

/* Appended to out. errors: of out; E_SYNTAX where args are no JSON. scratch: its content is lost. */
int sioredis_encode_event(const struct sioredis_event *event, struct buf *scratch,
			  struct buf *out) MUST_CHECK;
/* JOIN, LEAVE or DISCONNECT. */
void sioredis_encode_verb(const struct sioredis_request *request, struct buf *out);
/* id: JSON text; items: of the list, JSON joined by commas. */
void sioredis_encode_sockets(struct str id, struct str items, struct buf *out);
/* Begins an item of them for FETCH, open in its list of rooms, whose first one is the socket's own: the caller adds `,"room"` … and `]}`. */
void sioredis_add_socket(struct buf *items, struct str sid, struct str user_id);
void sioredis_encode_rooms(struct str id, struct str items, struct buf *out);
void sioredis_encode_no_answer(struct str id, struct buf *out); /* of SERVER_SIDE_EMIT: null */
void sioredis_encode_client_count(struct str id, uint64_t count, struct buf *out);
/* Of one client: the first of its arguments, left out where it has none. id: JSON text. errors: as sioredis_encode_event. */
int sioredis_encode_ack(struct str id, struct str args, const struct str *bins, uint32_t bin_count,
			struct buf *scratch, struct buf *out) MUST_CHECK;

/* Channels, appended. room: of the broadcast's only one, or empty. */
void sioredis_add_channel(struct buf *out, struct str key, struct str nsp, struct str room);
void sioredis_add_request_channel(struct buf *out, struct str key, struct str nsp);
void sioredis_add_response_channel(struct buf *out, struct str key, struct str nsp);
/* Pattern (PSUBSCRIBE) of all broadcasts of a namespace. */
void sioredis_add_pattern(struct buf *out, struct str key, struct str nsp);

#endif
