// SPDX-License-Identifier: Apache-2.0
/* The Socket.IO 5 protocol by hand, the same over both transports: every packet type, what may follow what, and what ends a connection. */
import assert from 'node:assert/strict';
import { http, useRoomwire } from './harness.mjs';
import { both, join, joined, talk, TRANSPORTS } from './lib/rawtalk.mjs';

const fixture = useRoomwire({
	profile: 'conformance',
	env: { PING_INTERVAL_MS: '5000', PING_TIMEOUT_MS: '5000', CONNECT_TIMEOUT_MS: '3000' }, /* heartbeats are tested elsewhere */
});
const url = () => fixture.rw.url;

/* The connection is whole: it answers, and nothing came before the answer. */
async function assertAlive(one, nsp = '') {
	one.send(`42${nsp}["message","alive"]`);
	assert.equal(await one.next(), `42${nsp}["message-back","alive"]`);
}

const placeholder = (num) => `{"_placeholder":true,"num":${num}}`;

/* ---- CONNECT and DISCONNECT ---- */

const CONNECTS = [
	['the main namespace', '40', '40', '42["auth",{}]'],
	['the main namespace by its name', '40/,', '40', '42["auth",{}]'],
	['the main namespace with a payload', '40{"a":[1,{"b":null}]}', '40', '42["auth",{"a":[1,{"b":null}]}]'],
	['the main namespace with an empty payload', '40{}', '40', '42["auth",{}]'],
	['a custom namespace', '40/custom,', '40/custom,', '42/custom,["auth",{}]'],
	['a custom namespace with a payload', '40/custom,{"token":"é世"}', '40/custom,', '42/custom,["auth",{"token":"é世"}]'],
];
for (const [what, packet, prefix, auth] of CONNECTS) {
	both(`CONNECT to ${what} is answered with a socket id of its own`, async (transport) => {
		const [one, other] = await Promise.all([talk(url(), transport), talk(url(), transport)]);
		const ids = [];
		for (const each of [one, other]) {
			each.send(packet);
			const answer = await each.next();
			assert.ok(answer.startsWith(`${prefix}{"sid":"`), answer);
			ids.push(JSON.parse(answer.slice(prefix.length)).sid);
			assert.equal(await each.next(), auth);
		}
		assert.notEqual(ids[0], ids[1]);
	});
}

for (const nsp of ['/nowhere', '/custom/', '/Custom', '/é世', '/with space', `/${'n'.repeat(200)}`]) {
	both(`CONNECT to the unknown namespace ${nsp.slice(0, 20)} is answered CONNECT_ERROR, others may follow`, async (transport) => {
		const one = await talk(url(), transport);
		one.send(`40${nsp},{"token":"x"}`);
		assert.equal(await one.next(), `44${nsp},{"message":"Invalid namespace"}`);
		one.send(`40${nsp},`);
		assert.equal(await one.next(), `44${nsp},{"message":"Invalid namespace"}`);
		await join(one);
		await assertAlive(one);
	});
}

both('CONNECT_ERROR is no connection: the connect timeout ends it all the same', async (transport) => {
	const one = await talk(url(), transport);
	one.send('40/nowhere');
	assert.match(await one.next(), /^44\/nowhere,/);
	await one.end();
});

both('two namespaces of one connection have two ids and their own events, acks and attachments', async (transport) => {
	const one = await joined(url(), transport);
	const custom = await join(one, '/custom,');
	assert.notEqual(custom.sid, one.connect.sid);
	one.send('427["message-with-ack","main"]', '42/custom,7["message-with-ack","custom"]', '42["message",1]', '42/custom,["message",2]',
		`451-/custom,["message",${placeholder(0)}]`, Buffer.from('c'), `451-8["message-with-ack",${placeholder(0)}]`, Buffer.from('m'));
	const wanted = ['437["main"]', '43/custom,7["custom"]', '42["message-back",1]', '42/custom,["message-back",2]',
		`451-/custom,["message-back",${placeholder(0)}]`, Buffer.from('c'), `461-8[${placeholder(0)}]`, Buffer.from('m')];
	for (const packet of wanted)
		assert.deepEqual(await one.next(), packet);
});

both('DISCONNECT of the main namespace leaves the custom one', async (transport) => {
	const one = await joined(url(), transport);
	await join(one, '/custom,');
	one.send('41');
	await assertAlive(one, '/custom,');
});

