/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_yaml.h"

#include <cyaml/cyaml.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void expect_text(struct buf *got, const char *want)
{
	buf_addc(got, 0);
	assert_int_equal(got->failed, 0);
	assert_string_equal(got->p, want);
	buf_fini(got);
}

/* ── flat mappings ── */

static void on_pair(const struct yaml_pair *pair, void *ctx)
{
	static const char shapes[] = "SLN";

	buf_addf(ctx, "%d%c " STR_FMT "=" STR_FMT "\n", pair->line, shapes[pair->shape],
		 STR_ARG(pair->key), STR_ARG(pair->value));
}

static const struct {
	const char *text, *pairs, *errors;
} flat[] = {
	{ "", "", "" },
	{ "# nothing\n", "", "" },
	{ "---\n", "", "" },
	{ "a: 1\n\n# c\nb: \"x y\" # c\nc:\n", "1S a=1\n4S b=x y\n5S c=\n", "" },
	{ "a: [x, 'y z']\nb:\n  - 1\n  - 2\nc: {d: e}\nd: [[1]]\n",
	  "1L a=x,y z\n2L b=1,2\n5N c=\n6N d=\n", "" },
	{ "a: 1\nb: 2\na: 3\n", "1S a=1\n2S b=2\n",
	  "f.yaml:3: a: found a second time (first in line 1), allowed: once\n" },
	{ "- a\n", "", "f.yaml:1: found a list, allowed: lines of \"key: value\"\n" },
	{ "\nhello\n", "", "f.yaml:2: found a value, allowed: lines of \"key: value\"\n" },
	{ "a: 1\nb: c: d\n", "",
	  "f.yaml:2: is no YAML: mapping values are not allowed in this context\n" },
	{ "a: &x 1\nb: *x\n", "",
	  "f.yaml:2: found an alias (*name), allowed: values written out\n" },
	{ "a: 1\n---\nb: 2\n", "", "f.yaml:2: found a second document (---), allowed: one\n" },
	{ "a: \"x\\0y\"\n", "", "f.yaml:1: found a zero byte in a value, allowed: text\n" },
	{ "? [a]\n: 1\nb: 2\n", "3S b=2\n", "f.yaml:1: found a list as a key, allowed: a name\n" },
	{ "a: \xff\n", "", "f.yaml:1: is no YAML: invalid leading UTF-8 octet\n" },
};

static void test_flat_walk_reports_pairs_and_every_error_with_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(flat) / sizeof(flat[0]); i++) {
		struct buf pairs = BUF_INIT(4096), errors = BUF_INIT(4096);
		int err = yaml_flat_walk("f.yaml", str_of(flat[i].text), on_pair, &pairs, &errors);

		assert_int_equal(err, flat[i].errors[0] ? E_CONFIG : 0);
		expect_text(&pairs, flat[i].pairs);
		expect_text(&errors, flat[i].errors);
	}
}

static void test_flat_walk_of_deep_nesting_is_refused(void **state)
{
	struct buf text = BUF_INIT(1u << 20), pairs = BUF_INIT(4096), errors = BUF_INIT(4096);

	(void)state;
	for (int i = 0; i < 10000; i++)
		buf_addc(&text, '[');
	assert_int_equal(yaml_flat_walk("f", buf_str(&text), on_pair, &pairs, &errors), E_CONFIG);
	expect_text(&errors, "f:1: found values nested more than 64 deep, allowed: at most that\n");
	buf_fini(&text);
	buf_fini(&pairs);
}

static void test_flat_load_of_a_missing_or_huge_file_names_it(void **state)
{
	struct buf pairs = BUF_INIT(4096), errors = BUF_INIT(4096), text = BUF_INIT(10);
	char path[] = "/tmp/adapt_yaml_test.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(yaml_flat_load("/nowhere/a.yaml", on_pair, &pairs, &errors), E_CONFIG);
	expect_text(&errors, "/nowhere/a.yaml: cannot be read: No such file or directory\n");
	assert_int_equal(write(fd, "key: value\n", 11), 11);
	assert_int_equal(yaml_flat_load(path, on_pair, &pairs, &errors), 0);
	assert_int_equal(yaml_read(path, &text, &errors), E_CONFIG);
	assert_non_null(memmem(errors.p, errors.n, "more than 10 bytes", 18));
	expect_text(&pairs, "1S key=value\n");
	buf_fini(&errors);
	buf_fini(&text);
	close(fd);
	unlink(path);
}

