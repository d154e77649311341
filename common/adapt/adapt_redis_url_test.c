/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_redis_url.h"

#include "common/base/base_test.h"

static void test_url_when_well_formed_then_its_parts(void **state)
{
	static const struct {
		const char *text, *host, *user, *password;
		int port;
		uint32_t db;
	} cases[] = {
		{ "redis://h", "h", "", "", 6379, 0 },
		{ "redis://h:1", "h", "", "", 1, 0 },
		{ "redis://h:65535/", "h", "", "", 65535, 0 },
		{ "redis://h/5", "h", "", "", 6379, 5 },
		{ "redis://h:7000/2147483647", "h", "", "", 7000, 2147483647 },
		{ "redis://127.0.0.1:6380/1", "127.0.0.1", "", "", 6380, 1 },
		{ "redis://[::1]", "::1", "", "", 6379, 0 },
		{ "redis://[fe80::1%eth0]:7/3", "fe80::1%eth0", "", "", 7, 3 },
		{ "redis://:pw@redis-0.redis_x:6379", "redis-0.redis_x", "", "pw", 6379, 0 },
		{ "redis://me:pw@h", "h", "me", "pw", 6379, 0 },
		{ "redis://me:p:w@h", "h", "me", "p:w", 6379, 0 },
		{ "redis://me:p@w@h", "h", "me", "p@w", 6379, 0 },
		{ "redis://m%40e:p%2fw%3A%25@h:9/1", "h", "m@e", "p/w:%", 9, 1 },
		{ "redis://:%C3%A4@[::1]:9", "::1", "", "\xc3\xa4", 9, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct redis_url url;
		const char *why = "";

		if (redis_url_parse(str_of(cases[i].text), &url, &why))
			fail_msg("%s: %s", cases[i].text, why);
		assert_string_equal(url.host, cases[i].host);
		assert_string_equal(url.user, cases[i].user);
		assert_string_equal(url.password, cases[i].password);
		assert_int_equal(url.port, cases[i].port);
		assert_int_equal(url.db, cases[i].db);
	}
}

static void test_url_when_malformed_then_the_reason_without_its_parts(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "redis://" },
		{ "h:6379", "redis://" },
		{ "http://h", "redis://" },
		{ "redis:/h", "redis://" },
		{ "rediss://h", "TLS" },
		{ "redis://", "no host" },
		{ "redis://:6379", "no host" },
		{ "redis:///1", "no host" },
		{ "redis://h:0", "port" },
		{ "redis://h:65536", "port" },
		{ "redis://h:", "port" },
		{ "redis://h:6x", "port" },
		{ "redis://h:-1", "port" },
		{ "redis://::1", "no host" },
		{ "redis://fe80::1", "port" },
		{ "redis://h/x", "database" },
		{ "redis://h/-1", "database" },
		{ "redis://h/1/", "database" },
		{ "redis://h/1?a=b", "database" },
		{ "redis://h/2147483648", "database" },
		{ "redis://h?a=b", "name or address" },
		{ "redis://h#x", "name or address" },
		{ "redis://a b", "name or address" },
		{ "redis://[]", "no host" },
		{ "redis://[::1", "bracket" },
		{ "redis://[::1]x", "bracket" },
		{ "redis://s3cret@h", "without a password" },
		{ "redis://@h", "without a password" },
		{ "redis://me:@h", "empty" },
		{ "redis://me:s3cret%@h", "percent" },
		{ "redis://me:s3cret%4@h", "percent" },
		{ "redis://me:s3cret%zz@h", "percent" },
		{ "redis://me:s3cret%00@h", "percent" },
		{ "redis://me:s3cret/x@h", "port" },
		{ "redis://me:12/x@h", "database" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct redis_url url;
		const char *why = "";

		if (redis_url_parse(str_of(cases[i].text), &url, &why) != E_CONFIG)
			fail_msg("accepted: %s", cases[i].text);
		if (!strstr(why, cases[i].why) || strstr(why, "s3cret"))
			fail_msg("%s: %s", cases[i].text, why);
	}
}

static void test_url_when_too_long_then_refused(void **state)
{
	char text[4096];
	struct redis_url url;
	const char *why;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "redis://", 8);
	assert_int_equal(redis_url_parse(str_make(text, 8 + 255), &url, &why), 0);
	assert_int_equal(redis_url_parse(str_make(text, 8 + 256), &url, &why), E_CONFIG);
	text[8] = ':';
	text[8 + 1024] = '@';
	assert_int_equal(redis_url_parse(str_make(text, 8 + 1026), &url, &why), 0);
	text[8 + 1024] = 'a';
	text[8 + 1025] = '@';
	assert_int_equal(redis_url_parse(str_make(text, 8 + 1027), &url, &why), E_CONFIG);
}

static void test_host_and_port(void **state)
{
	static const struct {
		const char *host;
		int port, err;
	} cases[] = {
		{ "h", 1, 0 },
		{ "::1", 65535, 0 },
		{ "127.0.0.1", 6379, 0 },
		{ "", 6379, E_CONFIG },
		{ NULL, 6379, E_CONFIG },
		{ "h", 0, E_CONFIG },
		{ "h", 65536, E_CONFIG },
		{ "h:1", 1, E_CONFIG },
		{ "a b", 1, E_CONFIG },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct redis_url url;
		const char *why = NULL;

		assert_int_equal(redis_url_of(cases[i].host, cases[i].port, &url, &why),
				 cases[i].err);
		assert_true((why != NULL) == (cases[i].err != 0));
	}
}

static void test_reason_hides_the_password_and_is_one_printable_line(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "ERR it is s3cret, s3cret!", "ERR it is ***, ***!" },
		{ "  a\r\n\tb \x01\xc3\xa4 ", "a b" },
		{ "ERR unknown command 'AUTH', with args beginning with: 's3cr",
		  "ERR unknown command 'AUTH'" },
		{ "", "" },
	};
	struct redis_url url;
	const char *why;
	char reason[64];

	(void)state;
	assert_int_equal(redis_url_parse(STR("redis://:s3cret@h"), &url, &why), 0);
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		redis_url_reason(&url, str_of(cases[i].text), reason, sizeof(reason));
		assert_string_equal(reason, cases[i].want);
	}
	redis_url_reason(&url, STR("0123456789"), reason, 8);
	assert_true(strlen(reason) < 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_url_when_well_formed_then_its_parts),
		cmocka_unit_test(test_url_when_malformed_then_the_reason_without_its_parts),
		cmocka_unit_test(test_url_when_too_long_then_refused),
		cmocka_unit_test(test_host_and_port),
		cmocka_unit_test(test_reason_hides_the_password_and_is_one_printable_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
