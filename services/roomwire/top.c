/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/top.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/profile/profile.h"
#include "services/roomwire/roomwire.h"

#define INTERVAL_MS 2000
#define INTERVAL_ONCE_MS 1000
#define INTERVAL_LEAST_MS 100
#define INTERVAL_MOST_MS 3600000
#define ANSWER_MS 1000 /* who has not answered by then is shown so */
#define PAGE_MOST (1u << 20)

struct top {
	bool once;
	int interval_ms; /* 0: not given */
	const char *profile, *config;
	struct top_wanted wanted;
	char wanted_profile[128];
	struct top_set asked;    /* of --ops */
	struct top_set set, old; /* of this round and the one before */
	struct top_answer answers[TOP_PROCESSES_MAX];
	struct top_sample now[TOP_PROCESSES_MAX], before[TOP_PROCESSES_MAX],
		last[TOP_PROCESSES_MAX];
};

/* ── options ── */

static int take_interval(struct top *top, const char *text)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end != '\0' || !(seconds * 1000 >= INTERVAL_LEAST_MS) ||
	    !(seconds * 1000 <= INTERVAL_MOST_MS)) {
		args_wrong("--interval", text, "0.1 to 3600 seconds");
		return E_CONFIG;
	}
	top->interval_ms = (int)(seconds * 1000);
	return 0;
}

static int take_ops(struct top *top, const char *text)
{
	struct top_process p = { .gateway = -1 };
	struct http_url url;

	if (top->asked.process_count == TOP_PROCESSES_MAX) {
		args_wrong("--ops", text, "256 of it at most");
		return E_CONFIG;
	}
	if (http_url_parse(text, &url)) {
		args_wrong("--ops", text, "http://HOST:PORT of a process's operations port");
		return E_CONFIG;
	}
	p.ops = url;
	snprintf(p.name, sizeof(p.name), "%.55s:%.7s", url.host, url.port);
	top->asked.processes[top->asked.process_count++] = p;
	return 0;
}

static int parse(struct top *top, int argc, char **argv)
{
	const char *value;
	int err = 0;

	for (int i = 1; i < argc && !err; i++) {
		if (strcmp(argv[i], "--once") == 0) {
			top->once = true;
		} else if (args_value(argc, argv, &i, "--interval", &value)) {
			err = take_interval(top, value);
		} else if (args_value(argc, argv, &i, "--ops", &value)) {
			err = take_ops(top, value);
		} else if (!args_value(argc, argv, &i, "--profile", &top->profile) &&
			   !args_value(argc, argv, &i, "--config", &top->config)) {
			args_wrong("top", argv[i],
				   "--once, --interval, --ops, --profile, --config");
			err = E_CONFIG;
		}
	}
	if (!err && top->asked.process_count && (top->profile || top->config)) {
		args_wrong("top", top->profile ? "--profile" : "--config",
			   "--ops, or --profile or --config, not both");
		err = E_CONFIG;
	}
	return err;
}

/* Which gateways are meant: of the profile, and on the port where one is set outside the profile. */
static int find_wanted(struct top *top)
{
	struct profile *profile = NULL;
	struct conf c;
	int err = args_conf(top->config, top->profile, &c, &profile);

	if (!err && profile) {
		snprintf(top->wanted_profile, sizeof(top->wanted_profile), "%s", profile->name);
		top->wanted.profile = top->wanted_profile;
	}
	if (!err && conf_given(&c, "port"))
		top->wanted.port = (int)c.port;
	profile_free(&profile);
	conf_fini(&c);
	return err;
}

static void tell_nothing_found(const struct top *top)
{
	static struct top_set all; /* large */
	static const struct top_wanted any;
	char port[32] = "";

	if (top->wanted.port)
		snprintf(port, sizeof(port), " on port %d", top->wanted.port);
	fprintf(stderr, "roomwire top: no `roomwire up`%s%s%s runs here as this user",
		top->wanted.profile ? " of profile " : "",
		top->wanted.profile ? top->wanted.profile : "", port);
	top_find(&any, &all);
	for (int i = 0; i < all.gateway_count; i++)
		fprintf(stderr, "%s%s on port %d",
			i ? ", " : " (there is: ", all.gateways[i].profile, all.gateways[i].port);
	fprintf(stderr, "%s: start one, or say where its processes are with --ops URL\n",
		all.gateway_count ? ")" : "");
}

