// SPDX-License-Identifier: Apache-2.0
/*
 * Events of backends to the members of one room, from each source: how many a second, how long each takes at a pace that is kept up with, and what a
 * router that stands still for 5 s leaves behind.
 *
 *   node tests/bench/sources.mjs [--from kafka,rabbitmq,redis,http] [MEMBERS …]      (default: all of them, 1 100 1000)
 *
 * Clients, publisher, broker and Roomwire share this machine: the figures are a floor. A Markdown table on standard output.
 */
import { Agent, request } from 'node:http';
import WebSocket from 'ws';
import { total } from '../lib/cluster.mjs';
import { emitter } from '../lib/nodeio.mjs';
import { RabbitMq } from '../lib/rabbitmq.mjs';
import { Redis } from '../lib/redis.mjs';
import { Roomwire } from '../lib/roomwire.mjs';
import { onKafka, PARTITIONS, TOPIC } from '../lib/stream.mjs';
import { waitFor } from '../lib/wait.mjs';

const DELIVERIES = 200_000;                           /* of a throughput run */
const RATES = { 1: 200, 100: 100, 1000: 10 };         /* events a second of a paced run */
const PACED_SECONDS = 5;
const STOPPED_RATE = 1000;
const PAD = 'x'.repeat(100);
const CALLS = 32; /* HTTP calls under way */

const after = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]?.toFixed(1);

/* A client that only counts events, and notes how late those with a time are. */
async function counting(rw, room, late) {
	const socket = new WebSocket(`${rw.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
	const one = { count: 0, socket };
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
				const at = text.indexOf('"at":');
				one.count++;
				if (at > 0)
					late.push(performance.now() - Number.parseFloat(text.slice(at + 5)));
			}
		});
	});
	return one;
}

/* Events one after another, so many under way at most. */
async function pooled(count, limit, send) {
	let next = 0;
	const worker = async () => {
		while (next < count)
			await send(next++);
	};
	await Promise.all(Array.from({ length: limit }, worker));
}

/* Each source: open() to an object with env for Roomwire; then all(room, count) and one(body). behind(): what waits in the broker. */
const SOURCES = {
	async kafka(things) {
		const options = await onKafka()(things);
		return {
			env: options.env,
			all: async (body, count) => {
				for (let sent = 0; sent < count; sent += 500)
					await things.producer.send(TOPIC, Array.from({ length: Math.min(500, count - sent) }, (_, i) => ({ partition: (sent + i) % PARTITIONS, value: body })));
			},
			one: (body, n) => things.producer.send(TOPIC, [{ partition: n % PARTITIONS, value: body }]),
			close: () => things.broker.destroy(),
		};
	},
	async rabbitmq() {
		const broker = await RabbitMq.create();
		const vhost = await broker.createVhost();
		const options = { persistent: true };
		return {
			env: { RABBITMQ_URL: vhost.url },
			all: async (body, count) => {
				const channel = await vhost.channel();
				const bytes = Buffer.from(JSON.stringify(body));
				for (let n = 0; n < count; n++) {
					if (!channel.publish('stream.events', 'tick', bytes, options))
						await new Promise((resolve) => { channel.once('drain', resolve); });
				}
				await channel.waitForConfirms();
			},
			one: (body) => vhost.publish('stream.events', 'tick', body),
			close: async () => {
				await vhost.close();
				await broker.destroy();
			},
		};
	},
	async redis() {
		const redis = await Redis.create();
		const backend = await emitter(redis.url);
		return {
			env: { REDIS_URL: redis.url },
			ready: (rw) => waitFor(async () => await total(rw, 'ingest', 'roomwire_redis_adapter_active') === 1, { what: 'an ingest to act' }),
			all: async (body, count) => {
				for (let n = 0; n < count; n++) {
					backend.to(body.room).emit('tick', body);
					if (n % 500 === 499)
						await redis.command('PING');
				}
			},
			one: (body) => backend.to(body.room).emit('tick', body),
			close: async () => {
				await backend.close();
				await redis.destroy();
			},
		};
	},
	async http() {
		const agent = new Agent({ keepAlive: true, maxSockets: CALLS });
		const source = { env: {}, close: () => agent.destroy() };
		const post = (body) => new Promise((resolve, reject) => {
			const text = JSON.stringify(body);
			const headers = { authorization: `Bearer ${source.rw.apiKey}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
			const call = request(`${source.rw.apiUrl}/v1/events`, { method: 'POST', agent, headers }, (answer) => {
				answer.resume();
				answer.on('end', () => (answer.statusCode === 202 ? resolve() : reject(new Error(`status ${answer.statusCode}`))));
			});
			call.on('error', reject);
			call.end(text);
		});
		source.all = (body, count) => pooled(count, CALLS, () => post(body));
		source.one = post;
		return source;
	},
};

