/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_peers.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/bus/bus_ends_test.h"

#define THERE_MAX 64

/* ── a name service of our own: libuv asks it on a thread of its pool ── */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char addresses[256]; /* of every name, blank-separated; empty: there is no such name */
static unsigned lookups;

static void name_service(const char *now)
{
	pthread_mutex_lock(&lock);
	snprintf(addresses, sizeof(addresses), "%s", now);
	pthread_mutex_unlock(&lock);
}

static unsigned lookup_count(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = lookups;
	pthread_mutex_unlock(&lock);
	return n;
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): glibc names them __name, …
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		struct addrinfo **result)
{
	char copy[sizeof(addresses)], *rest = copy, *word;

	(void)host;
	(void)port;
	(void)hints;
	pthread_mutex_lock(&lock);
	lookups++;
	memcpy(copy, addresses, sizeof(copy));
	pthread_mutex_unlock(&lock);
	*result = NULL;
	while ((word = strsep(&rest, " ")) != NULL) {
		struct addrinfo *a;
		struct sockaddr_in *in;

		if (!*word)
			continue;
		a = calloc(1, sizeof(*a) + sizeof(*in));
		in = (struct sockaddr_in *)(void *)(a + 1);
		in->sin_family = AF_INET;
		inet_pton(AF_INET, word, &in->sin_addr);
		a->ai_family = AF_INET;
		a->ai_addr = (struct sockaddr *)in;
		a->ai_addrlen = sizeof(*in);
		a->ai_next = *result;
		*result = a;
	}
	return *result ? 0 : EAI_NONAME;
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): as above
void freeaddrinfo(struct addrinfo *result)
{
	while (result) {
		struct addrinfo *next = result->ai_next;

		free(result);
		result = next;
	}
}

/* ── who is there ── */

struct watch {
	struct world world;
	struct end end;
	struct svc *svc;
	struct bus_peers *peers;
	char there[THERE_MAX][96];
	unsigned added, removed;
};

static bool is_there(const struct watch *w, const char *endpoint)
{
	for (int i = 0; i < THERE_MAX; i++)
		if (strcmp(w->there[i], endpoint) == 0)
			return true;
	return false;
}

static void on_added(void *ctx, const char *endpoint)
{
	struct watch *w = ctx;
	int i = 0;

	assert_false(is_there(w, endpoint));
	while (w->there[i][0])
		i++;
	snprintf(w->there[i], sizeof(w->there[i]), "%s", endpoint);
	w->added++;
}

static void on_removed(void *ctx, const char *endpoint)
{
	struct watch *w = ctx;

	assert_true(is_there(w, endpoint));
	for (int i = 0; i < THERE_MAX; i++)
		if (strcmp(w->there[i], endpoint) == 0)
			w->there[i][0] = '\0';
	w->removed++;
}

static void open_watch(struct watch *w)
{
	memset(w, 0, sizeof(*w));
	lookups = 0;
	world_open(&w->world);
	w->svc = end_open(&w->end, &w->world, "edge", "edge-0");
}

static void close_watch(struct watch *w)
{
	clock_fake(0, 0);
	RUN_UNTIL(&w->world, uv_loop_alive(&w->world.loop) && w->world.loop.active_reqs.count == 0);
	end_close(&w->end);
	world_close(&w->world);
}

static int open_peers(struct watch *w, const char *endpoints)
{
	static const struct bus_peers_handlers handlers = { on_added, on_removed };

	open_watch(w);
	return bus_peers_open(w->svc, endpoints, &handlers, w, &w->peers);
}

static void close_peers(struct watch *w)
{
	unsigned removed = w->removed;

	bus_peers_close(&w->peers);
	assert_null(w->peers);
	close_watch(w);
	assert_int_equal(w->removed, removed);
}

/* The time at which names are looked up again, without waiting for it. */
static void let_time_pass(struct watch *w, uint64_t *now_ms)
{
	*now_ms += BUS_PEERS_AGAIN_MS + 10;
	clock_fake(*now_ms, 1);
	wheel_advance(&w->svc->wheel, *now_ms);
}

static void test_paths_and_addresses_are_taken_as_they_are(void **state)
{
	struct watch w;

	(void)state;
	assert_int_equal(
		open_peers(&w,
			   "ipc:///tmp/a, tcp://127.0.0.1:7301 ,,tcp://127.0.0.2:1,ipc:///tmp/a"),
		0);
	assert_int_equal(w.added, 3);
	assert_true(is_there(&w, "ipc:///tmp/a"));
	assert_true(is_there(&w, "tcp://127.0.0.1:7301"));
	assert_true(is_there(&w, "tcp://127.0.0.2:1"));
	for (int i = 0; i < 10; i++)
		uv_run(&w.world.loop, UV_RUN_NOWAIT);
	assert_int_equal(lookup_count(), 0);
	close_peers(&w);
}

