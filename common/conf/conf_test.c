/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf/conf.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf/conf_table.h"

static const char *text_of(struct buf *b)
{
	buf_addc(b, 0);
	assert_int_equal(b->failed, 0);
	b->n--;
	return b->p;
}

static void expect_errors(struct buf *errors, const char *want)
{
	assert_string_equal(text_of(errors), want);
	buf_fini(errors);
}

static void clear_environment(void)
{
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++)
		unsetenv(conf_rows[i].env);
	unsetenv("JWT_DEV");
}

static char file_path[64];

static void write_file(const char *text)
{
	int fd;

	snprintf(file_path, sizeof(file_path), "/tmp/conf_test.XXXXXX");
	fd = mkstemp(file_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int load_file(struct conf *c, const char *text, struct buf *errors)
{
	int err;

	write_file(text);
	err = conf_load_file(c, file_path, errors);
	unlink(file_path);
	return err;
}

/* Values a row must take and must refuse, made from the row. */
static void probe_row(struct conf *c, const struct conf_row *row)
{
	struct buf errors = BUF_INIT(1u << 20), value = BUF_INIT(1u << 20);
	struct str rest = str_of(row->doc), word;

	switch (row->kind) {
	case CONF_KIND_INT:
		for (int over = 0; over < 2; over++) {
			buf_reset(&value);
			buf_addf(&value, "%lld", (long long)row->max + over);
			assert_int_equal(
				conf_set(c, "t", str_of(row->field), buf_str(&value), &errors),
				over ? E_CONFIG : 0);
			buf_reset(&value);
			buf_addf(&value, "%lld", (long long)row->min - over);
			assert_int_equal(
				conf_set(c, "t", str_of(row->field), buf_str(&value), &errors),
				over ? E_CONFIG : 0);
		}
		assert_int_equal(conf_set(c, "t", str_of(row->field), STR("1x"), &errors),
				 E_CONFIG);
		assert_int_equal(conf_set(c, "t", str_of(row->field), STR(""), &errors), E_CONFIG);
		break;
	case CONF_KIND_BOOL:
		assert_int_equal(conf_set(c, "t", str_of(row->field), STR("true"), &errors), 0);
		assert_int_equal(conf_set(c, "t", str_of(row->field), STR("yes"), &errors),
				 E_CONFIG);
		break;
	case CONF_KIND_ENUM:
		while (conf_row_word(&rest, &word))
			assert_int_equal(conf_set(c, "t", str_of(row->field), word, &errors), 0);
		assert_int_equal(conf_set(c, "t", str_of(row->field), STR("none of them"), &errors),
				 E_CONFIG);
		break;
	default:
		for (int64_t i = 0; i < row->max; i++)
			buf_addc(&value, 'x');
		assert_int_equal(conf_set(c, "t", str_of(row->field), buf_str(&value), &errors), 0);
		buf_addc(&value, 'x');
		assert_int_equal(conf_set(c, "t", str_of(row->field), buf_str(&value), &errors),
				 E_CONFIG);
		break;
	}
	buf_fini(&errors);
	buf_fini(&value);
}

static void test_every_row_has_a_good_default_bounds_help_and_documentation(void **state)
{
	struct buf help = BUF_INIT(1u << 20), doc = BUF_INIT(1u << 20), print = BUF_INIT(1u << 20);
	struct conf c;

	(void)state;
	clear_environment();
	conf_init(&c);
	conf_help(CONF_ALL, &help);
	conf_doc(&doc);
	conf_print(&c, CONF_ALL, &print);
	text_of(&help);
	text_of(&doc);
	text_of(&print);
	for (size_t i = 0; i < CONF_OPTION_COUNT; i++) {
		const struct conf_row *row = &conf_rows[i];
		struct buf errors = BUF_INIT(4096);
		char want[256];

		assert_int_equal(conf_set_from(&c, CONF_DEFAULT, "default", str_of(row->field),
					       str_of(row->def), &errors),
				 0);
		assert_false(conf_given(&c, row->field));
		assert_true(row->users != 0 && row->doc[0]);
		for (const char *z = row->env; *z; z++)
			assert_true(isupper((unsigned char)*z) || *z == '_');
		snprintf(want, sizeof(want), "  %s (%s): ", row->field, row->env);
		assert_non_null(strstr(help.p, want));
		snprintf(want, sizeof(want), "| `%s` | `%s` | ", row->field, row->env);
		assert_non_null(strstr(doc.p, want));
		assert_non_null(strstr(print.p, row->field));
		probe_row(&c, row);
		assert_true(conf_given(&c, row->field));
		buf_fini(&errors);
	}
	conf_fini(&c);
	buf_fini(&help);
	buf_fini(&doc);
	buf_fini(&print);
}

static void test_defaults_are_those_of_the_table(void **state)
{
	struct conf c;

	(void)state;
	conf_init(&c);
	assert_int_equal(c.ping_interval_ms, 25000);
	assert_string_equal(c.host, "0.0.0.0");
	assert_string_equal(c.jwt_secret, "");
	assert_false(c.auth_auto_provision);
	assert_string_equal(c.auth_mode, "local");
	conf_fini(&c);
}

static const struct {
	const char *text, *errors; /* behind the name of the file */
} files[] = {
	{ "", "" },
	{ "ping_interval_ms: 300\ncors_origins: [http://a, http://b]\nauth_auto_provision: true\n",
	  "" },
	{ "\nping_interval_ms: ten\n",
	  ":2: ping_interval_ms: found \"ten\", allowed: whole number 10 to 3600000\n" },
	{ "ping_interval_ms:\n",
	  ":1: ping_interval_ms: found \"\", allowed: whole number 10 to 3600000\n" },
	{ "ping_interval: 3\n", ":1: ping_interval: found a key that no option has, allowed: "
				"ping_interval_ms (the nearest), and what --help lists\n" },
	{ "port: 1\nport: 2\n",
	  ":2: port: found a second time (first in line 1), allowed: once\n" },
	{ "port: [1, 2]\n", ":1: port: found a list, allowed: whole number 0 to 65535\n" },
	{ "log_level: {a: b}\n",
	  ":1: log_level: found nested values, allowed: debug, info, warn, error\n" },
	{ "log_level: loud\n",
	  ":1: log_level: found \"loud\", allowed: debug, info, warn, error\n" },
	{ "auth_auto_provision: 1\n",
	  ":1: auth_auto_provision: found \"1\", allowed: true or false\n" },
};

static void test_file_errors_name_file_line_key_found_and_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct buf errors = BUF_INIT(4096);
		struct conf c;
		char want[512];
		int err;

		conf_init(&c);
		err = load_file(&c, files[i].text, &errors);
		snprintf(want, sizeof(want), "%s%s", files[i].errors[0] ? file_path : "",
			 files[i].errors);
		expect_errors(&errors, want);
		assert_int_equal(err, files[i].errors[0] ? E_CONFIG : 0);
		conf_fini(&c);
	}
}

