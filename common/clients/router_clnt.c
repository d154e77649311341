/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clients/router_clnt.h"

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/clients/router_clnt_impl.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define RETIREMENT_MS 20000u

static uint64_t weight(const struct shard *s, uint64_t key)
{
	uint64_t x = s->hash ^ key;

	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return x ^ (x >> 33);
}

/* Rendezvous hashing: each room goes to the router that weighs most for it; losing one moves only its rooms. */
struct shard *router_clnt_shard(struct router_clnt *c, struct str room_key)
{
	struct shard *best = NULL;
	uint64_t key = hash_stable64(room_key);

	LIST_EACH(&c->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (!s->retired && (!best || weight(s, key) > weight(best, key)))
			best = s;
	}
	return best;
}

struct bus_link *router_clnt_link(struct router_clnt *clnt, struct str room_key)
{
	struct shard *s = router_clnt_shard(clnt, room_key);

	return s ? s->link : NULL;
}

struct bus_link *router_clnt_next(const struct router_clnt *clnt, const struct bus_link *after)
{
	bool found = after == NULL;

	for (const struct list *node = clnt->shards.next; node != &clnt->shards;
	     node = node->next) {
		const struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (found && !s->retired)
			return s->link;
		found |= s->link == after;
	}
	return NULL;
}

/* Those that wait, in their order, until one does not go: the next `up` or acknowledgement goes on. */
void router_clnt_send_waiting(struct shard *s)
{
	LIST_EACH(&s->waiting, node, next) {
		struct flight *f = CONTAINER_OF(node, struct flight, node);

		if (bus_link_send(s->link, f->body, f->lead->payload, f->lead->payload_count, true,
				  NULL))
			break;
		list_remove(node);
		list_append(&s->flights, node);
	}
}

static void on_published(struct router_clnt *c, const struct wire_published *m)
{
	struct flight *f = map_get(&c->flights, str_make((const char *)&m->ref, sizeof(m->ref)));

	if (!f)
		return;
	flight_finish(c, f, m->code.n ? E_DENIED : 0, m->code, m->duplicate);
}

/* There is room in the link again. */
static void on_acked(void *ctx, struct bus_link *link, uint64_t number)
{
	struct shard *s = ctx;

	(void)number;
	router_clnt_send_waiting(s);
	if (s->clnt->spec.handlers && s->clnt->spec.handlers->acked)
		s->clnt->spec.handlers->acked(s->clnt->spec.ctx, link);
}

static void on_up(void *ctx, struct bus_link *link, bool resumed)
{
	struct shard *s = ctx;
	struct router_clnt *c = s->clnt;
	uint64_t old_epoch = s->epoch;

	s->epoch = bus_link_peer_epoch(link);
	if (!resumed) {
		if (c->spec.handlers && c->spec.handlers->fresh)
			c->spec.handlers->fresh(c->spec.ctx, link, old_epoch);
		/* What it was sent before is not known to it, or only in part: its ids tell. */
		while (!list_empty(&s->flights)) {
			struct list *newest = s->flights.prev;

			metrics_inc(METRIC_INGEST_RESENT);
			list_remove(newest);
			list_prepend(&s->waiting, newest);
		}
	}
	router_clnt_send_waiting(s);
}

static void on_edges(struct router_clnt *c, struct bus_link *link, const struct wire_edges *m)
{
	bus_link_set_known(link, &m->names); /* told to the next router, should this one die */
	if (c->spec.handlers && c->spec.handlers->edges)
		c->spec.handlers->edges(c->spec.ctx, link, m);
}

static void on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct shard *s = ctx;
	struct router_clnt *c = s->clnt;

	if (m->id == WIRE_PUBLISHED)
		on_published(c, &m->any.published);
	else if (m->id == WIRE_EDGES)
		on_edges(c, link, &m->any.edges);
	else if (c->spec.handlers && c->spec.handlers->message)
		c->spec.handlers->message(c->spec.ctx, link, m);
	else
		metrics_inc(METRIC_WIRE_UNKNOWN);
}

static const struct bus_handlers link_handlers = { .up = on_up,
						   .message = on_message,
						   .acked = on_acked };

void router_clnt_uid(struct str event_id, uint64_t *high, uint64_t *low)
{
	uint64_t hash[2];

	hash_stable128(event_id, hash);
	*high = hash[0];
	*low = hash[1] ? hash[1] : 1; /* both 0 means: none */
}

/* ── routers come and go ── */

static struct shard *find_shard(struct router_clnt *c, const char *endpoint)
{
	LIST_EACH(&c->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (strcmp(s->endpoint, endpoint) == 0)
			return s;
	}
	return NULL;
}

static void rehome_all(struct shard *s)
{
	struct router_clnt *c = s->clnt;
	struct list *node;

	while ((node = list_first(&s->flights)) != NULL ||
	       (node = list_first(&s->waiting)) != NULL) {
		struct flight *f = CONTAINER_OF(node, struct flight, node);

		if (c->closing)
			flight_finish(c, f, E_CLOSED, STR_NONE, false);
		else
			flight_rehome(c, f);
	}
}

