/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 request at a time, blocking, with a deadline: for the helper commands, against our own servers (Content-Length only). */
#ifndef ROOMWIRE_ROOMWIRE_HTTP_CLIENT_H
#define ROOMWIRE_ROOMWIRE_HTTP_CLIENT_H

#include "common/base/buf.h"

struct http_url {
	char host[256];
	char port[8];
};

/* "http://host[:port]", what follows is ignored. E_SYNTAX. */
int http_url_parse(const char *text, struct http_url *url) MUST_CHECK;
/* A connection, or -1: the reason is printed. seconds: as below. And all of these bytes: 0 or E_IO. */
int http_dial(const struct http_url *url, int seconds);
int http_send(int fd, struct str s) MUST_CHECK;
/*
 * headers: further lines, each ending in "\r\n". The answer's body is appended to answer. seconds: for connecting, and for each wait.
 * 0; E_IO: the reason is printed on standard error; E_TIMEOUT.
 */
int http_call(const struct http_url *url, const char *method, const char *target,
	      const char *headers, struct str body, int seconds, int *status,
	      struct buf *answer) MUST_CHECK;

#endif
