/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection outlives its token only by renewal: the dialect's events token:refresh, token:update, token:updated (contract, section 2).
 */
#include "common/base/clock.h"
#include "services/edge/dialect.h"

#define REMIND_MS 60000u /* before the end */
#define LEEWAY_MS 30000u /* of the clocks, after it */

const struct str TOKEN_UPDATED = { "token:updated", 13 };

bool token_is_renewal(struct str event_name)
{
	return str_is(event_name, "token:update");
}

static void remind(struct sock *sock)
{
	char args[CLOCK_ISO_BYTES + 32], when[CLOCK_ISO_BYTES];

	sock->refresh_told = true;
	clock_iso(sock->user->expires_ms, when);
	snprintf(args, sizeof(args), "{\"expiresAt\":\"%s\"}", when);
	sock_emit(sock, STR("token:refresh"), str_of(args), NULL, 0);
}

static void end(struct sock *sock)
{
	sock_emit_error(sock, STR("AUTH_TOKEN_EXPIRED"),
			STR("the token has expired and was not renewed"));
	if (sock->session && sock->edge->dialect->one_socket) {
		session_close(sock->session, METRIC_CLOSED_TOKEN);
		return;
	}
	metrics_inc(METRIC_CLOSED_TOKEN);
	sock_close(sock, true);
}

static void on_timer(struct wheel_timer *timer)
{
	token_watch(CONTAINER_OF(timer, struct sock, token_timer));
}

void token_watch(struct sock *sock)
{
	bool renews = sock->edge->dialect->renews;
	uint64_t wall = clock_wall_ms(), due;

	svc_cancel(sock->edge->svc, &sock->token_timer);
	if (!sock->user || sock->user->expires_ms == 0 || sock->state != SOCK_CONNECTED)
		return;
	if (wall >= sock->user->expires_ms + LEEWAY_MS) {
		end(sock);
		return;
	}
	if (renews && !sock->refresh_told && wall + REMIND_MS >= sock->user->expires_ms) {
		remind(sock);
		if (sock->state != SOCK_CONNECTED)
			return;
	}
	due = sock->refresh_told || !renews ? sock->user->expires_ms + LEEWAY_MS
					    : sock->user->expires_ms - REMIND_MS;
	sock->token_timer.fn = on_timer;
	svc_arm(sock->edge->svc, &sock->token_timer, clock_ms() + (due - wall));
}
