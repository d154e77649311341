/* SPDX-License-Identifier: Apache-2.0 */
/* The whole of a running process, shared by svc*.c only. Services see its first member, struct svc. */
#ifndef ROOMWIRE_SVC_SVC_PROCESS_H
#define ROOMWIRE_SVC_SVC_PROCESS_H

#include <pthread.h>
#include <stdatomic.h>

#include "common/http/http_server.h"
#include "common/svc/svc.h"

#define SVC_MAX_SETS 64
#define SVC_MAX_NEEDS 8
#define SVC_MAX_WORDS 4
#define SVC_SIGNAL_COUNT 3
#define SVC_EXIT_OK 0
#define SVC_EXIT_FAILED 1
#define SVC_EXIT_CONFIG 2

#if defined(__SANITIZE_ADDRESS__)
#define SVC_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define SVC_SANITIZED 1
#endif
#endif
#ifndef SVC_SANITIZED
#define SVC_SANITIZED 0
#endif

struct svc_args {
	const char *config, *profile;   /* NULL: not given */
	const char *sets[SVC_MAX_SETS]; /* "key=value" */
	size_t set_count;
	bool check, print_config, help, version;
};

struct svc_need_state {
	bool holds, held_once, told;
	bool missed;       /* its absence was told */
	uint64_t since_ms; /* of the present state */
};

/* The loop answers a ping each time it turns; the watchdog's thread counts its own ticks without an answer. */
struct svc_watchdog {
	uv_async_t ping;
	pthread_t thread, loop_thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool running, stopping; /* under lock */
	uint64_t tick_ms;
	atomic_uint asked, answered;
};

struct svc_process {
	struct svc svc;
	char instance[80];
	char title[32]; /* roomwire-edge */
	int exit_code;
	bool stop_wanted;
	uint64_t started_ms, drain_deadline_ms;

	/* svc_loop.c */
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle;
	uv_timer_t wheel_timer;
	uint64_t wheel_due_ms; /* what wheel_timer is set for; 0: stopped */
	uint64_t turn_began_ns, idle_ns;
	struct list turns[SVC_RANK_COUNT];
	struct wheel_timer drain_timer, health_timer;
	uv_timer_t stop_timer;

	uv_signal_t signals[SVC_SIGNAL_COUNT];
	int signal_count;

	struct svc_need_state needs[SVC_MAX_NEEDS];
	struct http_server *ops;
	struct svc_watchdog watchdog;

	int notify_fd; /* -1: no supervisor */
	const char *notified[SVC_MAX_WORDS];
};

static inline struct svc_process *svc_process_of(struct svc *svc)
{
	return CONTAINER_OF(svc, struct svc_process, svc);
}

/* svc_args.c: 0, or E_CONFIG with lines in errors. */
int svc_args_parse(struct svc_args *args, int argc, char **argv, struct buf *errors) MUST_CHECK;
void svc_args_help(const struct svc_process *p, struct buf *out);
void svc_args_version(const struct svc_process *p, struct buf *out);

/* svc_conf.c: all sources of options, the profile among them. 0, or E_CONFIG with lines in errors. */
int svc_conf_load(struct svc_process *p, const struct svc_args *args,
		  struct buf *errors) MUST_CHECK;
void svc_conf_free(struct svc_process *p);

/* svc_limits.c: what the process may do; before the loop. */
void svc_limits_apply(struct svc_process *p);
/* The supervisor's descriptor and its death. E_CLOSED: it is gone already. */
int svc_limits_supervised(struct svc_process *p) MUST_CHECK;

/* svc_loop.c */
int svc_loop_open(struct svc_process *p) MUST_CHECK;
void svc_loop_run(struct svc_process *p); /* until stopped and everything is closed */

/* svc_signal.c */
int svc_signal_open(struct svc_process *p) MUST_CHECK;
void svc_signal_close(struct svc_process *p);

/* svc_state.c: the only place that changes svc->state. */
void svc_state_set(struct svc_process *p, enum svc_state state);
const char *svc_state_name(enum svc_state state);
void svc_state_drain(struct svc_process *p); /* asked to end; asked again: at once */
void svc_state_stop(struct svc_process *p);  /* end of a turn, when stop_wanted */
void svc_state_dump(struct svc_process *p);

/* svc_health.c */
void svc_health_open(struct svc_process *p);
bool svc_health_ready(struct svc_process *p,
		      struct buf *failing); /* JSON objects joined by commas are appended */

/* svc_http.c */
int svc_http_open(struct svc_process *p) MUST_CHECK;
void svc_http_close(struct svc_process *p);

/* svc_watchdog.c */
int svc_watchdog_open(struct svc_process *p) MUST_CHECK;
void svc_watchdog_close(struct svc_process *p); /* joins the thread */
/* What the loop is at, for the watchdog's last words: a literal. */
void svc_watchdog_at(const char *what);

#endif
