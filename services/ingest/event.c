/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/ingest.h"

int event_publish(struct ingest *ingest, struct str type, struct json_value body, struct str id,
		  uint64_t lane, router_published_fn fn, void *ctx, struct buf *why)
{
	struct wire_publish m = { 0 };
	struct ingest_mapped mapped;
	struct blob *args;
	int err;

	buf_reset(&ingest->scratch);
	err = ingest_map(ingest->profile, type, body, &ingest->scratch, &mapped, why);
	if (err) {
		buf_reset(&ingest->scratch);
		return err;
	}
	m.nsp = mapped.nsp;
	m.rooms = (struct wire_list){ .count = mapped.room_count, .items = mapped.rooms };
	m.event = mapped.event;
	m.is_volatile = mapped.is_volatile;
	if (id.n)
		router_clnt_uid(id, &m.uid_high, &m.uid_low);
	args = blob_copy(mapped.args);
	err = args ? router_clnt_publish(ingest->router, &m, &args, 1, lane, fn, ctx) : E_NOMEM;
	blob_unref(&args);
	buf_reset(&ingest->scratch);
	if (err == E_RANGE)
		buf_addz(why, "a room name is empty or too long");
	if (mapped.is_volatile && (err == 0 || err == E_AGAIN || err == E_CLOSED)) {
		fn(ctx, 0, STR_NONE,
		   false); /* sent or dropped: nobody says more about a volatile event */
		err = 0;
	}
	return err;
}
