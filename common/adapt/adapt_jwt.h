/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of the local mode: compact JWS (RFC 7515) signed with HS256, judged by libjwt behind checks of our own.
 *
 * thread     any one at a time: a verifier has buffers. blocking: never. ordering: none.
 * ownership  the secret and the expected texts are COPIED; claims are BORROWED until the next verify or close.
 *
 * Why checks of our own: libjwt 1.10 takes any algorithm the header names that fits the key, decodes base64 leniently, ignores `crit`
 * and never looks at exp and nbf. So it only sees a token of three strict base64url parts whose header says HS256 and nothing
 * critical. And it gives claims back as values; templates want them byte for byte, so they are taken from the payload's text.
 *
 *     struct adapt_jwt_claims c;
 *     int err = adapt_jwt_verify(jwt, token, &c);
 *     if (err) refuse(adapt_jwt_code(err));
 */
#ifndef ROOMWIRE_ADAPT_JWT_H
#define ROOMWIRE_ADAPT_JWT_H

#include "common/json/json.h"

#define ADAPT_JWT_MAX_BYTES 16384  /* of a token: the wire's limit */
#define ADAPT_JWT_LEEWAY_MS 30000u /* clocks differ: for exp and nbf */

struct adapt_jwt;

struct adapt_jwt_spec {
	const char *secret;   /* not empty */
	const char *issuer;   /* required `iss`; NULL or empty: not checked */
	const char *audience; /* `aud` must be it or hold it; NULL or empty: not checked */
};

struct adapt_jwt_claims {
	struct json_value object; /* the payload as it was signed */
	uint64_t expires_ms;      /* `exp`, wall clock, without leeway */
	const char *
		why; /* of a refusal, for a debug line: a literal, nothing of the token in it; NULL: accepted */
};

/* E_CONFIG: no secret. */
int adapt_jwt_open(const struct adapt_jwt_spec *spec, struct adapt_jwt **jwt) MUST_CHECK;
void adapt_jwt_close(struct adapt_jwt **jwt); /* nulls; accepts NULL inside */

/*
 * Judge a token. The signature is judged before the times, so a token both expired and wrongly signed is E_DENIED.
 * Required: `sub`, a string of 1 to 128 characters, and `exp`. Claims that are checked may be there once only.
 *
 * errors  E_NOTFOUND (empty), E_EXPIRED (good but for exp), E_DENIED (anything else that is wrong with it), E_NOMEM
 */
int adapt_jwt_verify(struct adapt_jwt *jwt, struct str token,
		     struct adapt_jwt_claims *claims) MUST_CHECK;
/* The word clients get for an error of adapt_jwt_verify: AUTH_TOKEN_MISSING, _EXPIRED, _INVALID, or AUTH_UNAVAILABLE. */
const char *adapt_jwt_code(int err);

/* Sign claims (a JSON object) with HS256. *token is OWNED by caller (free()). errors: E_SYNTAX (no JSON object), E_CONFIG (no
 * secret), E_NOMEM. */
int adapt_jwt_sign(const char *secret, struct str claims, char **token) MUST_CHECK;

#endif
