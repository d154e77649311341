/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/edge.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/edge/deliver.h"
#include "services/edge/dialect.h"
#include "services/edge/forward.h"
#include "services/edge/foster.h"
#include "services/edge/handover.h"
#include "services/edge/op.h"
#include "services/edge/record.h"
#include "services/edge/restore.h"
#include "services/edge/room.h"

#define OUT_NODES_MAX \
	(64u << 20) /* queue entries of all clients together; each client is bounded by bytes */
#define DRAIN_SPREAD_MS 20000u
#define DRAIN_STEP_MS 10u
#define DRAIN_GAP_MS \
	100u /* at most, from one client to the next: a few are no stampede, and need not take long */
#define DRAIN_BATCH 256u
#define SERVING_CHECK_MS 10u
#define SWEEP_MS 1000u

static struct str session_key(const void *session)
{
	return str_make(((const struct session *)session)->sid, EDGE_ID_BYTES);
}

static struct str address_key(const void *address)
{
	return str_of(((const struct address *)address)->text);
}

static bool wants_auth(const struct profile *p)
{
	if (p->token_required)
		return true;
	for (uint32_t i = 0; i < p->nsp_count; i++) {
		if (p->nsps[i].check)
			return true;
		for (uint32_t j = 0; j < p->nsps[i].event_count; j++)
			if (p->nsps[i].event_list[j].check)
				return true;
	}
	return false;
}

bool edge_uses(const struct edge *edge, enum profile_broker broker)
{
	const struct conf *conf = &edge->svc->conf;

	return (broker == BROKER_KAFKA ? conf->kafka_broker_url : conf->rabbitmq_url)[0] != '\0';
}

static bool wants_ingest(const struct edge *edge)
{
	const struct profile *p = edge->profile;

	for (uint32_t i = 0; i < p->nsp_count; i++)
		for (uint32_t j = 0; j < p->nsps[i].event_count; j++) {
			const struct profile_event *e = &p->nsps[i].event_list[j];

			for (uint32_t k = 0; k < e->action_count; k++)
				if (e->actions[k].kind == ACTION_PRODUCE &&
				    edge_uses(edge, e->actions[k].broker))
					return true;
		}
	return false;
}

/* The end of a turn: everything due to one client leaves in one write; what died is freed. */
static bool on_turn(void *ctx)
{
	struct edge *edge = ctx;
	struct list *node;

	while ((node = list_pop(&edge->dirty)) != NULL)
		session_flush(CONTAINER_OF(node, struct session, dirty));
	handover_step(edge);
	while ((node = list_first(&edge->dead_socks)) != NULL)
		sock_free(CONTAINER_OF(node, struct sock, node));
	while ((node = list_first(&edge->dead_sessions)) != NULL)
		session_free(CONTAINER_OF(node, struct session, dirty));
	if (edge->auth)
		metrics_set(METRIC_CALLS_PENDING, bus_rpc_pending(edge->auth));
	return false;
}

bool edge_router_ready(void *self, char reason[SVC_REASON_BYTES])
{
	struct edge *edge = self;

	return edge->router && router_clnt_ready(edge->router, reason);
}

bool edge_auth_ready(void *self, char reason[SVC_REASON_BYTES])
{
	struct edge *edge = self;

	if (!edge->auth || bus_rpc_up(edge->auth) > 0)
		return true;
	snprintf(reason, SVC_REASON_BYTES, "no auth process answers at AUTH_ENDPOINTS");
	return false;
}

/* Clients are served once the processes behind us answer; told once to whoever started us. */
static void on_serving_check(struct wheel_timer *timer)
{
	struct edge *edge = CONTAINER_OF(timer, struct edge, serving_timer);
	char reason[SVC_REASON_BYTES];

	if (edge_router_ready(edge, reason) && edge_auth_ready(edge, reason)) {
		edge->serving = true;
		svc_notify(edge->svc, "serving", http_server_port(edge->front));
		log_info("edge", "clients are served", KV_Z("host", edge->svc->conf.host),
			 KV_I("port", http_server_port(edge->front)));
		return;
	}
	svc_arm(edge->svc, timer, clock_ms() + SERVING_CHECK_MS);
}

static void on_sweep(struct wheel_timer *timer)
{
	struct edge *edge = CONTAINER_OF(timer, struct edge, sweep);

	tail_sweep(edge);
	record_sweep(edge);
	forward_sweep(edge);
	fill_sweep(edge);
	svc_arm(edge->svc, timer, clock_ms() + SWEEP_MS);
}