both('DISCONNECT and CONNECT again gives a new socket without the rooms of the old one', async (transport) => {
	const [one, other] = await Promise.all([joined(url(), transport), joined(url(), transport)]);
	const room = `left-${transport}`;
	for (const each of [one, other]) {
		each.send(`421["room:join",{"room":"${room}"}]`);
		assert.equal(await each.next(), '431[{"ok":true}]');
	}
	one.send('41');
	const { sid } = await join(one);
	assert.notEqual(sid, one.connect.sid);
	other.send(`42["room:send",{"room":"${room}"}]`);
	await assertAlive(other);
	await assertAlive(one);
});

both('DISCONNECT of the last namespace leaves the connection open for another one', async (transport) => {
	const one = await joined(url(), transport, '/custom,');
	one.send('41/custom,');
	await join(one);
	await assertAlive(one);
});

/* ---- events and acks ---- */

const ECHOES = [
	['no arguments', '', ''],
	['every kind of value', '1,"2",true,false,null,{"3":[true]},[[]],-0.5e-3', '1,"2",true,false,null,{"3":[true]},[[]],-0.5e-3'],
	['blanks between values', ' 1 , [ 2 ] ', '1 , [ 2 ]'],
	['characters of every width', '"a é 世 \u{1f680}"', '"a é 世 \u{1f680}"'],
	['escapes', '"\\u001e\\n\\\\ \\"4\\" \\ud83d\\ude80"', '"\\u001e\\n\\\\ \\"4\\" \\ud83d\\ude80"'],
	['half an emoji, as JavaScript writes it', '"\\ud83d",{"\\ude00":"\\udc00\\ud800"}', '"\\ud83d",{"\\ude00":"\\udc00\\ud800"}'],
	['arrays two hundred deep', `${'['.repeat(200)}${']'.repeat(200)}`, `${'['.repeat(200)}${']'.repeat(200)}`],
	['a name that is a member twice', '{"a":1,"a":2}', '{"a":1,"a":2}'],
	['what looks like a placeholder', placeholder(0), placeholder(0)],
	['what looks like placeholders, deep', `{"a":[${placeholder(7)},{"_placeholder":true}]}`, `{"a":[${placeholder(7)},{"_placeholder":true}]}`],
];
for (const [what, args, back] of ECHOES) {
	both(`EVENT and ACK with ${what} are answered byte for byte`, async (transport) => {
		const one = await joined(url(), transport);
		const comma = args ? ',' : '';
		one.send(`42["message"${comma}${args}]`, `4212["message-with-ack"${comma}${args}]`);
		assert.equal(await one.next(), `42["message-back"${comma}${back}]`);
		assert.equal(await one.next(), `4312[${back}]`);
	});
}

both('a hundred acks are answered each with its own id, in order', async (transport) => {
	const one = await joined(url(), transport);
	const ids = Array.from({ length: 100 }, (_, i) => (i * 7919) % 1009);
	one.send(...ids.map((id) => `42${id}["message-with-ack",${id}]`));
	for (const id of ids)
		assert.equal(await one.next(), `43${id}[${id}]`);
});

both('an ACK nobody waits for is ignored, with and without attachments', async (transport) => {
	const one = await joined(url(), transport);
	one.send('430[]', '43999["x"]', `461-12[${placeholder(0)}]`, Buffer.from('x'));
	await assertAlive(one);
});

both('an event that the profile does not name is told, and the connection stays', async (transport) => {
	const one = await joined(url(), transport);
	one.send('42["no-such-event",1]');
	const [name, { code }] = JSON.parse((await one.next()).slice(2));
	assert.deepEqual([name, code], ['error', 'UNKNOWN_EVENT']);
	await assertAlive(one);
});

/* ---- attachments ---- */

const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 37 + n) & 255));
const POSITIONS = [
	['first', [placeholder(0), '1', '"x"'], 1],
	['in the middle', ['1', placeholder(0), '"x"'], 1],
	['last', ['1', '"x"', placeholder(0)], 1],
	['alone', [placeholder(0)], 1],
	['in every position', [placeholder(0), placeholder(1), placeholder(2)], 3],
	['in objects and arrays', [`{"a":{"b":[1,${placeholder(0)}]}}`, `[[${placeholder(1)}],${placeholder(2)}]`], 3],
	['in another order than they come', [placeholder(2), placeholder(0), placeholder(1)], 3],
	['twice in one packet', [placeholder(0), placeholder(0)], 1],
	['beside values that are none', [placeholder(0), '{"_placeholder":false,"num":9}', '{"_placeholder":"true"}', '{"num":9}'], 1],
	['with members in another order', ['{"num":0,"_placeholder":true}'], 1],
];
for (const [where, args, count] of POSITIONS) {
	both(`an attachment ${where} comes back, as event and as ack`, async (transport) => {
		const one = await joined(url(), transport);
		const attachments = Array.from({ length: count }, (_, i) => bytes(i + 1));
		one.send(`45${count}-["message",${args}]`, ...attachments, `45${count}-3["message-with-ack",${args}]`, ...attachments);
		for (const head of [`45${count}-["message-back",${args}]`, `46${count}-3[${args}]`]) {
			assert.equal(await one.next(), head);
			for (const attachment of attachments)
				assert.deepEqual(await one.next(), attachment);
		}
		await assertAlive(one);
	});
}

