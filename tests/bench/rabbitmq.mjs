// SPDX-License-Identifier: Apache-2.0
/*
 * Events from RabbitMQ to the members of one room: as fast as they go, and the time from publish to client at a pace that leaves the machine idle at times.
 * node tests/bench/rabbitmq.mjs; the broker, publisher and clients run on the same cores. One line of figures each.
 */
import assert from 'node:assert/strict';
import { connect, Roomwire } from '../harness.mjs';
import { closeClients } from '../lib/client.mjs';
import { AGENT, EXCHANGE, QUEUE, TICKET } from '../lib/opsdesk.mjs';
import { RabbitMq } from '../lib/rabbitmq.mjs';
import { waitFor } from '../lib/wait.mjs';

const RUNS = [
	{ members: 1, events: 20_000, rate: 500 },
	{ members: 100, events: 2000, rate: 50 },
	{ members: 1000, events: 200, rate: 5 },
];
const PACED_SECONDS = 5;
const ticketId = TICKET.alice;
const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))].toFixed(1);

async function run(rw, vhost, { members, events, rate }) {
	const times = [];
	let got = 0;
	const clients = [];
	while (clients.length < members) {
		const some = await Promise.all(Array.from({ length: Math.min(50, members - clients.length) }, () => connect(rw.url, { token: rw.token(AGENT) })));
		clients.push(...some);
	}
	for (const client of clients) {
		assert.equal((await client.ask('ticket.join', ticketId)).ok, true);
		client.socket.offAny();
		client.socket.on('message:new', ({ at }) => {
			got++;
			if (at)
				times.push(performance.now() - at);
		});
	}
	const channel = await vhost.channel();
	const body = (more) => Buffer.from(JSON.stringify({ payload: { ticketId, text: 'x'.repeat(64), ...more } }));
	const arrived = (count) => waitFor(() => got >= count, { what: `${count} deliveries, have ${got}`, deadlineMs: 60_000, everyMs: 1 });

	rw.kill('ingest', 'SIGSTOP'); /* what is measured is the way out of the queue */
	for (let n = 0; n < events; n++)
		channel.publish(EXCHANGE, 'message.sent', body({ n }), { persistent: true });
	await channel.waitForConfirms();
	const began = performance.now();
	rw.kill('ingest', 'SIGCONT');
	await arrived(events * members);
	const seconds = (performance.now() - began) / 1000;
	await waitFor(async () => (await vhost.queue(QUEUE)).messages === 0, { what: 'an empty queue' });

	got = 0;
	const paced = rate * PACED_SECONDS;
	const start = performance.now();
	for (let n = 0; n < paced; n++) {
		const wait = start + (n * 1000) / rate - performance.now();
		if (wait > 1)
			await new Promise((resolve) => { setTimeout(resolve, wait); });
		channel.publish(EXCHANGE, 'message.sent', body({ at: performance.now() }), { persistent: true });
	}
	await arrived(paced * members);
	times.sort((a, b) => a - b);
	console.log(`${members} members: ${Math.round(events / seconds)} events/s, ${Math.round((events * members) / seconds)} deliveries/s; at ${rate}/s p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms`);
	closeClients();
}

const broker = await RabbitMq.create();
const vhost = await broker.createVhost();
const rw = await new Roomwire({ profile: 'opsdesk', env: { RABBITMQ_URL: vhost.url } }).start();
await rw.waitReady('ingest');
for (const one of RUNS)
	await run(rw, vhost, one);
await rw.stop();
await vhost.close();
await broker.destroy();
