/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/compile.h"

#define SQL_MAX_PARAMS 64

/* ── SQL: only as much of it as tells parameters and statements ── */

struct sql_facts {
	uint64_t used; /* bit N - 1: $N is there */
	uint32_t highest;
	bool bad_number; /* $0, or past SQL_MAX_PARAMS */
	bool several;    /* something behind a ';' */
};

/* Behind a quoted part that begins at z, or a comment; z itself where there is none. PostgreSQL 15 section 4.1. */
static const char *skip_quoted(const char *z)
{
	const char *start = z;

	if (*z == '\'' || *z == '"') {
		for (z++; *z && *z != *start; z++)
			;
		return *z ? z + 1 : z; /* a doubled quote is two quoted parts side by side */
	}
	if (z[0] == '-' && z[1] == '-') {
		while (*z && *z != '\n')
			z++;
	} else if (z[0] == '/' && z[1] == '*') {
		for (z += 2; *z && !(z[0] == '*' && z[1] == '/'); z++)
			;
		z += *z ? 2 : 0;
	}
	return z;
}

static const char *take_number(const char *z, struct sql_facts *facts)
{
	uint32_t n = 0;

	for (; *z >= '0' && *z <= '9'; z++)
		n = n > SQL_MAX_PARAMS ? n : n * 10 + (uint32_t)(*z - '0');
	if (!n || n > SQL_MAX_PARAMS) {
		facts->bad_number = true;
		return z;
	}
	facts->used |= (uint64_t)1 << (n - 1);
	if (n > facts->highest)
		facts->highest = n;
	return z;
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

static void read_sql(const char *z, struct sql_facts *facts)
{
	bool ended = false;

	while (*z) {
		const char *behind = skip_quoted(z);
		bool comment = behind != z && (*z == '-' || *z == '/');

		if (ended && !comment && !is_blank(*z) && *z != ';')
			facts->several = true;
		if (behind != z) {
			z = behind;
		} else if (z[0] == '$' && z[1] >= '0' && z[1] <= '9') {
			z = take_number(z + 1, facts);
		} else {
			ended = ended || *z == ';';
			z++;
		}
	}
}

static void check_sql(struct compile *c, const struct raw_rule *raw)
{
	struct sql_facts facts = { 0 };

	read_sql(raw->sql, &facts);
	if (!str_trim(str_of(raw->sql)).n)
		compile_fail(c, "sql", "found nothing, allowed: one statement");
	if (facts.several)
		compile_fail(c, "sql", "found several statements, allowed: one");
	if (facts.bad_number)
		compile_fail(c, "sql", "found a parameter out of range, allowed: $1 to $%d",
			     SQL_MAX_PARAMS);
	else if (facts.highest != raw->params_count)
		compile_fail(c, "params",
			     "found %u, allowed: %u, as many as the SQL names ($1, $2 …)",
			     raw->params_count, facts.highest);
	for (uint32_t i = 0; !facts.bad_number && i < facts.highest; i++)
		if (!(facts.used & ((uint64_t)1 << i)))
			compile_fail(c, "sql", "found no $%u, allowed: every parameter up to $%u",
				     i + 1, facts.highest);
}

/* ── rules ── */

/* FORBIDDEN, NOT_FOUND: what clients get as code */
static bool is_code(const char *z)
{
	size_t n = strlen(z);
	bool good = n && n <= COMPILE_NAME_BYTES && z[0] >= 'A' && z[0] <= 'Z';

	for (size_t i = 0; good && i < n; i++)
		good = (z[i] >= 'A' && z[i] <= 'Z') || (z[i] >= '0' && z[i] <= '9') || z[i] == '_';
	return good;
}

static void set_code(struct compile *c, const char *key, const char *code, struct check_rule *rule)
{
	if (!is_code(code))
		compile_fail(c, key,
			     "found \"%.80s\", allowed: %sa word in capitals such as FORBIDDEN, "
			     "NOT_FOUND, UNAVAILABLE",
			     code, rule->verdict == RULE_SQL ? "next, or " : "");
	rule->code = compile_dup(c, code);
}

static void set_message(struct compile *c, const struct raw_rule *raw, struct check_rule *rule)
{
	if (raw->message && strlen(raw->message) > COMPILE_MESSAGE_BYTES)
		compile_fail(c, "message", "found %zu bytes, allowed: %d", strlen(raw->message),
			     COMPILE_MESSAGE_BYTES);
	if (raw->message && !rule->code)
		compile_fail(c, "message",
			     "found it on a rule that never refuses, allowed: with deny, or with "
			     "sql and a code in none");
	if (rule->code)
		rule->message = compile_dup(c, raw->message                       ? raw->message
					       : !strcmp(rule->code, "NOT_FOUND") ? "not found"
										  : "not allowed");
}

static void set_sql(struct compile *c, const struct raw_rule *raw, const struct tmpl_scope *scope,
		    bool embedded, struct check_rule *rule)
{
	rule->verdict = RULE_SQL;
	if (embedded)
		compile_fail(c, "sql",
			     "found it in embedded, allowed: allow and deny (there is no database "
			     "then)");
	check_sql(c, raw);
	rule->sql = compile_dup(c, raw->sql);
	rule->params = compile_tmpls(c, "params", TMPL_TEXT, raw->params, raw->params_count, scope);
	rule->param_count = raw->params_count;
	rule->next_if_none = raw->none && !strcmp(raw->none, "next");
	if (!raw->none)
		compile_fail(c, NULL, "found sql without none, allowed: none: CODE, or none: next");
	else if (!rule->next_if_none)
		set_code(c, "none", raw->none, rule);
}

static void set_when(struct compile *c, const struct raw_when *raw, const struct tmpl_scope *scope,
		     struct check_rule *rule)
{
	size_t mark = compile_enter(c, "when", -1);

	rule->has_when = true;
	rule->when_path = compile_dup_str(c, str_of(raw->user));
	rule->when_any = compile_tmpls(c, "any", TMPL_TEXT, raw->any, raw->any_count, scope);
	rule->when_any_count = raw->any_count;
	if (!compile_user_root(c))
		compile_fail(c, "user", "found %.80s, allowed: nothing, as auth.token is none",
			     raw->user);
	else if (compile_name(c, "user", raw->user, COMPILE_EVENT_BYTES))
		(void)compile_user_path(c, "user", rule->when_path);
	compile_leave(c, mark);
}

static void set_rule(struct compile *c, const struct raw_rule *raw, const struct tmpl_scope *scope,
		     bool embedded, struct check_rule *rule)
{
	int verdicts = (raw->allow != NULL) + (raw->deny != NULL) + (raw->sql != NULL);

	if (raw->when)
		set_when(c, raw->when, scope, rule);
	if (verdicts != 1)
		compile_fail(c, NULL, "found %d of allow, deny and sql, allowed: one", verdicts);
	if (raw->allow && !*raw->allow)
		compile_fail(c, "allow", "found false, allowed: true (or deny: CODE)");
	if (raw->params && !raw->sql)
		compile_fail(c, "params", "found it without sql, allowed: with sql");
	if (raw->none && !raw->sql)
		compile_fail(c, "none", "found it without sql, allowed: with sql");
	if (raw->sql) {
		set_sql(c, raw, scope, embedded, rule);
	} else if (raw->deny) {
		rule->verdict = RULE_DENY;
		set_code(c, "deny", raw->deny, rule);
	}
	set_message(c, raw, rule);
}

static struct check_rule *set_rules(struct compile *c, const char *key, const struct raw_rule *raw,
				    uint32_t count, const struct tmpl_scope *scope, bool embedded)
{
	struct check_rule *rules = compile_alloc(c, count * sizeof(*rules));
	bool decided = false;

	for (uint32_t i = 0; i < count; i++) {
		size_t mark = compile_enter(c, key, i);

		if (decided)
			compile_fail(c, NULL,
				     "found a rule behind one that always decides, allowed: none");
		set_rule(c, &raw[i], scope, embedded, &rules[i]);
		decided = decided || (!raw[i].when && !rules[i].next_if_none);
		compile_leave(c, mark);
	}
	return rules;
}

/* ── checks ── */

static void set_args(struct compile *c, const struct raw_check *raw, struct profile_check *check,
		     struct field_list *list)
{
	uint32_t count = raw->args_count;

	if (count > COMPILE_MAX_ARGS) {
		compile_fail(c, "args", "found %u, allowed: %d", count, COMPILE_MAX_ARGS);
		count = COMPILE_MAX_ARGS;
	}
	/* As fields of any text: names are checked alike, and the scope of the rules is made of them. */
	struct raw_field *fields = compile_alloc(c, count * sizeof(*fields));
	for (uint32_t i = 0; i < count; i++)
		fields[i] = (struct raw_field){ .name = raw->args[i], .type = FIELD_TEXT };
	compile_fields(c, fields, count, list);
	check->args = compile_alloc(c, (count + 1) * sizeof(*check->args));
	for (uint32_t i = 0; i < count; i++)
		check->args[i] = list->fields[i].name;
	check->arg_count = count;
}

static void set_embedded(struct compile *c, const struct raw_check *raw,
			 const struct tmpl_scope *scope, struct profile_check *check)
{
	for (uint32_t i = 0; i < check->rule_count; i++)
		check->needs_database = check->needs_database ||
					check->rules[i].verdict == RULE_SQL;
	if (raw->embedded_count) {
		check->embedded =
			set_rules(c, "embedded", raw->embedded, raw->embedded_count, scope, true);
		check->embedded_count = raw->embedded_count;
		if (!check->needs_database)
			compile_fail(c, "embedded",
				     "found it beside rules without SQL, allowed: only where rules "
				     "need a database");
	} else if (check->needs_database) {
		compile_fail(c, NULL,
			     "found no embedded, allowed: rules for when there is no database, as "
			     "some rule has SQL");
	} else {
		check->embedded = check->rules;
		check->embedded_count = check->rule_count;
	}
}

void compile_checks(struct compile *c, const struct raw_profile *raw)
{
	c->p->checks = compile_alloc(c, raw->checks_count * sizeof(*c->p->checks));
	for (uint32_t i = 0; i < raw->checks_count; i++) {
		const struct raw_check *from = &raw->checks[i];
		struct profile_check *check = &c->p->checks[i];
		size_t mark = compile_enter(c, "checks", i);
		struct field_list list = { 0 };
		struct compile_scope scope;

		if (compile_name(c, "name", from->name, COMPILE_NAME_BYTES) &&
		    profile_check_find(c->p, str_of(from->name)))
			compile_fail(c, "name", "found %s a second time, allowed: once",
				     from->name);
		check->name = compile_dup_str(c, str_of(from->name));
		c->p->check_count = i + 1;
		set_args(c, from, check, &list);
		compile_scope(&scope, &list, compile_user_root(c));
		check->rules =
			set_rules(c, "rules", from->rules, from->rules_count, &scope.scope, false);
		check->rule_count = from->rules_count;
		set_embedded(c, from, &scope.scope, check);
		compile_leave(c, mark);
	}
}
