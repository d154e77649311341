/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the pages that come of bus.def and err.def. Without an argument it names them (common/mk/docs.sh); with a page's path, or
 * its word (protocol, errors, abi), it prints that page.
 */
#include <stdio.h>
#include <string.h>

#include "proto/wire.h"

#define PAGE_BYTES (1u << 20)

/* Text in a cell of a table. */
static void add_cell(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '|')
			buf_addc(out, '\\');
		buf_addc(out, *text);
	}
}

static void add_bound(struct buf *out, uint64_t n)
{
	if (n == UINT64_MAX)
		buf_addz(out, "2^64-1");
	else
		buf_addu(out, n);
}

static void add_bounds(struct buf *out, const struct wire_field *f)
{
	if (f->type == WIRE_T_BOOL)
		return;
	add_bound(out, f->min);
	buf_addz(out, " … ");
	add_bound(out, f->max);
	if (f->type == WIRE_T_STR || f->type == WIRE_T_SECRET)
		buf_addz(out, " bytes");
	if (f->type == WIRE_T_LIST)
		buf_addz(out, " items");
}

static void add_message(struct buf *out, const struct wire_message *m)
{
	buf_addf(out, "\n## %d %s\n\n%s\n", (int)m->id, m->name, m->doc);
	if (m->fields[0].type == WIRE_T_END) {
		buf_addz(out, "\nNo fields.\n");
		return;
	}
	buf_addz(out, "\n| field | type | bounds | meaning |\n|---|---|---|---|\n");
	for (const struct wire_field *f = m->fields; f->type != WIRE_T_END; f++) {
		buf_addf(out, "| `%s` | %s%s | ", f->name, wire_type_name(f->type),
			 f->type == WIRE_T_SECRET ? ", secret" : "");
		add_bounds(out, f);
		buf_addz(out, " | ");
		add_cell(out, f->doc);
		buf_addz(out, " |\n");
	}
}

static void protocol_page(struct buf *out)
{
	buf_addf(
		out,
		"# Messages between the processes\n\n"
		"Generated from proto/bus.def; do not edit. Protocol version %d.\n\n"
		"ZeroMQ multipart messages: the peer's identity (ROUTER sockets only), the "
		"envelope, the body, then payload frames.\n\n"
		"- **Envelope**, links (edge or ingest to router): msgpack `[number, ack]`, both "
		"as uint64. `number` counts from 1 in each direction; 0: not "
		"counted. `ack`: everything up to this number has been received.\n"
		"- **Envelope**, questions (edge to auth): msgpack `[request id, milliseconds "
		"left]`; the answer repeats the id. PING, PONG and RESYNC: `[0, epoch of the "
		"process]`.\n"
		"- **Body**: msgpack array `[number of the message, field, field, …]` in the order "
		"below, at most %u bytes. U64: unsigned integer. STR: bin (str "
		"is read, too). BOOL: true or false. LIST: array of STR of at most %u bytes each.\n"
		"- Fields are only ever appended. Missing ones count as 0, false or empty, where "
		"their bounds allow that; further ones, of any "
		"msgpack type nested up to %d deep, are skipped. A message of an unknown number is "
		"counted and dropped.\n"
		"- **Life of a link**: the connecting side says HELLO with a fresh `nonce` every "
		"50 ms until the WELCOME that repeats it. When both sides still have the numbers "
		"that began with the same HELLO (`series`, `peer_epoch`), the link is resumed: "
		"each "
		"side says what it received, the other repeats the rest, and doubles are dropped. "
		"Else both count from 1 again and tell their state anew.\n"
		"A connecting side that ends says BYE, and is forgotten.\n"
		"- **Gaps**: a number that is too high, or a PING or PONG whose `sent` is higher "
		"than "
		"what was received, shows that something was lost. The connecting side says HELLO, "
		"the binding side RESYNC. RESYNC is also the answer to whoever is not known.\n"
		"- **New connections**: an empty frame instead of envelope and body is what ZeroMQ "
		"sends "
		"when the connecting side is connected, each time anew (ZMQ_PROBE_ROUTER). It is "
		"answered by RESYNC, so that what the last connection lost is repeated at once.\n"
		"- **Held roles**: a router that has just started leaves the HELLOs of publishers "
		"unanswered until the edges named in their `known` have told their rooms.\n\n"
		"| number | message | |\n|---|---|---|\n",
		WIRE_VERSION, WIRE_MAX_BODY_BYTES, (unsigned)WIRE_MAX_ITEM_BYTES, WIRE_MAX_DEPTH);
	for (size_t i = 0; i < wire_message_count; i++) {
		buf_addf(out, "| %d | [%s](#%d-", (int)wire_messages[i].id, wire_messages[i].name,
			 (int)wire_messages[i].id);
		for (const char *c = wire_messages[i].name; *c; c++)
			buf_addc(out, (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c));
		buf_addz(out, ") | ");
		add_cell(out, wire_messages[i].doc);
		buf_addz(out, " |\n");
	}
	for (size_t i = 0; i < wire_message_count; i++)
		add_message(out, &wire_messages[i]);
}

static void errors_page(struct buf *out)
{
	buf_addz(out, "# Errors\n\n"
		      "Generated from common/base/err.def; do not edit. What functions return and "
		      "logs name.\n\n"
		      "| class | who is to blame | what is done |\n|---|---|---|\n"
		      "| PEER | the other side | it is answered with a code, counted, and perhaps "
		      "that one connection is closed; nothing is logged above info per event |\n"
		      "| BUSY | load, or something that is down | load is shed, or tried again "
		      "with back-off; `/readyz` may say no; the log warns, rate-limited |\n"
		      "| LOCAL | configuration, this host | at start the process ends and names "
		      "the option; later it drains |\n\n"
		      "A broken invariant of our own (BUG) is no value: the process logs it, "
		      "aborts, and is started again.\n\n"
		      "| name | value | class | text |\n|---|---|---|---|\n");
#define ERR(name, value, class, text) \
	buf_addf(out, "| `%s` | %d | %s | %s |\n", #name, (value), #class, (text));
#include "common/base/err.def"
#undef ERR
}

static const struct {
	const char *word, *path;
	void (*print)(struct buf *out);
} pages[] = {
	{ "protocol", "docs/protocol.md", protocol_page },
	{ "errors", "docs/errors.md", errors_page },
	{ "abi", "proto/abi.txt", wire_abi_text },
};

int main(int argc, char **argv)
{
	struct buf page = BUF_INIT(PAGE_BYTES);
	int failed;

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (argc < 2)
			puts(pages[i].path);
		else if (strcmp(argv[1], pages[i].path) == 0 || strcmp(argv[1], pages[i].word) == 0)
			pages[i].print(&page);
	}
	if (argc < 2)
		return 0;
	if (page.n == 0 && !page.failed) {
		fprintf(stderr, "%s: no such page; without an argument this program names them\n",
			argv[1]);
		return 2;
	}
	failed = page.failed || fwrite(page.p, 1, page.n, stdout) != page.n || fflush(stdout);
	buf_fini(&page);
	return failed;
}
