/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of clients, for brokers: edges ask (PRODUCE), and are answered (PRODUCED) when the broker has the record, or when it is certain that it will not be
 * sent any more. At most PRODUCE_IN_FLIGHT at a time. On drain: no new ones; those under way are finished.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus_rpc.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/ingest/ingest.h"
#include "services/ingest/produce_amqp.h"

struct produce {
	struct ingest *ingest;
	struct bus_answerer *answerer;
	size_t under_way, most;
};

struct order {
	struct produce *produce;
	struct bus_question question;
};

static void answer(struct produce *p, const struct bus_question *q, struct str code)
{
	struct wire_produced m = { .code = code };

	metrics_inc(code.n ? METRIC_PRODUCED_NOT : METRIC_PRODUCED_OK);
	if (p->answerer)
		bus_answerer_reply(p->answerer, q, WIRE_PRODUCED, &m);
}

static const char *code_of(int err)
{
	switch (err) {
	case 0:
		return "";
	case E_TOOBIG:
	case E_RANGE: /* RabbitMQ: key or id over 255 bytes */
		return "TOO_LARGE";
	case E_NOTFOUND:
		return "NOT_FOUND";
	case E_DENIED:
		return "FORBIDDEN";
	default:
		return "UNAVAILABLE";
	}
}

static void on_published(void *ctx, struct str code)
{
	struct order *o = ctx;
	struct produce *p = o->produce;

	p->under_way--;
	metrics_set(METRIC_PRODUCE_PENDING, p->under_way);
	answer(p, &o->question, code);
	mem_free(o);
}

static void on_report(void *ctx, int err)
{
	on_published(ctx, str_of(code_of(err)));
}

/* topic without a NUL inside: the wire carries any bytes. */
static int to_kafka(struct ingest *ingest, const struct wire_produce *m, kafka_report_fn fn,
		    void *ctx)
{
	char topic[256];

	if (!ingest->kafka)
		return E_UNAVAILABLE;
	if (memchr(m->topic.p, 0, m->topic.n) || str_copy(m->topic, topic, sizeof(topic)))
		return E_NOTFOUND;
	return adapt_kafka_produce(ingest->kafka, topic, m->key, m->id, m->value, fn, ctx);
}

static int send_on(struct produce *p, const struct wire_produce *m, struct order *o)
{
	if (str_is(m->broker, "kafka"))
		return to_kafka(p->ingest, m, on_report, o);
	if (str_is(m->broker, "rabbitmq"))
		return produce_amqp(p->ingest, m, on_published, o);
	return E_UNAVAILABLE;
}

static void on_question(void *ctx, const struct bus_question *q, enum wire_id id,
			const union wire_any *any)
{
	struct produce *p = ctx;
	struct order *o;
	int err = E_UNAVAILABLE;

	if (id != WIRE_PRODUCE)
		return;
	if (p->ingest->draining || p->under_way >= p->most || !(o = mem_try(sizeof(*o)))) {
		answer(p, q, STR("UNAVAILABLE"));
		return;
	}
	*o = (struct order){ p, *q };
	err = send_on(p, &any->produce, o);
	if (err) {
		answer(p, q, str_of(code_of(err)));
		mem_free(o);
		return;
	}
	p->under_way++;
	metrics_set(METRIC_PRODUCE_PENDING, p->under_way);
}

struct record {
	produced_fn fn;
	void *ctx;
};

static void on_record_published(void *ctx, struct str code)
{
	struct record r = *(struct record *)ctx;

	mem_free(ctx);
	r.fn(r.ctx, code);
}

static void on_record_reported(void *ctx, int err)
{
	on_record_published(ctx, str_of(code_of(err)));
}

int produce_record(struct ingest *ingest, const struct wire_produce *m, produced_fn fn, void *ctx)
{
	struct record *r = mem_try(sizeof(*r));
	int err;

	if (!r)
		return E_NOMEM;
	*r = (struct record){ fn, ctx };
	if (str_is(m->broker, "kafka"))
		err = to_kafka(ingest, m, on_record_reported, r);
	else
		err = produce_amqp(ingest, m, on_record_published, r);
	if (err)
		mem_free(r);
	return err;
}

int produce_open(struct ingest *ingest)
{
	const struct conf *conf = &ingest->svc->conf;
	struct produce *p;
	int err;

	if (!conf->ingest_bind[0])
		return 0;
	p = mem_need(sizeof(*p));
	p->ingest = ingest;
	p->most = (size_t)conf->produce_in_flight;
	ingest->produce = p;
	err = bus_answerer_open(ingest->svc, conf->ingest_bind, on_question, p, &p->answerer);
	if (err)
		log_error("produce", "INGEST_BIND cannot be listened on",
			  KV_Z("endpoint", conf->ingest_bind), KV_ERR(err));
	return err;
}

size_t produce_under_way(const struct ingest *ingest)
{
	return ingest->produce ? ingest->produce->under_way : 0;
}

/* Nobody is answered any more; before the brokers are closed, whose last reports still come here. */
void produce_stop(struct ingest *ingest)
{
	if (ingest->produce)
		bus_answerer_close(&ingest->produce->answerer);
}

void produce_close(struct ingest *ingest)
{
	mem_free(ingest->produce);
	ingest->produce = NULL;
}
