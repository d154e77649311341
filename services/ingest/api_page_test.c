/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of what several routers say: together they are the whole, also while entries come and go; and what no router of ours would say. */
#include "services/ingest/api_page.h"

#include <stdlib.h>

#include "common/base/base_test.h"
#include "common/base/mem.h"

#define ROUTERS 4
#define KEYS 60
#define ROUNDS 300
#define LIMIT_MOST 9

/* How often each router has each key. */
static bool there[ROUTERS][KEYS];

static const char *key_of(unsigned i)
{
	static char text[KEYS][16];

	snprintf(text[i], sizeof(text[i]), "/,%02u", i);
	return text[i];
}

static void add_part(struct buf *out, enum wire_id id, const void *message)
{
	struct blob *part = wire_pack(id, message);
	const char length[4] = { 0, 0, (char)(part->n >> 8), (char)part->n };

	buf_add(out, str_make(length, 4));
	buf_add(out, blob_str(part));
	blob_unref(&part);
}

/* What a router answers: its first ones behind a key; sometimes it stops early. */
static struct router_found answer(unsigned router, const char *after, uint64_t limit,
				  struct buf *text)
{
	struct router_found found = { .more = false };
	uint64_t n = 0;

	for (unsigned i = 0; i < KEYS && !found.more; i++) {
		struct wire_room_found m = { .room = str_of(key_of(i)) };

		if (!there[router][i] || strcmp(key_of(i), after) <= 0)
			continue;
		found.more = n++ == limit;
		if (!found.more)
			add_part(text, WIRE_ROOM_FOUND, &m);
	}
	found.parts = buf_str(text);
	return found;
}

static void change(uint64_t *seed, const bool *stays)
{
	for (int n = 0; n < 20; n++) {
		uint64_t x = test_random(seed);
		unsigned key = (x >> 8) % KEYS;

		if (!stays[key])
			there[x % ROUTERS][key] = x >> 32 & 1;
	}
}

static bool anywhere(unsigned key)
{
	for (int i = 0; i < ROUTERS; i++)
		if (there[i][key])
			return true;
	return false;
}

/* One reader goes through all pages. */
static void read_all(uint64_t *seed, bool changes, const bool *stays, unsigned *seen)
{
	uint64_t limit = 1 + test_random(seed) % LIMIT_MOST;
	bool fixed[KEYS];
	char after[16] = "";
	bool more = true;

	memcpy(fixed, stays, sizeof(fixed));
	while (more) {
		struct router_found found[ROUTERS];
		struct buf text[ROUTERS];
		struct page page;

		for (unsigned i = 0; i < ROUTERS; i++) {
			/* bounds of its own: a router may end before the limit */
			uint64_t most = 1 + test_random(seed) % limit;

			buf_init(&text[i], 1 << 20);
			found[i] = answer(i, after, most, &text[i]);
		}
		assert_int_equal(page_merge(PAGE_ROOMS, found, ROUTERS, limit, &page), 0);
		assert_true(page.count <= limit);
		assert_true(page.count > 0 || !page.more);
		for (uint32_t i = 0; i < page.count; i++) {
			assert_true(strncmp(page.entries[i].minor.p, after, 4) > 0);
			assert_int_equal(str_copy(page.entries[i].minor, after, sizeof(after)), 0);
			seen[(after[2] - '0') * 10 + after[3] - '0']++;
		}
		more = page.more;
		page_fini(&page);
		for (unsigned i = 0; i < ROUTERS; i++)
			buf_fini(&text[i]);
		if (changes)
			change(seed, fixed);
	}
}

static void test_pages_are_exactly_the_whole(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		bool stays[KEYS] = { false };
		unsigned seen[KEYS] = { 0 };

		change(&seed, stays);
		read_all(&seed, false, stays, seen);
		for (unsigned i = 0; i < KEYS; i++)
			assert_int_equal(seen[i], anywhere(i));
	}
}

