/* SPDX-License-Identifier: Apache-2.0 */
#include "services/roomwire/up.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/log/log.h"
#include "common/profile/profile.h"

#define BACKOFF_FIRST_MS 20u
#define BACKOFF_MOST_MS 5000u
#define BACKOFF_FROM 5u /* quick deaths in a row that are forgiven */
#define STEADY_MS 2000u /* a child that lived so long is started again at once */
#define DRAIN_CHECK_MS 10u

static const char *const kind_names[CHILD_KINDS] = { "auth", "router", "ingest", "edge" };

static struct up up_state = { .run_fd = -1, .port_fd = -1, .api_fd = -1 };

static bool all_serving(const struct up *up)
{
	for (int i = 0; i < up->child_count; i++)
		if (up->children[i].kind == CHILD_EDGE && !up->children[i].serving)
			return false;
	return up->api_told;
}

void up_on_word(struct child *c, struct str word, int port)
{
	struct up *up = c->up;

	if (str_is(word, "ops")) {
		printf("roomwire: ops %s %d http://%s:%d\n", c->name, c->pid,
		       args_host(up->svc->conf.ops_host), port);
		up_state_write(up);
	} else if (str_is(word, "serving")) {
		c->serving = true;
	} else if (str_is(word, "api") && !up->api_told) {
		up->api_told = true;
		printf("roomwire: api http://%s:%d\n", args_host(up->svc->conf.api_host), port);
	}
	if (!up->ready && all_serving(up)) {
		up->ready = true;
		printf("roomwire: ready on http://%s:%d\n", args_host(up->host), up->port);
		if (up->demo)
			demo_print(up);
		svc_notify(up->svc, "serving", up->port);
	}
	fflush(stdout);
}

static void on_restart(struct wheel_timer *timer)
{
	struct child *c = CONTAINER_OF(timer, struct child, timer);

	if (!c->up->ending && child_start(c))
		svc_arm(c->up->svc, timer, clock_ms() + BACKOFF_MOST_MS);
}

void up_on_exit(struct child *c, int64_t status, int signum)
{
	struct up *up = c->up;
	uint64_t now = clock_ms();

	if (up->ending) {
		if (!child_any_running(up))
			svc_drained(up->svc);
		return;
	}
	if (status == EXIT_CONFIG && !signum) {
		log_error("up",
			  "a process says that its configuration is wrong (see above): ending",
			  KV_Z("name", c->name));
		svc_fail(up->svc, EXIT_CONFIG);
		return;
	}
	up_state_write(up);
	c->quick_deaths = now - c->started_ms > STEADY_MS ? 0 : c->quick_deaths + 1;
	c->backoff_ms = BACKOFF_FIRST_MS;
	for (unsigned i = BACKOFF_FROM; i < c->quick_deaths && c->backoff_ms < BACKOFF_MOST_MS; i++)
		c->backoff_ms *= 2;
	log_warn("up", "a process has ended and is started again", KV_Z("name", c->name),
		 KV_I("status", status), KV_I("signal", signum), KV_U("in_ms", c->backoff_ms));
	svc_arm(up->svc, &c->timer, now + c->backoff_ms);
}

/* ── start ── */

static int find_places(struct up *up)
{
	const char *tmp = getenv("TMPDIR");
	ssize_t n = readlink("/proc/self/exe", up->bin_dir, sizeof(up->bin_dir) - 1);
	char *slash;

	if (n <= 0)
		return E_IO;
	up->bin_dir[n] = '\0';
	slash = strrchr(up->bin_dir, '/');
	if (slash)
		*slash = '\0';
	/* A Unix socket's path has 107 bytes at most. */
	snprintf(up->run_dir, sizeof(up->run_dir), "%s/roomwire-XXXXXX",
		 tmp && tmp[0] && strlen(tmp) < 70 ? tmp : "/tmp");
	if (!mkdtemp(up->run_dir)) {
		log_error("up", "no private folder can be made: set TMPDIR",
			  KV_Z("path", up->run_dir), KV_Z("reason", strerror(errno)));
		up->run_dir[0] = '\0';
		return E_IO;
	}
	if (up_state_open(up))
		log_warn("up",
			 "the private folder cannot be locked: `roomwire top` will not find these "
			 "processes",
			 KV_Z("path", up->run_dir));
	return 0;
}

static int port_taken(const char *what, int port, const char *allowed)
{
	char message[256];

	snprintf(message, sizeof(message), "%s %d is in use: stop what listens there, or set %s",
		 what, port, allowed);
	log_error("up", message);
	return E_CONFIG;
}

static int choose_ports(struct up *up)
{
	const struct conf *conf = &up->svc->conf;
	const char *port_env = up->svc->profile->port_env;
	int wanted_api = (int)conf->api_port;

	/* On one machine for itself: only this machine reaches it, unless HOST says otherwise. */
	snprintf(up->host, sizeof(up->host), "%s",
		 conf_given(conf, "host") ? conf->host : "127.0.0.1");
	if (!conf->port && !wanted_api) {
		if (ports_reserve_pair(up->host, conf->api_host, &up->port, &up->port_fd,
				       &up->api_port, &up->api_fd) == 0)
			return 0;
		log_error("up",
			  "no free port is to be had: are HOST and API_HOST addresses of this "
			  "machine?",
			  KV_Z("host", up->host), KV_Z("api_host", conf->api_host));
		return E_CONFIG;
	}
	if (ports_reserve(up->host, (int)conf->port, &up->port, &up->port_fd))
		return port_taken("port", (int)conf->port, port_env ? port_env : "PORT");
	if (!wanted_api)
		wanted_api = up->port + 1;
	if (ports_reserve(conf->api_host, wanted_api, &up->api_port, &up->api_fd))
		return port_taken("port of the publish API", wanted_api, "API_PORT");
	return 0;
}

