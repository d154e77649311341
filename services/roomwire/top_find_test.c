/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/top_find.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GOOD \
	"{\"pid\":4711,\"profile\":\"chat\",\"port\":3000,\"url\":\"http://" \
	"127.0.0.1:3000\",\"processes\":[" \
	"{\"name\":\"edge-0\",\"pid\":12,\"ops\":\"http://127.0.0.1:9101\"}," \
	"{\"name\":\"auth-0\",\"pid\":0,\"ops\":\"http://127.0.0.1:9102\"}]}\n"

static struct top_set set; /* large */

static void clear(void)
{
	set.gateway_count = set.process_count = 0;
}

static void test_list_of_an_up_is_read(void **state)
{
	(void)state;
	clear();
	assert_int_equal(top_find_parse(STR(GOOD), &set), 0);
	assert_int_equal(top_find_parse(STR(GOOD), &set), 0);
	assert_int_equal(set.gateway_count, 2);
	assert_int_equal(set.process_count, 4);
	assert_int_equal(set.gateways[0].pid, 4711);
	assert_int_equal(set.gateways[0].port, 3000);
	assert_string_equal(set.gateways[0].profile, "chat");
	assert_string_equal(set.processes[0].name, "edge-0");
	assert_string_equal(set.processes[0].ops.port, "9101");
	assert_int_equal(set.processes[1].pid, 0);
	assert_int_equal(set.processes[3].gateway, 1);
}

static void test_list_that_is_wrong_adds_nothing(void **state)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{}",
		"{\"pid\":-1,\"profile\":\"c\",\"port\":1,\"url\":\"u\",\"processes\":[]}",
		"{\"pid\":1,\"profile\":\"c\",\"port\":65536,\"url\":\"u\",\"processes\":[]}",
		"{\"pid\":1,\"profile\":7,\"port\":1,\"url\":\"u\",\"processes\":[]}",
		"{\"pid\":1,\"profile\":\"c\",\"port\":1,\"url\":\"u\",\"processes\":{}}",
		"{\"pid\":1,\"profile\":\"c\",\"port\":1,\"url\":\"u\",\"processes\":[1]}",
		"{\"pid\":1,\"profile\":\"c\",\"port\":1,\"url\":\"u\",\"processes\":[{}]}",
	};

	(void)state;
	clear();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(top_find_parse(str_of(wrong[i]), &set), E_SYNTAX);
	for (size_t n = 0; n < sizeof(GOOD) - 3; n++)
		assert_int_not_equal(top_find_parse(str_make(GOOD, n), &set), 0);
	assert_int_equal(set.gateway_count + set.process_count, 0);
	for (int i = 0; i < TOP_GATEWAYS_MAX; i++)
		assert_int_equal(top_find_parse(STR(GOOD), &set), 0);
	assert_int_equal(top_find_parse(STR(GOOD), &set), E_FULL);
}

static void make_run_folder(const char *base, const char *name, char *folder, char *file)
{
	FILE *f;

	snprintf(folder, 256, "%s/%s", base, name);
	snprintf(file, 300, "%s/%s", folder, TOP_STATE_FILE);
	assert_int_equal(mkdir(folder, 0700), 0);
	f = fopen(file, "w");
	assert_non_null(f);
	assert_true(fputs(GOOD, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_find_takes_what_lives_and_removes_what_is_left_of_the_dead(void **state)
{
	static const struct top_wanted any, chat = { "chat", 3000 }, port = { NULL, 3001 },
					    profile = { "inbox", 0 };
	char base[] = "/tmp/top-find-XXXXXX", live[256], dead[256], other[256], file[300];
	char live_file[300];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(base));
	make_run_folder(base, "roomwire-live", live, live_file);
	make_run_folder(base, "else", other, file);
	make_run_folder(base, "roomwire-dead", dead, file);
	fd = open(live, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);

	clear();
	top_find_in(base, &profile, &set);
	top_find_in(base, &port, &set);
	assert_int_equal(set.gateway_count, 0);
	top_find_in(base, &chat, &set);
	top_find_in(base, &any, &set); /* the same one again */
	assert_int_equal(set.gateway_count, 1);
	assert_int_equal(access(dead, F_OK), -1);
	assert_int_equal(access(live_file, F_OK), 0);
	assert_int_equal(access(other, F_OK), 0);

	close(fd);
	clear();
	top_find_in(base, &any, &set);
	assert_int_equal(set.gateway_count, 0);
	assert_int_equal(access(live, F_OK), -1);
	snprintf(file, sizeof(file), "%s/%s", other, TOP_STATE_FILE);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(rmdir(other), 0);
	assert_int_equal(rmdir(base), 0);
	top_find_in(base, &any, &set); /* no such folder */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_of_an_up_is_read),
		cmocka_unit_test(test_list_that_is_wrong_adds_nothing),
		cmocka_unit_test(test_find_takes_what_lives_and_removes_what_is_left_of_the_dead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
