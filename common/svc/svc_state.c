/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/svc/svc_process.h"

#define DUMP_MAX_BYTES (1u << 20)

const char *svc_state_name(enum svc_state state)
{
	static const char *const names[] = { "starting", "ready", "degraded", "draining",
					     "stopping" };

	return names[state];
}

void svc_state_set(struct svc_process *p, enum svc_state state)
{
	if (p->svc.state == state)
		return;
	log_info("svc", "state", KV_Z("from", svc_state_name(p->svc.state)),
		 KV_Z("to", svc_state_name(state)));
	p->svc.state = state;
	metrics_set(METRIC_STATE, state);
}

static void on_drain_deadline(struct wheel_timer *timer)
{
	struct svc_process *p = CONTAINER_OF(timer, struct svc_process, drain_timer);

	log_warn("svc", "the drain took too long, ending anyway",
		 KV_I("drain_seconds", p->svc.conf.drain_seconds));
	p->stop_wanted = true;
}

void svc_state_drain(struct svc_process *p)
{
	struct svc *svc = &p->svc;

	if (svc->state >= SVC_DRAINING) {
		p->stop_wanted = true;
		return;
	}
	svc_state_set(p, SVC_DRAINING);
	p->drain_deadline_ms = clock_ms() + (uint64_t)svc->conf.drain_seconds * 1000;
	wheel_timer_init(&p->drain_timer, on_drain_deadline);
	svc_arm(svc, &p->drain_timer, p->drain_deadline_ms);
	if (svc->spec->drain)
		svc->spec->drain(svc, svc->self);
	else
		svc_drained(svc);
}

void svc_state_stop(struct svc_process *p)
{
	struct svc *svc = &p->svc;

	svc_state_set(p, SVC_STOPPING);
	svc_cancel(svc, &p->drain_timer);
	svc_cancel(svc, &p->health_timer);
	svc_signal_close(p);
	svc_http_close(p);
	svc_watchdog_close(p);
	if (svc->spec->stop)
		svc->spec->stop(svc, svc->self);
}

void svc_drained(struct svc *svc)
{
	struct svc_process *p = svc_process_of(svc);

	if (svc->state == SVC_DRAINING)
		p->stop_wanted =
			true; /* carried out at the end of the turn: the caller may be about to be freed */
}

void svc_fail(struct svc *svc, int exit_code)
{
	struct svc_process *p = svc_process_of(svc);

	if (p->exit_code == SVC_EXIT_OK)
		p->exit_code = exit_code;
	p->stop_wanted = true;
}

uint64_t svc_drain_left_ms(const struct svc *svc)
{
	const struct svc_process *p = CONTAINER_OF(svc, struct svc_process, svc);
	uint64_t now_ms = clock_ms();

	return svc->state == SVC_DRAINING && now_ms < p->drain_deadline_ms
		       ? p->drain_deadline_ms - now_ms
		       : 0;
}

void svc_notify(struct svc *svc, const char *word, int port)
{
	struct svc_process *p = svc_process_of(svc);
	char line[64];
	int n;

	if (p->notify_fd < 0)
		return;
	for (size_t i = 0; i < SVC_MAX_WORDS; i++) {
		if (p->notified[i] && strcmp(p->notified[i], word) == 0)
			return;
		if (p->notified[i])
			continue;
		p->notified[i] = word;
		n = snprintf(line, sizeof(line), "%s %d\n", word, port);
		if (write(p->notify_fd, line, (size_t)n) != n)
			log_warn("svc", "the supervisor could not be told", KV_Z("word", word));
		return;
	}
}

void svc_state_dump(struct svc_process *p)
{
	struct buf text = BUF_INIT(DUMP_MAX_BYTES);
	struct str rest, line;

	buf_addf(&text, "state %s, up %llu s, %llu timers\n", svc_state_name(p->svc.state),
		 (unsigned long long)((clock_ms() - p->started_ms) / 1000),
		 (unsigned long long)p->svc.wheel.count);
	for (size_t i = 0; p->svc.spec->needs && p->svc.spec->needs[i].component; i++)
		buf_addf(&text, "need %s: %s\n", p->svc.spec->needs[i].component,
			 p->needs[i].holds ? "holds" : "does not hold");
	if (p->svc.spec->dump)
		p->svc.spec->dump(&p->svc, p->svc.self, &text);
	for (rest = buf_str(&text); rest.n;) {
		struct log_site unlimited = { 0 }; /* one per line: a dump is never suppressed */
		char copy[512];

		str_cut(rest, '\n', &line, &rest);
		line.n = line.n < sizeof(copy) ? line.n : sizeof(copy) - 1;
		if (str_copy(line, copy, sizeof(copy)) == 0)
			log_write(LOG_INFO, &unlimited, "dump", copy,
				  (const struct log_kv[]){ { LOG_KV_END, 0, { 0, 0 }, 0 } });
	}
	buf_fini(&text);
}
