/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/err.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	NONE = ERR_CLASS_NONE,
	PEER = ERR_CLASS_PEER,
	BUSY = ERR_CLASS_BUSY,
	LOCAL = ERR_CLASS_LOCAL,
	BUG = ERR_CLASS_BUG
};

struct err_row {
	const char *name;
	const char *text;
	enum err_class class;
};

/* Indexed by the negated value. */
static const struct err_row rows[] = {
	{ "E_OK", "ok", ERR_CLASS_NONE },
#define ERR(name, value, class, text) [-(value)] = { #name, text, (enum err_class)(class) },
#include "common/base/err.def"
#undef ERR
};

static const struct err_row unknown = { "E_?", "unknown error", ERR_CLASS_BUG };

static const struct err_row *row_of(int err)
{
	const int count = (int)(sizeof(rows) / sizeof(rows[0]));

	if (err > 0 || err <= -count || !rows[-err].name)
		return &unknown;
	return &rows[-err];
}

const char *err_name(int err)
{
	return row_of(err)->name;
}

const char *err_text(int err)
{
	return row_of(err)->text;
}

enum err_class err_class(int err)
{
	return row_of(err)->class;
}

void err_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "BUG at %s:%d: %s\n", file, line, what);
	abort();
}
