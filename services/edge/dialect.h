/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a profile's clients speak. Everything behind it (sockets, rooms, events, recovery, delivery) is the same for all dialects; a broadcast is
 * encoded once per edge, by the one dialect of its profile.
 *
 *   sio.c    Socket.IO 5 over Engine.IO 4: sessions by long-polling or WebSocket, several namespaces each
 *   plain.c  one WebSocket is one socket in "/"; JSON texts {"type":…,"payload":…} both ways (docs/plain.md)
 *
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_DIALECT_H
#define ROOMWIRE_EDGE_DIALECT_H

#include "common/metrics/metrics.h"
#include "services/edge/op.h"

struct dialect {
	struct str pid_key; /* what a client that comes back calls its private id */
	bool renews;        /* tokens can be renewed: reminded of, and token:update is taken */
	bool ws_pings;      /* the heartbeat is the WebSocket's own */
	bool one_socket;    /* a connection ends with its socket */
	bool closes; /* a client that closes its WebSocket in order has left; others see it at once */
	bool acks;   /* its clients can acknowledge a broadcast */
	const char *unknown; /* what is told of an event that the profile does not have */
	const char *offered; /* where its clients are served, for a 404 */

	/* ── in ── */
	/* An HTTP request; false: none of the dialect's. */
	bool (*request)(struct edge *edge, struct http_exchange *x,
			const struct http_request *request);
	/* A whole WebSocket message of an open session. */
	void (*receive)(struct session *s, struct str data, bool binary);
	/* Text of a socket that was kept until the one before it was done. */
	void (*work)(struct sock *sock, const struct op_event *kept);
	/* Append an event as this client would send it. */
	void (*pretend)(struct buf *out, struct str event, struct str args);

	/* ── out ── */
	/*
	 * Frames of a DELIVER with this offset (may be empty), room for WIRE_MAX_PAYLOADS: 0, or E_NOMEM (count of them are made). ack_id: clients
	 * are to acknowledge it by this id; 0: they are not.
	 */
	int (*encode)(struct edge *edge, const struct bus_message *m, struct str offset,
		      uint32_t ack_id, struct frame **frames, uint32_t *count);
	void (*emit)(struct sock *sock, struct str event, struct str args,
		     struct blob *const *attachments, uint32_t attachment_count);
	void (*ack)(struct sock *sock, uint64_t ack_id, struct str args,
		    struct blob *const *attachments, uint32_t attachment_count);
	/* more: a further member (`"key":"k-1"`), or empty. */
	void (*error)(struct sock *sock, struct str code, struct str message, struct str more);
	void (*greet)(struct sock *sock, bool recovered); /* CONNECT is accepted */
	void (*refuse)(struct sock *sock, struct str code);
	void (*dismiss)(struct sock *sock); /* its end, before it is closed */
	void (*ping)(struct session *s);
	int (*close_code)(enum metric reason); /* of the WebSocket */
};

extern const struct dialect dialect_sio, dialect_plain;

#endif
