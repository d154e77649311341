/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/plain.h"

int plain_decode(struct str text, struct plain_message *m)
{
	int err = json_parse(text, &m->whole);

	if (err)
		return err;
	if (m->whole.type != JSON_OBJECT)
		return E_TYPE;
	if (json_get(m->whole, STR("type"), &m->type))
		return E_NOTFOUND;
	if (json_get(m->whole, STR("payload"), &m->payload))
		m->payload = (struct json_value){ JSON_NONE, STR_NONE };
	return m->type.type == JSON_STRING ? 0 : E_TYPE;
}

static bool is_one_value(struct str args)
{
	struct json_value v;
	size_t used;

	return json_parse_prefix(args, &v, &used) == 0 && used == args.n;
}

void plain_encode(struct buf *out, struct str type, struct str args, struct str offset)
{
	buf_addz(out, "{\"type\":");
	buf_add_json(out, type);
	if (args.n > 0) {
		bool one = is_one_value(args);

		buf_addz(out, one ? ",\"payload\":" : ",\"payload\":[");
		buf_add(out, args);
		if (!one)
			buf_addc(out, ']');
	}
	if (offset.n > 0) {
		buf_addz(out, ",\"offset\":\"");
		buf_add(out, offset);
		buf_addc(out, '"');
	}
	buf_addc(out, '}');
}
