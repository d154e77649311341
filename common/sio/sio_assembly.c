/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/sio_assembly.h"

#include <stdlib.h>

#include "common/base/mem.h"

#define NUM_MAX_CHARS 31 /* of a number that is worth being read */

enum member { MEMBER_OTHER = 0, MEMBER_PLACEHOLDER, MEMBER_NUM };

/* An object or array that is open. The last member of a name counts, as in JavaScript. */
struct level {
	enum member member; /* whose value comes next */
	bool is_placeholder;
	bool num_good;
	bool holds_bad; /* a placeholder that is none, somewhere inside */
};

/* Over a validated text: every token once. levels[0] is what the whole value stands in. */
struct scan {
	const char *at, *end;
	uint32_t attachments;
	unsigned depth;
	struct level levels[JSON_MAX_DEPTH + 1];
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* At the opening quote; the string with its quotes. */
static struct json_value take_string(struct scan *s)
{
	const char *from = s->at++;

	while (s->at < s->end && *s->at != '"')
		s->at += *s->at == '\\' && s->end - s->at > 1 ? 2 : 1;
	s->at += s->at < s->end;
	return (struct json_value){ JSON_STRING, str_make(from, (size_t)(s->at - from)) };
}

/* A number, true, false or null. */
static struct str take_word(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && !is_blank(*s->at) && *s->at != ',' && *s->at != ']' &&
	       *s->at != '}')
		s->at++;
	return str_make(from, (size_t)(s->at - from));
}

static bool is_attachment(struct str word, uint32_t attachments)
{
	char text[NUM_MAX_CHARS + 1];
	double num;

	if ((word.p[0] != '-' && (word.p[0] < '0' || word.p[0] > '9')) ||
	    str_copy(word, text, sizeof(text)))
		return false;
	num = strtod(text, NULL);
	return num >= 0 && num < attachments && num == (double)(uint32_t)num;
}

/* A value begins; word is empty where it is a string, an object or an array. */
static void note_value(struct scan *s, struct str word)
{
	struct level *l = &s->levels[s->depth];

	if (l->member == MEMBER_PLACEHOLDER)
		l->is_placeholder = str_is(word, "true");
	else if (l->member == MEMBER_NUM)
		l->num_good = word.n && is_attachment(word, s->attachments);
	l->member = MEMBER_OTHER;
}

static void note_string(struct scan *s, struct json_value string)
{
	struct level *l = &s->levels[s->depth];

	while (s->at < s->end && is_blank(*s->at))
		s->at++;
	if (s->at == s->end || *s->at != ':')
		note_value(s, STR_NONE);
	else if (json_text_is(string, STR("_placeholder")))
		l->member = MEMBER_PLACEHOLDER;
	else if (json_text_is(string, STR("num")))
		l->member = MEMBER_NUM;
	else
		l->member = MEMBER_OTHER;
}

static void close_level(struct scan *s)
{
	const struct level *l = &s->levels[s->depth--];

	if (l->is_placeholder ? !l->num_good : l->holds_bad)
		s->levels[s->depth].holds_bad = true;
}

/* False: deeper than what the JSON scanner lets through. */
static bool take_token(struct scan *s)
{
	switch (*s->at) {
	case '"':
		note_string(s, take_string(s));
		break;
	case '{':
	case '[':
		note_value(s, STR_NONE);
		if (s->depth == JSON_MAX_DEPTH)
			return false;
		s->levels[++s->depth] = (struct level){ .member = MEMBER_OTHER };
		s->at++;
		break;
	case '}':
	case ']':
		if (s->depth > 0)
			close_level(s);
		s->at++;
		break;
	case ',':
	case ':':
	case ' ':
	case '\n':
	case '\r':
	case '\t':
		s->at++;
		break;
	default:
		note_value(s, take_word(s));
		break;
	}
	return true;
}

int sio_placeholders_check(struct json_value data, uint32_t attachments)
{
	struct scan s; /* levels are set as they are opened */

	s.at = data.raw.p;
	s.end = data.raw.p + data.raw.n;
	s.attachments = attachments;
	s.depth = 0;
	s.levels[0] = (struct level){ .member = MEMBER_OTHER };
	while (s.at < s.end) {
		if (!take_token(&s))
			return E_SYNTAX;
	}
	return s.levels[0].holds_bad ? E_SYNTAX : 0;
}

/* The slice of the copy that is what `slice` is of the original; others (the literal "/") stay. */
static struct str moved(struct str slice, struct str from, const char *to)
{
	uintptr_t at = (uintptr_t)slice.p, start = (uintptr_t)from.p;

	if (!slice.p || at < start || at > start + from.n)
		return slice;
	return str_make(to + (at - start), slice.n);
}

static void move_packet(struct sio_packet *packet, struct str from, const char *to)
{
	packet->nsp = moved(packet->nsp, from, to);
	packet->data.raw = moved(packet->data.raw, from, to);
	packet->event.raw = moved(packet->event.raw, from, to);
	packet->args = moved(packet->args, from, to);
}

int sio_assembly_begin(struct str text, const struct sio_packet *packet, size_t max_bytes,
		       struct sio_assembly **a)
{
	struct sio_assembly *begun;

	if (*a)
		return E_EXISTS;
	if (packet->attachments == 0 || sio_placeholders_check(packet->data, packet->attachments))
		return E_SYNTAX;
	if (text.n > max_bytes)
		return E_TOOBIG;
	begun = mem_try(sizeof(*begun) + packet->attachments * sizeof(struct blob *));
	if (begun)
		begun->text = blob_copy(text);
	if (!begun || !begun->text) {
		mem_free(begun);
		return E_NOMEM;
	}
	begun->packet = *packet;
	move_packet(&begun->packet, text, begun->text->data);
	begun->bytes = text.n;
	begun->max_bytes = max_bytes;
	*a = begun;
	return 0;
}

int sio_assembly_add(struct sio_assembly *a, struct str data)
{
	if (sio_assembly_is_whole(a))
		return E_RANGE;
	if (data.n > a->max_bytes - a->bytes)
		return E_TOOBIG;
	a->attachments[a->got] = blob_copy(data);
	if (!a->attachments[a->got])
		return E_NOMEM;
	a->bytes += data.n;
	a->got++;
	return 0;
}

bool sio_assembly_is_whole(const struct sio_assembly *a)
{
	return a->got == a->packet.attachments;
}

void sio_assembly_free(struct sio_assembly **a)
{
	if (!*a)
		return;
	for (uint32_t i = 0; i < (*a)->got; i++)
		blob_unref(&(*a)->attachments[i]);
	blob_unref(&(*a)->text);
	mem_free(*a);
	*a = NULL;
}
