/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "common/base/mem.h"
#include "services/roomwire/top.h"

#define LEFT_COLUMNS 5u /* bit set: columns 0 and 2 hold words, the others figures */

/* ── figures ── */

static void scaled(double value, double step, const char *units, char *out)
{
	size_t unit = 0;

	while (value >= step && units[unit + 1]) {
		value /= step;
		unit++;
	}
	snprintf(out, TOP_CELL_BYTES, value < 99.95 && unit ? "%.1f%c" : "%.0f%c", value,
		 units[unit]);
}

void top_number(double value, char out[TOP_CELL_BYTES])
{
	if (value < 0)
		snprintf(out, TOP_CELL_BYTES, "-");
	else if (value < 99999.5)
		snprintf(out, TOP_CELL_BYTES, "%.0f", value);
	else
		scaled(value / 1000, 1000, "kMGTP", out);
}

void top_bytes(double value, char out[TOP_CELL_BYTES])
{
	if (value < 0)
		snprintf(out, TOP_CELL_BYTES, "-");
	else
		scaled(value, 1024, "BkMGTP", out);
}

void top_per_second(double value, char out[TOP_CELL_BYTES])
{
	if (value >= 0 && value < 9.95)
		snprintf(out, TOP_CELL_BYTES, value == 0 ? "0" : "%.1f", value);
	else
		top_number(value, out);
}

void top_duration(double seconds, char out[TOP_CELL_BYTES])
{
	unsigned long s = seconds < 0 || seconds > 1e12 ? 0 : (unsigned long)seconds;

	if (seconds < 0)
		snprintf(out, TOP_CELL_BYTES, "-");
	else if (s < 60)
		snprintf(out, TOP_CELL_BYTES, "%lus", s);
	else if (s < 3600)
		snprintf(out, TOP_CELL_BYTES, "%lum%02lu", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, TOP_CELL_BYTES, "%luh%02lu", s / 3600, s / 60 % 60);
	else
		snprintf(out, TOP_CELL_BYTES, "%lud%02lu", s / 86400, s / 3600 % 24);
}

/* ── columns ── */

struct top_row *top_table_add(struct top_table *t)
{
	if (t->count == t->cap && mem_grow((void **)&t->rows, &t->cap, sizeof(*t->rows)))
		return NULL;
	t->rows[t->count] = (struct top_row){ .cell_count = 0 };
	return &t->rows[t->count++];
}

void top_table_fini(struct top_table *t)
{
	mem_free(t->rows);
	*t = (struct top_table){ NULL, 0, 0 };
}

struct layout {
	size_t widths[TOP_COLUMNS_MAX]; /* 0: left out */
	size_t gap;
};

static size_t total(const struct layout *l)
{
	size_t sum = 0;

	for (int i = 0; i < TOP_COLUMNS_MAX; i++)
		if (l->widths[i])
			sum += l->widths[i] + (sum ? l->gap : 0);
	return sum;
}

static void lay_out(const struct top_table *t, int width, const int *dispensable, struct layout *l)
{
	*l = (struct layout){ .gap = 2 };
	for (uint32_t r = 0; r < t->count; r++)
		for (int i = 0; i < t->rows[r].cell_count; i++) {
			size_t n = strlen(t->rows[r].cells[i]);

			l->widths[i] = n > l->widths[i] ? n : l->widths[i];
		}
	if (width > 0 && total(l) > (size_t)width)
		l->gap = 1;
	for (; width > 0 && total(l) > (size_t)width && *dispensable >= 0; dispensable++)
		l->widths[*dispensable] = 0;
}

static void add_cells(const struct top_row *row, const struct layout *l, struct buf *out)
{
	bool first = true;

	for (int i = 0; i < row->cell_count; i++) {
		size_t n = strlen(row->cells[i]), pad = l->widths[i] - n;
		bool left = (LEFT_COLUMNS >> i & 1) != 0;

		if (l->widths[i] == 0)
			continue;
		buf_addf(out, "%*s", first ? 0 : (int)l->gap, "");
		buf_addf(out, "%*s%s%*s", left ? 0 : (int)pad, "", row->cells[i],
			 left ? (int)pad : 0, "");
		first = false;
	}
}

/* Blanks at its end are left out, what is too wide is cut, and no character is cut in two. */
static void end_line(struct buf *out, size_t from, int width)
{
	while (out->n > from && out->p[out->n - 1] == ' ')
		out->n--;
	if (width > 0 && out->n - from > (size_t)width) {
		size_t n = from + (size_t)width;

		while (n > from && ((unsigned char)out->p[n] & 0xc0) == 0x80)
			n--;
		out->n = n;
	}
	buf_addc(out, '\n');
}

void top_table_print(const struct top_table *t, int width, int height, const int *dispensable,
		     struct buf *out)
{
	uint32_t shown = t->count;
	struct layout l;

	lay_out(t, width, dispensable, &l);
	if (height > 1 && shown > (uint32_t)height)
		shown = (uint32_t)height - 1;
	for (uint32_t r = 0; r < shown && !out->failed; r++) {
		size_t from = out->n;

		if (t->rows[r].cell_count)
			add_cells(&t->rows[r], &l, out);
		else
			buf_addz(out, t->rows[r].line);
		end_line(out, from, width);
	}
	if (shown < t->count && !out->failed) {
		size_t from = out->n;

		buf_addf(out, "%u more lines: make the window higher",
			 (unsigned)(t->count - shown));
		end_line(out, from, width);
	}
}
