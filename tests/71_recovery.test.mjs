// SPDX-License-Identifier: Apache-2.0
/* Clients that were cut come back as who they were, with what they missed once and in order; what cannot be proved is told, never guessed. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { connect, now, Polling, Raw, RECONNECTING, refusal, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { assertWhole, edgeTag, Stream, tagOf, total } from './lib/cluster.mjs';
import { alsoAt, claimOf, comeBack, cut, CUTS, eventsOf, fresh, lastOffset, member, numbersOf, openAt, publishNumbers, rawMember, upgraded, upTo } from './lib/comeback.mjs';
import { AGENT, ALICE, roomOf, TICKET } from './lib/opsdesk.mjs';
import { TESTS } from './lib/paths.mjs';

const HISTORY_COUNT = 20;
const REPLAY_BYTES = 20_000;
const fixture = useFixture(async (things) => {
	const starts = {
		rw: { profile: 'bench', edges: 2 },
		opsdesk: { profile: 'opsdesk', edges: 2 },
		several: { profile: join(TESTS, 'profiles/several.yaml'), edges: 2 },
		small: { profile: 'bench', edges: 2, env: { HISTORY_COUNT: String(HISTORY_COUNT), HISTORY_TOTAL_BYTES: '200000', REPLAY_BYTES: String(REPLAY_BYTES) } },
		short: { profile: 'bench', env: { RECOVERY_SECONDS: '3' } }, /* time enough to come back in */
		off: { profile: 'bench', env: { RECOVERY_SECONDS: '0' } },
		conformance: { profile: 'conformance' },
	};
	for (const [name, options] of Object.entries(starts))
		things[name] = await new Roomwire(options).start();
});

const OFFSET = /^([\w-]{16})+$/;

/* Everything it has got are these numbers, in this order. */
async function assertNumbers(client, expected, event = 'n') {
	await waitFor(() => numbersOf(client, event).length >= expected.length, { what: `${expected.length} messages` })
		.catch((error) => { throw new Error(`${error.message}: ${numbersOf(client, event)}`); });
	assert.deepEqual(numbersOf(client, event), expected);
}

