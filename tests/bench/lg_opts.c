/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lg.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
	const char *name;
	size_t offset; /* of the field: double, or const char * where max is 0 */
	double min, max;
	double number;    /* default */
	const char *text; /* default */
	const char *help;
};

#define NUMBER(name, field, min, max, value, help) \
	{ \
		name, offsetof(struct lg_opts, field), min, max, value, NULL, help \
	}
#define TEXT(name, field, value, help) \
	{ \
		name, offsetof(struct lg_opts, field), 0, 0, 0, value, help \
	}

/* clang-format off: one row, one option */
static const struct row rows[] = {
	TEXT("host", host, "127.0.0.1", "address of the server, in 127.0.0.0/8"),
	NUMBER("port", port, 1, 65535, 0, "its port (must be given)"),
	TEXT("path", path, "/socket.io/", "its path"),
	TEXT("token", token, NULL, "one token that all clients sign in with"),
	TEXT("tokens", tokens_file, NULL,
	     "file of tokens, one to a line, given to the clients in turn"),
	NUMBER("clients", clients, 1, 2000000, 100, "connections"),
	NUMBER("rooms", rooms, 0, 1000000, 1,
	       "rooms; client I joins room I % ROOMS; 0: none is joined"),
	NUMBER("senders", senders, 0, 1000000, 1,
	       "clients 0 to SENDERS-1 send, each to its own room"),
	NUMBER("rate", rate, 0, 1000000, 0,
	       "messages a second of all senders together; 0: as fast as they are delivered"),
	NUMBER("burst", burst, 1, 64, 1,
	       "with rate: so many messages at once, RATE/BURST times a second"),
	NUMBER("window", window, 1, 1024, 1,
	       "without rate: messages of one sender under way at once"),
	NUMBER("payload", payload_bytes, 0, LG_PAYLOAD_MAX_BYTES, 64,
	       "bytes of the JSON object that is sent (about 55 at least)"),
	NUMBER("connect-rate", connect_rate, 0, 1000000, 0,
	       "connections a second at most; 0: no limit"),
	NUMBER("connect-inflight", connect_inflight, 1, 10000, 64,
	       "connections being made at once"),
	NUMBER("connect-seconds", connect_s, 1, 3600, 60,
	       "give up when they are not all ready by then"),
	NUMBER("settle", settle_s, 0, 600, 0.5,
	       "seconds of rest after connecting, before memory is read"),
	NUMBER("hold", hold_s, 0, 36000, 0,
	       "seconds to measure idle connections for, instead of sending"),
	NUMBER("warmup", warmup_s, 0, 600, 0.5, "seconds of load before measuring"),
	NUMBER("duration", duration_s, 0, 3600, 5,
	       "seconds of load that are measured; 0: connect only"),
	NUMBER("drain", drain_s, 0, 600, 5, "seconds to wait for the last deliveries, at most"),
	NUMBER("sources", sources, 0, 200, 0,
	       "addresses to connect from, 127.0.0.1 on; 0: one for every 20000 clients"),
};
/* clang-format on */

