/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "services/roomwire/up.h"

#define PAIR_TRIES 100

static int bind_port(const char *host, int port, bool shared)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

int ports_reserve(const char *host, int wanted, int *port, int *fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t n = sizeof(address);

	*fd = -1;
	*port = 0;
	if (wanted) {
		/* SO_REUSEPORT would let us share the port of another gateway of the same user: ask without it first. */
		int alone = bind_port(host, wanted, false);

		if (alone < 0)
			return errno == EADDRINUSE ? E_EXISTS : E_IO;
		close(alone);
	}
	*fd = bind_port(host, wanted, true);
	if (*fd < 0)
		return E_IO;
	if (getsockname(*fd, (struct sockaddr *)&address, &n)) {
		close(*fd);
		return E_IO;
	}
	*port = ntohs(address.sin_port);
	return 0;
}

int ports_reserve_pair(const char *host, const char *next_host, int *port, int *fd, int *next_port,
		       int *next_fd)
{
	for (int i = 0; i < PAIR_TRIES; i++) {
		if (ports_reserve(host, 0, port, fd))
			return E_IO;
		if (*port < 65535 && ports_reserve(next_host, *port + 1, next_port, next_fd) == 0)
			return 0;
		close(*fd);
	}
	/* No two free neighbours: the second one may be any. */
	if (ports_reserve(host, 0, port, fd) == 0) {
		if (ports_reserve(next_host, 0, next_port, next_fd) == 0)
			return 0;
		close(*fd);
	}
	*fd = *next_fd = -1;
	return E_IO;
}
