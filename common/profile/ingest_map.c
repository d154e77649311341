/* SPDX-License-Identifier: Apache-2.0 */
#include "common/profile/profile.h"

/* Offsets into scratch while it may still move; slices once everything is rendered. */
struct spans {
	size_t rooms[INGEST_MAX_ROOMS + 1]; /* room i is from rooms[i] to rooms[i + 1] */
	size_t args_from, user_from, user_to;
	bool args_in_scratch;
};

static int map_rooms(const struct ingest_event *e, const struct tmpl_env *env, struct buf *scratch,
		     struct spans *at, struct ingest_mapped *out, struct buf *why)
{
	out->room_count = 0;
	out->remove_user = STR_NONE;
	at->rooms[0] = scratch->n;
	for (uint32_t i = 0; i < e->room_count; i++) {
		int err = tmpl_render(&e->rooms[i], env, scratch);

		if (err == E_NOTFOUND)
			continue; /* a room of something this event is not about */
		if (err == E_TYPE) {
			buf_addz(why, "a room's name must be made of texts, numbers or booleans");
			return err;
		}
		if (err)
			return err;
		at->rooms[++out->room_count] = scratch->n;
	}
	if (out->room_count)
		return 0;
	buf_addz(why, "the event names no room");
	return E_TYPE;
}

static int map_args(const struct ingest_event *e, const struct tmpl_env *env, struct buf *scratch,
		    struct spans *at, struct ingest_mapped *out, struct buf *why)
{
	at->args_from = scratch->n;
	for (uint32_t i = 0; i < e->args_count; i++) {
		int err = tmpl_render_slice(&e->args[i], env, scratch, &out->args);

		if (!err) {
			at->args_in_scratch = scratch->n > at->args_from;
			return 0;
		}
		if (err != E_NOTFOUND && err != E_TYPE)
			return err;
	}
	buf_addz(why, "the event holds nothing to send");
	return E_TYPE;
}

static int map_remove(const struct ingest_event *e, const struct tmpl_env *env, struct buf *scratch,
		      struct spans *at, struct buf *why)
{
	int err;

	if (e->remove_field >= 0 && !field_is_one(env->fields[e->remove_field], e->remove_any,
						  e->remove_any_count, scratch))
		return 0;
	at->user_from = scratch->n;
	err = tmpl_render(&e->remove_user, env, scratch);
	at->user_to = scratch->n;
	if (err == E_NOTFOUND)
		return 0; /* it is about nobody in particular */
	if (err == E_TYPE)
		buf_addz(why, "who is removed must be a text");
	return err;
}

int ingest_map(const struct profile *p, struct str type, struct json_value body,
	       struct buf *scratch, struct ingest_mapped *out, struct buf *why)
{
	/* the map is only read: a lookup may finish a resize, which profile_load has let come to its end */
	const struct ingest_event *e = map_get((struct map *)&p->ingest.events, type);
	struct tmpl_env env = { .body = body, .null_is_absent = true };
	struct spans at = { .args_in_scratch = false };
	int err;

	if (!e) {
		buf_addz(why, "the profile has no event of this type");
		return E_UNKNOWN;
	}
	if (body.type != JSON_OBJECT) {
		buf_addz(why, "the body must be a JSON object");
		return E_TYPE;
	}
	err = field_list_take(&e->fields, body, &env, scratch, why);
	if (!err)
		err = map_rooms(e, &env, scratch, &at, out, why);
	if (!err && e->removes)
		err = map_remove(e, &env, scratch, &at, why);
	if (!err)
		err = map_args(e, &env, scratch, &at, out, why);
	if (err)
		return err;
	for (uint32_t i = 0; i < out->room_count; i++)
		out->rooms[i] = str_make(scratch->p + at.rooms[i], at.rooms[i + 1] - at.rooms[i]);
	if (at.args_in_scratch)
		out->args = str_make(scratch->p + at.args_from, scratch->n - at.args_from);
	if (at.user_to > at.user_from)
		out->remove_user = str_make(scratch->p + at.user_from, at.user_to - at.user_from);
	out->nsp = e->nsp;
	out->event = e->emit;
	out->is_volatile = e->is_volatile;
	return 0;
}
