/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/base_test.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/adapt/adapt_jwt.h"
#include "common/base/b64.h"
#include "common/base/clock.h"

#define SECRET "a-secret-of-the-tests"
#define NOW_S 1790000000
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define EXP "\"exp\":1790003600"
#define GOOD "{\"sub\":\"u1\"," EXP "}"
#define TOKEN_BYTES 40000

static struct adapt_jwt *jwt;

/* Signed by OpenSSL, not by the library under test: any header, any payload, any digest. */
static size_t sign_with(const EVP_MD *digest, const char *secret, struct str header,
			struct str payload, char *out)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_bytes = 0;
	size_t n = b64url_encode(header, out);

	out[n++] = '.';
	n += b64url_encode(payload, out + n);
	HMAC(digest, secret, (int)strlen(secret), (unsigned char *)out, n, mac, &mac_bytes);
	out[n++] = '.';
	n += b64url_encode(str_make((char *)mac, mac_bytes), out + n);
	out[n] = 0;
	return n;
}

static int verify(const char *header, const char *payload, struct adapt_jwt_claims *claims)
{
	static char token[TOKEN_BYTES];
	size_t n = sign_with(EVP_sha256(), SECRET, str_of(header), str_of(payload), token);

	return adapt_jwt_verify(jwt, str_make(token, n), claims);
}

static void check(const char *what, int got, int want)
{
	if (got != want)
		fail_msg("%s: got %s, want %s", what, got ? err_name(got) : "accepted",
			 want ? err_name(want) : "accepted");
}

static int setup(void **state)
{
	struct adapt_jwt_spec spec = { .secret = SECRET };

	(void)state;
	clock_fake(1000, (uint64_t)NOW_S * 1000);
	return adapt_jwt_open(&spec, &jwt);
}

static int teardown(void **state)
{
	(void)state;
	adapt_jwt_close(&jwt);
	clock_fake(0, 0);
	return 0;
}

static void test_verify_when_header_varies_then_only_hs256_is_taken(void **state)
{
	static const struct {
		const char *header;
		int want;
	} rows[] = {
		{ HEADER, 0 },
		{ "{\"alg\":\"HS256\"}", 0 },
		{ "{ \"typ\" : \"jwt\" , \"\\u0061lg\" : \"HS\\u003256\", \"kid\": \"k1\" }", 0 },
		{ "{\"alg\":\"none\"}", E_DENIED },
		{ "{\"alg\":\"None\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"hs256\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"HS384\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"HS512\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"HS256 \",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"HS256\\u0000\",\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":[\"HS256\"]}", E_DENIED },
		{ "{\"alg\":null}", E_DENIED },
		{ "{\"typ\":\"JWT\"}", E_DENIED },
		{ "{\"alg\":\"none\",\"alg\":\"HS256\"}", E_DENIED },
		{ "{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", E_DENIED },
		{ "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", E_DENIED },
		{ "{\"alg\":\"HS256\",\"crit\":[]}", E_DENIED },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWE\"}", E_DENIED },
		{ "{\"alg\":\"HS256\"}x", E_DENIED },
		{ "{\"alg\":\"HS256\",}", E_DENIED },
		{ "[\"HS256\"]", E_DENIED },
		{ "\"HS256\"", E_DENIED },
		{ "{\"alg\":\"HS256\",\"x\":\"\xff\"}", E_DENIED },
	};
	struct adapt_jwt_claims claims;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check(rows[i].header, verify(rows[i].header, GOOD, &claims), rows[i].want);
}

