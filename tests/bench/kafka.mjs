// SPDX-License-Identifier: Apache-2.0
/*
 * Events from a real Kafka to clients: how many a second, how long each takes, and what a router that stands still for 5 s leaves behind.
 *
 *   node tests/bench/kafka.mjs [MEMBERS …]      (default 1 100 1000)
 *
 * Clients, producer, broker and Roomwire share this machine: the figures are a floor.
 */
import WebSocket from 'ws';
import { total } from '../lib/cluster.mjs';
import { Roomwire } from '../lib/roomwire.mjs';
import { onKafka, PARTITIONS, TOPIC } from '../lib/stream.mjs';
import { waitFor } from '../lib/wait.mjs';

const DELIVERIES = 200_000; /* of a throughput run */
const PACED = 2000;         /* events of a latency run */
const PACED_GAP_MS = 5;


/* A client that only counts events, and notes how late those with a time are. */
async function counting(rw, room, late) {
	const socket = new WebSocket(`${rw.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
	const one = { count: 0, last: 0, socket };
	await new Promise((resolve, reject) => {
		socket.on('error', reject);
		socket.on('message', (data) => {
			const text = data.toString();
			if (text[0] === '0')
				socket.send(`40${JSON.stringify({ token: rw.token({ sub: `u-${room}` }) })}`);
			else if (text.startsWith('40'))
				socket.send(`420["room:join",{"room":"${room}"}]`);
			else if (text.startsWith('430'))
				resolve();
			else if (text === '2')
				socket.send('3');
			else if (text.startsWith('42["tick"')) {
				one.count++;
				const at = text.indexOf('"at":');
				if (at > 0)
					late.push(performance.timeOrigin + performance.now() - Number.parseFloat(text.slice(at + 5)));
			}
		});
	});
	return one;
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]?.toFixed(2);

async function throughput(fixture, members, room) {
	const late = [];
	const clients = [];
	for (let i = 0; i < members; i++)
		clients.push(await counting(fixture.rw, room, late));
	const events = Math.max(400, Math.min(50_000, Math.floor(DELIVERIES / members)));
	const value = { type: 'tick', room, pad: 'x'.repeat(100) };
	const began = performance.now();
	for (let sent = 0; sent < events; sent += 500)
		await fixture.producer.send(TOPIC, Array.from({ length: Math.min(500, events - sent) }, (_, i) => ({ partition: (sent + i) % PARTITIONS, value })));
	const sentIn = performance.now() - began;
	await waitFor(() => clients.every(({ count }) => count >= events), { what: 'all events', deadlineMs: 120_000, everyMs: 2 });
	const took = performance.now() - began;
	const at = () => performance.timeOrigin + performance.now();
	for (let n = 0; n < PACED / (members >= 1000 ? 10 : 1); n++) {
		await fixture.producer.send(TOPIC, [{ partition: n % PARTITIONS, value: { type: 'tick', room, at: at() } }]);
		await new Promise((resolve) => setTimeout(resolve, members >= 1000 ? 10 * PACED_GAP_MS : PACED_GAP_MS));
	}
	await new Promise((resolve) => setTimeout(resolve, 500));
	late.sort((a, b) => a - b);
	for (const { socket } of clients)
		socket.terminate();
	console.log(`${members} members: ${events} events, sent in ${sentIn.toFixed(0)} ms, all delivered after ${took.toFixed(0)} ms: ${(events / took * 1000).toFixed(0)} events/s, `
		+ `${(events * members / took * 1000).toFixed(0)} deliveries/s; paced: producing to client p50 ${quantile(late, 0.5)} ms, p99 ${quantile(late, 0.99)} ms (${late.length})`);
}

async function stopped(fixture) {
	const room = 'stopped';
	const late = [];
	const client = await counting(fixture.rw, room, late);
	const { pid } = fixture.rw.process('router');
	let sent = 0;
	let most = 0;
	let resumed = 0;
	const began = Date.now();
	while (Date.now() - began < 10_000) {
		if (!resumed && sent === 2000)
			process.kill(pid, 'SIGSTOP');
		if (!resumed && Date.now() - began > 7000) {
			most = sent - client.count;
			process.kill(pid, 'SIGCONT');
			resumed = Date.now();
		}
		await fixture.producer.send(TOPIC, Array.from({ length: 20 }, (_, i) => ({ partition: (sent + i) % PARTITIONS, value: { type: 'tick', room } })));
		sent += 20;
		await new Promise((resolve) => setTimeout(resolve, 17));
	}
	const atOnce = client.count;
	await waitFor(() => client.count >= sent, { what: 'all', deadlineMs: 60_000, everyMs: 2 });
	console.log(`router stopped for about 5 s at about 1,000 events/s: ${most} events behind when it went on; behind at the end of the run: ${sent - atOnce}; delivered ${client.count} of ${sent}; lag ${await total(fixture.rw, 'ingest', 'roomwire_kafka_lag')}`);
	client.socket.terminate();
}

const fixture = {};
fixture.rw = new Roomwire(await onKafka()(fixture));
await fixture.rw.start();
await fixture.rw.waitReady('ingest');
await new Promise((resolve) => setTimeout(resolve, 1500));
const wanted = process.argv.slice(2).map(Number);
for (const members of wanted.length ? wanted : [1, 100, 1000])
	await throughput(fixture, members, `m${members}`);
await stopped(fixture);
await fixture.rw.stop();
await fixture.broker.destroy();
process.exit(0);
