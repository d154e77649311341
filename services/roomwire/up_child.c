/* SPDX-License-Identifier: Apache-2.0 */
/* One process of ours: how it is started, what it says, how it ends. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/profile/profile.h"
#include "services/roomwire/up.h"

#define NOTIFY_FD 3

static const char *const programs[CHILD_KINDS] = { "roomwire-auth", "roomwire-router",
						   "roomwire-ingest", "roomwire-edge" };

static const char *const bind_names[CHILD_KINDS] = { "AUTH_BIND", "ROUTER_BIND", "INGEST_BIND",
						     "EDGE_BIND" };

/* ── what it gets: our environment, with the addresses of this machine's processes ── */

struct env {
	char *items[UP_ENV_MAX];
	int count;
};

static void set(struct env *env, const char *name, const char *value)
{
	size_t n = strlen(name);
	size_t bytes = n + strlen(value) + 2;
	char *item = mem_need(bytes);

	snprintf(item, bytes, "%s=%s", name, value);
	for (int i = 0; i < env->count; i++) {
		if (strncmp(env->items[i], name, n) == 0 && env->items[i][n] == '=') {
			mem_free(env->items[i]);
			env->items[i] = item;
			return;
		}
	}
	if (env->count < UP_ENV_MAX - 1)
		env->items[env->count++] = item;
	else
		mem_free(item);
}

static void set_number(struct env *env, const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	set(env, name, text);
}

/* "ipc://DIR/auth-0,ipc://DIR/auth-1" */
static void set_endpoints(struct env *env, const char *name, const struct up *up,
			  enum child_kind kind)
{
	struct buf list = BUF_INIT(1u << 16);

	for (int i = 0; i < up->child_count; i++)
		if (up->children[i].kind == kind)
			buf_addf(&list, "%sipc://%s/%s", list.n ? "," : "", up->run_dir,
				 up->children[i].name);
	buf_addc(&list, '\0');
	set(env, name, list.p);
	buf_fini(&list);
}

static void make_env(struct env *env, const struct child *c)
{
	const struct up *up = c->up;
	const struct conf *conf = &up->svc->conf;
	const char *port_env = up->svc->profile->port_env;
	char bind[512];

	for (char **e = environ; *e && env->count < UP_ENV_MAX - 32; e++)
		env->items[env->count++] = mem_need_dup(*e);
	set_endpoints(env, "AUTH_ENDPOINTS", up, CHILD_AUTH);
	set_endpoints(env, "ROUTER_ENDPOINTS", up, CHILD_ROUTER);
	set_endpoints(env, "INGEST_ENDPOINTS", up, CHILD_INGEST);
	snprintf(bind, sizeof(bind), "ipc://%s/%s", up->run_dir, c->name);
	set(env, bind_names[c->kind], bind);
	set(env, "EDGE_ENDPOINT", ""); /* where it is bound */
	set(env, "INSTANCE", c->name);
	set(env, "PROFILE", conf->profile);
	set(env, "HOST", up->host);
	set_number(env, "PORT", up->port);
	if (port_env)
		set_number(env, port_env, up->port);
	set_number(env, "API_PORT", up->api_port);
	set(env, "OPS_HOST", conf->ops_host);
	set_number(env, "OPS_PORT", c->ops_port);
	set_number(env, "ROOMWIRE_NOTIFY_FD", NOTIFY_FD);
	if (up->demo) {
		set(env, "JWT_SECRET", conf->jwt_secret);
		set(env, "API_KEY", conf->api_key);
		if (up->demo_dir[0])
			set(env, "DEMO_DIR", up->demo_dir);
	}
}

/* ── what it says ── */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct child *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init(c->line + c->line_bytes, (unsigned)(sizeof(c->line) - c->line_bytes));
}

static void take_lines(struct child *c)
{
	struct str line, rest = str_make(c->line, c->line_bytes), word, number;
	uint64_t port;

	while (str_cut(rest, '\n', &line, &rest)) {
		str_cut(line, ' ', &word, &number);
		if (str_to_u64(number, &port) == 0 && port <= 65535)
			up_on_word(c, word, (int)port);
	}
	if (rest.n == sizeof(c->line))
		rest.n = 0; /* no line of ours */
	if (rest.n)
		memmove(c->line, rest.p, rest.n);
	c->line_bytes = rest.n;
}

