/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int read_whole(pid_t pid, const char *name, char *to, size_t room)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	const size_t got = fread(to, 1, room - 1, f);
	to[got] = 0;
	if (fclose(f))
		return -1;
	return got ? 0 : -1;
}

/* Field number n of /proc/PID/stat; the name (field 2) may hold blanks and brackets, so count from its end */
static uint64_t stat_field(const char *stat, int n)
{
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < n; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

int proc_read(pid_t pid, struct proc_use *out)
{
	char text[4096];
	clockid_t clock;
	struct timespec used;

	if (read_whole(pid, "stat", text, sizeof(text)) || clock_getcpuclockid(pid, &clock) ||
	    clock_gettime(clock, &used))
		return -1;
	out->cpu_us = (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
	const uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	out->user_us = stat_field(text, 14) * tick_us;
	out->system_us = stat_field(text, 15) * tick_us;
	if (read_whole(pid, "status", text, sizeof(text)))
		return -1;
	const char *rss = strstr(text, "\nVmRSS:");
	out->rss_bytes = rss ? strtoull(rss + 7, NULL, 10) * 1024 : 0;
	return 0;
}

uint64_t proc_self_us(void)
{
	struct rusage use;
	getrusage(RUSAGE_SELF, &use);
	return (uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

uint64_t proc_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
