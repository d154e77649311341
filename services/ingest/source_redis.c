/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/source_redis.h"

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define OUT_BYTES (32u << 20)
#define CHANNEL_BYTES 4096u

/* A message that the router client has no room for yet. */
struct waiting {
	struct list node;
	struct str nsp; /* of the profile */
	bool is_request;
	struct blob *payload;
};

/* ── to the router ── */

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct source_redis *s = ctx;

	(void)duplicate;
	s->under_way--;
	if (err == 0 || err == E_CLOSED)
		return;
	metrics_inc(METRIC_SIOREDIS_LOST_IN);
	log_warn("redis", "a router refused an event", KV_STR("code", code), KV_ERR(err));
}

/* Without names that no room can have. */
static struct wire_list names_list(const struct sioredis_names *names, struct str *kept)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < names->count; i++)
		if (names->items[i].n > 0 && names->items[i].n <= REDIS_ROOM_BYTES)
			kept[n++] = names->items[i];
	return (struct wire_list){ .count = n, .items = kept };
}

static uint32_t make_payload(const struct sioredis_event *e, struct blob **payload)
{
	uint32_t n = 0;

	while (n < 1 + e->bin_count) {
		struct blob *copy = blob_copy(n == 0 ? e->args : e->bins[n - 1]);

		if (!copy)
			break;
		payload[n++] = copy;
	}
	return n;
}

static int send_on(struct source_redis *s, const struct sioredis_event *e, struct wire_publish *m)
{
	struct blob *payload[1 + SIOREDIS_BINS];
	uint32_t n = make_payload(e, payload);
	uint64_t lane = hash_stable64(e->uid) | 1; /* the messages of one server keep their order */
	int err = n == 1 + e->bin_count
			  ? router_clnt_publish(s->ingest->router, m, payload, n, lane,
						m->is_volatile ? NULL : on_published, s)
			  : E_NOMEM;

	while (n > 0)
		blob_unref(&payload[--n]);
	if (m->is_volatile)
		return 0; /* sent or dropped */
	if (err == 0)
		s->under_way++;
	return err;
}

static int publish(struct source_redis *s, const struct sioredis_event *e, struct wire_publish *m)
{
	int err;

	if (s->under_way >= (size_t)s->ingest->svc->conf.ingest_in_flight && !m->is_volatile)
		return E_FULL;
	err = send_on(s, e, m);
	if (err == E_RANGE) {
		metrics_inc(METRIC_SIOREDIS_IGNORED);
		return 0;
	}
	if (!err)
		metrics_inc(METRIC_INGEST_REDIS);
	return err;
}

int source_redis_publish(struct source_redis *s, const struct sioredis_event *e,
			 struct redis_wish *wish)
{
	struct str all = STR(ROOM_ALL), joined[SIOREDIS_NAMES_MAX];
	struct wire_publish m = {
		.nsp = e->nsp,
		.rooms = { .count = 1, .items = &all },
		.event = e->event,
		.except = names_list(&e->except, s->names[1]),
		.is_volatile = e->is_volatile && !wish->ack,
		.attachments = e->bin_count,
		.verb = wish->verb,
		.origin = ORIGIN_REDIS,
		.ack = wish->ack,
		.ack_ms = wish->ack_ms,
	};

	if (e->rooms.count)
		m.rooms = names_list(&e->rooms, s->names[0]);
	if (wish->targets)
		m.targets = names_list(wish->targets, joined);
	wish->rooms = wish->targets && m.targets.count == 0 ? 0 : m.rooms.count;
	return wish->rooms ? publish(s, e, &m) : 0;
}

/* ── from Redis ── */

static int on_broadcast(struct source_redis *s, struct str nsp, struct str payload)
{
	struct redis_wish nothing = { 0 };
	struct sioredis_event e;

	if (sioredis_decode_event(s->decoder, payload, &e) || !str_eq(e.nsp, nsp)) {
		metrics_inc(METRIC_SIOREDIS_IGNORED);
		return 0;
	}
	if (str_eq(e.uid, s->uid))
		return 0; /* what Roomwire sent comes back */
	return source_redis_publish(s, &e, &nothing);
}

static int handle(struct source_redis *s, struct str nsp, bool is_request, struct str payload)
{
	return is_request ? redis_request_on_message(s, nsp, payload)
			  : on_broadcast(s, nsp, payload);
}

static void show_waiting(const struct source_redis *s)
{
	metrics_set(METRIC_SIOREDIS_WAITING, s->waiting_count);
}

static void wait_for_room(struct source_redis *s, struct str nsp, bool is_request,
			  struct str payload)
{
	struct waiting *w = NULL;

	if (s->waiting_count < REDIS_WAITING_COUNT && s->waiting_bytes < REDIS_WAITING_BYTES)
		w = mem_try(sizeof(*w));
	if (w)
		w->payload = blob_copy(payload);
	if (!w || !w->payload) {
		mem_free(w);
		metrics_inc(METRIC_SIOREDIS_LOST_IN);
		return;
	}
	w->nsp = nsp;
	w->is_request = is_request;
	list_append(&s->waiting, &w->node);
	s->waiting_count++;
	s->waiting_bytes += payload.n;
	show_waiting(s);
}

