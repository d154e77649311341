/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/directory.h"

#include "common/base/mem.h"
#include "services/router/roll.h"

struct str directory_user_of(const void *user)
{
	const struct session_user *u = user;

	return str_make(u->id, u->bytes);
}

static struct session *by_sid_node(const struct tree_node *node)
{
	return node ? CONTAINER_OF(node, struct session, sid_node) : NULL;
}

static struct session *by_user_node(const struct tree_node *node)
{
	return node ? CONTAINER_OF(node, struct session, user_node) : NULL;
}

static int compare_sids(const struct tree_node *a, const struct tree_node *b)
{
	return roll_compare(session_key_of(by_sid_node(a)), session_key_of(by_sid_node(b)));
}

static int compare_of_user(const struct tree_node *a, const struct tree_node *b)
{
	return roll_compare(session_key_of(by_user_node(a)), session_key_of(by_user_node(b)));
}

static bool sid_is_not_behind(const struct tree_node *node, const void *key)
{
	return roll_compare(session_key_of(by_sid_node(node)), *(const struct str *)key) <= 0;
}

static bool sid_is_before(const struct tree_node *node, const void *key)
{
	return roll_compare(session_key_of(by_sid_node(node)), *(const struct str *)key) < 0;
}

static bool of_user_is_not_behind(const struct tree_node *node, const void *key)
{
	return roll_compare(session_key_of(by_user_node(node)), *(const struct str *)key) <= 0;
}

struct session *directory_behind(const struct router *router, const struct session_user *user,
				 struct str key)
{
	if (user)
		return by_user_node(tree_seek(&user->sessions, of_user_is_not_behind, &key));
	return by_sid_node(tree_seek(&router->sids, sid_is_not_behind, &key));
}

struct session *directory_following(const struct session_user *user, const struct session *s)
{
	if (user)
		return by_user_node(tree_next(&user->sessions, &s->user_node, compare_of_user));
	return by_sid_node(tree_next(&s->router->sids, &s->sid_node, compare_sids));
}

struct session *directory_find(const struct router *router, struct str key)
{
	struct session *s = by_sid_node(tree_seek(&router->sids, sid_is_before, &key));

	return s && str_eq(session_key_of(s), key) ? s : NULL;
}

/* ── users ── */

static void leave_user(struct session *s)
{
	struct session_user *u = s->user;

	s->user = NULL;
	if (!u)
		return;
	tree_remove(&u->sessions, &s->user_node, compare_of_user);
	u->away -= s->parked_ms != 0;
	if (--u->count > 0)
		return;
	map_del(&s->router->users, directory_user_of(u));
	mem_free(u);
}

static int join_user(struct session *s)
{
	struct router *router = s->router;
	struct str id = session_user_id_of(s);
	struct session_user *u;

	if (id.n == 0)
		return 0;
	u = map_get(&router->users, id);
	if (!u) {
		u = mem_try(sizeof(*u) + id.n);
		if (!u)
			return E_NOMEM;
		u->bytes = (uint32_t)id.n;
		memcpy(u->id, id.p, id.n);
		if (map_put(&router->users, u)) {
			mem_free(u);
			return E_NOMEM;
		}
	}
	s->user = u;
	u->count++;
	tree_add(&u->sessions, &s->user_node, compare_of_user);
	return 0;
}

int directory_enter(struct session *s)
{
	int err = join_user(s);

	if (!err)
		tree_add(&s->router->sids, &s->sid_node, compare_sids);
	return err;
}

void directory_strike(struct session *s)
{
	tree_remove(&s->router->sids, &s->sid_node, compare_sids);
	leave_user(s);
}
