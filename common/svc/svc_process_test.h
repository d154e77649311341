/* SPDX-License-Identifier: Apache-2.0 */
/* For svc_test.c: a service as another process, watched through its log, its supervisor's pipe and its operations port. */
#ifndef ROOMWIRE_SVC_SVC_PROCESS_TEST_H
#define ROOMWIRE_SVC_SVC_PROCESS_TEST_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/buf.h"

#define WAIT_MS 10000

struct process {
	pid_t pid;
	int notify_fd, log_fd;
	struct buf log; /* standard output and error */
	int ops_port;
};

static inline void start(struct process *p, const char *mode, bool supervised, char *const *args)
{
	char *argv[16] = { (char *)(uintptr_t) "roomwire-tiny" }, fd_text[16];
	int notify[2], log[2], argc = 1;

	*p = (struct process){ .log = BUF_INIT(4u << 20) };
	while (args && *args)
		argv[argc++] = *args++;
	assert_int_equal(pipe(notify), 0);
	assert_int_equal(pipe2(log, O_CLOEXEC), 0);
	fcntl(notify[0], F_SETFD, FD_CLOEXEC);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		dup2(log[1], STDOUT_FILENO);
		dup2(log[1], STDERR_FILENO);
		snprintf(fd_text, sizeof(fd_text), "%d", notify[1]);
		setenv("SVC_TEST", mode, 1);
		if (supervised)
			setenv("ROOMWIRE_NOTIFY_FD", fd_text, 1);
		else
			close(notify[1]);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	close(notify[1]);
	close(log[1]);
	p->notify_fd = notify[0];
	p->log_fd = log[0];
	fcntl(p->log_fd, F_SETFL, O_NONBLOCK);
}

static inline bool logged(struct process *p, const char *text)
{
	char bytes[65536];
	ssize_t n;

	while ((n = read(p->log_fd, bytes, sizeof(bytes))) > 0)
		buf_add(&p->log, str_make(bytes, (size_t)n));
	return p->log.n && memmem(p->log.p, p->log.n, text, strlen(text)) != NULL;
}

static inline void expect_logged(struct process *p, const char *text)
{
	for (int i = 0; i < WAIT_MS / 5; i++) {
		if (logged(p, text))
			return;
		usleep(5000);
	}
	fail_msg("not logged: %s\n" STR_FMT, text, STR_ARG(buf_str(&p->log)));
}

/* Wait for the end; its status as waitpid tells it. */
static inline int end_of(struct process *p)
{
	int status = -1;

	for (int i = 0; i < WAIT_MS / 5; i++) {
		logged(p, "");
		if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
			logged(p, "");
			close(p->notify_fd);
			close(p->log_fd);
			return status;
		}
		usleep(5000);
	}
	kill(p->pid, SIGKILL);
	fail_msg("it does not end\n" STR_FMT, STR_ARG(buf_str(&p->log)));
	return -1;
}

static inline void expect_exit(struct process *p, int code)
{
	int status = end_of(p);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		fail_msg("ended with status %x, want exit code %d\n" STR_FMT, (unsigned)status,
			 code, STR_ARG(buf_str(&p->log)));
}

/* "word PORT" lines from the descriptor of the supervisor, until the given one. */
static inline int told(struct process *p, const char *word)
{
	char line[64];
	uint64_t port;

	for (;;) {
		size_t n = 0;

		do {
			if (read(p->notify_fd, line + n, 1) != 1)
				fail_msg("never told %s\n" STR_FMT, word,
					 STR_ARG(buf_str(&p->log)));
		} while (line[n] != '\n' && ++n < sizeof(line) - 1);
		line[n] = 0;
		if (strncmp(line, word, strlen(word)) == 0)
			return str_to_u64(str_of(line + strlen(word) + 1), &port) ? 0 : (int)port;
	}
}

static inline void start_serving(struct process *p, const char *mode, char *const *args)
{
	start(p, mode, true, args);
	p->ops_port = told(p, "ops");
	assert_int_equal(told(p, "serving"), 4321);
}

static inline void fetch(struct process *p, const char *path, struct buf *page)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->ops_port) };
	char text[65536];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), n;

	buf_reset(page);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
		     path);
	assert_int_equal(send(fd, text, (size_t)n, 0), n);
	while ((n = (int)recv(fd, text, sizeof(text), 0)) > 0)
		buf_add(page, str_make(text, (size_t)n));
	close(fd);
	buf_addc(page, 0);
}

static inline void expect_page(struct process *p, const char *path, const char *head,
			       const char *part)
{
	struct buf page = BUF_INIT(1u << 20);

	fetch(p, path, &page);
	if (strncmp(page.p, head, strlen(head)) != 0 || !strstr(page.p, part))
		fail_msg("%s is %s", path, page.p);
	buf_fini(&page);
}

static inline size_t count_logged(const struct process *p, const char *text)
{
	const char *at = p->log.p, *end = at + p->log.n;
	size_t n = 0;

	while (at && (at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
		at++;
		n++;
	}
	return n;
}

#endif
