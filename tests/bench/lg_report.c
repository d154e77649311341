/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lg.h"

#include <stdio.h>
#include <string.h>

static double per(double what, double by)
{
	return by > 0 ? what / by : 0;
}

static void print_hist(const char *name, const struct hist *h)
{
	printf("  \"%s\": {\"count\": %llu, \"mean\": %.1f, \"p50\": %.1f, \"p90\": %.1f, \"p99\": "
	       "%.1f, \"p999\": %.1f, \"max\": %.1f},\n",
	       name, (unsigned long long)h->count, per((double)h->sum_ns, (double)h->count) / 1e3,
	       (double)hist_at(h, 0.5) / 1e3, (double)hist_at(h, 0.9) / 1e3,
	       (double)hist_at(h, 0.99) / 1e3, (double)hist_at(h, 0.999) / 1e3,
	       (double)h->max_ns / 1e3);
}

static uint64_t cpu_us(const struct proc_use *from, const struct proc_use *to)
{
	return to->cpu_us - from->cpu_us;
}

static void print_process(const struct lg_pid *p, double clients, double delivered, bool last)
{
	const double grown = (double)p->at_ready.rss_bytes - (double)p->at_start.rss_bytes;
	const uint64_t connecting = cpu_us(&p->at_start, &p->at_ready);
	const uint64_t measured = cpu_us(&p->at_measure, &p->at_end);

	printf("    {\"name\": \"%s\", \"pid\": %d, \"rss_start\": %llu, \"rss_ready\": %llu, "
	       "\"rss_end\": %llu, "
	       "\"rss_per_connection\": %.0f, \"connect_cpu_us\": %llu, \"cpu_us_per_connect\": "
	       "%.2f, "
	       "\"cpu_user_us\": %llu, \"cpu_system_us\": %llu, \"cpu_us_per_delivery\": %.4f}%s\n",
	       p->name, p->pid, (unsigned long long)p->at_start.rss_bytes,
	       (unsigned long long)p->at_ready.rss_bytes, (unsigned long long)p->at_end.rss_bytes,
	       per(grown, clients), (unsigned long long)connecting,
	       per((double)connecting, clients),
	       (unsigned long long)(p->at_end.user_us - p->at_measure.user_us),
	       (unsigned long long)(p->at_end.system_us - p->at_measure.system_us),
	       per((double)measured, delivered), last ? "" : ",");
}

static void print_server(const struct lg_opts *o, const struct lg_span *span)
{
	const double seconds = (double)(span->ended_ns - span->started_ns) / 1e9;
	uint64_t connecting = 0, measured = 0;
	double grown = 0;

	for (int i = 0; i < o->pid_count; i++) {
		const struct lg_pid *p = &o->pids[i];
		connecting += cpu_us(&p->at_start, &p->at_ready);
		measured += cpu_us(&p->at_measure, &p->at_end);
		grown += (double)p->at_ready.rss_bytes - (double)p->at_start.rss_bytes;
	}
	printf("  \"server\": {\"cpu_us\": %llu, \"cpu_us_per_delivery\": %.4f, "
	       "\"cpu_us_per_connect\": %.2f, \"cores\": %.3f, "
	       "\"rss_per_connection\": %.0f},\n",
	       (unsigned long long)measured, per((double)measured, (double)span->delivered),
	       per((double)connecting, o->clients), per((double)measured / 1e6, seconds),
	       per(grown, o->clients));
	printf("  \"processes\": [\n");
	for (int i = 0; i < o->pid_count; i++)
		print_process(&o->pids[i], o->clients, (double)span->delivered,
			      i + 1 == o->pid_count);
	printf("  ],\n");
}

void lg_report_print(const struct lg_opts *o, const struct lg_net *n, const struct lg_load *l,
		     const struct lg_span *span)
{
	const double seconds = (double)(span->ended_ns - span->started_ns) / 1e9;
	const double connecting = (double)(n->connect_ended_ns - n->connect_started_ns) / 1e9;

	printf("{\n  \"settings\": {\"clients\": %.0f, \"rooms\": %u, \"senders\": %u, \"rate\": "
	       "%g, \"burst\": %g, \"window\": %g, "
	       "\"payload\": %g, \"duration\": %g, \"hold\": %g},\n",
	       o->clients, l->room_count, l->sender_count, o->rate, o->burst, o->window,
	       o->payload_bytes, o->duration_s, o->hold_s);
	printf("  \"connect_seconds\": %.3f,\n  \"connects_per_second\": %.0f,\n", connecting,
	       per(n->ready, connecting));
	print_hist("connect_us", &n->connect_ns);
	printf("  \"seconds\": %.3f,\n  \"sent\": %llu,\n  \"delivered\": %llu,\n  "
	       "\"deliveries_per_second\": %.0f,\n",
	       seconds, (unsigned long long)span->sent, (unsigned long long)span->delivered,
	       per((double)span->delivered, seconds));
	print_hist("latency_us", &l->latency_ns);
	print_hist("generator_lag_us", &l->lag_ns);
	printf("  \"generator\": {\"cpu_us\": %llu, \"cores\": %.3f, \"frames_per_read\": %.2f, "
	       "\"pings\": %llu},\n",
	       (unsigned long long)span->self_us, per((double)span->self_us / 1e6, seconds),
	       per((double)span->frames_in, (double)span->reads), (unsigned long long)n->pings);
	print_server(o, span);
	printf("  \"total\": {\"sent\": %llu, \"due\": %llu, \"delivered\": %llu},\n",
	       (unsigned long long)l->sent, (unsigned long long)l->due,
	       (unsigned long long)l->delivered);
	printf("  \"lost\": %llu,\n  \"doubled\": %llu,\n  \"misordered\": %llu,\n  \"damaged\": "
	       "%llu,\n",
	       (unsigned long long)(l->due - l->delivered), (unsigned long long)l->doubled,
	       (unsigned long long)l->misordered, (unsigned long long)l->damaged);
	printf("  \"order_differs\": %llu,\n  \"other_events\": %llu,\n  \"closed\": %u\n}\n",
	       (unsigned long long)lg_load_order_differs(l), (unsigned long long)l->strangers,
	       n->gone);
}