async function assertRawNumbers(raw, expected) {
	await waitFor(() => eventsOf(raw).length >= expected.length, { what: `${expected.length} messages` })
		.catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(eventsOf(raw))}`); });
	assert.deepEqual(eventsOf(raw).map(([, { n }]) => n), expected);
}

/* CONNECT with this payload is answered with a new identity, not with an error; returns the connection. */
async function assertFresh(rw, payload, sid) {
	const raw = await Raw.join(rw.url, { payload });
	assert.notEqual(raw.connect.sid, sid, 'another socket id');
	assert.notEqual(raw.connect.pid, payload.pid, 'another pid');
	return raw;
}

/* CONNECT with this payload is answered with the former identity; returns the connection. */
async function assertRecovered(rw, payload, sid) {
	const raw = await Raw.join(rw.url, { payload });
	assert.deepEqual([raw.connect.sid, raw.connect.pid], [sid, payload.pid]);
	return raw;
}

/* ── what comes back ── */

const WAYS = [
	[['websocket'], 'its WebSocket is closed'],
	[['websocket'], 'its TCP connection is reset'],
	[['polling'], 'its WebSocket is closed'],
	[['polling', 'websocket'], 'its WebSocket is closed'],
];
for (const [transports, how] of WAYS) {
	const said = transports[0] === 'polling' ? 'it is closed' : how;
	scenario(`${transports.join(' then ')}, ${said}: recovered with id, rooms and all it missed, the offset being the last argument`, async () => {
		const { rw } = fixture;
		const [a, b, c] = ['a', 'b', 'c'].map(fresh);
		const client = await member(rw, [a, b], { transports });
		const { id } = client;
		await rw.publish({ rooms: [a], event: 'n', data: { n: 0 } });
		const args = await client.nextArgs('n');
		assert.deepEqual(args.slice(0, -1), [{ n: 0 }]);
		assert.match(args.at(-1), OFFSET);

		await cut(client, CUTS[how]);
		for (const n of upTo(11, 1))
			await publishNumbers(rw, [n], [n % 2 ? a : b]);
		await publishNumbers(rw, [99], [c]);
		assert.deepEqual(await comeBack(client), { recovered: true, id });
		await assertNumbers(client, upTo(11));
		await publishNumbers(rw, [11], [b]);
		await publishNumbers(rw, [12], [a, b]);
		await assertNumbers(client, upTo(13));

		const other = await member(rw, [a]);
		client.emit('room:send', { room: a, n: 1 });
		assert.deepEqual(await other.next('room:msg'), { room: a, n: 1 }, 'it is a member still');
	});
}

scenario('ten times in a row, on whatever edge it lands', async () => {
	const { rw } = fixture;
	const room = fresh('ten');
	const client = await member(rw, [room]);
	const { id } = client;
	const seen = new Set([edgeTag(client)]);
	for (let round = 0; round < 10 || seen.size < 2; round++) { /* which edge it comes to is chance */
		await cut(client, Object.values(CUTS)[round % 2]);
		await publishNumbers(rw, upTo(round * 4 + 3, round * 4), [room]);
		assert.deepEqual(await comeBack(client), { recovered: true, id }, `round ${round}`);
		seen.add(edgeTag(client));
		await publishNumbers(rw, [round * 4 + 3], [room]);
		await assertNumbers(client, upTo((round + 1) * 4));
	}
});

scenario('cut again and again in the middle of a stream, by all transports: nothing is missed, nothing comes twice', async () => {
	const { rw } = fixture;
	const room = fresh('stream');
	const kinds = [['websocket'], ['polling'], ['polling', 'websocket']];
	const clients = await Promise.all(upTo(15).map((n) => member(rw, [room], { transports: kinds[n % 3], ...RECONNECTING })));
	const ids = clients.map(({ id }) => id);
	const stream = new Stream(rw, room).start();
	for (let round = 0; round < 6; round++) {
		await Promise.all(clients.map(upgraded));
		for (const { socket } of clients)
			socket.io.engine.close();
		await stream.more(20);
		await waitFor(() => clients.every(({ socket }) => socket.connected), { what: 'all to be back' });
	}
	const count = await stream.stop();
	for (const [i, client] of clients.entries()) {
		await assertWhole(client, count, { who: `client ${i}` });
		assert.deepEqual([client.id, client.socket.recovered], [ids[i], true]);
	}
});

scenario('who missed nothing is recovered however old the offset is: other rooms have pushed all history away', async () => {
	const rw = fixture.small;
	const [quiet, busy] = ['quiet', 'busy'].map(fresh);
	const client = await member(rw, [quiet]);
	const loud = await member(rw, [busy]);
	await publishNumbers(rw, [0], [quiet]);
	await assertNumbers(client, [0]);
	const { id } = client;
	for (let round = 0; round < 2; round++) {
		const dropped = await total(rw, 'router', 'roomwire_history_trimmed_total');
		await cut(client);
		const stream = new Stream(rw, busy, { pad: 5000 }).start();
		await stream.more(60); /* more than HISTORY_TOTAL_BYTES */
		await stream.stop();
		assert.ok(await total(rw, 'router', 'roomwire_history_trimmed_total') >= dropped + 30, 'history was pushed away');
		assert.deepEqual(await comeBack(client), { recovered: true, id });
		loud.assertNone('@disconnect');
	}
	await publishNumbers(rw, [1], [quiet]);
	await assertNumbers(client, [0, 1]);
});

scenario('who is the only one to send in a room is recovered, however much it has sent: it missed nothing', async () => {
	const rw = fixture.small;
	const room = fresh('sender');
	const [client, witness] = await Promise.all([member(rw, [room]), member(rw, [room])]);
	const { id } = client;
	await publishNumbers(rw, [0], [room]);
	await assertNumbers(client, [0]);
	for (let round = 0; round < 2; round++) {
		for (let n = 0; n < HISTORY_COUNT * 2; n++)
			client.emit('room:send', { room, n: round * HISTORY_COUNT * 2 + n });
		await assertNumbers(witness, upTo((round + 1) * HISTORY_COUNT * 2), 'room:msg');
		await cut(client);
		assert.deepEqual(await comeBack(client), { recovered: true, id });
	}
	await publishNumbers(rw, [1], [room]);
	await assertNumbers(client, [0, 1]);
});

scenario('a message that is a text, or ends with one, is not taken for an offset', async () => {
	const { rw } = fixture;
	const room = fresh('text');
	const client = await member(rw, [room]);
	const { id } = client;
	for (const data of ['text', '', 'AAAAAAAAAAAAAAAA', ['x', 'y'], null, 7]) {
		await rw.publish({ rooms: [room], event: 'said', data });
		const args = await client.nextArgs('said');
		assert.deepEqual(args.slice(0, -1), [data]);
		assert.match(args.at(-1), OFFSET);
		await cut(client);
		await rw.publish({ rooms: [room], event: 'missed', data });
		assert.deepEqual(await comeBack(client), { recovered: true, id });
		assert.deepEqual((await client.nextArgs('missed')).slice(0, -1), [data]);
	}
	client.assertNone('said', 'missed');
});

scenario('who has never got a message comes back without an offset, and gets what was sent since it joined', async () => {
	const { rw } = fixture;
	const room = fresh('never');
	const client = await member(rw, [room]);
	const { id } = client;
	await cut(client);
	assert.deepEqual(await comeBack(client), { recovered: true, id });
	assert.deepEqual(client.inbox.all.filter(({ event }) => !event.startsWith('@')), []);
	await cut(client);
	await publishNumbers(rw, [0, 1], [room]);
	assert.deepEqual(await comeBack(client), { recovered: true, id });
	await assertNumbers(client, [0, 1]);
});

scenario('a room joined after the last message: what was sent there before is not owed, what is sent after is', async () => {
	const { rw } = fixture;
	const [first, later] = ['first', 'later'].map(fresh);
	const [client, before] = await Promise.all([member(rw, [first]), member(rw, [later])]);
	await publishNumbers(rw, [0], [first]);
	await assertNumbers(client, [0]);
	await publishNumbers(rw, [100, 101], [later]);
	await assertNumbers(before, [100, 101]);
	assert.equal((await client.ask('room:join', { room: later })).ok, true);
	await cut(client);
	await publishNumbers(rw, [1], [later]);
	assert.equal((await comeBack(client)).recovered, true);
	await publishNumbers(rw, [2], [later]);
	await assertNumbers(client, [0, 1, 2]);
});

scenario('a room that was left is not owed, nor what was sent between leaving and joining again', async () => {
	const rw = fixture.several;
	const [stays, left, again] = ['stays', 'left', 'again'].map(fresh);
	const client = await member(rw, [stays, left, again]);
	await publishNumbers(rw, [0], [stays]);
	await assertNumbers(client, [0]);
	for (const room of [left, again])
		assert.equal((await client.ask('room:leave', { room })).ok, true);
	await publishNumbers(rw, [100], [left]);
	await publishNumbers(rw, [101], [again]);
	assert.equal((await client.ask('room:join', { room: again })).ok, true);
	await publishNumbers(rw, [1], [again]);
	await assertNumbers(client, [0, 1]);
	await cut(client);
	await publishNumbers(rw, [102], [left]);
	await publishNumbers(rw, [2], [again]);
	assert.equal((await comeBack(client)).recovered, true);
	await publishNumbers(rw, [103], [left]);
	await publishNumbers(rw, [3], [stays]);
	await assertNumbers(client, [0, 1, 2, 3]);
});

scenario('messages to its own socket id, and to the room of its user, are owed; typing is not', async () => {
	const rw = fixture.opsdesk;
	const user = { ...ALICE, rooms: [roomOf(TICKET.alice)] };
	const [client, tab] = await Promise.all([1, 2].map(() => connect(rw.url, { token: rw.token(user) })));
	const agent = await connect(rw.url, { token: rw.token(AGENT) });
	for (const one of [client, tab, agent])
		assert.equal((await one.ask('ticket.join', TICKET.alice)).ok, true);
	const { id } = client;
	await cut(client);
	await publishNumbers(rw, [0], [id]);
	await publishNumbers(rw, [1], [`user:${ALICE.sub}`]);
	agent.emit('typing', { ticketId: TICKET.alice });
	await tab.next('typing');
	await publishNumbers(rw, [100], [tab.id]);
	await publishNumbers(rw, [2], [roomOf(TICKET.alice), id, `user:${ALICE.sub}`]);
	assert.deepEqual(await comeBack(client), { recovered: true, id });
	await publishNumbers(rw, [3], [id]);
	await assertNumbers(client, [0, 1, 2, 3]);
	client.assertNone('typing');
	await assertNumbers(tab, [1, 100, 2]);
});

scenario('except lists hold on recovery: its own id, and a room it is in', async () => {
	const { rw } = fixture;
	const [room, muted] = ['room', 'muted'].map(fresh);
	const [client, loud] = await Promise.all([member(rw, [room]), member(rw, [room, muted])]);
	await Promise.all([cut(client), cut(loud)]);
	await publishNumbers(rw, [0], [room]);
	await publishNumbers(rw, [1], [room], { except: [client.socket.id ?? 'x', muted] });
	await publishNumbers(rw, [2], [room], { except: [muted] });
	await publishNumbers(rw, [3], [room], { except: [fresh('nobody')] });
	await comeBack(client);
	await comeBack(loud);
	await assertNumbers(client, [0, 1, 2, 3]);
	await assertNumbers(loud, [0, 3]);
	const { id } = client;
	await cut(client);
	await publishNumbers(rw, [4], [room], { except: [id] });
	await publishNumbers(rw, [5], [room]);
	assert.deepEqual(await comeBack(client), { recovered: true, id });
	await assertNumbers(client, [0, 1, 2, 3, 5]);
});

scenario('two namespaces of one connection come back each with its own id, rooms and messages', async () => {
	const rw = fixture.several;
	const room = fresh('room');
	const client = await member(rw, [room]);
	const second = await alsoAt(client, '/second', client.socket.auth);
	assert.equal((await second.ask('room:join', { room })).ok, true);
	const ids = [client.id, second.id];
	assert.notEqual(ids[0], ids[1]);
	for (let round = 0; round < 3; round++) {
		await cut(client);
		await second.nextArgs('@disconnect');
		await publishNumbers(rw, [2 * round, 2 * round + 1], [room]);
		await publishNumbers(rw, [100 + round], [room], { namespace: '/second' });
		second.socket.connect();
		assert.deepEqual(await comeBack(client), { recovered: true, id: ids[0] });
		await second.nextArgs('@connect');
		assert.deepEqual([second.socket.recovered, second.id], [true, ids[1]]);
	}
	await assertNumbers(client, upTo(6));
	await assertNumbers(second, [100, 101, 102]);
});

scenario('what other clients relay is owed, binary attachments included, in its place; what it sent itself is not', async () => {
	const { rw } = fixture;
	const room = fresh('relay');
	const [client, sender] = await Promise.all([member(rw, [room]), member(rw, [room])]);
	const { id } = client;
	const bytes = Buffer.from(upTo(256));
	const send = (from, n, more) => from.emit('room:send', { room, n, ...more });
	const witness = await member(rw, [room]);
	send(client, 100);
	await witness.next('room:msg');
	await cut(client);
	send(sender, 0);
	send(sender, 1, { bytes, list: [bytes.subarray(0, 3), 'text'] });
	send(sender, 2);
	await witness.next('room:msg', { where: ({ n }) => n === 2 });
	await rw.publish({ rooms: [room], event: 'room:msg', data: { n: 3 } });
	assert.deepEqual(await comeBack(client), { recovered: true, id });
	send(sender, 4, { bytes });
	await assertNumbers(client, upTo(5), 'room:msg');
	const [, missed, , , live] = client.received('room:msg');
	assert.deepEqual([Buffer.compare(missed.bytes, bytes), Buffer.compare(missed.list[0], bytes.subarray(0, 3)), missed.list[1]], [0, 0, 'text']);
	assert.equal(Buffer.compare(live.bytes, bytes), 0);
	for (const args of client.inbox.all.filter(({ event }) => event === 'room:msg').map((item) => item.args))
		assert.match(args.at(-1), OFFSET);
});

scenario('a client that goes again before it was answered can still come back', async () => {
	const { rw } = fixture;
	const room = fresh('hasty');
	const raw = await rawMember(rw, [room]);
	await publishNumbers(rw, [0], [room]);
	await assertRawNumbers(raw, [0]);
	raw.close();
	await publishNumbers(rw, [1, 2], [room]);
	for (let round = 0; round < 20; round++) {
		const hasty = await Raw.open(rw.url);
		hasty.send(`40${JSON.stringify(claimOf(raw))}`);
		await new Promise((resolve) => { hasty.socket.send('3', resolve); });
		hasty.close();
	}
	const back = await assertRecovered(rw, claimOf(raw), raw.connect.sid);
	await assertRawNumbers(back, [1, 2]);
});

scenario('50 clients of one room that come back at once get the same', async () => {
	const { rw } = fixture;
	const room = fresh('many');
	const clients = await Promise.all(upTo(50).map(() => member(rw, [room])));
	await Promise.all(clients.map((client) => cut(client)));
	await publishNumbers(rw, upTo(20), [room]);
	const stream = publishNumbers(rw, upTo(60, 20), [room]);
	await Promise.all(clients.map(async (client) => assert.equal((await comeBack(client)).recovered, true)));
	await stream;
	for (const client of clients)
		await assertNumbers(client, upTo(60));
});

/* ── what is told, not guessed ── */

/* A session that somebody has left, with a message it has had and one it missed. */
async function leftBehind(rw, options) {
	const room = fresh('left');
	const raw = await rawMember(rw, [room], options);
	await publishNumbers(rw, [0], [room]);
	await assertRawNumbers(raw, [0]);
	raw.close();
	await publishNumbers(rw, [1], [room]);
	return { raw, room, sid: raw.connect.sid };
}

async function assertStillThere(rw, { raw, sid }) {
	const back = await assertRecovered(rw, claimOf(raw), sid);
	await assertRawNumbers(back, [1]);
}

/* The same routers (4 bytes of 12 each), at places no clock has come to. */
function inFuture(offset) {
	const bytes = Buffer.from(offset, 'base64url');
	for (let at = 4; at < bytes.length; at += 12)
		bytes[at]++;
	return bytes.toString('base64url');
}

scenario('a pid or offset that is nothing of ours: connected fresh, never an error, and its owner comes back all the same', async () => {
	const { rw } = fixture;
	const left = await leftBehind(rw);
	const good = claimOf(left.raw);
	const claims = [
		...[null, 1, true, '', 'x', [], {}, ['x'], { pid: good.pid }, 'A'.repeat(20), 'é'.repeat(10), '\u0000'.repeat(20), `${good.pid}x`, good.pid.slice(1), 'y'.repeat(5000)]
			.map((pid) => ({ pid })),
		...[1, false, [], {}, [good.offset], 'x', good.offset.slice(1), `${good.offset}=`, `${good.offset}${'A'.repeat(15)}!`, 'A'.repeat(16 * 1000), '\u0000'.repeat(16),
			'A'.repeat(16), '_'.repeat(16), inFuture(good.offset)]
			.map((offset) => ({ offset })),
		{ pid: null, offset: null },
	];
	for (const claim of claims) {
		const raw = await assertFresh(rw, { ...good, ...claim }, left.sid).catch((error) => { throw new Error(`${JSON.stringify(claim).slice(0, 60)}: ${error.message}`); });
		raw.send(`420["room:join",{"room":"${left.room}"}]`);
		assert.equal(await raw.next(), '430[{"ok":true}]', 'it works like any other, and nothing was sent again');
		raw.close();
	}
	await assertStillThere(rw, left);
});

scenario('somebody else\'s pid, left behind or in use: connected fresh, its owner is not harmed', async () => {
	const { rw } = fixture;
	const left = await leftBehind(rw);
	const room = fresh('held');
	const held = await rawMember(rw, [room]);
	for (const raw of [left.raw, held]) {
		for (let round = 0; round < 4; round++) { /* at either edge */
			const thief = await assertFresh(rw, { ...claimOf(raw), token: rw.token({ sub: 'thief' }) }, raw.connect.sid);
			thief.send('420["room:join",{"room":"x"}]');
			assert.equal(await thief.next(), '430[{"ok":true}]');
		}
	}
	await assertStillThere(rw, left);
	await publishNumbers(rw, [0], [room]);
	await assertRawNumbers(held, [0]);
});

scenario('a pid of another namespace: connected fresh', async () => {
	const rw = fixture.several;
	const left = await leftBehind(rw);
	for (let round = 0; round < 4; round++) {
		const raw = await Raw.join(rw.url, { nsp: '/second,', payload: claimOf(left.raw) });
		assert.notEqual(raw.connect.sid, left.sid);
		assert.notEqual(raw.connect.pid, left.raw.connect.pid);
	}
	await assertStillThere(rw, left);
});

scenario('a return is authenticated: expired, absent and foreign tokens are refused, and with a good one it is recovered', async () => {
	const { rw } = fixture;
	const left = await leftBehind(rw, { sub: 'returning' });
	const claim = claimOf(left.raw);
	const cases = {
		AUTH_TOKEN_EXPIRED: rw.token({ sub: 'returning', exp: now() - 60 }),
		AUTH_TOKEN_MISSING: undefined,
		AUTH_TOKEN_INVALID: `${claim.token}x`,
	};
	for (const [code, token] of Object.entries(cases)) {
		for (let round = 0; round < 2; round++) {
			const error = await refusal(rw.url, { auth: { ...claim, token } });
			assert.deepEqual([error.message, error.data], [code, { code }]);
		}
	}
	await assertStillThere(rw, left);
});

scenario('the window is over: connected fresh', async () => {
	const rw = fixture.short;
	const room = fresh('late');
	const client = await member(rw, [room]);
	await publishNumbers(rw, [0], [room]);
	await assertNumbers(client, [0]);
	const { id } = client;
	await cut(client);
	await publishNumbers(rw, [1], [room]);
	assert.deepEqual(await comeBack(client), { recovered: true, id }, 'within the window');
	await assertNumbers(client, [0, 1]);

	await cut(client);
	for (const parked of [1, 0])
		await waitFor(async () => await total(rw, 'router', 'roomwire_sessions_parked') === parked, { what: `${parked} parked sessions` });
	const back = await comeBack(client);
	assert.equal(back.recovered, false);
	assert.notEqual(back.id, id);
});

scenario(`HISTORY_COUNT ${HISTORY_COUNT}: who missed as many is recovered, who missed one more is told, and gets none of them`, async () => {
	const rw = fixture.small;
	const room = fresh('count');
	const [less, more] = await Promise.all([member(rw, [room]), member(rw, [room])]);
	await publishNumbers(rw, [0], [room]);
	await Promise.all([less, more].map((client) => assertNumbers(client, [0])));
	await cut(more);
	await publishNumbers(rw, [1], [room]);
	await assertNumbers(less, [0, 1]);
	await cut(less);
	await publishNumbers(rw, upTo(HISTORY_COUNT + 2, 2), [room]);
	const ids = [less.id, more.id];
	assert.equal((await comeBack(less)).recovered, true);
	assert.equal((await comeBack(more)).recovered, false);
	assert.equal(ids.includes(more.id), false);
	assert.equal((await more.ask('room:join', { room })).ok, true);
	await publishNumbers(rw, [HISTORY_COUNT + 2], [room]);
	await assertNumbers(less, upTo(HISTORY_COUNT + 3));
	await assertNumbers(more, [0, HISTORY_COUNT + 2]);
});

scenario(`REPLAY_BYTES ${REPLAY_BYTES}: who missed more bytes is told, and gets none of them; who missed less is recovered`, async () => {
	const rw = fixture.small;
	const [small, large] = ['small', 'large'].map(fresh);
	const [less, more] = await Promise.all([member(rw, [small]), member(rw, [small, large])]);
	await Promise.all([cut(less), cut(more)]);
	for (const n of upTo(6)) {
		await publishNumbers(rw, [n], [small], { data: { n, pad: 'x'.repeat(2000) } });
		await publishNumbers(rw, [100 + n], [large], { data: { n: 100 + n, pad: 'x'.repeat(2000) } });
	}
	assert.equal((await comeBack(less)).recovered, true);
	assert.equal((await comeBack(more)).recovered, false);
	await assertNumbers(less, upTo(6));
	await publishNumbers(rw, [6], [more.id]);
	await assertNumbers(more, [6]);
});

/* ── a pid whose first connection still stands ── */

for (const [where, wanted] of [['the same edge', (tag) => (other) => other === tag], ['another edge', (tag) => (other) => other !== tag]]) {
	scenario(`a pid in use, taken over at ${where}: the first connection's transport is closed without DISCONNECT, the second has what came since its offset`, async () => {
		const { rw } = fixture;
		const room = fresh('taken');
		const first = await rawMember(rw, [room]);
		await publishNumbers(rw, [0], [room]);
		await assertRawNumbers(first, [0]);
		const claim = claimOf(first);
		await publishNumbers(rw, [1, 2], [room]);
		await assertRawNumbers(first, [0, 1, 2]);

		const second = await openAt(rw, wanted(tagOf(first.handshake.sid)));
		second.send(`40${JSON.stringify(claim)}`);
		second.connect = JSON.parse((await second.next()).slice(2));
		assert.deepEqual([second.connect.sid, second.connect.pid], [first.connect.sid, first.connect.pid]);
		await first.end();
		assert.deepEqual(first.inbox.all.filter((packet) => packet.startsWith('41')), []);
		await publishNumbers(rw, [3], [room]);
		await assertRawNumbers(second, [1, 2, 3]);
		assert.equal(eventsOf(first).length, 3, 'the first one got nothing more');
		second.send('421["room:join",{"room":"x"}]');
		assert.equal(await second.next((packet) => packet.startsWith('43')), '431[{"ok":true}]');
	});

	scenario(`a long-polling connection taken over at ${where} is ended`, async () => {
		const { rw } = fixture;
		const first = await Polling.open(rw.url);
		const payload = { token: rw.token({ sub: fresh('user') }) };
		await first.post(`40${JSON.stringify(payload)}`);
		const connected = JSON.parse((await first.packets(1))[0].slice(2));
		const waiting = first.get();
		const second = await openAt(rw, wanted(tagOf(first.sid)));
		second.send(`40${JSON.stringify({ ...payload, pid: connected.pid })}`);
		assert.equal(JSON.parse((await second.next()).slice(2)).sid, connected.sid);
		const { status, text } = await waiting;
		assert.ok(status === 400 || text === '1', `its GET is ended: ${status} ${text}`);
		await waitFor(async () => (await first.get()).status === 400, { what: 'the session to be unknown' });
	});
}

