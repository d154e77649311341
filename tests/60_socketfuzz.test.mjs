// SPDX-License-Identifier: Apache-2.0
/*
 * The listening port against everything a socket can be sent. ROOMWIRE_FUZZ_SEED repeats a run,
 * ROOMWIRE_FUZZ_ROUNDS makes it longer or shorter.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { connect, http, Polling, scenario, tcp, useRoomwire, waitFor, within } from './harness.mjs';
import { frame, handshake, newSeed, pieces, post, Random, request, round, upgrade } from './lib/fuzz.mjs';

const ROUNDS = Number(process.env.ROOMWIRE_FUZZ_ROUNDS || 10_000);
const AT_ONCE = 50;
const SLOWEST_ECHO_MS = 8000;
const HANDSHAKE_TIMEOUT_MS = 2000;

const fixture = useRoomwire({
	profile: 'conformance',
	/* heartbeats that forgive this process for being busy with the fuzz */
	env: { HANDSHAKE_TIMEOUT_MS: String(HANDSHAKE_TIMEOUT_MS), PING_INTERVAL_MS: '500', PING_TIMEOUT_MS: '4000' },
});
const url = () => fixture.rw.url;
const answers = (text) => text.split('HTTP/1.1 ').slice(1);
const statuses = (connection) => answers(connection.received()).map((answer) => Number(answer.slice(0, 3)));

async function answered(connection, count) {
	await waitFor(() => answers(connection.received()).length >= count, { what: `${count} answers`, everyMs: 5 });
	return statuses(connection);
}

async function bitByBit(connection, bytes) {
	for (const byte of bytes) {
		connection.socket.write(Buffer.from([byte]));
		await turn();
	}
}

scenario('two pipelined handshakes in one segment are both answered', async () => {
	const connection = tcp(url());
	connection.socket.write(Buffer.concat([handshake(), handshake()]));
	assert.deepEqual(await answered(connection, 2), [200, 200]);
});

scenario('ten pipelined requests, good and bad, are answered in their order', async () => {
	const session = await Polling.open(url());
	const connection = tcp(url());
	const posts = Array.from({ length: 9 }, (_, i) => post(session.sid, i === 0 ? '40' : `42["message",${i}]`));
	connection.socket.write(Buffer.concat([...posts, handshake()]));
	assert.deepEqual(await answered(connection, 10), Array(10).fill(200));
	const packets = await session.packets(10);
	assert.deepEqual(packets.slice(2), Array.from({ length: 8 }, (_, i) => `42["message-back",${i + 1}]`));
});

scenario('a request that comes byte by byte is answered as one that comes at once', async () => {
	const connection = tcp(url());
	await bitByBit(connection, handshake());
	assert.deepEqual(await answered(connection, 1), [200]);
});

const CONNECT = () => frame(Buffer.from('40'));
const connected = (connection) => waitFor(() => connection.received().includes('40{"sid"'), { what: 'the CONNECT answer' });
const opened = (connection) => waitFor(() => connection.received().includes('0{"sid"'), { what: 'the open packet' });

scenario('a frame that comes in the same segment as the upgrade is answered', async () => {
	const connection = tcp(url());
	connection.socket.write(Buffer.concat([upgrade(), CONNECT()]));
	await connected(connection);
	assert.deepEqual(statuses(connection), [101]);
});

scenario('an upgrade and a frame split at every byte are answered', async () => {
	const connection = tcp(url());
	await bitByBit(connection, upgrade());
	await opened(connection);
	await bitByBit(connection, CONNECT());
	await connected(connection);
});

scenario('an upgrade on a connection that was kept alive works', async () => {
	const connection = tcp(url());
	connection.socket.write(request('GET', '/nowhere'));
	assert.deepEqual(await answered(connection, 1), [404]);
	connection.socket.write(upgrade());
	await opened(connection);
	connection.socket.write(CONNECT());
	await connected(connection);
});

