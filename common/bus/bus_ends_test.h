/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of links and questions: several "processes" on one loop, each with a wheel and hooks of its own.
 * Nothing sleeps: RUN_UNTIL turns the loop until something holds.
 */
#ifndef ROOMWIRE_BUS_BUS_ENDS_TEST_H
#define ROOMWIRE_BUS_BUS_ENDS_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/adapt/adapt_zmq.h"
#include "common/base/base_test.h"
#include "common/base/clock.h"
#include "common/base/rnd.h"
#include "common/bus/bus_wire.h"
#include "common/log/log.h"
#include "common/svc/svc_process.h"

#define DEADLINE_MS 20000u
#define SEEN_MAX 1024

/* ── processes ── */

struct world {
	uv_loop_t loop;
	uv_timer_t alarm; /* wakes the loop, so that a deadline is noticed */
	char dir[64], endpoint[96], second[96];
};

struct end {
	struct svc_process process;
	struct svc_spec spec;
};

#define RUN_UNTIL(w, condition) \
	do { \
		uint64_t began_ns = clock_exact_ns(); \
		while (!(condition)) { \
			if (clock_exact_ns() - began_ns > DEADLINE_MS * 1000000ull) \
				fail_msg("never: %s", #condition); \
			uv_run(&(w)->loop, UV_RUN_ONCE); \
		} \
	} while (0)

static inline void on_alarm(uv_timer_t *timer)
{
	(void)timer;
}

static inline void world_open(struct world *w)
{
	*w = (struct world){ 0 };
	log_threshold = LOG_ERROR + 1;
	snprintf(w->dir, sizeof(w->dir), "/tmp/roomwire_bus_test.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->endpoint, sizeof(w->endpoint), "ipc://%s/a", w->dir);
	snprintf(w->second, sizeof(w->second), "ipc://%s/b", w->dir);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	uv_timer_init(&w->loop, &w->alarm);
	uv_timer_start(&w->alarm, on_alarm, 100, 100);
}

static inline void world_close(struct world *w)
{
	char path[80];

	uv_close((uv_handle_t *)&w->alarm, NULL);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	for (const char *name = "ab"; *name; name++) {
		snprintf(path, sizeof(path), "%s/%c", w->dir, *name);
		unlink(path);
	}
	assert_int_equal(rmdir(w->dir), 0);
}

static inline struct svc *end_open(struct end *e, struct world *w, const char *role,
				   const char *instance)
{
	struct svc *svc = &e->process.svc;

	*e = (struct end){ .spec = { .name = role } };
	conf_init(&svc->conf);
	svc->conf.link_heartbeat_ms = 50;
	svc->spec = &e->spec;
	svc->loop = &w->loop;
	svc->instance = instance;
	assert_int_equal(svc_loop_open(&e->process), 0);
	return svc;
}

/* Everything that was opened for it has been closed. */
static inline void end_close(struct end *e)
{
	struct svc_process *p = &e->process;

	assert_int_equal(p->svc.wheel.count, 0);
	for (int rank = 0; rank < SVC_RANK_COUNT; rank++)
		assert_true(list_empty(&p->turns[rank]));
	uv_close((uv_handle_t *)&p->prepare, NULL);
	uv_close((uv_handle_t *)&p->check, NULL);
	uv_close((uv_handle_t *)&p->idle, NULL);
	uv_close((uv_handle_t *)&p->wheel_timer, NULL);
	uv_close((uv_handle_t *)&p->stop_timer, NULL);
	while (uv_run(p->svc.loop, UV_RUN_NOWAIT) && uv_is_closing((uv_handle_t *)&p->idle) &&
	       uv_is_active((uv_handle_t *)&p->idle))
		;
	conf_fini(&p->svc.conf);
}

#endif
