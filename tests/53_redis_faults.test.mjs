// SPDX-License-Identifier: Apache-2.0
/* Redis and ingests come and go while Node servers and Roomwire share an application. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { waitReplaced } from './lib/cluster.mjs';
import { emitter, NodeServer } from './lib/nodeio.mjs';
import { Redis } from './lib/redis.mjs';

const PROFILE = 'tests/profiles/beside.yaml';
const ACTIVE = 'roomwire_redis_adapter_active';

const fixture = useFixture(async (things) => {
	things.redis = await Redis.create();
	things.node = await NodeServer.start(things.redis.url);
	things.rw = new Roomwire({ profile: PROFILE, ingests: 2, routers: 2, edges: 2, env: { REDIS_URL: things.redis.url } });
	await things.rw.start();
	things.backend = await emitter(things.redis.url);
	await oneActs();
});

const ingests = () => Object.entries(fixture.rw.processes).filter(([, { kind }]) => kind === 'ingest');

async function actsNow({ opsUrl }) {
	const text = await (await fetch(`${opsUrl}/metrics`, { signal: AbortSignal.timeout(1000) })).text();
	return text.includes(`\n${ACTIVE} 1\n`);
}

/* [name, process] of those that act on the channels; processes that are not there do not. */
async function acting() {
	const asked = await Promise.all(ingests().map(async (one) => [one, await actsNow(one[1]).catch(() => false)]));
	return asked.filter(([, yes]) => yes).map(([one]) => one);
}

/* Exactly one, and Redis knows of it. */
async function oneActs() {
	const [one] = await waitFor(async () => {
		const found = await acting();
		return found.length === 1 && await fixture.node.io.of('/').adapter.serverCount() === 2 && found;
	}, { what: 'exactly one ingest to act' });
	return one;
}

let rooms = 0;

/* A member at each side and one at the other edge, in a new room. */
async function members() {
	const room = `room-${++rooms}`;
	const clients = await Promise.all([fixture.rw.url, fixture.rw.url, fixture.node.url].map((url) => connect(url)));
	for (const client of clients)
		assert.equal((await client.ask('room:join', { room })).ok, true);
	return { room, clients };
}

/* Both ways again: probes are sent until one comes through, and none comes twice. */
async function bothWays({ room, clients }) {
	let n = 0;
	await waitFor(() => {
		fixture.backend.to(room).emit('probe', ++n).valueOf();
		return clients.every((client) => client.received('probe').length > 0);
	}, { what: 'an event from Redis at every member', everyMs: 50 });
	await waitFor(async () => {
		await fixture.rw.publish({ rooms: [room], event: 'answer', data: ++n });
		return clients.every((client) => client.received('answer').length > 0);
	}, { what: 'an event from Roomwire at every member', everyMs: 50 });
	for (const client of clients) {
		for (const event of ['probe', 'answer']) {
			const got = client.received(event);
			assert.deepEqual(got, [...new Set(got)].sort((a, b) => a - b), `${event}: none twice, in order`);
		}
	}
}

scenario('of two ingests exactly one acts, and an event comes once', async () => {
	await oneActs();
	const { room, clients } = await members();
	for (let n = 0; n < 200; n++)
		fixture.node.io.to(room).emit('news', n);
	fixture.node.io.to(room).emit('mark');
	for (const client of clients) {
		await client.next('mark');
		assert.deepEqual(client.received('news'), Array.from({ length: 200 }, (_, n) => n));
	}
});

scenario('an event to rooms of two routers goes to Node once', async () => {
	const several = await Promise.all(Array.from({ length: 8 }, members));
	const all = several.map(({ room }) => room);
	const client = await connect(fixture.node.url);
	for (const room of all)
		await client.ask('room:join', { room });
	for (let n = 0; n < 20; n++)
		await fixture.rw.publish({ rooms: all, event: 'news', data: n });
	await client.nextArgs('news', { where: (n) => n === 19 });
	await fixture.rw.publish({ rooms: [client.id], event: 'mark', data: 1 });
	await client.next('mark');
	assert.deepEqual(client.received('news').sort((a, b) => a - b), Array.from({ length: 20 }, (_, n) => n));
});

scenario('the acting ingest is killed: another one acts within seconds, clients notice nothing else', async () => {
	const [name, { pid }] = await oneActs();
	const group = await members();
	await bothWays(group);
	process.kill(pid, 'SIGKILL');
	await waitFor(async () => (await acting()).some(([, one]) => one.pid !== pid), { what: `another one than ${name} to act` });
	await oneActs();
	await bothWays(await members());
	for (const client of group.clients)
		client.assertNone('@disconnect');
});

scenario('the acting ingest drains: another one acts at once', async () => {
	const [, { pid }] = await oneActs();
	await waitFor(async () => ingests().length === 2 && (await Promise.all(ingests().map(([, { opsUrl }]) => fetch(`${opsUrl}/readyz`).then(({ status }) => status === 200)))).every(Boolean),
		{ what: 'both ingests to be ready' });
	const from = Date.now();
	process.kill(pid, 'SIGTERM');
	await waitFor(async () => (await acting()).some(([, one]) => one.pid !== pid), { what: 'another one to act' });
	assert.ok(Date.now() - from < 1500, `at once, not after the lease: ${Date.now() - from} ms`);
	await bothWays(await members());
});

