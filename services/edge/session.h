/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An Engine.IO session (protocol 4): one client, over long-polling or a WebSocket, with its heartbeat, its upgrade and its queue of packets.
 *
 *              open                  close from any side, ping timeout, error
 *   (none) ───────────▶ SESSION_OPEN ───────────────────────────────────────▶ SESSION_CLOSED ── end of turn ──▶ freed
 *                        on edge->sessions                                      on edge->dead_sessions
 *
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_EDGE_SESSION_H
#define ROOMWIRE_EDGE_SESSION_H

#include "common/metrics/metrics.h"
#include "common/sio/sio_assembly.h"
#include "services/edge/edge.h"
#include "services/edge/frame.h"

enum session_state { SESSION_OPEN = 0, SESSION_CLOSED };

/* What stands between a WebSocket of the library and a session; lives as long as the WebSocket. */
struct ws_link {
	struct edge *edge;
	struct session *session; /* NULL once the session let go of it */
	struct ws_conn *conn;
	struct away *away; /* OWNED: the session it probes is at another edge; see handover.h */
	bool probing;      /* asks to take over a polling session */
	bool probed;       /* said "2probe" */
	struct wheel_timer timer; /* the upgrade's deadline */
};

/* Who asks: a client of ours, or another edge for one of its. */
struct asker {
	struct http_exchange *x;      /* NULL: another edge */
	struct bus_question question; /* of the other edge */
	uint64_t get;                 /* its number there */
};

/* Waits for a session that is on its way to it: another edge has the WebSocket now. */
struct handing {
	struct list node; /* on edge->handing */
	struct session *session;
	uint64_t since_ms;
	struct bus_question question;
};

struct strikes;

struct out_node {
	struct out_node *next;
	struct frame *frame;
};

struct address {
	char text[46];
	uint32_t count;
};

struct session {
	struct edge *edge;
	enum session_state state;
	char sid[EDGE_ID_BYTES];
	bool awaiting_pong;
	bool greeted;          /* has joined a namespace once */
	struct list dirty;     /* on edge->dirty, or on edge->dead_sessions */
	struct list socks;     /* struct sock */
	struct ws_link *ws;    /* the transport, or NULL: polling */
	struct ws_link *probe; /* a WebSocket that wants to become the transport */
	uint64_t
		probed_away_until_ms; /* such a one is at another edge, which may die without a word; 0: no */
	struct handing *handing;     /* OWNED; NULL: nobody waits for it */
	struct http_exchange *knock; /* plain: the handshake that is not answered yet; NULL: none */
	struct strikes *strikes;     /* plain: its latest errors; OWNED; NULL: none */
	uint16_t close_code;         /* plain: of the WebSocket; 0: by the reason */
	bool left;                   /* plain: its client has closed in order */
	bool spoken;                 /* plain: has sent its first message */
	struct asker *poll;          /* a GET that waits for packets; OWNED */
	struct out_node *out_first, *out_last;
	size_t out_bytes;
	size_t repeat_bytes; /* of them, what was owed when it came back: it is not slow for that */
	struct sio_assembly *assembly; /* a packet whose attachments are still coming; OWNED */
	char *token;             /* of the handshake's Authorization header or query; OWNED; NULL */
	struct address *address; /* counted there; NULL where not limited */
	uint64_t deadline_ms;    /* of the pong that is (or will be) waited for */
	struct wheel_timer heartbeat;
	struct wheel_timer greeting; /* the connect timeout */
};

struct session *session_find(struct edge *edge,
			     struct str sid); /* NULL: none, or past its heartbeat (then closed) */
/* token: of the handshake, may be empty (COPIED). address: the peer's. NULL when out of memory. */
struct session *session_open(struct edge *edge, struct str token, struct str address);
/* Whether one more client from this address may come: 0, or an HTTP status. */
int session_admit(struct edge *edge, struct str address);
/* One that comes from another edge, with its id. */
struct session *session_adopt(struct edge *edge, const struct wire_handed *m);
/* The open packet's JSON ({"sid":…}) behind its '0'. upgrades: whether a WebSocket may take over. */
void session_add_open(const struct session *s, bool upgrades, struct buf *out);
/* A packet came in by the current transport. Text that is no packet, or cannot be one here, closes the session. */
void session_receive(struct session *s, const struct eio_packet *packet);
void session_receive_binary(struct session *s, struct str data);
/* The heartbeat begins now (anew), or waits until then. */
void session_begin_heartbeat(struct session *s);
void session_hold_heartbeat(struct session *s);
/* The client has answered a ping. */
void session_on_pong(struct session *s);
/* Queue a frame (referenced, not TAKEN); it leaves at the end of the turn. Past MAX_UNSENT_BYTES the session is closed. */
void session_send(struct session *s, struct frame *frame);
void session_send_text(struct session *s, struct str payload); /* encodes a frame of its own */
/* Write what is queued as far as the transport takes it. */
void session_flush(struct session *s);
/* The first frame of the queue was sent: forget it. */
void session_pop(struct session *s);
/* Forget what is queued. */
void session_drop_queue(struct session *s);
/* End it. Clients see a closed transport. Harmless twice. */
void session_close(struct session *s, enum metric reason);
void session_free(struct session *s); /* at the end of the turn */

/* Polling (polling.c): answer the waiting GET with what is queued, or with one packet. */
void polling_flush(struct session *s);
void polling_answer(struct session *s, struct str packet);
/* WebSocket (ws.c). */
void ws_flush(struct session *s);
void ws_detach(struct ws_link *link, int code, const char *reason);

#endif
