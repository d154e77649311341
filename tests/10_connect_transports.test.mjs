// SPDX-License-Identifier: Apache-2.0
/* The real client over each transport: events, acks, binary, namespaces. */
import assert from 'node:assert/strict';
import { connect, refusal, scenario, useRoomwire, within } from './harness.mjs';

const fixture = useRoomwire({
	profile: 'conformance',
	env: { PING_INTERVAL_MS: '5000', PING_TIMEOUT_MS: '5000' }, /* its own are too short for a busy machine */
});
const url = () => fixture.rw.url;
const ARGUMENTS = [1, '2', { 3: [true, null, 1.5] }, 'grüße, 世界 \u{1f680}', ''];

const TRANSPORTS = [
	['WebSocket only', ['websocket']],
	['long-polling only', ['polling']],
	['long-polling upgraded to WebSocket', ['polling', 'websocket']],
];

async function echo(client, ...args) {
	client.emit('message', ...args);
	return client.nextArgs('message-back');
}

async function upgraded(client) {
	const { engine } = client.socket.io;
	if (engine.transport.name !== 'websocket')
		await within(new Promise((resolve) => engine.once('upgrade', resolve)), { what: 'the upgrade to WebSocket' });
}

for (const [name, transports] of TRANSPORTS) {
	scenario(`${name}: connects, echoes any arguments and answers acks`, async () => {
		const client = await connect(url(), { transports, auth: { who: 'me' } });
		if (transports.length > 1)
			await upgraded(client);
		assert.deepEqual(await client.next('auth'), { who: 'me' });
		assert.deepEqual(await echo(client, ...ARGUMENTS), ARGUMENTS);
		assert.deepEqual(await echo(client), []);
		assert.deepEqual(await client.ask('message-with-ack', 'one'), 'one');
		assert.equal(client.socket.io.engine.transport.name, transports.at(-1));
	});

	scenario(`${name}: binary attachments come back byte for byte, also in an ack`, async () => {
		const client = await connect(url(), { transports });
		const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
		const [first, second, nested] = await echo(client, bytes, Buffer.alloc(0), { deep: [bytes] });
		assert.deepEqual(Buffer.from(first), bytes);
		assert.equal(Buffer.from(second).length, 0);
		assert.deepEqual(Buffer.from(nested.deep[0]), bytes);
		assert.deepEqual(Buffer.from(await client.ask('message-with-ack', bytes)), bytes);
	});

	scenario(`${name}: a big message, text and binary, comes back whole`, async () => {
		const client = await connect(url(), { transports });
		const text = 'é'.repeat(200_000);
		assert.equal((await echo(client, text))[0], text);
		const bytes = Buffer.alloc(500_000, 0xa5);
		assert.deepEqual(Buffer.from((await echo(client, bytes))[0]), bytes);
	});

	scenario(`${name}: two hundred messages at once come back in order`, async () => {
		const client = await connect(url(), { transports });
		for (let i = 0; i < 200; i++)
			client.emit('message', i, i % 7 ? 'text' : Buffer.from([i]));
		for (let i = 0; i < 200; i++)
			assert.equal((await client.nextArgs('message-back'))[0], i);
	});

	scenario(`${name}: several namespaces share one connection and stay apart`, async () => {
		const main = await connect(url(), { transports, forceNew: true });
		const custom = main.socket.io.socket('/custom', { auth: { in: 'custom' } });
		const seen = [];
		custom.onAny((event, ...args) => seen.push([event, ...args]));
		const heard = new Promise((resolve) => custom.on('message-back', resolve));
		custom.emit('message', 'to custom');
		assert.equal(await within(heard, { what: 'the echo in /custom' }), 'to custom');
		assert.deepEqual(seen, [['auth', { in: 'custom' }], ['message-back', 'to custom']]);
		assert.notEqual(custom.id, main.id);
		custom.disconnect();
		assert.deepEqual(await echo(main, 'to main'), ['to main']);
	});

	scenario(`${name}: an unknown namespace is refused with "Invalid namespace"`, async () => {
		const error = await refusal(url(), { transports, nsp: '/nowhere' });
		assert.equal(error.message, 'Invalid namespace');
	});
}

scenario('messages sent while the upgrade is under way arrive once and in order', async () => {
	const client = await connect(url(), { transports: ['polling', 'websocket'] });
	const count = 300;
	for (let i = 0; i < count; i++) {
		client.emit('message', i);
		if (i % 10 === 9)
			await client.next('message-back', { where: (n) => n === i });
	}
	await upgraded(client);
	assert.deepEqual(client.received('message-back'), Array.from({ length: count }, (_, i) => i));
});

scenario('a volatile event reaches a member that can take it', async () => {
	const client = await connect(url());
	client.socket.volatile.emit('message', 'now or never');
	assert.equal(await client.next('message-back'), 'now or never');
});

scenario('an ack outlives the messages around it', async () => {
	const client = await connect(url());
	const answers = Array.from({ length: 50 }, (_, i) => client.ask('message-with-ack', i));
	client.emit('message', 'between');
	assert.deepEqual(await Promise.all(answers), Array.from({ length: 50 }, (_, i) => i));
	assert.equal(await client.next('message-back'), 'between');
});

scenario('what one client sends to a room reaches the others and not itself', async () => {
	const [a, b, outsider] = await Promise.all([connect(url()), connect(url(), { transports: ['polling'] }), connect(url())]);
	assert.deepEqual(await a.ask('room:join', { room: 'r1' }), { ok: true });
	assert.deepEqual(await b.ask('room:join', { room: 'r1' }), { ok: true });
	const message = { room: 'r1', n: 1, deep: { list: [1, 'zwei'] } };
	a.emit('room:send', message);
	assert.deepEqual(await b.next('room:msg'), message);
	await echo(a, 'marker');
	await echo(outsider, 'marker');
	a.assertNone('room:msg');
	outsider.assertNone('room:msg');
});

scenario('a client that leaves cleanly is told nothing more and the others go on', async () => {
	const [a, b] = await Promise.all([connect(url()), connect(url())]);
	a.socket.disconnect();
	assert.equal(await a.next('@disconnect'), 'io client disconnect');
	assert.deepEqual(await echo(b, 'still here'), ['still here']);
});