static void test_what_stays_is_on_one_page_while_others_come_and_go(void **state)
{
	uint64_t seed = 6;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		bool stays[KEYS] = { false };
		unsigned seen[KEYS] = { 0 };

		change(&seed, stays);
		for (unsigned i = 0; i < KEYS; i++)
			stays[i] = anywhere(i) && test_random(&seed) % 2;
		read_all(&seed, true, stays, seen);
		for (unsigned i = 0; i < KEYS; i++) {
			assert_true(seen[i] <= 1);
			if (stays[i])
				assert_int_equal(seen[i], 1);
		}
	}
}

static void test_socket_that_two_routers_know_is_shown_once_as_the_one_that_is_here(void **state)
{
	struct wire_socket_found away = { .sid = STR("s"),
					  .nsp = STR("/"),
					  .user_id = STR("u"),
					  .away_ms = 9 },
				 here = { .sid = STR("s"), .nsp = STR("/"), .user_id = STR("u") },
				 other = { .sid = STR("a"), .nsp = STR("/"), .user_id = STR("v") };
	struct buf first = BUF_INIT(4096), second = BUF_INIT(4096);
	struct router_found found[2];
	struct page page;

	(void)state;
	add_part(&first, WIRE_SOCKET_FOUND, &away);
	add_part(&second, WIRE_SOCKET_FOUND, &here);
	add_part(&second, WIRE_SOCKET_FOUND, &other);
	found[0] = (struct router_found){ .parts = buf_str(&first) };
	found[1] = (struct router_found){ .parts = buf_str(&second) };
	assert_int_equal(page_merge(PAGE_MEMBERS, found, 2, 10, &page), 0);
	assert_int_equal(page.count, 2);
	assert_false(page.entries[0].away);
	assert_str(page.entries[0].major, STR("u"));
	assert_str(page.entries[1].minor, STR("a"));
	page_fini(&page);
	buf_fini(&first);
	buf_fini(&second);
}

static void test_text_of_nobody_is_refused(void **state)
{
	struct wire_room_found room = { .room = STR("/,a") };
	struct buf parts = BUF_INIT(4096);
	struct router_found found = { .more = false };
	struct page page;

	(void)state;
	add_part(&parts, WIRE_ROOM_FOUND, &room);
	for (size_t n = 1; n < parts.n; n++) { /* cut anywhere */
		char *exact = malloc(n);

		memcpy(exact, parts.p, n);
		found.parts = str_make(exact, n);
		assert_int_not_equal(page_merge(PAGE_ROOMS, &found, 1, 10, &page), 0);
		page_fini(&page);
		free(exact);
	}
	found.parts = buf_str(&parts);
	assert_int_equal(page_merge(PAGE_MEMBERS, &found, 1, 10, &page), E_TYPE);
	page_fini(&page);
	found = (struct router_found){ .more = true }; /* more behind nothing */
	assert_int_not_equal(page_merge(PAGE_ROOMS, &found, 1, 10, &page), 0);
	page_fini(&page);
	buf_fini(&parts);
}

static void test_without_memory_there_is_no_page(void **state)
{
	struct wire_socket_found m = { .sid = STR("s"), .nsp = STR("/") };
	struct buf parts = BUF_INIT(4096);
	struct router_found found;
	struct page page;
	int err = E_NOMEM;

	(void)state;
	add_part(&parts, WIRE_SOCKET_FOUND, &m);
	found = (struct router_found){ .parts = buf_str(&parts) };
	for (uint64_t nth = 1; err; nth++) {
		mem_fail_at(nth);
		err = page_merge(PAGE_OF_USER, &found, 1, 1, &page);
		mem_fail_at(0);
		assert_true(err == 0 || err == E_NOMEM);
		page_fini(&page);
	}
	buf_fini(&parts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_are_exactly_the_whole),
		cmocka_unit_test(test_what_stays_is_on_one_page_while_others_come_and_go),
		cmocka_unit_test(
			test_socket_that_two_routers_know_is_shown_once_as_the_one_that_is_here),
		cmocka_unit_test(test_text_of_nobody_is_refused),
		cmocka_unit_test(test_without_memory_there_is_no_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
