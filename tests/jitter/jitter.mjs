// SPDX-License-Identifier: Apache-2.0
/*
 * The jitter test of one server: clients behind a bad network, messages to their rooms, a process killed half-way; then
 * the network is left alone, everybody comes back, and what each client has is compared with what was published.
 */
import { sign } from '../lib/tokens.mjs';
import { stretched, within } from '../lib/wait.mjs';
import { excused } from './book.mjs';
import { Helper } from './helper.mjs';
import { Publisher } from './publisher.mjs';
import { NodeServer, RoomwireServer } from './servers.mjs';

export const DEFAULTS = {
	server: 'roomwire', /* or node */
	clients: 1000,
	rooms: 100,
	seconds: 180,
	rate: 20, /* messages a second, to all rooms together */
	inFlight: 8, /* messages under way to the server, each to another room */
	cutEvery: 15, /* seconds from a client's return to its next cut, on average (half to one and a half) */
	cutFor: 2, /* seconds of each cut, likewise */
	halfOpen: 0, /* share of the cuts that the server is not told of */
	transport: 'websocket', /* polling, upgrade (polling, then websocket) or mixed (a third each) */
	edges: 2,
	routers: 1,
	kill: 'edge', /* kind of the process that is killed half-way, or none */
	rolling: false, /* instead: each edge, then each router, is asked to end and started anew, one after another */
	killNode: false, /* the Node server, too, is killed half-way, and started anew */
	env: {}, /* settings of Roomwire */
	seed: 1,
	workers: 0, /* processes for the clients; 0: one per 300 clients, at most 4 */
	say: () => {}, /* gets a line about each step */
};

export const TRANSPORTS = {
	websocket: [['websocket']],
	polling: [['polling']],
	upgrade: [['polling', 'websocket']],
	mixed: [['websocket'], ['polling'], ['polling', 'websocket']],
};

const RECONNECTION = { reconnectionDelay: 200, reconnectionDelayMax: 500, randomizationFactor: 0.5 };
const JOIN_ALL_MS = 60_000;
const RETURN_ALL_MS = 45_000; /* from the last cut until everybody is back */
const LAST_MESSAGE_MS = 30_000;
const TOKEN_SPARE_S = 3600;
const EXAMPLES = 20;

export const percentile = (values, share) => {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] : null;
};

/*
 * Runs the test; options as DEFAULTS. Returns counts over all clients, among them `failures`: what went wrong with the
 * run itself, such as a server that did not end well. Throws if nothing could be counted.
 */
export async function jitter(given = {}) {
	const options = { ...DEFAULTS, ...given };
	const server = options.server === 'node' ? new NodeServer(options) : new RoomwireServer(options);
	const proxy = new Helper('proxy.mjs');
	const count = options.workers || Math.min(4, Math.ceil(options.clients / 300));
	const workers = Array.from({ length: count }, () => new Helper('worker.mjs'));
	const failures = [];
	let counts;
	try {
		await server.start();
		counts = await storm({ options, server, proxy, workers, failures });
	} catch (error) {
		error.message += `\n${server.logs()}`;
		throw error;
	} finally {
		await Promise.all(workers.map((worker) => worker.stop()));
		await proxy.stop();
		await server.stop().catch((error) => failures.push(error.message));
	}
	return { ...counts, failures };
}

/* Why this is not a pass: lines, none of them good news. */
export function faults(counts, { allowFresh = false } = {}) {
	const first = counts.silentExamples.map(({ room, number, second }) => `${number} of ${room}, published in second ${second}`);
	const when = counts.freshSeconds;
	const rules = [
		['silentHoles', `messages missing that nobody told of (${first.slice(0, 5).join('; ')})`],
		['doubles', 'messages received twice'], ['disorders', 'messages received after a later one'],
		['strays', 'messages of rooms that the client is not in'], ['idsChanged', 'recovered with another socket id'],
		['away', 'clients that did not come back'], ['behind', 'clients that did not get the last message'],
		...(allowFresh ? [] : [['fresh', `returns that were not recovered (seconds ${when[0]} to ${when.at(-1)}, half by ${percentile(when, 0.5)})`]]),
	];
	return [...rules.filter(([name]) => counts[name]).map(([name, what]) => `${counts[name]} ${what}`), ...counts.failures];
}