static int open_routers(struct edge *edge)
{
	static const struct router_clnt_handlers handlers = {
		.fresh = shard_on_fresh,
		.message = deliver_on_message,
		.edges = forward_on_edges,
		.acked = shard_on_acked,
		.added = shard_on_added,
		.changed = shard_on_changed,
		.removed = shard_on_removed,
	};
	struct router_clnt_spec spec = {
		.svc = edge->svc,
		.endpoints = edge->svc->conf.router_endpoints,
		.handlers = &handlers,
		.ctx = edge,
		.max_in_flight = 100000,
		.max_bytes = 64u << 20,
	};

	return router_clnt_open(&spec, &edge->router);
}

/* Those we ask: auth, and ingest for what clients send to brokers. */
static int open_askers(struct edge *edge)
{
	const struct conf *conf = &edge->svc->conf;
	int err = 0;

	if (wants_auth(edge->profile))
		err = bus_rpc_open(edge->svc, conf->auth_endpoints, "edge", &edge->auth);
	if (!err && wants_ingest(edge) && conf->ingest_endpoints[0])
		err = bus_rpc_open(edge->svc, conf->ingest_endpoints, "edge", &edge->ingest);
	return err;
}

static int open_front(struct edge *edge)
{
	const struct conf *conf = &edge->svc->conf;
	struct http_server_spec spec = {
		.subject = "front",
		.host = conf->host,
		.port = (int)conf->port,
		.max_body_bytes = (uint64_t)conf->max_payload,
		.timeout_ms = (uint64_t)conf->handshake_timeout_ms,
		.idle_ms = 65000,
		.max_connections = (size_t)conf->max_connections,
		.on_request = front_on_request,
		.ctx = edge,
	};

	return http_server_open(edge->svc->loop, &spec, &edge->front);
}

static void init_lists(struct edge *edge)
{
	list_init(&edge->dirty);
	list_init(&edge->dead_sessions);
	list_init(&edge->dead_socks);
	list_init(&edge->shards);
	list_init(&edge->parked);
	list_init(&edge->lingering);
	list_init(&edge->tail);
	list_init(&edge->handing);
	list_init(&edge->orders);
}

int edge_start(struct svc *svc, void *self)
{
	struct edge *edge = self;
	const struct conf *conf = &svc->conf;
	int err = 0;

	edge->svc = svc;
	edge->profile = svc->profile;
	edge->dialect = edge->profile->dialect == PROFILE_PLAIN ? &dialect_plain : &dialect_sio;
	map_init(&edge->sessions, session_key);
	map_init(&edge->pids, record_pid_of);
	map_init(&edge->restores, restore_key_of);
	map_init(&edge->backfills, foster_key_of);
	map_init(&edge->claiming, once_key_of);
	map_init(&edge->rooms, room_key_of);
	map_init(&edge->addresses, address_key);
	init_lists(edge);
	rnd_id(edge->tag, EDGE_TAG_BYTES);
	slab_init(&edge->out_nodes, sizeof(struct out_node), OUT_NODES_MAX);
	slab_init(&edge->ops, sizeof(struct op), (size_t)conf->max_calls);
	idset_init(&edge->claims, (size_t)conf->event_id_count,
		   (uint64_t)conf->event_id_seconds * 1000);
	idset_init(&edge->seen, (size_t)conf->event_id_count,
		   (uint64_t)conf->event_id_seconds * 1000);
	idset_init(&edge->shown, (size_t)conf->event_id_count,
		   (uint64_t)conf->event_id_seconds * 1000);
	buf_init(&edge->offset, OFFSET_MAX_CHARS);
	buf_init(&edge->scratch, EDGE_SCRATCH_BYTES);
	buf_init(&edge->work, EDGE_SCRATCH_BYTES);
	buf_init(&edge->poll_out, EDGE_SCRATCH_BYTES);
	edge->out = mem_need(EDGE_WRITE_BYTES);
	edge->flush = (struct svc_turn){ .fn = on_turn, .ctx = edge };
	svc_turn_add(svc, SVC_RANK_FLUSH, &edge->flush);
	wheel_timer_init(&edge->serving_timer, on_serving_check);
	wheel_timer_init(&edge->sweep, on_sweep);
	svc_arm(svc, &edge->sweep, clock_ms() + SWEEP_MS);
	if (conf->demo_dir[0])
		err = assets_load(conf->demo_dir, &edge->assets);
	if (!err)
		err = forward_open(edge);
	if (!err)
		err = open_routers(edge);
	if (!err)
		err = open_askers(edge);
	if (!err && conf->websocket_deflate) {
		edge->deflate = deflate_new((size_t)conf->websocket_deflate_min);
		err = edge->deflate ? 0 : E_NOMEM;
	}
	if (!err)
		err = ws_host_open(svc, &ws_link_handlers, (size_t)conf->max_payload, &edge->ws);
	if (!err)
		err = open_front(edge);
	if (!err)
		on_serving_check(&edge->serving_timer);
	return err;
}

