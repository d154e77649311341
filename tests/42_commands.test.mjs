// SPDX-License-Identifier: Apache-2.0
/* What a backend does to members: they join rooms, leave them, are disconnected. At once, at whatever edge they are; and in its place between the messages for who is away. */
import assert from 'node:assert/strict';
import { RECONNECTING, Roomwire, scenario, useFixture } from './harness.mjs';
import { edgeTag, edgeTags, waitReplaced } from './lib/cluster.mjs';
import { comeBack, cut, fresh, member, numbersOf, publishNumbers, upTo } from './lib/comeback.mjs';
import { signal } from './lib/children.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench', edges: 2, routers: 2, env: { DRAIN_SECONDS: '2' } }).start();
});
const LIMIT = { timeout: 120_000 };

async function command(verb, room, body) {
	const answer = await fixture.rw.api(`/v1/rooms/${encodeURIComponent(room)}/${verb}`, body);
	assert.equal(answer.status, 202, JSON.stringify(answer));
}

const mark = async (room, n) => publishNumbers(fixture.rw, [n], [room]);

/* Whatever else was sent to it has arrived when this has. */
async function settled(client, room, n) {
	await mark(room, n);
	await client.next('n', { where: (data) => data.n === n });
}

scenario('sockets that were made to join get what is published right after the answer', LIMIT, async () => {
	const { rw } = fixture;
	const clients = await Promise.all(upTo(8).map(() => member(rw)));
	for (let round = 0; round < 20; round++) {
		const room = fresh('joined');
		await command('join', room, { sockets: clients.map(({ id }) => id) });
		await publishNumbers(rw, upTo(3), [room]);
		for (const client of clients) {
			await client.next('n', { where: ({ n }) => n === 2 });
			assert.deepEqual(numbersOf(client).slice(-3), [0, 1, 2], `round ${round}`);
		}
	}
});

scenario('all sockets of a user join and leave, others do not; nothing that is published behind the answer comes to who left', LIMIT, async () => {
	const { rw } = fixture;
	const [room, own, sub] = [fresh('of'), fresh('own'), fresh('somebody')];
	const mine = await Promise.all(upTo(4).map(() => member(rw, [own], { sub })));
	const other = await member(rw, [own]);
	await command('join', room, { users: [sub] });
	await mark(room, 1);
	for (const client of mine)
		await client.next('n', { where: ({ n }) => n === 1 });
	await command('leave', room, { users: [sub] });
	await mark(room, 2);
	for (const client of [...mine, other])
		await settled(client, own, 100);
	for (const client of mine)
		assert.equal(numbersOf(client).includes(2), false);
	assert.equal(numbersOf(other).includes(1), false);
});

scenario('members of one room join another; all leave at once', LIMIT, async () => {
	const { rw } = fixture;
	const [from, to] = [fresh('from'), fresh('to')];
	const clients = await Promise.all(upTo(6).map(() => member(rw, [from])));
	await command('join', to, { rooms: [from] });
	await mark(to, 1);
	for (const client of clients)
		await client.next('n', { where: ({ n }) => n === 1 });
	await command('leave', to, {});
	await mark(to, 2);
	for (const client of clients) {
		await settled(client, from, 3);
		assert.equal(numbersOf(client).includes(2), false);
	}
});

scenario('disconnected sockets are told and stay away, others stay', LIMIT, async () => {
	const { rw } = fixture;
	const room = fresh('out');
	const [gone, stays] = await Promise.all([member(rw, [room], { ...RECONNECTING }), member(rw, [room])]);
	await command('disconnect', room, { sockets: [gone.id] });
	assert.equal(await gone.next('@disconnect'), 'io server disconnect');
	await settled(stays, room, 1);
	assert.equal(gone.socket.connected, false);
	assert.deepEqual(numbersOf(gone), []);
	assert.equal((await comeBack(gone)).recovered, false);
});

for (const killed of [false, true]) {
	scenario(`who is away${killed ? ', and whose edge is killed,' : ''} follows when it comes back: what was sent before it left and after it joined, and nothing else`, LIMIT, async () => {
		const { rw } = fixture;
		const [left, joined, own, sub] = [fresh('left'), fresh('joined'), fresh('own'), fresh('away')];
		const client = await member(rw, [left, own], { sub });
		await settled(client, own, 0);
		const name = (await edgeTags(rw))[edgeTag(client)];
		const { id } = client;
		await cut(client);
		if (killed) {
			const { pid } = rw.processes[name];
			signal(pid, 'SIGKILL');
			await waitReplaced(rw, name, pid);
		}
		await mark(left, 1);
		await mark(joined, 2); /* not in it yet */
		await fixture.rw.publish({ rooms: [own], event: 'n', data: { n: 3 } });
		await command('join', joined, { rooms: [own] });
		await command('leave', left, { users: [sub] });
		await mark(left, 4); /* not in it any more */
		await mark(joined, 5);
		await mark(own, 6);
		const back = await comeBack(client);
		assert.equal(back.recovered, true);
		await settled(client, joined, 7);
		await settled(client, own, 8);
		assert.deepEqual(numbersOf(client), [0, 1, 3, 5, 6, 7, 8]);
		await mark(left, 9);
		await settled(client, own, 10);
		assert.equal(numbersOf(client).includes(9), false);
		assert.equal(back.id, id);
	});
}

scenario('who was disconnected while away comes back as somebody new', LIMIT, async () => {
	const { rw } = fixture;
	const room = fresh('banned');
	const client = await member(rw, [room]);
	await settled(client, room, 0);
	await cut(client);
	await command('disconnect', room, {});
	const back = await comeBack(client);
	assert.equal(back.recovered, false);
	await mark(room, 1);
	assert.deepEqual(numbersOf(client), [0]);
});
