/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection of adapt_amqp: everything that speaks librabbitmq. Blocking, with time limits; used by one thread.
 * Not for others: use adapt_amqp.h.
 */
#ifndef ROOMWIRE_ADAPT_AMQP_CONN_H
#define ROOMWIRE_ADAPT_AMQP_CONN_H

#include "common/adapt/adapt_amqp.h"

struct amqp_conn;

struct amqp_conn_spec {
	const char *url, *exchange, *queue;
	const char *const *keys;
	uint16_t prefetch;
	void (*on_delivery)(void *ctx, struct amqp_delivery *d); /* d: TAKEN */
	void *ctx;
};

/* What the loop wants done with a delivery. */
struct amqp_command {
	struct list node;
	struct amqp_delivery *delivery; /* OWNED */
	bool dead;
	char reason[256];
};

struct amqp_command *amqp_command_new(struct amqp_delivery *d,
				      const char *reason); /* d: TAKEN; reason NULL: acknowledge */
void amqp_command_free(struct amqp_command **c);
void amqp_delivery_free(struct amqp_delivery *d);

int amqp_conn_new(const struct amqp_conn_spec *spec,
		  struct amqp_conn **conn) MUST_CHECK; /* E_CONFIG, logged */
void amqp_conn_free(struct amqp_conn **conn);
/* Connect, declare, consume. On an error the reason is in amqp_conn_reason. */
int amqp_conn_open(struct amqp_conn *c) MUST_CHECK;
void amqp_conn_close(struct amqp_conn *c);
const char *amqp_conn_reason(const struct amqp_conn *c);
int amqp_conn_run(struct amqp_conn *c, struct amqp_command *command) MUST_CHECK;
int amqp_conn_pause(struct amqp_conn *c) MUST_CHECK;
/* Wait up to wait_ms for frames or for wake_fd, handle what came, send acknowledgements. */
int amqp_conn_turn(struct amqp_conn *c, int wake_fd, int wait_ms) MUST_CHECK;
void amqp_conn_sleep(int wake_fd, uint32_t ms); /* or until woken */

#endif
