/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "common/profile/profile.h"
#include "services/roomwire/roomwire.h"

void args_wrong(const char *what, const char *found, const char *allowed)
{
	fprintf(stderr, "%s: found %s%s%s, allowed: %s\n", what, found ? "\"" : "",
		found ? found : "nothing", found ? "\"" : "", allowed);
}

bool args_value(int argc, char **argv, int *i, const char *name, const char **value)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return false;
	if (argv[*i][n] == '=') {
		*value = argv[*i] + n + 1;
		return true;
	}
	if (argv[*i][n] != '\0')
		return false;
	if (*i + 1 >= argc) {
		args_wrong(name, NULL, "a value behind it");
		exit(EXIT_CONFIG);
	}
	*value = argv[++*i];
	return true;
}

static int load_profile(struct conf *c, struct profile **p, struct buf *errors)
{
	int err = profile_load(c->profile, errors, p);

	if (err)
		return err;
	for (uint32_t i = 0; i < (*p)->setting_count; i++)
		if (conf_set_from(c, CONF_PROFILE, (*p)->path, str_of((*p)->settings[i].key),
				  str_of((*p)->settings[i].value), errors))
			err = E_CONFIG;
	if (conf_load_port_env(c, (*p)->port_env, errors))
		err = E_CONFIG;
	return err;
}

int args_conf(const char *config, const char *profile, struct conf *c, struct profile **p)
{
	struct buf errors = BUF_INIT(1u << 16);
	int err = 0;

	conf_init(c);
	if (p)
		*p = NULL;
	if (config && conf_load_file(c, config, &errors))
		err = E_CONFIG;
	if (conf_load_env(c, &errors))
		err = E_CONFIG;
	if (profile && conf_set(c, "--profile", STR("profile"), str_of(profile), &errors))
		err = E_CONFIG;
	if (p && c->profile[0] && load_profile(c, p, &errors))
		err = E_CONFIG;
	if (err && p)
		profile_free(p);
	if (errors.n)
		fprintf(stderr, STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	return err ? E_CONFIG : 0;
}

const char *args_host(const char *host)
{
	return strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host;
}