void lg_say(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("loadgen: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

void lg_die(enum lg_exit code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("loadgen: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(code);
}

void *lg_alloc(size_t count, size_t bytes)
{
	void *made = calloc(count ? count : 1, bytes);
	if (!made)
		lg_die(LG_EXIT_SETUP,
		       "no memory for %zu times %zu bytes; ask for fewer clients, senders or rooms",
		       count, bytes);
	return made;
}

static void print_help(void)
{
	puts("usage: loadgen --port N [--option VALUE]... [--pid NAME=PID]...\n"
	     "Socket.IO clients over WebSocket, which send to rooms and keep books on what "
	     "arrives. Prints one JSON object.\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char value[32];
		snprintf(value, sizeof(value), "%g", rows[i].number);
		const char *unset = rows[i].text ? rows[i].text : "-";
		printf("  --%-17s %s [%s]\n", rows[i].name, rows[i].help,
		       rows[i].max > 0 ? value : unset);
	}
	printf("  --%-17s a process of the server: its CPU time and memory are reported (up to %d "
	       "times)\n",
	       "pid NAME=PID", LG_PIDS_MAX);
	puts("\nexit: 0 all delivered once and in order; 1 not; 2 wrong option; 3 could not "
	     "connect, sign in or join");
}

static void take_pid(struct lg_opts *o, char *value)
{
	char *equals = strchr(value, '=');
	char *end = NULL;
	const unsigned long pid = equals ? strtoul(equals + 1, &end, 10) : 0;

	if (!equals || equals == value || !end || *end || !pid || pid > INT32_MAX)
		lg_die(LG_EXIT_USAGE, "--pid %s: found no NAME=PID", value);
	if (strpbrk(value, "\"\\"))
		lg_die(LG_EXIT_USAGE,
		       "--pid %s: no quotes or backslashes in the name, it is printed as JSON",
		       value);
	if (o->pid_count == LG_PIDS_MAX)
		lg_die(LG_EXIT_USAGE, "--pid: %d at most", LG_PIDS_MAX);
	*equals = 0;
	o->pids[o->pid_count].name = value;
	o->pids[o->pid_count++].pid = (int)pid;
}

static void take_value(struct lg_opts *o, const struct row *row, char *value)
{
	void *field = (char *)o + row->offset;
	if (row->max <= 0) {
		*(const char **)field = value;
		return;
	}
	char *end = NULL;
	const double number = strtod(value, &end);
	if (end == value || *end || !(number >= row->min && number <= row->max))
		lg_die(LG_EXIT_USAGE, "--%s %s: %s; allowed is %g to %g", row->name, value,
		       row->help, row->min, row->max);
	*(double *)field = number;
}

static void take_option(struct lg_opts *o, const char *name, char *value)
{
	if (!value)
		lg_die(LG_EXIT_USAGE, "--%s: a value must follow", name);
	if (!strcmp(name, "pid")) {
		take_pid(o, value);
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (!strcmp(name, rows[i].name)) {
			take_value(o, &rows[i], value);
			return;
		}
	}
	lg_die(LG_EXIT_USAGE, "--%s: no such option; --help lists them", name);
}

static void check(const struct lg_opts *o)
{
	struct in_addr address;
	if (o->port < 1)
		lg_die(LG_EXIT_USAGE, "--port N must be given; --help lists the options");
	if (inet_pton(AF_INET, o->host, &address) != 1 || ntohl(address.s_addr) >> 24 != 127)
		lg_die(LG_EXIT_USAGE,
		       "--host %s: only 127.0.0.0/8; the server's CPU time and memory are read on "
		       "this machine",
		       o->host);
	if (o->senders > o->clients)
		lg_die(LG_EXIT_USAGE, "--senders %g: more than --clients %g", o->senders,
		       o->clients);
	if (o->rooms > o->clients)
		lg_die(LG_EXIT_USAGE, "--rooms %g: more than --clients %g", o->rooms, o->clients);
	if (strlen(o->path) > 256)
		lg_die(LG_EXIT_USAGE, "--path: 256 bytes at most");
}

void lg_opts_read(struct lg_opts *o, int argc, char **argv)
{
	*o = (struct lg_opts){ 0 };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		void *field = (char *)o + rows[i].offset;
		if (rows[i].max > 0)
			*(double *)field = rows[i].number;
		else
			*(const char **)field = rows[i].text;
	}
	for (int i = 1; i < argc; i += 2) {
		if (!strcmp(argv[i], "--help")) {
			print_help();
			exit(LG_EXIT_GOOD);
		}
		if (strncmp(argv[i], "--", 2) != 0)
			lg_die(LG_EXIT_USAGE,
			       "%s: found where an option was due; --help lists them", argv[i]);
		take_option(o, argv[i] + 2, i + 1 < argc ? argv[i + 1] : NULL);
	}
	check(o);
}
