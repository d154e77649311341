// SPDX-License-Identifier: Apache-2.0
/* opsdesk with PostgreSQL: who may join which ticket, and every form of the answer. */
import assert from 'node:assert/strict';
import { connect, scenario, useRoomwire } from './harness.mjs';
import { ADMIN, AGENT, ALICE, BOB, opsdeskDatabase, roomOf, TICKET } from './lib/opsdesk.mjs';

const fixture = useRoomwire(async () => ({
	profile: 'opsdesk',
	env: { DATABASE_URL: (await opsdeskDatabase()).url },
}));
const as = (user, options) => connect(fixture.rw.url, { token: fixture.rw.token(user), ...options });
const ok = (ticketId) => ({ ok: true, room: roomOf(ticketId) });

function assertRefused(answer, code) {
	assert.equal(answer.ok, false);
	assert.equal(answer.error.code, code);
	assert.equal(typeof answer.error.message, 'string');
	assert.deepEqual(Object.keys(answer).sort(), ['error', 'ok']);
}

const JOINS = [
	['an agent', AGENT, 'a ticket of somebody', TICKET.alice, null],
	['an agent', AGENT, 'a ticket of nobody', TICKET.nobody, null],
	['an agent', AGENT, 'a ticket that is not there', TICKET.missing, 'NOT_FOUND'],
	['an admin', ADMIN, 'a ticket of somebody', TICKET.bob, null],
	['an admin', ADMIN, 'a ticket that is not there', TICKET.missing, 'NOT_FOUND'],
	['a customer', ALICE, 'an own ticket', TICKET.alice, null],
	['a customer', ALICE, 'somebody else\'s ticket', TICKET.bob, 'FORBIDDEN'],
	['a customer', ALICE, 'a ticket of nobody', TICKET.nobody, 'FORBIDDEN'],
	['a customer', ALICE, 'a ticket that is not there', TICKET.missing, 'FORBIDDEN'],
	['a user without roles', { sub: BOB.sub }, 'an own ticket', TICKET.bob, null],
	['a user whose role only looks like staff', { sub: BOB.sub, roles: ['agent2', 'Admin'] }, 'somebody else\'s ticket', TICKET.alice, 'FORBIDDEN'],
	['a user whose id is no uuid', { sub: 'robert', roles: ['customer'] }, 'a ticket of somebody', TICKET.alice, 'FORBIDDEN'],
];
for (const [who, user, what, ticketId, code] of JOINS) {
	scenario(`${who} and ${what}: ${code ?? 'joined'}, by ack, by id and by object, and by event`, async () => {
		const client = await as(user);
		for (const argument of [ticketId, { ticketId }]) {
			const answer = await client.ask('ticket.join', argument);
			if (code)
				assertRefused(answer, code);
			else
				assert.deepEqual(answer, ok(ticketId));
			client.emit('ticket.join', argument);
			if (code)
				assert.equal((await client.next('error')).code, code);
			else
				assert.deepEqual(await client.next('ticket.joined'), { ticketId });
		}
	});
}

const BAD_IDS = [[], [null], [7], [''], ['not-a-uuid'], [{}], [{ ticketId: null }], [{ ticketId: 'x'.repeat(200) }],
	[{ ticketId: `${TICKET.alice}0` }], [{ ticketId: `${TICKET.alice}' or true --` }], [[TICKET.alice]], [true],
	[{ TicketId: TICKET.alice }], [Buffer.from('id')]];
for (const event of ['ticket.join', 'ticket.leave']) {
	for (const args of BAD_IDS) {
		scenario(`${event} with ${JSON.stringify(args)} is INVALID_PAYLOAD, by ack and by event`, async () => {
			const client = await as(AGENT);
			assertRefused(await client.ask(event, ...args), 'INVALID_PAYLOAD');
			client.emit(event, ...args);
			const { code, message } = await client.next('error');
			assert.equal(code, 'INVALID_PAYLOAD');
			assert.equal(typeof message, 'string');
		});
	}
}

