/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has counted for a process: clock_getcpuclockid(3); proc(5), /proc/PID/stat and /proc/PID/status. */
#ifndef TESTS_BENCH_PROC_H
#define TESTS_BENCH_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct proc_use {
	uint64_t cpu_us;  /* of all its threads, ended ones too: the process's own clock, exact */
	uint64_t user_us; /* how that divides, in steps of a clock tick (10 ms) */
	uint64_t system_us;
	uint64_t rss_bytes;
};

/* 0, or -1 if there is no such process (any more) */
int proc_read(pid_t pid, struct proc_use *out);

/* CPU time of this process so far */
uint64_t proc_self_us(void);

uint64_t proc_now_ns(void); /* monotonic */

#endif