static void test_file_reports_all_errors_and_keeps_good_values(void **state)
{
	struct buf errors = BUF_INIT(4096);
	struct conf c;

	(void)state;
	conf_init(&c);
	assert_int_equal(
		load_file(&c, "port: x\nhost: 127.0.0.1\nnope: 1\nmax_rooms: 0\n", &errors),
		E_CONFIG);
	text_of(&errors);
	assert_non_null(strstr(errors.p, ":1: port: "));
	assert_non_null(strstr(errors.p, ":3: nope: "));
	assert_non_null(strstr(errors.p,
			       ":4: max_rooms: found \"0\", allowed: whole number 1 to 1000000\n"));
	assert_string_equal(c.host, "127.0.0.1");
	buf_fini(&errors);
	conf_fini(&c);
}

static void test_later_sources_win_in_whatever_order_they_come(void **state)
{
	struct buf errors = BUF_INIT(4096);
	struct conf c;

	(void)state;
	clear_environment();
	conf_init(&c);
	setenv("PORT", "3003", 1);
	setenv("REALTIME_PORT", "3004", 1);
	setenv("HOST", "", 1); /* counts as unset */
	assert_int_equal(conf_load_env(&c, &errors), 0);
	assert_int_equal(c.port, 3003);
	assert_string_equal(c.host, "0.0.0.0");
	assert_int_equal(load_file(&c, "port: 3002\nmax_rooms: 2\n", &errors), 0);
	assert_int_equal(c.port, 3003);
	assert_int_equal(conf_set_from(&c, CONF_PROFILE, "p", STR("max_rooms"), STR("3"), &errors),
			 0);
	assert_int_equal(c.max_rooms, 2);
	assert_int_equal(
		conf_set_from(&c, CONF_PROFILE, "p", STR("ping_timeout_ms"), STR("200"), &errors),
		0);
	assert_int_equal(c.ping_timeout_ms, 200);
	assert_false(conf_given(&c, "ping_timeout_ms"));
	assert_true(conf_given(&c, "max_rooms"));
	assert_int_equal(conf_load_port_env(&c, "REALTIME_PORT", &errors), 0);
	assert_int_equal(c.port, 3004);
	assert_int_equal(conf_set(&c, "--set", STR("port"), STR("3005"), &errors), 0);
	assert_int_equal(conf_load_port_env(&c, "REALTIME_PORT", &errors), 0);
	assert_int_equal(c.port, 3005);
	/* A weaker source is checked all the same. */
	assert_int_equal(conf_set_from(&c, CONF_PROFILE, "p.yaml: settings", STR("port"), STR("-1"),
				       &errors),
			 E_CONFIG);
	expect_errors(&errors,
		      "p.yaml: settings: port: found \"-1\", allowed: whole number 0 to 65535\n");
	conf_fini(&c);
	clear_environment();
	unsetenv("REALTIME_PORT");
}