async function members(rw, room, count, late) {
	const clients = [];
	while (clients.length < count)
		clients.push(...await Promise.all(Array.from({ length: Math.min(50, count - clients.length) }, () => counting(rw, room, late))));
	return clients;
}

const arrived = (clients, count) => waitFor(() => clients.every((one) => one.count >= count), { what: 'all events', deadlineMs: 180_000, everyMs: 2 });

async function measure(source, rw, count) {
	const room = `m${count}`;
	const late = [];
	const clients = await members(rw, room, count, late);
	const events = Math.max(400, Math.min(30_000, Math.floor(DELIVERIES / count)));
	const began = performance.now();
	await source.all({ type: 'tick', room, pad: PAD }, events);
	await arrived(clients, events);
	const perSecond = (events * 1000) / (performance.now() - began);
	const rate = RATES[count] ?? Math.max(5, Math.floor(10_000 / count));
	const start = performance.now();
	const calls = [];
	for (let n = 0; n < rate * PACED_SECONDS; n++) {
		await after(Math.max(0, start + (n * 1000) / rate - performance.now()));
		calls.push(source.one({ type: 'tick', room, at: performance.now() }, n));
	}
	await Promise.all(calls);
	await arrived(clients, events + rate * PACED_SECONDS);
	late.sort((a, b) => a - b);
	for (const { socket } of clients)
		socket.terminate();
	return `${Math.round(perSecond).toLocaleString('en')} | ${Math.round(perSecond * count).toLocaleString('en')} | ${quantile(late, 0.5)} / ${quantile(late, 0.99)}`;
}

/* A router that stands still: what has come by then, and how soon all of it is there. */
async function stopped(source, rw) {
	const room = 'stopped';
	const [client] = await members(rw, room, 1, []);
	const { pid } = rw.process('router');
	const calls = [];
	let sent = 0;
	const began = performance.now();
	const send = async (until) => {
		while (performance.now() - began < until) {
			for (const due = ((performance.now() - began) * STOPPED_RATE) / 1000; sent < due; sent++)
				calls.push(source.one({ type: 'tick', room }, sent));
			await after(5);
		}
	};
	await send(2000);
	process.kill(pid, 'SIGSTOP');
	await send(7000);
	const behind = sent - client.count;
	process.kill(pid, 'SIGCONT');
	const from = performance.now();
	let caughtUp = 0;
	const watch = setInterval(() => {
		if (!caughtUp && sent - client.count <= STOPPED_RATE / 20)
			caughtUp = performance.now() - from;
	}, 5);
	await send(10_000);
	await Promise.all(calls);
	await arrived([client], sent);
	clearInterval(watch);
	client.socket.terminate();
	return `${behind.toLocaleString('en')} behind after 5 s, caught up ${((caughtUp || performance.now() - from) / 1000).toFixed(1)} s later, ${client.count === sent ? 'nothing lost, nothing doubled' : `${client.count} of ${sent} arrived`}`;
}

const args = process.argv.slice(2);
const from = args[0] === '--from' ? args.splice(0, 2)[1].split(',') : Object.keys(SOURCES);
const counts = args.length ? args.map(Number) : [1, 100, 1000];
const notes = [];
console.log('| source | members | events/s | deliveries/s | p50 / p99, ms |\n|---|--:|--:|--:|--:|');
for (const name of from) {
	const source = await SOURCES[name]({});
	const rw = await new Roomwire({ profile: 'tests/profiles/stream.yaml', env: source.env }).start();
	source.rw = rw;
	await rw.waitReady('ingest');
	await source.ready?.(rw);
	for (const count of counts)
		console.log(`| ${name} | ${count.toLocaleString('en')} | ${await measure(source, rw, count)} |`);
	notes.push(`${name}: a router stopped for 5 s at ${STOPPED_RATE} events/s: ${await stopped(source, rw)}`);
	await rw.stop();
	await source.close();
}
console.log(`\n${notes.join('\n')}`);
process.exit(0);