static void drop_waiting(struct source_redis *s, struct waiting *w)
{
	list_remove(&w->node);
	s->waiting_count--;
	s->waiting_bytes -= w->payload->n;
	blob_unref(&w->payload);
	mem_free(w);
	show_waiting(s);
}

static bool on_turn(void *ctx)
{
	struct source_redis *s = ctx;
	struct list *node;

	while ((node = list_first(&s->waiting)) != NULL) {
		struct waiting *w = CONTAINER_OF(node, struct waiting, node);

		if (handle(s, w->nsp, w->is_request, blob_str(w->payload)))
			break;
		drop_waiting(s, w);
	}
	return false;
}

/* The namespace of a channel, and whether it is the one of requests. */
static bool find_nsp(struct source_redis *s, struct str channel, bool by_pattern, struct str *nsp)
{
	const struct profile *profile = s->ingest->profile;

	for (uint32_t i = 0; i < profile->nsp_count; i++) {
		struct str want;

		*nsp = profile->nsps[i].name;
		buf_reset(&s->channel);
		if (by_pattern)
			sioredis_add_channel(&s->channel, s->key, *nsp, STR_NONE);
		else
			sioredis_add_request_channel(&s->channel, s->key, *nsp);
		want = buf_str(&s->channel);
		if (by_pattern ? str_starts(channel, want) : str_eq(channel, want))
			return true;
	}
	return false;
}

static void on_message(void *ctx, struct str channel, struct str payload, struct str pattern)
{
	struct source_redis *s = ctx;
	bool is_request = pattern.n == 0;
	struct str nsp;

	if (str_is(channel, s->lease.key)) {
		redis_lease_hurry(&s->lease);
		return;
	}
	if (!redis_lease_held(&s->lease) || !find_nsp(s, channel, !is_request, &nsp))
		return;
	if (payload.n > s->max_bytes)
		metrics_inc(METRIC_SIOREDIS_IGNORED);
	else if (!list_empty(&s->waiting) || handle(s, nsp, is_request, payload))
		wait_for_room(s, nsp, is_request, payload);
}

static void on_sent(void *ctx, int err, const struct redis_reply *reply)
{
	(void)ctx;
	(void)reply;
	if (err)
		metrics_inc(METRIC_SIOREDIS_LOST_OUT);
}

void source_redis_send(struct source_redis *s)
{
	struct str argv[] = { STR("PUBLISH"), buf_str(&s->channel), buf_str(&s->out) };
	int err = s->channel.failed ? s->channel.failed : s->out.failed;

	if (!err)
		err = adapt_redis_command(s->commands, argv, 3, on_sent, NULL);
	if (err)
		metrics_inc(METRIC_SIOREDIS_LOST_OUT);
	else
		metrics_inc(METRIC_SIOREDIS_OUT);
	buf_reset(&s->channel);
	buf_reset(&s->out);
}

void source_redis_answer(struct source_redis *s, struct str nsp)
{
	buf_reset(&s->channel);
	sioredis_add_response_channel(&s->channel, s->key, nsp);
	source_redis_send(s);
}

/* ── who acts ── */

static void subscribe(struct source_redis *s, struct str nsp, bool on)
{
	int err = 0;

	for (int pattern = 0; pattern < 2 && !err; pattern++) {
		buf_reset(&s->channel);
		if (pattern)
			sioredis_add_pattern(&s->channel, s->key, nsp);
		else
			sioredis_add_request_channel(&s->channel, s->key, nsp);
		if (on)
			err = adapt_redis_subscribe(s->subscriber, buf_str(&s->channel), pattern);
		else
			adapt_redis_unsubscribe(s->subscriber, buf_str(&s->channel), pattern);
	}
	if (err)
		log_error("redis", "the channels of a namespace cannot be subscribed",
			  KV_STR("namespace", nsp), KV_ERR(err));
}

static void on_lease(void *ctx, bool held)
{
	struct source_redis *s = ctx;
	const struct profile *profile = s->ingest->profile;
	struct wire_watch watch = { .on = held };

	log_info("redis", held ? "this ingest acts for Roomwire on the channels of Redis"
			       : "this ingest no longer acts on the channels of Redis");
	metrics_set(METRIC_SIOREDIS_ACTIVE, held);
	for (uint32_t i = 0; i < profile->nsp_count; i++)
		subscribe(s, profile->nsps[i].name, held);
	if (s->ingest->router)
		router_clnt_tell(s->ingest->router, WIRE_WATCH, &watch);
}

void source_redis_on_fresh(struct ingest *ingest, struct bus_link *link)
{
	struct wire_watch watch = { .on = true };

	if (ingest->redis && redis_lease_held(&ingest->redis->lease) &&
	    bus_link_send_msg(link, WIRE_WATCH, &watch, true))
		log_debug("redis", "the router is gone again: it is told when it is back");
}

