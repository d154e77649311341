/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Socket.IO socket: one namespace of one client, with its user, its rooms, and the event that is being worked on.
 *
 *      CONNECT                  all asked and joined             DISCONNECT, session ends, token ends
 *   ─────────────▶ SOCK_CONNECTING ───────────────▶ SOCK_CONNECTED ─────────────────────▶ SOCK_CLOSED ── end of turn ──▶ freed
 *
 * Events of one socket are worked on one after another: while one waits (for auth, for a router) the next ones are parked, bounded by
 * SOCK_INBOX_BYTES. Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_SOCK_H
#define ROOMWIRE_EDGE_SOCK_H

#include "services/edge/room.h"
#include "services/edge/session.h"

#define SOCK_INBOX_BYTES (1u << 20)

enum sock_state { SOCK_CONNECTING = 0, SOCK_CONNECTED, SOCK_CLOSED };

/* Who it is: as auth said. One block. */
struct user {
	struct str id;
	struct json_value value; /* object */
	uint64_t expires_ms;     /* wall clock; 0: never */
	char data[];
};

struct membership {
	struct room *room;
	uint32_t index; /* in room->members */
};

struct op;

struct sock {
	struct list node; /* on session->socks, or edge->dead_socks */
	struct edge *edge;
	struct session *session; /* NULL once closed */
	const struct profile_nsp *nsp;
	enum sock_state state;
	char id[EDGE_ID_BYTES];
	struct user *user; /* OWNED; NULL: nobody in particular */
	struct membership *rooms;
	uint32_t room_count, room_cap;
	struct op *op;     /* the event that is being worked on */
	struct list inbox; /* struct parked */
	size_t inbox_bytes;
	bool unparking;
	bool refresh_told;
	uint64_t mark; /* see deliver.c */
	struct wheel_timer token_timer;
};

struct str sock_id_of(const void *sock); /* for the map */
/* A whole packet of a client: text as it came, decoded as packet, with its attachments (referenced, not TAKEN). */
void sock_receive(struct session *s, struct str text, const struct sio_packet *packet,
		  struct blob *const *attachments, uint32_t attachment_count);
/* Work on parked packets until one waits. */
void sock_unpark(struct sock *sock);
/* Leave all rooms and end. tell: with a DISCONNECT packet. Harmless twice. */
void sock_close(struct sock *sock, bool tell);
void sock_close_all(struct session *s);
void sock_free(struct sock *sock); /* at the end of the turn */

/* Send an event, or an ack. args: JSON joined by commas. */
void sock_emit(struct sock *sock, struct str event, struct str args,
	       struct blob *const *attachments, uint32_t attachment_count);
void sock_ack(struct sock *sock, uint64_t ack_id, struct str args, struct blob *const *attachments,
	      uint32_t attachment_count);
/* The dialect's event `error` {code, message}. */
void sock_emit_error(struct sock *sock, struct str code, struct str message);

/* token.c: the user's token has an end: remind, and disconnect. */
void token_watch(struct sock *sock);
bool token_is_renewal(struct str event_name);
extern const struct str TOKEN_UPDATED;

#endif