static void test_verify_when_claims_vary_then_required_and_times_are_judged(void **state)
{
	static const struct {
		const char *payload;
		int want;
	} rows[] = {
		{ GOOD, 0 },
		{ "{\"sub\":\"u1\"}", E_DENIED },
		{ "{" EXP "}", E_DENIED },
		{ "{\"sub\":\"\"," EXP "}", E_DENIED },
		{ "{\"sub\":7," EXP "}", E_DENIED },
		{ "{\"sub\":null," EXP "}", E_DENIED },
		{ "{\"sub\":[\"u1\"]," EXP "}", E_DENIED },
		{ "[\"sub\"]", E_DENIED },
		{ "{\"sub\":\"u1\"," EXP "}{}", E_DENIED },
		/* exp: passed at exp + 30 s, not before */
		{ "{\"sub\":\"u1\",\"exp\":1790000000}", 0 },
		{ "{\"sub\":\"u1\",\"exp\":1789999971}", 0 },
		{ "{\"sub\":\"u1\",\"exp\":1789999970.001}", 0 },
		{ "{\"sub\":\"u1\",\"exp\":1789999970}", E_EXPIRED },
		{ "{\"sub\":\"u1\",\"exp\":1789999940}", E_EXPIRED },
		{ "{\"sub\":\"u1\",\"exp\":0}", E_EXPIRED },
		{ "{\"sub\":\"u1\",\"exp\":-1e300}", E_EXPIRED },
		{ "{\"sub\":\"u1\",\"exp\":1.7900036e9}", 0 },
		{ "{\"sub\":\"u1\",\"exp\":1790003600.5}", 0 },
		{ "{\"sub\":\"u1\",\"exp\":253402300799}", 0 },
		{ "{\"sub\":\"u1\",\"exp\":253402300800}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":1790003600000}",
		  E_DENIED }, /* milliseconds by mistake */
		{ "{\"sub\":\"u1\",\"exp\":1e99}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":\"1790003600\"}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":null}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":true}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":17900036000000000000000000000000000000000000000000}",
		  E_DENIED },
		/* nbf: from nbf - 30 s */
		{ "{\"sub\":\"u1\"," EXP ",\"nbf\":1790000000}", 0 },
		{ "{\"sub\":\"u1\"," EXP ",\"nbf\":1790000030}", 0 },
		{ "{\"sub\":\"u1\"," EXP ",\"nbf\":1790000030.5}", E_DENIED },
		{ "{\"sub\":\"u1\"," EXP ",\"nbf\":1790000031}", E_DENIED },
		{ "{\"sub\":\"u1\"," EXP ",\"nbf\":\"0\"}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":1789999940,\"nbf\":1790000120}", E_DENIED },
		{ "{\"sub\":\"u1\"," EXP ",\"iat\":1790000000}", 0 },
		{ "{\"sub\":\"u1\"," EXP ",\"iat\":\"now\"}", E_DENIED },
		/* of the claims that are judged, each once; others as they like */
		{ "{\"sub\":\"u1\",\"sub\":\"u2\"," EXP "}", E_DENIED },
		{ "{\"sub\":\"u1\",\"\\u0073ub\":\"u2\"," EXP "}", E_DENIED },
		{ "{\"sub\":\"u1\",\"exp\":1," EXP "}", E_DENIED },
		{ "{\"sub\":\"u1\"," EXP ",\"role\":1,\"role\":2}", 0 },
		/* not asked for, not judged */
		{ "{\"sub\":\"u1\"," EXP ",\"iss\":7,\"aud\":{}}", 0 },
	};
	struct adapt_jwt_claims claims;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		check(rows[i].payload, verify(HEADER, rows[i].payload, &claims), rows[i].want);
		assert_int_equal(claims.why != NULL, rows[i].want != 0);
	}
}

static void test_verify_when_subject_is_long_then_characters_count(void **state)
{
	static const struct {
		const char *character;
		int count, want;
	} rows[] = {
		{ "x", 128, 0 },        { "x", 129, E_DENIED },
		{ "\xc3\xa9", 128, 0 }, { "\xc3\xa9", 129, E_DENIED },
		{ "\\n", 128, 0 },
	};
	struct adapt_jwt_claims claims;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct buf payload = BUF_INIT(1024);

		buf_addz(&payload, "{" EXP ",\"sub\":\"");
		for (int n = 0; n < rows[i].count; n++)
			buf_addz(&payload, rows[i].character);
		buf_add(&payload, str_make("\"}", 3));
		check(payload.p, verify(HEADER, payload.p, &claims), rows[i].want);
		buf_fini(&payload);
	}
}

static void test_verify_when_good_then_claims_are_the_bytes_signed(void **state)
{
	static const char payload[] = " { \"exp\" : 1790003600.25, \"sub\":\"u\\u0031\", \"n\": "
				      "1.000, \"big\":12345678901234567890123e0 } ";
	struct adapt_jwt_claims claims;

	(void)state;
	check(payload, verify(HEADER, payload, &claims), 0);
	assert_str(claims.object.raw, str_trim(str_of(payload)));
	assert_int_equal(claims.expires_ms, 1790003600250);
}

