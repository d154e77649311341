// SPDX-License-Identifier: Apache-2.0
/*
 * Links between processes that are cut, stalled and flooded by what had waited: what was accepted arrives, once and in order, or the clients
 * concerned are told. A router forgets a silent edge after three times LINK_TIMEOUT_MS.
 */
import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, RECONNECTING, scenario, useFixture, waitFor } from './harness.mjs';
import { metricOf, Stream, total } from './lib/cluster.mjs';
import { Member } from './lib/member.mjs';
import { Pieces } from './lib/pieces.mjs';

const LINK_TIMEOUT_MS = 600;
const LINKS = { LINK_TIMEOUT_MS: String(LINK_TIMEOUT_MS), LINK_HEARTBEAT_MS: '100', CALL_TIMEOUT_MS: '1500', PUBLISH_TIMEOUT_MS: '2000' };
/* how long a link is disturbed is the fault itself; nothing is concluded from the time */
const BELOW_TIMEOUT_MS = 300;
const BELOW_FORGETTING_MS = 1200;
const BEYOND_FORGETTING_MS = 3 * LINK_TIMEOUT_MS + 1200;

const fixture = useFixture(async (things) => {
	things.one = await new Pieces({ profile: 'bench', env: LINKS }).start();
	things.two = await new Pieces({ profile: 'bench', routers: 2, env: LINKS }).start();
	things.shortMemory = await new Pieces({ profile: 'bench', env: { ...LINKS, HISTORY_COUNT: '10' } }).start();
});

afterEach(() => { /* also after a scenario that failed */
	for (const pieces of Object.values(fixture))
		pieces.heal();
});

let rooms = 0;
const newRoom = () => `faults-${++rooms}`;

/* So many members at every edge, over both transports; {edge name: members}. */
async function membersOf(rw, room, count = 4) {
	const groups = {};
	for (const [name, url] of Object.entries(rw.urls)) {
		groups[name] = await Promise.all(Array.from({ length: count }, (_, i) =>
			Member.join(url, { room, token: rw.token({ sub: `${name}-${i}` }), transports: [i % 4 === 3 ? 'polling' : 'websocket'] })));
	}
	return groups;
}

/* Calls fn(member, who) for each. */
async function forAll(groups, fn) {
	for (const [name, members] of Object.entries(groups)) {
		for (const [i, member] of members.entries())
			await fn(member, `member ${i} of ${name}`);
	}
}

/* Again and again, under its id. */
const accepted = (rw, message) => waitFor(async () => (await rw.api('/v1/publish', message)).status === 202, { what: 'a call to be accepted' });

/* A stream runs, body() does its worst, the stream goes on for a while; how many were accepted. */
async function during(rw, room, body) {
	const stream = new Stream(rw, room, { gapMs: 5 }).start();
	await stream.more(20);
	await body(stream);
	await stream.more(50);
	return stream.stop();
}

const DISTURBANCES = {
	cut: (link) => link.cut(),
	stalled: (link) => link.stall(),
	'stalled towards the router': (link) => link.stall('toRouter'),
	'stalled from the router': (link) => link.stall('fromRouter'),
};
const LENGTHS = [
	['shorter than the link timeout', BELOW_TIMEOUT_MS],
	['longer than the link timeout', BELOW_FORGETTING_MS],
	['so long that the router forgets it', BEYOND_FORGETTING_MS],
];

for (const [how, disturb] of Object.entries(DISTURBANCES)) {
	for (const [long, ms] of LENGTHS) {
		scenario(`an edge's link to its router is ${how}, ${long}: every member gets everything, and none is disconnected`, async () => {
			const rw = fixture.one;
			const room = newRoom();
			const groups = await membersOf(rw, room);
			const link = rw.link('edge-0');
			const count = await during(rw, room, async () => {
				disturb(link);
				await pause(ms);
				link.heal();
			});
			await forAll(groups, async (member, who) => {
				await member.assertWhole(count, who);
				assert.equal(member.returns, 0, `${who} stays connected`);
			});
		});
	}
}

scenario('links dropped every 200 ms, each in turn, on two edges and ingest: every member gets everything, and none is disconnected', async () => {
	const rw = fixture.one;
	const room = newRoom();
	const groups = await membersOf(rw, room);
	const count = await during(rw, room, async () => {
		for (let i = 0; i < 15; i++) {
			rw.link(['edge-0', 'ingest', 'edge-1'][i % 3]).drop();
			await pause(200);
		}
	});
	await forAll(groups, async (member, who) => {
		await member.assertWhole(count, who);
		assert.equal(member.returns, 0, `${who} stays connected`);
	});
});

for (const [how, disturb] of Object.entries(DISTURBANCES)) {
	scenario(`ingest's link to the router is ${how} beyond forgetting: calls are answered 202 or 503, and everything answered 202 arrives once and in order`, async () => {
		const rw = fixture.one;
		const room = newRoom();
		const groups = await membersOf(rw, room);
		const count = await during(rw, room, async (stream) => {
			const link = rw.link('ingest');
			disturb(link);
			await waitFor(() => stream.statuses[503] > 0, { what: 'a call to be answered 503' });
			link.heal();
		});
		await forAll(groups, (member, who) => member.assertWhole(count, who));
	});
}

