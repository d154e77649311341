// SPDX-License-Identifier: Apache-2.0
/* SIGSTOP of a router or an edge, for longer than links wait: it is there and says nothing, and wakes up as if nothing had been. */
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { Raw, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { edgeTag, edgeTags, growthOf, metricOf, processesOf, Stream, whileStopped } from './lib/cluster.mjs';
import { Member } from './lib/member.mjs';

const LINK_TIMEOUT_MS = 1000;
const SHORT = { LINK_TIMEOUT_MS: String(LINK_TIMEOUT_MS), LINK_HEARTBEAT_MS: '100', CALL_TIMEOUT_MS: '1000', PUBLISH_TIMEOUT_MS: '1500' };
const BEYOND_TIMEOUT_MS = 2000;
const BEYOND_FORGETTING_MS = 4500;
const TEN_SECONDS = 10_000; /* how long it stands still is the fault itself; nothing is concluded from the time */

const fixture = useFixture(async (things) => {
	things.normal = await new Roomwire({ profile: 'bench', edges: 2 }).start();
	things.one = await new Roomwire({ profile: 'bench', edges: 2, env: SHORT }).start();
	things.two = await new Roomwire({ profile: 'bench', edges: 2, routers: 2, env: SHORT }).start();
});

let rooms = 0;
const newRoom = () => `stopped-${++rooms}`;

const membersOf = (rw, room, count = 8, { polling = true } = {}) => Promise.all(Array.from({ length: count }, (_, i) =>
	Member.join(rw.url, { room, token: rw.token({ sub: `user-${i}` }), transports: [polling && i % 4 === 3 ? 'polling' : 'websocket'] })));

const isPolling = ({ client }) => client.socket.io.opts.transports[0] === 'polling';

/* mayReturn(member): it may have been disconnected meanwhile, and is recovered then. */
async function assertAllWhole(members, count, { mayReturn = () => false } = {}) {
	for (const [i, member] of members.entries()) {
		await member.assertWhole(count, `member ${i}`);
		assert.equal(member.fresh, 0, `member ${i} was not made a new one`);
		assert.ok(mayReturn(member) || member.returns === 0, `member ${i} stays connected`);
	}
}

/* So many calls at once, each said only once; the numbers that were accepted, in the order of their answers. */
async function oneShots(rw, room, count) {
	const accepted = [];
	const statuses = new Set();
	await Promise.all(Array.from({ length: count }, async (_, n) => {
		const { status } = await rw.api('/v1/publish', { rooms: [room], event: 'shot', data: { n }, id: `${room}-shot-${n}` });
		statuses.add(status);
		if (status === 202)
			accepted.push(n);
	}));
	assert.deepEqual([...statuses].filter((status) => status !== 202 && status !== 503), [], 'calls are answered 202 or 503');
	return accepted;
}

/* Accepted ones came to everybody, others at most once, and all members have seen the same order. */
async function assertShots(members, accepted) {
	for (const { client } of members)
		await waitFor(() => accepted.every((n) => client.received('shot').some((one) => one.n === n)), { what: 'what was accepted to arrive' });
	const orders = members.map(({ client }) => client.received('shot').map(({ n }) => n));
	for (const order of orders) {
		assert.equal(new Set(order).size, order.length, 'none twice');
		assert.deepEqual(order, orders[0], 'everybody sees one order');
	}
}

for (const [which, ms] of [['normal', TEN_SECONDS], ['one', BEYOND_TIMEOUT_MS], ['one', BEYOND_FORGETTING_MS]]) {
	scenario(`the only router is stopped for ${ms} ms (${which} settings): calls are answered 202 late or 503, accepted ones arrive once and in order, nobody is disconnected`, async () => {
		const rw = fixture[which];
		const room = newRoom();
		const members = await membersOf(rw, room);
		const stream = new Stream(rw, room).start();
		await stream.more(20);
		const shots = await whileStopped(rw.process('router').pid, async () => {
			const under_way = oneShots(rw, room, 50);
			await pause(ms);
			return { under_way };
		});
		const accepted = await shots.under_way;
		await stream.more(20);
		await assertAllWhole(members, await stream.stop());
		await assertShots(members, accepted);
	});
}

scenario('clients that lose their connection while the router is stopped come back, recovered, when it goes on', async () => {
	const rw = fixture.one;
	const room = newRoom();
	const members = await membersOf(rw, room);
	const stream = new Stream(rw, room).start();
	await stream.more(20);
	await whileStopped(rw.process('router').pid, async () => {
		for (const { client } of members)
			client.socket.io.engine.close();
		await pause(BEYOND_TIMEOUT_MS);
	});
	await waitFor(() => members.every(({ client }) => client.socket.connected), { what: 'everybody to be back', deadlineMs: 40_000 });
	await stream.more(20);
	await assertAllWhole(members, await stream.stop(), { mayReturn: () => true });
});

scenario('a CONNECT, a join and a return while the router is stopped are answered or closed in time: nobody hangs', async () => {
	const rw = fixture.one;
	const room = newRoom();
	const [member] = await membersOf(rw, room, 1);
	const token = rw.token({ sub: 'late' });
	const before = await Raw.join(rw.url, { payload: { token } });
	await rw.publish({ rooms: [before.connect.sid], event: 'n', data: 0 });
	const offset = JSON.parse((await before.next()).slice(2)).at(-1);
	before.close();
	const grown = await growthOf(rw, 'edge', 'roomwire_closed_total{reason="no_router"}');
	await whileStopped(rw.process('router').pid, async () => {
		const coming = await Promise.all([0, 1].map(() => Raw.open(rw.url)));
		coming[0].send(`40${JSON.stringify({ token })}`);
		coming[1].send(`40${JSON.stringify({ token, pid: before.connect.pid, offset })}`);
		const joined = await member.client.ask('room:join', { room: newRoom() });
		assert.deepEqual([joined.ok, joined.error.code], [false, 'UNAVAILABLE']);
		for (const raw of coming)
			await raw.end();
		await grown.by(2);
	});
	await waitFor(async () => {
		const raw = await Raw.join(rw.url, { payload: { token, pid: before.connect.pid, offset } });
		raw.close();
		return raw.connect.sid === before.connect.sid;
	}, { what: 'it to be recovered after all', everyMs: 50 });
	assert.equal(member.returns, 0);
});

scenario('one of two routers is stopped: rooms of the other one go on meanwhile, its own afterwards, whole and in order', async () => {
	const rw = fixture.two;
	const [stopped] = Object.values(processesOf(rw, 'router'));
	const own = [];
	const isAtStopped = [];
	while (own.length < 8 || !isAtStopped.includes(true) || !isAtStopped.includes(false)) {
		const room = newRoom();
		const before = await metricOf(stopped, 'roomwire_published_total');
		await rw.publish({ rooms: [room], event: 'probe', data: 0 });
		isAtStopped.push(await metricOf(stopped, 'roomwire_published_total') > before);
		own.push(room);
	}
	const all = await Promise.all(own.map((room) => membersOf(rw, room, 2)));
	const streams = own.map((room) => new Stream(rw, room, { gapMs: 20 }).start());
	await Promise.all(streams.map((stream) => stream.more(5)));
	await whileStopped(stopped.pid, async () => {
		const going = streams.filter((_, i) => !isAtStopped[i]);
		await Promise.all(going.map((stream) => stream.more(30)));
		await pause(BEYOND_FORGETTING_MS);
		await Promise.all(going.map((stream) => stream.more(5)));
	});
	await Promise.all(streams.map((stream) => stream.more(5)));
	for (const [i, stream] of streams.entries())
		await assertAllWhole(all[i], await stream.stop());
});

for (const [what, ms] of [['shorter than the router remembers it', BEYOND_TIMEOUT_MS], ['longer', BEYOND_FORGETTING_MS]]) {
	scenario(`an edge is stopped, ${what}: publishers are not held up for ever, and its clients get everything when it goes on`, async () => {
		const rw = fixture.one;
		const tags = await edgeTags(rw);
		const room = newRoom();
		const members = await membersOf(rw, room, 12);
		const [tag, name] = Object.entries(tags).find(([one]) => members.some(({ client }) => edgeTag(client) === one));
		assert.ok(tag);
		const stream = new Stream(rw, room, { gapMs: 5 }).start();
		await stream.more(20);
		await whileStopped(rw.processes[name].pid, () => pause(ms));
		await stream.more(20);
		/* a poll that meets the other edge is passed on to the stopped one, and refused when there is no answer */
		await assertAllWhole(members, await stream.stop(), { mayReturn: isPolling });
	});
}

scenario('clients of a stopped edge that come back to the other one are recovered there, and the stopped one lets go of them when it goes on', async () => {
	const rw = fixture.one;
	const tags = await edgeTags(rw);
	const room = newRoom();
	const members = await membersOf(rw, room, 12, { polling: false }); /* each request of a long-polling one may meet the stopped edge */
	const [[tag, name]] = Object.entries(tags);
	const moved = members.filter(({ client }) => edgeTag(client) === tag);
	assert.ok(moved.length > 0, 'some are there');
	const parked = await metricOf(rw.processes[name], 'roomwire_parked_sockets'); /* of earlier scenarios */
	const stream = new Stream(rw, room, { gapMs: 5 }).start();
	await stream.more(20);
	await whileStopped(rw.processes[name].pid, async () => {
		for (const { client } of moved)
			client.socket.io.engine.close();
		/* new connections still go to the stopped one, too: a client tries until it meets the other */
		await waitFor(() => moved.every(({ client }) => client.socket.connected), { what: 'all of them to be back', deadlineMs: 40_000 });
	});
	await stream.more(20);
	await assertAllWhole(members, await stream.stop(), { mayReturn: () => true });
	await waitFor(async () => await metricOf(rw.processes[name], 'roomwire_parked_sockets') <= parked, { what: 'the edge to let go of them', deadlineMs: 40_000 });
});

scenario('an edge stands still: what is published to its rooms is accepted when it has been silent for LINK_TIMEOUT_MS, and it gets all of it when it goes on', async () => {
	const rw = fixture.normal;
	const room = newRoom();
	const members = await membersOf(rw, room, 8, { polling: false });
	const stopped = Object.values(processesOf(rw, 'edge'))[0];
	await whileStopped(stopped.pid, async () => {
		for (let n = 0; n < 3; n++)
			await rw.publish({ rooms: [room], event: 'n', data: { n } });
	});
	for (const [i, member] of members.entries())
		await member.assertWhole(3, `member ${i}`);
});
