/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness: a process is READY while all of its needs hold, else DEGRADED; it goes on serving either way. */
#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/svc/svc_process.h"

#define ASK_EVERY_MS 1000
#define PATIENCE_MS 5000 /* at the start, other processes may come up after this one */

static void add_failing(struct buf *failing, const char *component, const char *reason)
{
	if (!failing)
		return;
	if (failing->n && failing->p[failing->n - 1] == '}')
		buf_addc(failing, ',');
	buf_addz(failing, "{\"component\":");
	buf_add_json(failing, str_of(component));
	buf_addz(failing, ",\"reason\":");
	buf_add_json(failing, str_of(reason));
	buf_addc(failing, '}');
}

/* Each change is told once; what has never held yet gets some patience before it is a warning. */
static void need_changed(struct svc_need_state *s, const char *component, bool holds,
			 const char *reason)
{
	uint64_t now_ms = clock_ms();

	if (holds != s->holds) {
		s->since_ms = now_ms;
		s->told = false;
	}
	s->holds = holds;
	if (s->told)
		return;
	if (holds) {
		if (s->missed)
			log_info(component, "is there again");
		s->told = s->held_once = true;
		s->missed = false;
	} else if (s->held_once || now_ms - s->since_ms >= PATIENCE_MS) {
		s->told = s->missed = true;
		log_warn(component, "is not there", KV_Z("reason", reason));
	}
}

bool svc_health_ready(struct svc_process *p, struct buf *failing)
{
	const struct svc_need *needs = p->svc.spec->needs;
	bool ready = true;

	for (size_t i = 0; needs && needs[i].component && i < SVC_MAX_NEEDS; i++) {
		char reason[SVC_REASON_BYTES] = "no reason given";
		bool holds = needs[i].holds(p->svc.self, reason);

		reason[SVC_REASON_BYTES - 1] = 0;
		need_changed(&p->needs[i], needs[i].component, holds, reason);
		if (!holds)
			add_failing(failing, needs[i].component, reason);
		ready = ready && holds;
	}
	if (p->svc.state >= SVC_DRAINING) {
		add_failing(failing, "draining", "asked to end");
		return false;
	}
	svc_state_set(p, ready ? SVC_READY : SVC_DEGRADED);
	return ready;
}

static void on_health_timer(struct wheel_timer *timer)
{
	struct svc_process *p = CONTAINER_OF(timer, struct svc_process, health_timer);

	svc_health_ready(p, NULL);
	svc_arm(&p->svc, timer, clock_ms() + ASK_EVERY_MS);
}

void svc_health_open(struct svc_process *p)
{
	for (size_t i = 0; i < SVC_MAX_NEEDS; i++)
		p->needs[i] = (struct svc_need_state){ .since_ms = clock_ms() };
	wheel_timer_init(&p->health_timer, on_health_timer);
	on_health_timer(&p->health_timer);
}
