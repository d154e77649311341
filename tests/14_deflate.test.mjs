// SPDX-License-Identifier: Apache-2.0
/* permessage-deflate (RFC 7692): who gets it, that nothing is changed by it, and what a client cannot do with it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { connect, Polling, Raw, Roomwire, scenario, tcp, useFixture, waitFor, within } from './harness.mjs';

const LIMIT = 1_000_000;
const PINGS = { PING_INTERVAL_MS: '25000', PING_TIMEOUT_MS: '20000', CONNECT_TIMEOUT_MS: '45000' };
const fixture = useFixture(async (things) => {
	things.off = await new Roomwire({ profile: 'conformance', env: PINGS }).start();
	things.on = await new Roomwire({ profile: 'conformance', env: { ...PINGS, WEBSOCKET_DEFLATE: 'true' } }).start();
});
const ANSWER = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
const pack = (data) => deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
const unpack = (data) => inflateRawSync(Buffer.concat([data, TAIL]), { finishFlush: constants.Z_SYNC_FLUSH });
const text = (length) => Array.from({ length: Math.ceil(length / 9) }, (_, i) => `${i} grüße, `).join('').slice(0, length);

const FIN = 0x80, RSV1 = 0x40, TEXT = 1, CONT = 0, CLOSE = 8, PING = 9, PONG = 10;

/* A client's frame: masked. */
function frame(first, payload = '') {
	const data = Buffer.from(payload);
	const mask = randomBytes(4);
	const head = data.length < 126 ? Buffer.from([first, 0x80 | data.length])
		: data.length < 65536 ? Buffer.from([first, 0xfe, data.length >> 8, data.length & 255])
			: Buffer.concat([Buffer.from([first, 0xff, 0, 0, 0, 0]), Buffer.from(Uint32Array.of(data.length).buffer).reverse()]);
	return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i & 3])]);
}

/* A WebSocket by hand over TCP: what it offers and every bit of its frames are the test's. */
class Hand {
	static async open(url, offer, behind = Buffer.alloc(0)) {
		const hand = new Hand();
		hand.connection = tcp(url);
		hand.at = 0;
		hand.connection.socket.write(Buffer.concat([Buffer.from([
			'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1', `Host: ${new URL(url).host}`, 'Upgrade: websocket', 'Connection: Upgrade',
			'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
			...[offer ?? []].flat().map((line) => `Sec-WebSocket-Extensions: ${line}`), '', '',
		].join('\r\n')), behind]));
		await waitFor(() => hand.connection.received().includes('\r\n\r\n'), { what: 'the answer to the handshake' });
		hand.at = hand.connection.received().indexOf('\r\n\r\n') + 4;
		hand.head = hand.connection.received().slice(0, hand.at);
		hand.extensions = hand.head.match(/^sec-websocket-extensions: (.*)\r$/im)?.[1];
		assert.match(hand.head, /^HTTP\/1\.1 101 /);
		return hand;
	}

	/* With the Engine.IO handshake, CONNECT and the profile's greeting behind it. */
	static async join(url, offer = 'permessage-deflate') {
		const hand = await Hand.open(url, offer);
		hand.write(frame(FIN | TEXT, '40'));
		for (const start of ['0{', '40{', '42["auth"'])
			assert.ok((await hand.text()).startsWith(start));
		return hand;
	}

	write(...frames) {
		this.connection.socket.write(Buffer.concat(frames));
	}

	/* The next frame: {first, payload}; payload as it was on the wire. */
	async next() {
		let found;
		await waitFor(() => {
			const bytes = Buffer.from(this.connection.received().slice(this.at), 'latin1');
			if (bytes.length < 2)
				return false;
			const head = bytes[1] < 126 ? 2 : bytes[1] === 126 ? 4 : 10;
			if (bytes.length < head)
				return false;
			const n = head === 2 ? bytes[1] : head === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
			if (bytes.length < head + n)
				return false;
			found = { first: bytes[0], payload: bytes.subarray(head, head + n) };
			this.at += head + n;
			return true;
		}, { what: 'a frame' });
		return found;
	}

	async text() {
		const { first, payload } = await this.next();
		assert.equal(first & 0x8f, FIN | TEXT);
		return (first & RSV1 ? unpack(payload) : payload).toString();
	}

	/* The code it is closed with, after any other frames. */
	async code() {
		for (;;) {
			const { first, payload } = await this.next();
			if (first !== (FIN | CLOSE))
				continue;
			this.write(frame(FIN | CLOSE, payload.subarray(0, 2)));
			await within(this.connection.ended, { what: 'the connection to be closed' });
			return payload.readUInt16BE(0);
		}
	}
}

