/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics/metrics_process.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void value_text(struct buf *out, const char *name, const char *type, const char *doc,
		       double value)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %.10g\n", name, doc, name, type, name, value);
}

static size_t file_read(const char *path, char *text, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, text, cap - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

/* Seconds since 1970 when the machine was started. */
static double boot_seconds(void)
{
	char text[16384];
	const char *at;
	unsigned long long seconds = 0;

	if (file_read("/proc/stat", text, sizeof(text)) &&
	    (at = strstr(text, "\nbtime ")) != NULL && sscanf(at, "\nbtime %llu", &seconds) == 1)
		return (double)seconds;
	return 0;
}

static void stat_text(struct buf *out)
{
	char text[2048];
	unsigned long long utime, stime, start, virtual_bytes;
	long threads, resident_pages;
	double ticks = (double)sysconf(_SC_CLK_TCK), boot;
	const char *at;

	if (!file_read("/proc/self/stat", text, sizeof(text)))
		return;
	at = strrchr(text, ')'); /* the name before it may hold anything */
	if (!at || sscanf(at + 1,
			  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d "
			  "%ld %*d %llu %llu %ld",
			  &utime, &stime, &threads, &start, &virtual_bytes, &resident_pages) != 6)
		return;
	value_text(out, "process_cpu_seconds_total", "counter", "CPU time, user and system",
		   (double)(utime + stime) / ticks);
	value_text(out, "process_resident_memory_bytes", "gauge", "memory held",
		   (double)resident_pages * (double)sysconf(_SC_PAGESIZE));
	value_text(out, "process_virtual_memory_bytes", "gauge", "address space",
		   (double)virtual_bytes);
	value_text(out, "process_threads", "gauge", "threads", (double)threads);
	boot = boot_seconds();
	if (boot > 0)
		value_text(out, "process_start_time_seconds", "gauge", "start, seconds since 1970",
			   boot + (double)start / ticks);
}

void metrics_process_text(struct buf *out)
{
	struct rlimit limit;
	struct stat st;

	stat_text(out);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		value_text(out, "process_max_fds", "gauge", "open files allowed",
			   (double)limit.rlim_cur);
	/* The directory's size is the count since Linux 6.2; before, listing it would cost a loop turn per scrape of a busy edge. */
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		value_text(out, "process_open_fds", "gauge", "open files", (double)st.st_size);
}