static void test_environment_errors_name_the_variable_and_hide_secrets(void **state)
{
	struct buf errors = BUF_INIT(65536), page = BUF_INIT(1u << 20), secret = BUF_INIT(65536);
	struct conf c;

	(void)state;
	clear_environment();
	conf_init(&c);
	for (int i = 0; i < 4097; i++)
		buf_addc(&secret, 's');
	setenv("PING_INTERVAL_MS", "ten", 1);
	setenv("API_KEY", text_of(&secret), 1);
	setenv("JWT_DEV", "hush-hush", 1);
	assert_int_equal(conf_load_env(&c, &errors), E_CONFIG);
	expect_errors(&errors, "environment: PING_INTERVAL_MS: found \"ten\", allowed: whole "
			       "number 10 to 3600000\n"
			       "environment: API_KEY: found *** (4097 bytes), allowed: text of at "
			       "most 4096 bytes\n");
	assert_string_equal(c.jwt_secret, "hush-hush");
	conf_print(&c, CONF_ALL, &page);
	assert_null(strstr(text_of(&page), "hush-hush"));
	setenv("JWT_SECRET", "stronger", 1);
	assert_int_equal(conf_load_env(&c, &errors), E_CONFIG);
	assert_string_equal(c.jwt_secret, "stronger");
	conf_fini(&c);
	clear_environment();
	buf_fini(&errors);
	buf_fini(&page);
	buf_fini(&secret);
}

static void test_list_is_walked_trimmed_and_without_empty_items(void **state)
{
	struct str rest = STR(" a, b ,,c,"), item;
	struct buf got = BUF_INIT(100);

	(void)state;
	while (conf_list_next(&rest, &item))
		buf_addf(&got, "<" STR_FMT ">", STR_ARG(item));
	expect_errors(&got, "<a><b><c>");
	rest = STR("");
	assert_false(conf_list_next(&rest, &item));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_has_a_good_default_bounds_help_and_documentation),
		cmocka_unit_test(test_defaults_are_those_of_the_table),
		cmocka_unit_test(test_file_errors_name_file_line_key_found_and_allowed),
		cmocka_unit_test(test_file_reports_all_errors_and_keeps_good_values),
		cmocka_unit_test(test_later_sources_win_in_whatever_order_they_come),
		cmocka_unit_test(test_environment_errors_name_the_variable_and_hide_secrets),
		cmocka_unit_test(test_list_is_walked_trimmed_and_without_empty_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
