// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP relay before a router. All processes reach the router by this one address (it decides which rooms the router has); which of them a
 * connection belongs to is read in its ZeroMQ handshake: the peer's identity is "INSTANCE/16 hex digits". The connections of each can be
 *   cut      closed, and new ones, too
 *   stalled  nothing passes, and nothing is lost: in both directions, or in one
 *   dropped  closed, new ones are made at once
 * until they are healed; then everything passes again, or so many bytes from the router and no more (healFor).
 */
import { connect, createServer } from 'node:net';

const IDENTITY = /([A-Za-z0-9-]{1,64})\/[0-9a-f]{16}/;
const HANDSHAKE_BYTES = 4096;

export class TcpProxy {
	#server;
	#pairs = new Set();
	#rules = new Map();

	static async open(targetPort) {
		const proxy = new TcpProxy();
		proxy.#server = createServer((client) => proxy.#relay(client, connect(targetPort, '127.0.0.1')));
		await new Promise((resolve, reject) => {
			proxy.#server.once('error', reject);
			proxy.#server.listen(0, '127.0.0.1', resolve);
		});
		proxy.endpoint = `tcp://127.0.0.1:${proxy.#server.address().port}`;
		return proxy;
	}

	/* What can be done to the connections of one process. */
	of(name) {
		const rule = this.#ruleOf(name);
		return {
			cut: () => {
				rule.cut = true;
				this.#drop(name);
			},
			drop: () => this.#drop(name),
			stall: (direction) => {
				rule.stalled = new Set(direction ? [direction] : ['toRouter', 'fromRouter']);
				this.#flow(name);
			},
			heal: () => this.#heal(name, Infinity),
			healFor: (bytes) => this.#heal(name, bytes),
		};
	}

	/* Whether something is held back now. */
	stalls(name) {
		return this.#ruleOf(name).stalled.size > 0;
	}

	heal() {
		for (const name of this.#rules.keys())
			this.#heal(name, Infinity);
	}

	close() {
		for (const pair of this.#pairs)
			this.#end(pair);
		this.#server.close();
	}

	#heal(name, allowance) {
		Object.assign(this.#ruleOf(name), { cut: false, stalled: new Set(), allowance });
		this.#flow(name);
	}

	#ruleOf(name) {
		if (!this.#rules.has(name))
			this.#rules.set(name, { cut: false, stalled: new Set(), allowance: Infinity });
		return this.#rules.get(name);
	}

	#relay(client, target) {
		const pair = { client, target, name: null, said: '' };
		this.#pairs.add(pair);
		client.on('data', (bytes) => {
			if (pair.name === null && !this.#identify(pair, bytes))
				return;
			this.#pass(pair, client, target, bytes, 'toRouter');
		});
		target.on('data', (bytes) => this.#pass(pair, target, client, bytes, 'fromRouter'));
		for (const socket of [client, target]) {
			socket.setNoDelay(true);
			socket.on('error', () => {});
			socket.on('close', () => this.#end(pair));
		}
	}

	/* False: it is to be cut, and the router is not to hear of it. */
	#identify(pair, bytes) {
		pair.said = (pair.said + bytes.toString('latin1')).slice(-HANDSHAKE_BYTES);
		pair.name = IDENTITY.exec(pair.said)?.[1] ?? null;
		if (pair.name === null || !this.#ruleOf(pair.name).cut)
			return true;
		this.#end(pair);
		return false;
	}

	#pass(pair, from, to, bytes, direction) {
		if (to.destroyed)
			return;
		const rule = this.#ruleOf(pair.name);
		if (direction === 'fromRouter' && (rule.allowance -= bytes.length) <= 0)
			rule.stalled.add('fromRouter');
		to.write(bytes);
		if (to.writableNeedDrain)
			to.once('drain', () => this.#resume(pair, from, direction));
		if (to.writableNeedDrain || this.#isStalled(pair, direction))
			from.pause();
	}

	#isStalled(pair, direction) {
		return pair.name !== null && this.#ruleOf(pair.name).stalled.has(direction);
	}

	#resume(pair, from, direction) {
		if (this.#isStalled(pair, direction))
			from.pause();
		else
			from.resume();
	}

	#flow(name) {
		for (const pair of this.#pairs) {
			if (pair.name !== name)
				continue;
			this.#resume(pair, pair.client, 'toRouter');
			this.#resume(pair, pair.target, 'fromRouter');
		}
	}

	#drop(name) {
		for (const pair of this.#pairs) {
			if (pair.name === name)
				this.#end(pair);
		}
	}

	#end(pair) {
		this.#pairs.delete(pair);
		pair.client.destroy();
		pair.target.destroy();
	}
}
