// SPDX-License-Identifier: Apache-2.0
/* Routers come and go while messages flow: the others notice one after another, and nothing is missed, doubled or out of order. */
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, scenario, useFixture, waitFor } from './harness.mjs';
import { scratch } from './lib/children.mjs';
import { assertWhole, metricOf, Stream } from './lib/cluster.mjs';
import { Pieces } from './lib/pieces.mjs';

const ROOMS = 24;
const file = join(scratch('routers'), 'endpoints');

/* Taken up by every process within a second or so, each at its own moment. */
function write(...endpoints) {
	writeFileSync(`${file}.new`, `# routers\n${endpoints.join('\n')}\n`);
	renameSync(`${file}.new`, file);
}

const fixture = useFixture(async (things) => {
	const pieces = new Pieces({ profile: 'bench', routers: 2, env: { ROUTER_ENDPOINTS: `file://${file}` } });
	const started = pieces.start();
	await waitFor(() => pieces.proxies['router-1'], { what: 'endpoints of both routers' });
	write(pieces.proxies['router-0'].endpoint);
	await started;
	things.rw = pieces;
});

const roomsOf = (name) => metricOf(fixture.rw.processes[name], 'roomwire_rooms');
const linksOf = (name) => metricOf(fixture.rw.processes[name], 'roomwire_links_up');

scenario('a router is added and the first one is taken away while messages flow', { timeout: 120_000 }, async () => {
	const { rw } = fixture;
	const first = rw.proxies['router-0'].endpoint, second = rw.proxies['router-1'].endpoint;
	const names = Array.from({ length: ROOMS }, (_, i) => `set-${i}`);
	const members = await Promise.all(Object.values(rw.urls).flatMap((url, at) => [0, 1].map(async (i) => {
		const client = await connect(url, { token: rw.token({ sub: `member-${at}-${i}` }) });
		for (const room of names)
			await client.ask('room:join', { room });
		return client;
	})));
	const streams = names.map((room) => new Stream(rw, room, { event: room, gapMs: 5 }).start());
	const some = () => Promise.all(streams.map((stream) => stream.more(20)));

	await some();
	assert.equal(await linksOf('router-1'), 0);
	write(first, second);
	await waitFor(async () => await roomsOf('router-1') > ROOMS / 6, { what: 'rooms at the second router' });
	await some();
	write(second);
	await waitFor(async () => await roomsOf('router-1') >= ROOMS, { what: 'all rooms at the second router' });
	await some();
	const counts = await Promise.all(streams.map((stream) => stream.stop()));

	for (const [i, room] of names.entries()) {
		for (const [at, member] of members.entries())
			await assertWhole(member, counts[i], { event: room, who: `member ${at}` });
	}
});
