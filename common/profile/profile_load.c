/* SPDX-License-Identifier: Apache-2.0 */
/* Find a profile's file, load it by its schema, compile it; and what is asked of a compiled profile. */
#include "common/profile/profile.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/adapt/adapt_yaml.h"
#include "common/base/mem.h"
#include "common/profile/compile.h"

static struct str ingest_type(const void *event)
{
	return ((const struct ingest_event *)event)->type;
}

/* ── where profiles are ── */

static bool is_path(const char *name)
{
	size_t n = strlen(name);

	return strchr(name, '/') || (n > 5 && !strcmp(name + n - 5, ".yaml"));
}

/* Whether DIR/NAME.yaml is there; its path. */
static bool try_dir(const char *dir, const char *below, const char *name, struct buf *tried,
		    char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s%s/%s.yaml", dir, below, name);

	if (n < 0 || n >= PATH_MAX)
		return false;
	if (access(path, R_OK) == 0)
		return true;
	buf_addf(tried, "%s%s%s", tried->n ? ", " : "", dir, below);
	return false;
}

static bool own_dir(char dir[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", dir, PATH_MAX - 1);
	char *slash;

	if (n <= 0)
		return false;
	dir[n] = 0;
	slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	return slash != NULL;
}

static int find_file(const char *name, char path[PATH_MAX], struct buf *errors)
{
	struct buf tried = BUF_INIT(3 * PATH_MAX);
	const char *given = getenv("ROOMWIRE_PROFILES");
	char dir[PATH_MAX];
	bool found;

	if (is_path(name)) {
		if (snprintf(path, PATH_MAX, "%s", name) < PATH_MAX)
			return 0;
		buf_addz(errors, "profile: found a path that is too long\n");
		return E_CONFIG;
	}
	found = given && *given && try_dir(given, "", name, &tried, path);
	found = found || try_dir("./profiles", "", name, &tried, path);
	if (!found && own_dir(dir))
		found = try_dir(dir, "/../profiles", name, &tried, path) ||
			try_dir(dir, "/../share/roomwire/profiles", name, &tried, path);
	if (!found)
		buf_addf(errors,
			 "profile: found no %s.yaml, allowed: the path of a .yaml file, or the "
			 "name of one in " STR_FMT "\n",
			 name, STR_ARG(buf_str(&tried)));
	buf_fini(&tried);
	return found ? 0 : E_CONFIG;
}

/* ── load ── */

/* Let resizes come to their end, so that lookups only read from now on. */
static void settle(struct map *m)
{
	size_t position = 0;

	(void)map_next(m, &position);
}

int profile_load_text(const char *file, struct str text, struct buf *errors,
		      struct profile **profile)
{
	struct profile *p;
	void *raw = NULL;
	int err = yaml_load(file, text, profile_raw_schema(), &raw, errors);

	*profile = NULL;
	if (err)
		return err;
	p = mem_need(sizeof(*p));
	map_init(&p->ingest.events, ingest_type);
	err = compile_profile(file, text, raw, p, errors);
	yaml_unload(profile_raw_schema(), &raw);
	for (uint32_t i = 0; i < p->nsp_count; i++)
		settle(&p->nsps[i].events);
	settle(&p->ingest.events);
	if (err)
		profile_free(&p);
	*profile = p;
	return err;
}

int profile_load(const char *name, struct buf *errors, struct profile **profile)
{
	struct buf text = BUF_INIT(YAML_MAX_BYTES);
	char path[PATH_MAX];
	int err;

	*profile = NULL;
	err = find_file(name, path, errors);
	if (!err)
		err = yaml_read(path, &text, errors);
	if (!err)
		err = profile_load_text(path, buf_str(&text), errors, profile);
	buf_fini(&text);
	return err;
}

void profile_free(struct profile **profile)
{
	struct profile *p = *profile;
	struct compile_owned *owned;

	if (!p)
		return;
	for (uint32_t i = 0; i < p->nsp_count; i++)
		map_fini(&p->nsps[i].events);
	map_fini(&p->ingest.events);
	owned = p->owned;
	compile_owned_free(&owned);
	mem_free(p);
	*profile = NULL;
}

/* ── questions ── */

const struct profile_nsp *profile_nsp_find(const struct profile *p, struct str name)
{
	for (uint32_t i = 0; i < p->nsp_count; i++)
		if (str_eq(p->nsps[i].name, name))
			return &p->nsps[i];
	return NULL;
}

const struct profile_check *profile_check_find(const struct profile *p, struct str name)
{
	for (uint32_t i = 0; i < p->check_count; i++)
		if (str_eq(p->checks[i].name, name))
			return &p->checks[i];
	return NULL;
}