/* Close those that are due: evenly over the time, so that those who come back are no stampede. */
static void on_drain_step(struct wheel_timer *timer)
{
	struct edge *edge = CONTAINER_OF(timer, struct edge, drain_timer);
	uint64_t spent = clock_ms() - edge->drain_began_ms, spread = edge->drain_spread_ms;
	size_t stay = spent < spread ? edge->drain_count * (spread - spent) / spread : 0;
	struct session *batch[DRAIN_BATCH];
	size_t n = 0;

	MAP_EACH(&edge->sessions, struct session, s) {
		if (n == DRAIN_BATCH || map_count(&edge->sessions) <= stay + n)
			break;
		batch[n++] = s;
	}
	for (size_t i = 0; i < n; i++)
		session_close(batch[i], METRIC_CLOSED_DRAIN);
	if (map_count(&edge->sessions) == 0 && act_send_idle(edge))
		svc_drained(edge->svc);
	else
		svc_arm(edge->svc, timer, clock_ms() + DRAIN_STEP_MS);
}

void edge_drain(struct svc *svc, void *self)
{
	struct edge *edge = self;
	uint64_t spread = svc_drain_left_ms(svc) * 2 / 3;
	size_t count = map_count(&edge->sessions);

	edge->draining = true;
	http_server_pause(edge->front);
	if (spread > DRAIN_SPREAD_MS)
		spread = DRAIN_SPREAD_MS;
	if (spread > count * DRAIN_GAP_MS)
		spread = count * DRAIN_GAP_MS;
	edge->drain_began_ms = clock_ms();
	edge->drain_spread_ms = spread;
	edge->drain_count = count;
	log_info("edge", "draining: clients are moved off", KV_U("clients", count),
		 KV_U("in_ms", spread));
	wheel_timer_init(&edge->drain_timer, on_drain_step);
	svc_arm(svc, &edge->drain_timer, clock_ms() + 1);
}

static void close_sessions(struct edge *edge)
{
	size_t at;
	struct session *s;

	/* From the start each time: closing takes it out of the table. */
	while (at = 0, (s = map_next(&edge->sessions, &at)) != NULL)
		session_close(s, METRIC_CLOSED_DRAIN);
}

void edge_stop(struct svc *svc, void *self)
{
	struct edge *edge = self;

	svc_cancel(svc, &edge->serving_timer);
	svc_cancel(svc, &edge->drain_timer);
	svc_cancel(svc, &edge->sweep);
	edge->closing = true;
	close_sessions(edge);
	on_turn(edge);
	record_free_all(edge);
	on_turn(edge);
	ws_host_close(&edge->ws);
	http_server_close(&edge->front, NULL, NULL);
	bus_rpc_close(&edge->auth);
	bus_rpc_close(&edge->ingest);
	act_send_free_all(edge);
	forward_close(edge);
	foster_free_all(edge);
	router_clnt_close(&edge->router);
	shards_free(edge);
	svc_turn_remove(&edge->flush);
	assets_free(&edge->assets);
	map_fini(&edge->sessions);
	map_fini(&edge->pids);
	map_fini(&edge->restores);
	map_fini(&edge->claiming);
	map_fini(&edge->rooms);
	map_fini(&edge->addresses);
	slab_fini(&edge->out_nodes);
	slab_fini(&edge->ops);
	idset_fini(&edge->claims);
	idset_fini(&edge->seen);
	idset_fini(&edge->shown);
	buf_fini(&edge->offset);
	buf_fini(&edge->scratch);
	buf_fini(&edge->work);
	buf_fini(&edge->poll_out);
	mem_free(edge->out);
	deflate_free(&edge->deflate);
}

void edge_dump(struct svc *svc, void *self, struct buf *out)
{
	struct edge *edge = self;

	(void)svc;
	buf_addf(out, "sessions=%zu sockets=%zu rooms=%zu ops=%zu queued=%zu",
		 map_count(&edge->sessions), map_count(&edge->pids), map_count(&edge->rooms),
		 edge->ops.live, edge->out_nodes.live);
}
