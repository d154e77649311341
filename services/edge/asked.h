/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Broadcasts that clients are asked to acknowledge: which ones a socket's client owes, and what becomes of its answers.
 *
 *   DELIVER with a number ─▶ one packet id for all members ─▶ ASKED, how many they are
 *   client ── ACK id ──▶ does it owe this one? ─▶ ACK to the router that sent the DELIVER
 *
 * Such a broadcast is for who is here now: it has no place and no history, and what a client owes ends with its connection (but goes with it to another
 * edge at its upgrade). Bound: ASKED_MAX of one socket; past it the oldest is forgotten, and its answer is not taken.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_ASKED_H
#define ROOMWIRE_EDGE_ASKED_H

#include "proto/item.h"
#include "services/edge/shard.h"
#include "services/edge/sock.h"

#define ASKED_MAX 1000u

/* Id of a packet for all members of a broadcast: 1 to 2^31-1, as clients in any language can hold it; two edges hardly ever use the same one. */
uint32_t asked_next_id(struct edge *edge);
/* The socket's client owes an answer to this DELIVER. Without memory its answer is not taken. */
void asked_note(struct sock *sock, uint32_t id, const struct shard *shard, uint64_t number);
/* What the client has answered; one it does not owe is ignored. args: JSON joined by commas. */
void asked_on_ack(struct sock *sock, uint64_t id, struct str args, struct blob *const *attachments,
		  uint32_t attachment_count);
/* To the router: so many were asked. */
void asked_tell(struct shard *shard, uint64_t number, uint64_t clients);
void asked_forget(struct sock *sock);

/* For handover: what it owes, as items. 0, E_NOMEM or E_TOOBIG; the caller calls item_list_fini either way. */
int asked_pack(const struct sock *sock, struct item_list *list, struct wire_list *out) MUST_CHECK;
int asked_take(struct sock *sock, const struct wire_list *list) MUST_CHECK; /* 0 or E_SYNTAX */

#endif
