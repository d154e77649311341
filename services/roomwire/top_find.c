/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/top_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/json/json.h"

#define FOLDER_PREFIX "roomwire-"
#define STATE_MOST (64u << 10)
#define PATH_MOST 4096
#define ENVIRON_MOST (1u << 20)
#define UP_COMM "roomwire-up" /* what `up` names itself */

/* ── one file ── */

static int get_text(struct json_value object, struct str name, char *out, size_t cap)
{
	struct buf scratch = BUF_INIT(PATH_MOST);
	struct json_value v;
	struct str text = STR_NONE;
	int err = json_get(object, name, &v);

	if (!err)
		err = json_text(v, &scratch, &text);
	if (!err)
		err = str_copy(text, out, cap);
	buf_fini(&scratch);
	return err ? E_SYNTAX : 0;
}

static int get_number(struct json_value object, struct str name, uint64_t most, uint64_t *n)
{
	struct json_value v;

	return json_get(object, name, &v) || json_u64(v, n) || *n > most ? E_SYNTAX : 0;
}

static int parse_process(struct json_value v, int gateway, struct top_process *p)
{
	char url[320];
	uint64_t pid;

	if (v.type != JSON_OBJECT || get_text(v, STR("name"), p->name, sizeof(p->name)) ||
	    get_number(v, STR("pid"), INT32_MAX, &pid) ||
	    get_text(v, STR("ops"), url, sizeof(url)) || http_url_parse(url, &p->ops))
		return E_SYNTAX;
	p->pid = (int)pid;
	p->gateway = gateway;
	return 0;
}

int top_find_parse(struct str text, struct top_set *set)
{
	struct top_gateway *g = &set->gateways[set->gateway_count];
	struct json_value v, list, one;
	struct json_walk walk;
	struct str key;
	uint64_t pid, port;
	int count = set->process_count;

	if (set->gateway_count == TOP_GATEWAYS_MAX)
		return E_FULL;
	if (json_parse(text, &v) || v.type != JSON_OBJECT ||
	    get_number(v, STR("pid"), INT32_MAX, &pid) ||
	    get_number(v, STR("port"), 65535, &port) ||
	    get_text(v, STR("profile"), g->profile, sizeof(g->profile)) ||
	    get_text(v, STR("url"), g->url, sizeof(g->url)) ||
	    json_get(v, STR("processes"), &list) || list.type != JSON_ARRAY)
		return E_SYNTAX;
	json_walk(list, &walk);
	while (json_next(&walk, &key, &one) == 0) {
		if (count == TOP_PROCESSES_MAX)
			return E_FULL;
		if (parse_process(one, set->gateway_count, &set->processes[count]))
			return E_SYNTAX;
		count++;
	}
	g->pid = (int)pid;
	g->port = (int)port;
	set->gateway_count++;
	set->process_count = count;
	return 0;
}

/* ── all of them ── */

/* Ours, no link, of a bearable size. */
static int read_own(const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = E_IO;
	struct stat st;

	if (fd < 0)
		return E_NOTFOUND;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == getuid() && st.st_size > 0 &&
	    st.st_size <= (off_t)STATE_MOST) {
		char *room = buf_room(text, (size_t)st.st_size);
		ssize_t n = room ? read(fd, room, (size_t)st.st_size) : -1;

		if (n > 0) {
			text->n += (size_t)n;
			err = 0;
		}
	}
	close(fd);
	return err;
}

/* Whether the `up` of this folder lives. */
static bool is_held(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
	bool held = fd < 0 || (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK);

	if (fd >= 0)
		close(fd);
	return held;
}

static bool is_wanted(const struct top_gateway *g, const struct top_wanted *wanted)
{
	return (!wanted->profile || strcmp(wanted->profile, g->profile) == 0) &&
	       (!wanted->port || wanted->port == g->port);
}

static bool is_known(const struct top_set *set, int pid)
{
	for (int i = 0; i < set->gateway_count; i++)
		if (set->gateways[i].pid == pid)
			return true;
	return false;
}

static void take_file(const char *folder, const char *path, const struct top_wanted *wanted,
		      struct top_set *set)
{
	struct buf text = BUF_INIT(STATE_MOST);
	static struct top_set one; /* large */
	const struct top_gateway *g = &one.gateways[0];

	one.gateway_count = one.process_count = 0;
	if (read_own(path, &text) == 0 && top_find_parse(buf_str(&text), &one) == 0) {
		if (!is_held(folder)) {
			unlink(path);
			(void)rmdir(
				folder); /* sockets of processes that still drain may be there */
		} else if (is_wanted(g, wanted) && !is_known(set, g->pid) &&
			   top_find_parse(buf_str(&text), set)) {
			fprintf(stderr, "roomwire top: too many gateways: pid %d is left out\n",
				g->pid);
		}
	}
	buf_fini(&text);
}

void top_find_in(const char *folder, const struct top_wanted *wanted, struct top_set *set)
{
	char run[PATH_MOST], path[PATH_MOST + 16];
	DIR *dir = opendir(folder);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (!str_starts(str_of(entry->d_name), STR(FOLDER_PREFIX)) ||
		    snprintf(run, sizeof(run), "%s/%s", folder, entry->d_name) >= (int)sizeof(run))
			continue;
		snprintf(path, sizeof(path), "%s/%s", run, TOP_STATE_FILE);
		take_file(run, path, wanted, set);
	}
	closedir(dir);
}

/* TMPDIR of a running `up`, which need not be ours: E_NOTFOUND where this process is none, or is not our user's. */
static int folder_of_up(const char *pid, char *folder, size_t cap)
{
	struct buf env = BUF_INIT(ENVIRON_MOST);
	struct str rest, item;
	char path[320], comm[32] = "";
	int err = E_NOTFOUND;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	f = fopen(path, "r");
	if (!f || !fgets(comm, sizeof(comm), f) || strcmp(comm, UP_COMM "\n") != 0) {
		if (f)
			fclose(f);
		return E_NOTFOUND;
	}
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%s/environ", pid);
	f = fopen(path, "r");
	while (f && !feof(f) && !ferror(f) && !env.failed) {
		char *room = buf_room(&env, 4096);

		if (room)
			env.n += fread(room, 1, 4096, f);
	}
	if (f)
		fclose(f);
	for (rest = buf_str(&env); rest.n && err;) {
		str_cut(rest, '\0', &item, &rest);
		if (str_starts(item, STR("TMPDIR=")) && item.n > 7)
			err = str_copy(str_skip(item, 7), folder, cap);
	}
	buf_fini(&env);
	return err;
}

static void find_elsewhere(const struct top_wanted *wanted, struct top_set *set)
{
	char folder[PATH_MOST];
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    folder_of_up(entry->d_name, folder, sizeof(folder)) == 0)
			top_find_in(folder, wanted, set);
	closedir(dir);
}

void top_find(const struct top_wanted *wanted, struct top_set *set)
{
	const char *tmp = getenv("TMPDIR");

	set->gateway_count = set->process_count = 0;
	if (tmp && tmp[0])
		top_find_in(tmp, wanted, set);
	if (!tmp || strcmp(tmp, "/tmp") != 0)
		top_find_in("/tmp", wanted, set);
	find_elsewhere(wanted, set);
}
