/* SPDX-License-Identifier: Apache-2.0 */
#include "services/auth/auth.h"

#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/profile/field.h"

#define USER_ID_MAX_BYTES 256 /* the wire's limit */

static void refuse(struct auth *auth, const struct bus_question *q, int err, const char *why)
{
	struct wire_verified answer = { .code = str_of(adapt_jwt_code(err)) };

	metrics_inc(METRIC_TOKENS_REFUSED);
	log_debug("auth", "a token is refused", KV_STR("code", answer.code), KV_Z("why", why));
	bus_answerer_reply(auth->answerer, q, WIRE_VERIFIED, &answer);
}

/* The claim the profile names: a string that may be an id, or a number. In auth->text, or of the claims. */
static bool take_user_id(struct auth *auth, struct json_value claims, struct str *id)
{
	const struct profile *p = auth->svc->profile;
	const struct field_spec spec = { .name = p->user_id_path, .type = FIELD_ID };
	struct json_value v;

	buf_reset(&auth->text);
	buf_reset(&auth->quoted);
	if (json_get_path(claims, str_of(p->user_id_path), &v))
		return false;
	if (v.type == JSON_NUMBER)
		*id = v.raw;
	else if (field_check(&spec, v, &auth->text, &auth->quoted) || json_text(v, &auth->text, id))
		return false;
	return id->n > 0 && id->n <= USER_ID_MAX_BYTES;
}

static void answer_anonymous(struct auth *auth, const struct bus_question *q)
{
	struct wire_verified answer = { .user = STR("{}") };

	metrics_inc(METRIC_TOKENS_OK);
	bus_answerer_reply(auth->answerer, q, WIRE_VERIFIED, &answer);
}

void auth_on_verify(struct auth *auth, const struct bus_question *q, const struct wire_verify *m)
{
	struct tmpl_env env = { 0 };
	struct wire_verified answer = { 0 };
	struct adapt_jwt_claims claims;
	int err;

	if (!auth->jwt) {
		answer_anonymous(auth, q);
		return;
	}
	err = adapt_jwt_verify(auth->jwt, m->token, &claims);
	if (err) {
		refuse(auth, q, err, claims.why);
		return;
	}
	if (!take_user_id(auth, claims.object, &answer.user_id)) {
		refuse(auth, q, E_DENIED, "the claim that names the user is no id");
		return;
	}
	if (m->user_id.n && !str_eq(m->user_id, answer.user_id)) {
		refuse(auth, q, E_DENIED, "the renewal is another user's");
		return;
	}
	env.claims = claims.object;
	buf_reset(&auth->user);
	err = tmpl_render(&auth->svc->profile->user, &env, &auth->user);
	if (err) {
		refuse(auth, q, err == E_NOMEM ? E_NOMEM : E_DENIED,
		       "the profile's user cannot be made of the claims");
		return;
	}
	metrics_inc(METRIC_TOKENS_OK);
	answer.user = buf_str(&auth->user);
	answer.expires_ms = claims.expires_ms;
	bus_answerer_reply(auth->answerer, q, WIRE_VERIFIED, &answer);
}
