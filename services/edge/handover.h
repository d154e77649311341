/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upgrade that lands on another edge than the one that has the session: the WebSocket stays where it is, and the session moves there.
 *
 *   client        this edge                                 the session's edge
 *   ──2probe──▶   FORWARD(PROBE) ─────────────────────────▶ ends the waiting GET
 *   ◀─3probe──
 *   ──5──────▶    FORWARD(TAKE) ──────────────────────────▶ waits until nothing of it is under way
 *                 HANDED, HANDED_SOCKET…, HANDED_FRAME… ◀── and forgets it
 *                 joins its rooms, asks the routers for what came meanwhile (restore.h), goes on
 *
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_HANDOVER_H
#define ROOMWIRE_EDGE_HANDOVER_H

#include "services/edge/session.h"

struct sock;

/* ── where the WebSocket is ── */
void handover_begin(struct edge *edge, struct str sid, struct http_exchange *x);
void handover_on_message(struct ws_link *link, struct str data, bool binary);
void handover_on_closed(struct ws_link *link);
/* Something that the socket waited for is there. */
void handover_go_on(struct sock *sock);

/* ── where the session is ── */
void handover_on_question(struct edge *edge, struct session *s, const struct wire_forward *m,
			  const struct bus_question *q);
/* At the end of a turn: hand over what has come to rest. */
void handover_step(struct edge *edge);
/* The session ends before it was handed over. */
void handover_cancel(struct session *s);

/* handover_pack.c: the session as FORWARDED's body. */
int handover_pack(struct session *s, struct buf *out) MUST_CHECK;
/* The session of such a body, on this WebSocket. NULL: the body is wrong, or out of memory. */
struct session *handover_unpack(struct edge *edge, struct str body, struct ws_link *link);

#endif
