/* SPDX-License-Identifier: Apache-2.0 */
/* libcyaml: the check of a document against a schema with lines and everything wrong at once, then the load itself. */
#include "common/adapt/adapt_yaml.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/adapt/adapt_yaml_tree.h"

#define CHECK_PATH_BYTES 1024
#define CHECK_MAX_WORDS 64

struct check {
	const char *name;
	yaml_document_t *doc;
	struct buf path; /* "namespaces[0].events" */
	struct buf *errors;
	bool failed;
};

/* Begin an error line: the caller adds what was found and what is allowed, and the line's end. */
static void error_begin(struct check *c, size_t line)
{
	c->failed = true;
	buf_addf(c->errors, "%s:%zu: ", c->name, line + 1);
	if (c->path.n) {
		buf_add(c->errors, buf_str(&c->path));
		buf_addz(c->errors, ": ");
	}
}

static void found(struct check *c, const yaml_node_t *node)
{
	error_begin(c, node->start_mark.line);
	buf_addz(c->errors, "found ");
	if (node->type == YAML_SCALAR_NODE)
		yaml_tree_quote(c->errors, yaml_tree_text(node));
	else
		buf_addz(c->errors, yaml_tree_shape(node));
	buf_addz(c->errors, ", allowed: ");
}

static void int_bounds(const cyaml_schema_value_t *schema, int64_t *min, uint64_t *max)
{
	unsigned bits = schema->data_size >= 8 ? 64 : schema->data_size * 8;

	*min = schema->type == CYAML_INT ? -(int64_t)(((uint64_t)1 << (bits - 1)) - 1) - 1 : 0;
	if (schema->type == CYAML_INT)
		*max = ((uint64_t)1 << (bits - 1)) - 1;
	else
		*max = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
}

/* Decimal without leading zeros: libcyaml takes 010 for eight. */
static bool int_fits(struct str s, int64_t min, uint64_t max)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	struct str digits = negative ? str_skip(s, 1) : s;
	uint64_t u;
	int64_t i;

	if (digits.n > 1 && digits.p[0] == '0')
		return false;
	if (negative)
		return str_to_i64(s, &i) == 0 && i >= min;
	return str_to_u64(s, &u) == 0 && u <= max;
}

static void check_int(struct check *c, const yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	int64_t min;
	uint64_t max;

	int_bounds(schema, &min, &max);
	if (node->type == YAML_SCALAR_NODE && int_fits(yaml_tree_text(node), min, max))
		return;
	found(c, node);
	buf_addf(c->errors, "whole number %lld to %llu\n", (long long)min, (unsigned long long)max);
}

static void check_bool(struct check *c, const yaml_node_t *node)
{
	struct str s = yaml_tree_text(node);

	if (str_is(s, "true") || str_is(s, "false"))
		return;
	found(c, node);
	buf_addz(c->errors, "true or false\n");
}

static void check_enum(struct check *c, const yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	for (uint32_t i = 0; i < schema->enumeration.count; i++)
		if (node->type == YAML_SCALAR_NODE &&
		    str_is(yaml_tree_text(node), schema->enumeration.strings[i].str))
			return;
	found(c, node);
	for (uint32_t i = 0; i < schema->enumeration.count; i++)
		buf_addf(c->errors, "%s%s", i ? ", " : "", schema->enumeration.strings[i].str);
	buf_addc(c->errors, '\n');
}

static void check_string(struct check *c, const yaml_node_t *node,
			 const cyaml_schema_value_t *schema)
{
	struct str s = yaml_tree_text(node);

	if (node->type == YAML_SCALAR_NODE && s.n >= schema->string.min &&
	    s.n <= schema->string.max)
		return;
	found(c, node);
	if (schema->string.max >= YAML_MAX_BYTES)
		buf_addf(c->errors, "text%s\n", schema->string.min ? ", not empty" : "");
	else
		buf_addf(c->errors, "text of %u to %u bytes\n", schema->string.min,
			 schema->string.max);
}

