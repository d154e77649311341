// SPDX-License-Identifier: Apache-2.0
/* Several processes of one kind: what each of them says, which edge a client is at, and numbered streams that must arrive whole. */
import assert from 'node:assert/strict';
import { http, Raw } from './rawio.mjs';
import { signal } from './children.mjs';
import { waitFor } from './wait.mjs';

/* {name: {kind, pid, opsUrl}} of one kind. */
export function processesOf(rw, kind) {
	return Object.fromEntries(Object.entries(rw.processes).filter(([, one]) => one.kind === kind));
}

/* A metric of one process, summed over the labels that are not named: series is `name` or `name{label="value"}`. */
export async function metricOf(one, series) {
	const { text } = await http(`${one.opsUrl}/metrics`);
	const rows = text.split('\n').filter((row) => row.startsWith(`${series} `) || row.startsWith(`${series}{`));
	return rows.reduce((sum, row) => sum + Number(row.slice(row.lastIndexOf(' ') + 1)), 0);
}

/* The sum over all processes of a kind. */
export async function total(rw, kind, series) {
	const values = await Promise.all(Object.values(processesOf(rw, kind)).map((one) => metricOf(one, series)));
	return values.reduce((sum, value) => sum + value, 0);
}

/* {by(least, deadlineMs)}: waits until the metric has grown by at least so much since this call. */
export async function growthOf(rw, kind, series) {
	const before = await total(rw, kind, series);
	return {
		by: (least, deadlineMs) => waitFor(async () => await total(rw, kind, series) >= before + least,
			{ what: `${series} of ${kind} to grow by ${least} from ${before}`, deadlineMs }),
	};
}

const TAG_CHARS = 4; /* with which the session ids of one edge begin */
export const tagOf = (sid) => sid.slice(0, TAG_CHARS);
export const edgeTag = (client) => tagOf(client.socket.io.engine.id);

/* {tag: name} of every edge. Nobody else may connect meanwhile. */
export async function edgeTags(rw) {
	const edges = Object.entries(processesOf(rw, 'edge'));
	const found = {};
	await waitFor(async () => {
		const count = () => Promise.all(edges.map(([, one]) => metricOf(one, 'roomwire_connects_total')));
		const before = await count();
		const probe = await Raw.open(rw.url);
		const after = await count();
		const grown = edges.filter((_, i) => after[i] > before[i]);
		if (grown.length === 1) /* else a client of before was still on its way */
			found[tagOf(probe.handshake.sid)] = grown[0][0];
		probe.close();
		return Object.keys(found).length === edges.length;
	}, { what: 'a connection at every edge', everyMs: 1 });
	return found;
}

/* Every process of the kind is ready. */
export function waitAllReady(rw, kind) {
	return waitFor(async () => {
		const answers = await Promise.all(Object.values(processesOf(rw, kind)).map((one) => http(`${one.opsUrl}/readyz`)));
		return answers.every(({ status }) => status === 200);
	}, { what: `every ${kind} to be ready`, deadlineMs: 40_000 });
}

/* Waits until another process has taken the place of this one and is healthy. */
export async function waitReplaced(rw, name, oldPid) {
	await waitFor(() => rw.processes[name].pid !== oldPid, { what: `another ${name} than ${oldPid}`, deadlineMs: 40_000 });
	await waitFor(async () => (await http(`${rw.processes[name].opsUrl}/healthz`)).status === 200, { what: `/healthz of ${name}` });
}

/* The process is stopped while body() runs. */
export async function whileStopped(pid, body) {
	assert.ok(signal(pid, 'SIGSTOP'), `process ${pid} is there`);
	try {
		return await body();
	} finally {
		signal(pid, 'SIGCONT');
	}
}

/*
 * Numbered events to one room (or several, as a list), each said again with the same id until it is accepted. start() returns at once;
 * stop() returns how many were accepted. `statuses` counts the answers.
 */
export class Stream {
	constructor(rw, room, { event = 'n', gapMs = 0, pad = 0 } = {}) {
		Object.assign(this, { rw, room, event, gapMs });
		this.padding = pad ? { pad: 'x'.repeat(pad) } : {};
		this.accepted = 0;
		this.next = 0;
		this.statuses = {};
		this.id = `${room}-${event}-${Math.random().toString(36).slice(2)}`;
	}

	start() {
		this.running = true;
		this.done = this.#run();
		this.done.catch(() => {});
		return this;
	}

	/* Returns when this many more have been accepted. */
	async more(count) {
		const goal = this.accepted + count;
		await waitFor(() => this.accepted >= goal, { what: `${count} more events to be accepted`, deadlineMs: 40_000, everyMs: 2 });
	}

	/* Returns when so many have been accepted, and sends no more. */
	async until(count) {
		await waitFor(() => this.accepted >= count, { what: `${count} events to be accepted`, deadlineMs: 240_000, everyMs: 2 });
		return this.stop();
	}

	async stop() {
		this.running = false;
		await this.done;
		return this.accepted;
	}

	async #run() {
		while (this.running) {
			await this.#send(this.next++);
			if (this.gapMs)
				await new Promise((resolve) => setTimeout(resolve, this.gapMs));
		}
	}

	async #send(n) {
		const body = { rooms: [].concat(this.room), event: this.event, data: { n, ...this.padding }, id: `${this.id}-${n}` };
		const attempt = async () => {
			const { status } = await this.rw.api('/v1/publish', body);
			this.statuses[status] = (this.statuses[status] ?? 0) + 1;
			assert.ok(status === 202 || status === 503, `publish is answered 202 or 503, not ${status}`);
			return status === 202;
		};
		await waitFor(attempt, { what: `event ${n} to be accepted`, deadlineMs: 60_000, everyMs: 5 });
		this.accepted++;
	}
}

/* What is lost, doubled or out of order among numbers 0 … count-1; null when nothing is. */
export function differences(got, count) {
	const seen = new Set(got);
	const lost = Array.from({ length: count }, (_, n) => n).filter((n) => !seen.has(n));
	const doubled = got.filter((n, at) => got.indexOf(n) !== at);
	const misplaced = got.filter((n, at) => at > 0 && n < got[at - 1]);
	return lost.length || doubled.length || misplaced.length ? { lost, doubled, misplaced } : null;
}

/* The client gets (or has got) the last of so many, and has got each of them once and in order. */
export async function assertWhole(client, count, { event = 'n', who = 'the client', deadlineMs = 40_000 } = {}) {
	const numbers = () => client.received(event).map(({ n }) => n);
	await waitFor(() => count === 0 || numbers().includes(count - 1), { what: `${who} to get number ${count - 1}`, deadlineMs })
		.catch((error) => { throw new Error(`${error.message}; has ${JSON.stringify(numbers().slice(-5))}`); });
	assert.deepEqual(differences(numbers(), count), null, `${event} at ${who}`);
}

/* The {status, signal} that `up` saw a process of this name end with, the latest first. */
export function endsOf(rw, name) {
	const row = new RegExp(`a process has ended and is started again" name=${name} status=(\\d+) signal=(\\d+)`, 'g');
	return [...rw.log.matchAll(row)].map(([, status, killed]) => ({ status: Number(status), signal: Number(killed) })).reverse();
}
