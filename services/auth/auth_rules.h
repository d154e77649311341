/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of a check, one after the other: the first whose `when` holds decides. Knows no database: where a rule has SQL it says so,
 * and is asked to go on once there is an answer. Thread: any.
 */
#ifndef ROOMWIRE_AUTH_AUTH_RULES_H
#define ROOMWIRE_AUTH_AUTH_RULES_H

#include "common/profile/profile.h"
#include "services/auth/auth_cache.h"

enum auth_outcome {
	AUTH_DECIDED = 0, /* answer is set */
	AUTH_ASK,         /* rule number *at has SQL to run */
};

extern const struct auth_answer AUTH_FORBIDDEN, AUTH_UNAVAILABLE;

/*
 * Walk from rule *at on. env holds the user and the check's arguments (JSON strings). scratch is emptied.
 * No rule holds, or one cannot be told: FORBIDDEN (UNAVAILABLE when out of memory).
 */
enum auth_outcome auth_rules_walk(const struct check_rule *rules, uint32_t count, uint32_t *at,
				  const struct tmpl_env *env, struct buf *scratch,
				  struct auth_answer *answer);
/* What a rule with SQL means once the number of rows is known. AUTH_ASK: nothing yet, go on with the rule after it. */
enum auth_outcome auth_rules_rows(const struct check_rule *rule, int rows,
				  struct auth_answer *answer);

#endif
