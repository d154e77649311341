/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `roomwire up`: starts the processes on this machine and keeps them running.
 *
 *   STARTING ──all edges serve──▶ "ready" printed, once ──SIGINT/SIGTERM──▶ every child gets SIGTERM ──all gone──▶ exit 0
 *        child dies ──▶ started again after a back-off (CHILD_BACKOFF_*), unless it says that its configuration is wrong (exit 2): then all ends
 *
 * Ports that are not fixed are chosen here and kept reserved (bound, not listening, SO_REUSEPORT), so that a child that is started again gets
 * its own port back. Children talk over ipc:// sockets in a private folder, and die with this process.
 */
#ifndef ROOMWIRE_ROOMWIRE_UP_H
#define ROOMWIRE_ROOMWIRE_UP_H

#include "common/svc/svc.h"
#include "services/roomwire/roomwire.h"

#define UP_CHILDREN_MAX 64
#define UP_ENV_MAX 512

enum child_kind { CHILD_AUTH = 0, CHILD_ROUTER, CHILD_INGEST, CHILD_EDGE, CHILD_KINDS };

struct up;

struct child {
	struct up *up;
	enum child_kind kind;
	char name[32]; /* "edge-0" */
	int ops_port;  /* reserved */
	int ops_fd;
	int pid;               /* 0: not running */
	bool serving;          /* has served since the start of `up` */
	uv_process_t *process; /* heap: outlives the child's restart until libuv lets go of it */
	uv_pipe_t *notify;
	char line[128]; /* of the notify pipe, incomplete */
	size_t line_bytes;
	uint64_t started_ms, backoff_ms;
	unsigned quick_deaths;    /* in a row */
	struct wheel_timer timer; /* the next start */
};

struct up {
	struct svc *svc;
	int counts[CHILD_KINDS];
	bool demo;
	struct child children[UP_CHILDREN_MAX];
	int child_count;
	char bin_dir[3072];      /* where our binaries are */
	char run_dir[256];       /* private: ipc sockets, the list of what runs */
	int run_fd;              /* its lock; -1: none */
	const char *config;      /* --config FILE, passed on */
	const char *const *sets; /* --set KEY=VALUE, passed on */
	int set_count;
	int port, api_port;
	int port_fd, api_fd; /* reservations; -1: none */
	char host[256];
	char demo_dir[4096];
	bool ready, ending, api_told;
};

/* up_child.c */
int child_start(struct child *c) MUST_CHECK;
void child_signal(struct child *c, int signum);
bool child_any_running(const struct up *up);

/* up_ports.c: a port that stays ours. wanted 0: any. *fd is the reservation. E_EXISTS: somebody listens there. */
int ports_reserve(const char *host, int wanted, int *port, int *fd) MUST_CHECK;
int ports_reserve_pair(const char *host, const char *next_host, int *port, int *fd, int *next_port,
		       int *next_fd) MUST_CHECK;

/* up.c: what a child has said ("ops 1234", "serving 3002", "api 3003"), and that it has ended. */
void up_on_word(struct child *c, struct str word, int port);
void up_on_exit(struct child *c, int64_t status, int signum);
/* up_demo.c */
int demo_prepare(struct up *up) MUST_CHECK;
void demo_print(const struct up *up);
/* The word as a shell reads it: as it is where nothing in it is special, else in quotes. */
void demo_quote(struct buf *out, struct str word);
/* up_state.c: what runs, for `top` (top_find.h says what is in the file). Without it `top` finds nothing, and nothing else is worse. */
int up_state_open(struct up *up) MUST_CHECK;
void up_state_write(const struct up *up);

#endif
