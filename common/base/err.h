/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one list of errors (err.def). Functions return 0 or one of these negative values;
 * results come through the last pointer.
 */
#ifndef ROOMWIRE_BASE_ERR_H
#define ROOMWIRE_BASE_ERR_H

enum {
	E_OK = 0,
#define ERR(name, value, class, text) name = (value),
#include "common/base/err.def"
#undef ERR
};

/* Who is to blame, and so what to do: see docs/errors.md. */
enum err_class {
	ERR_CLASS_NONE = 0,
	ERR_CLASS_PEER,
	ERR_CLASS_BUSY,
	ERR_CLASS_LOCAL,
	ERR_CLASS_BUG
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

/* Name ("E_FULL"), text ("queue is full") and class of an error; never NULL, also for unknown values. */
const char *err_name(int err);
const char *err_text(int err);
enum err_class err_class(int err);

/* Log to standard error and abort: a broken invariant of our own, never reachable from input. */
void err_bug(const char *file, int line, const char *what) NORETURN;
#define BUG_ON(condition) \
	do { \
		if (__builtin_expect(!!(condition), 0)) \
			err_bug(__FILE__, __LINE__, #condition); \
	} while (0)

#endif
