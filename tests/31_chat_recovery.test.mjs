// SPDX-License-Identifier: Apache-2.0
/* chat: a plain client that comes back with `resume` gets what it missed, from any edge, whatever was killed; or is told that it is new. */
import assert from 'node:assert/strict';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { differences, processesOf, Stream, waitReplaced } from './lib/cluster.mjs';
import { signal } from './lib/children.mjs';
import { connectionsOf, dialPlain, resume } from './lib/plain.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'chat', edges: 2, routers: 2, env: { DRAIN_SECONDS: '2' } }).start();
	things.off = await new Roomwire({ profile: 'chat', env: { RECOVERY_SECONDS: '0' } }).start();
});
let serial = 0;
const someRoom = () => `room-${serial++}`;
const token = (sub) => fixture.rw.token({ sub });
const as = (sub) => dialPlain(fixture.rw.url, { token: token(sub), name: sub });
const back = (client, options) => resume(fixture.rw.url, client, { token: token(client.name.replaceAll("'", '')), ...options });
const publish = (room, n) => fixture.rw.publish({ rooms: [room], event: 'n', data: { n } });
const numbers = (client) => client.received('n').map(({ n }) => n);

scenario('after a cut the missed messages follow `resumed`, once and in order, and new ones behind them', async () => {
	const room = someRoom();
	let client = await (await as('alice')).join(room);
	await publish(room, 0);
	await client.next('n');
	for (let round = 1; round <= 10; round++) {
		const was = client;
		was.cut();
		for (let i = 0; i < 3; i++)
			await publish(room, round * 10 + i);
		const { client: next, resumed } = await back(was);
		assert.deepEqual(resumed, { recovered: true, session: was.session });
		await publish(room, round * 10 + 3);
		await next.next('n', { where: ({ n }) => n === round * 10 + 3 });
		assert.deepEqual(numbers(next), [0, 1, 2, 3].map((i) => round * 10 + i));
		const types = next.inbox.all.map(({ type }) => type);
		assert.deepEqual(types.slice(0, 3), ['welcome', 'resumed', 'n']);
		client = next;
	}
});

scenario('who missed nothing is recovered, is in its rooms, and may write there', async () => {
	const room = someRoom();
	const was = await (await as('alice')).join(room);
	was.cut();
	const { client, resumed } = await back(was);
	assert.equal(resumed.recovered, true);
	client.say('message', { roomId: room, content: 'x' });
	await client.next('message');
	assert.deepEqual(client.received('n'), []);
});

scenario('rooms that were left stay left', async () => {
	const [kept, left] = [someRoom(), someRoom()];
	const was = await (await (await as('alice')).join(kept)).join(left);
	was.say('leave', { roomId: left });
	await was.next('room_update');
	was.cut();
	await publish(left, 1);
	await publish(kept, 2);
	const { client, resumed } = await back(was);
	assert.equal(resumed.recovered, true);
	await client.next('n');
	assert.deepEqual(numbers(client), [2]);
});

for (const [what, options] of [['a session nobody has', { session: 'x'.repeat(20) }], ['no session', { session: null }], ['a session that is no text', { session: 7 }],
	['an offset that is none', { offset: '!' }], ['somebody else', { token: () => token('eve') }]]) {
	scenario(`${what} is told recovered: false, with a session of its own, and goes on`, async () => {
		const room = someRoom();
		const was = await (await as('alice')).join(room);
		was.cut();
		await publish(room, 1);
		const { client, resumed } = await back(was, { ...options, ...(options.token && { token: options.token() }) });
		assert.equal(resumed.recovered, false);
		assert.match(resumed.session, /^[\w-]{20}$/);
		assert.notEqual(resumed.session, was.session);
		await client.join(room);
		await publish(room, 2);
		await client.next('n');
		assert.deepEqual(numbers(client), [2]);
		client.cut();
		await publish(room, 3);
		const again = await back(client, options.token && { token: options.token() });
		assert.equal(again.resumed.recovered, true);
		assert.deepEqual(await again.client.next('n'), { n: 3 });
	});
}

scenario('without an offset everything since the join is sent again', async () => {
	const room = someRoom();
	const was = await (await as('alice')).join(room);
	await publish(room, 1);
	await was.next('n');
	was.cut();
	await publish(room, 2);
	const { client, resumed } = await back(was, { offset: null });
	assert.equal(resumed.recovered, true);
	await client.next('n', { where: ({ n }) => n === 2 });
	assert.deepEqual(numbers(client), [1, 2]);
});

