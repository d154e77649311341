/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of adapt_redis: a real redis-server on a private port and folder, and a server played by hand, and a loop. */
#ifndef ROOMWIRE_ADAPT_REDIS_SERVER_TEST_H
#define ROOMWIRE_ADAPT_REDIS_SERVER_TEST_H

#include "common/base/base_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/svc/svc.h"

#define WAIT_MS 20000

static struct {
	char folder[64];
	int port;
	pid_t pid;
} server;

static inline int listen_on(int port, int *bound)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	*bound = ntohs(address.sin_port);
	return fd;
}

/* password empty: none is asked for */
static inline void start_server(const char *password)
{
	char port[16], log_path[96];

	snprintf(port, sizeof(port), "%d", server.port);
	snprintf(log_path, sizeof(log_path), "%s/log", server.folder);
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves no server behind */
	execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir",
	       server.folder, "--logfile", log_path, "--save", "", "--appendonly", "no",
	       "--daemonize", "no", "--requirepass", password, (char *)NULL);
	_exit(127);
}

static inline void stop_server(
	int how) /* SIGTERM, SIGKILL; a stopped one dies by the latter only */
{
	int status = 0;

	if (server.pid <= 0)
		return;
	kill(server.pid, how);
	waitpid(server.pid, &status, 0);
	server.pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		fail_msg("there is no redis-server: make deps installs it");
}

static inline int make_server(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); /* as the skeleton does */
	snprintf(server.folder, sizeof(server.folder), "/tmp/roomwire-redis-XXXXXX");
	assert_non_null(mkdtemp(server.folder));
	close(listen_on(0, &server.port));
	return 0;
}

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline int remove_server(void **state)
{
	(void)state;
	stop_server(SIGKILL);
	return nftw(server.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ── a server played by hand, on the same port ── */

static int fake_listening = -1, fake_fd = -1, fake_accepted;

static inline void fake_start(void)
{
	int bound;

	fake_listening = listen_on(server.port, &bound);
	assert_int_equal(listen(fake_listening, 16), 0);
	fake_accepted = 0;
}

/* A connection came: it is the one that is talked to from now on. */
static inline bool fake_accept(void)
{
	int fd = accept4(fake_listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return false;
	if (fake_fd >= 0)
		close(fake_fd);
	fake_fd = fd;
	fake_accepted++;
	return true;
}

static char fake_heard[1 << 16];

static inline bool fake_hears(
	const char *text) /* all that was said on this connection since the last match */
{
	size_t n = strlen(fake_heard);
	ssize_t got = recv(fake_fd, fake_heard + n, sizeof(fake_heard) - 1 - n, 0);

	if (got > 0)
		fake_heard[n + (size_t)got] = 0;
	if (!strstr(fake_heard, text))
		return false;
	*fake_heard = 0;
	return true;
}

static inline void fake_say(const char *text)
{
	assert_int_equal(send(fake_fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void fake_stop(void)
{
	if (fake_fd >= 0)
		close(fake_fd);
	if (fake_listening >= 0)
		close(fake_listening);
	fake_fd = fake_listening = -1;
	*fake_heard = 0;
}

/* ── the loop ── */

static uv_loop_t loop;

static inline uint64_t now_ms(void)
{
	return clock_exact_ns() / 1000000;
}

static inline void turn(void)
{
	clock_expire();
	uv_run(&loop, UV_RUN_NOWAIT);
}

#define run_until(condition) \
	do { \
		uint64_t end_ms = now_ms() + WAIT_MS; \
		while (!(condition)) { \
			turn(); \
			usleep(200); \
			if (now_ms() > end_ms) \
				fail_msg("not within %d ms: %s", WAIT_MS, #condition); \
		} \
	} while (0)

#endif
