/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/rnd.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/err.h"

#define POOL_BYTES 2048

/* Unused bytes are the last `left` ones; used ones are wiped, so that a memory leak later tells no earlier session id. */
static _Thread_local struct {
	unsigned char bytes[POOL_BYTES];
	size_t left;
} pool;

static pthread_once_t atfork_once = PTHREAD_ONCE_INIT;

static void read_kernel(void *out, size_t n)
{
	char *at = out;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		BUG_ON(got <= 0);
		at += got;
		n -= (size_t)got;
	}
}

/* A child that went on with its parent's pool would hand out the same ids. */
static void forget_pool(void)
{
	explicit_bzero(pool.bytes, sizeof(pool.bytes));
	pool.left = 0;
}

static void register_atfork(void)
{
	BUG_ON(pthread_atfork(NULL, NULL, forget_pool) != 0);
}

void rnd_bytes(void *out, size_t n)
{
	unsigned char *from;

	if (n > POOL_BYTES / 2) {
		read_kernel(out, n);
		return;
	}
	if (n > pool.left) {
		pthread_once(&atfork_once, register_atfork);
		read_kernel(pool.bytes, sizeof(pool.bytes));
		pool.left = sizeof(pool.bytes);
	}
	from = pool.bytes + sizeof(pool.bytes) - pool.left;
	memcpy(out, from, n);
	explicit_bzero(from, n);
	pool.left -= n;
}

uint64_t rnd_u64(void)
{
	uint64_t value;

	do
		rnd_bytes(&value, sizeof(value));
	while (value == 0);
	return value;
}

void rnd_id(char *out, size_t n)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	rnd_bytes(out, n);
	for (size_t i = 0; i < n; i++)
		out[i] = alphabet[(unsigned char)out[i] & 63];
}

/* Multiply and shift, refusing the few values that would make some results likelier (Lemire 2019). */
uint32_t rnd_below(uint32_t bound)
{
	uint32_t refuse_below;
	uint64_t product;

	BUG_ON(bound == 0);
	refuse_below = (0u - bound) % bound;
	do {
		uint32_t value;

		rnd_bytes(&value, sizeof(value));
		product = (uint64_t)value * bound;
	} while ((uint32_t)product < refuse_below);
	return (uint32_t)(product >> 32);
}
