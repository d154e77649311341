// SPDX-License-Identifier: Apache-2.0
/* SIGTERM: everything ends clean, and a drained edge hands its clients on. */
import assert from 'node:assert/strict';
import { connect, http, RECONNECTING, Roomwire, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, roomOf, TICKET } from './lib/opsdesk.mjs';

const fixture = useRoomwire({ profile: 'opsdesk' });
const signedIn = (rw, options) => connect(rw.url, { token: rw.token(AGENT), ...options });

for (const name of ['SIGTERM', 'SIGINT']) {
	for (const transport of ['websocket', 'polling']) {
		scenario(`${name} to up with a ${transport} client: the transport closes, exit 0, no process is left`, async () => {
			const rw = await new Roomwire({ profile: 'opsdesk' }).start();
			const client = await signedIn(rw, { transports: [transport] });
			await rw.stop(name);
			assert.match(await client.next('@disconnect'), /^transport (close|error)$/);
			await assert.rejects(http(rw.url), 'nobody listens any more');
		});
	}
}

scenario('up that got SIGTERM while a process is being restarted still ends everything', async () => {
	const rw = await new Roomwire({ profile: 'opsdesk' }).start();
	rw.kill('router');
	await rw.stop();
});

scenario('processes whose supervisor is killed do not stay behind', async () => {
	const rw = await new Roomwire({ profile: 'opsdesk' }).start();
	await rw.killSupervisor();
});

scenario('SIGTERM to an edge: not ready, its client is moved off without DISCONNECT and comes back to the next one', async () => {
	const { rw } = fixture;
	const clients = await Promise.all([
		signedIn(rw, RECONNECTING),
		signedIn(rw, { ...RECONNECTING, transports: ['polling'] }),
		signedIn(rw, { ...RECONNECTING, transports: ['polling', 'websocket'] }),
	]);
	const others = rw.pids({ but: 'edge' });
	const { pid } = rw.process('edge');
	rw.kill('edge', 'SIGTERM');
	for (const client of clients) {
		assert.match(await client.next('@disconnect', { deadlineMs: 20_000 }), /^transport (close|error)$/);
		await client.next('@connect', { where: () => true, deadlineMs: 20_000 });
	}
	await rw.waitRestart('edge', pid);
	assert.deepEqual(rw.pids({ but: 'edge' }), others, 'the others keep their pids');
	for (const client of clients) {
		assert.equal((await client.ask('ticket.join', TICKET.alice)).ok, true);
	}
	await rw.publish({ rooms: [roomOf(TICKET.alice)], event: 'message:new', data: 'after the drain' });
	for (const client of clients)
		assert.equal(await client.next('message:new'), 'after the drain');
});

scenario('a draining edge says so on /readyz at once', async () => {
	const { rw } = fixture;
	const { pid, opsUrl } = rw.process('edge');
	await signedIn(rw); /* somebody to be moved off, so that draining takes a moment */
	rw.kill('edge', 'SIGTERM');
	/* either it is caught draining, or it had nothing to wait for and is replaced already */
	await waitFor(async () => {
		if (rw.process('edge').pid !== pid)
			return true;
		const { status, json } = await http(`${opsUrl}/readyz`);
		return status === 503 && json.failing.some(({ component }) => component === 'draining');
	}, { what: '/readyz to name draining', everyMs: 1 });
	await rw.waitRestart('edge', pid);
});

scenario('SIGTERM to auth, router and ingest: each is replaced and clients notice nothing', async () => {
	const { rw } = fixture;
	const client = await signedIn(rw);
	for (const kind of ['auth', 'router', 'ingest']) {
		await rw.killAndWait(kind, 'SIGTERM');
		await waitFor(async () => (await client.ask('ticket.join', TICKET.bob)).ok, { what: `a join after ${kind} was replaced`, everyMs: 50 });
		await waitFor(async () => (await rw.api('/v1/publish', { rooms: [roomOf(TICKET.bob)], event: kind, data: 1 })).status === 202,
			{ what: `a publish after ${kind} was replaced`, everyMs: 50 });
		await client.next(kind);
	}
	client.assertNone('@disconnect');
});
