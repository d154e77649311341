/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/life_out.h"

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "proto/values.h"

#define RETRY_MS 500u

struct life_out {
	struct ingest *ingest;
	const char *broker;
	char topic[250];
	struct list changes; /* struct change */
	size_t count;
	struct wheel_timer timer;
	bool failing; /* was logged */
	bool closing;
};

struct change {
	struct list node;
	struct life_out *out;
	struct bus_link *link; /* NULL: nobody is answered any more */
	bool sent;             /* the broker has been asked */
	uint64_t ref, kind, at_ms;
	bool here;
	uint32_t name_bytes;
	char name[];
};

static const char *type_of(const struct change *c)
{
	if (c->kind == LIFE_USER)
		return c->here ? "user.online" : "user.offline";
	return c->here ? "room.occupied" : "room.vacated";
}

static void drop(struct change *c)
{
	struct life_out *out = c->out;

	list_remove(&c->node);
	mem_free(c);
	metrics_set(METRIC_LIFE_OUT_PENDING, --out->count);
}

static void write_value(const struct change *c, struct buf *out)
{
	struct str name = str_make(c->name, c->name_bytes), nsp;
	char when[CLOCK_ISO_BYTES];

	clock_iso(c->at_ms, when);
	buf_addf(out, "{\"type\":\"%s\",", type_of(c));
	if (c->kind == LIFE_USER) {
		buf_addz(out, "\"userId\":");
		buf_add_json(out, name);
	} else if (str_cut(name, ',', &nsp, &name)) {
		buf_addz(out, "\"namespace\":");
		buf_add_json(out, nsp);
		buf_addz(out, ",\"room\":");
		buf_add_json(out, name);
	}
	buf_addf(out, ",\"at\":\"%s\"}", when);
}

/* The same for a change that is told twice. */
static void write_id(const struct change *c, char id[64])
{
	struct buf text = BUF_INIT(4096);
	uint64_t bits[2];

	buf_addf(&text, "%s %llu ", type_of(c), (unsigned long long)c->at_ms);
	buf_add(&text, str_make(c->name, c->name_bytes));
	hash_stable128(buf_str(&text), bits);
	snprintf(id, 64, "%016llx%016llx", (unsigned long long)bits[0],
		 (unsigned long long)bits[1]);
	buf_fini(&text);
}

static void try_later(struct life_out *out)
{
	if (!wheel_armed(&out->timer))
		svc_arm(out->ingest->svc, &out->timer, clock_ms() + RETRY_MS);
}

static void on_done(void *ctx, struct str code)
{
	struct change *c = ctx;
	struct life_out *out = c->out;
	struct wire_life_done m = { .ref = c->ref };

	c->sent = false;
	/* UNROUTABLE: no queue wants it; TOO_LARGE: it never fits. */
	if (str_is(code, "UNROUTABLE") || str_is(code, "TOO_LARGE"))
		code = STR_NONE;
	if (code.n && c->link && !out->closing) {
		if (!out->failing)
			log_warn("life",
				 "a broker does not take who is online: tried again until it does",
				 KV_Z("broker", out->broker), KV_Z("topic", out->topic),
				 KV_STR("code", code));
		out->failing = true;
		try_later(out);
		return;
	}
	if (code.n == 0) {
		out->failing = false;
		metrics_inc(METRIC_LIFE_OUT);
	}
	if (code.n == 0 && c->link && bus_link_send_msg(c->link, WIRE_LIFE_DONE, &m, true))
		log_debug("life", "a router cannot be told: it tells the change again");
	drop(c);
}

static void pass_on(struct change *c)
{
	struct life_out *out = c->out;
	struct buf value = BUF_INIT(16384);
	char id[64];
	struct wire_produce m = {
		.broker = str_of(out->broker),
		.topic = str_of(str_is(str_of(out->broker), "kafka") ? out->topic : type_of(c)),
		.key = str_make(c->name, c->name_bytes)
	};
	int err;

	write_value(c, &value);
	write_id(c, id);
	m.id = str_of(id);
	m.value = buf_str(&value);
	c->sent = true;
	err = produce_record(out->ingest, &m, on_done, c);
	buf_fini(&value);
	if (err) {
		c->sent = false;
		try_later(out);
	}
}

