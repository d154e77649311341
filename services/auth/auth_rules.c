/* SPDX-License-Identifier: Apache-2.0 */
#include "services/auth/auth_rules.h"

const struct auth_answer AUTH_FORBIDDEN = { { "FORBIDDEN", 9 }, { "not allowed", 11 } };
const struct auth_answer AUTH_UNAVAILABLE = { { "UNAVAILABLE", 11 },
					      { "permission cannot be checked now", 32 } };

static const struct auth_answer allowed = { { NULL, 0 }, { NULL, 0 } };

/* 1: yes, 0: no, negative: E_NOMEM, E_TOOBIG. A text that cannot be rendered (something in it is absent) is nobody's. */
static int when_holds(const struct check_rule *rule, const struct tmpl_env *env,
		      struct buf *scratch)
{
	struct json_value v;

	if (!rule->has_when)
		return 1;
	if (json_get_path(env->user, rule->when_path, &v))
		return 0;
	for (uint32_t i = 0; i < rule->when_any_count; i++) {
		int err;

		buf_reset(scratch);
		err = tmpl_render(&rule->when_any[i], env, scratch);
		if (err == E_NOMEM || err == E_TOOBIG)
			return err;
		if (!err && json_holds_text(v, buf_str(scratch)))
			return 1;
	}
	return 0;
}

static struct auth_answer refusal(const struct check_rule *rule)
{
	return rule->code ? (struct auth_answer){ str_of(rule->code), str_of(rule->message) }
			  : AUTH_FORBIDDEN;
}

enum auth_outcome auth_rules_walk(const struct check_rule *rules, uint32_t count, uint32_t *at,
				  const struct tmpl_env *env, struct buf *scratch,
				  struct auth_answer *answer)
{
	for (; *at < count; ++*at) {
		const struct check_rule *rule = &rules[*at];
		int fits = when_holds(rule, env, scratch);

		if (fits == 0)
			continue;
		if (fits > 0 && rule->verdict == RULE_SQL)
			return AUTH_ASK;
		*answer = fits < 0                      ? AUTH_UNAVAILABLE
			  : rule->verdict == RULE_ALLOW ? allowed
							: refusal(rule);
		return AUTH_DECIDED;
	}
	*answer = AUTH_FORBIDDEN;
	return AUTH_DECIDED;
}

enum auth_outcome auth_rules_rows(const struct check_rule *rule, int rows,
				  struct auth_answer *answer)
{
	if (rows > 0)
		*answer = allowed;
	else if (rule->next_if_none)
		return AUTH_ASK;
	else
		*answer = refusal(rule);
	return AUTH_DECIDED;
}