scenario('an upgrade pipelined behind a request works, after that request was answered', async () => {
	const connection = tcp(url());
	connection.socket.write(Buffer.concat([request('GET', '/nowhere'), upgrade()]));
	await opened(connection);
	connection.socket.write(CONNECT());
	await connected(connection);
	assert.deepEqual(statuses(connection), [404, 101]);
});

scenario('a client that half-closes after its request still gets the answer', async () => {
	const connection = tcp(url());
	connection.socket.end(handshake());
	assert.deepEqual(await answered(connection, 1), [200]);
	await within(connection.ended, { what: 'the connection to be closed' });
});

/* One connection: the pieces, then a half close, a reset, or an answer waited for. */
async function play(random, sid) {
	const { kind, bytes } = round(random, sid);
	const connection = tcp(url());
	for (const piece of pieces(random, bytes)) {
		if (connection.socket.destroyed || !connection.socket.writable)
			break;
		connection.socket.write(piece);
		await turn();
	}
	const end = random.below(3);
	if (end === 0)
		connection.socket.end();
	if (end < 2)
		await Promise.race([connection.ended, answeredOnce(connection)]);
	connection.close();
	return kind;
}

/* Some rounds get no answer by right (half a request): those go on after a few turns of the loop. */
async function answeredOnce(connection) {
	for (let i = 0; i < 40 && !connection.received(); i++)
		await turn();
}

/* Echo round trips until told to end; the slowest one in ms. */
async function echoes(state) {
	const client = await connect(url());
	let slowest = 0;
	for (let i = 0; !state.over; i++) {
		const asked = performance.now();
		assert.equal(await client.ask('message-with-ack', i), i);
		slowest = Math.max(slowest, performance.now() - asked);
	}
	client.assertNone('@disconnect');
	return slowest;
}

const descriptors = (pid) => readdirSync(`/proc/${pid}/fd`).length;

scenario(`${ROUNDS} rounds of anything: no crash, no hang, nothing left open`, { timeout: 360_000 }, async (t) => {
	const { rw } = fixture;
	const seed = Number(process.env.ROOMWIRE_FUZZ_SEED || newSeed());
	t.diagnostic(`ROOMWIRE_FUZZ_SEED=${seed}`);
	const pids = rw.pids();
	const { pid: edge } = rw.process('edge');
	const base = { connections: await rw.metric('edge', 'roomwire_connections'), descriptors: descriptors(edge) };
	const state = { over: false };
	const polite = echoes(state);
	const counts = {};
	let left = ROUNDS;
	const worker = async (random) => {
		let session = await Polling.open(url());
		while (left-- > 0) {
			const kind = await play(random, session.sid);
			counts[kind] = (counts[kind] ?? 0) + 1;
			if (left % 20 === 0)
				session = await Polling.open(url());
		}
	};
	try {
		await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => worker(new Random(seed + i))));
	} catch (error) {
		throw new Error(`seed ${seed}: ${error.message}`, { cause: error });
	} finally {
		state.over = true;
	}
	const slowest = await within(polite, { what: `the last echo of the polite client, seed ${seed}` });
	t.diagnostic(`slowest echo ${slowest.toFixed(1)} ms; rounds ${JSON.stringify(counts)}`);
	assert.ok(slowest < SLOWEST_ECHO_MS, `slowest echo ${slowest} ms, seed ${seed}`);
	assert.deepEqual(rw.pids(), pids, `no process was replaced, seed ${seed}`);
	await waitFor(async () => await rw.metric('edge', 'roomwire_connections') <= base.connections,
		{ what: `roomwire_connections to be back at ${base.connections}, seed ${seed}`, deadlineMs: 40_000 });
	await waitFor(() => descriptors(edge) <= base.descriptors + 8,
		{ what: `the edge's descriptors to be back at about ${base.descriptors}, seed ${seed}`, deadlineMs: 40_000 });
	assert.equal((await http(`${rw.process('edge').opsUrl}/healthz`)).status, 200);
});
