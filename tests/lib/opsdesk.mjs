// SPDX-License-Identifier: Apache-2.0
/* People and tickets of the opsdesk profile, and a database that knows them. */
import { randomUUID } from 'node:crypto';
import { sharedPostgres } from './postgres.mjs';

export const AGENT = { sub: randomUUID(), roles: ['agent'] };
export const ADMIN = { sub: randomUUID(), roles: ['admin'] };
export const ALICE = { sub: randomUUID(), roles: ['customer'] };
export const BOB = { sub: randomUUID(), roles: ['customer'] };

/* owner by ticket; the last one has none */
export const TICKET = { alice: randomUUID(), bob: randomUUID(), nobody: randomUUID(), missing: randomUUID() };

export const roomOf = (ticketId) => `ticket:${ticketId}`;

/* Fills a database made from the profile's SQL. */
export async function fill(database) {
	for (const { sub } of [AGENT, ADMIN, ALICE, BOB])
		await database.query('insert into users (id, external_id) values ($1, $2)', [sub, `external-${sub}`]);
	const tickets = [[TICKET.alice, ALICE.sub], [TICKET.bob, BOB.sub], [TICKET.nobody, null]];
	for (const [id, owner] of tickets)
		await database.query("insert into tickets (id, owner_id, status) values ($1, $2, 'open')", [id, owner]);
	return database;
}

/* A database of its own on the run's PostgreSQL, filled. */
export async function opsdeskDatabase() {
	const server = await sharedPostgres();
	return fill(await server.createDatabase('opsdesk'));
}

/* The names RabbitMQ knows the profile by. */
export const EXCHANGE = 'opsdesk.events';
export const QUEUE = 'opsdesk.realtime';
export const DEAD = 'opsdesk.realtime.dead';
