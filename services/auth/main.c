/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roomwire-auth: judges tokens and permissions.
 *
 * Talks to: edges (questions over ZeroMQ; it is the binding side), PostgreSQL.
 * State:    remembered permission answers: lost without harm.
 * Signals:  see common/svc/svc.h. Drain: answers what waits for the database, then ends.
 */
#include "common/svc/svc.h"
#include "services/auth/auth.h"

static struct auth auth;

static const struct svc_need needs[] = {
	{ "postgresql", auth_database_ready },
	{ NULL, NULL },
};

static const struct svc_spec spec = {
	.name = "auth",
	.job = "judges tokens and permissions",
	.user = CONF_AUTH,
	.wants_profile = true,
	.needs = needs,
	.start = auth_start,
	.drain = auth_drain,
	.stop = auth_stop,
	.dump = auth_dump,
};

int main(int argc, char **argv)
{
	return svc_main(argc, argv, &spec, &auth);
}
