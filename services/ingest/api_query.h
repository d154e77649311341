/* SPDX-License-Identifier: Apache-2.0 */
/* What paths, queries and cursors of the API say, with a reason where something is wrong. Sans-I/O; all of it is foreign text. */
#ifndef ROOMWIRE_INGEST_API_QUERY_H
#define ROOMWIRE_INGEST_API_QUERY_H

#include "common/profile/profile.h"

#define API_NAME_BYTES 700 /* of a room */
#define API_USER_BYTES 256
#define API_LIMIT_DEFAULT 100
#define API_LIMIT_MOST 500

/* Parameters a call takes. */
enum api_param {
	API_PARAM_NAMESPACE = 1,
	API_PARAM_PREFIX = 2,
	API_PARAM_OWN = 4,
	API_PARAM_ROOM = 8,
	API_PARAM_USER = 16,
	API_PARAM_LIMIT = 32,
	API_PARAM_CURSOR = 64
};

struct api_query {
	unsigned given; /* enum api_param, OR */
	struct str nsp, prefix, room, user;
	uint64_t limit; /* API_LIMIT_DEFAULT where not given */
	bool own;
	struct str after_major, after_minor; /* of the cursor; empty: from the start */
};

/*
 * taken: the parameters of this call; one that is given twice, or is none of them, is refused. kind: of cursors, one character for each call. namespace is
 * checked against the profile, `*` is let through. Slices are BORROWED from text and scratch. 0, or E_… with why.
 */
int api_query_parse(const struct profile *profile, struct str text, unsigned taken, char kind,
		    struct buf *scratch, struct api_query *query, struct buf *why) MUST_CHECK;
/* A segment of a path: percent-decoded, UTF-8, 1 to API_NAME_BYTES. BORROWED from segment or scratch. */
int api_query_name(struct str segment, struct buf *scratch, struct str *name,
		   struct buf *why) MUST_CHECK;
/* A cursor: letters, digits, '-' and '_'. */
void api_query_add_cursor(struct buf *out, char kind, struct str major, struct str minor);

#endif
