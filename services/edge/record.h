/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a router keeps of a socket, so that its client can come back to it at any edge, and backends can ask who is there (also where no client is offered
 * to come back): told before the client is answered, and with each change of its rooms. All sessions of one user are kept by the same router.
 *
 *   SOCK_CONNECTED ──transport gone──▶ SOCK_PARKED ──window over, or taken by another edge──▶ gone
 *
 * A parked socket holds its rooms here: what comes for them meanwhile is in this edge's history, too.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_RECORD_H
#define ROOMWIRE_EDGE_RECORD_H

#include "services/edge/room.h"
#include "services/edge/sock.h"

struct str record_pid_of(const void *sock); /* for the map */
struct sock *record_sock_of(struct list *home_node);

/* Whether clients are offered to come back. */
bool record_offered(const struct edge *edge);
/* Whose router keeps the sessions of this user (of nobody in particular: this session); NULL while none is known. */
struct shard *record_home(struct edge *edge, struct str user_id, struct str pid);
/* Give the socket a private id of its own; it must have its user. E_NOMEM. */
int record_begin(struct sock *sock) MUST_CHECK;
/* Or that of an earlier life: a router has given us the claim to it. */
int record_adopt(struct sock *sock, struct str pid, uint64_t generation) MUST_CHECK;
/* The session as a whole; rooms that are not confirmed yet are left out. sock->save_ref is set until the router has it. */
void record_save(struct sock *sock);
/* Rooms that were joined since. True: something was told, and is to be waited for. */
bool record_save_joined(struct sock *sock);
void record_save_left(struct sock *sock, struct str room_name);
/* For shard.c: as a whole, to its router. 0, or why the link does not take it now. */
int record_tell(struct sock *sock) MUST_CHECK;
/* The set of routers has changed. */
void record_move_all(struct edge *edge);

/* The client is gone, and may come back. The session lets go of the socket. */
void record_park(struct sock *sock);
/* It cannot be recovered any more; the socket itself goes on. */
void record_end(struct sock *sock);
void record_end_holders(struct room *room); /* of parked sockets that hold it */
/* The claim belongs to somebody else: forget it without a word. A parked socket is gone. */
void record_let_go(struct sock *sock);
void record_sweep(struct edge *edge);
void record_free_all(struct edge *edge);

/* A claim we were given and have no client for. */
void record_give_back(struct edge *edge, const struct wire_resumed *m);
void record_on_saved(struct edge *edge, const struct wire_saved *m);
void record_on_taken(struct edge *edge, const struct wire_session_taken *m);

#endif