scenario('two that come back with one pid at once: one has it in the end, the other is closed, and nothing is lost', async () => {
	const { rw } = fixture;
	for (let round = 0; round < 10; round++) {
		const left = await leftBehind(rw);
		const both = await Promise.all([1, 2].map(() => Raw.open(rw.url)));
		for (const raw of both)
			raw.send(`40${JSON.stringify(claimOf(left.raw))}`);
		await publishNumbers(rw, [2], [left.room]);
		const has = (raw, n) => eventsOf(raw).some(([, data]) => data.n === n);
		const connected = (raw) => raw.inbox.all.some((packet) => packet.startsWith(`40{"sid":"${left.sid}"`));
		const closed = await Promise.race(both.map(async (raw) => { await raw.end(); return raw; }));
		const stays = both.find((raw) => raw !== closed);
		await waitFor(() => connected(stays) && has(stays, 2), { what: `the other one to be recovered in round ${round}` });
		assert.deepEqual(eventsOf(stays).map(([, { n }]) => n), [1, 2]);
	}
});

/* ── what is final ── */

/* Nobody is in the room any more, nor away from it: its router has heard of it. */
const waitEmpty = (rw, room) => waitFor(async () => {
	const { status, json } = await rw.api(`/v1/rooms/${room}`, undefined, { method: 'GET' });
	return status === 200 && json.sockets + json.away === 0;
}, { what: `nobody to be in ${room}` });

