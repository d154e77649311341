/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bus/bus_fault.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"

#define REORDER_MOST_MS 50u
#define DELAY_LIMIT_MS 60000u
#define ITEMS 5u

struct bus_fault {
	struct bus_fault_rates rates;
	bus_fault_send_fn send;
	uint64_t random;
	struct list late, overtaken; /* struct kept */
	size_t kept_count;
	struct bus_fault_counts counts;
};

struct kept {
	struct list node; /* on fault->late or fault->overtaken */
	struct bus_fault *fault;
	struct svc *svc;
	void *to;
	struct wheel_timer timer;
	size_t frame_count;
	struct str frames[]; /* their bytes lie behind the last one */
};

/* ── what is asked for ── */

static bool read_rate(struct str s, uint32_t *rate)
{
	char text[32], *end;
	double value;

	if (s.n == 0 || !((*s.p >= '0' && *s.p <= '9') || *s.p == '.') ||
	    str_copy(s, text, sizeof(text)))
		return false;
	errno = 0;
	value = strtod(text, &end);
	if (errno || *end || !(value >= 0 && value <= 1))
		return false;
	*rate = (uint32_t)(value * BUS_FAULT_PER_RATE + 0.5);
	return true;
}

static bool read_delay(struct str s, struct bus_fault_rates *r)
{
	struct str rate, span, from, to;
	uint64_t min, max;

	if (!str_cut(s, ':', &rate, &span) || !read_rate(rate, &r->delay) ||
	    !str_cut(span, '-', &from, &to) || str_to_u64(from, &min) || str_to_u64(to, &max) ||
	    min < 1 || min > max || max > DELAY_LIMIT_MS)
		return false;
	r->delay_min_ms = (uint32_t)min;
	r->delay_max_ms = (uint32_t)max;
	return true;
}

static const char *read_item(struct str key, struct str value, struct bus_fault_rates *r)
{
	static const char rate_wanted[] = "a rate is a number from 0 to 1";

	if (str_is(key, "drop"))
		return read_rate(value, &r->drop) ? NULL : rate_wanted;
	if (str_is(key, "double"))
		return read_rate(value, &r->twice) ? NULL : rate_wanted;
	if (str_is(key, "reorder"))
		return read_rate(value, &r->reorder) ? NULL : rate_wanted;
	if (str_is(key, "delay"))
		return read_delay(value, r)
			       ? NULL
			       : "delay is RATE:MIN-MAX, in milliseconds from 1 to 60000";
	if (str_is(key, "seed"))
		return str_to_u64(value, &r->seed) ? "seed is a whole number" : NULL;
	return "an item is drop=, double=, delay=, reorder= or seed=";
}

int bus_fault_read(struct str spec, struct bus_fault_rates *rates, const char **why)
{
	struct str seen[ITEMS], item, key, value;
	size_t count = 0;

	*rates = (struct bus_fault_rates){ .seed = 1 };
	*why = NULL;
	while (!*why && conf_list_next(&spec, &item)) {
		if (!str_cut(item, '=', &key, &value))
			key = item, value = STR_NONE;
		for (size_t i = 0; i < count && !*why; i++)
			if (str_eq(seen[i], key))
				*why = "an item is there twice";
		if (!*why)
			*why = read_item(key, value, rates);
		if (count < ITEMS)
			seen[count++] = key;
	}
	return *why ? E_CONFIG : 0;
}

/* ── what happens ── */

