/* SPDX-License-Identifier: Apache-2.0 */
#include "common/adapt/adapt_amqp_line.h"

#include <amqp_tcp_socket.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rnd.h"
#include "common/log/log.h"

#define PROBE_CHANNEL 2
#define CONNECT_SECONDS 3
#define RPC_SECONDS 10
#define HEARTBEAT_SECONDS 5
#define FRAME_BYTES 131072
#define BACKOFF_FIRST_MS 100u
#define BACKOFF_MOST_MS 5000u
#define LASTED_MS 15000u

static uint64_t now_ms(void) /* clock_ms is the loop's */
{
	return clock_exact_ns() / 1000000;
}

int amqp_line_init(struct amqp_line *l, const char *url)
{
	memset(l, 0, sizeof(*l));
	l->fd = -1;
	l->url = mem_need_dup(url);
	if (amqp_parse_url(l->url, &l->info) != AMQP_STATUS_OK || l->info.ssl) {
		log_error("rabbitmq",
			  "RABBITMQ_URL is not of the form amqp://user:password@host:port/vhost "
			  "(TLS: use a local proxy)");
		mem_free(l->url);
		return E_CONFIG;
	}
	pthread_mutex_init(&l->lock, NULL);
	return 0;
}

void amqp_line_fini(struct amqp_line *l)
{
	amqp_line_close(l);
	pthread_mutex_destroy(&l->lock);
	mem_free(l->url);
}

int amqp_line_fail(struct amqp_line *l, const char *what, const char *why)
{
	snprintf(l->reason, sizeof(l->reason), "%s: %s", what, why);
	return E_UNAVAILABLE;
}

int amqp_line_check(struct amqp_line *l, const char *what, amqp_rpc_reply_t reply)
{
	char text[128] = "closed";
	amqp_bytes_t said = { 0, NULL };

	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return 0;
	if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION)
		return amqp_line_fail(l, what, amqp_error_string2(reply.library_error));
	if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
	    reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD)
		said = ((amqp_connection_close_t *)reply.reply.decoded)->reply_text;
	else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
		 reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
		said = ((amqp_channel_close_t *)reply.reply.decoded)->reply_text;
	if (said.len)
		snprintf(text, sizeof(text), "%.*s", (int)said.len, (const char *)said.bytes);
	return amqp_line_fail(l, what, text);
}

int amqp_line_checked(struct amqp_line *l, const char *what)
{
	return amqp_line_check(l, what, amqp_get_rpc_reply(l->state));
}

int amqp_line_sent(struct amqp_line *l, const char *what, int status)
{
	return status == AMQP_STATUS_OK ? 0 : amqp_line_fail(l, what, amqp_error_string2(status));
}

static void set_fd(struct amqp_line *l, int fd)
{
	pthread_mutex_lock(&l->lock);
	l->fd = fd;
	pthread_mutex_unlock(&l->lock);
}

/* Without these the broker neither says that a queue is gone nor that it takes no messages. */
static int login(struct amqp_line *l)
{
	static const char *const wanted[] = { "consumer_cancel_notify", "connection.blocked" };
	amqp_table_entry_t able[2], capabilities;
	amqp_table_t properties = { 1, &capabilities };

	for (int i = 0; i < 2; i++) {
		able[i].key = amqp_cstring_bytes(wanted[i]);
		able[i].value.kind = AMQP_FIELD_KIND_BOOLEAN;
		able[i].value.value.boolean = 1;
	}
	capabilities.key = amqp_cstring_bytes("capabilities");
	capabilities.value.kind = AMQP_FIELD_KIND_TABLE;
	capabilities.value.value.table = (amqp_table_t){ 2, able };
	return amqp_line_check(l, "login",
			       amqp_login_with_properties(l->state, l->info.vhost, 0, FRAME_BYTES,
							  HEARTBEAT_SECONDS, &properties,
							  AMQP_SASL_METHOD_PLAIN, l->info.user,
							  l->info.password));
}

int amqp_line_open(struct amqp_line *l)
{
	struct timeval connect = { CONNECT_SECONDS, 0 }, rpc = { RPC_SECONDS, 0 };
	amqp_socket_t *socket;
	int err;

	l->opened_ms = now_ms();
	l->state = amqp_new_connection();
	socket = l->state ? amqp_tcp_socket_new(l->state) : NULL;
	if (!socket)
		return amqp_line_fail(l, "connect", "out of memory");
	amqp_set_handshake_timeout(l->state, &connect);
	amqp_set_rpc_timeout(l->state, &rpc);
	err = amqp_line_sent(
		l, "connect",
		amqp_socket_open_noblock(socket, l->info.host, l->info.port, &connect));
	if (err)
		return err;
	set_fd(l, amqp_get_sockfd(l->state));
	err = login(l);
	if (err)
		return err;
	amqp_channel_open(l->state, AMQP_LINE_CHANNEL);
	return amqp_line_checked(l, "channel");
}

void amqp_line_close(struct amqp_line *l)
{
	set_fd(l, -1);
	if (l->state)
		amqp_destroy_connection(l->state);
	l->state = NULL;
}

void amqp_line_interrupt(struct amqp_line *l)
{
	pthread_mutex_lock(&l->lock);
	if (l->fd >= 0)
		shutdown(l->fd, SHUT_RDWR);
	pthread_mutex_unlock(&l->lock);
}

