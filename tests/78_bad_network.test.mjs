// SPDX-License-Identifier: Apache-2.0
/*
 * Everything at once: links between processes are cut, clients are cut, and, in a build with faults (make scenario FAULTS=1
 * TESTS=tests/78_bad_network.test.mjs), messages between processes are lost, doubled, late and out of order. Delivered 100 %, doubles 0, order errors 0.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { scenario, useFixture, waitFor } from './harness.mjs';
import { assertWhole, Stream, total } from './lib/cluster.mjs';
import { newSeed, Random } from './lib/fuzz.mjs';
import { Member } from './lib/member.mjs';
import { BIN } from './lib/paths.mjs';
import { Pieces } from './lib/pieces.mjs';

const HAS_FAULTS = readFileSync(join(BIN, 'roomwire-router')).includes('ROOMWIRE_FAULTS');
const MESSAGES = 2000;
const MEMBERS = 20;
const LANES = 4; /* publishers at the same time */
const CLIENT_CUT_MS = 100;
const LINK_CUT_MS = 700;
const seed = Number(process.env.ROOMWIRE_FUZZ_SEED || newSeed());

const KINDS = HAS_FAULTS ? {
	'lost messages': 'drop=0.02',
	'doubled messages': 'double=0.05',
	'late messages': 'delay=0.05:1-100',
	'messages out of order': 'reorder=0.05',
	'all of these': 'drop=0.02,double=0.02,delay=0.02:1-100,reorder=0.02',
} : { 'no faults but cuts': null };

const fixture = useFixture(() => {});

/* Cuts clients and links by turns until it is stopped. */
function cutting(rw, members, random) {
	const links = ['edge-0', 'edge-1', 'ingest'].flatMap((name) => ['router-0', 'router-1'].map((router) => rw.link(name, router)));
	const timers = [
		setInterval(() => random.pick(members).client.socket.io.engine?.close(), CLIENT_CUT_MS),
		setInterval(() => random.pick(links).drop(), LINK_CUT_MS),
	];
	return { stop: () => timers.forEach(clearInterval) };
}

/* Each member has been at either edge, as a load balancer would have it. */
function wander(rw, member, random) {
	member.client.socket.on('disconnect', () => { member.client.socket.io.uri = random.pick(Object.values(rw.urls)); });
}

for (const [what, faults] of Object.entries(KINDS)) {
	scenario(`${what}, links and clients cut all along: ${MESSAGES} messages to ${MEMBERS} clients at 2 edges arrive, once and in one order (seed ${seed})`, { timeout: 280_000 }, async (t) => {
		const env = { LINK_TIMEOUT_MS: '1000', LINK_HEARTBEAT_MS: '50', ...(faults && { ROOMWIRE_FAULTS: `${faults},seed=${seed % 1_000_000}` }) };
		const rw = fixture.rw = await new Pieces({ profile: 'bench', routers: 2, env }).start();
		t.after(() => rw.stop());
		const random = new Random(seed);
		const members = await Promise.all(Array.from({ length: MEMBERS }, (_, i) =>
			Member.join(rw.urls[`edge-${i % 2}`], { room: 'all', token: rw.token({ sub: `user-${i}` }), transports: [i % 5 === 4 ? 'polling' : 'websocket'] })));
		for (const member of members)
			wander(rw, member, random);
		const cuts = cutting(rw, members, random);
		const streams = Array.from({ length: LANES }, (_, i) => new Stream(rw, 'all', { event: `lane-${i}` }).start());
		try {
			await Promise.all(streams.map((stream) => stream.until(MESSAGES / LANES)));
		} finally {
			cuts.stop();
		}
		await waitFor(() => members.every(({ client }) => client.socket.connected), { what: 'everybody to be back', deadlineMs: 40_000 });

		for (const [i, { client, fresh }] of members.entries()) {
			for (const { event, accepted } of streams)
				await assertWhole(client, accepted, { event, who: `member ${i}` });
			assert.equal(fresh, 0, `member ${i} was recovered each time`);
		}
		const orderOf = ({ client }) => client.inbox.all.filter(({ event }) => event.startsWith('lane-')).map(({ event, args }) => `${event} ${args[0].n}`);
		for (const member of members.slice(1))
			assert.deepEqual(orderOf(member), orderOf(members[0]), 'all see one order');
		const returns = members.reduce((sum, member) => sum + member.returns, 0);
		assert.ok(returns > 0, 'clients were cut');
		t.diagnostic(`${returns} returns, ${await total(rw, 'edge', 'roomwire_link_gaps_total')} gaps and ${await total(rw, 'edge', 'roomwire_link_doubles_total')} doubles noticed by edges`);
	});
}