both('ten attachments pass, of every length up to nine, the empty one too', async (transport) => {
	const one = await joined(url(), transport);
	const attachments = Array.from({ length: 10 }, (_, i) => bytes(i));
	const args = attachments.map((_, i) => placeholder(i));
	one.send(`4510-["message",${args}]`, ...attachments);
	assert.equal(await one.next(), `4510-["message-back",${args}]`);
	for (const attachment of attachments)
		assert.deepEqual(await one.next(), attachment);
});

both('an attachment of half the limit comes back byte for byte', async (transport) => {
	const one = await joined(url(), transport);
	const big = bytes(500_000);
	one.send(`451-["message",${placeholder(0)}]`, big);
	assert.equal(await one.next(), `451-["message-back",${placeholder(0)}]`);
	assert.ok(big.equals(await one.next()));
});

both('a pong may come between a packet and its attachments', async (transport) => {
	const one = await joined(url(), transport);
	one.send(`452-["message",${placeholder(0)},${placeholder(1)}]`, '3', bytes(1), '6', bytes(2));
	assert.equal(await one.next(), `452-["message-back",${placeholder(0)},${placeholder(1)}]`);
	assert.deepEqual([await one.next(), await one.next()], [bytes(1), bytes(2)]);
});

both('attachments reach the other members of a room', async (transport) => {
	const room = `binary-${transport}`;
	const members = await Promise.all([...TRANSPORTS, transport].map((each) => joined(url(), each)));
	for (const member of members) {
		member.send(`421["room:join",{"room":"${room}"}]`);
		assert.equal(await member.next(), '431[{"ok":true}]');
	}
	const message = `{"room":"${room}","file":${placeholder(0)}}`;
	members[2].send(`451-["room:send",${message}]`, bytes(9));
	for (const member of members.slice(0, 2)) {
		assert.equal(await member.next(), `451-["room:msg",${message}]`);
		assert.deepEqual(await member.next(), bytes(9));
	}
});

/* ---- what ends a connection, and that one only ---- */

