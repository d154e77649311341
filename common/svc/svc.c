/* SPDX-License-Identifier: Apache-2.0 */
/* svc_main reads as the order of a process's life; each step is a file of its own. */
#include "common/svc/svc.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/svc/svc_process.h"

#define ERRORS_MAX_BYTES (256u << 10)
#define PAGE_MAX_BYTES (1u << 20)

static void name_process(struct svc_process *p)
{
	snprintf(p->title, sizeof(p->title), "roomwire-%s", p->svc.spec->name);
	snprintf(p->instance, sizeof(p->instance), "%s", p->svc.spec->name);
	p->svc.instance = p->instance;
	prctl(PR_SET_NAME, p->title, 0, 0, 0); /* the kernel cuts it at 15 characters */
	signal(SIGPIPE, SIG_IGN);
	log_open(p->instance);
}

static int print_page(struct buf *page, FILE *to, int exit_code)
{
	if (fwrite(page->p, 1, page->n, to) != page->n || fflush(to) != 0)
		exit_code = SVC_EXIT_FAILED; /* a full disk, a closed pipe */
	buf_fini(page);
	return exit_code;
}

static int print_errors(const struct svc_process *p, struct buf *errors)
{
	struct str rest = buf_str(errors), line;

	while (rest.n) {
		str_cut(rest, '\n', &line, &rest);
		fprintf(stderr, "%s: " STR_FMT "\n", p->title, STR_ARG(line));
	}
	buf_fini(errors);
	return SVC_EXIT_CONFIG;
}

/* Options that print and end. True when the process is done; *exit_code is set then. */
static bool only_prints(struct svc_process *p, const struct svc_args *args, int *exit_code)
{
	struct buf page = BUF_INIT(PAGE_MAX_BYTES);

	if (args->help)
		svc_args_help(p, &page);
	else if (args->version)
		svc_args_version(p, &page);
	else if (args->print_config)
		conf_print(&p->svc.conf, p->svc.spec->user, &page);
	else if (args->check)
		buf_addf(&page, "%s: the configuration is good\n", p->title);
	else
		return false;
	*exit_code = print_page(&page, stdout, SVC_EXIT_OK);
	return true;
}

static int open_all(struct svc_process *p)
{
	struct svc *svc = &p->svc;
	int err;

	if ((err = svc_limits_supervised(p)) != 0)
		return err;
	svc_limits_apply(p);
	if ((err = svc_loop_open(p)) != 0 || (err = svc_signal_open(p)) != 0 ||
	    (err = svc_watchdog_open(p)) != 0 || (err = svc_http_open(p)) != 0)
		return err;
	if ((err = svc->spec->start(svc, svc->self)) != 0)
		return err;
	log_info("svc", "up", KV_Z("process", p->title), KV_I("pid", getpid()),
		 KV_Z("profile", svc->conf.profile), KV_Z("libuv", uv_version_string()));
	svc_health_open(p);
	return 0;
}

static int run(struct svc_process *p)
{
	static uv_loop_t loop;
	int err;

	if (uv_loop_init(&loop) != 0)
		return SVC_EXIT_FAILED;
	p->svc.loop = &loop;
	clock_tick();
	p->started_ms = clock_ms();
	err = open_all(p);
	if (err) {
		/* Nothing has been promised to anybody yet: the kernel cleans up. */
		log_error("svc", "could not start", KV_ERR(err));
		svc_watchdog_close(p);
		return err == E_CONFIG ? SVC_EXIT_CONFIG : SVC_EXIT_FAILED;
	}
	svc_loop_run(p);
	log_info("svc", "ended", KV_I("exit_code", p->exit_code));
	return p->exit_code;
}

int svc_main(int argc, char **argv, const struct svc_spec *spec, void *self)
{
	static struct svc_process
		process; /* the only one; what a failed start leaves stays reachable */
	struct svc_process *p = &process;
	struct buf errors = BUF_INIT(ERRORS_MAX_BYTES);
	struct svc_args args;
	int exit_code, err;

	*p = (struct svc_process){ .svc = { .spec = spec, .self = self }, .notify_fd = -1 };
	name_process(p);
	err = svc_args_parse(&args, argc, argv, &errors);
	if (err)
		return print_errors(p, &errors);
	if ((args.help || args.version) && only_prints(p, &args, &exit_code))
		return exit_code;
	conf_init(&p->svc.conf);
	err = svc_conf_load(p, &args, &errors);
	log_open(p->svc.instance);
	if (err)
		exit_code = print_errors(p, &errors);
	else if (!only_prints(p, &args, &exit_code))
		exit_code = run(p);
	svc_conf_free(p);
	return exit_code;
}
