/* SPDX-License-Identifier: Apache-2.0 */
/* Life, wake-ups and readiness of the Kafka adapter. */
#include "common/adapt/adapt_kafka.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/adapt/adapt_kafka_impl.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define TICK_MS \
	200u /* rebalances and reports are served at least so often, whatever the wake-ups do */

/* ── what librdkafka says about its brokers ── */

static void set_up(struct adapt_kafka *k, bool up, const char *reason)
{
	snprintf(k->reason, sizeof(k->reason), "%s", up ? "" : reason);
	metrics_set(METRIC_KAFKA_UP, up);
	if (up == k->up && (up || k->told_down))
		return;
	k->up = up;
	k->told_down = !up;
	if (up) {
		k->last_error = 0;
		log_info("kafka", "connected", KV_Z("brokers", k->brokers));
	} else {
		log_warn("kafka",
			 "no broker of KAFKA_BROKER_URL answers: events wait until one does",
			 KV_Z("brokers", k->brokers), KV_Z("reason", reason));
	}
}

void kafka_trouble(struct adapt_kafka *k, int error, const char *text)
{
	char reason[SVC_REASON_BYTES];

	snprintf(reason, sizeof(reason), "%s", text && *text ? text : rd_kafka_err2str(error));
	if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
		set_up(k, false, "no connection to any broker");
		return;
	}
	if (error == k->last_error)
		return;
	k->last_error = error;
	log_warn("kafka", "trouble with the brokers; it is tried again",
		 KV_Z("error", rd_kafka_err2name(error)), KV_Z("reason", reason));
}

static void on_error(rd_kafka_t *rk, int error, const char *reason, void *ctx)
{
	struct adapt_kafka *k = ctx;
	char text[SVC_REASON_BYTES];

	if (error == RD_KAFKA_RESP_ERR__FATAL) {
		error = (int)rd_kafka_fatal_error(rk, text, sizeof(text));
		if (rk == k->out)
			k->out_fatal = true;
		reason = text;
	}
	kafka_trouble(k, error, reason);
}

static uint64_t sum_after(const char *json, const char *key)
{
	uint64_t sum = 0;
	size_t n = strlen(key);

	for (const char *p = strstr(json, key); p; p = strstr(p + n, key)) {
		long long value = strtoll(p + n, NULL, 10);

		sum += value > 0 ? (uint64_t)value : 0;
	}
	return sum;
}

/* librdkafka tells of no broker that comes up but in its statistics. The text is its own, ends with a NUL and has no blanks between key and value. */
static int on_stats(rd_kafka_t *rk, char *json, size_t n, void *ctx)
{
	struct adapt_kafka *k = ctx;

	(void)n;
	if (rk == k->in)
		metrics_set(METRIC_KAFKA_LAG, sum_after(json, "\"consumer_lag\":"));
	if (rk == (k->in ? k->in : k->out)) {
		if (strstr(json, "\"state\":\"UP\""))
			set_up(k, true, NULL);
		else if (k->up)
			set_up(k, false, "no connection to any broker");
	}
	return 0; /* librdkafka frees it */
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
	(void)rk;
	log_debug("kafka", "librdkafka", KV_I("level", level), KV_Z("facility", facility),
		  KV_Z("text", text));
}