static void test_what_is_no_endpoint_is_refused(void **state)
{
	static const char *const rows[] = {
		"nonsense",          "tcp://",        "tcp://host",
		"tcp://:1",          "tcp://host:",   "tcp://host:0",
		"tcp://host:65536",  "tcp://host:x",  "ipc://",
		"udp://127.0.0.1:1", "tcp://[::1]:1", "ipc:///tmp/good,tcp://bad",
		"file://x",          "file:///",
	};
	struct watch w;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		assert_int_equal(open_peers(&w, rows[i]), E_CONFIG);
		assert_null(w.peers);
		close_watch(&w);
	}
}

static void test_addresses_of_a_name_come_and_go(void **state)
{
	uint64_t now_ms;
	struct watch w;

	(void)state;
	name_service("10.0.0.1 10.0.0.2");
	assert_int_equal(open_peers(&w, "tcp://router:7302,tcp://10.0.0.9:7302"), 0);
	assert_int_equal(w.added, 1);
	now_ms = clock_ms();
	RUN_UNTIL(&w.world, w.added == 3);
	assert_true(is_there(&w, "tcp://10.0.0.1:7302") && is_there(&w, "tcp://10.0.0.2:7302"));
	name_service("10.0.0.2 10.0.0.3");
	let_time_pass(&w, &now_ms);
	RUN_UNTIL(&w.world, w.added == 4 && w.removed == 1);
	assert_false(is_there(&w, "tcp://10.0.0.1:7302"));
	assert_true(is_there(&w, "tcp://10.0.0.2:7302") && is_there(&w, "tcp://10.0.0.3:7302"));
	assert_true(is_there(&w, "tcp://10.0.0.9:7302"));
	/* While the name service says no, those known before stay. */
	name_service("");
	let_time_pass(&w, &now_ms);
	RUN_UNTIL(&w.world, lookup_count() == 3);
	RUN_UNTIL(&w.world, w.world.loop.active_reqs.count == 0);
	assert_int_equal(w.removed, 1);
	name_service("10.0.0.3");
	let_time_pass(&w, &now_ms);
	RUN_UNTIL(&w.world, w.removed == 2);
	assert_int_equal(w.added, 4);
	close_peers(&w);
}

static void count_added(void *ctx, const char *endpoint)
{
	(void)endpoint;
	((struct watch *)ctx)->added++;
}

static void test_more_addresses_than_the_bound_are_left_out(void **state)
{
	static const struct bus_peers_handlers handlers = { count_added, on_removed };
	char endpoints[16384] = "";
	struct watch w;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < BUS_PEERS_MAX + 5; i++)
		n += (size_t)snprintf(endpoints + n, sizeof(endpoints) - n, "tcp://10.1.%d.%d:1,",
				      i / 200, i % 200);
	open_watch(&w);
	assert_int_equal(bus_peers_open(w.svc, endpoints, &handlers, &w, &w.peers), 0);
	assert_int_equal(w.added, BUS_PEERS_MAX);
	close_peers(&w);
}

/* ── files ── */

