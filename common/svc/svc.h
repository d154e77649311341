/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a process, once. A service's main.c fills in a struct svc_spec and calls svc_main: options, log, limits, loop,
 * watchdog, operations port, start, run, drain, stop.
 *
 *   STARTING ──start()──▶ READY ◀──needs──▶ DEGRADED          (a need does not hold: /readyz 503, service goes on)
 *                           └────SIGTERM────▶ DRAINING ──drained or deadline──▶ STOPPING ──▶ exit 0
 *
 * SIGTERM, SIGINT: drain; a second one: stop now. SIGUSR1: states to the log. SIGPIPE is ignored.
 * Exit codes: 0 ended as asked, 1 failed while running, 2 wrong options or configuration.
 */
#ifndef ROOMWIRE_SVC_SVC_H
#define ROOMWIRE_SVC_SVC_H

#include <uv.h>

#include "common/base/buf.h"
#include "common/base/list.h"
#include "common/base/wheel.h"
#include "common/conf/conf.h"

enum svc_state { SVC_STARTING = 0, SVC_READY, SVC_DEGRADED, SVC_DRAINING, SVC_STOPPING };

struct svc;
struct profile;

#define SVC_REASON_BYTES 192
/* Does the need hold? If not, say why in reason (no credentials). Asked when /readyz is, and once a second. */
typedef bool (*svc_need_fn)(void *self, char reason[SVC_REASON_BYTES]);
struct svc_need {
	const char *
		component; /* of the contract: postgresql, redis, rabbitmq, kafka, oidc, router, auth */
	svc_need_fn holds;
};

struct svc_spec {
	const char *name; /* "edge": the process is roomwire-edge */
	const char *job;  /* one line, for --help */
	enum conf_user user;
	bool wants_profile;           /* load and compile the profile before start */
	const struct svc_need *needs; /* ends with a NULL component */
	/* 0, or E_*: what was wrong has been logged; E_CONFIG exits with 2, others with 1. */
	int (*start)(struct svc *svc, void *self);
	/* Stop taking work, finish what is under way, then call svc_drained. NULL: nothing to finish. */
	void (*drain)(struct svc *svc, void *self);
	/* Close every handle and free everything; the loop runs until they are closed. */
	void (*stop)(struct svc *svc, void *self);
	/* More lines for SIGUSR1; may be NULL. */
	void (*dump)(struct svc *svc, void *self, struct buf *out);
};

/*
 * Work done once per loop turn, just before the loop sleeps (uv_prepare), in order of rank: bus receive, then service, then flush; last
 * the question whether the loop may sleep after all that (those hooks send nothing).
 */
enum svc_rank {
	SVC_RANK_RECEIVE = 0,
	SVC_RANK_WORK,
	SVC_RANK_FLUSH,
	SVC_RANK_SLEEP,
	SVC_RANK_COUNT
};
typedef bool (*svc_turn_fn)(void *ctx); /* true: there is more to do, do not sleep */
struct svc_turn {
	struct list node;
	svc_turn_fn fn;
	void *ctx;
};

struct svc {
	const struct svc_spec *spec;
	void *self;
	uv_loop_t *loop;
	struct wheel wheel; /* driven by svc */
	struct conf conf;
	struct profile *profile; /* NULL unless wants_profile */
	const char *instance;
	enum svc_state state;
};

int svc_main(int argc, char **argv, const struct svc_spec *spec, void *self);

/* Hook work into the end of each loop turn. The struct is the caller's and stays linked until svc_turn_remove. */
void svc_turn_add(struct svc *svc, enum svc_rank rank, struct svc_turn *turn);
void svc_turn_remove(struct svc_turn *turn);
static inline void svc_arm(struct svc *svc, struct wheel_timer *t,
			   uint64_t due_ms) /* monotonic milliseconds */
{
	wheel_arm(&svc->wheel, t, due_ms);
}
static inline void svc_cancel(struct svc *svc, struct wheel_timer *t)
{
	wheel_cancel(&svc->wheel, t);
}
/* The drain is complete. */
void svc_drained(struct svc *svc);
/* Ends the process in an orderly way with the given exit code. */
void svc_fail(struct svc *svc, int exit_code);
/* Milliseconds left of the drain's deadline (0 when not draining or past it). */
uint64_t svc_drain_left_ms(const struct svc *svc);
/*
 * Tell a supervisor that clients are served (written to the descriptor in ROOMWIRE_NOTIFY_FD, if set: one line
 * "serving PORT"; also "ops PORT" when the operations port listens, "api PORT" from ingest). Written once per word.
 */
void svc_notify(struct svc *svc, const char *word, int port);

#endif