const event = (...args) => `42${JSON.stringify(args)}`;

/* Somebody else at the same edge, who must not notice anything. */
async function unharmed(bystander) {
	assert.equal(await bystander.ask('message-with-ack', 'still here'), 'still here');
}

scenario('off by default: the answer to an offer names no extension, and no frame is compressed', async () => {
	const raw = await Raw.join(fixture.off.url, { perMessageDeflate: true });
	assert.equal(raw.socket.extensions, '');
	const hand = await Hand.join(fixture.off.url);
	assert.equal(hand.extensions, undefined);
	hand.write(frame(FIN | TEXT, event('message', text(5000))));
	const { first, payload } = await hand.next();
	assert.equal(first, FIN | TEXT);
	assert.equal(payload.toString(), event('message-back', text(5000)));
	hand.write(frame(FIN | RSV1 | TEXT, pack('2')));
	assert.equal(await hand.code(), 1002);
});

scenario('on: ws and the real client negotiate it, and one that does not offer it is served without', async () => {
	const raw = await Raw.join(fixture.on.url, { perMessageDeflate: true });
	assert.equal(raw.socket.extensions, 'permessage-deflate');
	const plain = await Raw.join(fixture.on.url, { perMessageDeflate: false });
	assert.equal(plain.socket.extensions, '');
	for (const socket of [raw, plain]) {
		await socket.next();
		socket.send(event('message', text(9000)));
		assert.equal(await socket.next(), event('message-back', text(9000)));
	}
	const client = await connect(fixture.on.url, { perMessageDeflate: { threshold: 0 } });
	assert.equal(client.socket.io.engine.transport.ws.extensions, 'permessage-deflate');
	assert.equal(await client.ask('message-with-ack', text(9000)), text(9000));
});

const OFFERS = [
	['permessage-deflate', true],
	['permessage-deflate; client_max_window_bits', true],
	['permessage-deflate; server_max_window_bits=10', false],
	['permessage-deflate; server_max_window_bits=10, permessage-deflate; client_max_window_bits=9', true],
	[['permessage-deflate; unknown', 'x-webkit-deflate-frame', 'permessage-deflate'], true],
	['permessage-deflate; client_max_window_bits=99', false],
	['permessage-deflate; client_no_context_takeover; client_no_context_takeover', false],
	['permessage-deflate; ; x', false],
	['permessage-deflate, "', false],
	['x'.repeat(4000), false],
];
for (const [offer, taken] of OFFERS) {
	scenario(`the offer ${String(offer).slice(0, 80)} is ${taken ? 'taken' : 'passed over'}`, async () => {
		const hand = await Hand.join(fixture.on.url, offer);
		assert.equal(hand.extensions, taken ? ANSWER : undefined);
		hand.write(frame(FIN | TEXT, event('message', text(3000))));
		const { first, payload } = await hand.next();
		assert.equal(first, taken ? FIN | RSV1 | TEXT : FIN | TEXT);
		assert.equal((taken ? unpack(payload) : payload).toString(), event('message-back', text(3000)));
	});
}

scenario('what is short goes as it is, what is long or would not shrink is told apart, each message by itself', async () => {
	const hand = await Hand.join(fixture.on.url);
	hand.write(frame(FIN | RSV1 | TEXT, pack(event('message', 'short'))));
	assert.deepEqual(await hand.next(), { first: FIN | TEXT, payload: Buffer.from(event('message-back', 'short')) });
	for (let i = 0; i < 3; i++) { /* the third is as easy to read as the first: nothing refers to one before */
		hand.write(frame(FIN | RSV1 | TEXT, pack(event('message', text(50_000)))));
		const { first, payload } = await hand.next();
		assert.equal(first, FIN | RSV1 | TEXT);
		assert.ok(payload.length < 20_000, `50,000 bytes became ${payload.length}`);
		assert.equal(unpack(payload).toString(), event('message-back', text(50_000)));
	}
});

for (const deflate of [true, false]) {
	scenario(`large messages both ways are the same to the byte (client compresses: ${deflate})`, async () => {
		const client = await connect(fixture.on.url, { perMessageDeflate: deflate && { threshold: 0 } });
		for (const args of [
			[text(800_000)], ['\u{1f680}'.repeat(200_000)], [Buffer.alloc(LIMIT, 7)], [randomBytes(LIMIT)],
			[randomBytes(100_000), text(300_000), Buffer.alloc(0), Buffer.from(text(70_000))],
		]) {
			client.emit('message', ...args);
			const back = await client.nextArgs('message-back');
			assert.deepEqual(back.map((one) => typeof one === 'string' ? one : Buffer.from(one)), args);
		}
	});
}

