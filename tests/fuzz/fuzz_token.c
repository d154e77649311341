/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of arbitrary bytes (common/adapt/adapt_jwt.c): never a crash, and accepted only when OpenSSL, asked apart, finds that the key has
 * signed it with HS256 and the required claims are there.
 * options: -max_len=4096
 *
 * Input: a byte that chooses, then
 *   0  a token
 *   1  header, 0xff, payload: signed here with the right key, so that what lies behind the signature is reached
 *   2  the same, one bit of the token flipped: never accepted
 *   3  claims for adapt_jwt_sign: what it signs is understood again
 */
#include <stdint.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/adapt/adapt_jwt.h"
#include "common/base/b64.h"
#include "common/base/clock.h"

#define SECRET "a-secret-of-the-fuzzer"
#define NOW_MS 1790000000000
#define TOKEN_BYTES (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static size_t mac_of(struct str text, char out[64])
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (const unsigned char *)text.p, text.n, mac,
	     &n);
	return b64url_encode(str_make((const char *)mac, n), out);
}

static size_t sign(struct str header, struct str payload, char *out)
{
	size_t n = b64url_encode(header, out);

	out[n++] = '.';
	n += b64url_encode(payload, out + n);
	out[n] = '.';
	return n + 1 + mac_of(str_make(out, n), out + n + 1);
}

static bool is_signed(struct str token)
{
	char mac[64];
	size_t dot = token.n;

	while (dot && token.p[dot - 1] != '.')
		dot--;
	if (!dot)
		return false;
	return str_eq(str_make(mac, mac_of(str_make(token.p, dot - 1), mac)), str_skip(token, dot));
}

static int judge(struct adapt_jwt *jwt, struct str token)
{
	struct adapt_jwt_claims claims;
	struct json_value sub, again;
	int err = adapt_jwt_verify(jwt, token, &claims);

	must((err == 0) == (claims.why == NULL));
	must(err == 0 || err == E_DENIED || (err == E_NOTFOUND && !token.n) ||
	     (err == E_EXPIRED && is_signed(token)));
	if (err)
		return err;
	must(is_signed(token) && token.n <= ADAPT_JWT_MAX_BYTES);
	must(json_parse(claims.object.raw, &again) == 0 && again.type == JSON_OBJECT);
	must(json_get(claims.object, STR("sub"), &sub) == 0 && sub.type == JSON_STRING &&
	     sub.raw.n > 2);
	must(claims.expires_ms + ADAPT_JWT_LEEWAY_MS > NOW_MS);
	return 0;
}

static void judge_signed(struct adapt_jwt *jwt, struct str input, bool flip)
{
	static char token[TOKEN_BYTES];
	struct str header, payload;
	size_t n, at;

	str_cut(input, (char)0xff, &header, &payload);
	n = sign(header, payload, token);
	if (!flip) {
		judge(jwt, str_make(token, n));
		return;
	}
	at = (input.n * 2654435761u) % n;
	token[at] = (char)(token[at] ^ (1 << input.n % 8));
	must(judge(jwt, str_make(token, n)) != 0);
}

static void sign_claims(struct adapt_jwt *jwt, struct str claims)
{
	char *token = NULL;

	if (adapt_jwt_sign(SECRET, claims, &token))
		return;
	must(is_signed(str_of(token)));
	judge(jwt, str_of(token));
	free(token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct adapt_jwt *jwt, *strict;
	struct adapt_jwt_spec spec = { .secret = SECRET };
	struct str input = str_make((const char *)data + 1, size - 1);

	if (!size || size > 8192)
		return 0;
	clock_fake(1000, NOW_MS);
	if (!jwt) {
		must(adapt_jwt_open(&spec, &jwt) == 0);
		spec.issuer = "iss";
		spec.audience = "aud";
		must(adapt_jwt_open(&spec, &strict) == 0);
	}
	switch (data[0] & 3) {
	case 0:
		judge(jwt, input);
		break;
	case 1:
		judge_signed(data[0] & 4 ? strict : jwt, input, false);
		break;
	case 2:
		judge_signed(jwt, input, true);
		break;
	default:
		sign_claims(jwt, input);
		break;
	}
	return 0;
}
