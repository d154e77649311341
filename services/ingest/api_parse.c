/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/api_parse.h"

#include "common/base/mem.h"

static int wrong(struct buf *why, int err, const char *text)
{
	buf_addz(why, text);
	return err;
}

int api_parse_body(struct str body, struct json_value *object, struct buf *why)
{
	int err = json_parse(body, object);

	if (err) {
		buf_addf(why, "the body is not JSON: %s", err_text(err));
		return err;
	}
	return object->type == JSON_OBJECT ? 0
					   : wrong(why, E_TYPE, "the body must be a JSON object");
}

/* Text of a member. Decoded text must not move while other slices of scratch are in use: room for all of it was made before. */
static int text_of(struct json_value v, struct buf *scratch, size_t most, struct str *text)
{
	int err = json_text(v, scratch, text);

	if (err)
		return err;
	return text->n == 0 || text->n > most ? E_RANGE : 0;
}

/* An array of texts into a list that is OWNED by the caller. */
static int parse_names(struct json_value array, struct buf *scratch, struct str **names,
		       uint32_t *count)
{
	struct json_walk walk;
	struct json_value item;
	size_t n = json_count(array);

	if (array.type != JSON_ARRAY || n > API_ROOMS_MAX)
		return E_TYPE;
	*names = mem_try((n + 1) * sizeof(**names));
	if (!*names)
		return E_NOMEM;
	json_walk(array, &walk);
	for (*count = 0; json_next(&walk, NULL, &item) == 0; (*count)++)
		if (item.type != JSON_STRING ||
		    text_of(item, scratch, API_ROOM_BYTES, &(*names)[*count]))
			return E_TYPE;
	return 0;
}

static bool is_reserved(struct str event)
{
	static const char *const names[] = { "connect",       "connect_error", "disconnect",
					     "disconnecting", "newListener",   "removeListener" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(event, names[i]))
			return true;
	return false;
}

static int parse_id(struct json_value object, struct buf *scratch, struct str *id, struct buf *why)
{
	struct json_value v;

	*id = STR_NONE;
	if (json_get(object, STR("id"), &v) || v.type == JSON_NULL)
		return 0;
	if (v.type != JSON_STRING || text_of(v, scratch, API_ID_BYTES, id))
		return wrong(why, E_TYPE, "id must be a text of 1 to 256 bytes");
	return 0;
}

static int parse_target(const struct profile *profile, struct json_value object,
			struct api_publish *p, struct buf *scratch, struct buf *why)
{
	struct json_value v;

	p->message.nsp = STR("/");
	if (json_get(object, STR("namespace"), &v) == 0 &&
	    (v.type != JSON_STRING || json_text(v, scratch, &p->message.nsp) ||
	     !profile_nsp_find(profile, p->message.nsp)))
		return wrong(why, E_UNKNOWN, "namespace must be one of the profile's namespaces");
	if (json_get(object, STR("rooms"), &v) ||
	    parse_names(v, scratch, &p->rooms, &p->message.rooms.count) ||
	    p->message.rooms.count == 0)
		return wrong(why, E_TYPE,
			     "rooms must be an array of 1 to 1000 texts of 1 to 700 bytes");
	p->message.rooms.items = p->rooms;
	if (json_get(object, STR("except"), &v) == 0 &&
	    parse_names(v, scratch, &p->except, &p->message.except.count))
		return wrong(why, E_TYPE,
			     "except must be an array of up to 1000 texts of 1 to 700 bytes");
	p->message.except.items = p->except;
	return 0;
}

int api_parse_publish(const struct profile *profile, struct json_value object,
		      struct api_publish *p, struct buf *scratch, struct buf *why)
{
	struct json_value v;
	int err;

	memset(p, 0, sizeof(*p));
	/* decoded text is never longer than the body: nothing moves below */
	if (!buf_room(scratch, object.raw.n + 64))
		return wrong(why, E_NOMEM, "out of memory");
	err = parse_target(profile, object, p, scratch, why);
	if (err)
		return err;
	if (json_get(object, STR("event"), &v) || v.type != JSON_STRING ||
	    text_of(v, scratch, API_EVENT_BYTES, &p->message.event) ||
	    is_reserved(p->message.event))
		return wrong(why, E_TYPE,
			     "event must be a text of 1 to 255 bytes and no reserved name "
			     "(connect, disconnect, …)");
	if (json_get(object, STR("data"), &v))
		return wrong(why, E_NOTFOUND, "data is missing: any JSON value");
	p->data = v.raw;
	return parse_id(object, scratch, &p->id, why);
}

