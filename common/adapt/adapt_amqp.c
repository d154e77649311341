/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side: hand-over. The connection is in adapt_amqp_conn.c. */
#include "common/adapt/adapt_amqp.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/adapt/adapt_amqp_conn.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MOST_MS 5000u
#define TURN_MS 500

struct adapt_amqp {
	struct adapt_amqp_spec spec;
	char *url;
	struct amqp_conn *conn; /* of the thread */
	uv_async_t async;       /* wakes the loop */
	int wake;               /* eventfd, wakes the thread */
	pthread_t thread;
	pthread_mutex_t lock;   /* for what follows */
	struct list deliveries; /* to the loop */
	struct list commands;   /* to the thread: struct amqp_command */
	bool stopping, paused, up;
	uint64_t connects;
	char reason[SVC_REASON_BYTES];
};

static void wake_thread(struct adapt_amqp *a)
{
	uint64_t one = 1;

	if (write(a->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

static void on_async(uv_async_t *async)
{
	struct adapt_amqp *a = async->data;
	struct list mine, *node;
	uint64_t connects;

	list_init(&mine);
	pthread_mutex_lock(&a->lock);
	while ((node = list_pop(&a->deliveries)) != NULL)
		list_append(&mine, node);
	metrics_set(METRIC_RABBITMQ_UP, a->up);
	connects = a->connects;
	a->connects = 0;
	pthread_mutex_unlock(&a->lock);
	metrics_add(METRIC_RABBITMQ_RECONNECTS, connects);
	while ((node = list_pop(&mine)) != NULL)
		a->spec.on_delivery(a->spec.ctx, CONTAINER_OF(node, struct amqp_delivery, node));
}

/* ── on the thread ── */

static void hand_over(void *ctx, struct amqp_delivery *d)
{
	struct adapt_amqp *a = ctx;

	pthread_mutex_lock(&a->lock);
	list_append(&a->deliveries, &d->node);
	pthread_mutex_unlock(&a->lock);
	uv_async_send(&a->async);
}

static void set_state(struct adapt_amqp *a, bool up, const char *reason)
{
	pthread_mutex_lock(&a->lock);
	a->up = up;
	a->connects += up;
	snprintf(a->reason, sizeof(a->reason), "%s", reason);
	pthread_mutex_unlock(&a->lock);
	uv_async_send(&a->async);
}

static bool is_stopping(struct adapt_amqp *a)
{
	bool stopping;

	pthread_mutex_lock(&a->lock);
	stopping = a->stopping;
	pthread_mutex_unlock(&a->lock);
	return stopping;
}

static int run_commands(struct adapt_amqp *a)
{
	struct list mine, *node;
	bool paused;
	int err = 0;

	list_init(&mine);
	pthread_mutex_lock(&a->lock);
	while ((node = list_pop(&a->commands)) != NULL)
		list_append(&mine, node);
	paused = a->paused;
	pthread_mutex_unlock(&a->lock);
	while ((node = list_pop(&mine)) != NULL) {
		struct amqp_command *c = CONTAINER_OF(node, struct amqp_command, node);

		if (!err)
			err = amqp_conn_run(a->conn, c);
		amqp_command_free(&c);
	}
	if (!err && paused)
		err = amqp_conn_pause(a->conn);
	return err;
}

/* Until the connection is lost, or the process wants to end. */
static void serve(struct adapt_amqp *a)
{
	int err = 0;

	while (!err && !is_stopping(a)) {
		err = run_commands(a);
		if (!err)
			err = amqp_conn_turn(a->conn, a->wake, TURN_MS);
	}
	if (!err)
		run_commands(a); /* the last acknowledgements */
}

static void drop_commands(struct adapt_amqp *a)
{
	struct list *node;

	pthread_mutex_lock(&a->lock);
	while ((node = list_pop(&a->commands)) != NULL) {
		struct amqp_command *c = CONTAINER_OF(node, struct amqp_command, node);

		amqp_command_free(&c);
	}
	pthread_mutex_unlock(&a->lock);
}

static void *run_thread(void *ctx)
{
	struct adapt_amqp *a = ctx;
	uint32_t backoff_ms = BACKOFF_FIRST_MS;

	while (!is_stopping(a)) {
		if (amqp_conn_open(a->conn) == 0) {
			log_info("rabbitmq", "connected", KV_Z("queue", a->spec.queue));
			set_state(a, true, "");
			backoff_ms = BACKOFF_FIRST_MS;
			serve(a);
		}
		if (is_stopping(a))
			break;
		log_warn("rabbitmq", "no connection, trying again",
			 KV_Z("reason", amqp_conn_reason(a->conn)), KV_U("in_ms", backoff_ms));
		set_state(a, false, amqp_conn_reason(a->conn));
		amqp_conn_close(a->conn);
		drop_commands(a); /* they belong to deliveries that come again */
		amqp_conn_sleep(a->wake, backoff_ms + rnd_below(backoff_ms));
		backoff_ms = backoff_ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : backoff_ms * 2;
	}
	amqp_conn_close(a->conn);
	return NULL;
}

/* ── on the loop ── */

int adapt_amqp_open(const struct adapt_amqp_spec *spec, struct adapt_amqp **amqp)
{
	struct adapt_amqp *a = mem_need(sizeof(*a));
	struct amqp_conn_spec conn = {
		.url = spec->url,
		.exchange = spec->exchange,
		.queue = spec->queue,
		.keys = spec->keys,
		.prefetch = spec->prefetch,
		.on_delivery = hand_over,
		.ctx = a,
	};
	int err = amqp_conn_new(&conn, &a->conn);

	if (err) {
		mem_free(a);
		return err;
	}
	a->spec = *spec;
	list_init(&a->deliveries);
	list_init(&a->commands);
	snprintf(a->reason, sizeof(a->reason), "not connected yet");
	pthread_mutex_init(&a->lock, NULL);
	a->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uv_async_init(spec->svc->loop, &a->async, on_async);
	a->async.data = a;
	if (a->wake < 0 || pthread_create(&a->thread, NULL, run_thread, a)) {
		log_error("rabbitmq", "no thread can be started");
		return E_FAIL;
	}
	*amqp = a;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct adapt_amqp *a = handle->data;
	struct list *node;

	while ((node = list_pop(&a->deliveries)) != NULL) {
		amqp_delivery_free(CONTAINER_OF(node, struct amqp_delivery, node));
	}
	drop_commands(a);
	pthread_mutex_destroy(&a->lock);
	close(a->wake);
	mem_free(a);
}

void adapt_amqp_close(struct adapt_amqp **amqp)
{
	struct adapt_amqp *a = *amqp;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_mutex_unlock(&a->lock);
	wake_thread(a);
	pthread_join(a->thread, NULL);
	amqp_conn_free(&a->conn);
	uv_close((uv_handle_t *)&a->async, on_closed);
	*amqp = NULL;
}

void adapt_amqp_pause(struct adapt_amqp *a)
{
	pthread_mutex_lock(&a->lock);
	a->paused = true;
	pthread_mutex_unlock(&a->lock);
	wake_thread(a);
}

static void command(struct adapt_amqp *a, struct amqp_delivery *d, const char *reason)
{
	struct amqp_command *c = amqp_command_new(d, reason);

	pthread_mutex_lock(&a->lock);
	list_append(&a->commands, &c->node);
	pthread_mutex_unlock(&a->lock);
	wake_thread(a);
}

void adapt_amqp_ack(struct adapt_amqp *a, struct amqp_delivery *d)
{
	command(a, d, NULL);
}

void adapt_amqp_dead(struct adapt_amqp *a, struct amqp_delivery *d, struct str reason)
{
	char text[256];

	snprintf(text, sizeof(text), STR_FMT, STR_ARG(reason));
	command(a, d, text);
}

void adapt_amqp_drop(struct amqp_delivery *d)
{
	amqp_delivery_free(d);
}

bool adapt_amqp_up(struct adapt_amqp *a, char reason[SVC_REASON_BYTES])
{
	bool up;

	pthread_mutex_lock(&a->lock);
	up = a->up;
	snprintf(reason, SVC_REASON_BYTES, "%s", a->reason);
	pthread_mutex_unlock(&a->lock);
	return up;
}