scenario('DISCONNECT by the client is final: connected fresh afterwards', async () => {
	const { rw } = fixture;
	const room = fresh('final');
	const client = await member(rw, [room]);
	const { id } = client;
	client.socket.disconnect();
	await client.nextArgs('@disconnect');
	await waitEmpty(rw, room);
	await publishNumbers(rw, [0], [room]);
	const back = await comeBack(client);
	assert.equal(back.recovered, false);
	assert.notEqual(back.id, id);
	await publishNumbers(rw, [1], [back.id]);
	await assertNumbers(client, [1]);

	const raw = await rawMember(rw, [room]);
	raw.send('41');
	await waitEmpty(rw, room);
	raw.close();
	await assertFresh(rw, claimOf(raw), raw.connect.sid);
});

scenario('without recovery (conformance, RECOVERY_SECONDS 0) CONNECT answers sid alone, messages bear no offset, and a pid is ignored', async () => {
	const plain = await Raw.join(fixture.conformance.url, { payload: { pid: 'A'.repeat(20), offset: 'x' } });
	assert.deepEqual(Object.keys(plain.connect), ['sid']);

	const rw = fixture.off;
	const room = fresh('off');
	const raw = await rawMember(rw, [room]);
	assert.deepEqual(Object.keys(raw.connect), ['sid']);
	await publishNumbers(rw, [0], [room]);
	await waitFor(() => eventsOf(raw).length === 1, { what: 'the message' });
	assert.deepEqual(eventsOf(raw), [['n', { n: 0 }]]);
	assert.equal(lastOffset(raw).n, 0, 'no offset behind it');
	const again = await Raw.join(rw.url, { payload: { ...raw.payload, pid: 'A'.repeat(20), offset: 'A'.repeat(16) } });
	assert.deepEqual(Object.keys(again.connect), ['sid']);

	const client = await member(rw, [room]);
	const { id } = client;
	await cut(client);
	await publishNumbers(rw, [1], [room]);
	const back = await comeBack(client);
	assert.deepEqual([back.recovered, back.id === id], [false, false]);
	await publishNumbers(rw, [2], [back.id]);
	await assertNumbers(client, [2]);
});
