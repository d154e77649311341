/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured logs on standard error, one logfmt line an event:
 *
 *     2026-01-31T10:00:00.123Z info  edge-0 link:router-0 "link is up" epoch=93 resumed=true
 *
 *     log_info("link:router-0", "link is up", KV_U("epoch", epoch), KV_B("resumed", resumed));
 *
 * Each call site may write LOG_SITE_PER_SECOND lines a second; what is over is counted and said in the next line
 * (suppressed=N). Values are quoted and escaped where needed, cut at 512 bytes. Tokens and secrets are never passed in;
 * KV_SECRET shows only that there is one. Nothing per message above debug. Thread: any.
 */
#ifndef ROOMWIRE_LOG_LOG_H
#define ROOMWIRE_LOG_LOG_H

#include "common/base/str.h"

enum log_level { LOG_DEBUG = 0, LOG_INFO, LOG_WARN, LOG_ERROR };

#define LOG_SITE_PER_SECOND 20

struct log_site {
	uint64_t second;
	uint32_t count, suppressed;
};

enum log_kind { LOG_KV_END = 0, LOG_KV_STR, LOG_KV_U64, LOG_KV_I64, LOG_KV_BOOL, LOG_KV_SECRET };

struct log_kv {
	enum log_kind kind;
	const char *key;
	struct str text;
	uint64_t number;
};

#define KV_Z(k, z) \
	{ \
		LOG_KV_STR, (k), str_of(z), 0 \
	} /* NUL-terminated text */
#define KV_STR(k, s) \
	{ \
		LOG_KV_STR, (k), (s), 0 \
	} /* struct str */
#define KV_U(k, u) \
	{ \
		LOG_KV_U64, (k), STR_NONE, (uint64_t)(u) \
	}
#define KV_I(k, i) \
	{ \
		LOG_KV_I64, (k), STR_NONE, (uint64_t)(int64_t)(i) \
	}
#define KV_B(k, b) \
	{ \
		LOG_KV_BOOL, (k), STR_NONE, (b) ? 1 : 0 \
	}
#define KV_ERR(e) \
	{ \
		LOG_KV_STR, "error", str_of(err_text(e)), 0 \
	}
#define KV_SECRET(k) \
	{ \
		LOG_KV_SECRET, (k), STR_NONE, 0 \
	}

#define log_at(level, subject, event, ...) \
	do { \
		static struct log_site log_site_here; \
		if ((level) >= log_threshold) \
			log_write((level), &log_site_here, (subject), (event), \
				  (const struct log_kv[]){ __VA_ARGS__ __VA_OPT__(, ){ \
					  LOG_KV_END, 0, { 0, 0 }, 0 } }); \
	} while (0)
#define log_debug(subject, event, ...) log_at(LOG_DEBUG, subject, event __VA_OPT__(, ) __VA_ARGS__)
#define log_info(subject, event, ...) log_at(LOG_INFO, subject, event __VA_OPT__(, ) __VA_ARGS__)
#define log_warn(subject, event, ...) log_at(LOG_WARN, subject, event __VA_OPT__(, ) __VA_ARGS__)
#define log_error(subject, event, ...) log_at(LOG_ERROR, subject, event __VA_OPT__(, ) __VA_ARGS__)

extern enum log_level log_threshold;

void log_open(const char *instance); /* COPIED */
void log_write(enum log_level level, struct log_site *site, const char *subject, const char *event,
	       const struct log_kv *kv);
/* Tests: lines go to the function instead of standard error; NULL returns to standard error. */
void log_capture(void (*line)(struct str text, void *ctx), void *ctx);

#endif
