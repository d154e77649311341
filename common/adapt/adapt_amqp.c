/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's side: hand-over to the consumer's thread (adapt_amqp_conn.c runs on it) and to the publisher (adapt_amqp_pub.c). */
#define _GNU_SOURCE 1
#include "common/adapt/adapt_amqp.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/adapt/adapt_amqp_conn.h"
#include "common/adapt/adapt_amqp_pub.h"
#include "common/base/mem.h"
#include "common/base/utf8.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define TURN_MS 500
#define HELD_BYTES (64u << 20)
#define CLOSE_SECONDS 1
#define CLOSE_TURNS 10
#define REASON_BYTES 512

struct adapt_amqp {
	struct adapt_amqp_spec spec;
	struct amqp_conn conn; /* of the thread */
	struct amqp_pub *pub;
	uv_async_t async; /* wakes the loop */
	int wake;         /* eventfd, wakes the thread */
	pthread_t thread;
	pthread_mutex_t lock;   /* for what follows */
	struct list deliveries; /* to the loop: struct amqp_delivery */
	struct list settled;    /* to the loop: .order */
	struct list done;       /* to the thread: struct amqp_delivery */
	size_t held_bytes;
	bool stopping, paused, up;
	uint64_t connects;
	char reason[SVC_REASON_BYTES];
	size_t window, window_bytes; /* of the loop: messages not answered */
};