static void changed(struct router_clnt *c)
{
	if (!c->closing && c->spec.handlers && c->spec.handlers->changed)
		c->spec.handlers->changed(c->spec.ctx);
}

static void drop_shard(struct shard *s)
{
	struct router_clnt *c = s->clnt;

	list_remove(&s->node);
	c->shard_count -= !s->retired;
	svc_cancel(c->spec.svc, &s->retirement);
	rehome_all(s);
	if (c->spec.handlers && c->spec.handlers->removed)
		c->spec.handlers->removed(c->spec.ctx, s->link);
	bus_link_close(&s->link);
	mem_free(s);
}

static void on_retired(struct wheel_timer *timer)
{
	drop_shard(CONTAINER_OF(timer, struct shard, retirement));
}

static void add_shard(struct router_clnt *c, const char *endpoint)
{
	struct shard *s = mem_try(sizeof(*s));

	if (!s)
		return;
	s->clnt = c;
	s->hash = hash_stable64(str_of(endpoint));
	list_init(&s->flights);
	list_init(&s->waiting);
	wheel_timer_init(&s->retirement, on_retired);
	snprintf(s->endpoint, sizeof(s->endpoint), "%s", endpoint);
	if (bus_link_open(c->spec.svc, endpoint, &link_handlers, s, &s->link)) {
		mem_free(s);
		return;
	}
	list_append(&c->shards, &s->node);
	c->shard_count++;
	if (c->spec.handlers && c->spec.handlers->added)
		c->spec.handlers->added(c->spec.ctx, s->link, endpoint);
}

static void on_added(void *ctx, const char *endpoint)
{
	struct router_clnt *c = ctx;
	struct shard *s = find_shard(c, endpoint);

	if (!s) {
		add_shard(c, endpoint);
	} else if (s->retired) {
		s->retired = false;
		c->shard_count++;
		svc_cancel(c->spec.svc, &s->retirement);
	}
	changed(c);
}

/* Not all processes hear of it at the same moment: its link stays for a while, for what others still publish there. */
static void on_removed(void *ctx, const char *endpoint)
{
	struct router_clnt *c = ctx;
	struct shard *s = find_shard(c, endpoint);

	if (!s || s->retired)
		return;
	s->retired = true;
	c->shard_count--;
	svc_arm(c->spec.svc, &s->retirement, clock_ms() + RETIREMENT_MS);
	rehome_all(s);
	changed(c);
}

int router_clnt_open(const struct router_clnt_spec *spec, struct router_clnt **clnt)
{
	static const struct bus_peers_handlers handlers = { on_added, on_removed };
	struct router_clnt *c = mem_need(sizeof(*c));
	int err;

	c->spec = *spec;
	list_init(&c->shards);
	map_init(&c->flights, flight_key);
	map_init(&c->lanes, flight_lane_key);
	*clnt = c;
	err = bus_peers_open(spec->svc, spec->endpoints, &handlers, c, &c->peers);
	if (err)
		router_clnt_close(clnt);
	return err;
}

void router_clnt_close(struct router_clnt **clnt)
{
	struct router_clnt *c = *clnt;

	*clnt = NULL;
	if (!c)
		return;
	c->closing = true;
	bus_peers_close(&c->peers);
	while (!list_empty(&c->shards))
		drop_shard(CONTAINER_OF(list_first(&c->shards), struct shard, node));
	map_fini(&c->flights);
	map_fini(&c->lanes);
	mem_free(c);
}

void router_clnt_synced(struct router_clnt *clnt, struct bus_link *link)
{
	struct wire_synced m = { 0 };

	(void)clnt;
	if (bus_link_send_msg(link, WIRE_SYNCED, &m, true))
		log_debug("bus", "the link is gone again: all is told anew when it is back");
}

void router_clnt_tell(struct router_clnt *clnt, enum wire_id id, const void *message)
{
	LIST_EACH(&clnt->shards, node, next) {
		if (bus_link_send_msg(CONTAINER_OF(node, struct shard, node)->link, id, message,
				      true))
			log_debug("bus", "a router is not there: it is told when it is back");
	}
}

size_t router_clnt_pending(const struct router_clnt *clnt)
{
	return map_count(&clnt->flights);
}

bool router_clnt_ready(const struct router_clnt *clnt, char reason[SVC_REASON_BYTES])
{
	for (const struct list *node = clnt->shards.next; node != &clnt->shards;
	     node = node->next) {
		const struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (s->retired || bus_link_up(s->link))
			continue;
		snprintf(reason, SVC_REASON_BYTES, "no answer from the router at %.150s",
			 s->endpoint);
		return false;
	}
	if (clnt->shard_count == 0) {
		snprintf(reason, SVC_REASON_BYTES, "no router is known: see ROUTER_ENDPOINTS");
		return false;
	}
	return true;
}