scenario('messages behind `resume` wait for it and are worked on in their order', async () => {
	const room = someRoom();
	const was = await (await as('alice')).join(room);
	was.cut();
	await publish(room, 1);
	const client = await dialPlain(fixture.rw.url, { token: token('alice') });
	client.say('resume', { session: was.session, offset: was.offset });
	client.say('message', { roomId: room, content: 'x', dedupeKey: room });
	client.say('ping');
	await client.next('pong');
	assert.deepEqual(client.inbox.all.map(({ type }) => type), ['welcome', 'resumed', 'n', 'message', 'ack', 'pong']);
});

scenario('a connection that still stands is taken over: the first one is closed', async () => {
	const room = someRoom();
	const was = await (await as('alice')).join(room);
	const { client, resumed } = await back(was);
	assert.equal(resumed.recovered, true);
	await was.end();
	await publish(room, 1);
	assert.deepEqual(await client.next('n'), { n: 1 });
	assert.deepEqual(numbers(was), []);
});

scenario('recovery off: no session is offered, and nobody is recovered', async () => {
	const { off } = fixture;
	const dial = () => dialPlain(off.url, { token: off.token({ sub: 'a' }), welcomed: false });
	const client = await dial();
	assert.deepEqual(await client.next('welcome'), {});
	await client.join('r');
	await off.publish({ rooms: ['r'], event: 'n', data: 1 });
	assert.deepEqual(await client.nextMessage('n'), { type: 'n', payload: 1 });
	const other = await dial();
	other.say('resume', { session: 'x'.repeat(20), offset: '' });
	assert.deepEqual(await other.next('resumed'), { recovered: false });
});

/* Clients that come back by themselves until told to stop. */
async function following(name, room) {
	const state = { client: await (await as(name)).join(room), got: [], returns: [], stopped: false };
	state.done = (async () => {
		for (;;) {
			await state.client.closed;
			state.got.push(...numbers(state.client));
			if (state.stopped)
				return;
			const was = state.client;
			const { client, resumed } = await waitFor(() => back(was), { what: `${name} to come back`, everyMs: 50, deadlineMs: 20_000 });
			state.returns.push(resumed.recovered);
			state.client = client;
		}
	})();
	state.done.catch(() => {});
	return state;
}

async function assertAll(followers, count) {
	for (const follower of followers) {
		await waitFor(() => [...follower.got, ...numbers(follower.client)].includes(count - 1), { what: `number ${count - 1} to arrive`, deadlineMs: 20_000 });
		follower.stopped = true;
		follower.client.close();
		await follower.done;
		assert.deepEqual(differences(follower.got, count), null);
		assert.equal(follower.returns.every(Boolean), true);
	}
}

for (const kind of ['edge', 'router']) {
	scenario(`kill -9 of an ${kind}: everybody has every message once, in order, and is recovered`, { timeout: 120_000 }, async () => {
		const room = someRoom();
		const followers = await Promise.all([...Array(8).keys()].map((i) => following(`f${i}`, room)));
		const stream = new Stream(fixture.rw, room, { gapMs: 2 }).start();
		await stream.more(50);
		const counts = await connectionsOf(fixture.rw);
		const name = kind === 'edge' ? Object.keys(counts).sort((a, b) => counts[b] - counts[a])[0] : Object.keys(processesOf(fixture.rw, kind))[0];
		const { pid } = fixture.rw.processes[name];
		assert.ok(signal(pid, 'SIGKILL'));
		await stream.more(50);
		await waitReplaced(fixture.rw, name, pid);
		await stream.more(50);
		await assertAll(followers, await stream.stop());
		if (kind === 'edge')
			assert.ok(followers.some(({ returns }) => returns.length > 0), 'somebody was hit');
	});
}

scenario('a drained edge closes with 1001, and its clients come back recovered', { timeout: 120_000 }, async () => {
	const room = someRoom();
	const followers = await Promise.all([...Array(8).keys()].map((i) => following(`d${i}`, room)));
	const first = followers.map(({ client }) => client);
	const stream = new Stream(fixture.rw, room, { gapMs: 2 }).start();
	await stream.more(50);
	const counts = await connectionsOf(fixture.rw);
	const name = Object.keys(counts).sort((a, b) => counts[b] - counts[a])[0];
	const { pid } = fixture.rw.processes[name];
	assert.ok(signal(pid, 'SIGTERM'));
	await waitReplaced(fixture.rw, name, pid);
	await stream.more(50);
	for (const [i, { returns }] of followers.entries()) {
		if (returns.length > 0)
			assert.equal((await first[i].closed).code, 1001);
	}
	await assertAll(followers, await stream.stop());
});
