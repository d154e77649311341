/* SPDX-License-Identifier: Apache-2.0 */
#include "services/edge/presence.h"

#include "common/base/hash.h"
#include "common/log/log.h"

static int render_rooms(const struct action *action, const struct tmpl_env *env, struct buf *out,
			struct str rooms[INGEST_MAX_ROOMS])
{
	size_t ends[INGEST_MAX_ROOMS + 1] = { 0 };
	int err = action->room_count > INGEST_MAX_ROOMS ? E_RANGE : 0;

	for (uint32_t i = 0; i < action->room_count && !err; i++) {
		err = tmpl_render(&action->rooms[i], env, out);
		ends[i + 1] = out->n;
	}
	for (uint32_t i = 0; i < action->room_count && !err; i++)
		rooms[i] = str_make(out->p + ends[i], ends[i + 1] - ends[i]);
	return err;
}

static int relay(struct edge *edge, const struct wire_room_user *m, const struct action *action,
		 const struct tmpl_env *env)
{
	struct buf *args = &edge->scratch, *names = &edge->work;
	struct str rooms[INGEST_MAX_ROOMS];
	struct wire_publish publish = {
		.nsp = m->nsp,
		.rooms = { .count = action->room_count, .items = rooms },
		.event = action->event,
		.is_volatile = action->is_volatile,
	};
	struct blob *payload = NULL;
	int err;

	if (!action->to_all && m->sid.n)
		publish.except = (struct wire_list){ .count = 1, .items = &m->sid };
	buf_reset(args);
	buf_reset(names);
	err = render_rooms(action, env, names, rooms);
	if (!err)
		err = tmpl_render(&action->args, env, args);
	if (!err)
		payload = blob_copy(buf_str(args));
	if (payload) /* one lane for each user: what is said of it arrives in this order */
		err = router_clnt_publish(edge->router, &publish, &payload, 1,
					  hash_keyed(m->user_id), NULL, NULL);
	else if (!err)
		err = E_NOMEM;
	blob_unref(&payload);
	buf_reset(args);
	buf_reset(names);
	return err;
}

void presence_on_room_user(struct edge *edge, const struct wire_room_user *m)
{
	const struct profile_nsp *nsp = profile_nsp_find(edge->profile, m->nsp);
	struct tmpl_env env = { .presence_room = m->room,
				.presence_user = m->user_id,
				.presence_status = m->online ? STR("online") : STR("offline") };

	for (uint32_t i = 0; nsp && i < nsp->presence_count; i++) {
		int err = relay(edge, m, &nsp->presence[i], &env);

		if (err)
			log_warn("presence", "others are not told of a user in their room",
				 KV_STR("room", m->room), KV_ERR(err));
	}
}
