/* SPDX-License-Identifier: Apache-2.0 */
/* Is a file good? A profile is told from a file of options by its keys. */
#include <stdio.h>

#include "common/profile/profile.h"
#include "services/roomwire/roomwire.h"

#define FILE_MOST (4u << 20)

static bool begins_a_profile(const char *line)
{
	static const char *const keys[] = { "namespaces:", "dialect:",  "auth:",   "checks:",
					    "ingest:",     "settings:", "failure:" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strncmp(line, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

static int is_profile(const char *path, bool *yes, bool *empty)
{
	char line[4096];
	FILE *f = fopen(path, "r");

	if (!f)
		return E_NOTFOUND;
	*yes = false;
	*empty = true;
	while (fgets(line, sizeof(line), f)) {
		*empty = *empty && line[strspn(line, " \t\r\n")] == '\0';
		*yes = *yes || begins_a_profile(line);
	}
	fclose(f);
	return 0;
}

static int check_options(const char *path, struct buf *errors)
{
	struct profile *profile = NULL;
	struct conf c;
	int err;

	conf_init(&c);
	err = conf_load_file(&c, path, errors);
	if (!err && c.profile[0])
		err = profile_load(c.profile, errors, &profile);
	if (profile)
		profile_free(&profile);
	conf_fini(&c);
	return err;
}

static int check_profile(const char *path, struct buf *errors)
{
	struct profile *profile = NULL;
	char as_path[4100];
	struct conf c;
	int err;

	/* A bare word would be taken for the name of a shipped profile. */
	snprintf(as_path, sizeof(as_path), "%s%s", strchr(path, '/') ? "" : "./", path);
	err = profile_load(as_path, errors, &profile);
	conf_init(&c);
	for (uint32_t i = 0; profile && i < profile->setting_count; i++)
		if (conf_set(&c, path, str_of(profile->settings[i].key),
			     str_of(profile->settings[i].value), errors))
			err = E_CONFIG;
	conf_fini(&c);
	if (profile)
		profile_free(&profile);
	return err;
}

int check_run(int argc, char **argv)
{
	struct buf errors = BUF_INIT(1u << 20);
	bool profile, empty;
	int err;

	if (argc != 2 || argv[1][0] == '-') {
		args_wrong("check", argc > 1 ? argv[1] : NULL, "the path of one .yaml file");
		return EXIT_CONFIG;
	}
	if (is_profile(argv[1], &profile, &empty)) {
		fprintf(stderr, "%s: cannot be read: name an existing file\n", argv[1]);
		return EXIT_CONFIG;
	}
	if (empty) {
		fprintf(stderr,
			"%s:1: found nothing, allowed: a profile or options (docs/profiles.md, "
			"docs/config.md)\n",
			argv[1]);
		return EXIT_CONFIG;
	}
	err = profile ? check_profile(argv[1], &errors) : check_options(argv[1], &errors);
	if (errors.n)
		fprintf(stderr, STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	if (err)
		return EXIT_CONFIG;
	printf("%s: good (%s)\n", argv[1], profile ? "a profile" : "options");
	return 0;
}

int schema_run(int argc, char **argv)
{
	struct buf out = BUF_INIT(1u << 20);

	(void)argv;
	if (argc != 1) {
		args_wrong("schema", argv[1], "nothing behind it");
		return EXIT_CONFIG;
	}
	profile_schema(&out);
	if (out.n)
		printf(STR_FMT, STR_ARG(buf_str(&out)));
	buf_fini(&out);
	return 0;
}
