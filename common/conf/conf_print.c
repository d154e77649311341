/* SPDX-License-Identifier: Apache-2.0 */
/* The option table for people: --print-config, --help, docs/config.md. */
#include "common/conf/conf.h"

#include "common/conf/conf_table.h"

static const char *const source_names[] = {
	[CONF_DEFAULT] = "default",
	[CONF_PROFILE] = "profile",
	[CONF_FILE] = "file",
	[CONF_ENV] = "environment",
	[CONF_ENV_PROFILE] = "environment, named by the profile",
	[CONF_COMMAND] = "command line",
};

static void value_text(const struct conf *c, const struct conf_row *row, struct buf *out)
{
	const char *at = (const char *)c + row->offset;
	const char *text;

	if (row->kind == CONF_KIND_INT) {
		buf_addf(out, "%lld", (long long)*(const int64_t *)(const void *)at);
		return;
	}
	if (row->kind == CONF_KIND_BOOL) {
		buf_addz(out, *(const bool *)(const void *)at ? "true" : "false");
		return;
	}
	text = *(char *const *)(const void *)at;
	if (row->kind == CONF_KIND_SECRET)
		buf_addz(out, text[0] ? "***" : "\"\"");
	else if (text[0] && row->kind == CONF_KIND_ENUM)
		buf_addz(out, text);
	else
		buf_addf(out, "\"%s\"", text);
}

void conf_print(const struct conf *c, unsigned users, struct buf *out)
{
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (!(row->users & users))
			continue;
		buf_addf(out, "%-28s ", row->field);
		value_text(c, row, out);
		buf_addf(out, "  (%s)  # " STR_FMT "\n", source_names[c->sources[i]],
			 STR_ARG(conf_row_sentence(row)));
	}
}

void conf_help(unsigned users, struct buf *out)
{
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++) {
		const struct conf_row *row = &conf_rows[i];

		if (!(row->users & users))
			continue;
		buf_addf(out, "  %s (%s): " STR_FMT "\n      ", row->field, row->env,
			 STR_ARG(conf_row_sentence(row)));
		conf_row_allowed(row, out);
		buf_addf(out, "; default %s\n", row->def[0] ? row->def : "unset");
	}
}

static void cell(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '|')
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
}

void conf_doc(struct buf *out)
{
	buf_addz(out, "# Options\n\nGenerated from common/conf/options.def; do not edit.\n\n"
		      "Later wins: default, `settings` of the profile, config file (`--config "
		      "FILE`, lines of `key: value`), "
		      "environment, `--set key=value`. A profile may name one more variable for "
		      "the port, which is stronger than "
		      "`PORT`. `JWT_DEV` is another name for `JWT_SECRET`. A variable that is "
		      "empty counts as unset.\n\n"
		      "| key | variable | allowed | default | read by | meaning "
		      "|\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++) {
		const struct conf_row *row = &conf_rows[i];

		buf_addf(out, "| `%s` | `%s` | ", row->field, row->env);
		conf_row_allowed(row, out);
		buf_addf(out, " | %s%s%s | ", row->def[0] ? "`" : "",
			 row->def[0] ? row->def : "unset", row->def[0] ? "`" : "");
		conf_row_users(row, out);
		buf_addz(out, " | ");
		cell(out, conf_row_sentence(row));
		buf_addz(out, " |\n");
	}
}
