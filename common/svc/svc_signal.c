/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "common/log/log.h"
#include "common/svc/svc_process.h"

static void on_signal(uv_signal_t *handle, int number)
{
	struct svc_process *p = handle->data;

	if (number == SIGUSR1) {
		svc_state_dump(p);
		return;
	}
	/* Ctrl-C reaches the whole process group: what a supervised process does is for its supervisor to say (SIGTERM). */
	if (number == SIGINT && p->notify_fd >= 0)
		return;
	log_info("svc", "asked to end", KV_Z("signal", number == SIGTERM ? "SIGTERM" : "SIGINT"));
	svc_state_drain(p);
}

int svc_signal_open(struct svc_process *p)
{
	static const int numbers[SVC_SIGNAL_COUNT] = { SIGTERM, SIGINT, SIGUSR1 };

	for (p->signal_count = 0; p->signal_count < SVC_SIGNAL_COUNT; p->signal_count++) {
		uv_signal_t *handle = &p->signals[p->signal_count];

		if (uv_signal_init(p->svc.loop, handle) != 0)
			return E_FAIL;
		handle->data = p;
		if (uv_signal_start(handle, on_signal, numbers[p->signal_count]) != 0)
			return E_FAIL;
	}
	return 0;
}

void svc_signal_close(struct svc_process *p)
{
	for (int i = 0; i < p->signal_count; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
	p->signal_count = 0;
}
