/* SPDX-License-Identifier: Apache-2.0 */
/* One readable line of any message, for logs: NAME field=value field=[a,b]. Fields that are 0, false or empty are left out. */
#include "proto/wire.h"

static void add_text(struct buf *out, struct str s)
{
	size_t n = s.n < WIRE_TRACE_BYTES ? s.n : WIRE_TRACE_BYTES;

	buf_addc(out, '"');
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			buf_addf(out, "\\x%02x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
	if (n < s.n)
		buf_addf(out, "…%zu", s.n);
}

static void add_list(struct buf *out, const struct wire_list *l)
{
	struct wire_list_walk w;
	struct str item;

	buf_addc(out, '[');
	wire_list_walk(l, &w);
	for (uint32_t i = 0; i < WIRE_TRACE_ITEMS && wire_list_next(&w, &item); i++) {
		if (i > 0)
			buf_addc(out, ',');
		add_text(out, item);
	}
	buf_addc(out, ']');
	if (l->count > WIRE_TRACE_ITEMS)
		buf_addf(out, "…%u", l->count);
}

static void add_field(struct buf *out, const struct wire_field *f, const void *at)
{
	const struct str *s = at;
	const struct wire_list *l = at;

	switch (f->type) {
	case WIRE_T_U64:
		if (*(const uint64_t *)at)
			buf_addf(out, " %s=%llu", f->name,
				 (unsigned long long)*(const uint64_t *)at);
		break;
	case WIRE_T_BOOL:
		if (*(const bool *)at)
			buf_addf(out, " %s", f->name);
		break;
	case WIRE_T_SECRET:
		if (s->n)
			buf_addf(out, " %s=***", f->name);
		break;
	case WIRE_T_STR:
		if (s->n) {
			buf_addf(out, " %s=", f->name);
			add_text(out, *s);
		}
		break;
	default:
		if (l->count) {
			buf_addf(out, " %s=", f->name);
			add_list(out, l);
		}
		break;
	}
}

void wire_trace(enum wire_id id, const void *message, struct buf *out)
{
	const struct wire_message *m = wire_message_of((uint64_t)id);

	buf_addz(out, m ? m->name : "?");
	for (const struct wire_field *f = m ? m->fields : NULL; f && f->type != WIRE_T_END; f++)
		add_field(out, f, (const char *)message + f->offset);
}
