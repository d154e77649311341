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

int args_conf(const char *profile, struct conf *c)
{
	struct buf errors = BUF_INIT(1u << 16);
	struct profile *p = NULL;
	const char *port;
	int err = 0;

	conf_init(c);
	if (profile)
		err = profile_load(profile, &errors, &p);
	for (uint32_t i = 0; !err && p && i < p->setting_count; i++)
		err = conf_set(c, p->path, str_of(p->settings[i].key), str_of(p->settings[i].value),
			       &errors);
	if (conf_load_env(c, &errors))
		err = E_CONFIG;
	port = p && p->port_env ? getenv(p->port_env) : NULL;
	if (port && port[0] && conf_set(c, p->port_env, STR("port"), str_of(port), &errors))
		err = E_CONFIG;
	if (errors.n)
		fprintf(stderr, STR_FMT, STR_ARG(buf_str(&errors)));
	buf_fini(&errors);
	if (p)
		profile_free(&p);
	return err ? E_CONFIG : 0;
}
