/* SPDX-License-Identifier: Apache-2.0 */
/* Options from all their sources. Each remembers the strength of its source, so the profile's settings can come last. */
#include <stdio.h>
#include <unistd.h>

#include "common/log/log.h"
#include "common/profile/profile.h"
#include "common/svc/svc_process.h"

static int load_sets(struct svc_process *p, const struct svc_args *args, struct buf *errors)
{
	int err = 0;

	for (size_t i = 0; i < args->set_count; i++) {
		struct str key, value;

		if (!str_cut(str_of(args->sets[i]), '=', &key, &value)) {
			buf_addf(errors, "--set: found \"%s\", allowed: KEY=VALUE\n",
				 args->sets[i]);
			err = E_CONFIG;
		} else if (conf_set(&p->svc.conf, "--set", key, value, errors)) {
			err = E_CONFIG;
		}
	}
	if (args->profile &&
	    conf_set(&p->svc.conf, "--profile", STR("profile"), str_of(args->profile), errors))
		err = E_CONFIG;
	return err;
}

static int load_profile(struct svc_process *p, struct buf *errors)
{
	struct conf *c = &p->svc.conf;
	struct profile *profile;
	char where[4096 + 16];
	int err;

	if (!c->profile[0]) {
		buf_addz(errors, "profile: found nothing, allowed: a name or a .yaml file, by "
				 "--profile, PROFILE or the config file\n");
		return E_CONFIG;
	}
	err = profile_load(c->profile, errors, &profile);
	if (err)
		return err;
	p->svc.profile = profile;
	snprintf(where, sizeof(where), "%s: settings", profile->path);
	for (uint32_t i = 0; i < profile->setting_count; i++)
		if (conf_set_from(c, CONF_PROFILE, where, str_of(profile->settings[i].key),
				  str_of(profile->settings[i].value), errors))
			err = E_CONFIG;
	if (conf_load_port_env(c, profile->port_env, errors))
		err = E_CONFIG;
	return err;
}

static void set_instance(struct svc_process *p)
{
	if (p->svc.conf.instance[0])
		snprintf(p->instance, sizeof(p->instance), "%s", p->svc.conf.instance);
	else
		snprintf(p->instance, sizeof(p->instance), "%s-%ld", p->svc.spec->name,
			 (long)getpid());
	p->svc.instance = p->instance;
}

static void set_log_level(const char *name)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	for (int i = LOG_DEBUG; i <= LOG_ERROR; i++)
		if (strcmp(name, names[i]) == 0)
			log_threshold = (enum log_level)i;
}

int svc_conf_load(struct svc_process *p, const struct svc_args *args, struct buf *errors)
{
	struct conf *c = &p->svc.conf;
	int err = 0;

	if (args->config && conf_load_file(c, args->config, errors))
		err = E_CONFIG;
	if (conf_load_env(c, errors))
		err = E_CONFIG;
	if (load_sets(p, args, errors))
		err = E_CONFIG;
	if (p->svc.spec->wants_profile && load_profile(p, errors))
		err = E_CONFIG;
	set_instance(p);
	set_log_level(c->log_level);
	return err;
}

void svc_conf_free(struct svc_process *p)
{
	if (p->svc.profile)
		profile_free(&p->svc.profile);
	conf_fini(&p->svc.conf);
}