uint32_t amqp_line_backoff(const struct amqp_line *l, uint32_t *backoff_ms)
{
	uint32_t ms = *backoff_ms;

	if (!ms || now_ms() - l->opened_ms > LASTED_MS)
		ms = BACKOFF_FIRST_MS;
	*backoff_ms = ms * 2 > BACKOFF_MOST_MS ? BACKOFF_MOST_MS : ms * 2;
	return ms / 2 + rnd_below(ms);
}

/* Is it there? The probe has a channel of its own: the broker closes it where not. E_NOTFOUND, E_UNAVAILABLE. */
static int probe(struct amqp_line *l, const char *what, const char *name, bool is_queue)
{
	amqp_bytes_t bytes = amqp_cstring_bytes(name);
	amqp_channel_close_ok_t ok = { 0 };
	amqp_rpc_reply_t reply;
	bool found;

	amqp_channel_open(l->state, PROBE_CHANNEL);
	if (amqp_line_checked(l, "channel"))
		return E_UNAVAILABLE;
	if (is_queue)
		found = amqp_queue_declare(l->state, PROBE_CHANNEL, bytes, 1, 1, 0, 0,
					   amqp_empty_table) != NULL;
	else
		found = amqp_exchange_declare(l->state, PROBE_CHANNEL, bytes,
					      amqp_cstring_bytes("topic"), 1, 1, 0, 0,
					      amqp_empty_table) != NULL;
	if (found) {
		amqp_channel_close(l->state, PROBE_CHANNEL, AMQP_REPLY_SUCCESS);
		return 0;
	}
	reply = amqp_get_rpc_reply(l->state);
	if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
	    reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
		return amqp_line_check(l, what, reply);
	amqp_send_method(l->state, PROBE_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
	if (((amqp_channel_close_t *)reply.reply.decoded)->reply_code == AMQP_NOT_FOUND)
		return E_NOTFOUND;
	return amqp_line_check(l, what, reply);
}

int amqp_line_exchange(struct amqp_line *l, const char *name)
{
	int err = probe(l, "exchange", name, false);

	if (err != E_NOTFOUND)
		return err;
	amqp_exchange_declare(l->state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(name),
			      amqp_cstring_bytes("topic"), 0, 1, 0, 0, amqp_empty_table);
	return amqp_line_checked(l, "declare exchange");
}

amqp_table_t amqp_line_queue_type(const char *type, amqp_table_entry_t *row)
{
	row->key = amqp_cstring_bytes("x-queue-type");
	row->value.kind = AMQP_FIELD_KIND_UTF8;
	row->value.value.bytes = amqp_cstring_bytes(type);
	return (amqp_table_t){ strcmp(type, "classic") ? 1 : 0, row };
}

int amqp_line_queue(struct amqp_line *l, const char *name, const char *type)
{
	amqp_table_entry_t row;
	int err = probe(l, "queue", name, true);

	if (err != E_NOTFOUND)
		return err;
	amqp_queue_declare(l->state, AMQP_LINE_CHANNEL, amqp_cstring_bytes(name), 0, 1, 0, 0,
			   amqp_line_queue_type(type, &row));
	err = amqp_line_checked(l, "declare queue");
	if (!err)
		log_info("rabbitmq", "queue declared", KV_Z("queue", name), KV_Z("type", type));
	return err;
}

static void take_wake(int wake_fd)
{
	uint64_t count;

	if (read(wake_fd, &count, sizeof(count)) < 0)
		count = 0; /* somebody else's wake-up; nothing to do */
}

void amqp_line_wait(struct amqp_line *l, int wake_fd, int wait_ms)
{
	struct pollfd fds[2] = { { wake_fd, POLLIN, 0 }, { -1, POLLIN, 0 } };

	if (l)
		fds[1].fd = amqp_get_sockfd(l->state);
	if (l && (amqp_frames_enqueued(l->state) || amqp_data_in_buffer(l->state)))
		wait_ms = 0;
	if (poll(fds, 2, wait_ms) > 0 && (fds[0].revents & POLLIN))
		take_wake(wake_fd);
}

int amqp_line_next(struct amqp_line *l, amqp_method_t *method)
{
	struct timeval now = { 0, 0 };
	amqp_frame_t frame;
	int status;

	do {
		amqp_maybe_release_buffers(l->state);
		status = amqp_simple_wait_frame_noblock(l->state, &frame, &now);
	} while (status == AMQP_STATUS_OK && frame.frame_type != AMQP_FRAME_METHOD);
	if (status == AMQP_STATUS_TIMEOUT)
		return E_AGAIN;
	if (status != AMQP_STATUS_OK)
		return amqp_line_fail(l, "receive", amqp_error_string2(status));
	*method = frame.payload.method;
	if ((method->id == AMQP_CHANNEL_CLOSE_METHOD && frame.channel != AMQP_LINE_CHECKS) ||
	    method->id == AMQP_CONNECTION_CLOSE_METHOD) {
		amqp_rpc_reply_t reply;

		memset(&reply, 0, sizeof(reply));
		reply.reply_type = AMQP_RESPONSE_SERVER_EXCEPTION;
		reply.reply = *method;
		return amqp_line_check(l, "closed by the broker", reply);
	}
	return 0;
}

int amqp_line_heartbeat(struct amqp_line *l)
{
	amqp_frame_t frame = { .frame_type = AMQP_FRAME_HEARTBEAT, .channel = 0 };

	return amqp_line_sent(l, "heartbeat", amqp_send_frame(l->state, &frame));
}

void amqp_line_sleep(int wake_fd, uint32_t ms)
{
	amqp_line_wait(NULL, wake_fd, (int)ms);
}