static void on_heap_closed(uv_handle_t *handle)
{
	mem_free(handle);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct child *c = stream->data;

	(void)buf;
	if (n < 0) {
		if (c->notify == (uv_pipe_t *)stream)
			c->notify = NULL;
		uv_close((uv_handle_t *)stream, on_heap_closed);
		return;
	}
	c->line_bytes += (size_t)n;
	take_lines(c);
}

static void on_child_exit(uv_process_t *process, int64_t status, int signum)
{
	struct child *c = process->data;

	c->pid = 0;
	c->process = NULL;
	uv_close((uv_handle_t *)process, on_heap_closed);
	up_on_exit(c, status, signum);
}

/* ── its life ── */

static int spawn(struct child *c, char **argv, char **env)
{
	uv_loop_t *loop = c->up->svc->loop;
	uv_stdio_container_t stdio[NOTIFY_FD + 1] = { 0 };
	uv_process_options_t options = { 0 };
	int err;

	c->notify = mem_need(sizeof(*c->notify));
	uv_pipe_init(loop, c->notify, 0);
	c->notify->data = c;
	stdio[0].flags = UV_IGNORE;
	stdio[1].flags = UV_INHERIT_FD;
	stdio[1].data.fd = 2; /* standard output is ours alone */
	stdio[2].flags = UV_INHERIT_FD;
	stdio[2].data.fd = 2;
	stdio[NOTIFY_FD].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
	stdio[NOTIFY_FD].data.stream = (uv_stream_t *)c->notify;
	options.file = argv[0];
	options.args = argv;
	options.env = env;
	options.stdio = stdio;
	options.stdio_count = NOTIFY_FD + 1;
	options.exit_cb = on_child_exit;
	options.flags = UV_PROCESS_DETACHED; /* Ctrl-C comes to us, and we tell them */
	c->process = mem_need(sizeof(*c->process));
	c->process->data = c;
	err = uv_spawn(loop, c->process, &options);
	if (err) {
		log_error("up", "a process cannot be started", KV_Z("program", argv[0]),
			  KV_Z("reason", uv_strerror(err)));
		uv_close((uv_handle_t *)c->process, on_heap_closed);
		uv_close((uv_handle_t *)c->notify, on_heap_closed);
		c->process = NULL;
		c->notify = NULL;
		return E_FAIL;
	}
	c->pid = c->process->pid;
	c->line_bytes = 0;
	uv_read_start((uv_stream_t *)c->notify, on_alloc, on_read);
	return 0;
}

int child_start(struct child *c)
{
	const struct up *up = c->up;
	char *argv[8 + 2 * 64], program[4096];
	struct env env = { .count = 0 };
	int argc = 0, err;

	snprintf(program, sizeof(program), "%s/%s", up->bin_dir, programs[c->kind]);
	argv[argc++] = program;
	if (up->config) {
		argv[argc++] = (char *)(uintptr_t) "--config";
		argv[argc++] = (char *)(uintptr_t)up->config;
	}
	for (int i = 0; i < up->set_count && i < 64; i++) {
		argv[argc++] = (char *)(uintptr_t) "--set";
		argv[argc++] = (char *)(uintptr_t)up->sets[i];
	}
	argv[argc] = NULL;
	make_env(&env, c);
	c->started_ms = clock_ms();
	err = spawn(c, argv, env.items);
	for (int i = 0; i < env.count; i++)
		mem_free(env.items[i]);
	return err;
}

void child_signal(struct child *c, int signum)
{
	if (c->process && uv_process_kill(c->process, signum))
		log_debug("up", "a child is gone already", KV_Z("name", c->name));
}

bool child_any_running(const struct up *up)
{
	for (int i = 0; i < up->child_count; i++)
		if (up->children[i].pid)
			return true;
	return false;
}
