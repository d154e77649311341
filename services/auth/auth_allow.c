/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   ALLOW ─▶ key ─▶ remembered? ─▶ under way? ─▶ rules ─▶ decided
 *                       │              │           └─▶ query ─▶ rows ─▶ decided, or the rules after it
 *                     answer          wait with it
 *
 * A key is check, user and arguments, each with its length before it; everything a rule looks at is in it. Answers that needed no query are
 * made anew each time: that is cheaper than remembering them.
 */
#include "services/auth/auth.h"

#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "services/auth/auth_rules.h"

#define MAX_PARAMS 64 /* the profile compiler's limit */

struct waiter {
	struct list node; /* on ask->waiters */
	struct bus_question question;
};
_Static_assert(sizeof(struct waiter) == AUTH_WAITER_BYTES, "AUTH_WAITER_BYTES says so");

/* A question under way; exactly one query of it is. */
struct ask {
	struct auth *auth;
	const struct profile_check *check;
	uint32_t rule; /* whose SQL it is */
	struct list waiters;
	size_t key_bytes;
	char key[];
};

struct str auth_ask_key(const void *object)
{
	const struct ask *ask = object;

	return str_make(ask->key, ask->key_bytes);
}

static void reply(struct auth *auth, const struct bus_question *q, const struct auth_answer *answer)
{
	struct wire_allowed m = { .code = answer->code, .message = answer->message };

	if (!answer->code.n)
		metrics_inc(METRIC_CHECKS_ALLOWED);
	else if (str_eq(answer->code, AUTH_UNAVAILABLE.code))
		metrics_inc(METRIC_CHECKS_UNAVAILABLE);
	else
		metrics_inc(METRIC_CHECKS_DENIED);
	bus_answerer_reply(auth->answerer, q, WIRE_ALLOWED, &m);
}

/* ── the key, and what is in it ── */

static void add_part(struct buf *key, struct str part)
{
	uint32_t n = (uint32_t)part.n;

	buf_add(key, str_make((const char *)&n, sizeof(n)));
	buf_add(key, part);
}

static struct str take_part(struct str *key)
{
	struct str part;
	uint32_t n;

	memcpy(&n, key->p, sizeof(n));
	part = str_make(key->p + sizeof(n), n);
	*key = str_skip(*key, sizeof(n) + n);
	return part;
}

static int make_key(struct auth *auth, const struct wire_allow *m)
{
	struct wire_list_walk w;
	struct str arg;

	buf_reset(&auth->key);
	add_part(&auth->key, m->check);
	add_part(&auth->key, m->user.n ? m->user : STR("{}"));
	wire_list_walk(&m->args, &w);
	while (wire_list_next(&w, &arg))
		add_part(&auth->key, arg);
	return auth->key.failed;
}

/* What templates see. Arguments come as text; as JSON strings they are in auth->quoted, until the next call. */
static int fill_env(struct auth *auth, struct str key, struct tmpl_env *env)
{
	size_t starts[TMPL_MAX_FIELDS + 1];

	memset(env, 0, sizeof(*env));
	take_part(&key);
	if (json_parse(take_part(&key), &env->user) || env->user.type != JSON_OBJECT)
		return E_TYPE;
	buf_reset(&auth->quoted);
	while (key.n && env->field_count < TMPL_MAX_FIELDS) {
		starts[env->field_count++] = auth->quoted.n;
		buf_add_json(&auth->quoted, take_part(&key));
	}
	if (auth->quoted.failed)
		return auth->quoted.failed;
	starts[env->field_count] = auth->quoted.n;
	for (uint32_t i = 0; i < env->field_count; i++)
		env->fields[i] = (struct json_value){
			JSON_STRING, str_make(auth->quoted.p + starts[i], starts[i + 1] - starts[i])
		};
	return 0;
}

/* ── a question under way ── */

static void ask_free(struct ask *ask)
{
	struct auth *auth = ask->auth;
	struct list *node;

	map_del(&auth->asks, auth_ask_key(ask));
	while ((node = list_pop(&ask->waiters)) != NULL)
		slab_put(&auth->waiters, CONTAINER_OF(node, struct waiter, node));
	mem_free(ask);
	if (auth->draining && map_count(&auth->asks) == 0)
		svc_drained(auth->svc);
}

static void ask_end(struct ask *ask, const struct auth_answer *answer)
{
	if (!str_eq(answer->code, AUTH_UNAVAILABLE.code))
		auth_cache_put(&ask->auth->cache, auth_ask_key(ask), answer);
	LIST_EACH(&ask->waiters, node, after)
		reply(ask->auth, &CONTAINER_OF(node, struct waiter, node)->question, answer);
	ask_free(ask);
}

static int ask_join(struct ask *ask, const struct bus_question *q)
{
	struct waiter *w = slab_get(&ask->auth->waiters);

	if (!w)
		return E_FULL;
	w->question = *q;
	list_append(&ask->waiters, &w->node);
	return 0;
}

/* Rendered one behind the other into auth->text. */
static int render_params(struct auth *auth, const struct check_rule *rule,
			 const struct tmpl_env *env, struct str params[MAX_PARAMS])
{
	size_t starts[MAX_PARAMS + 1];
	int err = rule->param_count > MAX_PARAMS ? E_RANGE : 0;

	buf_reset(&auth->text);
	for (uint32_t i = 0; i < rule->param_count && !err; i++) {
		starts[i] = auth->text.n;
		err = tmpl_render(&rule->params[i], env, &auth->text);
		starts[i + 1] = auth->text.n;
	}
	for (uint32_t i = 0; i < rule->param_count && !err; i++)
		params[i] = str_make(auth->text.p ? auth->text.p + starts[i] : NULL,
				     starts[i + 1] - starts[i]);
	return err;
}

