/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which gateways of this user run on this machine. Each `up` keeps a file TOP_STATE_FILE in its run folder (roomwire-XXXXXX, mode 0700, in its TMPDIR
 * or /tmp):
 *
 *   {"pid":N,"profile":NAME,"port":N,"url":URL,"processes":[{"name":"edge-0","pid":N,"ops":URL},…]}
 *
 * and an exclusive lock (flock) on that folder while it lives. A file whose folder is not locked is of an `up` that was killed: it is removed, and
 * the folder when nothing else is in it.
 */
#ifndef ROOMWIRE_ROOMWIRE_TOP_FIND_H
#define ROOMWIRE_ROOMWIRE_TOP_FIND_H

#include "common/base/buf.h"
#include "services/roomwire/http_client.h"

#define TOP_STATE_FILE "up.json"
#define TOP_PROCESSES_MAX 256
#define TOP_GATEWAYS_MAX 32

struct top_process {
	char name[64]; /* "edge-0"; of --ops: host:port until it has said its name */
	int pid;       /* 0: not known */
	struct http_url ops;
	int gateway; /* index; -1: of --ops */
};

struct top_gateway {
	int pid, port;
	char profile[128];
	char url[320];
};

struct top_set {
	struct top_gateway gateways[TOP_GATEWAYS_MAX];
	int gateway_count;
	struct top_process processes[TOP_PROCESSES_MAX];
	int process_count;
};

/* Which of them; the zeroed struct: all. */
struct top_wanted {
	const char *profile; /* its name; NULL: any */
	int port;            /* 0: any */
};

/* Adds those that run below the folder. */
void top_find_in(const char *folder, const struct top_wanted *wanted, struct top_set *set);
/* Adds those of this user, wherever `up` puts its folder. */
void top_find(const struct top_wanted *wanted, struct top_set *set);
/* One file's text: 0, E_SYNTAX, E_FULL (the set; nothing was added). */
int top_find_parse(struct str text, struct top_set *set) MUST_CHECK;

#endif