scenario('two thousand compressed messages of many sizes at once come back in order', async () => {
	const client = await connect(fixture.on.url, { perMessageDeflate: { threshold: 0 } });
	const sizes = Array.from({ length: 2000 }, (_, i) => (i * 7919) % (i % 100 === 0 ? 60_000 : 900));
	for (const [i, size] of sizes.entries())
		client.emit('message', i, i % 5 ? text(size) : Buffer.from(text(size)));
	for (const [i, size] of sizes.entries()) {
		const [number, data] = await client.nextArgs('message-back');
		assert.equal(number, i);
		assert.equal(Buffer.from(data).toString(), Buffer.from(text(size)).toString());
	}
});

scenario('a polling session that moves to a WebSocket has it there', async () => {
	const client = await connect(fixture.on.url, { transports: ['polling', 'websocket'], perMessageDeflate: { threshold: 0 } });
	const { engine } = client.socket.io;
	await waitFor(() => engine.transport.name === 'websocket', { what: 'the upgrade' });
	assert.equal(engine.transport.ws.extensions, 'permessage-deflate');
	assert.equal(await client.ask('message-with-ack', text(100_000)), text(100_000));
});

scenario('a broadcast reaches members with, without and by long-polling alike, and is compressed once', async () => {
	const { on } = fixture;
	const members = await Promise.all([true, true, true, false, false].map((deflate) => connect(on.url, { perMessageDeflate: deflate && {} })));
	const polling = await Polling.open(on.url);
	await polling.post('40');
	await polling.packets(2);
	await polling.post(`421${JSON.stringify(['room:join', { room: 'mixed' }])}`);
	assert.deepEqual(await polling.packets(1), ['431[{"ok":true}]']);
	for (const member of members)
		assert.deepEqual(await member.ask('room:join', { room: 'mixed' }), { ok: true });
	const plain = async () => (await on.metrics('edge')).get('roomwire_deflate_bytes_total{form="plain"}');
	const before = await plain();
	const message = { room: 'mixed', text: text(40_000) };
	const sender = await connect(on.url, { perMessageDeflate: false });
	await sender.ask('room:join', { room: 'mixed' });
	sender.emit('room:send', message);
	for (const member of members)
		assert.deepEqual(await member.next('room:msg'), message);
	const [packet] = await polling.packets(1);
	assert.ok(packet.startsWith('42') && packet.includes(JSON.stringify(message)));
	const compressed = await plain() - before;
	assert.ok(compressed > 40_000 && compressed < 80_000, `${compressed} bytes were compressed for three members`);
});

scenario('a compressed message in pieces is whole, with a ping between them and every byte in its own segment', async () => {
	const hand = await Hand.join(fixture.on.url);
	const packed = pack(event('message', text(3000)));
	const cut = [0, 1, 7, 7, packed.length >> 1, packed.length];
	const pieces = cut.slice(1).map((end, i) => packed.subarray(cut[i], end));
	hand.write(...pieces.flatMap((piece, i) => [
		frame((i === 0 ? RSV1 | TEXT : CONT) | (i === pieces.length - 1 ? FIN : 0), piece),
		...(i === 1 ? [frame(FIN | PING, 'between')] : []),
	]));
	const got = [await hand.next(), await hand.next()].sort((a, b) => (b.first & 15) - (a.first & 15));
	assert.deepEqual(got[0], { first: FIN | PONG, payload: Buffer.from('between') });
	assert.equal(unpack(got[1].payload).toString(), event('message-back', text(3000)));
	const short = frame(FIN | RSV1 | TEXT, pack(event('message', 'byte by byte')));
	hand.connection.socket.setNoDelay(true);
	for (const byte of short) {
		hand.write(Buffer.from([byte]));
		await new Promise(setImmediate);
	}
	assert.equal(await hand.text(), event('message-back', 'byte by byte'));
	/* An empty last piece, then an uncompressed message in pieces, then a whole one. */
	hand.write(frame(RSV1 | TEXT, pack(event('message', 1))), frame(FIN | CONT), frame(TEXT, '42["mess'), frame(FIN | CONT, 'age",2]'),
		frame(FIN | RSV1 | TEXT, pack(event('message', 3))));
	for (const i of [1, 2, 3])
		assert.equal(await hand.text(), event('message-back', i));
});

