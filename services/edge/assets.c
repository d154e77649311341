/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of DEMO_DIR, read into memory at start: a page to try the gateway with. No path of a request ever reaches the file system.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/log/log.h"
#include "services/edge/front.h"

#define ASSETS_MAX 64
#define ASSET_MAX_BYTES (4u << 20)

struct asset {
	char path[256]; /* "/index.html" */
	struct blob *body;
};

struct assets {
	struct asset items[ASSETS_MAX];
	uint32_t count;
};

static const char *content_type(struct str path)
{
	static const struct {
		const char *ending, *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".json", "application/json" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".ico", "image/x-icon" },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t n = strlen(types[i].ending);

		if (path.n > n && memcmp(path.p + path.n - n, types[i].ending, n) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

static struct blob *read_file(const char *path)
{
	struct blob *blob = NULL;
	struct stat st;
	size_t got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= (off_t)ASSET_MAX_BYTES)
		blob = blob_new((size_t)st.st_size);
	while (blob && got < blob->n) {
		ssize_t n = read(fd, blob->data + got, blob->n - got);

		if (n <= 0) {
			blob_unref(&blob);
			break;
		}
		got += (size_t)n;
	}
	close(fd);
	return blob;
}

static void add(struct assets *a, const char *dir, const char *name)
{
	struct asset *item = &a->items[a->count];
	char path[4096];

	if (name[0] == '.' || strlen(name) + 2 > sizeof(item->path) ||
	    snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return;
	item->body = read_file(path);
	if (!item->body)
		return;
	item->path[0] = '/';
	memcpy(item->path + 1, name, strlen(name) + 1);
	a->count++;
}

int assets_load(const char *dir, struct assets **assets)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d) {
		log_error("edge", "DEMO_DIR cannot be read: name a folder that holds index.html",
			  KV_Z("dir", dir));
		return E_CONFIG;
	}
	*assets = mem_need(sizeof(**assets));
	while ((entry = readdir(d)) != NULL && (*assets)->count < ASSETS_MAX)
		add(*assets, dir, entry->d_name);
	closedir(d);
	return 0;
}

void assets_free(struct assets **assets)
{
	for (uint32_t i = 0; *assets && i < (*assets)->count; i++)
		blob_unref(&(*assets)->items[i].body);
	mem_free(*assets);
	*assets = NULL;
}

bool assets_serve(const struct assets *assets, struct http_exchange *x,
		  const struct http_request *request)
{
	struct str path = str_is(request->path, "/") ? STR("/index.html") : request->path;

	if (request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_HEAD)
		return false;
	for (uint32_t i = 0; i < assets->count; i++) {
		if (!str_is(path, assets->items[i].path))
			continue;
		http_respond(x, 200, str_of(content_type(path)),
			     STR("Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"),
			     blob_str(assets->items[i].body));
		return true;
	}
	return false;
}
