/* SPDX-License-Identifier: Apache-2.0 */
/* The sources of options that are outside the program: a YAML file and the environment. */
#include "common/conf/conf.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/adapt/adapt_yaml.h"
#include "common/conf/conf_table.h"

struct load {
	struct conf *c;
	const char *path;
	struct buf *errors;
	int err;
};

static void on_pair(const struct yaml_pair *pair, void *ctx)
{
	struct load *load = ctx;
	const struct conf_row *row = conf_row_find(pair->key);
	char where[4096 + 32];
	int err;

	snprintf(where, sizeof(where), "%s:%d", load->path, pair->line);
	if (row && (pair->shape == YAML_NESTED ||
		    (pair->shape == YAML_LIST && row->kind != CONF_KIND_LIST))) {
		buf_addf(load->errors, "%s: %s: found %s, allowed: ", where, row->field,
			 pair->shape == YAML_LIST ? "a list" : "nested values");
		conf_row_allowed(row, load->errors);
		buf_addc(load->errors, '\n');
		err = E_CONFIG;
	} else {
		err = conf_set_from(load->c, CONF_FILE, where, pair->key, pair->value,
				    load->errors);
	}
	if (err)
		load->err = err;
}

int conf_load_file(struct conf *c, const char *path, struct buf *errors)
{
	struct load load = { .c = c, .path = path, .errors = errors };
	int err = yaml_flat_load(path, on_pair, &load, errors);

	return err ? err : load.err;
}

/* 0, also when the variable is not there or empty. */
static int load_variable(struct conf *c, const struct conf_row *row, enum conf_source source,
			 const char *variable, struct buf *errors)
{
	const char *value = getenv(variable);

	if (!value || !value[0])
		return 0;
	return conf_row_set(c, row, source, "environment", variable, str_of(value), errors);
}

int conf_load_env(struct conf *c, struct buf *errors)
{
	int err = 0;

	/* First, so that JWT_SECRET wins where both are set. */
	if (load_variable(c, &conf_rows[CONF_OPTION_jwt_secret], CONF_ENV, "JWT_DEV", errors))
		err = E_CONFIG;
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++)
		if (load_variable(c, &conf_rows[i], CONF_ENV, conf_rows[i].env, errors))
			err = E_CONFIG;
	return err;
}

int conf_load_port_env(struct conf *c, const char *variable, struct buf *errors)
{
	if (!variable)
		return 0;
	return load_variable(c, &conf_rows[CONF_OPTION_port], CONF_ENV_PROFILE, variable, errors);
}
