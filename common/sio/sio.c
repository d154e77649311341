/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/sio.h"

#include "common/base/utf8.h"

#define ACK_ID_MAX ((uint64_t)1 << 53) /* what a JavaScript number holds exactly */

static const char *const reserved_events[] = {
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
};

static bool is_binary(enum sio_type type)
{
	return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static bool is_event(enum sio_type type)
{
	return type == SIO_EVENT || type == SIO_BINARY_EVENT;
}

static bool is_ack(enum sio_type type)
{
	return type == SIO_ACK || type == SIO_BINARY_ACK;
}

/* Digits at the front of *rest, possibly none. */
static struct str take_digits(struct str *rest)
{
	struct str digits = str_make(rest->p, 0);

	while (digits.n < rest->n && rest->p[digits.n] >= '0' && rest->p[digits.n] <= '9')
		digits.n++;
	*rest = str_skip(*rest, digits.n);
	return digits;
}

static int take_type(struct str *rest, struct sio_packet *packet)
{
	if (rest->n == 0 || rest->p[0] < '0' || rest->p[0] > '0' + SIO_BINARY_ACK)
		return E_SYNTAX;
	packet->type = (enum sio_type)(rest->p[0] - '0');
	*rest = str_skip(*rest, 1);
	return packet->type == SIO_CONNECT_ERROR ? E_SYNTAX : 0;
}

static int take_attachments(struct str *rest, uint32_t max_attachments, struct sio_packet *packet)
{
	uint64_t count;
	int err;

	if (!is_binary(packet->type))
		return 0;
	err = str_to_u64(take_digits(rest), &count);
	if (err == E_SYNTAX || rest->n == 0 || rest->p[0] != '-')
		return E_SYNTAX;
	*rest = str_skip(*rest, 1);
	if (err || count > max_attachments)
		return E_TOOBIG;
	packet->attachments = (uint32_t)count;
	return count == 0 ? E_SYNTAX : 0;
}

static int take_nsp(struct str *rest, struct sio_packet *packet)
{
	struct str query;

	if (rest->n == 0 || rest->p[0] != '/') {
		packet->nsp = STR("/");
		return 0;
	}
	str_cut(*rest, ',', &packet->nsp, rest);
	str_cut(packet->nsp, '?', &packet->nsp, &query);
	if (packet->nsp.n > SIO_MAX_NSP_BYTES)
		return E_TOOBIG;
	return utf8_valid(packet->nsp) && utf8_valid(query) ? 0 : E_UTF8;
}

static int take_ack_id(struct str *rest, struct sio_packet *packet)
{
	struct str digits;
	int err;

	digits = rest->n ? take_digits(rest) : STR_NONE;
	if (digits.n == 0)
		return 0;
	err = str_to_u64(digits, &packet->ack_id);
	if (err || packet->ack_id > ACK_ID_MAX)
		return E_RANGE;
	packet->has_ack = true;
	return 0;
}

static bool is_reserved(struct json_value event)
{
	for (size_t i = 0; i < sizeof(reserved_events) / sizeof(reserved_events[0]); i++) {
		if (json_text_is(event, str_of(reserved_events[i])))
			return true;
	}
	return false;
}

/* The validated array: event name off its front, the rest as one slice. */
static int take_args(struct sio_packet *packet)
{
	struct json_value v;
	struct json_walk w;
	const char *from = NULL;

	json_walk(packet->data, &w);
	if (is_event(packet->type)) {
		if (json_next(&w, NULL, &packet->event) || packet->event.type != JSON_STRING)
			return E_SYNTAX;
		if (is_reserved(packet->event))
			return E_SYNTAX;
	}
	while (json_next(&w, NULL, &v) == 0) {
		if (!from)
			from = v.raw.p;
		packet->args = str_make(from, (size_t)(v.raw.p + v.raw.n - from));
		packet->arg_count++;
	}
	return 0;
}

static int check_shape(struct sio_packet *packet)
{
	enum json_type type = packet->data.type;

	if (packet->type == SIO_CONNECT || packet->type == SIO_DISCONNECT) {
		bool may_be = type == JSON_NONE ||
			      (type == JSON_OBJECT && packet->type == SIO_CONNECT);

		return may_be && !packet->has_ack ? 0 : E_SYNTAX;
	}
	if (type != JSON_ARRAY || (is_ack(packet->type) && !packet->has_ack))
		return E_SYNTAX;
	return take_args(packet);
}

int sio_decode(struct str text, uint32_t max_attachments, struct sio_packet *packet)
{
	int err;

	*packet = (struct sio_packet){ .type = SIO_CONNECT };
	err = take_type(&text, packet);
	if (!err)
		err = take_attachments(&text, max_attachments, packet);
	if (!err)
		err = take_nsp(&text, packet);
	if (!err)
		err = take_ack_id(&text, packet);
	if (!err && text.n > 0)
		err = json_parse(text, &packet->data);
	return err ? err : check_shape(packet);
}

void sio_encode_head(struct buf *out, enum sio_type type, uint32_t attachments, struct str nsp,
		     int64_t ack_id)
{
	buf_addc(out, (char)('0' + type));
	if (is_binary(type)) {
		buf_addu(out, attachments);
		buf_addc(out, '-');
	}
	if (nsp.n > 0 && !str_is(nsp, "/")) {
		buf_add(out, nsp);
		buf_addc(out, ',');
	}
	if (ack_id >= 0)
		buf_addu(out, (uint64_t)ack_id);
}

void sio_encode_args(struct buf *out, struct str event, struct str args)
{
	buf_addc(out, '[');
	buf_add_json(out, event);
	if (args.n > 0) {
		buf_addc(out, ',');
		buf_add(out, args);
	}
	buf_addc(out, ']');
}