static void wake_thread(struct adapt_amqp *a)
{
	uint64_t one = 1;

	if (write(a->wake, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

static void move_all(struct list *from, struct list *to)
{
	struct list *node;

	while ((node = list_pop(from)) != NULL)
		list_append(to, node);
}

static void message_free(struct amqp_message *m)
{
	mem_free(m->reason);
	mem_free(m);
}

static void take_answers(struct adapt_amqp *a)
{
	struct amqp_message *m;

	while ((m = amqp_pub_answered(a->pub)) != NULL) {
		if (m->dead && !m->code[0]) {
			metrics_inc(METRIC_RABBITMQ_DEAD);
			a->spec.on_buried(a->spec.ctx, m->dead);
		} else if (!m->dead) {
			a->window--;
			a->window_bytes -= m->body.n;
			metrics_inc(m->code[0] ? METRIC_RABBITMQ_UNPUBLISHED
					       : METRIC_RABBITMQ_PUBLISHED);
			m->fn(m->ctx, str_of(m->code));
		}
		message_free(m);
	}
}

static void settle(struct adapt_amqp *a, struct list *mine)
{
	struct list *node;

	while ((node = list_pop(mine)) != NULL) {
		struct amqp_delivery *d = CONTAINER_OF(node, struct amqp_delivery, order);

		if (a->spec.on_settled)
			a->spec.on_settled(a->spec.ctx, d);
		amqp_delivery_free(d);
	}
}

static void on_async(uv_async_t *async)
{
	struct adapt_amqp *a = async->data;
	struct list mine, settled, *node;
	struct amqp_pub_state pub;
	uint64_t connects;

	list_init(&mine);
	list_init(&settled);
	amqp_pub_look(a->pub, &pub);
	pthread_mutex_lock(&a->lock);
	move_all(&a->deliveries, &mine);
	move_all(&a->settled, &settled);
	metrics_set(METRIC_RABBITMQ_UP, a->up && pub.up);
	connects = a->connects;
	a->connects = 0;
	pthread_mutex_unlock(&a->lock);
	metrics_set(METRIC_RABBITMQ_BLOCKED, pub.blocked);
	metrics_set(METRIC_RABBITMQ_DEAD_WAITING, pub.dead_waiting);
	metrics_add(METRIC_RABBITMQ_RECONNECTS, connects);
	settle(a, &settled);
	take_answers(a);
	while ((node = list_pop(&mine)) != NULL)
		a->spec.on_delivery(a->spec.ctx, CONTAINER_OF(node, struct amqp_delivery, node));
}

/* ── on the threads ── */

static void hand_over(void *ctx, struct amqp_delivery *d)
{
	struct adapt_amqp *a = ctx;

	pthread_mutex_lock(&a->lock);
	list_append(&a->deliveries, &d->node);
	a->held_bytes += d->body.n;
	pthread_mutex_unlock(&a->lock);
	uv_async_send(&a->async);
}

static void hand_settled(void *ctx, struct amqp_delivery *d)
{
	struct adapt_amqp *a = ctx;

	pthread_mutex_lock(&a->lock);
	list_append(&a->settled, &d->order);
	pthread_mutex_unlock(&a->lock);
	uv_async_send(&a->async);
}

static void on_pub_changed(void *ctx)
{
	struct adapt_amqp *a = ctx;

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

/* What the loop wants. hold: it has as many bytes as it may have. */
static int take_orders(struct adapt_amqp *a, bool *hold)
{
	struct list mine, *node;
	bool paused;

	list_init(&mine);
	pthread_mutex_lock(&a->lock);
	move_all(&a->done, &mine);
	paused = a->paused;
	*hold = a->held_bytes > HELD_BYTES;
	pthread_mutex_unlock(&a->lock);
	while ((node = list_pop(&mine)) != NULL)
		amqp_conn_done(&a->conn, CONTAINER_OF(node, struct amqp_delivery, node));
	return paused && a->conn.line.state ? amqp_conn_pause(&a->conn) : 0;
}

/* Until the connection is lost, or the process wants to end: then the last acknowledgements go out, and are proved. */
static void serve(struct adapt_amqp *a)
{
	bool hold = false;
	int err = 0;

	while (!err && !is_stopping(a)) {
		err = take_orders(a, &hold);
		if (!err)
			err = amqp_conn_turn(&a->conn, a->wake, TURN_MS, hold);
	}
	if (!err)
		err = take_orders(a, &hold);
	for (int i = 0; !err && i < CLOSE_TURNS; i++) {
		err = amqp_conn_turn(&a->conn, a->wake, 20, false);
		if (!a->conn.barrier && list_empty(&a->conn.acked))
			break;
	}
}

static void *run_thread(void *ctx)
{
	struct adapt_amqp *a = ctx;
	uint32_t backoff_ms = 0, ms;
	bool hold;

	while (!is_stopping(a)) {
		if (amqp_conn_open(&a->conn) == 0) {
			log_info("rabbitmq", "connected", KV_Z("queue", a->spec.queue));
			set_state(a, true, "");
			serve(a);
		}
		if (is_stopping(a))
			break;
		ms = amqp_line_backoff(&a->conn.line, &backoff_ms);
		log_warn("rabbitmq", "no connection, trying again",
			 KV_Z("reason", a->conn.line.reason), KV_U("in_ms", ms));
		set_state(a, false, a->conn.line.reason);
		amqp_conn_close(&a->conn);
		(void)take_orders(a, &hold);
		amqp_line_sleep(a->wake, ms);
	}
	amqp_conn_close(&a->conn);
	return NULL;
}

/* ── on the loop ── */

static int open_conn(struct adapt_amqp *a)
{
	int err = amqp_line_init(&a->conn.line, a->spec.url);

	if (err)
		return err;
	a->conn.spec = a->spec;
	a->conn.on_delivery = hand_over;
	a->conn.on_settled = hand_settled;
	a->conn.ctx = a;
	amqp_conn_init(&a->conn);
	return 0;
}

int adapt_amqp_open(const struct adapt_amqp_spec *spec, struct adapt_amqp **amqp)
{
	struct adapt_amqp *a = mem_need(sizeof(*a));
	int err;

	a->spec = *spec;
	if (!a->spec.queue_type)
		a->spec.queue_type = "classic";
	err = open_conn(a);
	if (err) {
		mem_free(a);
		return err;
	}
	list_init(&a->deliveries);
	list_init(&a->settled);
	list_init(&a->done);
	snprintf(a->reason, sizeof(a->reason), "not connected yet");
	pthread_mutex_init(&a->lock, NULL);
	a->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	uv_async_init(spec->svc->loop, &a->async, on_async);
	a->async.data = a;
	if (a->wake < 0 || amqp_pub_open(&a->spec, on_pub_changed, a, &a->pub) ||
	    pthread_create(&a->thread, NULL, run_thread, a)) {
		log_error("rabbitmq", "no thread can be started");
		return E_FAIL;
	}
	*amqp = a;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct adapt_amqp *a = handle->data;

	pthread_mutex_destroy(&a->lock);
	close(a->wake);
	mem_free(a);
}

static void join(struct adapt_amqp *a)
{
	struct timespec until;

	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_mutex_unlock(&a->lock);
	wake_thread(a);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_SECONDS;
	if (pthread_timedjoin_np(a->thread, NULL, &until) == 0)
		return;
	amqp_line_interrupt(&a->conn.line); /* it waits for a broker that does not answer */
	pthread_join(a->thread, NULL);
}

void adapt_amqp_close(struct adapt_amqp **amqp)
{
	struct adapt_amqp *a = *amqp;
	struct list *node;

	if (!a)
		return;
	join(a);
	amqp_pub_stop(a->pub);
	take_answers(a);
	while ((node = list_pop(&a->done)) != NULL)
		amqp_conn_done(&a->conn, CONTAINER_OF(node, struct amqp_delivery, node));
	settle(a, &a->settled);
	while ((node = list_pop(&a->deliveries)) != NULL)
		amqp_delivery_free(CONTAINER_OF(node, struct amqp_delivery, node));
	amqp_pub_free(&a->pub);
	amqp_line_fini(&a->conn.line);
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

static void release_bytes(struct adapt_amqp *a, size_t n)
{
	pthread_mutex_lock(&a->lock);
	a->held_bytes -= n;
	pthread_mutex_unlock(&a->lock);
}

void adapt_amqp_ack(struct adapt_amqp *a, struct amqp_delivery *d)
{
	release_bytes(a, d->body.n);
	blob_unref(&d->held); /* only its number is still wanted */
	d->body = d->key = d->id = STR_NONE;
	pthread_mutex_lock(&a->lock);
	list_append(&a->done, &d->node);
	pthread_mutex_unlock(&a->lock);
	wake_thread(a);
}

static bool has_room(struct adapt_amqp *a, size_t bytes)
{
	return a->window < AMQP_WINDOW && a->window_bytes + bytes <= AMQP_WINDOW_BYTES;
}

void adapt_amqp_dead(struct adapt_amqp *a, struct amqp_delivery *d, struct str reason)
{
	struct amqp_message *m = mem_need(sizeof(*m));
	size_t n = 0, step;

	m->reason = mem_need(REASON_BYTES + 1);
	while (n < reason.n &&
	       (step = utf8_step((const unsigned char *)reason.p + n, reason.n - n)) > 0 &&
	       n + step <= REASON_BYTES)
		n += step;
	memcpy(m->reason, reason.p, n);
	m->body = d->body;
	m->id = d->id;
	m->dead = d;
	list_init(&m->node);
	amqp_pub_send(a->pub, m);
}

static struct str put(char **at, struct str s)
{
	struct str mine = str_make(*at, s.n);

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return mine;
}

int adapt_amqp_publish(struct adapt_amqp *a, struct str exchange, struct str key, struct str id,
		       struct str body, amqp_published_fn fn, void *ctx)
{
	struct amqp_message *m;
	char *at;

	if (exchange.n > 255 || key.n > 255 || id.n > 255)
		return E_RANGE;
	if (!has_room(a, body.n))
		return E_FULL;
	m = mem_try(sizeof(*m) + exchange.n + key.n + id.n + body.n);
	if (!m)
		return E_NOMEM;
	at = m->bytes;
	m->exchange = put(&at, exchange);
	m->key = put(&at, key);
	m->id = put(&at, id);
	m->body = put(&at, body);
	m->fn = fn;
	m->ctx = ctx;
	list_init(&m->node);
	a->window++;
	a->window_bytes += body.n;
	amqp_pub_send(a->pub, m);
	return 0;
}

void adapt_amqp_drop(struct adapt_amqp *a, struct amqp_delivery *d)
{
	if (a)
		release_bytes(a, d->body.n);
	amqp_delivery_free(d);
}

bool adapt_amqp_up(struct adapt_amqp *a, char reason[SVC_REASON_BYTES])
{
	struct amqp_pub_state pub;
	bool up;

	amqp_pub_look(a->pub, &pub);
	pthread_mutex_lock(&a->lock);
	up = a->up && pub.up;
	snprintf(reason, SVC_REASON_BYTES, "%s",
		 !a->up               ? a->reason
		 : up && pub.amiss[0] ? pub.amiss
				      : pub.reason);
	pthread_mutex_unlock(&a->lock);
	return up && !pub.amiss[0];
}
