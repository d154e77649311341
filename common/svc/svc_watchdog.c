/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that pings the loop and ends the process when the loop has not turned for watchdog_ms. Time is counted in ticks the thread
 * itself has lived through: a process that was stopped (SIGSTOP, a debugger, a suspended machine) has missed ticks, not answers.
 */
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/log/log.h"
#include "common/svc/svc_process.h"

#define TICKS 8 /* without an answer: the end */
#define FRAMES 48

static _Atomic(const char *) loop_at = "start";

void svc_watchdog_at(const char *what)
{
	atomic_store_explicit(&loop_at, what, memory_order_relaxed);
}

static void on_ping(uv_async_t *ping)
{
	struct svc_process *p = ping->data;

	atomic_store(&p->watchdog.answered, atomic_load(&p->watchdog.asked));
}

/* Runs in the stuck thread: shows where it is, then lets the default action end the process. */
static void on_abort(int number)
{
	void *frames[FRAMES];

	backtrace_symbols_fd(frames, backtrace(frames, FRAMES), STDERR_FILENO);
	raise(number); /* SA_RESETHAND: this time it ends */
}

/* False when told to stop. */
static bool sleep_tick(struct svc_watchdog *w)
{
	struct timespec until;
	int err = 0;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(w->tick_ms / 1000);
	until.tv_nsec += (long)(w->tick_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&w->lock);
	while (!w->stopping && err != ETIMEDOUT)
		err = pthread_cond_timedwait(&w->wake, &w->lock, &until);
	go_on = !w->stopping;
	pthread_mutex_unlock(&w->lock);
	return go_on;
}

static void *watch(void *ctx)
{
	struct svc_process *p = ctx;
	struct svc_watchdog *w = &p->watchdog;
	unsigned silent_ticks = 0;

	while (sleep_tick(w)) {
		if (atomic_load(&w->answered) == atomic_load(&w->asked)) {
			silent_ticks = 0;
			atomic_fetch_add(&w->asked, 1);
			uv_async_send(&w->ping);
		} else if (++silent_ticks >= TICKS) {
			log_error("watchdog", "the loop does not turn, ending the process",
				  KV_Z("at", atomic_load_explicit(&loop_at, memory_order_relaxed)),
				  KV_I("watchdog_ms", p->svc.conf.watchdog_ms));
			pthread_kill(w->loop_thread, SIGABRT);
			sleep_tick(w);
			_exit(134); /* as the shell shows SIGABRT, should the thread not be able to take signals */
		}
	}
	return NULL;
}

static int thread_start(struct svc_process *p)
{
	struct svc_watchdog *w = &p->watchdog;
	pthread_condattr_t attr;
	sigset_t all, before;
	int failed;

	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the loop's thread */
	failed = pthread_create(&w->thread, NULL, watch, p);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? E_FAIL : 0;
}

int svc_watchdog_open(struct svc_process *p)
{
	struct svc_watchdog *w = &p->watchdog;
	struct sigaction action = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };
	void *frame[1];

	if (p->svc.conf.watchdog_ms == 0)
		return 0;
	backtrace(frame, 1); /* loads what it needs now, not in a signal handler */
	sigaction(SIGABRT, &action, NULL);
	w->tick_ms = (uint64_t)p->svc.conf.watchdog_ms / TICKS + 1;
	w->loop_thread = pthread_self();
	atomic_store(&w->asked, 0);
	atomic_store(&w->answered, 0);
	if (uv_async_init(p->svc.loop, &w->ping, on_ping) != 0)
		return E_FAIL;
	w->ping.data = p;
	uv_unref((uv_handle_t *)&w->ping);
	w->running = thread_start(p) == 0;
	return w->running ? 0 : E_FAIL;
}

void svc_watchdog_close(struct svc_process *p)
{
	struct svc_watchdog *w = &p->watchdog;

	if (!w->running)
		return;
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	w->running = false;
	uv_close((uv_handle_t *)&w->ping, NULL);
}
