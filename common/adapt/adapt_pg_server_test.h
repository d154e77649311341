/* SPDX-License-Identifier: Apache-2.0 */
/* A real PostgreSQL for one test program, on a private port, folder and socket (as user postgres, where this is root). */
#ifndef ROOMWIRE_ADAPT_PG_SERVER_TEST_H
#define ROOMWIRE_ADAPT_PG_SERVER_TEST_H

#include "common/base/base_test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSWORD "s3cret-of-the-tests"

static struct {
	char folder[64], bin[256];
	int port;
	pid_t pid;
} server;

/* initdb and postgres refuse to run as root. */
static void become_server_user(void)
{
	struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;

	if (user && (setgid(user->pw_gid) || setuid(user->pw_uid)))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGINT); /* a test that crashes leaves no server behind */
}

static pid_t spawn(const char *folder, const char *const argv[])
{
	char path[512], log_path[128];
	pid_t pid = fork();
	int log;

	if (pid)
		return pid;
	snprintf(path, sizeof(path), "%s/%s", folder, argv[0]);
	snprintf(log_path, sizeof(log_path), "%s/log", server.folder);
	become_server_user();
	log = open(log_path, O_CREAT | O_WRONLY | O_APPEND, 0600);
	if (log < 0 || chdir(server.folder) || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
	execv(path, (char *const *)argv);
	_exit(127);
}

static void run(const char *folder, const char *const argv[])
{
	int status = -1;

	waitpid(spawn(folder, argv), &status, 0);
	assert_int_equal(status, 0);
}

static void start_server(void)
{
	char data[80], port[16], sockets[80];
	const char *const argv[] = { "postgres", "-D", data, "-p", port, "-k", sockets, NULL };

	snprintf(data, sizeof(data), "%s/data", server.folder);
	snprintf(port, sizeof(port), "%d", server.port);
	snprintf(sockets, sizeof(sockets), "%s", server.folder);
	server.pid = spawn(server.bin, argv);
	assert_true(server.pid > 0);
}

static void stop_server(int how) /* SIGINT: at once, telling clients; SIGKILL: without a word */
{
	int status;

	if (server.pid <= 0)
		return;
	kill(server.pid, how);
	waitpid(server.pid, &status, 0);
	server.pid = 0;
}

static void signal_server(int number) /* and the processes it has made */
{
	char path[64];
	FILE *children;
	int pid;

	kill(server.pid, number);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)server.pid, (int)server.pid);
	children = fopen(path, "r");
	assert_non_null(children);
	while (fscanf(children, "%d", &pid) == 1)
		kill(pid, number);
	fclose(children);
}

static int free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static void find_binaries(void)
{
	glob_t found;

	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) || !found.gl_pathc)
		fail_msg("there is no PostgreSQL below /usr/lib/postgresql: make deps installs it");
	snprintf(server.bin, sizeof(server.bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
	*strrchr(server.bin, '/') = 0;
	globfree(&found);
}

static void write_text(const char *path, const char *how, const char *text)
{
	FILE *file = fopen(path, how);

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int make_server(void **state)
{
	char password_path[80], data[80], settings[96];
	const char *const argv[] = { "initdb",      "-D",       data,
				     "-U",          "roomwire", "--pwfile",
				     password_path, "-A",       "scram-sha-256",
				     "-E",          "UTF8",     "--no-sync",
				     NULL };
	const char *const certificate[] = { "openssl",  "req",           "-x509",   "-newkey",
					    "rsa:2048", "-nodes",        "-days",   "2",
					    "-subj",    "/CN=localhost", "-keyout", "key.pem",
					    "-out",     "cert.pem",      NULL };
	struct passwd *user = getpwnam("postgres");

	(void)state;
	find_binaries();
	snprintf(server.folder, sizeof(server.folder), "%s", "/tmp/roomwire-pg-XXXXXX");
	assert_non_null(mkdtemp(server.folder));
	snprintf(password_path, sizeof(password_path), "%s/password", server.folder);
	snprintf(data, sizeof(data), "%s/data", server.folder);
	write_text(password_path, "w", PASSWORD "\n");
	if (getuid() == 0 && user) {
		assert_int_equal(chown(server.folder, user->pw_uid, user->pw_gid), 0);
		assert_int_equal(chown(password_path, user->pw_uid, user->pw_gid), 0);
	}
	run(server.bin, argv);
	run("/usr/bin", certificate);
	snprintf(settings, sizeof(settings), "%s/data/postgresql.conf", server.folder);
	write_text(settings, "a",
		   "listen_addresses = '127.0.0.1'\nfsync = off\nmax_connections = "
		   "50\nshared_buffers = 16MB\n"
		   "ssl = on\nssl_cert_file = '../cert.pem'\nssl_key_file = '../key.pem'\n");
	server.port = free_port();
	start_server();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int remove_server(void **state)
{
	(void)state;
	stop_server(SIGINT);
	return nftw(server.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
