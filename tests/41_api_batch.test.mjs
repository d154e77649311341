// SPDX-License-Identifier: Apache-2.0
/* Several messages in one POST /v1/publish: in their order, all or told, and none where one is wrong. */
import assert from 'node:assert/strict';
import { Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { Api } from './lib/api.mjs';
import { assertWhole, processesOf, whileStopped } from './lib/cluster.mjs';
import { fresh, member, upTo } from './lib/comeback.mjs';

const fixture = useFixture(async (things) => {
	things.rw = await new Roomwire({ profile: 'bench', edges: 2, routers: 2, env: { PUBLISH_TIMEOUT_MS: '4000' } }).start();
	await things.rw.waitReady('ingest');
	fixture.api = await Api.of(things.rw);
});
const PUBLISH = 'POST /v1/publish';
const message = (room, n, more = {}) => ({ rooms: [room].flat(), event: 'n', data: { n }, ...more });
const send = (messages, status = 202) => fixture.api.expect(status, PUBLISH, { body: { messages } });

scenario('1,000 messages to rooms of both routers arrive once, in their order', async () => {
	const rooms = upTo(6).map(() => fresh('batch'));
	const clients = [await member(fixture.rw, rooms), await member(fixture.rw, rooms)];
	const { ids } = await send(upTo(1000).map((n) => message(n % 7 ? rooms[n % 6] : rooms, n)));
	assert.equal(new Set(ids).size, 1000);
	for (const client of clients)
		await assertWhole(client, 1000);
});

scenario('ids are kept, made up where there are none, and make a second try harmless', async () => {
	const room = fresh('ids');
	const client = await member(fixture.rw, [room]);
	const messages = upTo(5).map((n) => message(room, n, n % 2 ? { id: `${room}-${n}` } : {}));
	const { ids } = await send(messages);
	assert.deepEqual([ids[1], ids[3]], [`${room}-1`, `${room}-3`]);
	assert.deepEqual(await send(messages.map((one, i) => ({ ...one, id: ids[i] }))), { ids });
	await send([message(room, 5), message(room, 5, { id: `${room}-1` })]);
	await assertWhole(client, 6);
});

scenario('one wrong message: nothing is published, and the answer names all that are wrong', async () => {
	const room = fresh('wrong');
	const client = await member(fixture.rw, [room]);
	const { refused } = await send([message(room, 0), message([], 1), 7, message(room, 3), message(room, 4, { event: 'connect' })], 400);
	assert.deepEqual(refused.map(({ index }) => index), [1, 2, 4]);
	assert.ok(refused.every(({ message: why }) => why.length > 10));
	await fixture.rw.publish(message(room, 0));
	await assertWhole(client, 1);
});

for (const [what, messages] of [['none', []], ['1,001 messages', upTo(1001).map((n) => message('a', n))], ['an object', {}], ['null', null]])
	scenario(`a batch of ${what} is answered 400`, () => send(messages, 400));

scenario('while a router does not answer, the answer says what was accepted and what is not known', async () => {
	const { rw } = fixture;
	const rooms = upTo(40).map(() => fresh('half'));
	const client = await member(rw, rooms);
	const messages = rooms.map((room, n) => message(room, n));
	const [router] = Object.values(processesOf(rw, 'router'));
	const { results } = await whileStopped(router.pid, () => send(messages, 503));
	assert.equal(results.length, 40);
	assert.ok(results.some(({ state }) => state !== 'accepted'));
	await waitFor(async () => (await fixture.api.call(PUBLISH, { body: { messages: messages.map((one, i) => ({ ...one, id: results[i].id })) } })).status === 202,
		{ what: 'the batch to be accepted with the same ids' });
	await waitFor(() => client.received('n').length >= 40, { what: 'all of them' });
	assert.deepEqual(client.received('n').map(({ n }) => n), upTo(40), 'each once, in order');
});
