/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator: what its files share. One thread, one epoll.
 *
 *   loadgen.c     main: connect, settle, warm up, measure, drain, report
 *   lg_opts.c     the options, one table
 *   lg_net.c      the loop: connects at a bounded rate, reads, writes
 *   lg_sio.c      WebSocket, Engine.IO 4 and Socket.IO 5 as a client speaks them
 *   lg_load.c     rooms, senders, and the books on every single delivery
 *   lg_report.c   the JSON object
 */
#ifndef TESTS_BENCH_LG_H
#define TESTS_BENCH_LG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/hist.h"
#include "tests/bench/proc.h"

#define LG_PIDS_MAX 32
#define LG_PAYLOAD_MAX_BYTES 65536
#define LG_NEVER UINT64_MAX

/* How it ends. The figures are printed in the first two cases. */
enum lg_exit {
	LG_EXIT_GOOD = 0,
	LG_EXIT_WRONG = 1, /* a delivery was lost, doubled, out of order or damaged */
	LG_EXIT_USAGE = 2,
	LG_EXIT_SETUP = 3, /* could not connect, sign in or join */
};

struct lg_pid {
	const char *name;
	int pid;
	struct proc_use at_start;   /* before the first connection */
	struct proc_use at_ready;   /* all clients connected and settled */
	struct proc_use at_measure; /* warm-up delivered */
	struct proc_use at_end;     /* all that was measured delivered */
};

struct lg_opts {
	const char *host;
	const char *path;
	const char *token;
	const char *tokens_file;
	double port;
	double clients;
	double rooms;
	double senders;
	double rate;
	double burst;
	double window;
	double payload_bytes;
	double connect_rate;
	double connect_inflight;
	double connect_s;
	double settle_s;
	double hold_s;
	double warmup_s;
	double duration_s;
	double drain_s;
	double sources;
	struct lg_pid pids[LG_PIDS_MAX];
	int pid_count;
};

/* Where a client is on its way. It only moves forward. */
enum lg_state {
	LG_UNBORN = 0, /* no socket yet */
	LG_TCP,        /* connect() under way */
	LG_UPGRADE,    /* waits for 101 */
	LG_OPEN,       /* waits for Engine.IO's open packet */
	LG_SIGNIN,     /* waits for Socket.IO's CONNECT */
	LG_JOIN,       /* waits for the ack of room:join */
	LG_READY,      /* counted in net.ready */
	LG_GONE,       /* socket closed */
};

struct lg_conn {
	int fd;
	uint32_t id;        /* index in net.conns; client id is in room id % rooms */
	uint32_t out_bytes; /* bytes at out */
	uint32_t in_bytes;  /* bytes at in */
	uint8_t *out;       /* what the kernel did not take yet, or NULL */
	uint8_t *in;        /* the beginning of a frame whose end did not come yet, or NULL */
	uint64_t started_ns;
	uint64_t order_hash; /* over (sender, number) of all it received, in the order received */
	uint8_t state;       /* enum lg_state */
};

struct lg_token {
	const char *at;
	uint32_t bytes;
};

struct lg_net {
	const struct lg_opts *opts;
	struct lg_load *load;
	int epoll_fd;
	struct sockaddr_in server;
	struct lg_conn *conns;
	uint8_t *rx; /* what one recv() brings, after what was left of the last */
	struct lg_token *tokens;
	uint32_t token_count;
	uint32_t started; /* clients that have a socket, or had */
	uint32_t ready;
	uint32_t gone;    /* closed by the server */
	uint32_t sources; /* addresses to connect from */
	uint64_t rng;     /* for masks, which RFC 6455 wants to differ */
	uint64_t connect_started_ns;
	uint64_t connect_ended_ns;
	uint64_t now_ns; /* of this turn of the loop, read again before each batch of frames */
	uint64_t frames_in;
	uint64_t reads; /* recv() calls that brought something */
	uint64_t pings;
	char why_gone[160]; /* of the first one */
	struct hist connect_ns;
};

