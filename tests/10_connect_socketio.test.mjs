// SPDX-License-Identifier: Apache-2.0
/* The Socket.IO 5 protocol by hand, over a WebSocket: CONNECT, DISCONNECT, EVENT, ACK and binary. */
import assert from 'node:assert/strict';
import { Raw, scenario, useRoomwire } from './harness.mjs';

const fixture = useRoomwire({
	profile: 'conformance',
	env: { PING_TIMEOUT_MS: '5000' }, /* its own is too short for a busy machine */
});
const url = () => fixture.rw.url;

/* Connected to "/" with the auth event taken. */
async function joined() {
	const socket = await Raw.join(url());
	assert.equal(await socket.next(), '42["auth",{}]');
	return socket;
}

const CONNECTS = [
	['the main namespace', '40', '40', '42["auth",{}]'],
	['the main namespace with a payload', '40{"token":"123"}', '40', '42["auth",{"token":"123"}]'],
	['a custom namespace', '40/custom,', '40/custom,', '42/custom,["auth",{}]'],
	['a custom namespace without the comma', '40/custom', '40/custom,', '42/custom,["auth",{}]'],
	['a custom namespace with a payload', '40/custom,{"token":"abc"}', '40/custom,', '42/custom,["auth",{"token":"abc"}]'],
];
for (const [what, packet, prefix, auth] of CONNECTS) {
	scenario(`CONNECT to ${what} answers the socket id, then the payload as auth event`, async () => {
		const socket = await Raw.open(url());
		socket.send(packet);
		const answer = await socket.next();
		assert.ok(answer.startsWith(`${prefix}{`), answer);
		const body = JSON.parse(answer.slice(prefix.length));
		assert.deepEqual(Object.keys(body), ['sid']);
		assert.notEqual(body.sid, socket.handshake.sid);
		assert.equal(await socket.next(), auth);
	});
}

scenario('CONNECT to an unknown namespace answers CONNECT_ERROR and leaves the connection', async () => {
	const socket = await Raw.open(url());
	socket.send('40/random');
	assert.equal(await socket.next(), '44/random,{"message":"Invalid namespace"}');
	socket.send('40');
	assert.match(await socket.next(), /^40\{"sid"/);
});

scenario('a connection that sends no CONNECT is closed after the connect timeout', async () => {
	const opened = Date.now();
	const socket = await Raw.open(url());
	await socket.end();
	assert.ok(Date.now() - opened >= 900, 'not before the connect timeout of 1000 ms');
});

scenario('an event before CONNECT closes the connection', async () => {
	const socket = await Raw.open(url());
	socket.send('42["message","too early"]');
	await socket.end();
});

scenario('DISCONNECT from the main namespace leaves the connection and its heartbeat', async () => {
	const socket = await Raw.join(url(), { pong: false });
	socket.send('41');
	assert.equal(await socket.next((packet) => packet === '2'), '2');
});

scenario('DISCONNECT from a custom namespace leaves the main one', async () => {
	const socket = await joined();
	socket.send('40/custom');
	assert.match(await socket.next(), /^40\/custom,/);
	assert.match(await socket.next(), /^42\/custom,/);
	socket.send('41/custom');
	socket.send('42["message","to main"]');
	assert.equal(await socket.next(), '42["message-back","to main"]');
});

const ECHOES = [
	['plain text', '42["message",1,"2",{"3":[true]}]', '42["message-back",1,"2",{"3":[true]}]'],
	['plain text with an ack', '42456["message-with-ack",1,"2",{"3":[false]}]', '43456[1,"2",{"3":[false]}]'],
	['an ack id of zero', '420["message-with-ack"]', '430[]'],
	['a big ack id', '429007199254740991["message-with-ack",1]', '439007199254740991[1]'],
	['numbers as they were written', '42["message",1.0,1e3,-0,12345678901234567890]', '42["message-back",1.0,1e3,-0,12345678901234567890]'],
	['a string that looks like a packet', '42["message","451-[\\"x\\"]"]', '42["message-back","451-[\\"x\\"]"]'],
	['empty containers', '42["message",{},[],"",null]', '42["message-back",{},[],"",null]'],
];
for (const [what, packet, answer] of ECHOES) {
	scenario(`EVENT with ${what} is answered byte for byte`, async () => {
		const socket = await joined();
		socket.send(packet);
		assert.equal(await socket.next(), answer);
	});
}

scenario('EVENT in a custom namespace is answered there', async () => {
	const socket = await joined();
	socket.send('40/custom');
	await socket.next();
	await socket.next();
	socket.send('42/custom,7["message-with-ack","x"]');
	assert.equal(await socket.next(), '43/custom,7["x"]');
});

const BINARY = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}';
for (const [what, packet, answer] of [
	['event', `452-["message",${BINARY}]`, `452-["message-back",${BINARY}]`],
	['event with an ack', `452-789["message-with-ack",${BINARY}]`, `462-789[${BINARY}]`],
]) {
	scenario(`a binary ${what} carries its attachments both ways in order`, async () => {
		const socket = await joined();
		const attachments = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];
		for (const part of [packet, ...attachments])
			socket.send(part);
		assert.equal(await socket.next(), answer);
		assert.deepEqual([await socket.next(), await socket.next()], attachments);
	});
}