scenario('a stopped ingest that comes back after its lease does not act beside the other one', async () => {
	await waitFor(() => ingests().length === 2, { what: 'both ingests' });
	const [, { pid }] = await oneActs();
	process.kill(pid, 'SIGSTOP');
	try {
		await waitFor(async () => (await acting()).some(([, one]) => one.pid !== pid), { what: 'another one to act' });
		const { room, clients } = await members();
		for (let n = 0; n < 20; n++)
			fixture.backend.to(room).emit('news', n);
		await waitFor(() => clients.every((client) => client.received('news').length >= 20), { what: 'the events' });
		process.kill(pid, 'SIGCONT');
		await oneActs();
		fixture.backend.to(room).emit('mark');
		for (const client of clients) {
			await client.next('mark');
			assert.deepEqual(client.received('news'), Array.from({ length: 20 }, (_, n) => n));
		}
	} finally {
		process.kill(pid, 'SIGCONT');
	}
});

scenario('a router is killed: the next one is asked for copies, too', async () => {
	const group = await members();
	await bothWays(group);
	await fixture.rw.killAndWait('router');
	await fixture.rw.waitReady('ingest');
	await bothWays(await members());
});

scenario('routers are stopped while 10,000 events come from Redis: all arrive, in order, once', async () => {
	const { room, clients } = await members();
	const routers = Object.values(fixture.rw.processes).filter(({ kind }) => kind === 'router');
	const signal = (name) => routers.forEach(({ pid }) => process.kill(pid, name));
	const count = 10_000;
	signal('SIGSTOP');
	try {
		for (let n = 0; n < count; n++) {
			fixture.node.io.to(room).emit('news', n);
			if (n % 1000 === 999)
				await new Promise(setImmediate);
		}
		await fixture.redis.command('PING');
		await clients[2].nextArgs('news', { where: (n) => n === count - 1 });
		assert.equal(clients[0].received('news').length, 0);
	} finally {
		signal('SIGCONT');
	}
	const wanted = Array.from({ length: count }, (_, n) => n);
	for (const client of clients) {
		await waitFor(() => client.received('news').length >= count, { what: 'all of them', deadlineMs: 20_000 });
		assert.deepEqual(client.received('news'), wanted);
	}
});

scenario('routers are killed while 10,000 events come from Redis: all arrive, in order, once', { timeout: 240_000 }, async () => {
	const { room, clients } = await members();
	const routers = Object.keys(fixture.rw.processes).filter((name) => name.startsWith('router'));
	const count = 10_000;
	const killing = [];
	const killed = (name) => {
		const { pid } = fixture.rw.processes[name];
		process.kill(pid, 'SIGKILL');
		return waitReplaced(fixture.rw, name, pid);
	};
	for (let n = 0; n < count; n++) {
		fixture.node.io.to(room).emit('news', n);
		if (n % 3000 === 1500)
			killing.push(...routers.map(killed));
		if (n % 25 === 24) { /* no faster than Redis passes them on, so that they flow while routers are away */
			await fixture.redis.command('PING');
			await clients[2].nextArgs('news', { where: (got) => got >= n - 1000 });
		}
		if (killing.length > 0 && n % 3000 === 2500)
			await Promise.all(killing.splice(0));
	}
	await Promise.all(killing);
	const wanted = Array.from({ length: count }, (_, n) => n);
	for (const client of clients) {
		await waitFor(() => client.received('news').length >= count, { what: 'all of them', deadlineMs: 40_000 });
		assert.deepEqual(client.received('news'), wanted);
	}
});

scenario('Redis stands still for a while: both ways again', async () => {
	fixture.redis.pause();
	try {
		await waitFor(async () => (await acting()).length === 0, { what: 'the lease to end' });
	} finally {
		fixture.redis.resume();
	}
	await oneActs();
	await bothWays(await members());
});

scenario('Redis lets nobody write: readiness says so, and nobody acts', async () => {
	await fixture.redis.command('REPLICAOF', '127.0.0.1', '1');
	try {
		await fixture.rw.waitReady('ingest', 'redis');
		await waitFor(async () => (await acting()).length === 0, { what: 'the lease to end' });
	} finally {
		await fixture.redis.command('REPLICAOF', 'NO', 'ONE');
	}
	await fixture.rw.waitReady('ingest');
	await oneActs();
	await bothWays(await members());
});

scenario('Redis is killed: readiness says so, what is accepted elsewhere flows; when it is back, both ways again', async () => {
	const { room, clients } = await members();
	await fixture.redis.kill();
	await fixture.rw.waitReady('ingest', 'redis');
	const { json } = await fixture.rw.ops('ingest', '/readyz');
	const row = json.failing.find(({ component }) => component === 'redis');
	assert.match(row.reason, /\S/);
	assert.ok(!row.reason.includes('redis://'), row.reason);
	await fixture.rw.publish({ rooms: [room], event: 'news', data: 'without Redis' });
	for (const client of clients.slice(0, 2))
		assert.equal(await client.next('news'), 'without Redis');
	await waitFor(async () => (await acting()).length === 0, { what: 'nobody to act' });
	await fixture.redis.start();
	await fixture.rw.waitReady('ingest');
	await oneActs();
	await bothWays(await members());
});
