/* SPDX-License-Identifier: Apache-2.0 */
/* What the forms of `tail` share: one for each dialect. */
#ifndef ROOMWIRE_ROOMWIRE_TAIL_H
#define ROOMWIRE_ROOMWIRE_TAIL_H

#include "services/roomwire/http_client.h"

#define TAIL_EMITS_MAX 64

struct tail {
	const char *profile, *url_text, *token, *nsp;
	const char *emits[TAIL_EMITS_MAX]; /* EVENT=JSON */
	int emit_count;
	bool dialect_known; /* of a profile */
	bool plain;         /* the profile's dialect */
	struct http_url url;
	char target[128];
};

/* Connect, send, print until the server closes. 0, or an error that was printed. */
int tail_plain(const struct tail *t) MUST_CHECK;

/* Prints what to do when that server does not know the path of the dialect. */
void tail_hint(const struct tail *t);

#endif