scenario('a member gets what the ticket gets, and after ticket.leave no more', async () => {
	const [leaver, stayer] = await Promise.all([as(AGENT), as(ALICE)]);
	await leaver.ask('ticket.join', TICKET.alice);
	await stayer.ask('ticket.join', TICKET.alice);
	const room = { rooms: [roomOf(TICKET.alice)], event: 'message:new' };
	await fixture.rw.publish({ ...room, data: { n: 1 } });
	assert.deepEqual(await leaver.next('message:new'), { n: 1 });
	assert.equal((await leaver.ask('ticket.leave', { ticketId: TICKET.alice })).ok, true);
	await fixture.rw.publish({ ...room, data: { n: 2 } });
	await fixture.rw.publish({ rooms: [`user:${AGENT.sub}`], event: 'marker', data: {} });
	await leaver.next('marker');
	leaver.assertNone('message:new');
	assert.deepEqual(await stayer.next('message:new', { where: ({ n }) => n === 2 }), { n: 2 });
});

scenario('ticket.leave without an ack answers ticket.left, also when not joined', async () => {
	const client = await as(AGENT);
	client.emit('ticket.leave', TICKET.alice);
	assert.deepEqual(await client.next('ticket.left'), { ticketId: TICKET.alice });
});

scenario('joining twice is joining once', async () => {
	const client = await as(AGENT);
	for (let i = 0; i < 2; i++)
		assert.deepEqual(await client.ask('ticket.join', TICKET.alice), ok(TICKET.alice));
	await fixture.rw.publish({ rooms: [roomOf(TICKET.alice)], event: 'message:new', data: { n: 1 } });
	await fixture.rw.publish({ rooms: [roomOf(TICKET.alice)], event: 'marker', data: {} });
	await client.next('marker');
	assert.equal(client.received('message:new').length, 1);
});

scenario('a refused join does not listen in', async () => {
	const client = await as(ALICE);
	assertRefused(await client.ask('ticket.join', TICKET.bob), 'FORBIDDEN');
	await fixture.rw.publish({ rooms: [roomOf(TICKET.bob)], event: 'message:new', data: {} });
	await fixture.rw.publish({ rooms: [`user:${ALICE.sub}`], event: 'marker', data: {} });
	await client.next('marker');
	client.assertNone('message:new');
});

scenario('every connection of a user gets what is sent to user:ID', async () => {
	const clients = await Promise.all([as(ALICE), as(ALICE, { transports: ['polling'] }), as(BOB)]);
	await fixture.rw.publish({ rooms: [`user:${ALICE.sub}`], event: 'hello', data: 'Alice' });
	await fixture.rw.publish({ rooms: [`user:${BOB.sub}`], event: 'hello', data: 'Bob' });
	assert.deepEqual(await Promise.all(clients.map((client) => client.next('hello'))), ['Alice', 'Alice', 'Bob']);
	assert.deepEqual(clients[2].received('hello'), ['Bob']);
});

scenario('what was joined is gone with the connection', async () => {
	const first = await as(AGENT);
	await first.ask('ticket.join', TICKET.alice);
	first.close();
	const second = await as(AGENT);
	await fixture.rw.publish({ rooms: [roomOf(TICKET.alice)], event: 'message:new', data: {} });
	await fixture.rw.publish({ rooms: [`user:${AGENT.sub}`], event: 'marker', data: {} });
	await second.next('marker');
	second.assertNone('message:new');
});

for (const event of ['no.such.event', 'message:new', '', 'constructor', '__proto__', 'x'.repeat(5000)]) {
	scenario(`an event no profile names ("${event.slice(0, 20)}") is UNKNOWN_EVENT and the connection stays`, async () => {
		const client = await as(AGENT);
		client.emit(event, { some: 'thing' });
		const { code, message } = await client.next('error');
		assert.equal(code, 'UNKNOWN_EVENT');
		assert.equal(typeof message, 'string');
		assert.deepEqual(await client.ask('ticket.join', TICKET.alice), ok(TICKET.alice));
	});
}
