// SPDX-License-Identifier: Apache-2.0
/* kill -9 of each process in turn: the others keep running, and only a killed edge's clients notice. */
import assert from 'node:assert/strict';
import { connect, RECONNECTING, refusal, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, ALICE, opsdeskDatabase, roomOf, TICKET } from './lib/opsdesk.mjs';

const fixture = useRoomwire(async () => ({ profile: 'opsdesk', env: { DATABASE_URL: (await opsdeskDatabase()).url } }));
const room = roomOf(TICKET.alice);
const as = (user, options) => connect(fixture.rw.url, { token: fixture.rw.token(user), ...RECONNECTING, ...options });

async function members() {
	const clients = await Promise.all([as(AGENT), as(ALICE), as(AGENT, { transports: ['polling'] })]);
	for (const client of clients)
		assert.equal((await client.ask('ticket.join', TICKET.alice)).ok, true);
	return clients;
}

/* Everything a member may want works: a publish, a join, typing. */
async function assertServing([agent, alice], mark) {
	const { rw } = fixture;
	await waitFor(async () => (await rw.api('/v1/publish', { rooms: [room], event: 'message:new', data: mark })).status === 202,
		{ what: 'a publish to be accepted', everyMs: 50 });
	for (const client of [agent, alice])
		await client.next('message:new', { where: (data) => data === mark });
	await waitFor(async () => (await agent.ask('ticket.join', TICKET.bob)).ok, { what: 'a join', everyMs: 50 });
	agent.emit('typing', { ticketId: TICKET.alice });
	assert.equal((await alice.next('typing')).userId, AGENT.sub);
}

for (const kind of ['auth', 'router', 'ingest']) {
	scenario(`kill -9 of ${kind}: no client notices, and everything works again`, async () => {
		const clients = await members();
		const others = fixture.rw.pids({ but: kind });
		await fixture.rw.killAndWait(kind);
		await assertServing(clients, `after ${kind}`);
		assert.deepEqual(fixture.rw.pids({ but: kind }), others, 'the others keep their pids');
		for (const client of clients)
			client.assertNone('@disconnect', 'error');
		await as(ALICE);
	});
}

scenario('kill -9 of auth and router at once: no client notices', async () => {
	const clients = await members();
	fixture.rw.kill('auth');
	await fixture.rw.killAndWait('router');
	await assertServing(clients, 'after both');
	for (const client of clients)
		client.assertNone('@disconnect');
});

scenario('kill -9 of the edge: its clients come back by themselves and are served', async () => {
	const clients = await members();
	const others = fixture.rw.pids({ but: 'edge' });
	await fixture.rw.killAndWait('edge');
	for (const client of clients) {
		assert.match(await client.next('@disconnect'), /^transport (close|error)$|^ping timeout$/);
		await client.nextArgs('@connect', { deadlineMs: 20_000 });
		assert.equal((await client.ask('ticket.join', TICKET.alice)).ok, true);
	}
	await assertServing(clients, 'after the edge');
	assert.deepEqual(fixture.rw.pids({ but: 'edge' }), others, 'the others keep their pids');
});

scenario('an auth that hangs: CONNECT is AUTH_UNAVAILABLE, a join UNAVAILABLE, and connections stay', async () => {
	const { rw } = fixture;
	const [agent] = await members();
	rw.kill('auth', 'SIGSTOP');
	try {
		const connecting = refusal(rw.url, { token: rw.token(ALICE) });
		const joining = agent.ask('ticket.join', TICKET.nobody);
		assert.equal((await joining).error?.code, 'UNAVAILABLE');
		const error = await connecting;
		assert.deepEqual([error.message, error.data], ['AUTH_UNAVAILABLE', { code: 'AUTH_UNAVAILABLE' }]);
	} finally {
		rw.kill('auth', 'SIGCONT');
	}
	await waitFor(async () => (await agent.ask('ticket.join', TICKET.nobody)).ok, { what: 'joins to work again', everyMs: 50 });
	agent.assertNone('@disconnect');
});
