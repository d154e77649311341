/* SPDX-License-Identifier: Apache-2.0 */
#include "services/ingest/ingest.h"

#include "common/base/mem.h"
#include "proto/values.h"

/* An event, and behind it what is done to members: answered when routers have both. */
struct pair {
	unsigned open;
	int err;
	bool duplicate;
	char code[65];
	router_published_fn fn;
	void *ctx;
};

static void on_published(void *ctx, int err, struct str code, bool duplicate)
{
	struct pair *p = ctx;

	if (err && !p->err) {
		p->err = err;
		if (str_copy(code, p->code, sizeof(p->code)))
			p->code[0] = '\0';
	}
	p->duplicate |= duplicate;
	if (--p->open > 0)
		return;
	p->fn(p->ctx, p->err, str_of(p->code), p->duplicate);
	mem_free(p);
}

/* The user's connections leave the event's rooms, behind the event in the order of each. */
static int publish_removal(struct ingest *ingest, const struct wire_publish *event, struct str user,
			   struct str id, uint64_t lane, struct pair *p)
{
	struct wire_publish m = { .nsp = event->nsp,
				  .rooms = event->rooms,
				  .verb = VERB_LEAVE,
				  .targets = event->rooms,
				  .user_id = user };
	struct blob *nothing = blob_copy(STR_NONE);
	struct buf own = BUF_INIT(id.n + 16);
	int err = E_NOMEM;

	if (id.n) { /* not the event's own: routers would take it for a double */
		buf_add(&own, id);
		buf_addz(&own, "\nremoval");
		router_clnt_uid(buf_str(&own), &m.uid_high, &m.uid_low);
	}
	if (nothing && !own.failed)
		err = router_clnt_publish(ingest->router, &m, &nothing, 1, lane, on_published, p);
	blob_unref(&nothing);
	buf_fini(&own);
	return err;
}

static int publish_and_remove(struct ingest *ingest, struct wire_publish *m, struct blob *args,
			      struct str user, struct str id, uint64_t lane, router_published_fn fn,
			      void *ctx)
{
	struct pair *p = mem_try(sizeof(*p));
	int err;

	if (!p)
		return E_NOMEM;
	*p = (struct pair){ .open = 2, .fn = fn, .ctx = ctx };
	m->is_volatile = false;
	err = router_clnt_publish(ingest->router, m, &args, 1, lane, on_published, p);
	if (err) {
		mem_free(p);
		return err;
	}
	err = publish_removal(ingest, m, user, id, lane, p);
	if (err)
		on_published(p, E_UNAVAILABLE, STR("UNAVAILABLE"), false);
	return 0;
}

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
	if (!args)
		err = E_NOMEM;
	else if (mapped.remove_user.n)
		err = publish_and_remove(ingest, &m, args, mapped.remove_user, id, lane, fn, ctx);
	else
		err = router_clnt_publish(ingest->router, &m, &args, 1, lane, fn, ctx);
	blob_unref(&args);
	buf_reset(&ingest->scratch);
	if (err == E_RANGE)
		buf_addz(why, "a room name is empty or too long");
	if (mapped.is_volatile && !mapped.remove_user.n &&
	    (err == 0 || err == E_AGAIN || err == E_CLOSED)) {
		fn(ctx, 0, STR_NONE,
		   false); /* sent or dropped: nobody says more about a volatile event */
		err = 0;
	}
	return err;
}
