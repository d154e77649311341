/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/reference_json.h"

#include <jansson.h>
#include <string.h>

static const json_t *in(const struct reference *node)
{
	return (const json_t *)(const void *)node;
}

static struct reference *out(json_t *json)
{
	return (struct reference *)(void *)json;
}

static bool is_own_limit(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_numeric_overflow:
	case json_error_null_byte_in_key:
	case json_error_stack_overflow:
		return true;
	default: /* half a surrogate pair */
		return strncmp(error->text, "invalid Unicode '\\u", 19) == 0;
	}
}

enum reference_verdict reference_parse(const char *text, size_t n, struct reference **root)
{
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_error_t error;
	json_t *json;

	json = json_loadb(text, n, flags, &error);
	if (!json && json_error_code(&error) == json_error_numeric_overflow)
		json = json_loadb(text, n, flags | JSON_DECODE_INT_AS_REAL, &error);
	*root = out(json);
	if (json)
		return REFERENCE_VALID;
	return is_own_limit(&error) ? REFERENCE_CANNOT : REFERENCE_INVALID;
}

void reference_free(struct reference *root)
{
	json_decref((json_t *)(void *)root);
}

char reference_type(const struct reference *node)
{
	static const char letters[] = {
		[JSON_OBJECT] = 'o', [JSON_ARRAY] = 'a', [JSON_STRING] = 's', [JSON_INTEGER] = 'i',
		[JSON_REAL] = 'r',   [JSON_TRUE] = 't',  [JSON_FALSE] = 'f',  [JSON_NULL] = 'n',
	};

	return letters[json_typeof(in(node))];
}

const char *reference_string(const struct reference *node, size_t *n)
{
	*n = json_string_length(in(node));
	return json_string_value(in(node));
}

int64_t reference_integer(const struct reference *node)
{
	return json_integer_value(in(node));
}

double reference_real(const struct reference *node)
{
	return json_number_value(in(node));
}

size_t reference_count(const struct reference *node)
{
	return json_is_array(in(node)) ? json_array_size(in(node)) : json_object_size(in(node));
}

const struct reference *reference_at(const struct reference *node, size_t index)
{
	return out(json_array_get(in(node), index));
}

const struct reference *reference_member(const struct reference *node, const char *name, size_t n)
{
	return out(json_object_getn(in(node), name, n));
}
