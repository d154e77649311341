// SPDX-License-Identifier: Apache-2.0
/*
 * A real Socket.IO server on Node with @socket.io/redis-adapter, and @socket.io/redis-emitter, on a Redis that Roomwire uses, too.
 *
 *   const node = await NodeServer.start(redis.url, { namespaces: ['/', '/second'] });
 *   node.url; node.io.to('a').emit('x', 1);                   // its clients join rooms by 'room:join' {room}
 *   await node.io.of('/').adapter.serverCount();
 *   const backend = await emitter(redis.url); backend.to('a').emit('x', 1); await backend.close();
 */
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createAdapter } from '@socket.io/redis-adapter';
import { Emitter } from '@socket.io/redis-emitter';
import { createClient } from 'redis';
import { Server } from 'socket.io';

async function dialRedis(url) {
	const client = createClient({ url, socket: { reconnectStrategy: 100 } });
	client.on('error', () => {}); /* it comes back */
	await client.connect();
	return client;
}

/* Behind what it still has to say; at once where nobody listens. */
const leave = (client) => (client.isReady ? client.quit() : client.disconnect());

export class NodeServer {
	static async start(redisUrl, { namespaces = ['/'], ...adapter } = {}) {
		const node = new NodeServer();
		node.clients = [await dialRedis(redisUrl), await dialRedis(redisUrl)];
		node.http = createServer();
		node.io = new Server(node.http, { adapter: createAdapter(...node.clients, { requestsTimeout: 2000, ...adapter }) });
		for (const nsp of namespaces)
			node.io.of(nsp).on('connection', serve);
		node.http.listen(0, '127.0.0.1');
		await once(node.http, 'listening');
		node.url = `http://127.0.0.1:${node.http.address().port}`;
		return node;
	}

	async stop() {
		await this.io.close();
		await Promise.allSettled(this.clients.map(leave));
	}
}

function serve(socket) {
	socket.on('room:join', ({ room }, ack) => {
		socket.join(room);
		ack({ ok: true });
	});
	socket.on('room:send', (message, ...more) => {
		socket.to(message.room).emit('room:msg', message, ...more);
	});
}

/* The emitter of a backend that is no Socket.IO server; close() ends its connection. */
export async function emitter(redisUrl, options, nsp = '/') {
	const client = await dialRedis(redisUrl);
	const made = new Emitter(client, options, nsp);
	made.close = () => leave(client);
	return made;
}
