/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operator options: one table (options.def), loaded from defaults, the profile's `settings`, a YAML file, the environment and --set.
 * Every error names where it comes from (file and line, variable, or --set), key, what was found and what is allowed; all of them are
 * reported, then the caller exits with 2. Thread: start-up only.
 */
#ifndef ROOMWIRE_CONF_CONF_H
#define ROOMWIRE_CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

enum conf_user {
	CONF_EDGE = 1,
	CONF_AUTH = 2,
	CONF_ROUTER = 4,
	CONF_INGEST = 8,
	CONF_CTL = 16,
	CONF_ALL = 31,
};

/* Where a value comes from; a later one is stronger, in whatever order they are set. */
enum conf_source {
	CONF_DEFAULT = 0,
	CONF_PROFILE,
	CONF_FILE,
	CONF_ENV,
	CONF_ENV_PROFILE,
	CONF_COMMAND
};

enum conf_option {
#define OPT(kind, field, env, def, min, max, users, doc) CONF_OPTION_##field,
#include "common/conf/options.def"
#undef OPT
	CONF_OPTION_COUNT
};

struct conf {
#define CONF_FIELD_INT(field) int64_t field;
#define CONF_FIELD_BOOL(field) bool field;
#define CONF_FIELD_TEXT(field) char *field; /* never NULL */
#define CONF_FIELD_SECRET(field) char *field;
#define CONF_FIELD_LIST(field) char *field;
#define CONF_FIELD_ENUM(field) char *field;
#define OPT(kind, field, env, def, min, max, users, doc) CONF_FIELD_##kind(field)
#include "common/conf/options.def"
#undef OPT
	uint8_t sources[CONF_OPTION_COUNT]; /* enum conf_source */
};

/* Fill with the defaults of the table. */
void conf_init(struct conf *c);
void conf_fini(struct conf *c);
/*
 * Set one option from text, as the command line does (CONF_COMMAND). `where` names the source in errors ("conf.yaml:12", "environment", "--set").
 * 0, or E_CONFIG with one line appended to errors: "WHERE: KEY: found VALUE, allowed …" (secrets print as ***).
 * An unknown key is an error that suggests the nearest known one.
 */
int conf_set(struct conf *c, const char *where, struct str key, struct str value,
	     struct buf *errors) MUST_CHECK;
/* The same from another source: checked in any case, taken unless a stronger source has set the option already. */
int conf_set_from(struct conf *c, enum conf_source source, const char *where, struct str key,
		  struct str value, struct buf *errors) MUST_CHECK;
/* A flat YAML mapping of options. Remembers nothing but values. Errors as conf_set; also syntax errors and duplicate keys, with lines. */
int conf_load_file(struct conf *c, const char *path, struct buf *errors) MUST_CHECK;
/* Known variables of the environment (JWT_DEV too). An empty variable counts as unset. */
int conf_load_env(struct conf *c, struct buf *errors) MUST_CHECK;
/* One more variable for the port, named by the profile: stronger than PORT. NULL: none. */
int conf_load_port_env(struct conf *c, const char *variable, struct buf *errors) MUST_CHECK;
/* Whether anything but the default was given for the option (by file, environment, or --set; profile settings do not count). */
bool conf_given(const struct conf *c, const char *field);
/* "field  value  (source)  # doc" lines for --print-config; secrets as ***. */
void conf_print(const struct conf *c, unsigned users, struct buf *out);
/* The options of the given processes with variables, what is allowed and defaults, for --help. */
void conf_help(unsigned users, struct buf *out);
/* The page docs/config.md. */
void conf_doc(struct buf *out);

/* Walk a LIST value: the items between commas, trimmed, empty ones skipped. *rest starts as str_of(c->field). */
bool conf_list_next(struct str *rest, struct str *item);

#endif
