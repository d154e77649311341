/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's counters, gauges and histograms: one table (metrics.def), plain numbers in a single-threaded loop, printed as
 * Prometheus text format 0.0.4. Rows of the same name follow each other and differ by their labels.
 * Thread: loop thread only (other threads hand numbers over).
 */
#ifndef ROOMWIRE_METRICS_METRICS_H
#define ROOMWIRE_METRICS_METRICS_H

#include "common/base/buf.h"

enum metric {
#define COUNTER(id, users, name, labels, doc) METRIC_##id,
#define GAUGE(id, users, name, labels, doc) METRIC_##id,
#include "common/metrics/metrics.def"
#undef COUNTER
#undef GAUGE
	METRIC_COUNT
};

/* Histograms have their own ids; bounds are seconds. */
enum metric_histogram {
#define HISTOGRAM(id, users, name, doc) METRIC_H_##id,
#include "common/metrics/histograms.def"
#undef HISTOGRAM
	METRIC_H_COUNT
};

extern uint64_t metrics_values[METRIC_COUNT];

static inline void metrics_add(enum metric m, uint64_t n)
{
	metrics_values[m] += n;
}

static inline void metrics_inc(enum metric m)
{
	metrics_values[m]++;
}

static inline void metrics_dec(enum metric m) /* gauges */
{
	metrics_values[m]--;
}

static inline void metrics_set(enum metric m, uint64_t n) /* gauges */
{
	metrics_values[m] = n;
}

void metrics_observe_ns(enum metric_histogram h, uint64_t ns);
/* Everything the given kind of process owns (enum conf_user bits), with HELP and TYPE lines, and process_* figures from /proc. */
void metrics_text(unsigned users, struct buf *out);
/* The page docs/metrics.md. */
void metrics_doc(struct buf *out);

#endif
