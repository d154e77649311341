/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_rpc.h"

#include "common/adapt/adapt_zmq.h"
#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/bus/bus_peers.h"
#include "common/bus/bus_wire.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define PING_FAST_MS 50u /* while it is not known who answers, or answers are awaited */
#define TRIES_MAX 3u     /* the first one, one elsewhere, one at a process that was started anew */

/* A process that answers. */
struct replica {
	struct list node; /* on rpc->replicas */
	struct bus_rpc *rpc;
	struct adapt_zmq *sock;
	struct list calls; /* struct call, sent to it */
	size_t call_count;
	uint64_t epoch; /* of its process; 0: not heard of yet */
	uint64_t heard_ms, checked_ms, pinged_ms;
	bool up;      /* it may be asked */
	bool told_up; /* to the log */
	struct wheel_timer timer;
	char endpoint[256];
};

struct call {
	struct list
		node; /* on replica->calls or rpc->homeless; alone when it only waits for its deadline */
	struct bus_rpc *rpc;
	struct replica *replica; /* NULL: nobody was asked, or whoever was is gone */
	uint64_t id;             /* key in rpc->calls */
	uint64_t due_ms;
	struct blob *body;
	uint32_t tries;
	bool idempotent;
	bus_rpc_fn fn;
	void *ctx;
	uint64_t began_ns;
	struct wheel_timer timer;
};

struct bus_rpc {
	struct svc *svc;
	struct bus_peers *peers;
	struct list replicas;
	struct list homeless;
	struct map calls;
	uint64_t last_id;
	bool closing;
};

static struct str call_key(const void *object)
{
	return str_make((const char *)&((const struct call *)object)->id, sizeof(uint64_t));
}

static void detach(struct call *call)
{
	list_remove(&call->node);
	if (call->replica)
		call->replica->call_count--;
	call->replica = NULL;
}

static void free_call(struct call *call)
{
	detach(call);
	svc_cancel(call->rpc->svc, &call->timer);
	map_del(&call->rpc->calls, call_key(call));
	blob_unref(&call->body);
	mem_free(call);
}

static void finish(struct call *call, int err, enum wire_id id, const union wire_any *any)
{
	bus_rpc_fn fn = call->fn;
	void *ctx = call->ctx;

	if (err)
		metrics_inc(METRIC_CALLS_FAILED);
	else
		metrics_observe_ns(METRIC_H_CHECK, clock_exact_ns() - call->began_ns);
	free_call(call);
	fn(ctx, err, id, any);
}

/* The one with the fewest questions; another one than `was`, where there is one. */
static struct replica *choose(struct bus_rpc *rpc, const struct replica *was)
{
	struct replica *best = NULL;

	LIST_EACH(&rpc->replicas, node, next) {
		struct replica *r = CONTAINER_OF(node, struct replica, node);

		if (!r->up)
			continue;
		if (!best || best == was || (r != was && r->call_count < best->call_count))
			best = r;
	}
	return best;
}

static bool send_call(struct call *call, struct replica *r)
{
	char envelope[BUS_ENVELOPE_BYTES];
	uint64_t now = clock_ms(), left = call->due_ms > now ? call->due_ms - now : 1;
	struct str frames[2] = { bus_envelope(envelope, call->id, left), blob_str(call->body) };

	if (adapt_zmq_send(r->sock, frames, 2))
		return false;
	if (call->tries++ > 0)
		metrics_inc(METRIC_CALLS_RETRIED);
	call->replica = r;
	r->call_count++;
	list_append(&r->calls, &call->node);
	return true;
}

static void place(struct call *call, const struct replica *was)
{
	struct replica *r;

	while ((r = choose(call->rpc, was)) != NULL) {
		if (send_call(call, r))
			return;
		r->up = false; /* its timer sees to the rest */
		metrics_dec(METRIC_LINKS_UP);
	}
	list_append(&call->rpc->homeless, &call->node);
}

static bool may_ask_again(const struct call *call)
{
	return call->tries == 0 || (call->idempotent && call->tries < TRIES_MAX);
}

/* At half of the time, and at the end of it. */
static void on_call_timer(struct wheel_timer *timer)
{
	struct call *call = CONTAINER_OF(timer, struct call, timer);
	struct replica *was = call->replica;

	if (clock_ms() >= call->due_ms) {
		finish(call, was ? E_TIMEOUT : E_UNAVAILABLE, 0, NULL);
		return;
	}
	/* The same one again would only have more to do. */
	if (was && may_ask_again(call) && choose(call->rpc, was) != was) {
		detach(call);
		place(call, was);
	}
	svc_arm(call->rpc->svc, timer, call->due_ms);
}

