/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/str.h"

#include "common/base/mem.h"

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

bool str_eq_secret(struct str a, struct str b)
{
	volatile unsigned char difference = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		difference = (unsigned char)(difference | (unsigned char)(a.p[i] ^ b.p[i]));
	return difference == 0;
}

struct str str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_skip(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool str_cut(struct str s, char sep, struct str *head, struct str *tail)
{
	const char *at = s.n ? memchr(s.p, sep, s.n) : NULL;

	if (!at) {
		*head = s;
		*tail = STR_NONE;
		return false;
	}
	*head = str_make(s.p, (size_t)(at - s.p));
	*tail = str_skip(s, head->n + 1);
	return true;
}

int str_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int str_to_u64(struct str s, uint64_t *value)
{
	uint64_t sum = 0;
	bool overflow = false;

	if (s.n == 0)
		return E_SYNTAX;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return E_SYNTAX;
		overflow |= __builtin_mul_overflow(sum, (uint64_t)10, &sum);
		overflow |= __builtin_add_overflow(sum, (uint64_t)(s.p[i] - '0'), &sum);
	}
	if (overflow)
		return E_RANGE;
	*value = sum;
	return 0;
}

int str_to_i64(struct str s, int64_t *value)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t magnitude;
	int err;

	err = str_to_u64(negative ? str_skip(s, 1) : s, &magnitude);
	if (err)
		return err;
	if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return E_RANGE;
	*value = (int64_t)(negative ? 0 - magnitude : magnitude);
	return 0;
}

char *str_dup(struct str s)
{
	char *copy;

	if (s.n == SIZE_MAX)
		return NULL;
	copy = mem_try_resize(NULL, s.n + 1);
	if (!copy)
		return NULL;
	if (s.n)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

int str_copy(struct str s, char *out, size_t cap)
{
	if (cap == 0)
		return E_TOOBIG;
	out[0] = '\0';
	if (s.n >= cap)
		return E_TOOBIG;
	if (s.n)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return 0;
}
