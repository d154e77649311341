// SPDX-License-Identifier: Apache-2.0
/* chat: others hear when a user comes to a room and when the last of its connections is gone, whatever edge they are at and whatever dies. */
import assert from 'node:assert/strict';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { processesOf, waitReplaced } from './lib/cluster.mjs';
import { signal } from './lib/children.mjs';
import { connectionsOf, dialPlain, resume } from './lib/plain.mjs';

const GRACE_MS = 1500;
const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'chat', edges: 2, routers: 2, env: { PRESENCE_GRACE_SECONDS: '1', DRAIN_SECONDS: '2' } }).start();
	things.slow = await new Roomwire({ profile: 'chat', env: {} }).start();
	things.off = await new Roomwire({ profile: 'chat', env: { RECOVERY_SECONDS: '0', PRESENCE_GRACE_SECONDS: '0' } }).start();
});
let serial = 0;
const someRoom = () => `room-${serial++}`;
const token = (sub) => fixture.rw.token({ sub });
const as = (sub, rw = fixture.rw) => dialPlain(rw.url, { token: rw.token({ sub }), name: sub });
const said = (client, userId) => client.received('presence').filter((p) => p.userId === userId).map(({ status }) => status);
const hears = (client, roomId, userId, status, options) => client.next('presence', { where: (p) => p.roomId === roomId && p.userId === userId && p.status === status, ...options });
const pass = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

scenario('the first connection in a room is told to the others, not to itself; the second is not', async () => {
	const room = someRoom();
	const bob = await (await as('bob')).join(room);
	const alice = await (await as('alice')).join(room);
	assert.deepEqual(await hears(bob, room, 'alice', 'online'), { roomId: room, userId: 'alice', status: 'online' });
	const again = await (await as('alice')).join(room);
	await (await as('carol')).join(room);
	await hears(bob, room, 'carol', 'online');
	assert.deepEqual(said(bob, 'alice'), ['online']);
	for (const client of [alice, again])
		assert.deepEqual(said(client, 'alice'), []);
	await alice.join(room);
	await bob.settled();
	assert.deepEqual(said(bob, 'alice'), ['online']);
});

scenario('leaving with the last connection is told at once, with another one it is not', async () => {
	const room = someRoom();
	const bob = await (await as('bob')).join(room);
	const [one, two] = [await (await as('alice')).join(room), await (await as('alice')).join(room)];
	one.say('leave', { roomId: room });
	await one.next('room_update');
	await bob.settled();
	assert.deepEqual(said(bob, 'alice'), ['online']);
	const began = Date.now();
	two.say('leave', { roomId: room });
	await hears(bob, room, 'alice', 'offline');
	assert.ok(Date.now() - began < 900, 'without grace');
	await two.join(room);
	await waitFor(() => said(bob, 'alice').length === 3, { what: 'alice to be online again' });
	assert.deepEqual(said(bob, 'alice'), ['online', 'offline', 'online']);
});

for (const how of ['close', 'cut']) {
	scenario(`${how}: the last connection's end is told after the grace time, in every room`, async () => {
		const rooms = [someRoom(), someRoom()];
		const bob = await as('bob');
		const [one, two] = [await as('alice'), await as('alice')];
		for (const room of rooms)
			for (const client of [bob, one, two])
				await client.join(room);
		one[how]();
		await pass(GRACE_MS + 500);
		assert.deepEqual(said(bob, 'alice'), ['online', 'online']);
		const began = Date.now();
		two[how]();
		for (const room of rooms)
			await hears(bob, room, 'alice', 'offline');
		assert.ok(Date.now() - began > 900, 'with grace');
		assert.deepEqual(said(bob, 'alice'), ['online', 'online', 'offline', 'offline']);
	});
}

