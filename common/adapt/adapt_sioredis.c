/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_sioredis.h"

#include "common/base/mem.h"

#define NSP_BYTES 255
#define EVENT_BYTES 255
#define PACKET_EVENT 2
#define PACKET_BINARY_EVENT 5

struct sioredis_decoder {
	struct buf json; /* the message; empty when it was JSON */
	struct buf
		text; /* decoded texts: room for all of them is taken beforehand, so that they stay where they are */
	struct sioredis_bins bins;
	struct str names[3 * SIOREDIS_NAMES_MAX];
	uint32_t name_count;
};

struct sioredis_decoder *sioredis_decoder_new(size_t max_bytes)
{
	struct sioredis_decoder *d = mem_need(sizeof(*d));

	buf_init(&d->json, max_bytes);
	buf_init(&d->text, max_bytes);
	return d;
}

void sioredis_decoder_free(struct sioredis_decoder **d)
{
	if (!*d)
		return;
	buf_fini(&(*d)->json);
	buf_fini(&(*d)->text);
	mem_free(*d);
	*d = NULL;
}

/* ── reading ── */

static int begin(struct sioredis_decoder *d, struct str message, struct json_value *root)
{
	int err;

	buf_reset(&d->json);
	buf_reset(&d->text);
	d->bins.count = d->name_count = 0;
	/* As a msgpack message these would be a number, and no message: it is JSON. */
	if (message.n && (message.p[0] == '{' || message.p[0] == '[')) {
		err = message.n > d->json.max ? E_TOOBIG : json_parse(message, root);
	} else {
		err = sioredis_value_to_json(message, &d->json, &d->bins);
		if (!err)
			err = json_parse(buf_str(&d->json), root);
	}
	if (!err && !buf_room(&d->text, root->raw.n + 1))
		err = d->text.failed;
	return err;
}

static bool is_missing(struct json_value v)
{
	return v.type == JSON_NONE || v.type == JSON_NULL;
}

static struct json_value member(struct json_value object, struct str name)
{
	struct json_value v;

	if (object.type != JSON_OBJECT || json_get(object, name, &v))
		return (struct json_value){ JSON_NONE, STR_NONE };
	return v;
}

/* A text, or the digits of a number. */
static int take_text(struct sioredis_decoder *d, struct json_value v, struct str *text)
{
	if (v.type == JSON_NUMBER) {
		*text = v.raw;
		return 0;
	}
	return json_text(v, &d->text, text);
}

static int take_names(struct sioredis_decoder *d, struct json_value list,
		      struct sioredis_names *names)
{
	struct json_walk w;
	struct json_value item;

	names->items = d->names + d->name_count;
	names->count = 0;
	if (is_missing(list))
		return 0;
	if (list.type != JSON_ARRAY)
		return E_TYPE;
	json_walk(list, &w);
	while (json_next(&w, NULL, &item) == 0) {
		int err = names->count == SIOREDIS_NAMES_MAX
				  ? E_RANGE
				  : take_text(d, item, &d->names[d->name_count]);

		if (err)
			return err;
		d->name_count++;
		names->count++;
	}
	return 0;
}

/* Who it is for: {rooms, except}. */
static int take_who(struct sioredis_decoder *d, struct json_value opts,
		    struct sioredis_names *rooms, struct sioredis_names *except)
{
	int err = opts.type == JSON_OBJECT ? take_names(d, member(opts, STR("rooms")), rooms)
					   : E_TYPE;

	return err ? err : take_names(d, member(opts, STR("except")), except);
}

/* [event, argument, …] */
static int take_data(struct sioredis_decoder *d, struct json_value data, struct sioredis_event *e)
{
	struct json_value name;
	struct json_walk w;
	int err;

	if (data.type != JSON_ARRAY)
		return E_TYPE;
	json_walk(data, &w);
	err = json_next(&w, NULL, &name) ? E_TYPE : take_text(d, name, &e->event);
	if (err)
		return err;
	if (e->event.n > EVENT_BYTES)
		return E_RANGE;
	/* From behind the name to the closing bracket; between them stands a comma, or nothing. */
	e->args = str_trim(str_make(name.raw.p + name.raw.n, (size_t)(data.raw.p + data.raw.n - 1 -
								      (name.raw.p + name.raw.n))));
	if (e->args.n)
		e->args = str_trim(str_skip(e->args, 1));
	e->bins = d->bins.items;
	e->bin_count = d->bins.count;
	return 0;
}