/* splitmix64 (Steele, Lea, Flood 2014): the same seed, the same sequence */
static uint64_t draw(struct bus_fault *f)
{
	uint64_t x = f->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static bool hits(struct bus_fault *f, uint32_t rate)
{
	return rate && draw(f) % BUS_FAULT_PER_RATE < rate;
}

static void free_kept(struct kept *k)
{
	svc_cancel(k->svc, &k->timer);
	list_remove(&k->node);
	k->fault->kept_count--;
	mem_free(k);
}

static void let_go(struct kept *k)
{
	if (k->fault->send(k->to, k->frames, k->frame_count))
		log_debug("fault", "a late message could not be sent");
	free_kept(k);
}

static void on_timer(struct wheel_timer *timer)
{
	let_go(CONTAINER_OF(timer, struct kept, timer));
}

static struct kept *copy(const struct str *frames, size_t frame_count)
{
	size_t bytes = sizeof(struct kept) + frame_count * sizeof(struct str);
	struct kept *k;
	char *at;

	for (size_t i = 0; i < frame_count; i++)
		bytes += frames[i].n;
	k = mem_try(bytes);
	if (!k)
		return NULL;
	at = (char *)(k->frames + frame_count);
	k->frame_count = frame_count;
	for (size_t i = 0; i < frame_count; i++) {
		if (frames[i].n)
			memcpy(at, frames[i].p, frames[i].n);
		k->frames[i] = str_make(at, frames[i].n);
		at += frames[i].n;
	}
	return k;
}

static bool keep(struct bus_fault *f, struct list *where, struct svc *svc, void *to,
		 const struct str *frames, size_t frame_count, uint64_t ms)
{
	struct kept *k = f->kept_count < BUS_FAULT_KEPT_MAX ? copy(frames, frame_count) : NULL;

	if (!k)
		return false;
	k->fault = f;
	k->svc = svc;
	k->to = to;
	wheel_timer_init(&k->timer, on_timer);
	list_append(where, &k->node);
	f->kept_count++;
	svc_arm(svc, &k->timer, clock_ms() + ms);
	return true;
}

static void let_go_overtaken(struct bus_fault *f, const void *to)
{
	LIST_EACH(&f->overtaken, node, next) {
		struct kept *k = CONTAINER_OF(node, struct kept, node);

		if (k->to == to)
			let_go(k);
	}
}

int bus_fault_pass(struct bus_fault *f, struct svc *svc, void *to, const struct str *frames,
		   size_t frame_count)
{
	const struct bus_fault_rates *r = &f->rates;
	uint64_t span = r->delay_max_ms - r->delay_min_ms + 1;
	int err;

	if (hits(f, r->drop)) {
		f->counts.dropped++;
		return 0;
	}
	if (hits(f, r->delay) &&
	    keep(f, &f->late, svc, to, frames, frame_count, r->delay_min_ms + draw(f) % span)) {
		f->counts.delayed++;
		return 0;
	}
	if (hits(f, r->reorder) &&
	    keep(f, &f->overtaken, svc, to, frames, frame_count, REORDER_MOST_MS)) {
		f->counts.reordered++;
		return 0;
	}
	err = f->send(to, frames, frame_count);
	if (err)
		return err;
	f->counts.passed++;
	if (hits(f, r->twice) && f->send(to, frames, frame_count) == 0)
		f->counts.doubled++;
	let_go_overtaken(f, to);
	return 0;
}

static void forget(struct list *kept, const void *to)
{
	LIST_EACH(kept, node, next) {
		struct kept *k = CONTAINER_OF(node, struct kept, node);

		if (k->to == to)
			free_kept(k);
	}
}

void bus_fault_forget(struct bus_fault *f, const void *to)
{
	forget(&f->late, to);
	forget(&f->overtaken, to);
}

const struct bus_fault_counts *bus_fault_counts(const struct bus_fault *f)
{
	return &f->counts;
}

struct bus_fault *bus_fault_new(const struct bus_fault_rates *rates, bus_fault_send_fn send)
{
	struct bus_fault *f = mem_need(sizeof(*f));

	f->rates = *rates;
	f->random = rates->seed;
	f->send = send;
	list_init(&f->late);
	list_init(&f->overtaken);
	return f;
}

void bus_fault_free(struct bus_fault **fault)
{
	if (*fault)
		mem_free(*fault);
	*fault = NULL;
}

/* ── builds that inject faults ── */

#ifdef ROOMWIRE_FAULTS
#include <stdio.h>
#include <unistd.h>

static struct bus_fault_rates asked_for;
static bool is_asked_for;

/* Before main: whoever mistypes it must not believe that faults were survived. */
__attribute__((constructor)) static void read_environment(void)
{
	const char *spec = getenv("ROOMWIRE_FAULTS"), *why;

	if (!spec || !*spec)
		return;
	is_asked_for = true;
	if (bus_fault_read(str_of(spec), &asked_for, &why) == 0)
		return;
	fprintf(stderr, "ROOMWIRE_FAULTS=%s: %s\n", spec, why);
	_exit(2);
}

struct bus_fault *bus_fault_of_process(bus_fault_send_fn send)
{
	static struct bus_fault *fault; /* for the life of the process */

	if (!fault && is_asked_for) {
		fault = bus_fault_new(&asked_for, send);
		log_warn("fault", "messages are lost, doubled and delayed on purpose",
			 KV_Z("ROOMWIRE_FAULTS", getenv("ROOMWIRE_FAULTS")));
	}
	return fault;
}
#endif
