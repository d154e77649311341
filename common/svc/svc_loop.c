/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One turn of the loop: timers (the wheel's among them), prepare (turn hooks by rank, then the wheel's timer is set), sleep and
 * callbacks of descriptors, check. Handles made here are unreferenced: once stopping, the loop ends when those of the service are
 * closed. What keeps it alive before are the signal handles.
 */
#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/svc/svc_process.h"

#define STOP_GRACE_MS 5000

/* The hook that runs next in the present round: a hook may remove any other. */
static struct list *turn_next;

void svc_turn_add(struct svc *svc, enum svc_rank rank, struct svc_turn *turn)
{
	list_append(&svc_process_of(svc)->turns[rank], &turn->node);
}

void svc_turn_remove(struct svc_turn *turn)
{
	if (turn_next == &turn->node)
		turn_next = turn->node.next;
	list_remove(&turn->node);
}

static bool run_hooks(struct svc_process *p)
{
	static const char *const names[SVC_RANK_COUNT] = { "receive hooks", "work hooks",
							   "flush hooks", "sleep hooks" };
	bool more = false;

	for (int rank = 0; rank < SVC_RANK_COUNT; rank++) {
		struct list *head = &p->turns[rank];

		svc_watchdog_at(names[rank]);
		for (struct list *node = head->next; node != head; node = turn_next) {
			struct svc_turn *turn = CONTAINER_OF(node, struct svc_turn, node);

			turn_next = node->next;
			if (turn->fn(turn->ctx))
				more = true;
		}
		turn_next = NULL;
	}
	return more;
}

static void on_wheel_timer(uv_timer_t *timer)
{
	struct svc_process *p = timer->data;

	p->wheel_due_ms = 0;
	svc_watchdog_at("timers");
	wheel_advance(&p->svc.wheel, clock_ms());
}

/* Both clocks are CLOCK_MONOTONIC in milliseconds; only differences are used. */
static void set_wheel_timer(struct svc_process *p)
{
	uint64_t now_ms = clock_ms();
	int64_t left_ms = wheel_next_ms(&p->svc.wheel, now_ms);
	uint64_t due_ms = left_ms < 0 ? 0 : now_ms + (uint64_t)left_ms;

	if (due_ms == p->wheel_due_ms)
		return;
	p->wheel_due_ms = due_ms;
	if (!due_ms) {
		uv_timer_stop(&p->wheel_timer);
		return;
	}
	uv_update_time(p->svc.loop);
	uv_timer_start(&p->wheel_timer, on_wheel_timer, (uint64_t)left_ms, 0);
}

/* Longest time between two sleeps, the sleep left out. */
static void measure_turn(struct svc_process *p)
{
	uint64_t now_ns = clock_exact_ns(), idle_ns = uv_metrics_idle_time(p->svc.loop);
	uint64_t wall_ns = now_ns - p->turn_began_ns, slept_ns = idle_ns - p->idle_ns;
	uint64_t busy_us = wall_ns > slept_ns ? (wall_ns - slept_ns) / 1000 : 0;

	if (busy_us > metrics_values[METRIC_LOOP_TURN_MAX_US])
		metrics_set(METRIC_LOOP_TURN_MAX_US, busy_us);
	p->turn_began_ns = now_ns;
	p->idle_ns = idle_ns;
}

static void on_idle(uv_idle_t *idle)
{
	(void)idle; /* it only keeps the loop from sleeping */
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct svc_process *p = prepare->data;
	bool more = run_hooks(p);

	if (p->stop_wanted && p->svc.state != SVC_STOPPING)
		svc_state_stop(p);
	if (more)
		uv_idle_start(&p->idle, on_idle);
	else
		uv_idle_stop(&p->idle);
	set_wheel_timer(p);
	measure_turn(p);
	svc_watchdog_at("callbacks of descriptors");
	clock_expire(); /* the callbacks after the sleep must not see the time before it */
}

static void on_check(uv_check_t *check)
{
	(void)check;
	svc_watchdog_at("timers");
	clock_expire();
}

int svc_loop_open(struct svc_process *p)
{
	uv_loop_t *loop = p->svc.loop;

	for (int rank = 0; rank < SVC_RANK_COUNT; rank++)
		list_init(&p->turns[rank]);
	if (uv_loop_configure(loop, UV_METRICS_IDLE_TIME) != 0)
		return E_FAIL;
	uv_prepare_init(loop, &p->prepare);
	uv_check_init(loop, &p->check);
	uv_idle_init(loop, &p->idle);
	uv_timer_init(loop, &p->wheel_timer);
	uv_timer_init(loop, &p->stop_timer);
	p->prepare.data = p->wheel_timer.data = p->stop_timer.data = p;
	uv_prepare_start(&p->prepare, on_prepare);
	uv_check_start(&p->check, on_check);
	uv_unref((uv_handle_t *)&p->prepare);
	uv_unref((uv_handle_t *)&p->check);
	uv_unref((uv_handle_t *)&p->idle);
	uv_unref((uv_handle_t *)&p->wheel_timer);
	uv_unref((uv_handle_t *)&p->stop_timer);
	clock_tick();
	wheel_init(&p->svc.wheel, clock_ms());
	p->turn_began_ns = clock_exact_ns();
	return 0;
}

static void tell_open_handle(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	if (uv_has_ref(handle) && (uv_is_active(handle) || uv_is_closing(handle)))
		log_warn("svc", "a handle is still open",
			 KV_Z("type", uv_handle_type_name(handle->type)));
}

/* What is not closed by now never will be: the process ends without it. */
static void on_stop_grace(uv_timer_t *timer)
{
	uv_walk(timer->loop, tell_open_handle, NULL);
	uv_stop(timer->loop);
}

static void close_own(struct svc_process *p)
{
	uv_close((uv_handle_t *)&p->prepare, NULL);
	uv_close((uv_handle_t *)&p->check, NULL);
	uv_close((uv_handle_t *)&p->idle, NULL);
	uv_close((uv_handle_t *)&p->wheel_timer, NULL);
	uv_close((uv_handle_t *)&p->stop_timer, NULL);
}

void svc_loop_run(struct svc_process *p)
{
	int err;

	while (p->svc.state != SVC_STOPPING)
		uv_run(p->svc.loop, UV_RUN_ONCE);
	uv_timer_start(&p->stop_timer, on_stop_grace, STOP_GRACE_MS, 0);
	uv_run(p->svc.loop, UV_RUN_DEFAULT);
	close_own(p);
	uv_run(p->svc.loop, UV_RUN_NOWAIT);
	err = uv_loop_close(p->svc.loop);
	if (err)
		log_error("svc", "the loop did not close", KV_Z("reason", uv_strerror(err)));
	BUG_ON(err && SVC_SANITIZED);
}
