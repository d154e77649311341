/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of adapt_redis: an adapter on a loop with the skeleton's hooks, commands as words, answers that count themselves. */
#ifndef ROOMWIRE_ADAPT_REDIS_USE_TEST_H
#define ROOMWIRE_ADAPT_REDIS_USE_TEST_H

#include "common/adapt/adapt_redis_server_test.h"

#include "common/adapt/adapt_redis.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/svc/svc_process.h"

#define TIMEOUT_MS 600u
#define PASSWORD "s3cret-of-the-tests"
#define PIPELINE 10000

static struct svc_process process;
static char logged[1 << 16];
static struct adapt_redis *redis, *subscriber;
static int ups, downs, answered;
static char down_reason[SVC_REASON_BYTES];

static inline void keep_line(struct str text, void *ctx)
{
	size_t n = strlen(logged);

	(void)ctx;
	if (n + text.n + 1 < sizeof(logged)) {
		memcpy(logged + n, text.p, text.n);
		logged[n + text.n] = 0;
	}
}

static inline size_t logged_times(const char *word)
{
	size_t count = 0;

	for (const char *at = logged; (at = strstr(at, word)) != NULL; at++)
		count++;
	return count;
}

static inline int setup(void **state)
{
	static struct svc_spec spec = { .name = "test" };

	(void)state;
	memset(&process, 0, sizeof(process));
	assert_int_equal(uv_loop_init(&loop), 0);
	conf_init(&process.svc.conf);
	process.svc.spec = &spec;
	process.svc.loop = &loop;
	process.svc.instance = "test";
	assert_int_equal(svc_loop_open(&process), 0);
	ups = downs = 0;
	*logged = *down_reason = 0;
	log_capture(keep_line, NULL);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	mem_fail_at(0);
	adapt_redis_close(&redis);
	adapt_redis_close(&subscriber);
	fake_stop();
	stop_server(SIGKILL);
	for (int rank = 0; rank < SVC_RANK_COUNT; rank++)
		assert_true(list_empty(&process.turns[rank]));
	uv_close((uv_handle_t *)&process.prepare, NULL);
	uv_close((uv_handle_t *)&process.check, NULL);
	uv_close((uv_handle_t *)&process.idle, NULL);
	uv_close((uv_handle_t *)&process.wheel_timer, NULL);
	uv_close((uv_handle_t *)&process.stop_timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	conf_fini(&process.svc.conf);
	log_capture(NULL, NULL);
	assert_null(strstr(logged, PASSWORD));
	assert_int_equal(metrics_values[METRIC_REDIS_PENDING], 0);
	assert_int_equal(metrics_values[METRIC_REDIS_UP], 0);
	return 0;
}

/* ── the adapter ── */

static inline void on_up(void *ctx)
{
	assert_ptr_equal(ctx, &process);
	assert_true(adapt_redis_up(redis));
	ups++;
}

static inline void on_down(void *ctx, const char *reason)
{
	struct str get[] = { STR("PING") };

	assert_ptr_equal(ctx, &process);
	assert_false(adapt_redis_up(redis));
	assert_int_equal(metrics_values[METRIC_REDIS_PENDING], 0);
	assert_int_equal(adapt_redis_command(redis, get, 1, NULL, NULL), E_CLOSED);
	snprintf(down_reason, sizeof(down_reason), "%s", reason);
	downs++;
}

static inline struct adapt_redis_spec spec_of(const char *url)
{
	return (struct adapt_redis_spec){
		.svc = &process.svc,
		.url = url,
		.host = "127.0.0.1",
		.port = server.port,
		.timeout_ms = TIMEOUT_MS,
		.handlers = { .up = on_up, .down = on_down, .ctx = &process },
	};
}

static inline void open_it(void)
{
	struct adapt_redis_spec spec = spec_of("");

	assert_int_equal(adapt_redis_open(&spec, &redis), 0);
}

static inline void open_up(void)
{
	start_server("");
	open_it();
	assert_false(adapt_redis_up(redis));
	run_until(adapt_redis_up(redis));
}

static inline const char *reason_now(void)
{
	static char reason[SVC_REASON_BYTES];

	adapt_redis_reason(redis, reason);
	return reason;
}

struct answer {
	int calls, err, order;
	enum redis_type type;
	int64_t integer;
	char text[128];
};

static inline void on_answer(void *ctx, int err, const struct redis_reply *reply)
{
	struct answer *a = ctx;

	a->calls++;
	a->err = err;
	a->order = ++answered;
	assert_true((reply != NULL) == (err == 0 || err == E_FAIL));
	if (!reply)
		return;
	a->type = reply->type;
	a->integer = reply->integer;
	if (str_copy(reply->text, a->text, sizeof(a->text)))
		snprintf(a->text, sizeof(a->text), "%zu bytes", reply->text.n);
}

static inline int ask(struct answer *a, const char *words)
{
	struct str argv[16], rest = str_of(words);
	size_t argc = 0;

	*a = (struct answer){ .calls = 0 };
	while (str_cut(rest, ' ', &argv[argc++], &rest))
		;
	return adapt_redis_command(redis, argv, argc, on_answer, a);
}

static inline struct answer said(const char *words)
{
	static struct answer a;

	assert_int_equal(ask(&a, words), 0);
	assert_int_equal(a.calls, 0);
	run_until(a.calls);
	return a;
}

static struct answer many[PIPELINE];

static inline size_t ended(int err, size_t count)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		assert_true(many[i].calls <= 1);
		n += many[i].calls == 1 && many[i].err == err;
	}
	return n;
}

#endif