int bus_rpc_call(struct bus_rpc *rpc, enum wire_id id, const void *message, uint64_t deadline_ms,
		 bool idempotent, bus_rpc_fn fn, void *ctx, uint64_t *call_id)
{
	uint64_t now = clock_ms();
	struct call *call;

	if (rpc->closing)
		return E_CLOSED;
	if (map_count(&rpc->calls) >= (size_t)rpc->svc->conf.max_calls)
		return E_FULL;
	call = mem_try(sizeof(*call));
	if (!call)
		return E_NOMEM;
	call->body = wire_pack(id, message);
	call->id = ++rpc->last_id;
	if (!call->body || map_put(&rpc->calls, call)) {
		int err = call->body ? E_NOMEM : E_RANGE;

		blob_unref(&call->body);
		mem_free(call);
		return err;
	}
	call->rpc = rpc;
	call->due_ms = deadline_ms;
	call->idempotent = idempotent;
	call->fn = fn;
	call->ctx = ctx;
	call->began_ns = clock_exact_ns();
	list_init(&call->node);
	wheel_timer_init(&call->timer, on_call_timer);
	place(call, NULL);
	svc_arm(rpc->svc, &call->timer,
		idempotent && deadline_ms > now ? now + (deadline_ms - now) / 2 : deadline_ms);
	*call_id = call->id;
	return 0;
}

void bus_rpc_cancel(struct bus_rpc *rpc, uint64_t id)
{
	struct call *call = map_get(&rpc->calls, str_make((const char *)&id, sizeof(id)));

	if (call)
		free_call(call);
}

static void place_homeless(struct bus_rpc *rpc)
{
	struct list mine, *node;

	list_init(&mine);
	while ((node = list_pop(&rpc->homeless)) != NULL)
		list_append(&mine, node);
	while ((node = list_pop(&mine)) != NULL)
		place(CONTAINER_OF(node, struct call, node), NULL);
}

/* Nobody is left who would answer: it fails soon. An answer may still be on its way from one that was only silent. */
static void give_up(struct call *call)
{
	uint64_t soon_ms = clock_ms() + (uint64_t)call->rpc->svc->conf.link_gone_ms;

	if (soon_ms >= call->due_ms)
		return;
	call->due_ms = soon_ms;
	svc_arm(call->rpc->svc, &call->timer, soon_ms);
}

/* What it was asked is lost: ask again, elsewhere if possible, or let it fail. */
static void lose_calls(struct replica *r)
{
	struct list mine, *node;

	list_init(&mine);
	while ((node = list_pop(&r->calls)) != NULL)
		list_append(&mine, node);
	while ((node = list_pop(&mine)) != NULL) {
		struct call *call = CONTAINER_OF(node, struct call, node);

		detach(call);
		if (may_ask_again(call))
			place(call, r);
		else
			give_up(call);
	}
}

static void on_answer(struct bus_rpc *rpc, uint64_t id, struct str body)
{
	struct call *call = map_get(&rpc->calls, str_make((const char *)&id, sizeof(id)));
	union wire_any any;
	enum wire_id wire_id;

	if (!call)
		return; /* too late, or answered by another one */
	if (wire_unpack(body, &wire_id, &any)) {
		metrics_inc(METRIC_WIRE_BAD);
		finish(call, E_UNAVAILABLE, 0, NULL);
		return;
	}
	finish(call, 0, wire_id, &any);
}

static void heard(struct replica *r)
{
	r->heard_ms = clock_ms();
	if (!r->up) {
		r->up = true;
		metrics_inc(METRIC_LINKS_UP);
	}
	if (!r->told_up)
		log_info("bus", "an answering process is there", KV_Z("endpoint", r->endpoint));
	r->told_up = true;
	place_homeless(r->rpc);
}

static void gone(struct replica *r)
{
	if (r->up)
		metrics_dec(METRIC_LINKS_UP);
	r->up = false;
	if (r->told_up)
		log_warn("bus", "an answering process is gone", KV_Z("endpoint", r->endpoint));
	r->told_up = false;
	lose_calls(r);
}

/* PONG, or RESYNC: the connection is new. */
static void on_sign_of_life(struct replica *r, uint64_t epoch, struct str body)
{
	union wire_any any;
	enum wire_id id;

	if (wire_unpack(body, &id, &any)) {
		metrics_inc(METRIC_WIRE_BAD);
		return;
	}
	/* What was asked of its predecessor, or over the last connection, may be lost. */
	if ((r->epoch && r->epoch != epoch) || id == WIRE_RESYNC)
		lose_calls(r);
	r->epoch = epoch;
	heard(r);
}

