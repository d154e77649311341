/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions by socket id and by user, in the order of their keys (namespace ',' socket id), beside router->sessions, which finds them by private id.
 * Thread: loop thread.
 */
#ifndef ROOMWIRE_ROUTER_DIRECTORY_H
#define ROOMWIRE_ROUTER_DIRECTORY_H

#include "services/router/session.h"

/* Whose sessions these are. */
struct session_user {
	struct tree sessions; /* struct session, by key */
	uint32_t count, away; /* of them; those whose client is away */
	uint32_t bytes;
	char id[];
};

struct str directory_user_of(const void *user); /* for the map */
/* E_NOMEM: nothing has changed. */
int directory_enter(struct session *s) MUST_CHECK;
void directory_strike(struct session *s);

/* The first session of all (user NULL), or of this user, behind this key; and the next. */
struct session *directory_behind(const struct router *router, const struct session_user *user,
				 struct str key);
struct session *directory_following(const struct session_user *user, const struct session *s);
/* The session with this key, or NULL. */
struct session *directory_find(const struct router *router, struct str key);

#endif
