// SPDX-License-Identifier: Apache-2.0
/* The broker is stopped, killed and started: nothing that it holds is lost, readiness tells, clients stay. */
import assert from 'node:assert/strict';
import { connect, scenario, useRoomwire, waitFor } from './harness.mjs';
import { AGENT, EXCHANGE, QUEUE, roomOf, TICKET } from './lib/opsdesk.mjs';
import { RabbitMq } from './lib/rabbitmq.mjs';

const fixture = useRoomwire(async (things) => {
	things.broker = await RabbitMq.create();
	things.vhost = await things.broker.createVhost();
	return { profile: 'opsdesk', env: { RABBITMQ_URL: things.vhost.url } };
});
const ticketId = TICKET.alice;

async function member() {
	const client = await connect(fixture.rw.url, { token: fixture.rw.token(AGENT) });
	assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
	return client;
}

const send = (n) => fixture.vhost.publish(EXCHANGE, 'message.sent', { payload: { ticketId, n } }, { messageId: `${process.pid}-${n}` });

async function outage(client, takeDown, numbers) {
	const { rw, broker } = fixture;
	await takeDown();
	await rw.waitReady('ingest', 'rabbitmq');
	const { text } = await rw.ops('ingest', '/readyz');
	assert.ok(!text.includes(broker.password) && !text.includes('amqp://'), 'readiness shows no credentials');
	await rw.publish({ rooms: [roomOf(ticketId)], event: 'meanwhile', data: numbers });
	assert.deepEqual(await client.next('meanwhile'), numbers);
	await broker.start();
	for (const n of numbers)
		await send(n);
	for (const n of numbers)
		await client.next('message:new', { where: (data) => data.n === n, deadlineMs: 30_000 });
	await rw.waitReady('ingest');
	client.assertNone('@disconnect');
}

scenario('stopped and started, then killed and started: events published afterwards are delivered', { timeout: 120_000 }, async () => {
	const client = await member();
	await fixture.rw.waitReady('ingest');
	await send(0);
	await client.next('message:new');
	await outage(client, () => fixture.broker.stop(), [1, 2, 3]);
	await outage(client, () => fixture.broker.kill(), [4, 5, 6]);
	assert.deepEqual(client.received('message:new').map(({ n }) => n), [0, 1, 2, 3, 4, 5, 6]);
	assert.ok(!fixture.rw.log.includes(fixture.broker.password), 'the log shows no credentials');
});

scenario('events published while no ingest is there wait in the queue and are delivered once', async () => {
	const client = await member();
	const { rw, vhost } = fixture;
	await rw.waitReady('ingest');
	rw.kill('ingest', 'SIGSTOP');
	const numbers = Array.from({ length: 50 }, (_, i) => 100 + i);
	for (const n of numbers)
		await send(n);
	await rw.killAndWait('ingest');
	await client.next('message:new', { where: ({ n }) => n === numbers.at(-1), deadlineMs: 30_000 });
	assert.deepEqual(client.received('message:new').map(({ n }) => n), numbers);
	await waitFor(async () => (await vhost.queue(QUEUE)).messages === 0, { what: 'an empty queue' });
});

scenario('while the router stands still ingest takes a bounded number of events, and all of them later', { timeout: 120_000 }, async () => {
	const client = await member();
	const { rw, vhost } = fixture;
	await rw.waitReady('ingest');
	const count = 5000;
	rw.kill('router', 'SIGSTOP');
	try {
		for (let i = 0; i < count; i += 500)
			await Promise.all(Array.from({ length: 500 }, (_, k) => send(10_000 + i + k)));
		const { messages } = await vhost.queue(QUEUE);
		assert.ok(messages > 0, 'what ingest may not take stays with the broker');
	} finally {
		rw.kill('router', 'SIGCONT');
	}
	await client.next('message:new', { where: ({ n }) => n === 10_000 + count - 1, deadlineMs: 30_000 });
	const numbers = client.received('message:new').map(({ n }) => n);
	assert.deepEqual(numbers, Array.from({ length: count }, (_, i) => 10_000 + i));
});
