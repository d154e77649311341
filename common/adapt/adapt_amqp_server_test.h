/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of adapt_amqp: a real RabbitMQ with folders, ports and a port mapper of its own. */
#ifndef ROOMWIRE_ADAPT_AMQP_SERVER_TEST_H
#define ROOMWIRE_ADAPT_AMQP_SERVER_TEST_H

#include "common/base/base_test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASSWORD "s3cret-of-the-tests"

static struct {
	char folder[64], bin[256], url[128];
	int port, dist_port, epmd_port;
	pid_t pid, epmd;
} server;

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

static void set_path(const char *name, const char *file)
{
	char value[128];

	snprintf(value, sizeof(value), "%s/%s", server.folder, file);
	setenv(name, value, 1);
}

static void set_port(const char *name, int port)
{
	char value[16];

	snprintf(value, sizeof(value), "%d", port);
	setenv(name, value, 1);
}

static void become(const char *folder) /* of the child */
{
	char node[64];
	int log;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves no server behind */
	snprintf(node, sizeof(node), "roomwire%d@localhost", server.port);
	unsetenv("LD_PRELOAD");
	setenv("HOME", folder, 1);
	setenv("ERL_EPMD_ADDRESS", "127.0.0.1", 1);
	set_port("ERL_EPMD_PORT", server.epmd_port);
	setenv("RABBITMQ_NODENAME", node, 1);
	set_port("RABBITMQ_NODE_PORT", server.port);
	setenv("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1", 1);
	set_port("RABBITMQ_DIST_PORT", server.dist_port);
	set_path("RABBITMQ_MNESIA_BASE", "mnesia");
	set_path("RABBITMQ_LOG_BASE", "log");
	set_path("RABBITMQ_SCHEMA_DIR", "config");
	set_path("RABBITMQ_GENERATED_CONFIG_DIR", "config");
	set_path("RABBITMQ_CONFIG_FILE", "rabbitmq.conf");
	set_path("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins");
	set_path("RABBITMQ_CONF_ENV_FILE", "none");
	setenv("RUNNING_UNDER_SYSTEMD", "true", 1); /* the script becomes the broker: one pid */
	setenv("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
	       "-start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none -kernel "
	       "inet_dist_use_interface {127,0,0,1}",
	       1);
	log = open("/dev/null", O_WRONLY);
	if (log < 0 || chdir(folder) || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(126);
}

static void write_text(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", server.folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", server.folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void start_server(void)
{
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (server.pid)
		return;
	become(server.folder);
	execl(server.bin, "rabbitmq-server", (char *)NULL);
	_exit(127);
}

static void stop_server(int how)
{
	int status;

	if (server.pid <= 0)
		return;
	kill(server.pid, how);
	waitpid(server.pid, &status, 0);
	server.pid = 0;
}

static int make_server(void **state)
{
	char text[512], port[16];
	glob_t found;

	(void)state;
	if (glob("/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server", 0, NULL, &found))
		fail_msg("there is no RabbitMQ below /usr/lib/rabbitmq: make deps installs it");
	snprintf(server.bin, sizeof(server.bin), "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	snprintf(server.folder, sizeof(server.folder), "%s", "/tmp/roomwire-amqp-XXXXXX");
	assert_non_null(mkdtemp(server.folder));
	server.port = free_port();
	server.dist_port = free_port();
	server.epmd_port = free_port();
	snprintf(server.url, sizeof(server.url), "amqp://roomwire:" PASSWORD "@127.0.0.1:%d/%%2f",
		 server.port);
	make_folder("mnesia");
	make_folder("log");
	make_folder("config");
	write_text("enabled_plugins", "[].\n");
	snprintf(text, sizeof(text),
		 "listeners.tcp.1 = 127.0.0.1:%d\ndefault_user = roomwire\ndefault_pass = " PASSWORD
		 "\nloopback_users = none\nlog.file.level = warning\n"
		 "disk_free_limit.absolute = 1MB\n",
		 server.port);
	write_text("rabbitmq.conf", text);
	snprintf(port, sizeof(port), "%d", server.epmd_port);
	server.epmd = fork();
	if (!server.epmd) {
		become(server.folder);
		execlp("epmd", "epmd", "-port", port, "-address", "127.0.0.1", (char *)NULL);
		_exit(127);
	}
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
	int status;

	(void)state;
	stop_server(SIGKILL);
	kill(server.epmd, SIGKILL);
	waitpid(server.epmd, &status, 0);
	return nftw(server.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
