// SPDX-License-Identifier: Apache-2.0
/* A Node server broadcasts and wants every client to acknowledge it, those at Roomwire among them: it gets each answer once, or is told that one is missing. */
import assert from 'node:assert/strict';
import { connect, Raw, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { signal } from './lib/children.mjs';
import { edgeTags, growthOf, processesOf, tagOf, total, waitReplaced, whileStopped } from './lib/cluster.mjs';
import { fresh, upgraded, upTo } from './lib/comeback.mjs';
import { NodeServer } from './lib/nodeio.mjs';
import { dialPlain } from './lib/plain.mjs';
import { Redis } from './lib/redis.mjs';

const PROFILE = 'tests/profiles/beside.yaml';
const active = (rw) => waitFor(async () => await total(rw, 'ingest', 'roomwire_redis_adapter_active') === 1, { what: 'an ingest to act on the channels' });
const fixture = useFixture(async (things) => {
	things.redis = await Redis.create();
	things.node = await NodeServer.start(things.redis.url, { namespaces: ['/', '/second'] });
	things.rw = await new Roomwire({ profile: PROFILE, edges: 2, routers: 2, ingests: 2, env: { REDIS_URL: things.redis.url } }).start();
	await active(things.rw);
});

/* Members who answer: each `question` by what answer(its arguments) says. */
async function members(url, rooms, count, answer, options) {
	return Promise.all(upTo(count).map(async (i) => {
		const client = await connect(url, options);
		for (const room of rooms)
			assert.equal((await client.ask('room:join', { room })).ok, true);
		if (answer)
			client.socket.on('question', (...args) => args.pop()(...[answer(i, ...args)].flat()));
		return client;
	}));
}

const ask = (to, ...args) => to.timeout(8000).emitWithAck('question', ...args);
const sorted = (list) => [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));

/* What the callback of a broadcast is given: {error, answers}. */
const outcome = (to, ...args) => new Promise((resolve) => { to.emit('question', ...args, (error, answers) => resolve({ error, answers })); });

/* A member that speaks the protocol by hand. */
async function rawMember(room) {
	const raw = await Raw.open(fixture.rw.url);
	raw.send('40');
	await raw.next((packet) => packet.startsWith('40'));
	raw.send(`420["room:join",{"room":"${room}"}]`);
	await raw.next((packet) => packet.startsWith('430'));
	return raw;
}

async function questionAt(raw) {
	const packet = await raw.next((one) => one.includes('["question"'));
	return Number(/^42(\d+)\[/.exec(packet)[1]);
}

scenario('the answers of all clients of both sides, whichever edge they are at', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	await members(rw.url, [room], 8, (i, n) => `rw${i}:${n}`);
	await members(node.url, [room], 3, (i, n) => `node${i}:${n}`);
	for (const n of [1, 2, 3])
		assert.deepEqual(sorted(await ask(node.io.to(room), n)),
			sorted([...upTo(8).map((i) => `rw${i}:${n}`), ...upTo(3).map((i) => `node${i}:${n}`)]));
});

scenario('nobody is there, at one side or at both: the answer is not waited for', async () => {
	const { node, rw } = fixture;
	assert.deepEqual(await ask(node.io.to(fresh('room'))), []);
	const [here, there] = [fresh('room'), fresh('room')];
	await members(node.url, [here], 1, () => 'node');
	await members(rw.url, [there], 1, () => 'rw');
	assert.deepEqual(await ask(node.io.to(here)), ['node']);
	assert.deepEqual(await ask(node.io.to(there)), ['rw']);
});

scenario('several rooms of several routers, and except: one answer of each client', async () => {
	const { node, rw } = fixture;
	const rooms = upTo(12).map(() => fresh('room'));
	const away = fresh('away');
	await members(rw.url, rooms, 3, (i) => `all${i}`);
	await members(rw.url, rooms.slice(4, 6), 1, () => 'two');
	await members(rw.url, [...rooms, away], 1, () => 'left out');
	assert.deepEqual(sorted(await ask(node.io.to(rooms).except(away))), ['all0', 'all1', 'all2', 'two']);
});