void source_redis_on_watched(struct ingest *ingest, const struct bus_message *m)
{
	union wire_any any;
	enum wire_id id;

	if (m->payload_count < 2 || wire_unpack(m->payload[0], &id, &any) || id != WIRE_DELIVER)
		metrics_inc(METRIC_WIRE_BAD);
	else if (!ingest->redis || !redis_lease_held(&ingest->redis->lease))
		metrics_inc(METRIC_SIOREDIS_LOST_OUT); /* the next holder asks for copies itself */
	else
		redis_out_send(ingest->redis, &any.deliver, m->payload + 1, m->payload_count - 1);
}

/* ── life ── */

bool source_redis_ready(void *self, char reason[SVC_REASON_BYTES])
{
	const struct ingest *ingest = self;
	const struct source_redis *s = ingest->redis;

	if (!s)
		return true;
	if (s->lease.refused)
		snprintf(reason, SVC_REASON_BYTES,
			 "it refuses SET or EVAL: is it a replica, or has the user no right to?");
	return !s->lease.refused && adapt_redis_reason(s->commands, reason) &&
	       adapt_redis_reason(s->subscriber, reason);
}

static int connect_both(struct source_redis *s)
{
	const struct conf *conf = &s->ingest->svc->conf;
	struct adapt_redis_spec spec = {
		.svc = s->ingest->svc,
		.url = conf->redis_url,
		.host = conf->redis_host,
		.port = (int)conf->redis_port,
		.timeout_ms = (uint64_t)conf->redis_timeout_ms,
	};
	int err = adapt_redis_open(&spec, &s->commands);

	if (err)
		return err;
	spec.handlers.message = on_message;
	spec.handlers.ctx = s;
	return adapt_redis_open(&spec, &s->subscriber);
}

static void name_it(struct source_redis *s)
{
	const struct conf *conf = &s->ingest->svc->conf;
	uint64_t hash = hash_stable64(str_of(conf->router_endpoints));
	char life[9] = { 0 };

	rnd_id(life, sizeof(life) - 1);
	snprintf(s->uid_text, sizeof(s->uid_text), "rw%016llx", (unsigned long long)hash);
	s->uid = str_of(s->uid_text);
	s->key = str_of(conf->redis_adapter_key);
	snprintf(s->lease.key, sizeof(s->lease.key), "%.64s:adapter:%.64s:%s", conf->redis_prefix,
		 conf->redis_adapter_key, s->uid_text);
	snprintf(s->lease.name, sizeof(s->lease.name), "%.64s:%s", s->ingest->svc->instance, life);
}

int source_redis_open(struct ingest *ingest)
{
	const struct conf *conf = &ingest->svc->conf;
	struct source_redis *s;
	int err;

	if (!conf->redis_url[0] && !conf->redis_host[0])
		return 0;
	s = ingest->redis = mem_need(sizeof(*s));
	s->ingest = ingest;
	s->max_bytes =
		(size_t)conf->max_payload * 2 + 65536; /* as much as a publish call may have */
	s->decoder = sioredis_decoder_new(s->max_bytes * 2);
	list_init(&s->waiting);
	list_init(&s->fetching);
	map_init(&s->asking, redis_acks_key_of);
	buf_init(&s->channel, CHANNEL_BYTES);
	buf_init(&s->out, OUT_BYTES);
	buf_init(&s->scratch, OUT_BYTES);
	name_it(s);
	s->turn = (struct svc_turn){ .fn = on_turn, .ctx = s };
	svc_turn_add(ingest->svc, SVC_RANK_WORK, &s->turn);
	err = connect_both(s);
	if (!err)
		err = adapt_redis_subscribe(s->subscriber, str_of(s->lease.key), false);
	if (err)
		return err;
	s->lease.svc = ingest->svc;
	s->lease.commands = s->commands;
	s->lease.changed = on_lease;
	s->lease.ctx = s;
	redis_lease_start(&s->lease);
	return 0;
}

void source_redis_drain(struct ingest *ingest)
{
	if (ingest->redis)
		redis_lease_release(&ingest->redis->lease);
}

size_t source_redis_under_way(const struct ingest *ingest)
{
	const struct source_redis *s = ingest->redis;

	return s ? s->under_way + s->waiting_count + map_count(&s->asking) : 0;
}

void source_redis_close(struct ingest *ingest)
{
	struct source_redis *s = ingest->redis;
	struct list *node;

	if (!s)
		return;
	redis_lease_stop(&s->lease);
	redis_fetch_close(s);
	redis_acks_close(s);
	adapt_redis_close(&s->subscriber);
	adapt_redis_close(&s->commands);
	ingest->redis = NULL;
	svc_turn_remove(&s->turn);
	while ((node = list_first(&s->waiting)) != NULL)
		drop_waiting(s, CONTAINER_OF(node, struct waiting, node));
	sioredis_decoder_free(&s->decoder);
	buf_fini(&s->channel);
	buf_fini(&s->out);
	buf_fini(&s->scratch);
	mem_free(s);
}
