/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_jwt.h"

#include <stdlib.h>

#include <jwt.h>

#include "common/base/b64.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define SUBJECT_MAX_CHARACTERS 128
#define DATE_MAX_BYTES 40               /* text of a number that may still be a date */
#define DATE_MAX_SECONDS 253402300799.0 /* end of the year 9999 */

struct adapt_jwt {
	char *secret, *issuer, *audience; /* OWNED; the latter two NULL when not checked */
	struct buf token;                 /* terminated, for libjwt */
	struct buf header, payload;       /* decoded */
	struct buf scratch;
};

/* A token cut at its dots. */
struct parts {
	struct str header, payload, signature;
};

/* Claims that are judged; all others are the profile's business. */
enum claim { CLAIM_SUB = 0, CLAIM_EXP, CLAIM_NBF, CLAIM_IAT, CLAIM_ISS, CLAIM_AUD, CLAIM_COUNT };
static const char *const claim_names[CLAIM_COUNT] = { "sub", "exp", "nbf", "iat", "iss", "aud" };

static int refuse(struct adapt_jwt_claims *claims, int err, const char *why)
{
	claims->why = why;
	return err;
}

static char *dup_unless_empty(const char *z)
{
	return z && *z ? mem_need_dup(z) : NULL;
}

int adapt_jwt_open(const struct adapt_jwt_spec *spec, struct adapt_jwt **jwt)
{
	struct adapt_jwt *j;

	/* libjwt verifies nothing at all without a key. */
	if (!spec->secret || !*spec->secret)
		return E_CONFIG;
	j = mem_need(sizeof(*j));
	j->secret = mem_need_dup(spec->secret);
	j->issuer = dup_unless_empty(spec->issuer);
	j->audience = dup_unless_empty(spec->audience);
	buf_init(&j->token, ADAPT_JWT_MAX_BYTES + 1);
	buf_init(&j->header, ADAPT_JWT_MAX_BYTES);
	buf_init(&j->payload, ADAPT_JWT_MAX_BYTES);
	buf_init(&j->scratch, ADAPT_JWT_MAX_BYTES);
	*jwt = j;
	return 0;
}

void adapt_jwt_close(struct adapt_jwt **jwt)
{
	struct adapt_jwt *j = *jwt;

	*jwt = NULL;
	if (!j)
		return;
	explicit_bzero(j->secret, strlen(j->secret));
	mem_free(j->secret);
	mem_free(j->issuer);
	mem_free(j->audience);
	buf_fini(&j->token);
	buf_fini(&j->header);
	buf_fini(&j->payload);
	buf_fini(&j->scratch);
	mem_free(j);
}

/* ── before the signature ── */

static bool split(struct str token, struct parts *parts)
{
	struct str rest, none;

	return str_cut(token, '.', &parts->header, &rest) &&
	       str_cut(rest, '.', &parts->payload, &parts->signature) &&
	       !str_cut(parts->signature, '.', &none, &none) && parts->header.n &&
	       parts->payload.n && parts->signature.n;
}

static int decode(struct str part, struct buf *out)
{
	size_t n;

	buf_reset(out);
	if (!buf_room(out, part.n / 4 * 3 + 3))
		return E_NOMEM;
	if (b64url_decode(part, out->p, &n))
		return E_DENIED;
	out->n = n;
	return 0;
}

static int decode_object(struct str part, struct buf *out, struct json_value *object)
{
	int err = decode(part, out);

	if (!err && (json_parse(buf_str(out), object) || object->type != JSON_OBJECT))
		err = E_DENIED;
	return err;
}

/* RFC 7515 section 4.1: exactly one algorithm, HS256, and no extension that must be understood. */
static const char *judge_header(struct json_value header)
{
	struct json_value v, alg = { JSON_NONE, STR_NONE };
	struct json_walk w;
	struct str key;

	json_walk(header, &w);
	while (json_next(&w, &key, &v) == 0) {
		struct json_value name = { JSON_STRING, key };

		if (json_text_is(name, STR("crit")))
			return "the header names critical extensions";
		if (!json_text_is(name, STR("alg")))
			continue;
		if (alg.type != JSON_NONE)
			return "the header names alg twice";
		alg = v;
	}
	return json_text_is(alg, STR("HS256")) ? NULL : "the algorithm is not HS256";
}

static int judge_form(struct adapt_jwt *j, struct str token, struct adapt_jwt_claims *claims)
{
	struct json_value header;
	struct parts parts;
	const char *why;
	int err;

	if (token.n > ADAPT_JWT_MAX_BYTES)
		return refuse(claims, E_DENIED, "longer than a token may be");
	if (!split(token, &parts))
		return refuse(claims, E_DENIED, "not three parts");
	if ((err = decode(parts.signature, &j->scratch)) != 0)
		return refuse(claims, err, "the signature is no base64url");
	if ((err = decode_object(parts.header, &j->header, &header)) != 0)
		return refuse(claims, err, "the header is no JSON object in base64url");
	if ((why = judge_header(header)) != NULL)
		return refuse(claims, E_DENIED, why);
	if ((err = decode_object(parts.payload, &j->payload, &claims->object)) != 0)
		return refuse(claims, err, "the payload is no JSON object in base64url");
	return 0;
}

static int judge_signature(struct adapt_jwt *j, struct str token, struct adapt_jwt_claims *claims)
{
	jwt_t *decoded = NULL;
	bool good;

	buf_reset(&j->token);
	buf_add(&j->token, token);
	buf_addc(&j->token, 0);
	if (j->token.failed)
		return refuse(claims, E_NOMEM, "no memory");
	good = jwt_decode(&decoded, j->token.p, (const unsigned char *)j->secret,
			  (int)strlen(j->secret)) == 0 &&
	       jwt_get_alg(decoded) == JWT_ALG_HS256;
	jwt_free(decoded);
	return good ? 0 : refuse(claims, E_DENIED, "the signature does not fit");
}