static void check_value(struct check *c, yaml_node_t *node, const cyaml_schema_value_t *schema);

static void check_list(struct check *c, const yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	size_t n = yaml_tree_count(node), path_n = c->path.n;

	if (node->type != YAML_SEQUENCE_NODE) {
		found(c, node);
		buf_addz(c->errors, "a list\n");
		return;
	}
	if (n < schema->sequence.min || n > schema->sequence.max) {
		error_begin(c, node->start_mark.line);
		buf_addf(c->errors, "found a list of %zu, allowed: %u to %u\n", n,
			 schema->sequence.min, schema->sequence.max);
	}
	for (size_t i = 0; i < n; i++) {
		buf_addf(&c->path, "[%zu]", i);
		check_value(c, yaml_tree_item(c->doc, node, i), schema->sequence.entry);
		c->path.n = path_n;
	}
}

static const cyaml_schema_field_t *field_find(const cyaml_schema_field_t *fields, struct str key)
{
	for (; fields->key; fields++)
		if (str_is(key, fields->key))
			return fields;
	return NULL;
}

static void add_keys(struct buf *out, const cyaml_schema_field_t *fields, struct str key)
{
	const char *words[CHECK_MAX_WORDS + 1];
	const char *near;
	size_t n = 0;

	for (; fields->key && n < CHECK_MAX_WORDS; fields++) {
		buf_addf(out, "%s%s", n ? ", " : "", fields->key);
		words[n++] = fields->key;
	}
	words[n] = NULL;
	near = key.n ? yaml_nearest(key, words) : NULL;
	if (near)
		buf_addf(out, " (nearest: %s)", near);
	buf_addc(out, '\n');
}

static void check_pair(struct check *c, const yaml_node_t *mapping, size_t i,
		       const cyaml_schema_field_t *fields)
{
	const yaml_node_t *key = yaml_tree_key(c->doc, mapping, i);
	const cyaml_schema_field_t *field = field_find(fields, yaml_tree_text(key));
	size_t path_n = c->path.n, twin = yaml_tree_twin(c->doc, mapping, i);

	if (!field || key->type != YAML_SCALAR_NODE) {
		error_begin(c, key->start_mark.line);
		buf_addz(c->errors, "found key ");
		yaml_tree_quote(c->errors, yaml_tree_text(key));
		buf_addz(c->errors, ", allowed: ");
		add_keys(c->errors, fields, yaml_tree_text(key));
		return;
	}
	buf_addf(&c->path, "%s%s", path_n ? "." : "", field->key);
	if (twin < i) {
		error_begin(c, key->start_mark.line);
		buf_addf(c->errors, "found a second time (first in line %zu), allowed: once\n",
			 yaml_tree_key(c->doc, mapping, twin)->start_mark.line + 1);
	} else {
		check_value(c, yaml_tree_value(c->doc, mapping, i), &field->value);
	}
	c->path.n = path_n;
}

static void check_mapping(struct check *c, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	const cyaml_schema_field_t *fields = schema->mapping.fields;

	if (node->type != YAML_MAPPING_NODE) {
		found(c, node);
		buf_addz(c->errors, "a mapping with the keys ");
		add_keys(c->errors, fields, STR_NONE);
		return;
	}
	for (size_t i = 0; i < yaml_tree_count(node); i++)
		check_pair(c, node, i, fields);
	for (const cyaml_schema_field_t *f = fields; f->key; f++) {
		bool present = (f->value.flags & CYAML_FLAG_OPTIONAL) != 0;

		for (size_t i = 0; !present && i < yaml_tree_count(node); i++)
			present = str_is(yaml_tree_text(yaml_tree_key(c->doc, node, i)), f->key);
		if (!present) {
			error_begin(c, node->start_mark.line);
			buf_addf(c->errors, "found no key \"%s\", allowed: it must be there\n",
				 f->key);
		}
	}
}

