/* SPDX-License-Identifier: Apache-2.0 */
/* Where a Redis is and how to get in; used by adapt_redis*.c only. Thread: any. */
#ifndef ROOMWIRE_ADAPT_REDIS_URL_H
#define ROOMWIRE_ADAPT_REDIS_URL_H

#include "common/base/str.h"

#define REDIS_HOST_BYTES 256 /* with its terminator */
#define REDIS_SECRET_BYTES 1024

struct redis_url {
	char host[REDIS_HOST_BYTES]; /* name or address, without brackets */
	int port;                    /* 1 to 65535 */
	uint32_t db;
	char user[REDIS_SECRET_BYTES];     /* empty: none */
	char password[REDIS_SECRET_BYTES]; /* empty: none */
};

/*
 * redis://[[user]:password@]host[:port][/db] (the IANA registration of the scheme; no query), percent-encoded. E_CONFIG: *why is a sentence
 * without any part of the URL.
 */
int redis_url_parse(struct str text, struct redis_url *url, const char **why) MUST_CHECK;
/* The same from a host and a port. */
int redis_url_of(const char *host, int port, struct redis_url *url, const char **why) MUST_CHECK;
/* A text of the server or the system for people: one line of printable ASCII, without the password. cap > 0. */
void redis_url_reason(const struct redis_url *url, struct str text, char *reason, size_t cap);

#endif
