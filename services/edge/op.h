/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thing a client asked for, from its packet to its answer: a CONNECT, an event, a token's renewal. Most are done before op_begin_* returns;
 * one that has to wait (for auth's judgement, for a router's confirmation of a room) copies what it needs and goes on later.
 *
 *   VERIFY (token) ──▶ CHECK (permission) ──────────────────▶ ACTIONS (join, leave, ack, emit, relay) ──▶ done
 *        │                  └ CONNECT: RESUME ──▶ JOIN ──▶ SETTLE ─┘
 *        └──────────────────┴───────── refused, timed out ─────▶ failure ack, error event, or CONNECT_ERROR
 *
 * An answer waits until the routers have confirmed the rooms that were joined before it and have saved that they were joined (SETTLE; of an event,
 * between two actions): what is published after the answer arrives, whatever dies. A CONNECT that no router answers closes the transport: its
 * client comes again by itself.
 *
 * Thread: loop thread. Lifetime: ends with its last step, or with its socket (op_cancel).
 */
#ifndef ROOMWIRE_EDGE_OP_H
#define ROOMWIRE_EDGE_OP_H

#include "services/edge/sock.h"

enum op_kind { OP_CONNECT = 0, OP_EVENT, OP_RENEW };
enum op_stage { OP_VERIFY = 0, OP_CHECK, OP_RESUME, OP_JOIN, OP_SETTLE, OP_ACTIONS };
enum op_next { OP_DONE = 0, OP_WAIT, OP_GO_ON }; /* what a step leads to */

struct op {
	enum op_kind kind;
	enum op_stage stage;
	struct sock *sock;
	struct str text; /* the packet; BORROWED until the op waits, then in `kept` */
	struct blob *kept;
	struct sio_packet packet;        /* slices of text */
	struct blob *const *attachments; /* BORROWED until the op waits */
	struct blob **kept_attachments;
	uint32_t attachment_count;
	struct tmpl_env env; /* slices of text, user and profile */
	const struct profile_event *event;
	const struct action *actions;
	uint32_t action_count, next;
	bool greeted; /* CONNECT: the answer was sent */
	bool calling;
	uint64_t call;  /* question to auth */
	bool settling;  /* waits for routers */
	bool saving;    /* CONNECT: the session was told */
	bool recovered; /* CONNECT: the session goes on */
	struct wheel_timer timer;
};

void op_begin_connect(struct sock *sock, struct str text, const struct sio_packet *packet);
void op_begin_event(struct sock *sock, struct str text, const struct sio_packet *packet,
		    struct blob *const *attachments, uint32_t attachment_count);
void op_cancel(struct op *op); /* the socket is gone */
/* Rooms were confirmed, or the session saved, or what was missed is there: go on, if that was waited for and is all. */
void op_settled(struct sock *sock);
/* The router does not keep the session. */
void op_save_refused(struct sock *sock, struct str code);
/* OP_WAIT until nothing of the socket is under way at routers, else OP_GO_ON. */
enum op_next op_settle(struct op *op);
/* Refuse: ends the op. message may be empty. */
void op_fail(struct op *op, struct str code, struct str message);

/* ask.c: questions to auth; the answer calls op_go_on or op_fail. */
enum op_next ask_verify(struct op *op);
enum op_next ask_check(struct op *op, const struct profile_check *check, const struct tmpl *args);
void op_go_on(struct op *op, enum op_stage stage);
/* OWNED by caller (mem_free); NULL when out of memory, or json is no object. */
struct user *ask_make_user(struct str id, struct str json, uint64_t expires_ms);

/* act.c: run the actions from op->next; OP_WAIT when one waits, OP_DONE when all are done or the op has failed and is gone. */
enum op_next act_run(struct op *op);
/* Whether the socket is in the room the event demands; else the op fails and is gone. */
enum op_next act_check_member(struct op *op);

#endif
