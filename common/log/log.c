/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/utf8.h"
#include "common/metrics/metrics.h"

#define LINE_BYTES 4096 /* PIPE_BUF: a line of this size reaches a pipe in one piece */
#define VALUE_BYTES 512
#define INSTANCE_BYTES 64

enum log_level log_threshold = LOG_INFO;

static char instance_name[INSTANCE_BYTES + 1] = "-";
static pthread_mutex_t site_lock =
	PTHREAD_MUTEX_INITIALIZER; /* counts of all sites, and the capture */
static void (*capture_fn)(struct str text, void *ctx);
static void *capture_ctx;

static const char *const level_names[] = { "debug", "info ", "warn ", "error" };

/* A line under construction: what does not fit is left out, the newline always fits. */
struct line {
	char text[LINE_BYTES];
	size_t n;
};

static void line_add(struct line *l, struct str s)
{
	size_t room = sizeof(l->text) - 1 - l->n;
	size_t n = s.n < room ? s.n : room;

	if (n)
		memcpy(l->text + l->n, s.p, n);
	l->n += n;
}

static void line_addf(struct line *l, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void line_addf(struct line *l, const char *fmt, ...)
{
	char text[64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	line_add(l, str_of(text));
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return s.n > 0;
}

static struct str cut(struct str s)
{
	if (s.n <= VALUE_BYTES)
		return s;
	s.n = VALUE_BYTES;
	while (s.n > 0 && (s.p[s.n] & 0xc0) == 0x80) /* do not split a character */
		s.n--;
	return s;
}

/* Control characters never reach a terminal: neither C0 nor, where the text is UTF-8, C1 (U+0080 to U+009F). */
static void line_quoted(struct line *l, struct str s)
{
	bool utf8 = utf8_valid(s);

	line_add(l, STR("\""));
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool c1 = utf8 && c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0;

		if (c == '"' || c == '\\') {
			line_add(l, STR("\\"));
			line_add(l, str_make(s.p + i, 1));
		} else if (c == '\n') {
			line_add(l, STR("\\n"));
		} else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
			line_addf(l, "\\x%02x", c);
		} else if (c1) {
			line_addf(l, "\\u%04x", (unsigned char)s.p[++i]);
		} else {
			line_add(l, str_make(s.p + i, 1));
		}
	}
	line_add(l, STR("\""));
}

static void line_value(struct line *l, struct str s)
{
	struct str shown = cut(s);

	if (is_plain(shown))
		line_add(l, shown);
	else
		line_quoted(l, shown);
	if (shown.n < s.n)
		line_add(l, STR("..."));
}

static void line_kv(struct line *l, const struct log_kv *kv)
{
	line_add(l, STR(" "));
	line_add(l, str_of(kv->key));
	line_add(l, STR("="));
	switch (kv->kind) {
	case LOG_KV_STR:
		line_value(l, kv->text);
		break;
	case LOG_KV_U64:
		line_addf(l, "%llu", (unsigned long long)kv->number);
		break;
	case LOG_KV_I64:
		line_addf(l, "%lld", (long long)kv->number);
		break;
	case LOG_KV_BOOL:
		line_add(l, kv->number ? STR("true") : STR("false"));
		break;
	default:
		line_add(l, STR("***"));
		break;
	}
}

/* May the site write now? *suppressed is what it was held back since its last line. */
static bool site_allows(struct log_site *site, uint32_t *suppressed)
{
	uint64_t second = clock_exact_ns() / 1000000000u + 1;
	bool allowed;

	pthread_mutex_lock(&site_lock);
	if (site->second != second) {
		site->second = second;
		site->count = 0;
	}
	allowed = site->count < LOG_SITE_PER_SECOND;
	*suppressed = site->suppressed;
	if (allowed) {
		site->count++;
		site->suppressed = 0;
	} else {
		site->suppressed++;
		metrics_inc(METRIC_LOG_SUPPRESSED);
	}
	pthread_mutex_unlock(&site_lock);
	return allowed;
}

static void line_emit(struct line *l)
{
	pthread_mutex_lock(&site_lock);
	if (capture_fn) {
		capture_fn(str_make(l->text, l->n), capture_ctx);
		pthread_mutex_unlock(&site_lock);
		return;
	}
	pthread_mutex_unlock(&site_lock);
	l->text[l->n++] = '\n';
	/* A log that cannot be written must not stop the service: nothing better can be done with the result. */
	if (write(STDERR_FILENO, l->text, l->n) < 0)
		return;
}

void log_write(enum log_level level, struct log_site *site, const char *subject, const char *event,
	       const struct log_kv *kv)
{
	int saved_errno = errno;
	struct line l;
	char iso[CLOCK_ISO_BYTES];
	uint32_t suppressed;

	if (!site_allows(site, &suppressed))
		return;
	l.n = 0;
	clock_iso(clock_wall_ms(), iso);
	line_add(&l, str_of(iso));
	line_add(&l, STR(" "));
	line_add(&l, str_of(level_names[level]));
	line_add(&l, STR(" "));
	line_value(&l, str_of(instance_name));
	line_add(&l, STR(" "));
	line_value(&l, str_of(subject));
	line_add(&l, STR(" "));
	line_quoted(&l, str_of(event));
	for (; kv->kind != LOG_KV_END; kv++)
		line_kv(&l, kv);
	if (suppressed)
		line_addf(&l, " suppressed=%u", suppressed);
	line_emit(&l);
	errno = saved_errno;
}

void log_open(const char *instance)
{
	size_t n = strlen(instance);

	if (n > INSTANCE_BYTES)
		n = INSTANCE_BYTES;
	memcpy(instance_name, instance, n);
	instance_name[n] = 0;
}

void log_capture(void (*line)(struct str text, void *ctx), void *ctx)
{
	pthread_mutex_lock(&site_lock);
	capture_fn = line;
	capture_ctx = ctx;
	pthread_mutex_unlock(&site_lock);
}