static void write_file(const char *path, const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static unsigned errors_logged;

static void on_line(struct str line, void *ctx)
{
	(void)line;
	(void)ctx;
	errors_logged++;
}

struct file_watch {
	struct watch w;
	char path[128];
	uint64_t now_ms;
};

static void open_file_watch(struct file_watch *f, const char *text)
{
	static const struct bus_peers_handlers handlers = { on_added, on_removed };
	char item[160];

	open_watch(&f->w);
	snprintf(f->path, sizeof(f->path), "%s/peers", f->w.world.dir);
	snprintf(item, sizeof(item), "file://%s,tcp://10.0.0.9:1", f->path);
	if (text)
		write_file(f->path, text, strlen(text));
	errors_logged = 0;
	log_threshold = LOG_ERROR;
	log_capture(on_line, NULL);
	assert_int_equal(bus_peers_open(f->w.svc, item, &handlers, &f->w, &f->w.peers), 0);
	f->now_ms = clock_ms();
}

static void look_again(struct file_watch *f)
{
	let_time_pass(&f->w, &f->now_ms);
	let_time_pass(&f->w, &f->now_ms); /* two readings that agree */
}

static void close_file_watch(struct file_watch *f)
{
	log_capture(NULL, NULL);
	unlink(f->path);
	close_peers(&f->w);
}

static void test_endpoints_in_a_file_come_and_go(void **state)
{
	static const char first[] = "# routers\n\n tcp://10.0.0.1:7302 # the first\n"
				    "ipc:///tmp/x\r\ntcp://10.0.0.9:1\n";
	static const char second[] = "ipc:///tmp/x\ntcp://10.0.0.2:7302";
	struct file_watch f;

	(void)state;
	open_file_watch(&f, first);
	assert_int_equal(f.w.added, 3);
	assert_true(is_there(&f.w, "tcp://10.0.0.1:7302") && is_there(&f.w, "ipc:///tmp/x"));
	look_again(&f);
	assert_int_equal(f.w.added, 3);
	write_file(f.path, second, sizeof(second) - 1);
	let_time_pass(&f.w, &f.now_ms);
	assert_int_equal(f.w.added + f.w.removed, 3); /* it may be half of what is written */
	let_time_pass(&f.w, &f.now_ms);
	assert_int_equal(f.w.added, 4);
	assert_int_equal(f.w.removed, 1);
	assert_true(is_there(&f.w, "tcp://10.0.0.2:7302") && is_there(&f.w, "ipc:///tmp/x"));
	write_file(f.path, "", 0);
	look_again(&f);
	assert_int_equal(f.w.removed, 3);
	assert_true(is_there(&f.w, "tcp://10.0.0.9:1")); /* it stands in the list, too */
	assert_int_equal(errors_logged, 0);
	close_file_watch(&f);
}

static void test_endpoint_in_two_files_stays_with_the_second(void **state)
{
	static const struct bus_peers_handlers handlers = { on_added, on_removed };
	char paths[2][96], items[256];
	struct file_watch f;

	(void)state;
	open_watch(&f.w);
	for (int i = 0; i < 2; i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%d", f.w.world.dir, i);
		write_file(paths[i], "tcp://10.0.0.1:1\n", 17);
	}
	snprintf(items, sizeof(items), "file://%s,file://%s", paths[0], paths[1]);
	assert_int_equal(bus_peers_open(f.w.svc, items, &handlers, &f.w, &f.w.peers), 0);
	f.now_ms = clock_ms();
	write_file(paths[0], "", 0);
	look_again(&f);
	look_again(&f);
	assert_true(is_there(&f.w, "tcp://10.0.0.1:1"));
	write_file(paths[1], "", 0);
	look_again(&f);
	assert_false(is_there(&f.w, "tcp://10.0.0.1:1"));
	unlink(paths[0]);
	unlink(paths[1]);
	close_peers(&f.w);
}

static void test_file_that_cannot_be_read_changes_nothing(void **state)
{
	static char large[BUS_PEERS_FILE_BYTES + 1];
	struct file_watch f;

	(void)state;
	open_file_watch(&f, NULL); /* it may come later */
	assert_int_equal(f.w.added, 1);
	look_again(&f);
	assert_int_equal(errors_logged, 1);
	write_file(f.path, "tcp://10.0.0.1:1\n", 17);
	look_again(&f);
	assert_int_equal(f.w.added, 2);
	assert_int_equal(unlink(f.path), 0);
	look_again(&f);
	look_again(&f);
	assert_int_equal(errors_logged, 2);
	memset(large, '\n', sizeof(large));
	write_file(f.path, large, sizeof(large));
	look_again(&f);
	assert_int_equal(errors_logged, 3);
	assert_int_equal(unlink(f.path), 0);
	assert_int_equal(mkdir(f.path, 0700), 0);
	look_again(&f);
	assert_int_equal(errors_logged, 4);
	assert_int_equal(rmdir(f.path), 0);
	assert_int_equal(f.w.removed, 0);
	write_file(f.path, "tcp://10.0.0.1:1\n", 17);
	look_again(&f);
	assert_int_equal(f.w.added + f.w.removed, 2);
	close_file_watch(&f);
}

static void test_lines_that_are_no_endpoints_are_logged_once(void **state)
{
	static const char text[] = "nonsense\ntcp://name:1\ntcp://10.0.0.1:1\nfile:///tmp/more\n";
	struct file_watch f;

	(void)state;
	open_file_watch(&f, text);
	look_again(&f);
	look_again(&f);
	assert_int_equal(f.w.added, 2);
	assert_int_equal(errors_logged, 3);
	close_file_watch(&f);
}

/* Closed while a lookup is under way. */
static void test_close_during_a_lookup(void **state)
{
	struct watch w;

	(void)state;
	name_service("10.0.0.1");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(open_peers(&w, "tcp://a:1,tcp://b:2"), 0);
		for (int turn = 0; turn < i / 5; turn++)
			uv_run(&w.world.loop, UV_RUN_NOWAIT);
		close_peers(&w);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths_and_addresses_are_taken_as_they_are),
		cmocka_unit_test(test_what_is_no_endpoint_is_refused),
		cmocka_unit_test(test_addresses_of_a_name_come_and_go),
		cmocka_unit_test(test_more_addresses_than_the_bound_are_left_out),
		cmocka_unit_test(test_endpoints_in_a_file_come_and_go),
		cmocka_unit_test(test_endpoint_in_two_files_stays_with_the_second),
		cmocka_unit_test(test_file_that_cannot_be_read_changes_nothing),
		cmocka_unit_test(test_lines_that_are_no_endpoints_are_logged_once),
		cmocka_unit_test(test_close_during_a_lookup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
