/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is there to talk to: a list of endpoints, where DNS names of tcp:// endpoints are resolved again every BUS_PEERS_AGAIN_MS, each address one
 * peer (a headless service), so that replicas come and go without a restart. ipc:// and addresses are taken as they are.
 * file:///PATH stands for the endpoints in that file: one per line, ipc://PATH or tcp://ADDRESS:PORT, '#' begins a comment. It is read again every
 * BUS_PEERS_FILE_MS; what it says counts when two readings agree, so that half of a file is not taken for the whole. At most
 * BUS_PEERS_FILE_BYTES; lines that are no endpoints are logged, once, and passed over.
 * While a name cannot be resolved or a file not be read, what was known before stays. Thread: loop thread. No callback before bus_peers_open
 * returned, but for endpoints that need no lookup, those in files too: they are added inside it.
 */
#ifndef ROOMWIRE_BUS_BUS_PEERS_H
#define ROOMWIRE_BUS_BUS_PEERS_H

#include "common/svc/svc.h"

#define BUS_PEERS_AGAIN_MS 5000u
#define BUS_PEERS_FILE_MS 500u
#define BUS_PEERS_FILE_BYTES 65536
#define BUS_PEERS_MAX 256

struct bus_peers;

struct bus_peers_handlers {
	void (*added)(void *ctx,
		      const char *endpoint); /* endpoint: BORROWED until the callback returns */
	void (*removed)(void *ctx, const char *endpoint);
};

/* endpoints: comma-separated. E_CONFIG: one is not ipc://PATH, tcp://HOST:PORT or file:///PATH (logged). */
int bus_peers_open(struct svc *svc, const char *endpoints,
		   const struct bus_peers_handlers *handlers, void *ctx,
		   struct bus_peers **peers) MUST_CHECK;
void bus_peers_close(struct bus_peers **peers); /* no `removed` is called */

#endif
