/* SPDX-License-Identifier: Apache-2.0 */
/* What bus_link.c, bus_link_out.c and bus_server.c share. Not for others: use bus_link.h. */
#ifndef ROOMWIRE_BUS_BUS_LINK_IMPL_H
#define ROOMWIRE_BUS_BUS_LINK_IMPL_H

#include "common/adapt/adapt_zmq.h"
#include "common/bus/bus_link.h"
#include "common/bus/bus_ring.h"
#include "common/bus/bus_wire.h"

enum bus_link_state {
	BUS_LINK_DOWN = 0, /* binding side: waits for a HELLO */
	BUS_LINK_GREETING, /* connecting side: HELLO said, WELCOME awaited; everything else is dropped */
	BUS_LINK_UP,
};

struct bus_link {
	struct svc *svc;
	const struct bus_handlers *handlers;
	void *ctx, *user;
	struct bus_server *server; /* NULL: connecting side */
	struct list node;          /* on server->links */
	struct adapt_zmq *sock;    /* own (connecting side), or the server's */
	enum bus_link_state state;
	char endpoint[256]; /* connecting side */
	char identity[128]; /* of the ZeroMQ peer (binding side) */
	size_t identity_bytes;
	char peer[65], role[17];
	uint64_t peer_epoch;   /* the process the numbers below belong to; 0: none */
	uint64_t hello_serial; /* of the last HELLO */
	uint64_t nonce;        /* of the last HELLO */
	uint64_t series;       /* nonce of the HELLO that the numbers below began with */
	bool synced;           /* the numbers are valid: the link may be resumed */
	bool told_up;          /* connecting side: `up` was called, and no `down` since */
	bool hello_said;       /* connecting side: ZeroMQ took the last HELLO */
	bool answered_resumed; /* binding side: what the last WELCOME said */
	struct bus_ring ring;  /* sent or to be sent, not acknowledged */
	uint64_t sent;         /* newest number handed to ZeroMQ */
	uint64_t received;     /* newest number received */
	bool ack_soon;         /* the peer waits for our acknowledgement */
	uint64_t told;         /* newest number acknowledged to the peer */
	uint64_t progress,
		progress_ms;         /* binding side: what the peer acknowledged last, and when */
	uint64_t heard_ms, due_ms;   /* due: when the timer should fire */
	uint64_t gap_ms, version_ms; /* last logged */
	uint64_t
		unreached_ms; /* binding side: since when there is no connection; 0: there is one */
	bool asked;           /* binding side: for a HELLO, as there is a gap */
	bool gone;            /* binding side: `gone` was called, and no `up` since */
	uint64_t counted_unacked, counted_bytes; /* this link's part of the metrics */
	struct blob *known; /* connecting side: names, each ended by a NUL; NULL: none */
	struct wheel_timer timer;
	struct svc_turn turn;
};

/* Both sides. */
void bus_link_setup(struct bus_link *link, struct svc *svc, const struct bus_handlers *handlers,
		    void *ctx);
void bus_link_teardown(struct bus_link *link);
void bus_link_restart_numbers(struct bus_link *link);
/* A message on a link that is up; frames: envelope, body, payloads. */
void bus_link_receive(struct bus_link *link, const struct str *frames, size_t frame_count);
/* Whether the peer's claim to have received up to this number fits; then what it has is dropped and the rest is sent again. */
bool bus_link_rewind(struct bus_link *link, uint64_t received);
int bus_link_transmit(struct bus_link *link, uint64_t number, struct str body,
		      struct blob *const *payload, uint32_t payload_count);
int bus_link_say(struct bus_link *link, enum wire_id id,
		 const void *message); /* uncounted, as it is, whatever the state */
void bus_link_forget_late(
	struct bus_link *link); /* what faults on purpose (bus_fault.h) hold back */
void bus_link_down(struct bus_link *link);
/* Timers: time between two PINGs; much later than due it was we who slept, and what the peer said lies unread. */
uint64_t bus_link_beat_ms(const struct bus_link *link);
void bus_link_arm(struct bus_link *link, uint64_t in_ms);
bool bus_link_overslept(const struct bus_link *link);
/* Connecting side: begin with a new HELLO. */
void bus_link_greet(struct bus_link *link);
/* Binding side: what the last attempt to send to the peer showed. */
void bus_server_note(struct bus_link *link, int err);
/* Binding side: free and forget. */
void bus_server_forget(struct bus_link *link);
/* *logged_ms: when another version was last logged; it is once a minute. */
bool bus_version_fits(const char *peer, uint64_t version, uint64_t abi, uint64_t *logged_ms);

#endif
