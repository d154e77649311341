/* SPDX-License-Identifier: Apache-2.0 */
#include "common/metrics/metrics.h"

#include <stdio.h>

#include "common/conf/conf.h"
#include "common/metrics/metrics_process.h"

/* Names used in the users column of metrics.def. */
enum {
	EDGE = CONF_EDGE,
	AUTH = CONF_AUTH,
	ROUTER = CONF_ROUTER,
	INGEST = CONF_INGEST,
	ALL = CONF_ALL
};

struct row {
	unsigned users;
	bool is_counter;
	const char *name, *labels, *doc;
};

static const struct row rows[METRIC_COUNT] = {
#define COUNTER(id, users, name, labels, doc) { (users), true, (name), (labels), (doc) },
#define GAUGE(id, users, name, labels, doc) { (users), false, (name), (labels), (doc) },
#include "common/metrics/metrics.def"
#undef COUNTER
#undef GAUGE
};

static const struct row histogram_rows[METRIC_H_COUNT] = {
#define HISTOGRAM(id, users, name, doc) { (users), false, (name), "", (doc) },
#include "common/metrics/histograms.def"
#undef HISTOGRAM
};

static const struct {
	uint64_t ns;
	const char *text;
} bounds[] = {
	{ 100000, "0.0001" }, { 200000, "0.0002" }, { 500000, "0.0005" }, { 1000000, "0.001" },
	{ 2000000, "0.002" }, { 5000000, "0.005" }, { 10000000, "0.01" }, { 20000000, "0.02" },
	{ 50000000, "0.05" }, { 100000000, "0.1" }, { 200000000, "0.2" }, { 500000000, "0.5" },
	{ 1000000000, "1" },  { 2000000000, "2" },  { 5000000000, "5" },  { 10000000000, "10" },
};
#define BOUND_COUNT (sizeof(bounds) / sizeof(bounds[0]))

struct histogram {
	uint64_t counts[BOUND_COUNT + 1]; /* per bucket, not added up; the last is +Inf */
	uint64_t count, sum_ns;
};

uint64_t metrics_values[METRIC_COUNT];
static struct histogram histograms[METRIC_H_COUNT];

void metrics_observe_ns(enum metric_histogram h, uint64_t ns)
{
	struct histogram *hist = &histograms[h];
	size_t i = 0;

	while (i < BOUND_COUNT && ns > bounds[i].ns)
		i++;
	hist->counts[i]++;
	hist->count++;
	hist->sum_ns += ns;
}

static void head_text(struct buf *out, const struct row *r, const char *type)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->doc, r->name, type);
}

static void histogram_text(struct buf *out, const struct row *r, const struct histogram *h)
{
	uint64_t total = 0;

	head_text(out, r, "histogram");
	for (size_t i = 0; i < BOUND_COUNT; i++) {
		total += h->counts[i];
		buf_addf(out, "%s_bucket{le=\"%s\"} %llu\n", r->name, bounds[i].text,
			 (unsigned long long)total);
	}
	buf_addf(out, "%s_bucket{le=\"+Inf\"} %llu\n", r->name, (unsigned long long)h->count);
	buf_addf(out, "%s_sum %llu.%09llu\n", r->name,
		 (unsigned long long)(h->sum_ns / 1000000000u),
		 (unsigned long long)(h->sum_ns % 1000000000u));
	buf_addf(out, "%s_count %llu\n", r->name, (unsigned long long)h->count);
}

void metrics_text(unsigned users, struct buf *out)
{
	const char *last = "";

	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct row *r = &rows[i];

		if (!(r->users & users))
			continue;
		if (strcmp(last, r->name) != 0)
			head_text(out, r, r->is_counter ? "counter" : "gauge");
		last = r->name;
		buf_addz(out, r->name);
		if (r->labels[0])
			buf_addf(out, "{%s}", r->labels);
		buf_addf(out, " %llu\n", (unsigned long long)metrics_values[i]);
	}
	for (size_t i = 0; i < METRIC_H_COUNT; i++)
		if (histogram_rows[i].users & users)
			histogram_text(out, &histogram_rows[i], &histograms[i]);
	metrics_process_text(out);
}

static void users_doc(struct buf *out, unsigned users)
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = {
		{ EDGE, "edge" }, { AUTH, "auth" }, { ROUTER, "router" }, { INGEST, "ingest" }
	};
	bool first = true;

	if (users == ALL) {
		buf_addz(out, "all");
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (users & names[i].bit) {
			buf_addf(out, "%s%s", first ? "" : ", ", names[i].name);
			first = false;
		}
}

static void row_doc(struct buf *out, const struct row *r, const char *type)
{
	buf_addf(out, "| `%s%s%s%s` | %s | ", r->name, r->labels[0] ? "{" : "", r->labels,
		 r->labels[0] ? "}" : "", type);
	users_doc(out, r->users);
	buf_addf(out, " | %s |\n", r->doc);
}

void metrics_doc(struct buf *out)
{
	buf_addz(out,
		 "# Metrics\n\n"
		 "Generated from common/metrics/metrics.def and histograms.def; do not edit.\n\n"
		 "Every process shows its own on its operations port under `/metrics` (Prometheus "
		 "text format 0.0.4).\n\n"
		 "| metric | type | process | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < METRIC_COUNT; i++)
		row_doc(out, &rows[i], rows[i].is_counter ? "counter" : "gauge");
	for (size_t i = 0; i < METRIC_H_COUNT; i++)
		row_doc(out, &histogram_rows[i], "histogram");
	buf_addz(out, "\nHistograms count seconds in buckets from 100 µs to 10 s. Besides these: "
		      "`process_cpu_seconds_total`, "
		      "`process_resident_memory_bytes`, `process_virtual_memory_bytes`, "
		      "`process_start_time_seconds`, "
		      "`process_threads`, `process_max_fds`, and, from Linux 6.2 on, "
		      "`process_open_fds`.\n");
}