void api_publish_fini(struct api_publish *p)
{
	mem_free(p->rooms);
	mem_free(p->except);
}

int api_parse_event(struct str body, struct api_event *e, struct buf *scratch, struct buf *why)
{
	struct json_value object, v, key;
	struct json_walk walk;
	struct str key_raw;
	size_t start;
	int err = api_parse_body(body, &object, why);

	if (err)
		return err;
	if (!buf_room(scratch, body.n * 2 + 64))
		return wrong(why, E_NOMEM, "out of memory");
	if (json_get(object, STR("type"), &v) || v.type != JSON_STRING ||
	    text_of(v, scratch, API_EVENT_BYTES, &e->type))
		return wrong(why, E_TYPE, "type must be a text of 1 to 255 bytes");
	err = parse_id(object, scratch, &e->id, why);
	if (err)
		return err;
	start = scratch->n;
	buf_addc(scratch, '{');
	json_walk(object, &walk);
	while (json_next(&walk, &key_raw, &v) == 0) {
		key = (struct json_value){ JSON_STRING, key_raw };
		if (json_text_is(key, STR("type")))
			continue;
		if (scratch->n > start + 1)
			buf_addc(scratch, ',');
		buf_add(scratch, key_raw);
		buf_addc(scratch, ':');
		buf_add(scratch, v.raw);
	}
	buf_addc(scratch, '}');
	if (scratch->failed)
		return wrong(why, E_TOOBIG, "the body is too large");
	e->body = (struct json_value){ JSON_OBJECT,
				       str_make(scratch->p + start, scratch->n - start) };
	return 0;
}

/* ── what is done to members ── */

static int parse_list(struct json_value v, uint32_t most, struct buf *scratch, struct str **names,
		      uint32_t *count)
{
	int err = parse_names(v, scratch, names, count);

	return err ? err : *count == 0 || *count > most ? E_RANGE : 0;
}

static int parse_member(const struct profile *profile, struct str key_raw, struct json_value v,
			struct api_action *a, struct buf *scratch, struct buf *why)
{
	struct json_value key = { JSON_STRING, key_raw };

	if (json_text_is(key, STR("namespace"))) {
		if (v.type != JSON_STRING || json_text(v, scratch, &a->nsp) ||
		    !profile_nsp_find(profile, a->nsp))
			return wrong(why, E_UNKNOWN,
				     "namespace must be one of the profile's namespaces");
		return 0;
	}
	if (json_text_is(key, STR("sockets")) && !a->sockets)
		return parse_list(v, API_ROOMS_MAX, scratch, &a->sockets, &a->socket_count)
			       ? wrong(why, E_TYPE, "sockets must be an array of 1 to 1000 texts")
			       : 0;
	if (json_text_is(key, STR("users")) && !a->users)
		return parse_list(v, API_USERS_MAX, scratch, &a->users, &a->user_count)
			       ? wrong(why, E_TYPE, "users must be an array of 1 to 100 texts")
			       : 0;
	if (json_text_is(key, STR("rooms")) && !a->rooms)
		return parse_list(v, API_ROOMS_MAX, scratch, &a->rooms, &a->room_count)
			       ? wrong(why, E_TYPE, "rooms must be an array of 1 to 1000 texts")
			       : 0;
	return wrong(why, E_UNKNOWN,
		     "there are namespace, sockets, users and, to join, rooms: each once");
}

int api_parse_action(const struct profile *profile, struct str body, struct api_action *a,
		     struct buf *scratch, struct buf *why)
{
	struct json_value object, v;
	struct json_walk walk;
	struct str key_raw;
	int err = 0;

	*a = (struct api_action){ .nsp = STR("/") };
	if (str_trim(body).n == 0)
		return 0; /* as {} */
	err = api_parse_body(body, &object, why);
	if (!err && !buf_room(scratch, body.n + 64))
		err = wrong(why, E_NOMEM, "out of memory");
	json_walk(object, &walk);
	while (!err && json_next(&walk, &key_raw, &v) == 0)
		err = parse_member(profile, key_raw, v, a, scratch, why);
	for (uint32_t i = 0; i < a->user_count && !err; i++)
		if (a->users[i].n > API_ID_BYTES)
			err = wrong(why, E_RANGE, "a user must be of 1 to 256 bytes");
	for (uint32_t i = 0; i < a->socket_count && !err; i++)
		if (a->sockets[i].n > 64)
			err = wrong(why, E_RANGE, "a socket must be of 1 to 64 bytes");
	return err;
}

void api_action_fini(struct api_action *a)
{
	mem_free(a->sockets);
	mem_free(a->users);
	mem_free(a->rooms);
}