const HEAD = `451-["message",${placeholder(0)}]`;
const depth = (n) => `${'['.repeat(n)}${']'.repeat(n)}`;
const FATAL = [
	/* before any CONNECT */
	['a binary event before CONNECT', null, [HEAD, bytes(1)]],
	['an ack before CONNECT', null, ['431[]']],
	['DISCONNECT before CONNECT', null, ['41']],
	['a binary message before CONNECT', null, [bytes(1)]],
	/* CONNECT and DISCONNECT */
	['a second CONNECT to the main namespace', '', ['40']],
	['a second CONNECT to a custom namespace', '/custom,', ['40/custom,{"token":"x"}']],
	['a CONNECT payload that is an array', null, ['40[]']],
	['a CONNECT payload that is a string', null, ['40"x"']],
	['a CONNECT payload that is null', null, ['40/custom,null']],
	['CONNECT with something behind its payload', null, ['40{}{}']],
	['CONNECT_ERROR from a client', '', ['44{"message":"x"}']],
	['CONNECT_ERROR from a client, for another namespace', '', ['44/custom,{"message":"x"}']],
	['DISCONNECT of a namespace that was not joined', '', ['41/custom,']],
	['DISCONNECT with a payload', '', ['41{"reason":"x"}']],
	['an event after DISCONNECT', '', ['41', '42["message","late"]']],
	['an event to a namespace that was not joined', '', ['42/custom,["message"]']],
	['an ack in a namespace that was not joined', '', ['43/custom,1[]']],
	/* events */
	['a packet without a type', '', ['4']],
	['a packet of an unknown type', '', ['47["message"]']],
	['an event that is an object', '', ['42/,{"a":1}']],
	['an event whose name is null', '', ['42[null]']],
	['an event whose name is an array', '', ['42[["message"]]']],
	['an ack that is an object', '', ['431{}']],
	['an ack that is a string', '', ['431"x"']],
	['JSON that ends too early', '', ['421["message",[1,2]']],
	['JSON with a comma too many', '', ['42["message",]']],
	['JSON with a raw control character', '', ['42["message","\n"]']],
	['an ack id with a fraction', '', ['421.5["message-with-ack"]']],
	...['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener', 'disconn\\u0065ct']
		.map((name) => [`the reserved event ${name}`, '', [`42["${name}",1]`]]),
	['the reserved event connect with an attachment', '', [`451-["connect",${placeholder(0)}]`, bytes(1)]],
	/* attachments */
	['eleven attachments', '', [`4511-["message",${Array.from({ length: 11 }, (_, i) => placeholder(i))}]`]],
	['a binary event with a count of zero', '', ['450-["message"]']],
	['a binary event without a count', '', ['45["message"]']],
	['a binary event with a count that is none', '', ['451.5-["message"]']],
	['a binary event with a negative count', '', ['45-1-["message"]']],
	['a binary ack without a count', '', ['46-1["x"]']],
	['one attachment too few before the next packet', '', [`452-["message",${placeholder(0)},${placeholder(1)}]`, bytes(1), '42["message"]']],
	['one attachment too many', '', [HEAD, bytes(1), bytes(2)]],
	['an attachment behind an event without any', '', ['42["message"]', bytes(1)]],
	['another binary event before the attachment', '', [HEAD, HEAD]],
	['CONNECT to another namespace before the attachment', '', [HEAD, '40/custom,']],
	['DISCONNECT before the attachment', '', [HEAD, '41']],
	['a placeholder for an attachment that does not come', '', [`451-["message",${placeholder(1)}]`, bytes(1)]],
	['a deep placeholder for an attachment that does not come', '', [`451-["message",{"a":[${placeholder(0)},{"b":${placeholder(2)}}]}]`, bytes(1)]],
	['a placeholder without a number', '', ['451-["message",{"_placeholder":true}]', bytes(1)]],
	['a placeholder whose number is a string', '', [`451-["message",${placeholder('"0"')}]`, bytes(1)]],
	['a placeholder whose number is negative', '', [`451-["message",${placeholder(-1)}]`, bytes(1)]],
	['a placeholder whose number is null, in an ack', '', [`461-1[${placeholder(null)}]`, bytes(1)]],
	['a placeholder with escapes in its name', '', ['451-["message",{"\\u005fplaceholder":true,"num":7}]', bytes(1)]],
];
for (const [what, nsp, packets] of FATAL) {
	both(`${what} ends that connection only`, async (transport) => {
		const [one, other] = await Promise.all([nsp === null ? talk(url(), transport) : joined(url(), transport, nsp), joined(url(), transport)]);
		one.send(...packets);
		await one.end();
		await assertAlive(other);
	});
}

const HOSTILE = [
	['JSON nested a thousand deep', [`42["message",${depth(1000)}]`]],
	['JSON nested a hundred thousand deep', [`42["message",${depth(100_000)}]`]],
	['a namespace of ten thousand characters', [`40/${'n'.repeat(10_000)},`]],
	['an ack id past what a number holds', ['4299999999999999999999["message-with-ack"]']],
];
for (const [what, packets] of HOSTILE) {
	both(`${what} harms nobody else`, async (transport) => {
		const [one, other] = await Promise.all([joined(url(), transport), joined(url(), transport)]);
		one.send(...packets);
		await assertAlive(other);
		assert.equal((await http(`${url()}/socket.io/?EIO=4&transport=polling`)).status, 200);
	});
}

both('what was sent before the packet in error was worked on, what follows is not', async (transport) => {
	const room = `error-${transport}`;
	const [one, other] = await Promise.all([joined(url(), transport), joined(url(), transport)]);
	other.send(`421["room:join",{"room":"${room}"}]`);
	assert.equal(await other.next(), '431[{"ok":true}]');
	one.send(`421["room:join",{"room":"${room}"}]`);
	assert.equal(await one.next(), '431[{"ok":true}]');
	one.send(`42["room:send",{"room":"${room}","n":1}]`, '42{}', `42["room:send",{"room":"${room}","n":2}]`);
	await one.end();
	assert.equal(await other.next(), `42["room:msg",{"room":"${room}","n":1}]`);
	await assertAlive(other);
});
