/* SPDX-License-Identifier: Apache-2.0 */
/* The operations port: /healthz, /readyz, /metrics. */
#include "common/log/log.h"
#include "common/metrics/metrics.h"
#include "common/svc/svc_process.h"

#define PAGE_MAX_BYTES (1u << 20)
#define OPS_TIMEOUT_MS 5000
#define OPS_IDLE_MS 60000
#define OPS_MAX_CONNECTIONS 256

static const char JSON[] = "application/json";

static void answer(struct http_exchange *x, int status, const char *type, struct buf *page)
{
	if (page->failed)
		http_respond_error(x, 500, "INTERNAL", "the page is too large");
	else
		http_respond(x, status, str_of(type), STR("Cache-Control: no-store\r\n"),
			     buf_str(page));
}

static void answer_health(struct svc_process *p, struct http_exchange *x, struct buf *page)
{
	buf_addz(page, "{\"ok\":true,\"name\":");
	buf_add_json(page, str_of(p->title));
	buf_addz(page, ",\"instance\":");
	buf_add_json(page, str_of(p->instance));
	buf_addf(page, ",\"state\":\"%s\"}", svc_state_name(p->svc.state));
	answer(x, 200, JSON, page);
}

static void answer_ready(struct svc_process *p, struct http_exchange *x, struct buf *page)
{
	bool ready;

	buf_addz(page, "{\"ready\":false,\"failing\":[");
	ready = svc_health_ready(p, page);
	buf_addz(page, "]}");
	if (ready) {
		buf_reset(page);
		buf_addz(page, "{\"ready\":true}");
	}
	answer(x, ready ? 200 : 503, JSON, page);
}

static void answer_metrics(struct svc_process *p, struct http_exchange *x, struct buf *page)
{
	metrics_text(p->svc.spec->user, page);
	answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", page);
	metrics_set(METRIC_LOOP_TURN_MAX_US, 0); /* "since the last scrape" */
}

static const struct {
	const char *path;
	void (*answer)(struct svc_process *p, struct http_exchange *x, struct buf *page);
} pages[] = {
	{ "/healthz", answer_health },
	{ "/readyz", answer_ready },
	{ "/metrics", answer_metrics },
};

static void on_request(struct http_exchange *x, const struct http_request *request, void *ctx)
{
	struct buf page = BUF_INIT(PAGE_MAX_BYTES);

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (!str_is(request->path, pages[i].path))
			continue;
		if (request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD)
			pages[i].answer(ctx, x, &page);
		else
			http_respond_error(x, 405, "METHOD_NOT_ALLOWED", "only GET and HEAD");
		buf_fini(&page);
		return;
	}
	http_respond_error(x, 404, "NOT_FOUND", "there are /healthz, /readyz and /metrics");
}

int svc_http_open(struct svc_process *p)
{
	struct http_server_spec spec = {
		.subject = "ops",
		.host = p->svc.conf.ops_host,
		.port = (int)p->svc.conf.ops_port,
		.max_body_bytes = 0,
		.exclusive_port = true,
		.timeout_ms = OPS_TIMEOUT_MS,
		.idle_ms = OPS_IDLE_MS,
		.max_connections = OPS_MAX_CONNECTIONS,
		.on_request = on_request,
		.ctx = p,
	};
	int err = http_server_open(p->svc.loop, &spec, &p->ops);

	if (err)
		return err;
	log_info("ops", "operations port is open", KV_Z("host", spec.host),
		 KV_I("port", http_server_port(p->ops)));
	svc_notify(&p->svc, "ops", http_server_port(p->ops));
	return 0;
}

void svc_http_close(struct svc_process *p)
{
	if (p->ops)
		http_server_close(&p->ops, NULL, NULL);
}
