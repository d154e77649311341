/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions and answers between processes (edge → auth): DEALER per replica on the asking side, ROUTER on the answering side. Each question has
 * an id and a deadline. It goes to the replica with the fewest questions under way among those that are up; when that replica goes down, or half of
 * the deadline passes and there is another one, an idempotent question is asked once more elsewhere (or at the same replica after it came back).
 * One that is not idempotent is asked once: when its replica, or the connection to it, is gone, it fails within link_gone_ms. While its replica answers
 * PINGs, a question waits until its deadline, however long. The callback runs exactly once, never before bus_rpc_call returned.
 * Bodies of questions and answers: up to WIRE_MAX_BODY_BYTES.
 *
 * On the wire: frame 0 envelope, msgpack [request id, milliseconds left]; frame 1 body. PING/PONG show who is up, RESYNC
 * that a connection is new.
 * Endpoints: a list; tcp:// names are resolved again every 5 s (all addresses: a headless service), replicas come and go.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_BUS_BUS_RPC_H
#define ROOMWIRE_BUS_BUS_RPC_H

#include "common/svc/svc.h"
#include "proto/wire.h"

struct bus_rpc; /* asking side */
/* err 0: any holds the answer (BORROWED until return). Else E_TIMEOUT, E_UNAVAILABLE (nobody is up and the deadline passed, or whoever was asked is gone), E_CLOSED. */
typedef void (*bus_rpc_fn)(void *ctx, int err, enum wire_id id, const union wire_any *any);

int bus_rpc_open(struct svc *svc, const char *endpoints, const char *role,
		 struct bus_rpc **rpc) MUST_CHECK;
void bus_rpc_close(struct bus_rpc **rpc); /* pending callbacks run with E_CLOSED */
/* deadline_ms: monotonic (clock_ms). errors: E_FULL (max_calls under way), E_NOMEM, E_RANGE (a field out of its bounds), E_CLOSED; then fn never
 * runs. */
int bus_rpc_call(struct bus_rpc *rpc, enum wire_id id, const void *message, uint64_t deadline_ms,
		 bool idempotent, bus_rpc_fn fn, void *ctx, uint64_t *call) MUST_CHECK;
void bus_rpc_cancel(struct bus_rpc *rpc, uint64_t id); /* its callback never runs */
size_t bus_rpc_pending(const struct bus_rpc *rpc);
size_t bus_rpc_up(const struct bus_rpc *rpc); /* replicas that answer */

struct bus_answerer; /* answering side */
/* Where an answer goes: a value that may be kept; the asker may be gone by then. */
struct bus_question {
	char peer[40];
	uint8_t peer_bytes;
	uint64_t request;
	uint64_t due_ms; /* monotonic: later nobody waits for the answer */
};
typedef void (*bus_question_fn)(void *ctx, const struct bus_question *q, enum wire_id id,
				const union wire_any *any);
int bus_answerer_open(struct svc *svc, const char *endpoint, bus_question_fn fn, void *ctx,
		      struct bus_answerer **a) MUST_CHECK;
void bus_answerer_close(struct bus_answerer **a);
void bus_answerer_reply(struct bus_answerer *a, const struct bus_question *q, enum wire_id id,
			const void *message);

#endif
