/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the loaded file (profile_raw.h) to the compiled profile. One struct compile per load; every part of the language has its file:
 * compile.c (frame, auth, settings, templates), compile_check.c (permission checks), compile_event.c (namespaces, events, actions),
 * compile_field.c (fields), compile_ingest.c (domain events). All errors are collected, up to COMPILE_MAX_ERRORS.
 * Start-up only: memory for the profile is had or the process ends (mem_need).
 */
#ifndef ROOMWIRE_PROFILE_COMPILE_H
#define ROOMWIRE_PROFILE_COMPILE_H

#include "common/profile/profile_raw.h"

#define COMPILE_MAX_ERRORS 50
#define COMPILE_MAX_ARGS 16       /* of a check: the wire's limit */
#define COMPILE_NAME_BYTES 64     /* names of checks and codes: the wire's limit */
#define COMPILE_MESSAGE_BYTES 256 /* the wire's limit */
#define COMPILE_EVENT_BYTES 255   /* event names */

struct compile_owned {
	void **items;
	size_t count, cap;
};

struct compile {
	const char *file;
	struct str text; /* of the file, for line numbers */
	struct buf *errors;
	unsigned error_count;
	struct buf path; /* "namespaces[0].events[3]" */
	struct profile *p;
	struct compile_owned *owned;
	struct buf user; /* the user object with null for every value: what {user.…} can name */
	int32_t there;   /* a field that is there wherever the template at hand is used; -1: none */
	bool makes;      /* some template uses {now} or {new.id} */
	struct json_value user_shape; /* JSON_NONE: no users, or not known */
};

/* 0, or E_CONFIG with the errors. p is empty but for name, path and owned. */
int compile_profile(const char *file, struct str text, const struct raw_profile *raw,
		    struct profile *p, struct buf *errors) MUST_CHECK;
void compile_owned_free(struct compile_owned **owned);

/* Memory that lives as long as the profile. */
void *compile_alloc(struct compile *c, size_t bytes);
char *compile_dup(struct compile *c, const char *z);
struct str compile_dup_str(struct compile *c, struct str s);

/* Go down to KEY (or KEY[index], index >= 0) and back up. */
size_t compile_enter(struct compile *c, const char *key, int64_t index);
void compile_leave(struct compile *c, size_t mark);
/* An error at `key` below the present place (NULL: the place itself). The text is "found …, allowed: …". */
void compile_fail(struct compile *c, const char *key, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Names: false and an error where it is empty, too long or holds blanks or controls. */
bool compile_name(struct compile *c, const char *key, const char *name, size_t max);

/* The same for an event name that goes to clients or comes from them. */
bool compile_event_name(struct compile *c, const char *key, const char *name);

/* A template at `key`. fields: whose fields the scope is made of (NULL: none). false and an error where it is wrong. */
enum compile_use {
	COMPILE_ALWAYS = 0, /* a variable that may be absent needs a default */
	COMPILE_WHERE_THERE /* the template is left out where a variable is absent */
};
bool compile_tmpl(struct compile *c, const char *key, enum tmpl_mode mode, const char *text,
		  const struct tmpl_scope *scope, const struct field_list *fields,
		  enum compile_use use, struct tmpl *t);
/* A room name: the same, and it cannot come out empty. */
bool compile_room(struct compile *c, const char *key, const char *text,
		  const struct tmpl_scope *scope, const struct field_list *fields,
		  enum compile_use use, struct tmpl *t);
/* A list of them: KEY[0], KEY[1] … */
struct tmpl *compile_tmpls(struct compile *c, const char *key, enum tmpl_mode mode,
			   char *const *texts, uint32_t count, const struct tmpl_scope *scope);

/* Whether a first path segment can be a member of the user object; an error if not. */
bool compile_user_path(struct compile *c, const char *key, struct str path);

/* Where an action stands: decides what it may be and say. */
struct compile_place {
	bool connect;  /* of a namespace's `connect`, else of an event's `do` … */
	bool presence; /* … or of `presence` */
	const struct tmpl_scope *scope;
	const struct field_list *fields;
};
/* compile_action.c */
struct action *compile_actions(struct compile *c, const char *key, const struct raw_action *raw,
			       uint32_t count, const struct compile_place *at);
/* Arguments of an event; with dialect: plain its one payload. text: NULL: none. */
bool compile_args(struct compile *c, const char *key, const char *text,
		  const struct compile_place *at, struct tmpl *t);
/* `when`: {field, any}; *field is -1 where raw is NULL. */
void compile_when(struct compile *c, const struct raw_when_field *raw,
		  const struct field_list *fields, int32_t *field, char ***any, uint32_t *count);

void compile_checks(struct compile *c, const struct raw_profile *raw);
void compile_nsps(struct compile *c, const struct raw_profile *raw);
void compile_ingest(struct compile *c, const struct raw_ingest *raw); /* NULL: none */

/* Storage of a scope that is made of fields. */
struct compile_scope {
	const char *names[TMPL_MAX_FIELDS];
	bool uuids[TMPL_MAX_FIELDS];
	struct tmpl_scope scope;
};
/* The fields of `raw` into list, and the scope they make (with the roots). */
void compile_fields(struct compile *c, const struct raw_field *raw, uint32_t count,
		    struct field_list *list);
/* With dialect: plain: each is looked for in `payload`, then at the top of the message. */
void compile_fields_of_message(struct compile *c, struct field_list *list);
void compile_scope(struct compile_scope *s, const struct field_list *list, unsigned roots);
unsigned compile_user_root(
	const struct compile *c); /* the user's bit, or none where nobody signs in */

#endif