/* ── rounds ── */

static void look(struct top *top)
{
	if (top->asked.process_count)
		top->set = top->asked;
	else
		top_find(&top->wanted, &top->set);
}

static const struct top_sample *sample_of(const struct top_set *set,
					  const struct top_sample *samples,
					  const struct top_process *p)
{
	static const struct top_sample none;

	for (int i = 0; i < set->process_count; i++)
		if (strcmp(set->processes[i].ops.host, p->ops.host) == 0 &&
		    strcmp(set->processes[i].ops.port, p->ops.port) == 0)
			return &samples[i];
	return &none;
}

/* Asks all; false: nobody answers. */
static bool ask(struct top *top)
{
	bool any = false;

	memcpy(top->last, top->now, sizeof(top->last));
	top_fetch(top->set.processes, top->set.process_count, ANSWER_MS, top->answers);
	for (int i = 0; i < top->set.process_count; i++) {
		const struct top_process *p = &top->set.processes[i];
		struct top_sample *now = &top->now[i];

		top->before[i] = *sample_of(&top->old, top->last, p);
		top_sample_read(&top->answers[i], p->name, now);
		if (!now->there && now->kind == TOP_OTHER && top->before[i].name[0]) {
			now->kind = top->before[i].kind; /* as what it was known */
			memcpy(now->name, top->before[i].name, sizeof(now->name));
		}
		any = any || now->there;
	}
	top->old = top->set;
	return any;
}

static void view(const struct top *top, int width, int height, const char *note, struct buf *page)
{
	struct top_view v = { .set = &top->set,
			      .before = top->before,
			      .now = top->now,
			      .wall_seconds = (double)clock_wall_ms() / 1000,
			      .width = width,
			      .height = height,
			      .note = note };

	buf_reset(page);
	top_view_print(&v, page);
}

static int run_once(struct top *top, struct buf *page)
{
	bool any;

	(void)ask(top);
	(void)poll(NULL, 0, top->interval_ms ? top->interval_ms : INTERVAL_ONCE_MS);
	look(top); /* who was started again has another pid */
	any = ask(top);
	view(top, 0, 0, NULL, page);
	if (page->failed || fwrite(page->p, 1, page->n, stdout) != page->n || fflush(stdout) != 0)
		return EXIT_FAILED;
	return any ? 0 : EXIT_FAILED;
}

static int run_live(struct top *top, struct buf *page)
{
	int interval_ms = top->interval_ms ? top->interval_ms : INTERVAL_MS, width, height, err;
	char note[160];

	top_screen_enter();
	do {
		uint64_t began_ms = clock_exact_ns() / 1000000, took_ms;

		look(top);
		(void)ask(top);
		top_screen_size(&width, &height);
		snprintf(note, sizeof(note), "roomwire top: %d process%s, every %g s; q ends%s",
			 top->set.process_count, top->set.process_count == 1 ? "" : "es",
			 interval_ms / 1000.0,
			 top->set.process_count ? "" : "; no `roomwire up` runs any more");
		view(top, width, height, note, page);
		err = page->failed ? page->failed : top_screen_draw(page);
		took_ms = clock_exact_ns() / 1000000 - began_ms;
		if (took_ms > (uint64_t)interval_ms)
			took_ms = (uint64_t)interval_ms;
		if (!err && !top_screen_wait(interval_ms - (int)took_ms))
			break;
	} while (!err);
	top_screen_leave();
	return err ? EXIT_FAILED : 0;
}

int top_run(int argc, char **argv)
{
	static struct top top; /* large */
	struct buf page = BUF_INIT(PAGE_MOST);
	int code;

	if (parse(&top, argc, argv) || (!top.asked.process_count && find_wanted(&top)))
		return EXIT_CONFIG;
	look(&top);
	if (!top.set.process_count) {
		tell_nothing_found(&top);
		return EXIT_FAILED;
	}
	code = top.once || !top_screen_is_terminal() ? run_once(&top, &page)
						     : run_live(&top, &page);
	for (int i = 0; i < TOP_PROCESSES_MAX; i++)
		top_answer_fini(&top.answers[i]);
	buf_fini(&page);
	return code;
}
