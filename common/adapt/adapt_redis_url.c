/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_redis_url.h"

#include <stdio.h>

#define DEFAULT_PORT 6379
#define HIDDEN "***"
#define REPEATED ", with args" /* a server that does not know AUTH repeats what it was given, cut */

/* Percent-decodes into a terminated text (so there is no NUL in it). */
static int decode(struct str s, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int high, low;
		char c = s.p[i];

		if (c == '%') {
			high = i + 2 < s.n ? str_hex_digit(s.p[i + 1]) : -1;
			low = high < 0 ? -1 : str_hex_digit(s.p[i + 2]);
			if (low < 0)
				return E_SYNTAX;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (!c || n + 1 >= cap)
			return E_SYNTAX;
		out[n++] = c;
	}
	out[n] = 0;
	return 0;
}

/* Letters, digits, '-', '_' and '.' of a name or IPv4 address; with ':' and '%' (scope) of IPv6. */
static bool is_host(struct str s, bool in_brackets)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], letter = (char)(c | 0x20);

		if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') &&
		    !strchr(in_brackets ? "-_.:%" : "-_.", c))
			return false;
		if (!c)
			return false;
	}
	return s.n > 0 && s.n < REDIS_HOST_BYTES;
}

static bool take_port(struct str s, int *port)
{
	uint64_t value;

	if (str_to_u64(s, &value) || value < 1 || value > 65535)
		return false;
	*port = (int)value;
	return true;
}

static const char *take_credentials(struct str s, struct redis_url *url)
{
	struct str user, password;

	if (!str_cut(s, ':', &user, &password))
		return "a user without a password: it is user:password@host, or :password@host";
	if (!password.n)
		return "the password is empty";
	if (decode(user, url->user, sizeof(url->user)) ||
	    decode(password, url->password, sizeof(url->password)))
		return "user or password is too long or wrongly percent-encoded";
	return NULL;
}

static const char *take_place(struct str s, struct redis_url *url)
{
	bool in_brackets = s.n && s.p[0] == '[';
	struct str host, port;
	bool has_port;

	if (in_brackets) {
		if (!str_cut(str_skip(s, 1), ']', &host, &port))
			return "the bracket of the address is not closed";
		has_port = port.n > 0;
		if (has_port && port.p[0] != ':')
			return "behind the bracket only a port may follow";
		port = has_port ? str_skip(port, 1) : port;
	} else {
		has_port = str_cut(s, ':', &host, &port);
	}
	if (!host.n)
		return "there is no host in it";
	if (!is_host(host, in_brackets) || str_copy(host, url->host, sizeof(url->host)))
		return "that is no name or address of a host (an IPv6 address goes in brackets, "
		       "special characters of a password as %XX)";
	if (has_port && !take_port(port, &url->port))
		return "the port is not a number from 1 to 65535";
	return NULL;
}

static const char *take_path(struct str s, struct redis_url *url)
{
	uint64_t db = 0;

	if (s.n && (str_to_u64(s, &db) || db > INT32_MAX))
		return "behind the / only the number of a database may follow";
	url->db = (uint32_t)db;
	return NULL;
}

static struct str cut_last(struct str s, char sep, struct str *tail)
{
	for (size_t i = s.n; i > 0; i--) {
		if (s.p[i - 1] == sep) {
			*tail = str_skip(s, i);
			return str_make(s.p, i - 1);
		}
	}
	*tail = s;
	return STR_NONE;
}

static const char *take_all(struct str text, struct redis_url *url)
{
	struct str rest = text, authority, path, credentials, place;
	const char *wrong;

	if (str_starts(text, STR("rediss://")))
		return "TLS (rediss:) is not offered: use redis:// to a local TLS proxy";
	if (!str_starts(text, STR("redis://")))
		return "it does not begin with redis://";
	rest = str_skip(rest, sizeof("redis://") - 1);
	str_cut(rest, '/', &authority, &path);
	credentials = cut_last(authority, '@', &place);
	wrong = credentials.p ? take_credentials(credentials, url) : NULL;
	if (!wrong)
		wrong = take_place(place, url);
	return wrong ? wrong : take_path(path, url);
}

int redis_url_parse(struct str text, struct redis_url *url, const char **why)
{
	memset(url, 0, sizeof(*url));
	url->port = DEFAULT_PORT;
	*why = take_all(text, url);
	return *why ? E_CONFIG : 0;
}

int redis_url_of(const char *host, int port, struct redis_url *url, const char **why)
{
	struct str s = str_of(host);
	bool two_colons = host && strchr(host, ':') != strrchr(host, ':'); /* IPv6 */

	memset(url, 0, sizeof(*url));
	url->port = port;
	*why = NULL;
	if (!is_host(s, two_colons) || str_copy(s, url->host, sizeof(url->host)))
		*why = "the host is no name or address";
	else if (port < 1 || port > 65535)
		*why = "the port is not a number from 1 to 65535";
	return *why ? E_CONFIG : 0;
}

void redis_url_reason(const struct redis_url *url, struct str text, char *reason, size_t cap)
{
	struct str hidden = str_of(url->password);
	const char *repeated = text.n ? memmem(text.p, text.n, REPEATED, sizeof(REPEATED) - 1)
				      : NULL;
	size_t n = 0;

	if (repeated)
		text.n = (size_t)(repeated - text.p);
	while (text.n && n + sizeof(HIDDEN) < cap) {
		if (hidden.n && str_starts(text, hidden)) {
			n += (size_t)snprintf(reason + n, cap - n, HIDDEN);
			text = str_skip(text, hidden.n);
			continue;
		}
		if ((unsigned char)text.p[0] > ' ' && (unsigned char)text.p[0] < 0x7f)
			reason[n++] = text.p[0];
		else if (n && reason[n - 1] != ' ')
			reason[n++] = ' ';
		text = str_skip(text, 1);
	}
	while (n && reason[n - 1] == ' ')
		n--;
	reason[n] = 0;
}