static void on_frames(void *ctx, const struct str *frames, size_t frame_count)
{
	struct replica *r = ctx;
	uint64_t id, second;

	if (frame_count != 2 || bus_envelope_read(frames[0], &id, &second)) {
		metrics_inc(METRIC_WIRE_BAD);
	} else if (id != 0) {
		heard(r);
		on_answer(r->rpc, id, frames[1]);
	} else {
		on_sign_of_life(r, second, frames[1]);
	}
}

/* False: it does not get there, as there is no connection (or it has not read 100,000 messages). */
static bool ping(struct replica *r)
{
	struct wire_ping m = { 0 };
	struct blob *body = wire_pack(WIRE_PING, &m);
	char envelope[BUS_ENVELOPE_BYTES];
	struct str frames[2] = { bus_envelope(envelope, 0, bus_epoch()),
				 body ? blob_str(body) : STR_NONE };
	bool sent = body && adapt_zmq_send(r->sock, frames, 2) == 0;

	r->pinged_ms = clock_ms();
	blob_unref(&body);
	return sent;
}

static bool wants_ping(const struct replica *r)
{
	return !r->up || r->call_count > 0 ||
	       clock_ms() - r->pinged_ms >= (uint64_t)r->rpc->svc->conf.link_heartbeat_ms;
}

static void on_replica_timer(struct wheel_timer *timer)
{
	struct replica *r = CONTAINER_OF(timer, struct replica, timer);
	uint64_t now = clock_ms(), timeout = (uint64_t)r->rpc->svc->conf.link_timeout_ms;

	if (now - r->checked_ms > timeout / 2) /* it was we who slept */
		r->heard_ms = now;
	r->checked_ms = now;
	if ((wants_ping(r) && !ping(r)) || now - r->heard_ms > timeout)
		gone(r);
	if (r->up && !list_empty(&r->rpc->homeless))
		place_homeless(r->rpc);
	svc_arm(r->rpc->svc, timer, now + PING_FAST_MS);
}

static void on_added(void *ctx, const char *endpoint)
{
	struct bus_rpc *rpc = ctx;
	struct replica *r = mem_try(sizeof(*r));

	if (!r)
		return;
	r->rpc = rpc;
	list_init(&r->calls);
	snprintf(r->endpoint, sizeof(r->endpoint), "%s", endpoint);
	if (adapt_zmq_open(rpc->svc, ADAPT_ZMQ_DEALER, NULL, endpoint, on_frames, r, &r->sock)) {
		mem_free(r);
		return;
	}
	list_append(&rpc->replicas, &r->node);
	r->checked_ms = clock_ms();
	wheel_timer_init(&r->timer, on_replica_timer);
	svc_arm(rpc->svc, &r->timer, clock_ms() + 1);
}

static void drop_replica(struct replica *r)
{
	list_remove(&r->node);
	gone(r);
	svc_cancel(r->rpc->svc, &r->timer);
	adapt_zmq_close(&r->sock);
	mem_free(r);
}

static void on_removed(void *ctx, const char *endpoint)
{
	struct bus_rpc *rpc = ctx;

	LIST_EACH(&rpc->replicas, node, next) {
		struct replica *r = CONTAINER_OF(node, struct replica, node);

		if (strcmp(r->endpoint, endpoint) == 0)
			drop_replica(r);
	}
}

int bus_rpc_open(struct svc *svc, const char *endpoints, const char *role, struct bus_rpc **rpc)
{
	static const struct bus_peers_handlers handlers = { on_added, on_removed };
	struct bus_rpc *r = mem_need(sizeof(*r));
	int err;

	(void)role;
	r->svc = svc;
	list_init(&r->replicas);
	list_init(&r->homeless);
	map_init(&r->calls, call_key);
	err = bus_peers_open(svc, endpoints, &handlers, r, &r->peers);
	if (err)
		bus_rpc_close(&r);
	else
		*rpc = r;
	return err;
}

void bus_rpc_close(struct bus_rpc **rpc)
{
	struct bus_rpc *r = *rpc;
	struct call *call;
	size_t at;

	*rpc = NULL;
	if (!r)
		return;
	r->closing = true;
	bus_peers_close(&r->peers);
	while (at = 0, (call = map_next(&r->calls, &at)) != NULL)
		finish(call, E_CLOSED, 0, NULL);
	while (!list_empty(&r->replicas))
		drop_replica(CONTAINER_OF(list_first(&r->replicas), struct replica, node));
	map_fini(&r->calls);
	mem_free(r);
}

size_t bus_rpc_pending(const struct bus_rpc *rpc)
{
	return map_count(&rpc->calls);
}

size_t bus_rpc_up(const struct bus_rpc *rpc)
{
	size_t n = 0;

	for (const struct list *node = rpc->replicas.next; node != &rpc->replicas;
	     node = node->next)
		n += CONTAINER_OF(node, struct replica, node)->up;
	return n;
}
