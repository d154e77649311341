/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "common/log/log.h"
#include "common/svc/svc_process.h"

#define SPARE_FILES 64 /* beside client connections */

static void raise_files(struct svc_process *p)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn("svc", "the limit of open files could not be raised",
			 KV_U("hard", limit.rlim_max));
	if (p->svc.spec->user == CONF_EDGE &&
	    limit.rlim_cur < (rlim_t)p->svc.conf.max_connections + SPARE_FILES) {
		/* Asked for by somebody, it is a warning; as a default it only means: as many as there can be. */
		if (conf_given(&p->svc.conf, "max_connections"))
			log_warn("svc",
				 "fewer files may be open than connections are allowed: raise "
				 "`ulimit -n`",
				 KV_U("open_files", limit.rlim_cur),
				 KV_I("max_connections", p->svc.conf.max_connections));
		if (limit.rlim_cur > 2 * SPARE_FILES)
			p->svc.conf.max_connections = (int64_t)(limit.rlim_cur - SPARE_FILES);
	}
}

void svc_limits_apply(struct svc_process *p)
{
	raise_files(p);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		log_warn("svc", "no_new_privs could not be set");
	/* Secrets are in memory: no core dumps, no ptrace by others of the same user. The leak checker needs ptrace. */
	if (!SVC_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		log_warn("svc", "the process could not be made undumpable");
}

int svc_limits_supervised(struct svc_process *p)
{
	const char *text = getenv("ROOMWIRE_NOTIFY_FD");
	uint64_t fd;

	p->notify_fd = -1;
	if (!text || str_to_u64(str_of(text), &fd) || fd > 65535 ||
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
		return 0;
	p->notify_fd = (int)fd;
	/* A supervisor that is killed takes its processes with it, by way of a drain: nothing accepted is lost, no orphan stays. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) != 0)
		log_warn("svc", "the end of the supervisor will go unnoticed");
	if (poll(&(struct pollfd){ .fd = p->notify_fd }, 1, 0) == 1)
		return E_CLOSED; /* it died before the line above: its end of the pipe is closed */
	return 0;
}
