/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MOST (64u << 20)

int http_url_parse(const char *text, struct http_url *url)
{
	struct str rest = str_of(text), host, path, port;

	if (!str_starts(rest, STR("http://")))
		return E_SYNTAX;
	str_cut(str_skip(rest, 7), '/', &host, &path);
	if (!str_cut(host, ':', &host, &port))
		port = STR("80");
	if (host.n == 0 || str_copy(host, url->host, sizeof(url->host)) ||
	    str_copy(port, url->port, sizeof(url->port)))
		return E_SYNTAX;
	return 0;
}

int http_dial(const struct http_url *url, int seconds)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	struct timeval limit = { seconds, 0 };
	int fd = -1, err = getaddrinfo(url->host, url->port, &hints, &list);

	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
		if (connect(fd, a->ai_addr, a->ai_addrlen)) {
			close(fd);
			fd = -1;
		}
	}
	if (fd < 0)
		fprintf(stderr, "http://%s:%s: %s: is it running there?\n", url->host, url->port,
			err ? gai_strerror(err) : strerror(errno));
	if (list)
		freeaddrinfo(list);
	return fd;
}

int http_send(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return E_IO;
		s = str_skip(s, (size_t)n);
	}
	return 0;
}

/* Until the other side closes: the request asks for that. */
static int receive_all(int fd, struct buf *out)
{
	for (;;) {
		char *room = buf_room(out, 65536);
		ssize_t n = room ? recv(fd, room, 65536, 0) : -1;

		if (n == 0)
			return 0;
		if (n < 0)
			return room && (errno == EAGAIN || errno == EWOULDBLOCK) ? E_TIMEOUT : E_IO;
		out->n += (size_t)n;
	}
}

static int split(struct str all, int *status, struct buf *answer)
{
	struct str rest = all;
	uint64_t code;

	if (all.n < 12 || !str_starts(all, STR("HTTP/1.")) ||
	    str_to_u64(str_make(all.p + 9, 3), &code))
		return E_IO;
	*status = (int)code;
	while (rest.n >= 4 && memcmp(rest.p, "\r\n\r\n", 4) != 0)
		rest = str_skip(rest, 1);
	if (rest.n < 4)
		return E_IO;
	buf_add(answer, str_skip(rest, 4));
	return answer->failed;
}

int http_call(const struct http_url *url, const char *method, const char *target,
	      const char *headers, struct str body, int seconds, int *status, struct buf *answer)
{
	struct buf out = BUF_INIT(ANSWER_MOST), in = BUF_INIT(ANSWER_MOST);
	int fd = http_dial(url, seconds), err = fd < 0 ? E_IO : 0;

	buf_addf(&out,
		 "%s %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\nContent-Length: "
		 "%zu\r\n%s\r\n",
		 method, target, url->host, url->port, body.n, headers);
	buf_add(&out, body);
	if (!err)
		err = out.failed ? out.failed : http_send(fd, buf_str(&out));
	if (!err)
		err = receive_all(fd, &in);
	if (!err)
		err = split(buf_str(&in), status, answer);
	if (fd >= 0)
		close(fd);
	if (err == E_IO && fd >= 0)
		fprintf(stderr, "http://%s:%s: the connection broke\n", url->host, url->port);
	buf_fini(&out);
	buf_fini(&in);
	return err;
}