static int add_child(struct up *up, enum child_kind kind, int number)
{
	struct child *c = &up->children[up->child_count];
	const struct conf *conf = &up->svc->conf;
	int wanted = conf->ops_port_base ? (int)conf->ops_port_base + up->child_count : 0;

	c->up = up;
	c->kind = kind;
	snprintf(c->name, sizeof(c->name), "%s-%d", kind_names[kind], number);
	wheel_timer_init(&c->timer, on_restart);
	c->ops_fd = -1;
	if (ports_reserve(conf->ops_host, wanted, &c->ops_port, &c->ops_fd))
		return port_taken("operations port", wanted, "OPS_PORT_BASE");
	up->child_count++;
	return 0;
}

static int up_start(struct svc *svc, void *self)
{
	struct up *up = self;
	int err;

	up->svc = svc;
	err = find_places(up);
	if (!err && up->demo)
		err = demo_prepare(up);
	if (!err && svc->profile->token_required && strcmp(svc->conf.auth_mode, "local") == 0 &&
	    !svc->conf.jwt_secret[0]) {
		log_error("up", "JWT_SECRET: found nothing, allowed: the secret that tokens are "
				"signed with (or --demo, which makes one up)");
		err = E_CONFIG;
	}
	if (!err)
		err = choose_ports(up);
	for (int kind = 0; kind < CHILD_KINDS && !err; kind++)
		for (int i = 0; i < up->counts[kind] && !err; i++)
			err = add_child(up, (enum child_kind)kind, i);
	for (int i = 0; i < up->child_count && !err; i++)
		err = child_start(&up->children[i]);
	if (!err)
		up_state_write(up);
	return err;
}

/* ── end ── */

static void up_drain(struct svc *svc, void *self)
{
	struct up *up = self;

	up->ending = true;
	for (int i = 0; i < up->child_count; i++) {
		svc_cancel(svc, &up->children[i].timer);
		child_signal(&up->children[i], SIGTERM);
	}
	if (!child_any_running(up))
		svc_drained(svc);
}

static int on_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void up_stop(struct svc *svc, void *self)
{
	struct up *up = self;

	up->ending = true;
	for (int i = 0; i < up->child_count; i++) {
		struct child *c = &up->children[i];

		svc_cancel(svc, &c->timer);
		child_signal(
			c,
			SIGKILL); /* the drain had its time; the exit handlers run before the loop ends */
		if (c->ops_fd >= 0)
			close(c->ops_fd);
	}
	if (up->port_fd >= 0)
		close(up->port_fd);
	if (up->api_fd >= 0)
		close(up->api_fd);
	if (up->run_dir[0])
		nftw(up->run_dir, on_file, 8, FTW_DEPTH | FTW_PHYS);
	if (up->run_fd >= 0)
		close(up->run_fd);
}

static const struct svc_need needs[] = { { NULL, NULL } };

static const struct svc_spec spec = {
	.name = "up",
	.job = "starts the processes on this machine and keeps them running",
	.user = CONF_CTL,
	.wants_profile = true,
	.needs = needs,
	.start = up_start,
	.drain = up_drain,
	.stop = up_stop,
};

/* ── words of its own; the rest is svc's ── */

static int take_count(const char *name, const char *value, int most, int *count)
{
	uint64_t n;
	char allowed[64];

	if (str_to_u64(str_of(value), &n) == 0 && n >= 1 && n <= (uint64_t)most) {
		*count = (int)n;
		return 0;
	}
	snprintf(allowed, sizeof(allowed),
		 most == 1 ? "1 (more come with a later version)" : "1 to %d", most);
	args_wrong(name, value, allowed);
	return E_CONFIG;
}

int up_run(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum child_kind kind;
		int most;
	} counts[] = {
		{ "--edges", CHILD_EDGE, 16 },
		{ "--routers", CHILD_ROUTER, 16 },
		{ "--auths", CHILD_AUTH, 16 },
		{ "--ingests", CHILD_INGEST, 16 },
	};
	struct up *up = &up_state;
	static const char *sets[64];
	char **rest = calloc((size_t)argc + 2, sizeof(*rest));
	int n = 0, code;

	for (int kind = 0; kind < CHILD_KINDS; kind++)
		up->counts[kind] = 1;
	up->sets = sets;
	if (!rest)
		return EXIT_FAILED;
	rest[n++] = argv[0];
	for (int i = 1; i < argc; i++) {
		const char *value;
		bool taken = false;

		for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]) && !taken; k++) {
			taken = args_value(argc, argv, &i, counts[k].name, &value);
			if (taken && take_count(counts[k].name, value, counts[k].most,
						&up->counts[counts[k].kind]))
				exit(EXIT_CONFIG);
		}
		if (taken)
			continue;
		if (strcmp(argv[i], "--demo") == 0) {
			up->demo = true;
			continue;
		}
		if (strcmp(argv[i], "--config") == 0 && i + 1 < argc)
			up->config = argv[i + 1];
		if (strcmp(argv[i], "--set") == 0 && i + 1 < argc && up->set_count < 64)
			sets[up->set_count++] = argv[i + 1];
		rest[n++] = argv[i];
	}
	code = svc_main(n, rest, &spec, up);
	free(rest);
	return code;
}
