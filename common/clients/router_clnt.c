/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clients/router_clnt.h"

#include "common/base/hash.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/bus/bus_peers.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

/* A router, whether it is there or not. */
struct shard {
	struct list node;
	struct router_clnt *clnt;
	struct bus_link *link;
	uint64_t hash;       /* of the endpoint, for rendezvous */
	uint64_t epoch;      /* of the process last linked to; 0: none yet */
	struct list flights; /* struct flight that the link has, oldest first */
	struct list
		waiting; /* struct flight that come after those: the link was not there, or full */
	char endpoint[256];
};

/* An event that the router has not said it has. */
struct flight {
	struct list node; /* on shard->flights or shard->waiting */
	struct shard *shard;
	uint64_t ref; /* key in clnt->flights */
	struct blob *body;
	uint32_t payload_count;
	uint64_t bytes;
	router_published_fn fn;
	void *ctx;
	struct blob *payload[];
};

struct router_clnt {
	struct router_clnt_spec spec;
	struct bus_peers *peers;
	struct list shards;
	struct map flights;
	uint64_t last_ref, last_uid, bytes;
	bool closing;
};

static struct str flight_key(const void *object)
{
	return str_make((const char *)&((const struct flight *)object)->ref, sizeof(uint64_t));
}

static uint64_t weight(const struct shard *s, uint64_t key)
{
	uint64_t x = s->hash ^ key;

	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return x ^ (x >> 33);
}

/* Rendezvous hashing: each room goes to the router that weighs most for it; losing one moves only its rooms. */
static struct shard *shard_of(struct router_clnt *c, struct str room_key)
{
	struct shard *best = NULL;
	uint64_t key = hash_stable64(room_key);

	LIST_EACH(&c->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (!best || weight(s, key) > weight(best, key))
			best = s;
	}
	return best;
}

struct bus_link *router_clnt_link(struct router_clnt *clnt, struct str room_key)
{
	struct shard *s = shard_of(clnt, room_key);

	return s ? s->link : NULL;
}

static void free_flight(struct flight *f)
{
	list_remove(&f->node);
	f->shard->clnt->bytes -= f->bytes;
	map_del(&f->shard->clnt->flights, flight_key(f));
	blob_unref(&f->body);
	for (uint32_t i = 0; i < f->payload_count; i++)
		blob_unref(&f->payload[i]);
	mem_free(f);
}

static void finish(struct flight *f, int err, struct str code, bool duplicate)
{
	router_published_fn fn = f->fn;
	void *ctx = f->ctx;

	free_flight(f);
	if (fn)
		fn(ctx, err, code, duplicate);
}

