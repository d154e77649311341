// SPDX-License-Identifier: Apache-2.0
/* opsdesk without a database: the profile's embedded rules, and the limit of rooms. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { connect, scenario, useRoomwire } from './harness.mjs';
import { roomOf } from './lib/opsdesk.mjs';

const MAX_ROOMS = 6;
const fixture = useRoomwire({ profile: 'opsdesk', env: { MAX_ROOMS: String(MAX_ROOMS) } });
const as = (claims) => connect(fixture.rw.url, { token: fixture.rw.token({ sub: 'u1', ...claims }) });

for (const role of ['agent', 'admin']) {
	scenario(`${role}: joins any ticket`, async () => {
		const client = await as({ roles: [role] });
		const ticketId = randomUUID();
		assert.deepEqual(await client.ask('ticket.join', ticketId), { ok: true, room: roomOf(ticketId) });
	});
}

scenario('anybody else joins what the rooms claim lists, and nothing more', async () => {
	const [listed, other] = [randomUUID(), randomUUID()];
	const client = await as({ roles: ['customer'], rooms: [roomOf(listed), 'ticket:*', 'other:thing'] });
	assert.deepEqual(await client.ask('ticket.join', { ticketId: listed }), { ok: true, room: roomOf(listed) });
	const { ok, error } = await client.ask('ticket.join', { ticketId: other });
	assert.deepEqual([ok, error.code], [false, 'FORBIDDEN']);
});

for (const rooms of [undefined, null, [], 'ticket:*', {}, [7]]) {
	scenario(`a rooms claim of ${JSON.stringify(rooms)} lists nothing`, async () => {
		const client = await as({ rooms });
		assert.equal((await client.ask('ticket.join', randomUUID())).error.code, 'FORBIDDEN');
	});
}

scenario('past MAX_ROOMS a join is TOO_MANY_ROOMS, by ack and by event, until one is left', async () => {
	const client = await as({ roles: ['agent'] });
	const joined = [];
	let answer;
	do {
		const ticketId = randomUUID();
		answer = await client.ask('ticket.join', ticketId);
		if (answer.ok)
			joined.push(ticketId);
	} while (answer.ok && joined.length <= MAX_ROOMS);
	assert.deepEqual([answer.ok, answer.error?.code], [false, 'TOO_MANY_ROOMS']);
	/* user:ID is a room as well */
	assert.ok([MAX_ROOMS - 1, MAX_ROOMS].includes(joined.length), `${joined.length} tickets joined`);
	client.emit('ticket.join', randomUUID());
	assert.equal((await client.next('error')).code, 'TOO_MANY_ROOMS');
	assert.equal((await client.ask('ticket.join', joined[0])).ok, true, 'joined already');
	await client.ask('ticket.leave', joined[0]);
	assert.equal((await client.ask('ticket.join', randomUUID())).ok, true);
});
