// SPDX-License-Identifier: Apache-2.0
/*
 * What sessions cost: memory of a parked one, and requests of long-polling clients that land on another edge than their own.
 *
 *   node tests/bench/sessions.mjs [--clients 2000] [--seconds 3] [--bin DIR]
 *
 * Prints a Markdown table; fails on no figure.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { createHmac } from 'node:crypto';
import { REPO, Server, serverTable } from './servers.mjs';

const { WebSocket } = createRequire(join(REPO, 'tests/package.json'))('ws');
const { values: options } = parseArgs({
	options: {
		clients: { type: 'string', default: '2000' },
		seconds: { type: 'string', default: '3' },
		bin: { type: 'string', default: join(REPO, 'bin') },
	},
});
const clients = Number(options.clients);
const SECRET = 'bench';
const CLOCK_TICKS = 100;
const POLLERS = 20;
const REST_MS = 2000;

const base64 = (value) => Buffer.from(value).toString('base64url');

function token(sub) {
	const head = `${base64('{"alg":"HS256","typ":"JWT"}')}.${base64(JSON.stringify({ sub, exp: Math.floor(Date.now() / 1000) + 3600 }))}`;
	return `${head}.${createHmac('sha256', SECRET).update(head).digest('base64url')}`;
}

function residentBytes(processes, name) {
	let total = 0;
	for (const { pid } of processes.filter((process) => process.name === name))
		total += Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+)/)[1]) * 1024;
	return total;
}

function cpuSeconds(processes) {
	let ticks = 0;
	for (const { pid } of processes) {
		const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
		ticks += Number(fields[11]) + Number(fields[12]);
	}
	return ticks / CLOCK_TICKS;
}

/* A client that has joined a room and can be recovered: its WebSocket. */
function joined(port, number) {
	return new Promise((done, fail) => {
		const socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`);
		socket.on('error', fail);
		socket.on('message', (data) => {
			const text = data.toString();
			if (text.startsWith('0'))
				socket.send(`40{"token":"${token(`user-${number}`)}"}`);
			else if (text.startsWith('40'))
				socket.send(`421["room:join",{"room":"room-${number % 100}"}]`);
			else if (text.startsWith('431'))
				done(socket);
			else if (text === '2')
				socket.send('3');
		});
	});
}

async function started(server, edges) {
	const table = serverTable({ bin: resolve(options.bin), programs: '', edges });
	const folder = mkdtempSync(join(tmpdir(), 'roomwire-bench-'));
	const one = new Server(table[server], { secret: SECRET, pin: false, logFile: join(folder, 'log') });
	return { one, folder, ...await one.start() };
}

async function ended({ one, folder }) {
	await one.stop();
	rmSync(folder, { recursive: true });
}

const memoryOf = (processes) => ({ edge: residentBytes(processes, 'edge'), router: residentBytes(processes, 'router') });

async function wave(port, first) {
	const sockets = [];
	for (let i = 0; i < clients; i += 50)
		sockets.push(...await Promise.all(Array.from({ length: Math.min(50, clients - i) }, (_, at) => joined(port, first + i + at))));
	return sockets;
}

const gone = (sockets) => Promise.all(sockets.map((socket) => new Promise((done) => {
	socket.on('close', done);
	socket.terminate();
})));

/* What a connection used is kept by the allocator and used again by the next one: a second wave grows by what the parked ones of the first keep. */
async function measureParked() {
	const server = await started('roomwire', 1);
	const before = memoryOf(server.processes);
	await gone(await wave(server.port, 0));
	await new Promise((done) => setTimeout(done, REST_MS)); /* the last of them are freed */
	const first = memoryOf(server.processes);
	const sockets = await wave(server.port, clients);
	const second = memoryOf(server.processes);
	await gone(sockets);
	await ended(server);
	const each = (bytes, from) => Math.round((bytes - from) / clients);
	return {
		open: { edge: each(first.edge, before.edge), router: each(first.router, before.router) },
		parked: { edge: each(second.edge, first.edge), router: each(second.router, first.router) },
	};
}

function http(agent, port, path, body) {
	return new Promise((done, fail) => {
		const out = request({ agent, host: '127.0.0.1', port, path, method: body === undefined ? 'GET' : 'POST' }, (answer) => {
			let text = '';
			answer.setEncoding('utf8').on('data', (part) => { text += part; }).on('end', () => done({ status: answer.statusCode, text }));
		});
		out.on('error', fail);
		out.end(body);
	});
}

/* One client over and over: an event with an ack by POST, its answer by GET. */
async function poll(port, agent, number, end, latencies) {
	const path = '/socket.io/?EIO=4&transport=polling';
	const { sid } = JSON.parse((await http(agent, port, path)).text.slice(1));
	const mine = `${path}&sid=${sid}`;
	await http(agent, port, mine, `40{"token":"${token(`poller-${number}`)}"}`);
	await http(agent, port, mine);
	for (let i = 1; performance.now() < end; i++) {
		const from = performance.now();
		await http(agent, port, mine, `42${i}["room:join",{"room":"r"}]`);
		let answer = '';
		while (!answer.includes(`43${i}[`)) {
			const { status, text } = await http(agent, port, mine);
			if (status !== 200)
				throw new Error(`poll answered ${status} ${text}`);
			if (text === '2')
				await http(agent, port, mine, '3');
			answer += text;
		}
		latencies.push(performance.now() - from);
	}
}

async function measurePolling(edges) {
	const server = await started('roomwire', edges);
	/* A connection for each request: with several edges it lands anywhere. */
	const agent = new Agent({ keepAlive: false });
	const latencies = [];
	const cpu = cpuSeconds(server.processes);
	const end = performance.now() + Number(options.seconds) * 1000;
	await Promise.all(Array.from({ length: POLLERS }, (_, i) => poll(server.port, agent, i, end, latencies)));
	const used = cpuSeconds(server.processes) - cpu;
	await ended(server);
	latencies.sort((a, b) => a - b);
	const at = (share) => latencies[Math.floor(latencies.length * share)].toFixed(2);
	return {
		rate: Math.round(latencies.length * 2 / Number(options.seconds)),
		cpu: Math.round(used / latencies.length / 2 * 1e6), p50: at(0.5), p99: at(0.99),
	};
}

const memory = await measureParked();
const one = await measurePolling(1);
const three = await measurePolling(3);
console.log(`
| ${clients.toLocaleString('en')} clients in a room each, resident bytes per client | edge | router |
| --- | --: | --: |
| connected | ${memory.open.edge} | ${memory.open.router} |
| parked | ${memory.parked.edge} | ${memory.parked.router} |

| ${POLLERS} long-polling clients, a connection for each request | one edge | three edges, two of three requests passed on |
| --- | --: | --: |
| requests per second | ${one.rate} | ${three.rate} |
| server CPU per request, µs | ${one.cpu} | ${three.cpu} |
| event to its ack (two requests), p50 ms | ${one.p50} | ${three.p50} |
| p99 ms | ${one.p99} | ${three.p99} |
`);