static int take_packet(struct sioredis_decoder *d, struct json_value packet,
		       struct sioredis_event *e)
{
	struct json_value nsp = member(packet, STR("nsp"));
	uint64_t type;
	int err;

	if (packet.type != JSON_OBJECT || json_u64(member(packet, STR("type")), &type) ||
	    (type != PACKET_EVENT && type != PACKET_BINARY_EVENT))
		return E_TYPE;
	e->nsp = STR("/");
	err = is_missing(nsp) ? 0 : json_text(nsp, &d->text, &e->nsp);
	if (!err && (e->nsp.n == 0 || e->nsp.n > NSP_BYTES))
		err = E_RANGE;
	return err ? err : take_data(d, member(packet, STR("data")), e);
}

static void take_flags(struct json_value opts, struct sioredis_event *e)
{
	struct json_value v = member(member(opts, STR("flags")), STR("volatile"));

	if (!json_bool(v, &e->is_volatile))
		e->is_volatile = false;
}

int sioredis_decode_event(struct sioredis_decoder *d, struct str message, struct sioredis_event *e)
{
	struct json_value root, uid, packet, opts;
	int err = begin(d, message, &root);

	*e = (struct sioredis_event){ 0 };
	if (err)
		return err;
	if (root.type != JSON_ARRAY || json_at(root, 0, &uid) || json_at(root, 1, &packet) ||
	    json_at(root, 2, &opts))
		return E_TYPE;
	err = take_text(d, uid, &e->uid);
	if (!err)
		err = take_packet(d, packet, e);
	if (!err)
		err = take_who(d, opts, &e->rooms, &e->except);
	if (!err)
		take_flags(opts, e);
	return err;
}

/* Before version 7 one socket was named: {sid, room}. */
static int take_one(struct sioredis_decoder *d, struct json_value root, struct sioredis_request *r)
{
	struct json_value sid = member(root, STR("sid")), room = member(root, STR("room"));
	struct str *names = d->names + d->name_count;
	int err = take_text(d, sid, &names[0]);

	if (!err && r->kind != SIOREDIS_DISCONNECT)
		err = take_text(d, room, &names[1]);
	if (err)
		return err;
	r->rooms = (struct sioredis_names){ 1, &names[0] };
	r->targets = (struct sioredis_names){ r->kind != SIOREDIS_DISCONNECT, &names[1] };
	d->name_count += 2;
	return 0;
}

static int take_request(struct sioredis_decoder *d, struct json_value root,
			struct sioredis_request *r)
{
	struct json_value opts = member(root, STR("opts"));
	int err = 0;

	switch (r->kind) {
	case SIOREDIS_SOCKETS:
		return take_names(d, member(root, STR("rooms")), &r->rooms);
	case SIOREDIS_JOIN:
	case SIOREDIS_LEAVE:
	case SIOREDIS_DISCONNECT:
		if (is_missing(opts))
			return take_one(d, root, r);
		err = take_who(d, opts, &r->rooms, &r->except);
		if (!json_bool(member(root, STR("close")), &r->close))
			r->close = false;
		return err ? err : take_names(d, member(root, STR("rooms")), &r->targets);
	case SIOREDIS_FETCH:
		return take_who(d, opts, &r->rooms, &r->except);
	case SIOREDIS_BROADCAST:
		err = take_packet(d, member(root, STR("packet")), &r->event);
		if (!err)
			err = take_who(d, opts, &r->rooms, &r->except);
		take_flags(opts, &r->event);
		if (json_u64(member(member(opts, STR("flags")), STR("timeout")), &r->timeout_ms))
			r->timeout_ms = 0;
		r->event.rooms = r->rooms;
		r->event.except = r->except;
		return err;
	default:
		return 0;
	}
}

int sioredis_decode_request(struct sioredis_decoder *d, struct str message,
			    struct sioredis_request *r)
{
	struct json_value root, v;
	uint64_t kind;
	int err = begin(d, message, &root);

