// SPDX-License-Identifier: Apache-2.0
/* chat: others hear when a user comes to a room and when the last of its connections is gone, whatever edge they are at and whatever dies. */
import assert from 'node:assert/strict';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { processesOf, waitReplaced } from './lib/cluster.mjs';
import { signal } from './lib/children.mjs';
import { connectionsOf, dialPlain, resume } from './lib/plain.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'chat', edges: 2, routers: 2, env: { PRESENCE_GRACE_SECONDS: '1', DRAIN_SECONDS: '2' } }).start();
	/* who is to come back in time has some, on any machine */
	things.patient = await new Roomwire({ profile: 'chat', edges: 2, routers: 2, env: { PRESENCE_GRACE_SECONDS: '4', DRAIN_SECONDS: '2' } }).start();
	things.slow = await new Roomwire({ profile: 'chat', env: {} }).start();
	things.off = await new Roomwire({ profile: 'chat', env: { RECOVERY_SECONDS: '0', PRESENCE_GRACE_SECONDS: '0' } }).start();
});
let serial = 0;
const someRoom = () => `room-${serial++}`;
const token = (sub, rw = fixture.rw) => rw.token({ sub });
const as = (sub, rw = fixture.rw) => dialPlain(rw.url, { token: rw.token({ sub }), name: sub });
const said = (client, userId) => client.received('presence').filter((p) => p.userId === userId).map(({ status }) => status);
const hears = (client, roomId, userId, status, options) => client.next('presence', { where: (p) => p.roomId === roomId && p.userId === userId && p.status === status, ...options });
/* The grace time of whoever went before this call is over: that of somebody who went later was. */
async function graceOver(client, room, rw = fixture.rw) {
	const sub = `marker-${serial++}`;
	const marker = await (await as(sub, rw)).join(room);
	await hears(client, room, sub, 'online');
	marker.cut();
	await hears(client, room, sub, 'offline');
}

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
	const { patient } = fixture;
	const room = someRoom();
	const bob = await (await as('bob', patient)).join(room);
	const [one, two] = [await (await as('alice', patient)).join(room), await (await as('alice', patient)).join(room)];
	await hears(bob, room, 'alice', 'online');
	one.say('leave', { roomId: room });
	await one.next('room_update');
	await (await as('carol', patient)).join(room);
	await hears(bob, room, 'carol', 'online');
	assert.deepEqual(said(bob, 'alice'), ['online']);
	const began = Date.now();
	two.say('leave', { roomId: room });
	await hears(bob, room, 'alice', 'offline');
	assert.ok(Date.now() - began < 3900, 'without grace');
	await two.join(room);
	await waitFor(() => said(bob, 'alice').length === 3, { what: 'alice to be online again' });
	assert.deepEqual(said(bob, 'alice'), ['online', 'offline', 'online']);
});

/* The client's page is loaded again. */
const goAway = (client) => client.socket.close(1001);
const cut = (client) => client.cut();
const close = (client) => client.close();
const closeWith1000 = (client) => client.socket.close(1000);

for (const end of [cut, goAway]) {
	scenario(`${end.name}: the last connection's end is told after the grace time, in every room`, async () => {
		const rooms = [someRoom(), someRoom()];
		const bob = await as('bob');
		const [one, two] = [await as('alice'), await as('alice')];
		for (const room of rooms)
			for (const client of [bob, one, two])
				await client.join(room);
		end(one);
		for (const room of rooms)
			await graceOver(bob, room);
		assert.deepEqual(said(bob, 'alice'), ['online', 'online']);
		const began = Date.now();
		end(two);
		for (const room of rooms)
			await hears(bob, room, 'alice', 'offline');
		assert.ok(Date.now() - began > 900, 'with grace');
		assert.deepEqual(said(bob, 'alice'), ['online', 'online', 'offline', 'offline']);
	});
}

for (const end of [close, closeWith1000]) {
	scenario(`${end.name}: who closes its last connection in order has left every room at once, and can come back recovered`, async () => {
		const { patient } = fixture;
		const rooms = [someRoom(), someRoom()];
		const bob = await as('bob', patient);
		const [one, two] = [await as('alice', patient), await as('alice', patient)];
		for (const room of rooms)
			for (const client of [bob, one, two])
				await client.join(room);
		end(one);
		await one.end();
		const began = Date.now();
		end(two);
		for (const room of rooms)
			await hears(bob, room, 'alice', 'offline');
		assert.ok(Date.now() - began < 3900, 'without grace');
		assert.equal((await resume(patient.url, two, { token: token('alice', patient) })).resumed.recovered, true);
		await waitFor(() => said(bob, 'alice').length === 6, { what: 'alice to be online again' });
		assert.deepEqual(said(bob, 'alice'), ['online', 'online', 'offline', 'offline', 'online', 'online']);
	});
}

for (const [what, comeBack] of [
	['recovered', async (was, rw) => assert.equal((await resume(rw.url, was, { token: token('alice', rw) })).resumed.recovered, true)],
	['as a new one', async (was, rw, room) => (await as('alice', rw)).join(room)]]) {
	scenario(`a user who returns within the grace time ${what} is never shown offline`, async () => {
		const { patient } = fixture;
		const room = someRoom();
		const bob = await (await as('bob', patient)).join(room);
		const was = await (await as('alice', patient)).join(room);
		was.cut();
		await comeBack(was, patient, room);
		await graceOver(bob, room, patient);
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
	alice.cut();
	await hears(bob, 'r', 'alice', 'offline');
	const took = Date.now() - began;
	assert.ok(took > 4700 && took < 10_000, `${took} ms`);
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

/* Members of the room, at least so many at each edge: {edge: users}. */
async function usersAtEach(rw, room, least) {
	const found = Object.fromEntries(Object.keys(processesOf(rw, 'edge')).map((name) => [name, []]));
	await waitFor(async () => Object.values(await connectionsOf(rw)).every((count) => count === 0), { what: 'connections of before to be gone' });
	for (let i = 0; Object.values(found).some((users) => users.length < least); i++) {
		const before = await connectionsOf(rw);
		const user = await (await as(`u${i}`, rw)).join(room);
		const after = await connectionsOf(rw);
		found[Object.keys(found).find((name) => after[name] > before[name])].push(user);
	}
	return found;
}

scenario('kill -9 of a user\'s edge: offline is told by those who are left; those who come back are not', { timeout: 120_000 }, async () => {
	const rw = fixture.patient;
	const room = someRoom();
	const at = await usersAtEach(rw, room, 3);
	const [[name, [back, ...away]], [, [there]]] = Object.entries(at);
	const { pid } = rw.processes[name];
	assert.ok(signal(pid, 'SIGKILL'));
	await Promise.all([back, ...away].map((user) => user.end()));
	await waitFor(() => resume(rw.url, back, { token: token(back.name, rw) }), { what: 'the one to come back', everyMs: 50 });
	for (const user of away)
		await hears(there, room, user.name, 'offline');
	assert.ok(!said(there, back.name).includes('offline'));
	await waitReplaced(rw, name, pid);
});

scenario('kill -9 of routers: nobody is shown twice, and who goes afterwards is shown offline', { timeout: 120_000 }, async () => {
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
	await hears(bob, room, 'carol', 'offline');
	await graceOver(bob, room);
	assert.deepEqual(said(bob, 'alice'), ['online']);
	alice.say('leave', { roomId: room });
	await hears(bob, room, 'alice', 'offline');
});