scenario('the whole namespace, and another namespace', async () => {
	const { node, rw } = fixture;
	await members(rw.url, [fresh('room')], 3, (i) => i, { nsp: '/second' });
	await members(rw.url, [fresh('room')], 1, () => 'of the first');
	assert.deepEqual(sorted(await ask(node.io.of('/second'), 'all of you')), [0, 1, 2]);
});

scenario('one socket, known from fetchSockets', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	const [one] = await members(rw.url, [room], 2, (i, n) => i + n);
	const found = await node.io.in(room).fetchSockets();
	assert.equal(await found.find(({ id }) => id === one.id).timeout(8000).emitWithAck('question', 41), 41);
	assert.equal(await found.find(({ id }) => id !== one.id).timeout(8000).emitWithAck('question', 41), 42);
});

scenario('any answer: several arguments (the first counts), none, binary, nested binary, null', async () => {
	const { node, rw } = fixture;
	const bytes = Buffer.from([1, 2, 3, 250]);
	for (const [says, hears] of [
		[() => [1, 2], 1], [() => [], undefined], [() => [bytes], bytes], [() => null, null],
		[() => ({ a: [bytes, { b: Buffer.alloc(0) }], c: 'ü"\\' }), { a: [bytes, { b: Buffer.alloc(0) }], c: 'ü"\\' }],
		[() => [['a', bytes]], ['a', bytes]],
	]) {
		const room = fresh('room');
		await members(rw.url, [room], 1, says);
		assert.deepEqual(await ask(node.io.to(room), bytes, 'text at the end'), [hears]);
	}
});

scenario('the question arrives as it was sent, binary included, and its callback is the last argument', async () => {
	const room = fresh('room');
	await members(fixture.rw.url, [room], 1, (i, ...args) => ({ args }));
	const bytes = Buffer.from('bytes');
	assert.deepEqual(await ask(fixture.node.io.to(room), { bytes }, [1], 'last'), [{ args: [{ bytes }, [1], 'last'] }]);
});

scenario('who does not answer is missing, and the others are told; what comes too late harms nobody', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	const [late] = await members(rw.url, [room], 1);
	await members(rw.url, [room], 2, (i) => i);
	let answer;
	late.socket.on('question', (ack) => { answer = ack; });
	const { error, answers } = await outcome(node.io.to(room).timeout(400));
	assert.match(error.message, /timed out/);
	assert.deepEqual(sorted(answers), [0, 1]);
	await waitFor(async () => await total(rw, 'ingest', 'roomwire_broadcast_acks_awaited') + await total(rw, 'router', 'roomwire_broadcast_acks_awaited') === 0, { what: 'nothing to be awaited' });
	answer('too late');
	assert.equal((await late.ask('room:join', { room })).ok, true);
	late.socket.off('question').on('question', (ack) => ack('now'));
	assert.deepEqual(sorted(await ask(node.io.to(room))), sorted([0, 1, 'now']));
});

scenario('an answer counts once, and only of who was asked', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	const [slow] = await members(rw.url, [room], 1);
	const [raw, stranger] = [await rawMember(room), await rawMember(fresh('room'))];
	const given = new Promise((resolve) => { slow.socket.on('question', resolve); });
	const answers = ask(node.io.to(room));
	const id = await questionAt(raw);
	const ignored = await growthOf(rw, 'edge', 'roomwire_broadcast_acks_total{result="unasked"}');
	stranger.send(`43${id}["of a stranger"]`);
	raw.send(`43${id}["first"]`);
	raw.send(`43${id}["second"]`);
	raw.send(`43${id + 1}["of nothing"]`);
	await ignored.by(3);
	(await given)('slow');
	assert.deepEqual(sorted(await answers), ['first', 'slow']);
});

scenario('a hundred broadcasts at once, each with its own answers', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	await members(rw.url, [room], 4, (i, n) => n * 10 + i);
	const all = await Promise.all(upTo(100).map((n) => ask(node.io.to(room), n)));
	for (const [n, answers] of all.entries())
		assert.deepEqual(answers.sort((a, b) => a - b), upTo(4).map((i) => n * 10 + i));
});

