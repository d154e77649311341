/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `roomwire top`: asks every process for /healthz, /readyz and /metrics, and shows a row of each.
 *
 *   top.c         options, the rounds         top_find.c    which processes there are
 *   top_fetch.c   asking all of them at once   top_sample.c  what an answer says; rates of two of them
 *   top_view.c    a page of rows               top_table.c   columns as wide as what is in them
 *   top_screen.c  the terminal
 */
#ifndef ROOMWIRE_ROOMWIRE_TOP_H
#define ROOMWIRE_ROOMWIRE_TOP_H

#include "common/base/buf.h"
#include "services/roomwire/top_find.h"

/* ── top_fetch.c ── */

enum top_page { TOP_HEALTH = 0, TOP_READY, TOP_METRICS, TOP_PAGES };

struct top_answer {
	bool answered;              /* with all pages, in time */
	struct str body[TOP_PAGES]; /* BORROWED from raw */
	struct buf raw;
	uint64_t at_ms; /* monotonic */
};

/* Asks all of them at the same time. answers: as many, zeroed or of the round before; top_answer_fini each in the end. */
void top_fetch(const struct top_process *processes, int count, int timeout_ms,
	       struct top_answer *answers);
void top_answer_fini(struct top_answer *a);
/* The pages out of what a connection has brought: 0, or E_TRUNCATED, E_SYNTAX. */
int top_answer_split(struct str raw, struct str body[TOP_PAGES]) MUST_CHECK;

/* ── top_sample.c ── */

enum top_kind { TOP_EDGE = 0, TOP_ROUTER, TOP_AUTH, TOP_INGEST, TOP_OTHER, TOP_KINDS };

#define TOP_COUNTS_MAX 6
#define TOP_FAILING_BYTES 1024

struct top_sample {
	bool there;
	uint64_t at_ms;
	enum top_kind kind;
	char name[64];                                   /* INSTANCE */
	char state[16];                                  /* "ready" */
	double cpu_seconds, memory_bytes, start_seconds; /* negative: not told */
	double counts[TOP_COUNTS_MAX];                   /* negative: not told */
	char failing[TOP_FAILING_BYTES];                 /* "component: reason" lines of /readyz */
};

/* How a count is shown. */
enum top_show { TOP_SHOW_NUMBER = 0, TOP_SHOW_BYTES, TOP_SHOW_RATE };

struct top_count {
	const char *heading; /* NULL: no more of this kind */
	const char *metric;  /* series of it are added up */
	const char *label;   /* only those with this one; NULL: all */
	enum top_show show;
};

extern const struct top_count top_counts[TOP_KINDS][TOP_COUNTS_MAX];
extern const char *const top_kind_names[TOP_KINDS];

/* s is set anew. name: where it says none. */
void top_sample_read(const struct top_answer *a, const char *name, struct top_sample *s);
/* Per second, between two samples of one process; negative: it cannot be told (no sample before, or it was started anew). */
double top_rate(const struct top_sample *before, const struct top_sample *now, double value_before,
		double value_now);
enum top_kind top_kind_of(struct str name); /* "edge-0", "roomwire-edge" */

/* ── top_table.c ── */

#define TOP_COLUMNS_MAX 16
#define TOP_CELL_BYTES 64

struct top_row {
	char cells[TOP_COLUMNS_MAX][TOP_CELL_BYTES];
	int cell_count;
	char line[TOP_FAILING_BYTES]; /* instead of cells: a line of its own, cut at the width */
};

struct top_table {
	struct top_row *rows; /* OWNED */
	uint32_t count, cap;
};

struct top_row *top_table_add(struct top_table *t);
void top_table_fini(struct top_table *t);
/* width, height 0: as large as it gets. Too narrow: columns are left out, those of `dispensable` first, in this order; -1 ends it. */
void top_table_print(const struct top_table *t, int width, int height, const int *dispensable,
		     struct buf *out);

/* "1234", "12.3k", "4.5M", at most 5 characters; a negative value is "-". */
void top_number(double value, char out[TOP_CELL_BYTES]);
void top_bytes(double value, char out[TOP_CELL_BYTES]);      /* "512B", "1.5M": powers of 1024 */
void top_per_second(double value, char out[TOP_CELL_BYTES]); /* "0.5", "12", "1.2k" */
void top_duration(double seconds, char out[TOP_CELL_BYTES]); /* "12s", "3m05", "2h10", "5d03" */

/* ── top_view.c ── */

struct top_view {
	const struct top_set *set;
	const struct top_sample *before, *now; /* one for each process of the set */
	double wall_seconds;                   /* since 1970 */
	int width, height;
	const char *note; /* a line at the top; NULL: none */
};

void top_view_print(const struct top_view *v, struct buf *out);

/* ── top_screen.c: takes the terminal over, and gives it back as it was, whatever ends it ── */

bool top_screen_is_terminal(void);
void top_screen_enter(void);
void top_screen_leave(void);
void top_screen_size(int *width, int *height);
int top_screen_draw(const struct buf *page) MUST_CHECK; /* E_IO: the output is gone */
/* Until then, or earlier when the window has changed. False: a signal or the key q asks to end. */
bool top_screen_wait(int ms);

#endif
