/* SPDX-License-Identifier: Apache-2.0 */
/* loadgen: many Socket.IO clients in one thread; see lg.h for its parts, `loadgen --help` for its options. */
#include "tests/bench/lg.h"

#include <stdio.h>

#define GRACE_S 0.2 /* for what comes though nothing is due any more */

static void look_at_server(struct lg_opts *o, size_t moment)
{
	for (int i = 0; i < o->pid_count; i++) {
		struct lg_pid *p = &o->pids[i];
		if (proc_read(p->pid, (struct proc_use *)((char *)p + moment)))
			lg_die(LG_EXIT_SETUP, "process %s (%d) is not there%s", p->name, p->pid,
			       moment == offsetof(struct lg_pid, at_start) ? "" : " any more");
	}
}

static void rest(struct lg_net *n, double seconds)
{
	const uint64_t end_ns = proc_now_ns() + (uint64_t)(seconds * 1e9);
	while ((n->now_ns = proc_now_ns()) < end_ns)
		lg_net_turn(n, end_ns);
}

static void measure(struct lg_opts *o, struct lg_net *n, struct lg_load *l, struct lg_span *span)
{
	if (l->sender_count && o->duration_s > 0 && o->warmup_s > 0) {
		lg_load_run(l, o->warmup_s);
		lg_load_drain(l);
		lg_load_restart_counts(l);
	}
	*span = (struct lg_span){ proc_now_ns(), 0,        l->sent,       l->delivered,
				  n->frames_in,  n->reads, proc_self_us() };
	look_at_server(o, offsetof(struct lg_pid, at_measure));
	if (o->hold_s > 0) {
		lg_say("holding %u idle connections for %g s", n->ready - n->gone, o->hold_s);
		rest(n, o->hold_s);
	} else if (o->duration_s > 0 && l->sender_count) {
		lg_say("measuring for %g s", o->duration_s);
		lg_load_run(l, o->duration_s);
		lg_load_drain(l);
	}
	look_at_server(o, offsetof(struct lg_pid, at_end));
	span->ended_ns = proc_now_ns();
	span->self_us = proc_self_us() - span->self_us;
	span->sent = l->sent - span->sent;
	span->delivered = l->delivered - span->delivered;
	span->frames_in = n->frames_in - span->frames_in;
	span->reads = n->reads - span->reads;
}

static bool all_well(const struct lg_net *n, const struct lg_load *l)
{
	const uint64_t lost = l->due - l->delivered;
	const uint64_t differs = lg_load_order_differs(l);

	if (!lost && !l->doubled && !l->misordered && !l->damaged && !differs && !n->gone)
		return true;
	lg_say("WRONG: %llu lost, %llu doubled, %llu out of order, %llu damaged deliveries; %llu "
	       "members with another order; "
	       "%u connections closed by the server%s%s",
	       (unsigned long long)lost, (unsigned long long)l->doubled,
	       (unsigned long long)l->misordered, (unsigned long long)l->damaged,
	       (unsigned long long)differs, n->gone, n->gone ? ", first: " : "", n->why_gone);
	return false;
}

int main(int argc, char **argv)
{
	static struct lg_opts opts;
	static struct lg_net net;
	static struct lg_load load;
	struct lg_span span;

	lg_opts_read(&opts, argc, argv);
	lg_net_open(&net, &opts, &load);
	lg_load_open(&load, &net);
	look_at_server(&opts, offsetof(struct lg_pid, at_start));
	lg_net_connect_all(&net);
	lg_say("%u clients ready in %.2f s", net.ready,
	       (double)(net.connect_ended_ns - net.connect_started_ns) / 1e9);
	rest(&net, opts.settle_s);
	look_at_server(&opts, offsetof(struct lg_pid, at_ready));
	measure(&opts, &net, &load, &span);
	rest(&net, GRACE_S);
	lg_report_print(&opts, &net, &load, &span);
	return all_well(&net, &load) ? LG_EXIT_GOOD : LG_EXIT_WRONG;
}
