/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/lg.h"

#include <stdio.h>

static double per(double what, double by)
{
	return by > 0 ? what / by : 0;
}

static double us_at(const struct hist *h, double part)
{
	return (double)hist_at(h, part) / 1e3;
}

static void print_hist(const char *name, const struct hist *h)
{
	printf("  \"%s\": {\"count\": %llu, ", name, (unsigned long long)h->count);
	printf("\"mean\": %.1f, ", per((double)h->sum_ns, (double)h->count) / 1e3);
	printf("\"p50\": %.1f, \"p90\": %.1f, ", us_at(h, 0.5), us_at(h, 0.9));
	printf("\"p99\": %.1f, \"p999\": %.1f, ", us_at(h, 0.99), us_at(h, 0.999));
	printf("\"max\": %.1f},\n", (double)h->max_ns / 1e3);
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

	printf("    {\"name\": \"%s\", \"pid\": %d, ", p->name, p->pid);
	printf("\"rss_start\": %llu, ", (unsigned long long)p->at_start.rss_bytes);
	printf("\"rss_ready\": %llu, ", (unsigned long long)p->at_ready.rss_bytes);
	printf("\"rss_end\": %llu, ", (unsigned long long)p->at_end.rss_bytes);
	printf("\"rss_per_connection\": %.0f, ", per(grown, clients));
	printf("\"cpu_total_us\": %llu, ", (unsigned long long)cpu_us(&p->at_start, &p->at_end));
	printf("\"cpu_us_per_connect\": %.2f, ", per((double)connecting, clients));
	printf("\"cpu_us\": %llu, ", (unsigned long long)measured);
	printf("\"user_us\": %llu, ",
	       (unsigned long long)(p->at_end.user_us - p->at_measure.user_us));
	printf("\"system_us\": %llu, ",
	       (unsigned long long)(p->at_end.system_us - p->at_measure.system_us));
	printf("\"cpu_us_per_delivery\": %.4f}%s\n", per((double)measured, delivered),
	       last ? "" : ",");
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
	printf("  \"server\": {\"cpu_us\": %llu, ", (unsigned long long)measured);
	printf("\"cpu_us_per_delivery\": %.4f, ", per((double)measured, (double)span->delivered));
	printf("\"cpu_us_per_connect\": %.2f, ", per((double)connecting, o->clients));
	printf("\"cores\": %.4f, ", per((double)measured / 1e6, seconds));
	printf("\"rss_per_connection\": %.0f},\n", per(grown, o->clients));
	printf("  \"processes\": [\n");
	for (int i = 0; i < o->pid_count; i++)
		print_process(&o->pids[i], o->clients, (double)span->delivered,
			      i + 1 == o->pid_count);
	printf("  ],\n");
}

static void print_settings(const struct lg_opts *o)
{
	printf("  \"settings\": {\"clients\": %.0f, \"rooms\": %.0f, ", o->clients, o->rooms);
	printf("\"senders\": %.0f, \"rate\": %g, ", o->senders, o->rate);
	printf("\"burst\": %g, \"window\": %g, ", o->burst, o->window);
	printf("\"payload\": %g, \"duration\": %g, ", o->payload_bytes, o->duration_s);
	printf("\"hold\": %g},\n", o->hold_s);
}

static void print_books(const struct lg_net *n, const struct lg_load *l)
{
	printf("  \"total\": {\"sent\": %llu, ", (unsigned long long)l->sent);
	printf("\"due\": %llu, ", (unsigned long long)l->due);
	printf("\"delivered\": %llu},\n", (unsigned long long)l->delivered);
	printf("  \"lost\": %llu,\n", (unsigned long long)(l->due - l->delivered));
	printf("  \"doubled\": %llu,\n", (unsigned long long)l->doubled);
	printf("  \"misordered\": %llu,\n", (unsigned long long)l->misordered);
	printf("  \"damaged\": %llu,\n", (unsigned long long)l->damaged);
	printf("  \"order_differs\": %llu,\n", (unsigned long long)lg_load_order_differs(l));
	printf("  \"other_events\": %llu,\n", (unsigned long long)l->strangers);
	printf("  \"closed\": %u\n", n->gone);
}

void lg_report_print(const struct lg_opts *o, const struct lg_net *n, const struct lg_load *l,
		     const struct lg_span *span)
{
	const double seconds = (double)(span->ended_ns - span->started_ns) / 1e9;
	const double connecting = (double)(n->connect_ended_ns - n->connect_started_ns) / 1e9;

	printf("{\n");
	print_settings(o);
	printf("  \"connect_seconds\": %.3f,\n", connecting);
	printf("  \"connects_per_second\": %.0f,\n", per(n->ready, connecting));
	print_hist("connect_us", &n->connect_ns);
	printf("  \"seconds\": %.3f,\n", seconds);
	printf("  \"sent\": %llu,\n", (unsigned long long)span->sent);
	printf("  \"delivered\": %llu,\n", (unsigned long long)span->delivered);
	printf("  \"deliveries_per_second\": %.0f,\n", per((double)span->delivered, seconds));
	print_hist("latency_us", &l->latency_ns);
	print_hist("generator_lag_us", &l->lag_ns);
	printf("  \"generator\": {\"cpu_total_us\": %llu, ", (unsigned long long)proc_self_us());
	printf("\"cpu_us\": %llu, ", (unsigned long long)span->self_us);
	printf("\"cores\": %.3f, ", per((double)span->self_us / 1e6, seconds));
	printf("\"frames_per_read\": %.2f, ", per((double)span->frames_in, (double)span->reads));
	printf("\"pings\": %llu},\n", (unsigned long long)n->pings);
	print_server(o, span);
	print_books(n, l);
	printf("}\n");
}
