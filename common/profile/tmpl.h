/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates of the profile language: text with {variables}, compiled once at start, rendered without any parsing.
 *
 *   room name, SQL parameter   ticket:{ticketId}                         rendered as text
 *   JSON                       {"ok": true, "room": "ticket:{ticketId}", "id": {ticketId}}
 *
 * In JSON a variable in the place of a value is inserted as JSON, byte for byte as it came; inside a string it is inserted as escaped
 * text; blanks between JSON tokens are dropped. `{` begins a variable only when a letter follows. `{x|JSON}` gives a default where
 * x is absent or null; `"name": {x|}` leaves the member out there.
 *
 * Variables: {field} (an argument named in `fields`), {args} (all arguments, JSON joined by commas; JSON templates only),
 * {args.N}, {user.PATH}, {claims.PATH}, {socket.id}, {auth}, {auth.PATH} (payload of CONNECT), {body}, {body.PATH} (domain event),
 * {error.code}, {error.message}, {now}, {new.id}, {once.duplicate}, {presence.room}, {presence.user}, {presence.status}. Which of them exist where is checked at compile time.
 */
#ifndef ROOMWIRE_PROFILE_TMPL_H
#define ROOMWIRE_PROFILE_TMPL_H

#include "common/json/json.h"

#define TMPL_MAX_FIELDS 16
#define TMPL_MAX_BYTES 65536 /* of one template's text */

enum tmpl_root {
	TMPL_FIELD = 0, /* index into fields */
	TMPL_ARGS,
	TMPL_ARG, /* index */
	TMPL_USER,
	TMPL_CLAIMS,
	TMPL_SOCKET_ID,
	TMPL_AUTH,
	TMPL_BODY,
	TMPL_ERROR_CODE,
	TMPL_ERROR_MESSAGE,
	TMPL_NOW,
	TMPL_NEW_ID,
	TMPL_DUPLICATE,
	TMPL_PRESENCE_ROOM,
	TMPL_PRESENCE_USER,
	TMPL_PRESENCE_STATUS,
};

enum tmpl_mode { TMPL_TEXT = 0, TMPL_JSON };

/* Where values come from while rendering; only what the place offers is set. All BORROWED. */
struct tmpl_env {
	struct json_value fields[TMPL_MAX_FIELDS]; /* JSON_NONE where absent */
	uint32_t field_count;
	struct str args;          /* arguments, JSON joined by commas */
	struct json_value user;   /* object */
	struct json_value claims; /* object */
	struct json_value auth;
	struct json_value body;
	struct str socket_id;
	struct str error_code, error_message;
	struct str now;    /* ISO 8601 */
	struct str new_id; /* for what the event makes */
	bool duplicate;    /* its key was known */
	struct str presence_room, presence_user, presence_status;
	bool null_is_absent; /* JSON null in the place of a JSON value counts as absent, too (in text it always does) */
};

struct tmpl_part {
	struct str literal; /* comes before the variable; OWNED by the template */
	bool has_variable;
	bool in_string; /* JSON mode: inside a string literal */
	bool lower;     /* text of a uuid: rendered in lower case */
	enum tmpl_root root;
	uint32_t index;  /* TMPL_FIELD, TMPL_ARG */
	struct str path; /* dotted, below the root; empty: the root itself */
	bool has_fallback;
	struct str fallback; /* JSON */
	uint32_t
		omit_bytes; /* where it is absent, so many bytes of the literal go with it: `,"name":` */
};

struct tmpl {
	enum tmpl_mode mode;
	struct tmpl_part *parts;
	uint32_t count;
};

/* What may be used: names of fields and a set of roots (bit 1 << enum tmpl_root). */
struct tmpl_scope {
	const char *const *fields;
	const bool *field_is_uuid;
	uint32_t field_count;
	unsigned roots;
};

/* 0, or E_SYNTAX / E_UNKNOWN with the reason (what was found, what is allowed) appended to why. A JSON template is checked to be
 * one JSON value (or, with TMPL_JSON, several joined by commas: arguments) whatever the variables hold. */
int tmpl_compile(struct tmpl *t, enum tmpl_mode mode, struct str text,
		 const struct tmpl_scope *scope, struct buf *why) MUST_CHECK;
void tmpl_fini(struct tmpl *t);
/*
 * Append to out. E_NOTFOUND: a variable without fallback is absent (JSON null counts as absent in text); E_TYPE: an object, an array or
 * a NUL character in text; E_TOOBIG, E_NOMEM of out. After an error out is as it was.
 */
int tmpl_render(const struct tmpl *t, const struct tmpl_env *env, struct buf *out) MUST_CHECK;
/*
 * The same without copying where a JSON template is nothing but one variable: *s is then a slice of the env (BORROWED from it), else of
 * out, appended (BORROWED until out changes).
 */
int tmpl_render_slice(const struct tmpl *t, const struct tmpl_env *env, struct buf *out,
		      struct str *s) MUST_CHECK;
/* Append a JSON template with every variable replaced by null (inside strings by x): its shape, as json_parse would take it in brackets. */
void tmpl_sample(const struct tmpl *t, struct buf *out);

#endif
