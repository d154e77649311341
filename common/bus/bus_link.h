/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links that count (design invariant 4): between an edge or ingest (connecting side, DEALER) and a router (binding side, ROUTER).
 * Each direction numbers its counted messages from 1; the receiver acknowledges cumulatively (in the envelope of whatever goes the other way, at
 * the latest at the end of the loop turn; of answers, at the latest with the next ping); the sender keeps them until then. After a cut the two sides say HELLO and
 * WELCOME with what they received, and the sender repeats the rest. A gap makes the receiver ask for that, too; PING and PONG say the newest
 * number, so that the loss of the last messages is seen within link_heartbeat_ms. When the peer is a new process, or
 * has forgotten the link, the WELCOME says resumed=false: both count from 1 and tell their state anew (link `up` with resumed false).
 *
 * On the wire: frame 0 envelope, msgpack [number, ack] (number 0: not counted); frame 1 body (proto/wire.h); then payload frames.
 *
 *      connecting side                              binding side
 *      DOWN ──HELLO(nonce)──▶ GREETING ──WELCOME──▶ UP            silent for link_timeout_ms: DOWN
 *
 * A connecting side that is closed says BYE behind everything else, and is forgotten at once. One that ends without it is noticed by its
 * connection: without one for link_gone_ms, or silent for link_timeout_ms, it is `gone` (nobody should wait for it), but may come back and resume until it
 * is forgotten, silent for three times link_timeout_ms.
 *
 * What was sent while a link is not UP: counted messages of a resumable link wait in its ring; before the first WELCOME, and after a
 * reset, bus_link_send says E_CLOSED.
 * Bounds: unacked_count, unacked_bytes per link; past them bus_link_send says E_FULL (the connecting side waits; the binding side resets
 * that link, so that the edge comes back and is filled from history).
 * Sending never blocks: at ZeroMQ's high-water mark messages wait in the ring. Thread: loop thread. No callback runs inside bus_link_send.
 */
#ifndef ROOMWIRE_BUS_BUS_LINK_H
#define ROOMWIRE_BUS_BUS_LINK_H

#include "common/svc/svc.h"
#include "proto/wire.h"

struct bus_link;   /* one peer, either side */
struct bus_server; /* the binding side: many peers */

struct bus_message {
	enum wire_id id;
	union wire_any any;        /* BORROWED from the frames until the handler returns */
	uint64_t number;           /* 0: not counted */
	struct str body;           /* the body frame as received */
	const struct str *payload; /* payload_count frames, BORROWED */
	uint32_t payload_count;
};

/* Inside `up`, `down` and `message` the connecting side may close its link; inside `acked` it may not. */
struct bus_handlers {
	/* The link is usable. resumed false: the peer knows nothing of us; numbers start at 1, what was unacknowledged is forgotten. */
	void (*up)(void *ctx, struct bus_link *link, bool resumed);
	/* Silent for link_timeout_ms (connecting side; it may be told so while it says HELLO), or forgotten (binding side: link is freed after this returns). */
	void (*down)(void *ctx, struct bus_link *link);
	void (*message)(void *ctx, struct bus_link *link, const struct bus_message *m);
	/* Counted messages up to this number have been acknowledged by the peer; may be NULL. */
	void (*acked)(void *ctx, struct bus_link *link, uint64_t number);
	/* Binding side: a HELLO, also of a role that is held, with the edges its peer knows of; may be NULL. */
	void (*held)(void *ctx, const struct wire_list *known);
	/* Binding side: the peer has had no connection for link_gone_ms, or said nothing for link_timeout_ms. Once, until `up` is called again; numbers and
	 * messages stay. May be NULL. */
	void (*gone)(void *ctx, struct bus_link *link);
};

/* ── connecting side ── one link per endpoint; reconnects for ever */
int bus_link_open(struct svc *svc, const char *endpoint, const struct bus_handlers *handlers,
		  void *ctx, struct bus_link **link) MUST_CHECK;
void bus_link_close(struct bus_link **link);
/* Names for the `known` of this link's HELLOs; COPIED. */
void bus_link_set_known(struct bus_link *link, const struct wire_list *names);

/* ── binding side ── */
int bus_server_open(struct svc *svc, const char *endpoint, const struct bus_handlers *handlers,
		    void *ctx, struct bus_server **server) MUST_CHECK;
void bus_server_close(struct bus_server **server);
/* While closed to a role, its HELLOs wait unanswered (they are repeated by the peer): publishers until edges have told their state. */
void bus_server_hold_role(struct bus_server *server, const char *role, bool hold);
/* Iterate over known links; NULL starts, NULL ends. */
struct bus_link *bus_server_next(struct bus_server *server, struct bus_link *after);

/*
 * Queue a message. body and payload frames are referenced (not TAKEN). counted false: sent now or dropped (E_AGAIN, E_CLOSED).
 * number (may be NULL) receives the counted message's number.
 * errors: E_FULL, E_CLOSED, E_NOMEM, E_TOOBIG (over WIRE_MAX_PAYLOADS frames); uncounted only: E_AGAIN (it does not overtake what waits),
 * E_UNREACHABLE (binding side: the peer is not connected).
 */
int bus_link_send(struct bus_link *link, struct blob *body, struct blob *const *payload,
		  uint32_t payload_count, bool counted, uint64_t *number) MUST_CHECK;
/* wire_pack and send without payload. */
int bus_link_send_msg(struct bus_link *link, enum wire_id id, const void *message,
		      bool counted) MUST_CHECK;
/* Forget the link's numbers and make the peer come with a new HELLO (binding side). */
void bus_link_reset(struct bus_link *link);

bool bus_link_up(const struct bus_link *link);
bool bus_link_gone(const struct bus_link *link); /* binding side: from `gone` until the next `up` */
const char *bus_link_peer(
	const struct bus_link
		*link); /* the peer's instance, or the endpoint before the first WELCOME */
const char *bus_link_role(const struct bus_link *link); /* binding side: the peer's role */
uint64_t bus_link_peer_epoch(const struct bus_link *link);
uint64_t bus_link_unacked(const struct bus_link *link);
void bus_link_set_user(struct bus_link *link, void *user); /* for the service; NULL at first */
void *bus_link_user(const struct bus_link *link);

uint64_t bus_epoch(void); /* of this process: random, never 0 */

#endif
