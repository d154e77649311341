/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"

#include <time.h>

#define MS_PER_DAY UINT64_C(86400000)
#define NS_PER_MS UINT64_C(1000000)
#define YEAR_9999_END_MS UINT64_C(253402300799999)

static uint64_t cached_ms;
static uint64_t fake_mono_ms, fake_wall_ms;

static uint64_t read_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t clock_ms(void)
{
	if (fake_mono_ms)
		return fake_mono_ms;
	if (cached_ms == 0)
		clock_tick();
	return cached_ms;
}

void clock_tick(void)
{
	cached_ms = read_ns(CLOCK_MONOTONIC) / NS_PER_MS;
	if (cached_ms == 0)
		cached_ms = 1;
}

void clock_expire(void)
{
	cached_ms = 0;
}

uint64_t clock_exact_ns(void)
{
	return fake_mono_ms ? fake_mono_ms * NS_PER_MS : read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ms(void)
{
	return fake_wall_ms ? fake_wall_ms : read_ns(CLOCK_REALTIME) / NS_PER_MS;
}

uint64_t clock_wall_us(void)
{
	return fake_wall_ms ? fake_wall_ms * 1000 : read_ns(CLOCK_REALTIME) / 1000;
}

void clock_fake(uint64_t mono_ms, uint64_t wall_ms)
{
	fake_mono_ms = mono_ms;
	fake_wall_ms = wall_ms;
}

struct date {
	unsigned year, month, day;
};

/* Days since 1970 to the Gregorian date, counting years from March so that the leap day is the last one. */
static struct date date_of(uint64_t days_since_1970)
{
	uint64_t days = days_since_1970 + 719468; /* since 0000-03-01 */
	uint64_t era = days / 146097;             /* of 400 years */
	uint64_t day_of_era = days % 146097;
	uint64_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint64_t march_month = (5 * day_of_year + 2) / 153;
	struct date date;

	date.day = (unsigned)(day_of_year - (153 * march_month + 2) / 5 + 1);
	date.month = (unsigned)(march_month < 10 ? march_month + 3 : march_month - 9);
	date.year = (unsigned)(year_of_era + era * 400 + (date.month <= 2));
	return date;
}

static char *put_digits(char *out, unsigned value, int width, char after)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		out[i] = (char)('0' + value % 10);
	out[width] = after;
	return out + width + 1;
}

void clock_iso(uint64_t wall_ms, char out[CLOCK_ISO_BYTES])
{
	unsigned ms_of_day;
	struct date date;

	if (wall_ms > YEAR_9999_END_MS)
		wall_ms = YEAR_9999_END_MS;
	date = date_of(wall_ms / MS_PER_DAY);
	ms_of_day = (unsigned)(wall_ms % MS_PER_DAY);
	out = put_digits(out, date.year, 4, '-');
	out = put_digits(out, date.month, 2, '-');
	out = put_digits(out, date.day, 2, 'T');
	out = put_digits(out, ms_of_day / 3600000, 2, ':');
	out = put_digits(out, ms_of_day / 60000 % 60, 2, ':');
	out = put_digits(out, ms_of_day / 1000 % 60, 2, '.');
	out = put_digits(out, ms_of_day % 1000, 3, 'Z');
	*out = '\0';
}
