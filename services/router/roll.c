/* SPDX-License-Identifier: Apache-2.0 */
#include "services/router/roll.h"

#include "common/base/mem.h"
#include "common/metrics/metrics.h"
#include "services/router/directory.h"

struct place {
	struct str user_id, sid;
};

int roll_compare(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

static struct roll *roll_of(const struct tree_node *node)
{
	return node ? CONTAINER_OF(node, struct roll, node) : NULL;
}

static struct session_room *member_of(const struct tree_node *node)
{
	return node ? CONTAINER_OF(node, struct session_room, node) : NULL;
}

struct str roll_key_of(const struct roll *roll)
{
	return str_make(roll->key, roll->key_bytes);
}

struct str roll_name_of(const struct roll *roll)
{
	return str_skip(roll_key_of(roll), (size_t)roll->nsp_bytes + 1);
}

static int by_key(const struct tree_node *a, const struct tree_node *b)
{
	return roll_compare(roll_key_of(roll_of(a)), roll_key_of(roll_of(b)));
}

static bool key_is_before(const struct tree_node *node, const void *key)
{
	return roll_compare(roll_key_of(roll_of(node)), *(const struct str *)key) < 0;
}

static bool key_is_not_behind(const struct tree_node *node, const void *key)
{
	return roll_compare(roll_key_of(roll_of(node)), *(const struct str *)key) <= 0;
}

static struct place place_of(const struct tree_node *node)
{
	const struct session *s = member_of(node)->session;

	return (struct place){ session_user_id_of(s), session_sid_of(s) };
}

static int compare_places(struct place a, struct place b)
{
	int order = roll_compare(a.user_id, b.user_id);

	return order ? order : roll_compare(a.sid, b.sid);
}

static int by_place(const struct tree_node *a, const struct tree_node *b)
{
	return compare_places(place_of(a), place_of(b));
}

static bool place_is_not_behind(const struct tree_node *node, const void *place)
{
	return compare_places(place_of(node), *(const struct place *)place) <= 0;
}

static bool place_is_before(const struct tree_node *node, const void *place)
{
	return compare_places(place_of(node), *(const struct place *)place) < 0;
}

/* ── rolls ── */

struct roll *roll_find(struct router *router, struct str key)
{
	struct roll *roll = roll_of(tree_seek(&router->rolls, key_is_before, &key));

	return roll && str_eq(roll_key_of(roll), key) ? roll : NULL;
}

struct roll *roll_first_behind(const struct router *router, struct str key)
{
	return roll_of(tree_seek(&router->rolls, key_is_not_behind, &key));
}

struct roll *roll_following(const struct router *router, const struct roll *roll)
{
	return roll_of(tree_next(&router->rolls, &roll->node, by_key));
}

static struct roll *get(struct router *router, struct str nsp, struct str name)
{
	char text[2048];
	size_t n = nsp.n + 1 + name.n;
	struct roll *roll;

	if (n > sizeof(text))
		return NULL;
	memcpy(text, nsp.p, nsp.n);
	text[nsp.n] = ',';
	memcpy(text + nsp.n + 1, name.p, name.n);
	roll = roll_find(router, str_make(text, n));
	if (roll)
		return roll;
	roll = mem_try(sizeof(*roll) + n);
	if (!roll)
		return NULL;
	roll->nsp_bytes = (uint16_t)nsp.n;
	roll->key_bytes = (uint16_t)n;
	memcpy(roll->key, text, n);
	tree_add(&router->rolls, &roll->node, by_key);
	metrics_inc(METRIC_ROLLS);
	return roll;
}

/* ── members ── */

static bool same_user(const struct session_room *a, const struct tree_node *b)
{
	return b && str_eq(session_user_id_of(a->session), place_of(b).user_id);
}

/* Whether nobody else in the room is of its user: those of one user stand together. */
static bool is_only_one(const struct session_room *room)
{
	const struct tree *members = &room->roll->members;
	const struct session_user *user = room->session->user;

	if (!user || user->count == 1)
		return user != NULL;
	return !same_user(room, tree_next(members, &room->node, by_place)) &&
	       !same_user(room, tree_previous(members, &room->node, by_place));
}

int roll_enter(struct session_room *room, struct str nsp, struct str name)
{
	struct roll *roll = get(room->session->router, nsp, name);

	if (!roll)
		return E_NOMEM;
	room->roll = roll;
	tree_add(&roll->members, &room->node, by_place);
	roll->count++;
	roll->away += room->session->parked_ms != 0;
	roll->users += is_only_one(room);
	return 0;
}

void roll_strike(struct session_room *room)
{
	struct roll *roll = room->roll;

	if (!roll)
		return;
	roll->users -= is_only_one(room);
	roll->away -= room->session->parked_ms != 0;
	tree_remove(&roll->members, &room->node, by_place);
	room->roll = NULL;
	if (--roll->count > 0)
		return;
	tree_remove(&room->session->router->rolls, &roll->node, by_key);
	mem_free(roll);
	metrics_dec(METRIC_ROLLS);
}

void roll_note_away(const struct session *s, bool away)
{
	for (uint32_t i = 0; i < s->room_count; i++) {
		struct roll *roll = s->rooms[i]->roll;

		if (roll)
			roll->away = away ? roll->away + 1 : roll->away - 1;
	}
}

struct session_room *roll_member(const struct roll *roll, const struct session *s)
{
	struct place place = { session_user_id_of(s), session_sid_of(s) };
	struct session_room *m = member_of(tree_seek(&roll->members, place_is_before, &place));

	/* Ids are unique; should two sessions say the same one, they stand together. */
	while (m && m->session != s && compare_places(place_of(&m->node), place) == 0)
		m = roll_next(roll, m);
	return m && m->session == s ? m : NULL;
}

struct session_room *roll_behind(const struct roll *roll, struct str user_id, struct str sid)
{
	struct place place = { user_id, sid };

	return member_of(tree_seek(&roll->members, place_is_not_behind, &place));
}

struct session_room *roll_next(const struct roll *roll, const struct session_room *member)
{
	return member_of(tree_next(&roll->members, &member->node, by_place));
}
