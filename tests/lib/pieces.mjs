// SPDX-License-Identifier: Apache-2.0
/*
 * Processes started one by one, as an operator without `roomwire up` does, on TCP endpoints. Between an edge (or ingest) and a router there
 * is a proxy. Has what Stream and the helpers of cluster.mjs ask of a Roomwire: processes, api(), publish(), token().
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { freePorts, hasEnded, signal, startChild, stopChild } from './children.mjs';
import { BIN, REPO } from './paths.mjs';
import { http } from './rawio.mjs';
import { cleanEnv, Roomwire } from './roomwire.mjs';
import { TcpProxy } from './tcpproxy.mjs';
import { sign } from './tokens.mjs';
import { Hopeless, waitFor } from './wait.mjs';

const local = (port) => `tcp://127.0.0.1:${port}`;

export class Pieces {
	#children = new Map();
	#logs = new Map();
	processes = {};
	proxies = {};
	urls = {};

	/* edges, routers: how many; env: settings of all; ownEnv: {name: settings of that process} */
	constructor({ profile, edges = 2, routers = 1, env = {}, ownEnv = {} }) {
		Object.assign(this, { profile, edges, routers, env, ownEnv });
		this.secret = randomBytes(24).toString('hex');
		this.apiKey = randomBytes(24).toString('hex');
	}

	async start() {
		const ports = await freePorts(4 + 2 * this.routers + 3 * this.edges);
		const take = () => ports.pop();
		this.common = { ...cleanEnv(), PROFILE: this.profile, JWT_SECRET: this.secret, API_KEY: this.apiKey, HOST: '127.0.0.1', DRAIN_SECONDS: '2' };
		const auth = local(take());
		this.#spawn('auth', 'auth', take(), { AUTH_BIND: auth });
		for (let i = 0; i < this.routers; i++) {
			const port = take();
			this.#spawn('router', `router-${i}`, take(), { ROUTER_BIND: local(port) });
			this.proxies[`router-${i}`] = await TcpProxy.open(port);
		}
		const endpoints = Object.values(this.proxies).map(({ endpoint }) => endpoint).join(',');
		Object.assign(this.common, { AUTH_ENDPOINTS: auth, ROUTER_ENDPOINTS: endpoints });
		const apiPort = take();
		this.apiUrl = `http://127.0.0.1:${apiPort}`;
		this.#spawn('ingest', 'ingest', take(), { API_PORT: String(apiPort) });
		for (let i = 0; i < this.edges; i++) {
			const port = take();
			this.urls[`edge-${i}`] = `http://127.0.0.1:${port}`;
			this.#spawn('edge', `edge-${i}`, take(), { PORT: String(port), EDGE_BIND: local(take()) });
		}
		try {
			await Promise.all(Object.keys(this.processes).map((name) => this.waitReady(name)));
		} catch (error) {
			await this.stop().catch(() => {}); /* nothing stays behind, and that it did not start is told */
			throw error;
		}
		return this;
	}

	#spawn(kind, name, opsPort, env) {
		let log = '';
		const child = startChild(join(BIN, `roomwire-${kind}`), [], {
			env: { ...this.common, INSTANCE: name, OPS_PORT: String(opsPort), ...this.env, ...env, ...this.ownEnv[name] },
			cwd: REPO,
			onOutput: (text) => { log += text; this.#logs.set(name, log); },
		});
		this.#children.set(name, child);
		this.processes[name] = { kind, pid: child.pid, opsUrl: `http://127.0.0.1:${opsPort}` };
	}

	waitReady(name) {
		return waitFor(async () => {
			if (hasEnded(this.#children.get(name)))
				throw new Hopeless(`${name} ended\n${this.#logs.get(name)}`);
			return (await http(`${this.processes[name].opsUrl}/readyz`)).status === 200;
		}, {
			what: () => `/readyz of ${name}\n${this.#logs.get(name)}`, deadlineMs: 40_000,
		});
	}

	/* The connection of an edge or ingest to a router: cut(), drop(), stall(), heal(). */
	link(from, router = 'router-0') {
		return this.proxies[router].of(from);
	}

	heal() {
		for (const proxy of Object.values(this.proxies))
			proxy.heal();
	}

	get log() {
		return [...this.#logs].map(([name, text]) => `--- ${name}\n${text.split('\n').slice(-40).join('\n')}`).join('\n');
	}

	api = Roomwire.prototype.api;
	publish = Roomwire.prototype.publish;
	token = (claims, options) => sign(claims, this.secret, options);

	async stop() {
		const codes = await Promise.all([...this.#children].map(async ([name, child]) => {
			signal(child.pid, 'SIGCONT');
			return [name, (await stopChild(child, { what: name })).code];
		}));
		for (const proxy of Object.values(this.proxies))
			proxy.close();
		assert.deepEqual(codes.filter(([, code]) => code !== 0), [], `all exit 0\n${this.log}`);
	}
}
