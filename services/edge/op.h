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

#include "common/base/clock.h"
#include "services/edge/sock.h"

#define UUID_CHARS 36

/* An event of a client on its way to its op; all BORROWED until op_begin_event returns. */
struct op_event {
	struct str text;                 /* as it came: what is kept while it must wait */
	const struct sio_packet *packet; /* slices of it; NULL: not decoded yet */
	struct json_value first; /* where the fields are: JSON_NONE where there is nothing */
	struct blob *const *attachments;
	uint32_t attachment_count;
	bool quiet; /* nobody has sent it just now: a refusal is told to nobody */
};

enum op_kind { OP_CONNECT = 0, OP_EVENT, OP_RENEW };
enum op_stage { OP_VERIFY = 0, OP_CHECK, OP_RESUME, OP_JOIN, OP_SETTLE, OP_ACTIONS };
enum op_next { OP_DONE = 0, OP_WAIT, OP_GO_ON }; /* what a step leads to */

/* A key that is held at a router, for its owner. */
struct hold {
	uint64_t key[2], owner;
};

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
	bool quiet;   /* see struct op_event */
	bool greeted; /* CONNECT: the answer was sent */
	bool calling;
	struct bus_rpc *asked; /* auth, or ingest */
	uint64_t call;         /* the question */
	struct await *await;   /* a router's word on what was relayed is waited for; NULL: none */
	struct order *order;   /* a broker's word is waited for; NULL: none */
	bool claimed;          /* its key is held until it has come through */
	bool claim_again;      /* another one has it: it is asked for again soon */
	struct hold hold;      /* the key; 0: none */
	uint64_t claim_due_ms; /* it is not waited for longer */
	uint64_t claim_ref;    /* a router is asked for it; in edge->claiming; 0: no */
	bool settling;         /* waits for routers */
	bool saving;           /* CONNECT: the session was told */
	bool recovered;        /* CONNECT: the session goes on */
	bool made;             /* what follows is set, and its key claimed */
	char now[CLOCK_ISO_BYTES], new_id[UUID_CHARS];
	struct wheel_timer timer;
};

void op_begin_connect(struct sock *sock, struct str text, const struct sio_packet *packet);
void op_begin_event(struct sock *sock, const struct op_event *event);
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
/* Key of the room a template names; appended to edge->scratch, which the caller empties. */
int act_render_key(struct op *op, const struct tmpl *t, struct str *key) MUST_CHECK;
/* The op fails for this reason, and is gone: OP_DONE. */
enum op_next act_fail(struct op *op, int err);
/* Whether the socket is in the room the event demands; else the op fails and is gone. */
enum op_next act_check_member(struct op *op);

/* Whether the action is to run, as far as is known now. */
bool act_is_due(const struct op *op, const struct action *action);
/* How many attachments go along with these arguments. */
uint32_t act_attachments(const struct op *op, const struct tmpl *args);
/* act_send.c: what goes to others; OP_WAIT where its receiver must confirm it first. */
enum op_next act_relay(struct op *op, const struct action *action);
enum op_next act_produce(struct op *op, const struct action *action);
/*
 * The op is gone: the answer finds nobody. What is under way to a broker with a key goes on without it (edge->orders): the key is held until the broker's
 * answer, or where the question got none for as long as it may still come true.
 */
void act_send_forget(struct op *op);
bool act_send_idle(const struct edge *edge); /* no broker's answer is waited for */
void act_send_free_all(struct edge *edge);   /* at the end, when ingest is asked no more */

/* once.c: set {now}, {new.id}, and where the event has a key claim it: OP_GO_ON (env.duplicate says whether it was known), OP_WAIT, OP_DONE: refused and gone. */
enum op_next once_claim(struct op *op);
/* The event has come through: its key stays. Else, when the op is gone, the same may come again. */
void once_keep(struct op *op);
void once_let_go(struct op *op);
/* From now on the caller holds the key that the op held; false: it held none. */
bool once_take(struct op *op, struct hold *hold);
/* through: it stays known; else the same may come again. */
void once_end(struct edge *edge, const struct hold *hold, bool through);
void once_on_claimed(struct edge *edge, const struct wire_claimed *m);
struct str once_key_of(const void *op); /* for the map */

/* later.c: the event was accepted: what it had set before is off, and what it asks for is set. */
void later_set(struct op *op);
/* The socket has left a room: what waits for events that only its members may send is off. */
void later_drop_room(struct sock *sock, struct str room_key);
void later_drop_all(struct sock *sock);

#endif
