// SPDX-License-Identifier: Apache-2.0
/*
 * The bad network: one port on 127.0.0.1 for each client, forwarded to the server. Every so often all connections of
 * a client are reset, towards both sides, and for a while its new ones are accepted and reset at once. When this
 * happens to whom is decided by the seed alone. With half-open cuts the server's side is left standing, as when a
 * phone changes networks: what the server writes goes nowhere and nobody tells it.
 */
import { connect, createServer } from 'node:net';
import { serve } from './helper.mjs';
import { seeded } from './random.mjs';

const BACKLOG = 64;
const spread = (mean, random) => mean * (0.5 + random());

class Link {
	cuts = 0;
	connectionsCut = 0;
	connectionsRefused = 0;
	#barred = false;
	#timer = null;
	#pairs = new Set();
	#ghosts = new Set(); /* ends towards the server that it has not been told about */
	#target;
	#options;
	#random;

	constructor(target, options, index) {
		this.#target = target;
		this.#options = options;
		this.#random = seeded(options.seed, index);
	}

	listen() {
		return new Promise((resolve, reject) => {
			const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
			server.once('error', reject);
			server.listen({ host: '127.0.0.1', port: 0, backlog: BACKLOG }, () => resolve(server.address().port));
		});
	}

	/* The first cut comes at any time within the usual distance, so that cuts are spread from the start. */
	startCuts() {
		this.#timer = setTimeout(() => this.#cut(), this.#options.cutEveryMs * this.#random());
	}

	stopCuts() {
		clearTimeout(this.#timer);
		this.#barred = false;
	}

	#cut() {
		const half = this.#random() < this.#options.halfOpen;
		this.cuts++;
		this.#barred = true;
		for (const ghost of this.#ghosts)
			ghost.resetAndDestroy();
		this.#ghosts.clear();
		for (const { client, server } of this.#pairs) {
			this.connectionsCut++;
			if (half)
				this.#forget(client, server);
			else
				server.resetAndDestroy();
			client.resetAndDestroy();
		}
		this.#pairs.clear();
		this.#timer = setTimeout(() => this.#mend(), spread(this.#options.cutForMs, this.#random));
	}

	#mend() {
		this.#barred = false;
		this.#timer = setTimeout(() => this.#cut(), spread(this.#options.cutEveryMs, this.#random));
	}

	#forget(client, server) {
		client.unpipe(server);
		server.unpipe(client);
		server.resume();
		this.#ghosts.add(server);
		server.once('close', () => this.#ghosts.delete(server));
	}

	#accept(client) {
		client.on('error', () => {});
		if (this.#barred) {
			this.connectionsRefused++;
			client.resetAndDestroy();
			return;
		}
		const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
		const pair = { client, server };
		this.#pairs.add(pair);
		server.on('error', () => {});
		for (const [one, other] of [[client, server], [server, client]]) {
			one.pipe(other);
			one.on('close', (failed) => {
				/* of a pair that was cut, each end is seen to by the cut */
				if (this.#pairs.delete(pair) && failed)
					other.resetAndDestroy();
			});
		}
	}
}

let links = [];

serve({
	/* → the port of each client */
	listen({ target, clients, options }) {
		links = Array.from({ length: clients }, (_, index) => new Link(target, options, index));
		return Promise.all(links.map((link) => link.listen()));
	},
	startCuts() {
		for (const link of links)
			link.startCuts();
	},
	/* → what was done */
	stopCuts() {
		const sum = { cuts: 0, connectionsCut: 0, connectionsRefused: 0 };
		for (const link of links) {
			link.stopCuts();
			for (const name of Object.keys(sum))
				sum[name] += link[name];
		}
		return sum;
	},
});