async function storm({ options, server, proxy, workers, failures }) {
	const { say } = options;
	const names = Array.from({ length: options.rooms }, (_, i) => `room-${i}`);
	await joinAll({ options, server, proxy, workers, names });
	say(`${options.clients} clients in ${options.rooms} rooms, in ${workers.length} processes`);

	const publisher = new Publisher({ url: server.apiUrl, key: server.apiKey, rooms: names, options });
	const startedAt = Date.now();
	const endsAt = startedAt + options.seconds * 1000;
	const seconds = (at) => Math.round((at - startedAt) / 10) / 100;
	const faultTimes = [];
	await proxy.ask('startCuts');
	const fault = halfWay(server, options, failures, (what) => {
		faultTimes.push({ second: seconds(Date.now()), what });
		say(`second ${seconds(Date.now())}: ${what}`);
	});
	await publisher.run(() => Date.now() >= endsAt && (!fault || fault.over));
	await fault?.done;
	const cuts = await proxy.ask('stopCuts');
	say(`${publisher.published} messages published, ${cuts.cuts} cuts; waiting for everybody to come back`);

	const away = sum(await Promise.all(workers.map((one) => one.ask('settle', { deadlineMs: stretched(RETURN_ALL_MS) }))));
	const finals = await publisher.finish();
	const behind = sum(await Promise.all(workers.map((one) => one.ask('finish', { finals, deadlineMs: stretched(LAST_MESSAGE_MS) }))));
	const reports = await Promise.all(workers.map((one) => one.ask('report', { finals })));
	say(`everything came in after ${((Date.now() - endsAt) / 1000).toFixed(1)} s`);
	return { ...add(reports, publisher, finals, seconds), ...cuts, faultTimes, away, behind };
}

async function joinAll({ options, server, proxy, workers, names }) {
	const { hostname: host, port } = new URL(server.url);
	const { seed, halfOpen } = options;
	const cutOptions = { seed, halfOpen, cutEveryMs: options.cutEvery * 1000, cutForMs: options.cutFor * 1000 };
	const ports = await proxy.ask('listen', { target: { host, port: Number(port) }, clients: options.clients, options: cutOptions });
	const exp = Math.floor(Date.now() / 1000) + options.seconds + TOKEN_SPARE_S;
	const kinds = TRANSPORTS[options.transport];
	const members = ports.map((own, i) => ({
		room: names[i % names.length], url: `http://127.0.0.1:${own}`, transports: kinds[Math.floor(i / names.length) % kinds.length],
		token: sign({ sub: `user-${i}`, exp }, server.secret),
	}));
	const shares = workers.map((worker, at) => worker.ask('start', {
		members: members.filter((_, i) => i % workers.length === at), reconnection: RECONNECTION,
	}));
	await within(Promise.all(shares), { what: `${options.clients} clients to join`, deadlineMs: JOIN_ALL_MS });
}

/* The kill, when its time has come: {over, done}, or null. */
function halfWay({ fault }, { seconds, server, rolling }, failures, tell) {
	if (!fault)
		return null;
	const state = { over: false };
	const share = rolling && server === 'roomwire' ? 0.25 : 0.5;
	state.done = new Promise((resolve) => setTimeout(resolve, seconds * 1000 * share)).then(() => fault(tell))
		.catch((error) => failures.push(error.message)).finally(() => { state.over = true; });
	return state;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

function addUp(objects) {
	const total = {};
	for (const object of objects) {
		for (const [name, value] of Object.entries(object))
			total[name] = (total[name] ?? 0) + value;
	}
	return total;
}

function add(reports, publisher, finals, seconds) {
	const rows = reports.flatMap((report) => report.rows);
	const replays = rows.flatMap((row) => row.replays);
	const holes = rows.flatMap(({ room, holes: own }) => own.map(({ number, joinedAt }) => {
		const publishedAt = publisher.startedAt(room, number);
		return { room, number, second: seconds(publishedAt), told: excused({ joinedAt }, publishedAt) };
	}));
	const silent = holes.filter(({ told }) => !told);
	const times = (field) => {
		const values = replays.map((replay) => replay[field]);
		return { p50: percentile(values, 0.5), p99: percentile(values, 0.99), max: percentile(values, 1) };
	};
	return {
		published: publisher.published,
		expected: sum(rows.map((row) => finals[row.room])),
		...addUp(rows.map((row) => row.counts)),
		silentHoles: silent.length,
		missedTold: holes.length - silent.length,
		silentExamples: silent.slice(0, EXAMPLES),
		freshSeconds: rows.flatMap(({ freshAt }) => freshAt).map(seconds).sort((a, b) => a - b),
		replays: replays.length,
		replayFromConnectMs: times('fromConnectMs'),
		replayFromDialMs: times('fromDialMs'),
		slowestReplays: replays.sort((a, b) => b.fromDialMs - a.fromDialMs).slice(0, EXAMPLES)
			.map(({ at, ...rest }) => ({ second: seconds(at), ...rest })),
		disconnects: addUp(rows.map((row) => row.reasons)),
		publishesSentAgain: publisher.sentAgain,
		slowestPublishMs: publisher.slowestMs,
		workers: reports.map((report) => report.usage),
	};
}