/* ── places ── */

static const char places_text[] = "name: x\n"
				  "namespaces:\n"
				  "  - name: /\n"
				  "    events:\n"
				  "      - on: a\n"
				  "      - on: b\n"
				  "        join:\n"
				  "          - room\n"
				  "  - name: /b\n"
				  "\"a.b\": {\"c[0]\": 1}\n";

static const struct {
	const char *path;
	int err, line;
} places[] = {
	{ "", 0, 1 },
	{ "name", 0, 1 },
	{ "namespaces", 0, 2 },
	{ "namespaces[0]", 0, 3 },
	{ "namespaces[0].events", 0, 4 },
	{ "namespaces[0].events[1].join", 0, 7 },
	{ "namespaces[0].events[1].join[0]", 0, 8 },
	{ "namespaces[1].name", 0, 9 },
	{ "\"a.b\".\"c[0]\"", 0, 10 },
	{ "namespaces[1].events", E_NOTFOUND, 9 },
	{ "namespaces[2].name", E_NOTFOUND, 2 },
	{ "namespaces[99999999999999999999]", E_NOTFOUND, 2 },
	{ "nothing.at.all", E_NOTFOUND, 1 },
	{ "namespaces[", E_NOTFOUND, 2 },
	{ "\"open", E_NOTFOUND, 1 },
	{ "name.deeper", E_NOTFOUND, 1 },
	{ "..", E_NOTFOUND, 1 },
};

static void test_locate_gives_the_line_of_a_path_or_of_its_nearest_parent(void **state)
{
	int line;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		assert_int_equal(yaml_locate(str_of(places_text), places[i].path, &line),
				 places[i].err);
		assert_int_equal(line, places[i].line);
	}
	assert_int_equal(yaml_locate(STR("a: b: c"), "a", &line), E_NOTFOUND);
	assert_int_equal(yaml_locate(STR(""), "a", &line), E_NOTFOUND);
}

/* ── schemas ── */

struct event {
	char *name;
	uint8_t count;
	int mode;
	bool on;
};

struct top {
	char *name;
	int16_t level;
	struct event *events;
	unsigned events_count;
	float ratio;
};

static const cyaml_strval_t modes[] = { { "all", 0 }, { "others", 1 } };
static const cyaml_schema_field_t event_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct event, name, 1, 8),
	CYAML_FIELD_UINT("count", CYAML_FLAG_OPTIONAL, struct event, count),
	CYAML_FIELD_ENUM("mode", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct event, mode, modes,
			 2),
	CYAML_FIELD_BOOL("on", CYAML_FLAG_OPTIONAL, struct event, on),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t event_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
								      struct event, event_fields) };
static const cyaml_schema_field_t top_fields[] = {
	CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct top, name, 0, CYAML_UNLIMITED),
	CYAML_FIELD_INT("level", CYAML_FLAG_OPTIONAL, struct top, level),
	CYAML_FIELD_SEQUENCE("events", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct top, events,
			     &event_value, 1, 3),
	CYAML_FIELD_FLOAT("ratio", CYAML_FLAG_OPTIONAL, struct top, ratio),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t top_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct top,
								    top_fields) };