static void check_value(struct check *c, yaml_node_t *node, const cyaml_schema_value_t *schema)
{
	bool may_be_null = (schema->flags & CYAML_FLAG_POINTER_NULL) == CYAML_FLAG_POINTER_NULL;

	if (may_be_null && node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0)
		return;
	switch (schema->type) {
	case CYAML_INT:
	case CYAML_UINT:
		check_int(c, node, schema);
		break;
	case CYAML_BOOL:
		check_bool(c, node);
		break;
	case CYAML_ENUM:
		check_enum(c, node, schema);
		break;
	case CYAML_STRING:
		check_string(c, node, schema);
		break;
	case CYAML_MAPPING:
		check_mapping(c, node, schema);
		break;
	case CYAML_SEQUENCE:
	case CYAML_SEQUENCE_FIXED:
		check_list(c, node, schema);
		break;
	default: /* floats, flags, bit fields, ignored values: libcyaml's own word counts */
		break;
	}
}

static int check_document(const char *name, struct str text, const cyaml_schema_value_t *schema,
			  struct buf *errors)
{
	yaml_document_t doc;
	yaml_node_t *root = NULL;
	struct check c = {
		.name = name, .doc = &doc, .path = BUF_INIT(CHECK_PATH_BYTES), .errors = errors
	};
	int err = yaml_tree_open(name, text, &doc, &root, errors);

	if (err)
		return err;
	if (!root) {
		error_begin(&c, 0);
		buf_addz(errors, "found nothing, allowed: a document\n");
	} else {
		check_value(&c, root, schema);
	}
	yaml_document_delete(&doc);
	buf_fini(&c.path);
	return c.failed ? E_CONFIG : 0;
}

/* ── load ── */

static void log_keep(cyaml_log_t level, void *ctx, const char *fmt, va_list args) PRINTF_LIKE(3, 0);

/* libcyaml's own words, joined into one line: for what the check above leaves to it. */
static void log_keep(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	char line[256];
	struct buf *kept = ctx;
	int n = vsnprintf(line, sizeof(line), fmt, args);

	if (level < CYAML_LOG_ERROR || n <= 0)
		return;
	buf_addz(kept, kept->n ? "; " : "");
	buf_add(kept, str_trim(str_of(line)));
}

static const cyaml_config_t *config_with(cyaml_config_t *config, struct buf *kept)
{
	*config = (cyaml_config_t){ .log_fn = kept ? log_keep : NULL,
				    .log_ctx = kept,
				    .log_level = CYAML_LOG_ERROR,
				    .mem_fn = cyaml_mem,
				    .flags = CYAML_CFG_NO_ALIAS };
	return config;
}

int yaml_load(const char *name, struct str text, const struct cyaml_schema_value *schema,
	      void **data, struct buf *errors)
{
	cyaml_config_t config;
	struct buf kept = BUF_INIT(4096);
	cyaml_err_t code;
	int err = check_document(name, text, schema, errors);

	*data = NULL;
	if (err)
		return err;
	code = cyaml_load_data((const uint8_t *)text.p, text.n, config_with(&config, &kept), schema,
			       data, NULL);
	if (code != CYAML_OK || !*data) {
		*data = NULL;
		buf_addf(errors, "%s:1: %s: " STR_FMT "\n", name, cyaml_strerror(code),
			 STR_ARG(buf_str(&kept)));
		err = E_CONFIG;
	}
	buf_fini(&kept);
	return err;
}

void yaml_unload(const struct cyaml_schema_value *schema, void **data)
{
	cyaml_config_t config;

	if (*data)
		cyaml_free(config_with(&config, NULL), schema, *data, 0);
	*data = NULL;
}

const char *yaml_version(void)
{
	static char version[64];

	snprintf(version, sizeof(version), "libyaml %s, libcyaml %s", yaml_get_version_string(),
		 cyaml_version_str);
	return version;
}
