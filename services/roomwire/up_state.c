/* SPDX-License-Identifier: Apache-2.0 */
/* The file by which `top` finds our processes. It is replaced whole, so that nobody reads half of one, and goes with the run folder. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/log/log.h"
#include "common/profile/profile.h"
#include "services/roomwire/top_find.h"
#include "services/roomwire/up.h"

#define STATE_MOST (64u << 10)

static void add_url(struct buf *out, const char *key, const char *host, int port)
{
	buf_addf(out, ",\"%s\":\"http://%s:%d\"", key, args_host(host), port);
}

static void make_text(const struct up *up, struct buf *out)
{
	buf_addf(out, "{\"pid\":%d,\"profile\":", (int)getpid());
	buf_add_json(out, str_of(up->svc->profile->name));
	buf_addf(out, ",\"port\":%d", up->port);
	add_url(out, "url", up->host, up->port);
	buf_addz(out, ",\"processes\":[");
	for (int i = 0; i < up->child_count; i++) {
		const struct child *c = &up->children[i];

		buf_addf(out, "%s{\"name\":\"%s\",\"pid\":%d", i ? "," : "", c->name, c->pid);
		add_url(out, "ops", up->svc->conf.ops_host, c->ops_port);
		buf_addc(out, '}');
	}
	buf_addz(out, "]}\n");
}

static int write_whole(const char *path, struct str text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n = fd < 0 ? -1 : write(fd, text.p, text.n);

	if (fd >= 0 && close(fd) != 0)
		n = -1;
	return n == (ssize_t)text.n ? 0 : E_IO;
}

int up_state_open(struct up *up)
{
	up->run_fd = open(up->run_dir, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	return up->run_fd >= 0 && flock(up->run_fd, LOCK_EX | LOCK_NB) == 0 ? 0 : E_IO;
}

void up_state_write(const struct up *up)
{
	struct buf text = BUF_INIT(STATE_MOST);
	char path[sizeof(up->run_dir) + 16], fresh[sizeof(up->run_dir) + 16];

	snprintf(path, sizeof(path), "%s/%s", up->run_dir, TOP_STATE_FILE);
	snprintf(fresh, sizeof(fresh), "%s/%s.new", up->run_dir, TOP_STATE_FILE);
	make_text(up, &text);
	if (text.failed || write_whole(fresh, buf_str(&text)) || rename(fresh, path))
		log_warn("up",
			 "`roomwire top` will not find these processes: their list cannot be "
			 "written",
			 KV_Z("path", path), KV_Z("reason", strerror(errno)));
	buf_fini(&text);
}
