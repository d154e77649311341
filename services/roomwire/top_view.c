/* SPDX-License-Identifier: Apache-2.0 */
/* The page: each gateway, in it each kind of process under headings of its own, below a process what its /readyz complains of. */
#include <stdio.h>

#include "services/roomwire/top.h"

enum column { NAME = 0, PID, STATE, UPTIME, CPU, MEMORY, COUNTS };

/* Left out first where the window is narrow; the last counts before the first ones. */
static const int dispensable[] = { UPTIME,     PID,        MEMORY,     CPU,        COUNTS + 4,
				   COUNTS + 3, COUNTS + 2, COUNTS + 1, COUNTS + 0, -1 };

static void set(struct top_row *row, int column, const char *text)
{
	snprintf(row->cells[column], TOP_CELL_BYTES, "%s", text);
	if (row->cell_count <= column)
		row->cell_count = column + 1;
}

static void add_line(struct top_table *t, const char *text)
{
	struct top_row *row = top_table_add(t);

	if (row)
		snprintf(row->line, sizeof(row->line), "%s", text);
}

static void add_heading(struct top_table *t, enum top_kind kind)
{
	static const char *const common[COUNTS] = { "", "PID", "STATE", "UP", "CPU", "MEM" };
	struct top_row *row = top_table_add(t);
	char name[16];

	if (!row)
		return;
	for (int i = 0; i < COUNTS; i++)
		set(row, i, common[i]);
	snprintf(name, sizeof(name), "%s", top_kind_names[kind]);
	for (char *p = name; *p; p++)
		*p = (char)(*p - 'a' + 'A');
	set(row, NAME, name);
	for (int i = 0; i < TOP_COUNTS_MAX && top_counts[kind][i].heading; i++)
		set(row, COUNTS + i, top_counts[kind][i].heading);
}

static void set_count(struct top_row *row, int i, const struct top_sample *before,
		      const struct top_sample *now)
{
	char text[TOP_CELL_BYTES];

	switch (top_counts[now->kind][i].show) {
	case TOP_SHOW_NUMBER:
		top_number(now->counts[i], text);
		break;
	case TOP_SHOW_BYTES:
		top_bytes(now->counts[i], text);
		break;
	case TOP_SHOW_RATE:
		top_per_second(top_rate(before, now, before->counts[i], now->counts[i]), text);
		break;
	}
	set(row, COUNTS + i, text);
}

static void add_process(struct top_table *t, const struct top_view *v, int i)
{
	const struct top_sample *before = &v->before[i], *now = &v->now[i];
	struct top_row *row = top_table_add(t);
	double cpu = top_rate(before, now, before->cpu_seconds, now->cpu_seconds);
	char text[TOP_CELL_BYTES];

	if (!row)
		return;
	set(row, NAME, now->name);
	snprintf(text, sizeof(text), v->set->processes[i].pid ? "%d" : "-",
		 v->set->processes[i].pid);
	set(row, PID, text);
	set(row, STATE, now->there ? now->state : "no answer");
	top_duration(now->start_seconds > 0 && v->wall_seconds > now->start_seconds
			     ? v->wall_seconds - now->start_seconds
		     : now->start_seconds > 0 ? 0
					      : -1,
		     text);
	set(row, UPTIME, text);
	snprintf(text, sizeof(text), cpu < 0 ? "-" : cpu < 0.9995 ? "%.1f%%" : "%.0f%%", cpu * 100);
	set(row, CPU, text);
	top_bytes(now->memory_bytes, text);
	set(row, MEMORY, text);
	for (int c = 0; c < TOP_COUNTS_MAX && top_counts[now->kind][c].heading; c++)
		set_count(row, c, before, now);
}

static void add_failing(struct top_table *t, const struct top_sample *now)
{
	struct str rest = str_of(now->failing), line;
	char text[TOP_FAILING_BYTES];

	while (now->there && rest.n) {
		str_cut(rest, '\n', &line, &rest);
		snprintf(text, sizeof(text), "  ! " STR_FMT, STR_ARG(line));
		add_line(t, text);
	}
}

static void add_gateway(struct top_table *t, const struct top_view *v, int gateway)
{
	for (int kind = 0; kind < TOP_KINDS; kind++) {
		bool headed = false;

		for (int i = 0; i < v->set->process_count; i++) {
			if (v->set->processes[i].gateway != gateway ||
			    v->now[i].kind != (enum top_kind)kind)
				continue;
			if (!headed)
				add_heading(t, (enum top_kind)kind);
			headed = true;
			add_process(t, v, i);
			add_failing(t, &v->now[i]);
		}
	}
}

void top_view_print(const struct top_view *v, struct buf *out)
{
	struct top_table t = { NULL, 0, 0 };
	char text[TOP_FAILING_BYTES];

	if (v->note)
		add_line(&t, v->note);
	for (int g = -1; g < v->set->gateway_count; g++) {
		if (g >= 0) {
			const struct top_gateway *gateway = &v->set->gateways[g];

			if (t.count)
				add_line(&t, "");
			snprintf(text, sizeof(text), "%s  %s  pid %d", gateway->profile,
				 gateway->url, gateway->pid);
			add_line(&t, text);
		}
		add_gateway(&t, v, g);
	}
	top_table_print(&t, v->width, v->height, dispensable, out);
	top_table_fini(&t);
}