/* Those that wait, in their order, until one does not go: the next `up` or acknowledgement goes on. */
static void send_waiting(struct shard *s)
{
	LIST_EACH(&s->waiting, node, next) {
		struct flight *f = CONTAINER_OF(node, struct flight, node);

		if (bus_link_send(s->link, f->body, f->payload, f->payload_count, true, NULL))
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
	finish(f, m->code.n ? E_DENIED : 0, m->code, m->duplicate);
}

/* There is room in the link again. */
static void on_acked(void *ctx, struct bus_link *link, uint64_t number)
{
	(void)link;
	(void)number;
	send_waiting(ctx);
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
	send_waiting(s);
}

static void on_message(void *ctx, struct bus_link *link, const struct bus_message *m)
{
	struct shard *s = ctx;
	struct router_clnt *c = s->clnt;

	if (m->id == WIRE_PUBLISHED)
		on_published(c, &m->any.published);
	else if (m->id == WIRE_EDGES) /* told to the next one, should this one die */
		bus_link_set_known(link, &m->any.edges.names);
	else if (c->spec.handlers && c->spec.handlers->message)
		c->spec.handlers->message(c->spec.ctx, link, m);
	else
		metrics_inc(METRIC_WIRE_UNKNOWN);
}

static const struct bus_handlers link_handlers = { .up = on_up,
						   .message = on_message,
						   .acked = on_acked };

static void on_added(void *ctx, const char *endpoint)
{
	struct router_clnt *c = ctx;
	struct shard *s = mem_try(sizeof(*s));

	if (!s)
		return;
	s->clnt = c;
	s->hash = hash_stable64(str_of(endpoint));
	list_init(&s->flights);
	list_init(&s->waiting);
	snprintf(s->endpoint, sizeof(s->endpoint), "%s", endpoint);
	if (bus_link_open(c->spec.svc, endpoint, &link_handlers, s, &s->link)) {
		mem_free(s);
		return;
	}
	list_append(&c->shards, &s->node);
}

static void drop_shard(struct shard *s)
{
	struct router_clnt *c = s->clnt;
	struct list *node, *heir;

	list_remove(&s->node);
	heir = c->closing ? NULL : list_first(&c->shards);
	while ((node = list_first(&s->flights)) != NULL ||
	       (node = list_first(&s->waiting)) != NULL) {
		struct flight *f = CONTAINER_OF(node, struct flight, node);

		if (!heir) {
			finish(f, E_CLOSED, STR_NONE, false);
			continue;
		}
		list_remove(&f->node);
		f->shard = CONTAINER_OF(heir, struct shard, node);
		list_append(&f->shard->waiting, &f->node);
		send_waiting(f->shard);
	}
	bus_link_close(&s->link);
	mem_free(s);
}

static void on_removed(void *ctx, const char *endpoint)
{
	struct router_clnt *c = ctx;

	LIST_EACH(&c->shards, node, next) {
		struct shard *s = CONTAINER_OF(node, struct shard, node);

		if (strcmp(s->endpoint, endpoint) == 0)
			drop_shard(s);
	}
}

int router_clnt_open(const struct router_clnt_spec *spec, struct router_clnt **clnt)
{
	static const struct bus_peers_handlers handlers = { on_added, on_removed };
	struct router_clnt *c = mem_need(sizeof(*c));
	int err;

	c->spec = *spec;
	list_init(&c->shards);
	map_init(&c->flights, flight_key);
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
	mem_free(c);
}

void router_clnt_uid(struct str event_id, uint64_t *high, uint64_t *low)
{
	uint64_t hash[2];

	hash_stable128(event_id, hash);
	*high = hash[0];
	*low = hash[1] ? hash[1] : 1; /* both 0 means: none */
}

static int send_volatile(struct shard *s, const struct wire_publish *message,
			 struct blob *const *payload, uint32_t payload_count)
{
	struct blob *body = wire_pack(WIRE_PUBLISH, message);
	int err = body ? bus_link_send(s->link, body, payload, payload_count, false, NULL)
		       : E_RANGE;

	blob_unref(&body);
	return err;
}

static int take_off(struct shard *s, struct wire_publish *message, struct blob *const *payload,
		    uint32_t payload_count, router_published_fn fn, void *ctx)
{
	struct router_clnt *c = s->clnt;
	struct flight *f = mem_try(sizeof(*f) + payload_count * sizeof(struct blob *));

	if (!f)
		return E_NOMEM;
	message->ref = f->ref = c->last_ref + 1;
	if (!message->uid_high && !message->uid_low) {
		message->uid_high = bus_epoch();
		message->uid_low = ++c->last_uid;
	}
	f->body = wire_pack(WIRE_PUBLISH, message);
	if (!f->body || map_put(&c->flights, f)) {
		int err = f->body ? E_NOMEM : E_RANGE;

		blob_unref(&f->body);
		mem_free(f);
		return err;
	}
	c->last_ref++;
	f->shard = s;
	f->fn = fn;
	f->ctx = ctx;
	f->bytes = f->body->n;
	for (uint32_t i = 0; i < payload_count; i++) {
		f->payload[i] = blob_ref(payload[i]);
		f->bytes += payload[i]->n;
	}
	f->payload_count = payload_count;
	c->bytes += f->bytes;
	list_append(&s->waiting, &f->node);
	send_waiting(s);
	return 0;
}

int router_clnt_publish(struct router_clnt *clnt, struct wire_publish *message,
			struct blob *const *payload, uint32_t payload_count, router_published_fn fn,
			void *ctx)
{
	struct wire_list_walk w;
	struct str room;
	struct buf key = BUF_INIT(4096);
	struct shard *s;

	wire_list_walk(&message->rooms, &w);
	if (!wire_list_next(&w, &room))
		return E_RANGE;
	buf_add(&key, message->nsp);
	buf_addc(&key, ',');
	buf_add(&key, room);
	s = shard_of(clnt, buf_str(&key));
	buf_fini(&key);
	if (!s)
		return E_UNAVAILABLE;
	if (message->is_volatile)
		return send_volatile(s, message, payload, payload_count);
	if (map_count(&clnt->flights) >= clnt->spec.max_in_flight ||
	    clnt->bytes >= clnt->spec.max_bytes)
		return E_FULL;
	return take_off(s, message, payload, payload_count, fn, ctx);
}

void router_clnt_synced(struct router_clnt *clnt, struct bus_link *link)
{
	struct wire_synced m = { 0 };

	(void)clnt;
	if (bus_link_send_msg(link, WIRE_SYNCED, &m, true))
		log_debug("bus", "the link is gone again: all is told anew when it is back");
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

		if (bus_link_up(s->link))
			continue;
		snprintf(reason, SVC_REASON_BYTES, "no answer from the router at %.150s",
			 s->endpoint);
		return false;
	}
	if (list_empty(&clnt->shards)) {
		snprintf(reason, SVC_REASON_BYTES, "no router is known: see ROUTER_ENDPOINTS");
		return false;
	}
	return true;
}