scenario('of more than 1,000 that a client owes the oldest are forgotten, and told as missing', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	const [client] = await members(rw.url, [room], 1);
	const acks = [];
	client.socket.on('question', (n, ack) => acks.push(() => ack(n)));
	const outcomes = upTo(1010).map((n) => outcome(node.io.to(room).timeout(4000), n));
	await waitFor(() => acks.length === 1010, { what: 'all questions' });
	for (const ack of acks)
		ack();
	const answered = (await Promise.all(outcomes)).map(({ error }) => !error);
	assert.deepEqual(answered, upTo(1010).map((n) => n >= 10));
});

scenario('a client by long-polling answers, and one whose upgrade to another edge comes between', async () => {
	const { node, rw } = fixture;
	const room = fresh('room');
	await members(rw.url, [room], 1, () => 'polling', { transports: ['polling'] });
	assert.deepEqual(await ask(node.io.to(room)), ['polling']);

	const moving = fresh('room');
	const tags = await edgeTags(rw);
	const handed = () => total(rw, 'edge', 'roomwire_sessions_handed_total{direction="in"}');
	for (let moved = 0; moved < 2;) {
		const before = await handed();
		const [client] = await members(rw.url, [moving], 1, null, { transports: ['polling', 'websocket'], upgrade: false });
		const given = new Promise((resolve) => { client.socket.on('question', resolve); });
		const answers = ask(node.io.to(moving));
		const answer = await given;
		assert.ok(tags[tagOf(client.socket.io.engine.id)]);
		client.socket.io.engine.opts.upgrade = true;
		client.socket.io.engine._probe('websocket');
		await upgraded(client);
		moved += await handed() - before;
		answer('moved');
		assert.deepEqual(await answers, ['moved']);
		client.close();
	}
});

for (const what of ['edge', 'router']) {
	scenario(`${what === 'edge' ? 'an' : 'a'} ${what} that dies before it has said how many were asked: the sender gets all answers, or is told that some are missing`, { timeout: 90_000 }, async () => {
		const { node, rw } = fixture;
		const room = fresh('room');
		await members(rw.url, [room], 6, (i) => i);
		const victims = Object.entries(processesOf(rw, what));
		const { error, answers } = await whileStopped(victims[0][1].pid, async () => {
			const asked = outcome(node.io.to([room, fresh('room'), fresh('room'), fresh('room'), fresh('room')]).timeout(2000));
			signal(victims[0][1].pid, 'SIGKILL');
			return asked;
		});
		await waitReplaced(rw, victims[0][0], victims[0][1].pid);
		assert.equal(answers.length === 6, !error, `${answers.length} answers, ${error?.message}`);
		assert.equal(new Set(answers).size, answers.length);
	});
}

scenario('the sender does not wait for an answer of a client that has left', async () => {
	const { node, rw } = fixture;
	await active(rw);
	const room = fresh('room');
	const [leaver] = await members(rw.url, [room], 1);
	await members(rw.url, [room], 1, () => 'stays');
	leaver.socket.on('question', () => leaver.socket.disconnect());
	const { error, answers } = await outcome(node.io.to(room).timeout(1000));
	assert.match(error.message, /timed out/);
	assert.deepEqual(answers, ['stays']);
	assert.deepEqual(await ask(node.io.to(room)), ['stays']);
});

scenario('clients of the plain dialect get it as a message, and are not waited for', async (t) => {
	const { node, redis } = fixture;
	const rw = await new Roomwire({ profile: 'chat', env: { REDIS_URL: redis.url, INSTANCE: 'chat', REDIS_PREFIX: 'chat' } }).start();
	t.after(() => rw.stop());
	await active(rw);
	const room = fresh('room');
	const client = await dialPlain(rw.url, { token: rw.token({ sub: 'alice' }), name: 'alice' });
	await client.join(room);
	await members(node.url, [room], 1, () => 'node');
	assert.deepEqual(await ask(node.io.to(room), { roomId: room }), ['node']);
	await client.next('question');
});