for (const [what, comeBack] of [
	['recovered', async (was) => assert.equal((await resume(fixture.rw.url, was, { token: token('alice') })).resumed.recovered, true)],
	['as a new one', async (was, room) => (await as('alice')).join(room)]]) {
	scenario(`a user who returns within the grace time ${what} is never shown offline`, async () => {
		const room = someRoom();
		const bob = await (await as('bob')).join(room);
		const was = await (await as('alice')).join(room);
		was.cut();
		await comeBack(was, room);
		await pass(GRACE_MS + 500);
		assert.deepEqual(said(bob, 'alice'), ['online']);
	});
}

scenario('a user who comes back recovered after the grace time is shown online again', async () => {
	const room = someRoom();
	const bob = await (await as('bob')).join(room);
	const was = await (await as('alice')).join(room);
	was.cut();
	await hears(bob, room, 'alice', 'offline');
	assert.equal((await resume(fixture.rw.url, was, { token: token('alice') })).resumed.recovered, true);
	await waitFor(() => said(bob, 'alice').length === 3, { what: 'alice to be online again' });
	assert.deepEqual(said(bob, 'alice'), ['online', 'offline', 'online']);
});

scenario('by default the grace time is 5 seconds', async () => {
	const { slow } = fixture;
	const bob = await (await as('bob', slow)).join('r');
	const alice = await (await as('alice', slow)).join('r');
	const began = Date.now();
	alice.close();
	await hears(bob, 'r', 'alice', 'offline');
	const took = Date.now() - began;
	assert.ok(took > 4700 && took < 7000, `${took} ms`);
});

scenario('with recovery off, and without grace, it is told just the same', async () => {
	const { off } = fixture;
	const bob = await (await as('bob', off)).join('r');
	for (const how of ['close', 'cut']) {
		const alice = await (await as('alice', off)).join('r');
		await hears(bob, 'r', 'alice', 'online');
		alice[how]();
		await hears(bob, 'r', 'alice', 'offline');
	}
});

scenario('kill -9 of a user\'s edge: offline is told by those who are left; those who come back are not', { timeout: 90_000 }, async () => {
	const room = someRoom();
	const users = await Promise.all([...Array(6).keys()].map(async (i) => (await as(`u${i}`)).join(room)));
	const counts = await connectionsOf(fixture.rw);
	const name = Object.keys(counts).sort((a, b) => counts[b] - counts[a])[0];
	const { pid } = fixture.rw.processes[name];
	assert.ok(signal(pid, 'SIGKILL'));
	await Promise.all(users.map(async (user) => { user.gone = await Promise.race([user.closed.then(() => true), pass(500)]); }));
	const there = users.find((user) => !user.gone) ?? await (await as('watcher')).join(room);
	const gone = users.filter((user) => user.gone);
	assert.ok(gone.length > 0);
	const [back, ...away] = gone;
	await waitFor(() => resume(fixture.rw.url, back, { token: token(back.name) }), { what: 'the one to come back', everyMs: 50 });
	for (const user of away)
		await hears(there, room, user.name, 'offline', { deadlineMs: 15_000 });
	assert.ok(!said(there, back.name).includes('offline'));
	await waitReplaced(fixture.rw, name, pid);
});

scenario('kill -9 of routers: nobody is shown twice, and who goes afterwards is shown offline', { timeout: 90_000 }, async () => {
	const room = someRoom();
	const bob = await (await as('bob')).join(room);
	const alice = await (await as('alice')).join(room);
	const carol = await (await as('carol')).join(room);
	await hears(bob, room, 'carol', 'online');
	for (const [name, { pid }] of Object.entries(processesOf(fixture.rw, 'router'))) {
		assert.ok(signal(pid, 'SIGKILL'));
		await waitReplaced(fixture.rw, name, pid);
	}
	carol.cut();
	await hears(bob, room, 'carol', 'offline', { deadlineMs: 15_000 });
	await pass(GRACE_MS);
	assert.deepEqual(said(bob, 'alice'), ['online']);
	alice.say('leave', { roomId: room });
	await hears(bob, room, 'alice', 'offline');
});