scenario('a client that does not wait for the answer to its handshake may compress what it sends', async () => {
	const early = [frame(FIN | TEXT, '40'), ...[1, 2, 3].map((i) => frame(FIN | RSV1 | TEXT, pack(event('message', i, 'x'.repeat(5000)))))];
	const hand = await Hand.open(fixture.on.url, 'permessage-deflate', Buffer.concat(early));
	for (const start of ['0{', '40{', '42["auth"', '42["message-back",1,', '42["message-back",2,', '42["message-back",3,'])
		assert.ok((await hand.text()).startsWith(start));
});

scenario('a message whose size is within the limit passes though it is a little longer compressed; one byte more is 1009', async () => {
	const bytes = randomBytes(LIMIT);
	const raw = await Raw.join(fixture.on.url, { perMessageDeflate: { threshold: 0 } });
	await raw.next();
	raw.send('451-["message",{"_placeholder":true,"num":0}]');
	raw.send(bytes);
	assert.match(await raw.next(), /^451-/);
	assert.deepEqual(await raw.next(), bytes);
	raw.send(Buffer.alloc(LIMIT + 1));
	assert.equal((await raw.end()).code, 1009);
});

scenario('a bomb (a gigabyte of zeros in a megabyte) is 1009, costs no memory, and nobody else notices', async () => {
	const { on } = fixture;
	const bystander = await connect(on.url);
	const zeros = deflateRawSync(Buffer.alloc(16 << 20), { finishFlush: constants.Z_SYNC_FLUSH });
	const bomb = frame(FIN | RSV1 | TEXT, Buffer.concat(Array(64).fill(zeros)));
	assert.ok(bomb.length < 1.1e6, `${bomb.length} bytes`);
	const memory = () => on.metric('edge', 'process_resident_memory_bytes');
	const before = await memory();
	for (let i = 0; i < 5; i++) {
		const hand = await Hand.join(on.url);
		hand.write(bomb);
		assert.equal(await hand.code(), 1009);
		await unharmed(bystander);
	}
	const grown = await memory() - before;
	assert.ok(grown < 100e6, `the edge grew by ${grown} bytes`);
	const turn = await on.metric('edge', 'roomwire_loop_turn_max_microseconds');
	assert.ok(turn < 500_000, `the longest loop turn took ${turn} µs`);
});

const first = pack('42["message","the quick brown fox"]');
const WRONG = [
	['bytes that are no deflate', 1007, [frame(FIN | RSV1 | TEXT, Buffer.alloc(50, 0xff))]],
	['text that is not compressed at all', 1007, [frame(FIN | RSV1 | TEXT, event('message', 'plain'))]],
	['random bytes', 1007, [frame(FIN | RSV1 | TEXT, Buffer.concat([Buffer.from([6]), randomBytes(5000)]))]],
	['a message that was cut off', 1007, [frame(FIN | RSV1 | TEXT, pack(event('message', text(5000))).subarray(0, 300))]],
	['nothing, said to be compressed', 1007, [frame(FIN | RSV1 | TEXT)]],
	['text that is no UTF-8 when expanded', 1007, [frame(FIN | RSV1 | TEXT, pack(Buffer.from([0x34, 0x32, 0xff, 0xfe])))]],
	['text that is no UTF-8 and not compressed', 1007, [frame(FIN | TEXT, Buffer.from([0x34, 0x32, 0xff, 0xfe]))]],
	['a message that refers to the one before', 1007, [frame(FIN | RSV1 | TEXT, first),
		frame(FIN | RSV1 | TEXT, Buffer.from([0xf2, 0x00, 0x11, 0x00, 0x00]))]],
	['the bit on a later frame of a message', 1002, [frame(RSV1 | TEXT, first.subarray(0, 5)), frame(FIN | RSV1 | CONT, first.subarray(5))]],
	['the bit on a later frame only', 1002, [frame(TEXT, '42['), frame(FIN | RSV1 | CONT, '1]')]],
	['another reserved bit', 1002, [frame(FIN | 0x20 | TEXT, '2')]],
];
for (const [what, code, frames] of WRONG) {
	scenario(`${what}: closed with ${code}, and nobody else notices`, async () => {
		const bystander = await connect(fixture.on.url, { perMessageDeflate: { threshold: 0 } });
		const hand = await Hand.join(fixture.on.url);
		hand.write(...frames);
		assert.equal(await hand.code(), code);
		await unharmed(bystander);
	});
}