static void on_timer(struct wheel_timer *timer)
{
	struct life_out *out = CONTAINER_OF(timer, struct life_out, timer);

	LIST_EACH(&out->changes, node, next) {
		struct change *c = CONTAINER_OF(node, struct change, node);

		if (!c->sent)
			pass_on(c);
	}
}

void life_out_on_life(struct ingest *ingest, struct bus_link *link, const struct wire_life *m)
{
	struct life_out *out = ingest->life_out;
	struct change *c = out ? mem_try(sizeof(*c) + m->name.n) : NULL;

	if (!c) {
		if (out) /* it is told again when the link is new */
			bus_link_reset(link);
		return;
	}
	c->out = out;
	c->link = link;
	c->ref = m->ref;
	c->kind = m->kind;
	c->here = m->here;
	c->at_ms = m->at_ms;
	c->name_bytes = (uint32_t)m->name.n;
	memcpy(c->name, m->name.p, m->name.n);
	list_append(&out->changes, &c->node);
	metrics_set(METRIC_LIFE_OUT_PENDING, ++out->count);
	pass_on(c);
}

void life_out_on_lost(struct ingest *ingest, struct bus_link *link)
{
	struct life_out *out = ingest->life_out;

	if (!out)
		return;
	LIST_EACH(&out->changes, node, next) {
		struct change *c = CONTAINER_OF(node, struct change, node);

		if (c->link != link)
			continue;
		c->link = NULL;
		if (!c->sent)
			drop(c);
	}
}

static void watch(struct bus_link *link)
{
	struct wire_life_watch m = { .on = true };

	if (bus_link_send_msg(link, WIRE_LIFE_WATCH, &m, true))
		log_debug("life", "not told to a router that is away: it hears it when it is back");
}

void life_out_on_fresh(struct ingest *ingest, struct bus_link *link)
{
	life_out_on_lost(ingest, link);
	if (ingest->life_out && !ingest->draining)
		watch(link);
}

void life_out_drain(struct ingest *ingest)
{
	struct wire_life_watch m = { .on = false };

	if (ingest->life_out)
		router_clnt_tell(ingest->router, WIRE_LIFE_WATCH, &m);
}

size_t life_out_under_way(const struct ingest *ingest)
{
	return ingest->life_out ? ingest->life_out->count : 0;
}

int life_out_open(struct ingest *ingest)
{
	const struct conf *conf = &ingest->svc->conf;
	struct life_out *out;

	if (strcmp(conf->presence_stream, "off") == 0)
		return 0;
	if (strcmp(conf->presence_stream, "kafka") == 0 ? !conf->kafka_broker_url[0]
							: !conf->rabbitmq_url[0]) {
		log_error("life",
			  "PRESENCE_STREAM names a broker that is not set: set KAFKA_BROKER_URL or "
			  "RABBITMQ_URL, or unset it",
			  KV_Z("presence_stream", conf->presence_stream));
		return E_CONFIG;
	}
	out = mem_need(sizeof(*out));
	out->ingest = ingest;
	out->broker = conf->presence_stream;
	if (conf->presence_topic[0])
		snprintf(out->topic, sizeof(out->topic), "%s", conf->presence_topic);
	else
		snprintf(out->topic, sizeof(out->topic), "%.200s.presence", ingest->profile->name);
	list_init(&out->changes);
	wheel_timer_init(&out->timer, on_timer);
	ingest->life_out = out;
	return 0;
}

void life_out_stop(struct ingest *ingest)
{
	if (ingest->life_out)
		ingest->life_out->closing = true;
}

/* The brokers are closed: nothing is under way there. */
void life_out_close(struct ingest *ingest)
{
	struct life_out *out = ingest->life_out;
	struct list *node;

	if (!out)
		return;
	svc_cancel(ingest->svc, &out->timer);
	while ((node = list_first(&out->changes)) != NULL)
		drop(CONTAINER_OF(node, struct change, node));
	mem_free(out);
	ingest->life_out = NULL;
}
