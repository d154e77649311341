// SPDX-License-Identifier: Apache-2.0
/* The database goes away and comes back: clients stay, answers say so, readiness tells. */
import assert from 'node:assert/strict';
import { connect, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, ALICE, fill, roomOf, TICKET } from './lib/opsdesk.mjs';
import { Postgres } from './lib/postgres.mjs';

const fixture = useRoomwire(async (things) => {
	things.postgres = await Postgres.create();
	const database = await fill(await things.postgres.createDatabase('opsdesk'));
	return { profile: 'opsdesk', env: { DATABASE_URL: database.url } };
});
const as = (user) => connect(fixture.rw.url, { token: fixture.rw.token(user) });

async function comesBack(client, ticketId) {
	await waitFor(async () => (await client.ask('ticket.join', ticketId)).ok, { what: 'joins to work again', deadlineMs: 30_000, everyMs: 100 });
	await fixture.rw.waitReady('auth');
}

scenario('stopped: UNAVAILABLE, the connection stays, readiness names postgresql; started: all well', async () => {
	const { rw, postgres } = fixture;
	const [agent, alice] = await Promise.all([as(AGENT), as(ALICE)]);
	assert.equal((await alice.ask('ticket.join', TICKET.alice)).ok, true);
	await rw.waitReady('auth');
	await postgres.stop();
	/* a ticket nobody asked for yet, so that no cache can answer */
	assert.equal((await agent.ask('ticket.join', TICKET.nobody)).error?.code, 'UNAVAILABLE');
	agent.emit('ticket.join', TICKET.nobody);
	assert.equal((await agent.next('error')).code, 'UNAVAILABLE');
	await rw.waitReady('auth', 'postgresql');
	const { text } = await rw.ops('auth', '/readyz');
	assert.ok(!text.includes(postgres.password) && !text.includes('postgres://'), 'readiness shows no credentials');
	await rw.publish({ rooms: [roomOf(TICKET.alice)], event: 'message:new', data: { during: 'outage' } });
	assert.deepEqual(await alice.next('message:new'), { during: 'outage' });
	await as(AGENT);

	await postgres.start();
	await comesBack(agent, TICKET.nobody);
	for (const client of [agent, alice])
		client.assertNone('@disconnect');
	assert.ok(!rw.log.includes(postgres.password), 'the log shows no credentials');
});

scenario('frozen: a join is answered UNAVAILABLE in good time; thawed: all well', async () => {
	const { rw, postgres } = fixture;
	const client = await as(AGENT);
	await rw.waitReady('auth');
	postgres.pause();
	try {
		const asked = Date.now();
		assert.equal((await client.ask('ticket.join', TICKET.bob)).error?.code, 'UNAVAILABLE');
		assert.ok(Date.now() - asked < 10_000);
	} finally {
		postgres.resume();
	}
	await comesBack(client, TICKET.bob);
	client.assertNone('@disconnect');
});

scenario('an address where nobody answers is an outage from the start, and clients are served', async () => {
	const { rw, postgres } = fixture;
	await postgres.stop();
	try {
		await rw.killAndWait('auth');
		await rw.waitReady('auth', 'postgresql');
		const client = await as(AGENT);
		assert.equal((await client.ask('ticket.join', TICKET.alice)).error?.code, 'UNAVAILABLE');
	} finally {
		await postgres.start();
	}
	await comesBack(await as(AGENT), TICKET.alice);
});
