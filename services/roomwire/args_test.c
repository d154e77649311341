/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/profile/profile.h"
#include "services/roomwire/roomwire.h"
#include "services/roomwire/up.h"
#include "services/roomwire/words.h"

static char profile_path[] = "/tmp/args-XXXXXX.yaml", config_path[] = "/tmp/args-XXXXXX.yaml";

static void write_file(char *path, const char *text)
{
	int fd = mkstemps(path, 5);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int make_files(void **state)
{
	(void)state;
	write_file(profile_path, "profile: mine\ndialect: plain\nport_env: MY_PORT\nsettings:\n"
				 "  port: 3100\nauth:\n  token: none\n"
				 "namespaces:\n  - name: /\n");
	write_file(config_path, "port: 3200\n");
	for (size_t i = 0; i < 4; i++)
		unsetenv((const char *[]){ "PORT", "MY_PORT", "API_PORT", "PROFILE" }[i]);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	return unlink(profile_path) || unlink(config_path);
}

static int64_t port_of(const char *config, const char *profile, bool *given)
{
	struct profile *p = NULL;
	struct conf c;
	int64_t port;

	assert_int_equal(args_conf(config, profile, &c, &p), 0);
	port = c.port;
	*given = conf_given(&c, "port");
	profile_free(&p);
	conf_fini(&c);
	return port;
}

static void test_port_of_the_environment_is_stronger_than_file_and_profile(void **state)
{
	bool given;

	(void)state;
	assert_int_equal(port_of(NULL, NULL, &given), 3000);
	assert_int_equal(port_of(NULL, profile_path, &given), 3100);
	assert_false(given);
	assert_int_equal(port_of(config_path, profile_path, &given), 3200);
	assert_true(given);
	setenv("PROFILE", profile_path, 1);
	assert_int_equal(port_of(NULL, NULL, &given), 3100);
	unsetenv("PROFILE");
	setenv("PORT", "3456", 1);
	assert_int_equal(port_of(config_path, profile_path, &given), 3456);
	assert_true(given);
	setenv("MY_PORT", "3500", 1);
	assert_int_equal(port_of(config_path, profile_path, &given), 3500);
	assert_int_equal(port_of(NULL, NULL, &given), 3456);
	unsetenv("PORT");
	unsetenv("MY_PORT");
}

static void test_host_for_everybody_is_found_on_loopback(void **state)
{
	(void)state;
	assert_string_equal(args_host("0.0.0.0"), "127.0.0.1");
	assert_string_equal(args_host("127.0.0.2"), "127.0.0.2");
}

static void test_every_word_has_a_page_with_its_options_and_an_example(void **state)
{
	static const struct {
		const char *word, *option;
	} rows[] = {
		{ "up", "--ingests N" },      { "top", "--interval SECONDS" },
		{ "check", "FILE" },          { "token", "--claim K=V" },
		{ "publish", "--data JSON" }, { "tail", "--emit EVENT=JSON" },
		{ "schema", "schema" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct word *word = words_find(str_of(rows[i].word));
		struct buf page = BUF_INIT(1u << 16);

		assert_non_null(word);
		words_help_one(word, &page);
		buf_addc(&page, '\0');
		assert_int_equal(page.failed, 0);
		assert_non_null(strstr(page.p, rows[i].option));
		assert_non_null(strstr(page.p, "\nExample:\n  "));
		assert_null(strstr(page.p, "roomwire-up"));
		buf_fini(&page);
	}
	assert_null(words_find(STR("")));
	assert_null(words_find(STR("u")));
}

static void test_help_is_asked_anywhere_and_h_in_the_first_place(void **state)
{
	char *asked[] = { "up", "--profile", "x", "--help" }, *short_one[] = { "up", "-h" };
	char *not_asked[] = { "publish", "--data", "-h" };

	(void)state;
	assert_true(words_help_asked(4, asked));
	assert_true(words_help_asked(2, short_one));
	assert_false(words_help_asked(3, not_asked));
	assert_false(words_help_asked(1, asked));
}

static void test_demo_quotes_as_a_shell_reads(void **state)
{
	static const struct {
		const char *word, *quoted;
	} rows[] = {
		{ "chat", "chat" },
		{ "/a/b-c_1.yaml", "/a/b-c_1.yaml" },
		{ "", "''" },
		{ "a b", "'a b'" },
		{ "{\"x\":1}", "'{\"x\":1}'" },
		{ "it's", "'it'\\''s'" },
		{ "~x", "'~x'" },
		{ "$HOME", "'$HOME'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out = BUF_INIT(256);

		demo_quote(&out, str_of(rows[i].word));
		assert_true(str_is(buf_str(&out), rows[i].quoted));
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_port_of_the_environment_is_stronger_than_file_and_profile),
		cmocka_unit_test(test_host_for_everybody_is_found_on_loopback),
		cmocka_unit_test(test_every_word_has_a_page_with_its_options_and_an_example),
		cmocka_unit_test(test_help_is_asked_anywhere_and_h_in_the_first_place),
		cmocka_unit_test(test_demo_quotes_as_a_shell_reads),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
