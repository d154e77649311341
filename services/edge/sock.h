/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Socket.IO socket: one namespace of one client, with its user, its rooms, and the event that is being worked on.
 *
 *      CONNECT                  all asked and joined             DISCONNECT, token ends
 *   ─────────────▶ SOCK_CONNECTING ───────────────▶ SOCK_CONNECTED ─────────────────────▶ SOCK_CLOSED ── end of turn ──▶ freed
 *                                                        │ transport gone                   ▲
 *                                                        └────────▶ SOCK_PARKED ────────────┘ see record.h
 *
 * What comes for its rooms while it is connecting is kept until the CONNECT is answered.
 * Events of one socket are worked on one after another: while one waits (for auth, for a router) the next ones are parked, bounded by
 * SOCK_INBOX_BYTES. Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_SOCK_H
#define ROOMWIRE_EDGE_SOCK_H

#include "services/edge/session.h"

#define SOCK_INBOX_BYTES (1u << 20)

enum sock_state { SOCK_CONNECTING = 0, SOCK_CONNECTED, SOCK_PARKED, SOCK_CLOSED };

/* Who it is: as auth said. One block. */
struct user {
	struct str id;
	struct json_value value; /* object */
	uint64_t expires_ms;     /* wall clock; 0: never */
	char data[];
};

struct asked;
struct later;
struct membership;
struct op;
struct restore;
struct shard;

struct sock {
	struct list node; /* on session->socks, edge->parked, or edge->dead_socks */
	struct edge *edge;
	struct session *session; /* NULL once parked or closed */
	const struct profile_nsp *nsp;
	enum sock_state state;
	char id[EDGE_ID_BYTES];
	struct user *user;       /* OWNED; NULL: nobody in particular */
	char pid[EDGE_ID_BYTES]; /* private id; first byte 0: cannot be recovered */
	bool told;               /* the session's router has been told of it */
	bool unparking;
	bool left; /* parked: its client has closed in order, and nobody is shown it */
	bool refresh_told;
	uint32_t attempts;   /* at its recovery: what an earlier one was given was dropped */
	uint64_t generation; /* of our claim to it */
	uint64_t save_ref; /* the router has not said yet that it has this change; 0: it has all */
	uint64_t parked_at_ms;
	struct shard *home;      /* whose router keeps the session; NULL: none is known */
	struct list home_node;   /* on home->homed or home->homed_untold */
	struct restore *restore; /* OWNED; NULL unless it is being recovered */
	struct out_node *held_first, *held_last; /* what waits for the answer to CONNECT */
	size_t held_bytes;
	struct membership *rooms;
	uint32_t room_count, room_cap;
	uint32_t unconfirmed; /* of them */
	struct op *op;        /* the event that is being worked on */
	struct list inbox;    /* struct parked */
	size_t inbox_bytes;
	struct later *laters; /* events that are due later; OWNED */
	struct asked *asked;  /* acknowledgements the client owes; OWNED; NULL: never any */
	uint64_t mark;        /* see deliver.c */
	struct wheel_timer token_timer;
};

struct str sock_id_of(const struct sock *sock);
/* sio.c: a whole packet of a client: text as it came, decoded as packet, with its attachments (referenced, not TAKEN). */
void sock_receive(struct session *s, struct str text, const struct sio_packet *packet,
		  struct blob *const *attachments, uint32_t attachment_count);
struct op_event;
/* Is it at work? Then what comes is kept (COPIED) until it is that one's turn. */
bool sock_is_busy(const struct sock *sock);
void sock_keep(struct sock *sock, const struct op_event *event);
/* What is kept belongs to another socket now. */
void sock_pass_inbox(struct sock *from, struct sock *to);
/* Work on parked packets until one waits. */
void sock_unpark(struct sock *sock);
/* Leave all rooms and end, for good. tell: with a DISCONNECT packet. Harmless twice. */
void sock_close(struct sock *sock, bool tell);
/* The session has ended. recoverable: its clients may come back to what they had. */
void sock_close_all(struct session *s, bool recoverable);
/* Keep a frame (referenced, not TAKEN) until the CONNECT is answered. Past MAX_UNSENT_BYTES and REPLAY_BYTES the session is closed. */
size_t sock_held_bytes_max(const struct edge *edge);
void sock_hold(struct sock *sock, struct frame *frame);
void sock_send_held(struct sock *sock);
void sock_drop_held(struct sock *sock);
/* For restore.c and handover.c: a socket of this session, with this id or (empty) a new one. NULL when out of memory. */
struct sock *sock_create(struct session *s, const struct profile_nsp *nsp, struct str id);
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
