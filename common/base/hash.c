/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/hash.h"

#include <endian.h>

#include "common/base/rnd.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline uint64_t load64(const void *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

static inline void sip_rounds(struct sip *s, int count)
{
	while (count-- > 0) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate(s->v1, 13) ^ s->v0;
		s->v3 = rotate(s->v3, 16) ^ s->v2;
		s->v0 = rotate(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate(s->v1, 17) ^ s->v2;
		s->v3 = rotate(s->v3, 21) ^ s->v0;
		s->v2 = rotate(s->v2, 32);
	}
}

static inline void sip_word(struct sip *s, uint64_t word, int rounds)
{
	s->v3 ^= word;
	sip_rounds(s, rounds);
	s->v0 ^= word;
}

static inline uint64_t sip(uint64_t k0, uint64_t k1, struct str in, int word_rounds,
			   int final_rounds)
{
	struct sip s = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	const char *p = in.p;
	size_t left = in.n;
	uint64_t last = (uint64_t)in.n << 56;

	for (; left >= 8; left -= 8, p += 8)
		sip_word(&s, load64(p), word_rounds);
	while (left-- > 0)
		last |= (uint64_t)(unsigned char)p[left] << (8 * left);
	sip_word(&s, last, word_rounds);
	s.v2 ^= 0xff;
	sip_rounds(&s, final_rounds);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static uint64_t process_key[2];

/* Before main(): later there is nothing to check, on any thread. */
__attribute__((constructor)) static void make_process_key(void)
{
	rnd_bytes(process_key, sizeof(process_key));
}

uint64_t hash_keyed(struct str s)
{
	return sip(process_key[0], process_key[1], s, 1, 3);
}

uint64_t hash_sip24(const uint8_t key[16], struct str s)
{
	return sip(load64(key), load64(key + 8), s, 2, 4);
}

/* The keys (fraction of pi) are part of the format of event ids: never to be changed. */
void hash_stable128(struct str s, uint64_t out[2])
{
	out[0] = hash_stable64(s);
	out[1] = sip(UINT64_C(0xa4093822299f31d0), UINT64_C(0x082efa98ec4e6c89), s, 2, 4);
}

uint64_t hash_stable64(struct str s)
{
	return sip(UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344), s, 2, 4);
}
