// SPDX-License-Identifier: Apache-2.0
/* What is tested, Roomwire and Socket.IO on Node, each with start(), stop(), its addresses, and what can be done to it. */
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { hasEnded, signal, startChild, stopChild } from '../lib/children.mjs';
import { cleanEnv, Roomwire } from '../lib/roomwire.mjs';
import { Hopeless, waitFor } from '../lib/wait.mjs';

const RESTART_MS = 60_000; /* a drain within it */
const NODE_SERVER = fileURLToPath(new URL('node_server.mjs', import.meta.url));

export class RoomwireServer extends Roomwire {
	#options;

	constructor(options) {
		super({ profile: 'bench', env: options.env, edges: options.edges, routers: options.routers });
		this.#options = options;
	}

	/* What is done to it half-way, or null: a function of tell(what), whose promise is fulfilled when it stands again. */
	get fault() {
		const { kill, rolling } = this.#options;
		if (rolling)
			return (tell) => this.#roll(tell);
		if (kill !== 'none')
			return (tell) => this.#end(this.#names(kill)[0], 'SIGKILL', tell);
		return null;
	}

	async #roll(tell) {
		for (const name of [...this.#names('edge'), ...this.#names('router')])
			await this.#end(name, 'SIGTERM', tell);
	}

	#names(kind) {
		const names = Object.entries(this.processes).filter(([, one]) => one.kind === kind).map(([name]) => name);
		if (!names.length)
			throw new Error(`no ${kind} among ${Object.keys(this.processes).join(' ')}`);
		return names;
	}

	/* Signals one process, and returns when another stands in for it and is ready. */
	async #end(name, how, tell) {
		const { pid } = this.processes[name];
		if (!signal(pid, how))
			throw new Error(`${name} was gone before it got ${how}`);
		tell(`${how} to ${name}`);
		const ready = async () => {
			const now = this.processes[name];
			return now.pid !== pid && (await fetch(`${now.opsUrl}/readyz`, { signal: AbortSignal.timeout(3000) })).status === 200;
		};
		await waitFor(ready, { what: `another ${name} to be ready after ${how}`, deadlineMs: RESTART_MS, everyMs: 50 });
		tell(`another ${name} is ready`);
	}
}

export class NodeServer {
	secret = randomBytes(24).toString('hex');
	apiKey = randomBytes(24).toString('hex');
	#options;
	#child = null;
	#printed = '';

	constructor(options) {
		this.#options = options;
	}

	/* It is the only process: all sessions end with it. */
	get fault() {
		return this.#options.killNode ? (tell) => this.#killAndStart(tell) : null;
	}

	async start() {
		await this.#launch({});
		this.apiUrl = this.url;
	}

	async stop() {
		if (hasEnded(this.#child))
			throw new Error(`the Node server ended by itself: ${this.#printed}`);
		await stopChild(this.#child, { what: 'the Node server' });
	}

	logs() {
		return `--- the Node server\n${this.#printed}`;
	}

	async #launch(env) {
		let printed = '';
		this.#child = startChild(process.execPath, [NODE_SERVER], {
			env: { ...cleanEnv(), JWT_SECRET: this.secret, API_KEY: this.apiKey, ...env },
			onOutput: (text) => {
				printed += text;
				this.#printed += text;
			},
		});
		const ready = () => {
			if (hasEnded(this.#child))
				throw new Hopeless(`the Node server ended: ${printed}`);
			return printed.match(/^node: ready on (http:\S+)$/m)?.[1];
		};
		this.url = await waitFor(ready, { what: 'the Node server', deadlineMs: 20_000 });
	}

	async #killAndStart(tell) {
		tell('SIGKILL to the server');
		await stopChild(this.#child, { with: 'SIGKILL', what: 'the Node server' });
		await this.#launch({ PORT: new URL(this.url).port });
		tell('another one is ready');
	}
}
