/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend does to members of rooms (DELIVER.verb): they join rooms, leave them, or are disconnected. It has its place in the order of
 * the rooms it was sent to, like an event: who is connected follows at once; who is away follows when it comes back, at that place between the messages
 * it missed (restore.c), whatever edge it comes to.
 *
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_COMMAND_H
#define ROOMWIRE_EDGE_COMMAND_H

#include "proto/values.h"
#include "services/edge/sock.h"

/* Do it to a socket that has a client. It may be closed by that. Unknown verbs are counted. */
void command_run(struct sock *sock, const struct wire_deliver *m);

/*
 * The same for a socket that is being recovered, whose missed messages are known: join what it was told to join meanwhile (their messages from that place on
 * are to be asked for). True: there was such a room.
 */
bool command_join_missed(struct sock *sock, const struct wire_deliver *m);
/* Rooms it was told to leave stand out from here on, those it was told to join again do not; command_leave_out ends them. */
void command_mark_out(struct sock *sock, const struct wire_deliver *m);
void command_leave_out(struct sock *sock);

#endif
