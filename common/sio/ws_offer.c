/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sio/ws_offer.h"

/* A parameter's value: no good one is longer than two characters. */
struct value {
	bool given;
	size_t n; /* characters after unescaping; text holds the first ones */
	char text[2];
};

enum param { SERVER_NO_CONTEXT = 0, CLIENT_NO_CONTEXT, SERVER_WINDOW, CLIENT_WINDOW, PARAM_COUNT };

static const char *const param_names[PARAM_COUNT] = {
	[SERVER_NO_CONTEXT] = "server_no_context_takeover",
	[CLIENT_NO_CONTEXT] = "client_no_context_takeover",
	[SERVER_WINDOW] = "server_max_window_bits",
	[CLIENT_WINDOW] = "client_max_window_bits",
};

/* RFC 9110 section 5.6.2 */
static bool is_token_char(char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static void skip_blanks(struct str *rest)
{
	while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == '\t'))
		*rest = str_skip(*rest, 1);
}

/* One character with the blanks around it. */
static bool take_char(struct str *rest, char c)
{
	skip_blanks(rest);
	if (rest->n == 0 || rest->p[0] != c)
		return false;
	*rest = str_skip(*rest, 1);
	skip_blanks(rest);
	return true;
}

static bool take_token(struct str *rest, struct str *token)
{
	size_t n = 0;

	while (n < rest->n && is_token_char(rest->p[n]))
		n++;
	*token = str_make(rest->p, n);
	*rest = str_skip(*rest, n);
	return n > 0;
}

static bool add_char(struct value *value, char c)
{
	if (value->n < sizeof(value->text))
		value->text[value->n] = c;
	value->n++;
	return is_token_char(c); /* also of a quoted value (RFC 6455 section 9.1) */
}

/* Behind the opening quote. */
static bool take_quoted(struct str *rest, struct value *value)
{
	while (rest->n > 0) {
		char c = rest->p[0];

		*rest = str_skip(*rest, 1);
		if (c == '"')
			return value->n > 0;
		if (c == '\\') {
			if (rest->n == 0)
				return false;
			c = rest->p[0];
			*rest = str_skip(*rest, 1);
		}
		if (!add_char(value, c))
			return false;
	}
	return false;
}

/* What stands behind a parameter's name. */
static bool take_value(struct str *rest, struct value *value)
{
	struct str token;

	memset(value, 0, sizeof(*value));
	if (!take_char(rest, '='))
		return true;
	value->given = true;
	if (rest->n > 0 && rest->p[0] == '"') {
		*rest = str_skip(*rest, 1);
		return take_quoted(rest, value);
	}
	if (!take_token(rest, &token))
		return false;
	for (size_t i = 0; i < token.n; i++)
		(void)add_char(value, token.p[i]);
	return true;
}

/* 8 to 15, without leading zeros (RFC 7692 section 7.1.2) */
static bool is_window(const struct value *value)
{
	if (value->n == 1)
		return value->text[0] == '8' || value->text[0] == '9';
	return value->n == 2 && value->text[0] == '1' && value->text[1] >= '0' &&
	       value->text[1] <= '5';
}

/* seen: the parameters that stood before it in the same offer. */
static bool param_fits(struct str name, const struct value *value, unsigned *seen)
{
	int param = 0;

	while (param < PARAM_COUNT && !str_is(name, param_names[param]))
		param++;
	if (param == PARAM_COUNT || *seen & 1u << param)
		return false;
	*seen |= 1u << param;
	switch (param) {
	case SERVER_NO_CONTEXT:
	case CLIENT_NO_CONTEXT:
		return !value->given;
	case CLIENT_WINDOW:
		return !value->given || is_window(value);
	default: /* the answer would have to have it, and all members share one compressed form */
		return false;
	}
}

/* One extension with its parameters; false where it is malformed. */
static bool take_offer(struct str *rest, bool *fits)
{
	struct str name;
	unsigned seen = 0;

	if (!take_token(rest, &name))
		return false;
	*fits = str_is(name, "permessage-deflate");
	while (take_char(rest, ';')) {
		struct value value;

		if (!take_token(rest, &name) || !take_value(rest, &value))
			return false;
		if (!param_fits(name, &value, &seen))
			*fits = false;
	}
	return true;
}

bool ws_offer_allows_deflate(struct str header)
{
	struct str rest = header;
	bool any = false;

	for (;;) {
		bool fits;

		while (take_char(&rest,
				 ',')) /* a list may have empty elements (RFC 9110 section 5.6.1) */
			;
		skip_blanks(&rest);
		if (rest.n == 0)
			return any;
		if (!take_offer(&rest, &fits))
			return false;
		any = any || fits;
		skip_blanks(&rest);
		if (rest.n > 0 && rest.p[0] != ',')
			return false;
	}
}