/* ── after it ── */

/* Each at most once: who reads the first of two and who reads the last must not see different tokens. */
static bool collect(struct json_value object, struct json_value found[CLAIM_COUNT])
{
	struct json_value v;
	struct json_walk w;
	struct str key;

	memset(found, 0, CLAIM_COUNT * sizeof(*found));
	json_walk(object, &w);
	while (json_next(&w, &key, &v) == 0) {
		for (int i = 0; i < CLAIM_COUNT; i++) {
			if (!json_text_is((struct json_value){ JSON_STRING, key },
					  str_of(claim_names[i])))
				continue;
			if (found[i].type != JSON_NONE)
				return false;
			found[i] = v;
		}
	}
	return true;
}

static bool is_subject(struct adapt_jwt *j, struct json_value v)
{
	struct str text;
	size_t characters = 0;

	buf_reset(&j->scratch);
	if (json_text(v, &j->scratch, &text))
		return false;
	for (size_t i = 0; i < text.n; i++)
		characters += (text.p[i] & 0xc0) != 0x80;
	return characters >= 1 && characters <= SUBJECT_MAX_CHARACTERS;
}

/* NumericDate (RFC 7519 section 2): seconds, which may have a fraction. What lies before 1970 counts as 1970. */
static bool take_date(struct json_value v, uint64_t *ms)
{
	char text[DATE_MAX_BYTES + 1];
	double seconds;

	if (v.type != JSON_NUMBER || str_copy(v.raw, text, sizeof(text)))
		return false;
	seconds = strtod(
		text,
		NULL); /* the JSON scanner has let only numbers through; no process sets a locale */
	if (!(seconds <= DATE_MAX_SECONDS))
		return false;
	*ms = seconds > 0 ? (uint64_t)(seconds * 1000) : 0;
	return true;
}

static int judge_claims(struct adapt_jwt *j, struct adapt_jwt_claims *claims)
{
	struct json_value found[CLAIM_COUNT];
	uint64_t now_ms = clock_wall_ms(), not_before_ms = 0, issued_ms;

	if (!collect(claims->object, found))
		return refuse(claims, E_DENIED, "a claim is there twice");
	if (!is_subject(j, found[CLAIM_SUB]))
		return refuse(claims, E_DENIED, "sub is no string of 1 to 128 characters");
	if (!take_date(found[CLAIM_EXP], &claims->expires_ms))
		return refuse(claims, E_DENIED, "exp is no date in seconds");
	if (found[CLAIM_NBF].type != JSON_NONE && !take_date(found[CLAIM_NBF], &not_before_ms))
		return refuse(claims, E_DENIED, "nbf is no date in seconds");
	if (found[CLAIM_IAT].type != JSON_NONE && !take_date(found[CLAIM_IAT], &issued_ms))
		return refuse(claims, E_DENIED, "iat is no date in seconds");
	if (j->issuer && !json_text_is(found[CLAIM_ISS], str_of(j->issuer)))
		return refuse(claims, E_DENIED, "iss is not OIDC_ISSUER");
	if (j->audience && !json_holds_text(found[CLAIM_AUD], str_of(j->audience)))
		return refuse(claims, E_DENIED, "OIDC_AUDIENCE is not in aud");
	if (not_before_ms > now_ms + ADAPT_JWT_LEEWAY_MS)
		return refuse(claims, E_DENIED, "nbf lies in the future");
	if (now_ms >= claims->expires_ms + ADAPT_JWT_LEEWAY_MS)
		return refuse(claims, E_EXPIRED, "exp has passed");
	return 0;
}

int adapt_jwt_verify(struct adapt_jwt *jwt, struct str token, struct adapt_jwt_claims *claims)
{
	int err;

	*claims = (struct adapt_jwt_claims){ { JSON_NONE, STR_NONE }, 0, NULL };
	if (!token.n)
		return refuse(claims, E_NOTFOUND, "there is no token");
	if ((err = judge_form(jwt, token, claims)) != 0 ||
	    (err = judge_signature(jwt, token, claims)) != 0)
		return err;
	return judge_claims(jwt, claims);
}

const char *adapt_jwt_code(int err)
{
	switch (err) {
	case 0:
		return "";
	case E_NOTFOUND:
		return "AUTH_TOKEN_MISSING";
	case E_EXPIRED:
		return "AUTH_TOKEN_EXPIRED";
	case E_DENIED:
		return "AUTH_TOKEN_INVALID";
	default:
		return "AUTH_UNAVAILABLE";
	}
}

/* ── signing ── */

int adapt_jwt_sign(const char *secret, struct str claims, char **token)
{
	struct json_value object;
	jwt_t *jwt = NULL;
	char *text;
	int err = E_NOMEM;

	if (!secret || !*secret)
		return E_CONFIG;
	if (json_parse(claims, &object) || object.type != JSON_OBJECT)
		return E_SYNTAX;
	text = str_dup(object.raw);
	if (!text || jwt_new(&jwt))
		goto out;
	err = E_SYNTAX; /* jansson takes a little less than JSON allows: no U+0000, no integers past 64 bits */
	if (jwt_add_grants_json(jwt, text))
		goto out;
	err = E_NOMEM;
	if (jwt_set_alg(jwt, JWT_ALG_HS256, (const unsigned char *)secret, (int)strlen(secret)))
		goto out;
	*token = jwt_encode_str(jwt);
	if (*token)
		err = 0;
out:
	jwt_free(jwt);
	free(text);
	return err;
}