scenario('a gap that history cannot fill: members are closed and told (recovered false), never a silent hole; the other edge has everything', async () => {
	const rw = fixture.shortMemory;
	const room = newRoom();
	const groups = await membersOf(rw, room);
	const grown = await total(rw, 'edge', 'roomwire_closed_total{reason="gap"}');
	const count = await during(rw, room, async (stream) => {
		const link = rw.link('edge-0');
		link.cut();
		await waitFor(async () => await metricOf(rw.processes['router-0'], 'roomwire_edges') === 1, { what: 'edge-0 to be forgotten' });
		await stream.more(100);
		link.heal();
	});
	await forAll({ 'edge-0': groups['edge-0'] }, async (member, who) => {
		await member.assertNoSilentHole(count, who);
		assert.equal(member.fresh, 1, `${who} was told once`);
		assert.ok(member.numbers.length < count, `${who} has missed something`);
	});
	await forAll({ 'edge-1': groups['edge-1'] }, async (member, who) => {
		await member.assertWhole(count, who);
		assert.equal(member.returns, 0, `${who} stays connected`);
	});
	assert.equal(await total(rw, 'edge', 'roomwire_closed_total{reason="gap"}') - grown, groups['edge-0'].length);
});

scenario('a client lost while its edge is being filled from history: recovered elsewhere with everything, or told', async () => {
	const rw = fixture.one;
	const rooms = Array.from({ length: 60 }, newRoom);
	const client = await connect(rw.urls['edge-0'], { token: rw.token({ sub: 'filled' }), ...RECONNECTING });
	for (const room of rooms)
		assert.equal((await client.ask('room:join', { room })).ok, true);
	await rw.publish({ rooms: [rooms[0]], event: 'before', data: 0 });
	await client.next('before');
	const link = rw.link('edge-0');
	const sent = [];
	link.cut();
	for (const n of [0, 1]) {
		for (const room of rooms) {
			const message = { rooms: [room], event: 'n', data: { room, n, pad: 'x'.repeat(10_000) }, id: `${room}-${n}` };
			await accepted(rw, message);
			sent.push(`${room} ${n}`);
		}
	}
	await waitFor(async () => await metricOf(rw.processes['router-0'], 'roomwire_edges') === 1, { what: 'edge-0 to be forgotten' });
	link.healFor(300_000);
	await waitFor(() => rw.proxies['router-0'].stalls('edge-0'), { what: 'the link to be stalled in the middle' });
	client.socket.io.uri = rw.urls['edge-1'];
	client.socket.io.engine.close();
	await waitFor(() => client.inbox.all.filter(({ event }) => event === '@connect').length === 2, { what: 'the client to be back', deadlineMs: 40_000 });
	const { recovered } = client.socket;
	await client.ask('room:join', { room: newRoom() }); /* answered behind whatever it was owed */
	link.heal();
	const got = client.received('n').map(({ room, n }) => `${room} ${n}`);
	assert.equal(new Set(got).size, got.length, 'none twice');
	if (recovered)
		assert.deepEqual(got.toSorted(), sent.toSorted(), 'recovered: with everything');
});

scenario('members of an edge that is cut from its router come back to the other edge, recovered, while it is cut', async () => {
	const rw = fixture.one;
	const room = newRoom();
	const groups = await membersOf(rw, room);
	const cut = groups['edge-0'];
	const count = await during(rw, room, async (stream) => {
		const link = rw.link('edge-0');
		link.cut();
		await stream.more(20);
		for (const { client } of cut) { /* as a load balancer would do it */
			client.socket.io.uri = rw.urls['edge-1'];
			client.socket.io.engine.close();
		}
		await waitFor(() => cut.every(({ returns }) => returns === 1), { what: 'all of them to be back', deadlineMs: 40_000 });
		await stream.more(20);
		link.heal();
	});
	await forAll(groups, async (member, who) => member.assertWhole(count, who));
	for (const { fresh } of cut)
		assert.equal(fresh, 0, 'recovered');
	await waitFor(async () => await metricOf(rw.processes['edge-0'], 'roomwire_parked_sockets') === 0, { what: 'edge-0 to let go of them' });
});

for (const [how, disturb] of Object.entries(DISTURBANCES)) {
	scenario(`two routers, the link of an edge to one of them is ${how} beyond forgetting: rooms of both go on, whole and in order`, async () => {
		const rw = fixture.two;
		const own = Array.from({ length: 6 }, newRoom);
		const all = await Promise.all(own.map((room) => membersOf(rw, room, 1)));
		const streams = own.map((room) => new Stream(rw, room, { gapMs: 20 }).start());
		await Promise.all(streams.map((stream) => stream.more(10)));
		const link = rw.link('edge-0', 'router-1');
		disturb(link);
		await pause(BEYOND_FORGETTING_MS);
		link.heal();
		await Promise.all(streams.map((stream) => stream.more(10)));
		for (const [i, stream] of streams.entries()) {
			const count = await stream.stop();
			await forAll(all[i], async (member, who) => {
				await member.assertWhole(count, `${who} in ${own[i]}`);
				assert.equal(member.returns, 0, `${who} stays connected`);
			});
		}
	});
}