static void put(rd_kafka_conf_t *conf, const char *key, const char *value)
{
	char why[256];

	if (rd_kafka_conf_set(conf, key, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
		log_error("kafka", "librdkafka refuses a setting", KV_Z("key", key),
			  KV_Z("reason", why));
}

rd_kafka_conf_t *kafka_conf_new(struct adapt_kafka *k, const char *const *pairs)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	put(conf, "bootstrap.servers", k->brokers);
	put(conf, "client.id", k->spec.client_id);
	put(conf, "client.software.name", "roomwire");
	put(conf, "reconnect.backoff.ms", "100");
	put(conf, "reconnect.backoff.max.ms", "2000");
	put(conf, "socket.timeout.ms", "10000");
	put(conf, "socket.nagle.disable", "true");
	put(conf, "socket.keepalive.enable", "true");
	put(conf, "statistics.interval.ms", "1000");
	put(conf, "topic.metadata.refresh.interval.ms", "5000"); /* topics made anew are noticed */
	for (; *pairs; pairs += 2)
		put(conf, pairs[0], pairs[1]);
	rd_kafka_conf_set_opaque(conf, k);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_stats_cb(conf, on_stats);
	rd_kafka_conf_set_log_cb(conf, on_log);
	return conf;
}

/* ── the loop ── */

void kafka_listen(struct adapt_kafka *k, rd_kafka_queue_t *queue)
{
	static const uint64_t one = 1;

	rd_kafka_queue_io_event_enable(queue, k->wake, &one, sizeof(one));
}

void adapt_kafka_wake(struct adapt_kafka *k)
{
	k->woken = true;
}

static void on_wake(uv_poll_t *poll, int status, int events)
{
	struct adapt_kafka *k = poll->data;
	uint64_t count;

	(void)status;
	(void)events;
	if (read(k->wake, &count, sizeof(count)) > 0)
		k->woken = true;
}

static void on_tick(struct wheel_timer *timer)
{
	struct adapt_kafka *k = CONTAINER_OF(timer, struct adapt_kafka, tick);

	k->woken = true;
	svc_arm(k->spec.svc, timer, clock_ms() + TICK_MS);
}

static bool on_turn(void *ctx)
{
	struct adapt_kafka *k = ctx;

	if (!k->woken)
		return false;
	k->woken = false;
	if (k->in)
		kafka_in_serve(k);
	if (k->out)
		kafka_out_serve(k);
	if (k->spec.turn)
		k->spec.turn(k->spec.ctx);
	return k->woken;
}

static int open_loop(struct adapt_kafka *k)
{
	k->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (k->wake < 0)
		return E_FAIL;
	k->poll = mem_need(sizeof(*k->poll));
	if (uv_poll_init(k->spec.svc->loop, k->poll, k->wake)) {
		mem_free(k->poll);
		k->poll = NULL;
		return E_FAIL;
	}
	k->poll->data = k;
	uv_poll_start(k->poll, UV_READABLE, on_wake);
	k->turn = (struct svc_turn){ .fn = on_turn, .ctx = k };
	svc_turn_add(k->spec.svc, SVC_RANK_WORK, &k->turn);
	wheel_timer_init(&k->tick, on_tick);
	svc_arm(k->spec.svc, &k->tick, clock_ms() + TICK_MS);
	return 0;
}

int adapt_kafka_open(const struct adapt_kafka_spec *spec, struct adapt_kafka **kafka)
{
	struct adapt_kafka *k = mem_need(sizeof(*k));
	int err;

	k->spec = *spec;
	k->brokers = mem_need_dup(spec->brokers);
	k->wake = -1;
	list_init(&k->partitions);
	list_init(&k->reports);
	snprintf(k->reason, sizeof(k->reason), "not connected yet");
	*kafka = k;
	err = open_loop(k);
	if (!err)
		err = kafka_out_open(k);
	if (!err && spec->topics)
		err = kafka_in_open(k);
	if (err)
		adapt_kafka_close(kafka);
	return err;
}

static void on_poll_closed(uv_handle_t *handle)
{
	mem_free(handle);
}

void adapt_kafka_close(struct adapt_kafka **kafka)
{
	struct adapt_kafka *k = *kafka;

	if (!k)
		return;
	*kafka = NULL;
	if (k->in)
		kafka_in_close(k);
	if (k->out)
		kafka_out_close(k);
	if (k->poll) {
		svc_turn_remove(&k->turn);
		svc_cancel(k->spec.svc, &k->tick);
		uv_poll_stop(k->poll);
		uv_close((uv_handle_t *)k->poll, on_poll_closed);
	}
	if (k->wake >= 0)
		close(k->wake);
	mem_free(k->brokers);
	mem_free(k);
}

bool adapt_kafka_up(struct adapt_kafka *k, char reason[SVC_REASON_BYTES])
{
	snprintf(reason, SVC_REASON_BYTES, "%s", k->reason);
	return k->up;
}
