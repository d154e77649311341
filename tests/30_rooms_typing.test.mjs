// SPDX-License-Identifier: Apache-2.0
/* opsdesk: typing goes to the other members of a ticket, and to nobody else. */
import assert from 'node:assert/strict';
import { connect, scenario, useRoomwire } from './harness.mjs';
import { AGENT, ALICE, BOB, roomOf, TICKET } from './lib/opsdesk.mjs';

const fixture = useRoomwire({ profile: 'opsdesk' });
const TICKET_ID = TICKET.alice;
const as = (user, options) => connect(fixture.rw.url, { token: fixture.rw.token({ ...user, rooms: [roomOf(TICKET_ID)] }), ...options });

async function members(...users) {
	const clients = await Promise.all(users.map((user) => as(user)));
	for (const client of clients)
		assert.deepEqual(await client.ask('ticket.join', TICKET_ID), { ok: true, room: roomOf(TICKET_ID) });
	return clients;
}

for (const [given, expected] of [[undefined, true], [true, true], [false, false]]) {
	scenario(`isTyping ${given} reaches the others as ${expected}, with the user's id`, async () => {
		const [agent, alice] = await members(AGENT, ALICE);
		alice.emit('typing', { ticketId: TICKET_ID, ...(given !== undefined && { isTyping: given }) });
		assert.deepEqual(await agent.next('typing'), { ticketId: TICKET_ID, userId: ALICE.sub, isTyping: expected });
	});
}

scenario('typing leaves out the sending socket only: a second tab of the same user gets it', async () => {
	const [tab, otherTab, agent] = await members(ALICE, ALICE, AGENT);
	tab.emit('typing', { ticketId: TICKET_ID });
	assert.equal((await otherTab.next('typing')).userId, ALICE.sub);
	await agent.next('typing');
	await fixture.rw.publish({ rooms: [roomOf(TICKET_ID)], event: 'marker', data: {} });
	await tab.next('marker');
	tab.assertNone('typing', 'error');
});

scenario('typing of a non-member is FORBIDDEN and reaches nobody', async () => {
	const [agent] = await members(AGENT);
	const outsider = await as(BOB);
	outsider.emit('typing', { ticketId: TICKET_ID });
	assert.equal((await outsider.next('error')).code, 'FORBIDDEN');
	await fixture.rw.publish({ rooms: [roomOf(TICKET_ID)], event: 'marker', data: {} });
	await agent.next('marker');
	agent.assertNone('typing');
});

scenario('typing after ticket.leave is FORBIDDEN', async () => {
	const [alice] = await members(ALICE);
	await alice.ask('ticket.leave', TICKET_ID);
	alice.emit('typing', { ticketId: TICKET_ID });
	assert.equal((await alice.next('error')).code, 'FORBIDDEN');
});

const BAD = [[], [null], ['text'], [{}], [{ ticketId: 7 }], [{ ticketId: 'no-uuid' }],
	[{ ticketId: TICKET_ID, isTyping: 'yes' }], [{ ticketId: TICKET_ID, isTyping: 1 }]];
for (const args of BAD) {
	scenario(`typing with ${JSON.stringify(args)} is INVALID_PAYLOAD and reaches nobody`, async () => {
		const [agent, alice] = await members(AGENT, ALICE);
		alice.emit('typing', ...args);
		assert.equal((await alice.next('error')).code, 'INVALID_PAYLOAD');
		alice.emit('typing', { ticketId: TICKET_ID, isTyping: false });
		assert.equal((await agent.next('typing')).isTyping, false);
		assert.equal(agent.received('typing').length, 1);
	});
}

scenario('what one member types arrives at every member in the order it was typed', async () => {
	const [alice, bob, agent] = await members(ALICE, BOB, AGENT);
	for (let i = 0; i < 40; i++)
		alice.emit('typing', { ticketId: TICKET_ID, isTyping: i % 3 === 0 });
	for (const client of [bob, agent]) {
		for (let i = 0; i < 40; i++)
			assert.equal((await client.next('typing')).isTyping, i % 3 === 0);
	}
});