/* Messages to one room from one sender, as one member of that room saw them */
struct lg_pair {
	uint64_t seen; /* bit d: number last - d has come */
	uint32_t last; /* greatest number that has come; senders count from 1 */
	uint32_t got;  /* different numbers that have come */
};

struct lg_room {
	struct lg_pair *pairs; /* member x sender */
	uint32_t members;
	uint32_t senders;
};

struct lg_sender {
	uint32_t sent;     /* number of its last message */
	uint32_t flying;   /* closed loop: messages that some member still waits for */
	uint32_t *missing; /* closed loop: per message (number % window), deliveries to come */
};

struct lg_load {
	struct lg_net *net;
	struct lg_room *rooms;
	struct lg_sender *senders;
	char *pad; /* LG_PAYLOAD_MAX_BYTES of what messages are filled up with */
	uint32_t room_count;
	uint32_t sender_count;
	uint32_t turn;      /* sender that is next, when paced */
	bool sending;       /* closed loop: a completed message is followed by another */
	uint64_t origin_ns; /* "t" of a message counts from here */
	uint64_t sent;
	uint64_t due;       /* deliveries that must come of what was sent */
	uint64_t delivered; /* different ones that came */
	uint64_t doubled;
	uint64_t misordered; /* came after a later one of the same sender */
	uint64_t damaged;    /* not byte for byte what was sent, or to the wrong room */
	uint64_t strangers;  /* events that are not room:msg */
	struct hist latency_ns;
	struct hist lag_ns; /* paced: how late the generator itself was */
};

/* What was counted between two moments */
struct lg_span {
	uint64_t started_ns;
	uint64_t ended_ns;
	uint64_t sent;
	uint64_t delivered;
	uint64_t frames_in;
	uint64_t reads;
	uint64_t self_us;
};

/* lg_opts.c: reads the command line; prints what is wrong or --help and ends the program itself */
void lg_opts_read(struct lg_opts *o, int argc, char **argv);

/* "loadgen: ..." on standard error */
void lg_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void lg_die(enum lg_exit code, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
void *lg_alloc(size_t count, size_t bytes); /* zeroed; ends the program rather than fail */

/* lg_net.c */
void lg_net_open(struct lg_net *n, const struct lg_opts *o, struct lg_load *load);
void lg_net_connect_all(struct lg_net *n);
/* One turn of the loop: waits until wake_ns at most (0: not at all) and handles what came. */
void lg_net_turn(struct lg_net *n, uint64_t wake_ns);
void lg_net_write(struct lg_net *n, struct lg_conn *c, const uint8_t *bytes, size_t count);
void lg_net_watch_writable(struct lg_net *n, struct lg_conn *c, bool wanted);
/* Ends a connection that the server closed or broke. Before it was ready this ends the program. */
void lg_net_drop(struct lg_net *n, struct lg_conn *c, const char *why, ...)
	__attribute__((format(printf, 3, 4)));

/* lg_sio.c */
void lg_sio_upgrade(struct lg_net *n, struct lg_conn *c);
/* Takes bytes of the stream from `at`; returns how many it used, the rest is the beginning of something. */
size_t lg_sio_take(struct lg_net *n, struct lg_conn *c, uint8_t *at, size_t count);
/* Frames and masks a text at `to` (WS_HEAD_MAX_BYTES + bytes of room); returns the size of the frame. */
size_t lg_sio_frame(struct lg_net *n, uint8_t *to, const char *text, size_t bytes);

/* lg_load.c */
void lg_load_open(struct lg_load *l, struct lg_net *n);
void lg_load_take(struct lg_load *l, struct lg_conn *c, const char *event, size_t bytes);
void lg_load_run(struct lg_load *l, double seconds);
void lg_load_drain(struct lg_load *l);
void lg_load_restart_counts(struct lg_load *l);
uint64_t lg_load_order_differs(const struct lg_load *l);

/* lg_report.c */
void lg_report_print(const struct lg_opts *o, const struct lg_net *n, const struct lg_load *l,
		     const struct lg_span *span);

#endif
