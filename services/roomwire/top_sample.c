/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "common/json/json.h"
#include "services/roomwire/top.h"

#define SCRATCH_MOST (1u << 20)
#define NOT_TOLD (-1.0)

const char *const top_kind_names[TOP_KINDS] = { "edge", "router", "auth", "ingest", "process" };

const struct top_count top_counts[TOP_KINDS][TOP_COUNTS_MAX] = {
	[TOP_EDGE] = {
		{ "CONNS", "roomwire_connections", NULL, TOP_SHOW_NUMBER },
		{ "SOCKETS", "roomwire_sockets", NULL, TOP_SHOW_NUMBER },
		{ "IN/s", "roomwire_packets_in_total", NULL, TOP_SHOW_RATE },
		{ "OUT/s", "roomwire_packets_out_total", NULL, TOP_SHOW_RATE },
		{ "UNSENT", "roomwire_unsent_bytes", NULL, TOP_SHOW_BYTES },
	},
	[TOP_ROUTER] = {
		{ "ROOMS", "roomwire_rooms", NULL, TOP_SHOW_NUMBER },
		{ "SESSIONS", "roomwire_sessions", NULL, TOP_SHOW_NUMBER },
		{ "EVENT/s", "roomwire_published_total", NULL, TOP_SHOW_RATE },
		{ "PENDING", "roomwire_publish_pending", NULL, TOP_SHOW_NUMBER },
	},
	[TOP_AUTH] = {
		{ "TOKEN/s", "roomwire_tokens_total", NULL, TOP_SHOW_RATE },
		{ "CHECK/s", "roomwire_checks_total", NULL, TOP_SHOW_RATE },
	},
	[TOP_INGEST] = {
		{ "HTTP/s", "roomwire_ingest_events_total", "source=\"http\"", TOP_SHOW_RATE },
		{ "AMQP/s", "roomwire_ingest_events_total", "source=\"rabbitmq\"", TOP_SHOW_RATE },
		{ "KAFKA/s", "roomwire_ingest_events_total", "source=\"kafka\"", TOP_SHOW_RATE },
		{ "REDIS/s", "roomwire_ingest_events_total", "source=\"redis\"", TOP_SHOW_RATE },
		{ "PENDING", "roomwire_ingest_pending", NULL, TOP_SHOW_NUMBER },
	},
};

enum top_kind top_kind_of(struct str name)
{
	if (str_starts(name, STR("roomwire-")))
		name = str_skip(name, 9);
	for (int kind = 0; kind < TOP_OTHER; kind++)
		if (str_starts(name, str_of(top_kind_names[kind])))
			return (enum top_kind)kind;
	return TOP_OTHER;
}

/* ── /healthz, /readyz ── */

/* A text of a process, as it may be shown on a terminal: control characters would move its cursor. */
static void take_text(struct json_value object, struct str name, char *out, size_t cap)
{
	struct buf scratch = BUF_INIT(SCRATCH_MOST);
	struct json_value v;
	struct str text;
	size_t n = 0;

	if (json_get(object, name, &v) == 0 && json_text(v, &scratch, &text) == 0)
		for (; n < text.n && n + 1 < cap; n++)
			out[n] = (unsigned char)text.p[n] < ' ' || text.p[n] == 0x7f ? '?'
										     : text.p[n];
	out[n] = '\0';
	buf_fini(&scratch);
}

static void take_health(struct str body, struct top_sample *s)
{
	struct json_value v;
	char name[64], instance[64];

	if (json_parse(body, &v) || v.type != JSON_OBJECT)
		return;
	take_text(v, STR("name"), name, sizeof(name));
	take_text(v, STR("instance"), instance, sizeof(instance));
	take_text(v, STR("state"), s->state, sizeof(s->state));
	s->kind = top_kind_of(str_of(name));
	if (instance[0])
		snprintf(s->name, sizeof(s->name), "%s", instance);
}

static void take_failing(struct str body, struct top_sample *s)
{
	struct json_value v, list, one;
	struct json_walk walk;
	struct str key;
	size_t n = 0;

	if (json_parse(body, &v) || v.type != JSON_OBJECT || json_get(v, STR("failing"), &list))
		return;
	json_walk(list, &walk);
	while (json_next(&walk, &key, &one) == 0 && n < sizeof(s->failing) - 1) {
		char component[64], reason[256];

		if (one.type != JSON_OBJECT)
			continue;
		take_text(one, STR("component"), component, sizeof(component));
		take_text(one, STR("reason"), reason, sizeof(reason));
		snprintf(s->failing + n, sizeof(s->failing) - n, "%s: %s\n", component, reason);
		n = strlen(s->failing);
	}
}

/* ── /metrics: Prometheus text 0.0.4, as metrics_text writes it ── */

static void add(double *sum, double value)
{
	*sum = (*sum < 0 ? 0 : *sum) + value;
}

static void take_series(struct top_sample *s, struct str name, struct str labels, double value)
{
	const struct top_count *counts = top_counts[s->kind];

	if (str_is(name, "process_cpu_seconds_total"))
		s->cpu_seconds = value;
	else if (str_is(name, "process_resident_memory_bytes"))
		s->memory_bytes = value;
	else if (str_is(name, "process_start_time_seconds"))
		s->start_seconds = value;
	for (int i = 0; i < TOP_COUNTS_MAX && counts[i].heading; i++)
		if (str_is(name, counts[i].metric) &&
		    (!counts[i].label || str_is(labels, counts[i].label)))
			add(&s->counts[i], value);
}

static void take_metrics(struct str body, struct top_sample *s)
{
	struct str line, series, value, name, labels;

	while (body.n) {
		char number[64], *end;
		double d;

		str_cut(body, '\n', &line, &body);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		for (series = line; series.n && series.p[series.n - 1] != ' '; series.n--)
			;
		value = str_skip(line, series.n);
		series = str_trim(series);
		if (series.n == 0 || value.n == 0 || str_copy(value, number, sizeof(number)))
			continue;
		d = strtod(number, &end);
		if (*end != '\0' || !(d >= 0))
			continue;
		if (str_cut(series, '{', &name, &labels) && labels.n)
			labels.n--; /* the brace */
		take_series(s, name, labels, d);
	}
}

void top_sample_read(const struct top_answer *a, const char *name, struct top_sample *s)
{
	*s = (struct top_sample){ .there = a->answered,
				  .at_ms = a->at_ms,
				  .kind = top_kind_of(str_of(name)),
				  .cpu_seconds = NOT_TOLD,
				  .memory_bytes = NOT_TOLD,
				  .start_seconds = NOT_TOLD };
	snprintf(s->name, sizeof(s->name), "%s", name);
	for (int i = 0; i < TOP_COUNTS_MAX; i++)
		s->counts[i] = NOT_TOLD;
	if (!a->answered)
		return;
	take_health(a->body[TOP_HEALTH], s);
	take_failing(a->body[TOP_READY], s);
	take_metrics(a->body[TOP_METRICS], s);
}

double top_rate(const struct top_sample *before, const struct top_sample *now, double value_before,
		double value_now)
{
	double older = now->start_seconds - before->start_seconds; /* the clock may move a little */

	if (!before->there || !now->there || now->at_ms <= before->at_ms || value_before < 0 ||
	    value_now < value_before || older > 1.5 || older < -1.5)
		return NOT_TOLD;
	return (value_now - value_before) * 1000 / (double)(now->at_ms - before->at_ms);
}