static void test_verify_when_form_is_broken_then_denied(void **state)
{
	char token[TOKEN_BYTES], mutant[TOKEN_BYTES];
	size_t n = sign_with(EVP_sha256(), SECRET, STR(HEADER), STR(GOOD), token);
	struct adapt_jwt_claims claims;
	static const char *const rows[] = { ".",       "..",    "...",
					    "a.b",     "a.b.c", "not-a-token",
					    "a.b.c.d", " ",     "Bearer x.y.z",
					    "\n..",    "é.é.é" };

	(void)state;
	assert_int_equal(adapt_jwt_verify(jwt, STR_NONE, &claims), E_NOTFOUND);
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		check(rows[i], adapt_jwt_verify(jwt, str_of(rows[i]), &claims), E_DENIED);
	for (size_t cut = 1; cut < n; cut++)
		check("cut short", adapt_jwt_verify(jwt, str_make(token, cut), &claims), E_DENIED);
	static const char *const tails[] = { "=", "==", ".", ".x", "A", " ", "\n", "%3D" };
	for (size_t i = 0; i < COUNT_OF(tails); i++) {
		snprintf(mutant, sizeof(mutant), "%s%s", token, tails[i]);
		check(tails[i], adapt_jwt_verify(jwt, str_of(mutant), &claims), E_DENIED);
		snprintf(mutant, sizeof(mutant), "%s%s", tails[i], token);
		check(tails[i], adapt_jwt_verify(jwt, str_of(mutant), &claims), E_DENIED);
	}
	check("NUL behind", adapt_jwt_verify(jwt, str_make(token, n + 1), &claims), E_DENIED);
	check("whole", adapt_jwt_verify(jwt, str_make(token, n), &claims), 0);
}

static void test_verify_when_any_character_changes_then_denied(void **state)
{
	static const char letters[] = "AZaz09-_+/=. \n";
	char token[TOKEN_BYTES];
	size_t n = sign_with(EVP_sha256(), SECRET, STR(HEADER), STR(GOOD), token);
	struct adapt_jwt_claims claims;

	(void)state;
	for (size_t at = 0; at < n; at++) {
		char was = token[at];

		for (size_t l = 0; l < sizeof(letters); l++) {
			if (letters[l] == was)
				continue;
			token[at] = letters[l];
			check("changed", adapt_jwt_verify(jwt, str_make(token, n), &claims),
			      E_DENIED);
		}
		token[at] = was;
	}
}

static void test_verify_when_signed_otherwise_then_denied(void **state)
{
	char token[TOKEN_BYTES], expired[] = "{\"sub\":\"u1\",\"exp\":1}";
	struct adapt_jwt_claims claims;
	size_t n;

	(void)state;
	n = sign_with(EVP_sha256(), "another secret", STR(HEADER), STR(GOOD), token);
	check("another secret", adapt_jwt_verify(jwt, str_make(token, n), &claims), E_DENIED);
	n = sign_with(EVP_sha256(), "", STR(HEADER), STR(GOOD), token);
	check("empty secret", adapt_jwt_verify(jwt, str_make(token, n), &claims), E_DENIED);
	n = sign_with(EVP_sha256(), "another secret", STR(HEADER), str_of(expired), token);
	check("expired and wrongly signed", adapt_jwt_verify(jwt, str_make(token, n), &claims),
	      E_DENIED);
	n = sign_with(EVP_sha384(), SECRET, STR("{\"alg\":\"HS384\"}"), STR(GOOD), token);
	check("HS384", adapt_jwt_verify(jwt, str_make(token, n), &claims), E_DENIED);
	n = sign_with(EVP_sha512(), SECRET, STR(HEADER), STR(GOOD), token);
	check("SHA-512 below HS256", adapt_jwt_verify(jwt, str_make(token, n), &claims), E_DENIED);
	sign_with(EVP_sha256(), SECRET, STR("{\"alg\":\"none\"}"), STR(GOOD), token);
	*(strrchr(token, '.') + 1) = 0;
	check("none, no signature", adapt_jwt_verify(jwt, str_of(token), &claims), E_DENIED);
}

static void test_verify_when_longer_than_the_bound_then_denied(void **state)
{
	static char payload[ADAPT_JWT_MAX_BYTES], token[TOKEN_BYTES];
	struct adapt_jwt_claims claims;
	bool taken = false, refused = false;

	(void)state;
	for (int filler = 12100; filler < 12400; filler++) {
		size_t n = (size_t)snprintf(payload, sizeof(payload),
					    "{\"sub\":\"u1\"," EXP ",\"x\":\"%0*d\"}", filler, 0);

		n = sign_with(EVP_sha256(), SECRET, STR(HEADER), str_make(payload, n), token);
		check("length", adapt_jwt_verify(jwt, str_make(token, n), &claims),
		      n > ADAPT_JWT_MAX_BYTES ? E_DENIED : 0);
		taken = taken || n <= ADAPT_JWT_MAX_BYTES;
		refused = refused || n > ADAPT_JWT_MAX_BYTES;
	}
	assert_true(taken && refused);
}