	*r = (struct sioredis_request){ 0 };
	if (err)
		return err;
	if (root.type != JSON_OBJECT || json_u64(member(root, STR("type")), &kind) ||
	    kind >= SIOREDIS_KINDS)
		return E_TYPE;
	r->kind = (enum sioredis_kind)kind;
	v = member(root, STR("uid"));
	if (!is_missing(v))
		err = take_text(d, v, &r->uid);
	v = member(root, STR("requestId"));
	if (!err && !is_missing(v)) {
		if (v.type != JSON_STRING || v.raw.n > SIOREDIS_ID_BYTES + 2)
			return E_TYPE;
		r->id = v.raw;
	}
	return err ? err : take_request(d, root, r);
}

/* ── writing ── */

static void pack_names(struct buf *out, const char *name, const struct sioredis_names *names)
{
	sioredis_pack_text(out, str_of(name));
	sioredis_pack_array(out, names->count);
	for (uint32_t i = 0; i < names->count; i++)
		sioredis_pack_text(out, names->items[i]);
}

static void pack_flags(struct buf *out, bool is_volatile)
{
	sioredis_pack_text(out, STR("flags"));
	sioredis_pack_map(out, is_volatile);
	if (is_volatile) {
		sioredis_pack_text(out, STR("volatile"));
		sioredis_pack_true(out);
	}
}

/* Arguments as an array of their own, in `array`. */
static int list_args(struct str args, struct buf *array, struct json_value *list)
{
	buf_addc(array, '[');
	buf_add(array, args);
	buf_addc(array, ']');
	return array->failed ? array->failed : json_parse(buf_str(array), list);
}

static int pack_data(const struct sioredis_event *e, struct buf *scratch, struct buf *out)
{
	struct buf array = BUF_INIT(e->args.n + 2);
	struct json_value list, v;
	struct json_walk w;
	int err = list_args(e->args, &array, &list);

	if (!err) {
		sioredis_pack_text(out, STR("data"));
		sioredis_pack_array(out, 1 + json_count(list));
		sioredis_pack_text(out, e->event);
		json_walk(list, &w);
		while (!err && json_next(&w, NULL, &v) == 0)
			err = sioredis_value_from_json(v, e->bins, e->bin_count, scratch, out);
	}
	buf_fini(&array);
	return err;
}

int sioredis_encode_event(const struct sioredis_event *e, struct buf *scratch, struct buf *out)
{
	int err;

	sioredis_pack_array(out, 3);
	sioredis_pack_text(out, e->uid);
	sioredis_pack_map(out, 3);
	sioredis_pack_text(out, STR("type"));
	sioredis_pack_uint(out, PACKET_EVENT);
	err = pack_data(e, scratch, out);
	sioredis_pack_text(out, STR("nsp"));
	sioredis_pack_text(out, e->nsp);
	sioredis_pack_map(out, 3);
	pack_names(out, "rooms", &e->rooms);
	pack_names(out, "except", &e->except);
	pack_flags(out, e->is_volatile);
	return err ? err : out->failed;
}

static void add_names(struct buf *out, const char *name, const struct sioredis_names *names)
{
	buf_addf(out, "\"%s\":[", name);
	for (uint32_t i = 0; i < names->count; i++) {
		if (i)
			buf_addc(out, ',');
		buf_add_json(out, names->items[i]);
	}
	buf_addc(out, ']');
}

void sioredis_encode_verb(const struct sioredis_request *r, struct buf *out)
{
	buf_addz(out, "{\"uid\":");
	buf_add_json(out, r->uid);
	buf_addf(out, ",\"type\":%d,\"opts\":{", (int)r->kind);
	add_names(out, "rooms", &r->rooms);
	buf_addc(out, ',');
	add_names(out, "except", &r->except);
	buf_addz(out, "},");
	if (r->kind == SIOREDIS_DISCONNECT)
		buf_addf(out, "\"close\":%s", r->close ? "true" : "false");
	else
		add_names(out, "rooms", &r->targets);
	buf_addc(out, '}');
}