static const struct {
	const char *text, *errors;
} loads[] = {
	{ "name: x\nlevel: -32768\nevents:\n- {name: a, count: 255, mode: others, on: "
	  "true}\nratio: 0.5\n",
	  "" },
	{ "", "p:1: found nothing, allowed: a document\n" },
	{ "- a\n",
	  "p:1: found a list, allowed: a mapping with the keys name, level, events, ratio\n" },
	{ "name: x\nlevel: ten\n",
	  "p:2: level: found \"ten\", allowed: whole number -32768 to 32767\n" },
	{ "name: x\nlevel: 010\n",
	  "p:2: level: found \"010\", allowed: whole number -32768 to 32767\n" },
	{ "name: x\nlevel: 32768\n",
	  "p:2: level: found \"32768\", allowed: whole number -32768 to 32767\n" },
	{ "name: x\nlevel: {a: b}\n",
	  "p:2: level: found a mapping, allowed: whole number -32768 to 32767\n" },
	{ "level: 1\n", "p:1: found no key \"name\", allowed: it must be there\n" },
	{ "name: x\nevent: 1\n",
	  "p:2: found key \"event\", allowed: name, level, events, ratio (nearest: events)\n" },
	{ "name: x\nname: y\n",
	  "p:2: name: found a second time (first in line 1), allowed: once\n" },
	{ "name: [x]\n", "p:1: name: found a list, allowed: text\n" },
	{ "name: x\nevents: []\n", "p:2: events: found a list of 0, allowed: 1 to 3\n" },
	{ "name: x\nevents: a\n", "p:2: events: found \"a\", allowed: a list\n" },
	{ "name: x\nratio: half\n", "p:1: Invalid value: Load: Invalid FLOAT value: half; Load: "
				    "Backtrace:; in mapping field 'ratio' "
				    "(line: 2, column: 8)\n" },
	/* Everything at once. */
	{ "name: x\nevents:\n  - name: 123456789\n    mode: none\n    on: yes\n  - count: 256\n  - "
	  "3\n",
	  "p:3: events[0].name: found \"123456789\", allowed: text of 1 to 8 bytes\n"
	  "p:4: events[0].mode: found \"none\", allowed: all, others\n"
	  "p:5: events[0].on: found \"yes\", allowed: true or false\n"
	  "p:6: events[1].count: found \"256\", allowed: whole number 0 to 255\n"
	  "p:6: events[1]: found no key \"name\", allowed: it must be there\n"
	  "p:7: events[2]: found \"3\", allowed: a mapping with the keys name, count, mode, on\n" },
};

static void test_load_reports_every_error_with_line_path_and_what_is_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		struct buf errors = BUF_INIT(4096);
		void *data;
		int err = yaml_load("p", str_of(loads[i].text), &top_value, &data, &errors);

		assert_int_equal(err, loads[i].errors[0] ? E_CONFIG : 0);
		assert_int_equal(data != NULL, !err);
		expect_text(&errors, loads[i].errors);
		yaml_unload(&top_value, &data);
		assert_null(data);
	}
}

static void test_load_fills_the_structure(void **state)
{
	struct buf errors = BUF_INIT(4096);
	struct top *top;
	void *data;

	(void)state;
	assert_int_equal(yaml_load("p", str_of(loads[0].text), &top_value, &data, &errors), 0);
	top = data;
	assert_string_equal(top->name, "x");
	assert_int_equal(top->level, -32768);
	assert_int_equal(top->events_count, 1);
	assert_int_equal(top->events[0].count, 255);
	assert_int_equal(top->events[0].mode, 1);
	assert_true(top->events[0].on);
	yaml_unload(&top_value, &data);
	buf_fini(&errors);
}

static void test_nearest_finds_near_words_only(void **state)
{
	static const char *const words[] = { "port", "host", "ping_interval_ms", NULL };

	(void)state;
	assert_string_equal(yaml_nearest(STR("prot"), words), "port");
	assert_string_equal(yaml_nearest(STR("ping_intervall"), words), "ping_interval_ms");
	assert_null(yaml_nearest(STR("xyz"), words));
	assert_null(yaml_nearest(STR(""), words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flat_walk_reports_pairs_and_every_error_with_lines),
		cmocka_unit_test(test_flat_walk_of_deep_nesting_is_refused),
		cmocka_unit_test(test_flat_load_of_a_missing_or_huge_file_names_it),
		cmocka_unit_test(test_locate_gives_the_line_of_a_path_or_of_its_nearest_parent),
		cmocka_unit_test(test_load_reports_every_error_with_line_path_and_what_is_allowed),
		cmocka_unit_test(test_load_fills_the_structure),
		cmocka_unit_test(test_nearest_finds_near_words_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