static void test_verify_when_issuer_and_audience_are_set_then_they_must_fit(void **state)
{
	static const struct {
		const char *claims;
		int want;
	} rows[] = {
		{ "\"iss\":\"https://id\",\"aud\":\"web\"", 0 },
		{ "\"iss\":\"https://id\",\"aud\":[\"web\"]", 0 },
		{ "\"iss\":\"https://id\",\"aud\":[\"api\",\"web\"]", 0 },
		{ "\"iss\":\"https:\\/\\/id\",\"aud\":\"w\\u0065b\"", 0 },
		{ "\"iss\":\"https://id/\",\"aud\":\"web\"", E_DENIED },
		{ "\"iss\":[\"https://id\"],\"aud\":\"web\"", E_DENIED },
		{ "\"aud\":\"web\"", E_DENIED },
		{ "\"iss\":\"https://id\"", E_DENIED },
		{ "\"iss\":\"https://id\",\"aud\":\"webb\"", E_DENIED },
		{ "\"iss\":\"https://id\",\"aud\":[]", E_DENIED },
		{ "\"iss\":\"https://id\",\"aud\":[\"api\"]", E_DENIED },
		{ "\"iss\":\"https://id\",\"aud\":[[\"web\"]]", E_DENIED },
		{ "\"iss\":\"https://id\",\"aud\":{\"web\":\"web\"}", E_DENIED },
		{ "\"iss\":\"https://id\",\"aud\":\"api\",\"aud\":\"web\"", E_DENIED },
	};
	struct adapt_jwt_spec spec = { .secret = SECRET,
				       .issuer = "https://id",
				       .audience = "web" };
	struct adapt_jwt_claims claims;
	char payload[512];

	(void)state;
	adapt_jwt_close(&jwt);
	assert_int_equal(adapt_jwt_open(&spec, &jwt), 0);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		snprintf(payload, sizeof(payload), "{\"sub\":\"u1\"," EXP ",%s}", rows[i].claims);
		check(payload, verify(HEADER, payload, &claims), rows[i].want);
	}
	check("expired of another issuer", verify(HEADER, "{\"sub\":\"u1\",\"exp\":1}", &claims),
	      E_DENIED);
}

static void test_open_when_secret_is_empty_then_config_error(void **state)
{
	struct adapt_jwt_spec spec = { .secret = "" };
	struct adapt_jwt *none = NULL;
	char *token;

	(void)state;
	assert_int_equal(adapt_jwt_open(&spec, &none), E_CONFIG);
	spec.secret = NULL;
	assert_int_equal(adapt_jwt_open(&spec, &none), E_CONFIG);
	adapt_jwt_close(&none);
	assert_int_equal(adapt_jwt_sign("", STR("{}"), &token), E_CONFIG);
}

static void test_sign_when_verified_then_accepted(void **state)
{
	static const char *const bad[] = {
		"", "[]", "7", "{", "{\"a\":1}x", "{\"a\":\"\\u0000\"}"
	};
	struct adapt_jwt_claims claims;
	struct json_value v;
	char *token = NULL;

	(void)state;
	assert_int_equal(adapt_jwt_sign(SECRET,
					STR("{\"sub\":\"u1\"," EXP ",\"roles\":[\"agent\"]}"),
					&token),
			 0);
	check(token, adapt_jwt_verify(jwt, str_of(token), &claims), 0);
	assert_int_equal(json_get(claims.object, STR("roles"), &v), 0);
	assert_str(v.raw, STR("[\"agent\"]"));
	free(token);
	for (size_t i = 0; i < COUNT_OF(bad); i++)
		check(bad[i], adapt_jwt_sign(SECRET, str_of(bad[i]), &token), E_SYNTAX);
}

static void test_code_when_error_then_word_of_the_contract(void **state)
{
	(void)state;
	assert_string_equal(adapt_jwt_code(0), "");
	assert_string_equal(adapt_jwt_code(E_NOTFOUND), "AUTH_TOKEN_MISSING");
	assert_string_equal(adapt_jwt_code(E_EXPIRED), "AUTH_TOKEN_EXPIRED");
	assert_string_equal(adapt_jwt_code(E_DENIED), "AUTH_TOKEN_INVALID");
	assert_string_equal(adapt_jwt_code(E_NOMEM), "AUTH_UNAVAILABLE");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_verify_when_header_varies_then_only_hs256_is_taken),
		TEST(test_verify_when_claims_vary_then_required_and_times_are_judged),
		TEST(test_verify_when_subject_is_long_then_characters_count),
		TEST(test_verify_when_good_then_claims_are_the_bytes_signed),
		TEST(test_verify_when_form_is_broken_then_denied),
		TEST(test_verify_when_any_character_changes_then_denied),
		TEST(test_verify_when_signed_otherwise_then_denied),
		TEST(test_verify_when_longer_than_the_bound_then_denied),
		TEST(test_verify_when_issuer_and_audience_are_set_then_they_must_fit),
		TEST(test_open_when_secret_is_empty_then_config_error),
		TEST(test_sign_when_verified_then_accepted),
		TEST(test_code_when_error_then_word_of_the_contract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