static void add_answer(struct buf *out, struct str id, const char *rest)
{
	buf_addz(out, "{\"requestId\":");
	buf_add(out, id);
	buf_addc(out, ',');
	buf_addz(out, rest);
}

void sioredis_encode_sockets(struct str id, struct str items, struct buf *out)
{
	add_answer(out, id, "\"sockets\":[");
	buf_add(out, items);
	buf_addz(out, "]}");
}

void sioredis_add_socket(struct buf *items, struct str sid, struct str user_id)
{
	buf_addz(items, "{\"id\":");
	buf_add_json(items, sid);
	/* What the socket's client said is not known here: of its shape, and empty. */
	buf_addz(items,
		 ",\"handshake\":{\"headers\":{},\"time\":\"\",\"address\":\"\",\"xdomain\":false,"
		 "\"secure\":false,\"issued\":0,\"url\":\"\",\"query\":{},\"auth\":{}},\"data\":{");
	if (user_id.n) {
		buf_addz(items, "\"userId\":");
		buf_add_json(items, user_id);
	}
	buf_addz(items, "},\"rooms\":[");
	buf_add_json(items, sid);
}

void sioredis_encode_rooms(struct str id, struct str items, struct buf *out)
{
	add_answer(out, id, "\"rooms\":[");
	buf_add(out, items);
	buf_addz(out, "]}");
}

void sioredis_encode_no_answer(struct str id, struct buf *out)
{
	add_answer(out, id, "\"type\":");
	buf_addf(out, "%d,\"data\":null}", SIOREDIS_SERVER_SIDE_EMIT);
}

void sioredis_encode_client_count(struct str id, uint64_t count, struct buf *out)
{
	add_answer(out, id, "\"type\":");
	buf_addf(out, "%d,\"clientCount\":%llu}", SIOREDIS_CLIENT_COUNT, (unsigned long long)count);
}

int sioredis_encode_ack(struct str id, struct str args, const struct str *bins, uint32_t bin_count,
			struct buf *scratch, struct buf *out)
{
	struct buf array = BUF_INIT(args.n + 2), text = BUF_INIT(id.n + 1);
	struct json_value list, v, of_id = { 0 };
	struct str plain;
	int err = list_args(args, &array, &list);

	if (!err)
		err = json_parse(id, &of_id);
	if (!err)
		err = json_text(of_id, &text, &plain);
	if (!err) {
		bool some = json_at(list, 0, &v) == 0;

		sioredis_pack_map(out, 2 + some);
		sioredis_pack_text(out, STR("type"));
		sioredis_pack_uint(out, SIOREDIS_ACK);
		sioredis_pack_text(out, STR("requestId"));
		sioredis_pack_text(out, plain);
		if (some) {
			sioredis_pack_text(out, STR("packet"));
			err = sioredis_value_from_json(v, bins, bin_count, scratch, out);
		}
	}
	buf_fini(&array);
	buf_fini(&text);
	return err ? err : out->failed;
}

/* ── channels ── */

void sioredis_add_channel(struct buf *out, struct str key, struct str nsp, struct str room)
{
	buf_add(out, key);
	buf_addc(out, '#');
	buf_add(out, nsp);
	buf_addc(out, '#');
	if (room.n) {
		buf_add(out, room);
		buf_addc(out, '#');
	}
}

static void add_named(struct buf *out, struct str key, const char *name, struct str nsp)
{
	buf_add(out, key);
	buf_addz(out, name);
	buf_add(out, nsp);
	buf_addc(out, '#');
}

void sioredis_add_request_channel(struct buf *out, struct str key, struct str nsp)
{
	add_named(out, key, "-request#", nsp);
}

void sioredis_add_response_channel(struct buf *out, struct str key, struct str nsp)
{
	add_named(out, key, "-response#", nsp);
}

static void add_literal(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (memchr("*?[]^\\", s.p[i], 6))
			buf_addc(out, '\\');
		buf_addc(out, s.p[i]);
	}
}

void sioredis_add_pattern(struct buf *out, struct str key, struct str nsp)
{
	add_literal(out, key);
	buf_addc(out, '#');
	add_literal(out, nsp);
	buf_addz(out, "#*");
}
