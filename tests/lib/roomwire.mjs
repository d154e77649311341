// SPDX-License-Identifier: Apache-2.0
/* One `roomwire up` and what its operator sees of it: lines, processes, metrics, logs, its end. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { sign } from './tokens.mjs';
import { alive, descendants, hasEnded, scratch, signal, startChild, stopChild } from './children.mjs';
import { BIN, REPO } from './paths.mjs';
import { Hopeless, waitFor } from './wait.mjs';

const READY = /^roomwire: ready on (http:\S+)$/m;
const API = /^roomwire: api (http:\S+)$/m;
const OPS = /^roomwire: ops (\S+) (\d+) (http:\S+)$/gm;
const SANITIZER = /ERROR: AddressSanitizer|ERROR: LeakSanitizer|runtime error:|ThreadSanitizer:/;
const running = new Set();

export class Roomwire {
	#child = null;
	#stdout = '';
	#stderr = '';
	#seen = new Set();

	/*
	 * profile  name of a profile, or config: path of a file
	 * env      settings and addresses; JWT_SECRET and API_KEY are made up unless given (null unsets)
	 * edges, auths, routers, ingests  how many of each, where not one
	 * args     more arguments of `up`
	 */
	constructor({ profile, config, env = {}, args = [], ...counts }) {
		this.secret = randomBytes(24).toString('hex');
		this.apiKey = randomBytes(24).toString('hex');
		this.args = ['up', ...(config ? ['--config', config] : ['--profile', profile]), ...args];
		for (const [kind, count] of Object.entries(counts))
			this.args.push(`--${kind}`, String(count));
		this.env = { ...cleanEnv(), JWT_SECRET: this.secret, API_KEY: this.apiKey, PORT: '0', DRAIN_SECONDS: '5', ...env };
		for (const [name, value] of Object.entries(this.env)) {
			if (value === null)
				delete this.env[name];
		}
	}

	async start() {
		running.add(this);
		this.#child = startChild(join(BIN, 'roomwire'), this.args, {
			env: this.env,
			cwd: REPO,
			onOutput: (text) => { this.#stdout += text; },
			onError: (text) => { this.#stderr += text; },
		});
		const ready = () => {
			if (hasEnded(this.#child))
				throw new Hopeless(`roomwire up ended with ${this.#child.exitCode}`);
			return READY.test(this.#stdout) && API.test(this.#stdout);
		};
		try {
			await waitFor(ready, { what: 'the ready line of roomwire up', deadlineMs: 40_000 });
		} catch (error) {
			throw new Error(`${error.message}\n${this.logs()}`);
		}
		this.url = this.#stdout.match(READY)[1];
		this.apiUrl = this.#stdout.match(API)[1];
		this.#note();
		return this;
	}

	get pid() {
		return this.#child.pid;
	}

	/* What it printed on standard output so far. */
	get printed() {
		return this.#stdout;
	}

	/* {name: {kind, pid, opsUrl}} of every process, as the latest line about it said. */
	get processes() {
		const found = {};
		for (const [, name, pid, opsUrl] of this.#stdout.matchAll(OPS))
			found[name] = { kind: name.replace(/-\d+$/, ''), pid: Number(pid), opsUrl };
		return found;
	}

	/* The process of this kind (the first one, where there are several). */
	process(kind) {
		const found = Object.values(this.processes).find((one) => one.kind === kind);
		assert.ok(found, `an ops line for ${kind} among: ${Object.keys(this.processes).join(' ')}`);
		return found;
	}

	/* {name: pid} of every process, but for those of one kind. */
	pids({ but } = {}) {
		const rows = Object.entries(this.processes).filter(([, { kind }]) => kind !== but);
		return Object.fromEntries(rows.map(([name, { pid }]) => [name, pid]));
	}

	kill(kind, name = 'SIGKILL') {
		this.#note();
		assert.ok(signal(this.process(kind).pid, name), `${kind} is there to get ${name}`);
	}

	/* Kills a process and returns when another one with a new pid stands in and is ready. */
	async killAndWait(kind, name = 'SIGKILL') {
		const { pid } = this.process(kind);
		this.kill(kind, name);
		await this.waitRestart(kind, pid);
	}

	async waitRestart(kind, oldPid) {
		const started = () => this.process(kind).pid !== oldPid;
		await waitFor(started, { what: `an ops line with a new pid for ${kind}`, deadlineMs: 40_000 });
		const healthy = async () => (await this.ops(kind, '/healthz')).status === 200;
		await waitFor(healthy, { what: `/healthz of the restarted ${kind}` });
		this.#note();
	}

	/* One request to a process's operations port: {status, text, json}. */
	async ops(kind, path) {
		const response = await fetch(this.process(kind).opsUrl + path, { signal: AbortSignal.timeout(10_000) });
		const text = await response.text();
		return { status: response.status, text, json: text.startsWith('{') ? JSON.parse(text) : null };
	}

	/* Prometheus text as a map from the series (name and labels, as written) to its value. */
	async metrics(kind) {
		const { text } = await this.ops(kind, '/metrics');
		const rows = text.split('\n').filter((line) => line && !line.startsWith('#'));
		return new Map(rows.map((row) => [row.slice(0, row.lastIndexOf(' ')), Number(row.slice(row.lastIndexOf(' ') + 1))]));
	}

	/* The sum of a metric over its labels. */
	async metric(kind, name) {
		const series = [...await this.metrics(kind)].filter(([key]) => key === name || key.startsWith(`${name}{`));
		assert.ok(series.length, `metric ${name} of ${kind}`);
		return series.reduce((sum, [, value]) => sum + value, 0);
	}

	/* Waits until /readyz of the process names the component as failing (or, for null, is ready). */
	waitReady(kind, failing = null) {
		return waitFor(async () => {
			const { status, json } = await this.ops(kind, '/readyz');
			if (failing === null)
				return status === 200;
			return status === 503 && json.ready === false && json.failing.some((row) => row.component === failing);
		}, { what: `/readyz of ${kind} to ${failing ? `name ${failing}` : 'be 200'}`, deadlineMs: 40_000 });
	}

	/* One call to the publishing API: {status, json, text}. */
	async api(path, body, { key = this.apiKey, raw = false, headers = {}, method = 'POST' } = {}) {
		const response = await fetch(this.apiUrl + path, {
			method,
			headers: { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }), ...headers },
			body: raw ? body : JSON.stringify(body),
			signal: AbortSignal.timeout(40_000),
		});
		const text = await response.text();
		return { status: response.status, text, json: text.startsWith('{') ? JSON.parse(text) : null };
	}

	/* Publishes and checks that it was accepted; returns the id. */
	async publish(message) {
		const { status, text, json } = await this.api('/v1/publish', message);
		assert.equal(status, 202, `publish is accepted: ${text}`);
		return json.id;
	}

	token(claims, options) {
		return sign(claims, this.secret, options);
	}

	logs(lines = 80) {
		const tail = this.#stderr.split('\n').slice(-lines).join('\n');
		return `--- ${this.args.join(' ')}: standard output\n${this.#stdout}--- log, last lines\n${tail}`;
	}

	/* Everything logged so far. */
	get log() {
		return this.#stderr;
	}

	/* Ends it as an operator does: exit code 0, no process left, no sanitizer report. */
	async stop(name = 'SIGTERM') {
		const { code, signal: killed } = await this.#end(name);
		const report = this.#stderr.split('\n').find((line) => SANITIZER.test(line));
		assert.equal(report, undefined, `no sanitizer report\n${this.logs()}`);
		assert.equal(code, 0, `roomwire up exits 0 (signal ${killed})\n${this.logs()}`);
	}

	/* Kills `up` itself; its processes end by themselves. */
	async killSupervisor() {
		await this.#end('SIGKILL');
	}

	async #end(name) {
		if (!this.#child)
			return { code: 0 };
		this.#note();
		const child = this.#child;
		this.#child = null;
		const end = await stopChild(child, { with: name, deadlineMs: 40_000, what: 'roomwire up' });
		running.delete(this);
		const left = () => [...this.#seen].filter(alive);
		try {
			await waitFor(() => left().length === 0, { what: `processes ${left()} to be gone after roomwire up`, deadlineMs: 40_000 });
		} finally {
			for (const pid of left())
				signal(pid, 'SIGKILL');
		}
		return end;
	}

	#note() {
		for (const pid of [...Object.values(this.pids()), ...descendants(this.#child.pid)])
			this.#seen.add(pid);
	}
}

/* What a process may know of this machine: nothing but where programs are, and how sanitizers report, and what faults are wanted (bus_fault.h). */
export function cleanEnv() {
	const env = { PATH: process.env.PATH, HOME: scratch('home'), TMPDIR: scratch('tmp') };
	for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS', 'TSAN_OPTIONS', 'ROOMWIRE_FAULTS']) {
		if (process.env[name])
			env[name] = process.env[name];
	}
	return env;
}

/* The logs of every instance that is up, for a test that failed. */
export function runningLogs() {
	return [...running].map((one) => one.logs()).join('\n');
}
