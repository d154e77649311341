/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/redis_lease.h"

#include "common/base/clock.h"
#include "common/log/log.h"

#define MARGIN_MS 300u /* Redis lets it go so much later than we do */

#define RENEW \
	"if redis.call('get',KEYS[1])==ARGV[1] then return redis.call('pexpire',KEYS[1],ARGV[2]) " \
	"else return 0 end"
#define RELEASE \
	"if redis.call('get',KEYS[1])==ARGV[1] then redis.call('del',KEYS[1]) " \
	"return redis.call('publish',KEYS[1],'free') else return 0 end"

bool redis_lease_held(const struct redis_lease *lease)
{
	return lease->until_ms > clock_ms();
}

static void set(struct redis_lease *lease, uint64_t until_ms)
{
	bool was = lease->until_ms != 0, is = until_ms > clock_ms() && !lease->released;

	lease->until_ms = is ? until_ms : 0;
	if (was != is)
		lease->changed(lease->ctx, is);
}

static void on_answer(void *ctx, int err, const struct redis_reply *reply)
{
	struct redis_lease *lease = ctx;
	bool got;

	lease->asking = false;
	lease->refused = err == E_FAIL;
	if (lease->refused)
		log_warn("redis", "Redis refuses to keep who acts on its channels",
			 KV_STR("reply", reply->text));
	if (err)
		return; /* whatever Redis thinks: it ends by our clock, or is asked for again */
	got = adapt_redis_is(reply, REDIS_STATUS) ||
	      (adapt_redis_is(reply, REDIS_INTEGER) && reply->integer == 1);
	set(lease, got ? lease->asked_ms + REDIS_LEASE_MS - MARGIN_MS : 0);
}

static void ask(struct redis_lease *lease)
{
	char ms[16];
	struct str key = str_of(lease->key), name = str_of(lease->name);
	int err;

	if (lease->asking || lease->released)
		return;
	snprintf(ms, sizeof(ms), "%u", REDIS_LEASE_MS);
	lease->asked_ms = clock_ms();
	lease->asking = true;
	if (lease->until_ms) {
		struct str argv[] = { STR("EVAL"), STR(RENEW), STR("1"), key, name, str_of(ms) };

		err = adapt_redis_command(lease->commands, argv, 6, on_answer, lease);
	} else {
		struct str argv[] = { STR("SET"), key, name, STR("NX"), STR("PX"), str_of(ms) };

		err = adapt_redis_command(lease->commands, argv, 6, on_answer, lease);
	}
	if (err)
		lease->asking = false;
}

static void on_timer(struct wheel_timer *timer)
{
	struct redis_lease *lease = CONTAINER_OF(timer, struct redis_lease, timer);

	if (lease->until_ms && !redis_lease_held(lease))
		set(lease, 0);
	ask(lease);
	svc_arm(lease->svc, timer, clock_ms() + REDIS_LEASE_STEP_MS);
}

void redis_lease_start(struct redis_lease *lease)
{
	wheel_timer_init(&lease->timer, on_timer);
	svc_arm(lease->svc, &lease->timer, clock_ms() + 1);
}

void redis_lease_stop(struct redis_lease *lease)
{
	lease->released = true;
	if (lease->svc) /* else it was never started */
		svc_cancel(lease->svc, &lease->timer);
}

void redis_lease_hurry(struct redis_lease *lease)
{
	ask(lease);
}

void redis_lease_release(struct redis_lease *lease)
{
	struct str argv[] = { STR("EVAL"), STR(RELEASE), STR("1"), str_of(lease->key),
			      str_of(lease->name) };
	bool held = lease->until_ms != 0;

	if (lease->released)
		return;
	redis_lease_stop(lease);
	set(lease, 0);
	/* Should it not arrive, the lease ends by itself. */
	if (held && adapt_redis_command(lease->commands, argv, 5, NULL, NULL))
		return;
}