static void on_rows(void *ctx, int err, const struct adapt_pg_result *result, const char *message);

/* Sends the rule's query. AUTH_DECIDED: there is none, the answer is known. */
static enum auth_outcome ask_query(struct ask *ask, const struct tmpl_env *env,
				   struct auth_answer *answer)
{
	const struct check_rule *rule = &ask->check->rules[ask->rule];
	struct auth *auth = ask->auth;
	struct str params[MAX_PARAMS];
	int err = render_params(auth, rule, env, params);

	if (!err)
		err = adapt_pg_query(auth->pg, rule->sql, params, (int)rule->param_count, on_rows,
				     ask);
	if (!err)
		return AUTH_ASK;
	/* Something the SQL needs is absent, or is no text: nothing in the database can be meant. */
	*answer = err == E_NOTFOUND || err == E_TYPE || err == E_SYNTAX ? AUTH_FORBIDDEN
									: AUTH_UNAVAILABLE;
	return AUTH_DECIDED;
}

/* From rule ask->rule on. */
static enum auth_outcome ask_go_on(struct ask *ask, const struct tmpl_env *env,
				   struct auth_answer *answer)
{
	const struct profile_check *check = ask->check;

	if (auth_rules_walk(check->rules, check->rule_count, &ask->rule, env, &ask->auth->text,
			    answer) == AUTH_DECIDED)
		return AUTH_DECIDED;
	return ask_query(ask, env, answer);
}

static void on_rows(void *ctx, int err, const struct adapt_pg_result *result, const char *message)
{
	struct ask *ask = ctx;
	struct auth_answer answer = AUTH_UNAVAILABLE;
	struct tmpl_env env;

	(void)message; /* adapt_pg logs what the operator must see; clients get no word of the database's */
	if (err == E_CLOSED) {
		ask_free(ask); /* the process ends: the asker asks another */
		return;
	}
	if (!err &&
	    auth_rules_rows(&ask->check->rules[ask->rule], result->rows, &answer) == AUTH_ASK) {
		ask->rule++;
		err = fill_env(ask->auth, auth_ask_key(ask), &env);
		if (err)
			answer = AUTH_UNAVAILABLE;
		else if (ask_go_on(ask, &env, &answer) == AUTH_ASK)
			return;
	}
	ask_end(ask, &answer);
}

static struct ask *ask_new(struct auth *auth, const struct profile_check *check, uint32_t rule)
{
	struct str key = buf_str(&auth->key);
	struct ask *ask = mem_try(sizeof(*ask) + key.n);

	if (!ask)
		return NULL;
	ask->auth = auth;
	ask->check = check;
	ask->rule = rule;
	list_init(&ask->waiters);
	ask->key_bytes = key.n;
	memcpy(ask->key, key.p, key.n);
	if (map_put(&auth->asks, ask)) {
		mem_free(ask);
		return NULL;
	}
	return ask;
}

/* ── a question comes in ── */

/* With a database, for checks that may need it. */
static void answer_by_database(struct auth *auth, const struct bus_question *q,
			       const struct profile_check *check, const struct tmpl_env *env)
{
	struct auth_answer answer;
	uint32_t rule = 0;
	struct ask *ask;

	if (auth_rules_walk(check->rules, check->rule_count, &rule, env, &auth->text, &answer) ==
	    AUTH_DECIDED) {
		reply(auth, q, &answer);
		return;
	}
	if (auth->draining)
		return; /* unanswered: the asker asks another process, or the one that comes after this */
	ask = ask_new(auth, check, rule);
	if (!ask) {
		reply(auth, q, &AUTH_UNAVAILABLE);
	} else if (ask_join(ask, q)) {
		reply(auth, q, &AUTH_UNAVAILABLE);
		ask_free(ask);
	} else if (ask_query(ask, env, &answer) == AUTH_DECIDED) {
		ask_end(ask, &answer);
	}
}

/* True when the answer is remembered or on its way. */
static bool is_answered(struct auth *auth, const struct bus_question *q)
{
	const struct auth_answer *known = auth_cache_get(&auth->cache, buf_str(&auth->key));
	struct ask *ask;

	if (known) {
		metrics_inc(METRIC_CACHE_HITS);
		reply(auth, q, known);
		return true;
	}
	ask = map_get(&auth->asks, buf_str(&auth->key));
	if (ask && ask_join(ask, q))
		reply(auth, q, &AUTH_UNAVAILABLE);
	return ask != NULL;
}

void auth_on_allow(struct auth *auth, const struct bus_question *q, const struct wire_allow *m)
{
	const struct profile_check *check = profile_check_find(auth->svc->profile, m->check);
	struct auth_answer answer;
	struct tmpl_env env;
	uint32_t rule = 0;

	if (!check || check->arg_count != m->args.count || make_key(auth, m)) {
		log_warn("auth",
			 "a check is asked for that the profile here does not have like this",
			 KV_STR("check", m->check), KV_U("args", m->args.count));
		reply(auth, q, &AUTH_UNAVAILABLE);
		return;
	}
	if (auth->pg && check->needs_database && is_answered(auth, q))
		return;
	if (fill_env(auth, buf_str(&auth->key), &env)) {
		log_warn("auth", "a check is asked for with a user that is no JSON object",
			 KV_STR("check", m->check));
		reply(auth, q, &AUTH_UNAVAILABLE);
	} else if (auth->pg && check->needs_database) {
		answer_by_database(auth, q, check, &env);
	} else {
		(void)auth_rules_walk(check->embedded, check->embedded_count, &rule, &env,
				      &auth->text, &answer);
		reply(auth, q, &answer);
	}
}
