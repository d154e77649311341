/* SPDX-License-Identifier: Apache-2.0 */
#include "services/auth/auth.h"

#include "common/log/log.h"
#include "common/metrics/metrics.h"

#define WIRE_USER_MAX_BYTES 65536u /* of VERIFIED and ALLOW */
#define WIRE_LIST_MAX_BYTES (16u * WIRE_MAX_ITEM_BYTES)
#define ESCAPED_FACTOR 6u /* \u0000 */

static void on_question(void *ctx, const struct bus_question *q, enum wire_id id,
			const union wire_any *any)
{
	struct auth *auth = ctx;

	if (id == WIRE_VERIFY)
		auth_on_verify(auth, q, &any->verify);
	else if (id == WIRE_ALLOW)
		auth_on_allow(auth, q, &any->allow);
	else
		metrics_inc(METRIC_WIRE_UNKNOWN);
}

static int open_tokens(struct auth *auth)
{
	const struct conf *conf = &auth->svc->conf;
	struct adapt_jwt_spec spec = { conf->jwt_secret, conf->oidc_issuer, conf->oidc_audience };
	int err;

	if (strcmp(conf->auth_mode, "local") != 0) {
		log_error("auth", "AUTH_MODE=keycloak is not part of this version; set "
				  "AUTH_MODE=local and JWT_SECRET");
		return E_CONFIG;
	}
	if (!auth->svc->profile->token_required)
		return 0;
	err = adapt_jwt_open(&spec, &auth->jwt);
	if (err)
		log_error("auth",
			  "JWT_SECRET is not set, so no token can be judged; set JWT_SECRET (or "
			  "JWT_DEV) to the secret "
			  "your backend signs its tokens with",
			  KV_Z("profile", auth->svc->profile->name));
	return err;
}

static bool needs_database(const struct profile *p)
{
	for (uint32_t i = 0; i < p->check_count; i++)
		if (p->checks[i].needs_database)
			return true;
	return false;
}

static int open_database(struct auth *auth)
{
	const struct conf *conf = &auth->svc->conf;
	int err;

	if (!*conf->database_url) {
		if (needs_database(auth->svc->profile))
			log_info("auth",
				 "permissions come from the profile's embedded rules, as "
				 "DATABASE_URL is not set",
				 KV_Z("profile", auth->svc->profile->name));
		return 0;
	}
	err = adapt_pg_open(auth->svc, conf->database_url, &auth->pg);
	if (err)
		log_error("auth", "DATABASE_URL: found ***, allowed: "
				  "postgres://USER:PASSWORD@HOST:PORT/DATABASE");
	return err;
}

int auth_start(struct svc *svc, void *self)
{
	struct auth *auth = self;
	const struct conf *conf = &svc->conf;
	int err;

	auth->svc = svc;
	auth_cache_init(&auth->cache, (size_t)conf->auth_cache_entries,
			(uint64_t)conf->auth_cache_allow_ms, (uint64_t)conf->auth_cache_deny_ms);
	map_init(&auth->asks, auth_ask_key);
	slab_init(&auth->waiters, AUTH_WAITER_BYTES, (size_t)conf->auth_max_waiting);
	buf_init(&auth->key, WIRE_USER_MAX_BYTES + WIRE_LIST_MAX_BYTES + 1024);
	buf_init(&auth->quoted, WIRE_LIST_MAX_BYTES * ESCAPED_FACTOR + 1024);
	buf_init(&auth->text, 1u << 20);
	buf_init(&auth->user, WIRE_USER_MAX_BYTES);
	if ((err = open_tokens(auth)) != 0 || (err = open_database(auth)) != 0)
		return err;
	err = bus_answerer_open(svc, conf->auth_bind, on_question, auth, &auth->answerer);
	if (err)
		log_error("auth", "AUTH_BIND cannot be listened on",
			  KV_Z("endpoint", conf->auth_bind), KV_ERR(err));
	return err;
}

void auth_drain(struct svc *svc, void *self)
{
	struct auth *auth = self;

	auth->draining = true;
	if (map_count(&auth->asks) == 0)
		svc_drained(svc);
}

void auth_stop(struct svc *svc, void *self)
{
	struct auth *auth = self;

	(void)svc;
	bus_answerer_close(&auth->answerer);
	adapt_pg_close(&auth->pg); /* ends all asks */
	adapt_jwt_close(&auth->jwt);
	auth_cache_fini(&auth->cache);
	map_fini(&auth->asks);
	slab_fini(&auth->waiters);
	buf_fini(&auth->key);
	buf_fini(&auth->quoted);
	buf_fini(&auth->text);
	buf_fini(&auth->user);
}

void auth_dump(struct svc *svc, void *self, struct buf *out)
{
	const struct auth *auth = self;
	char reason[SVC_REASON_BYTES] = "";

	(void)svc;
	buf_addf(out,
		 "auth: %zu answers remembered (%zu bytes), %zu questions of %zu askers wait for "
		 "the database\n",
		 auth_cache_count(&auth->cache), auth->cache.bytes, map_count(&auth->asks),
		 auth->waiters.live);
	if (!auth->pg)
		buf_addz(out, "database: none\n");
	else if (adapt_pg_up(auth->pg, reason))
		buf_addz(out, "database: up\n");
	else
		buf_addf(out, "database: down, %s\n", reason);
}

bool auth_database_ready(void *self, char reason[SVC_REASON_BYTES])
{
	const struct auth *auth = self;

	return !auth->pg || adapt_pg_up(auth->pg, reason);
}
