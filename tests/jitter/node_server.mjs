// SPDX-License-Identifier: Apache-2.0
/*
 * Socket.IO on Node with its connection state recovery on, in the room for it that its documentation gives, and the
 * least that the test needs of Roomwire's calls: room:join, and POST /v1/publish on the same port. One process: with its
 * in-memory adapter a session can be recovered by no other.
 *
 * JWT_SECRET, API_KEY and PORT (default: any) by environment. Prints `node: ready on http://127.0.0.1:PORT`; ends on SIGTERM.
 */
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(new URL('../bench/package.json', import.meta.url));
const { Server } = require('socket.io');
const jwt = require('jsonwebtoken');

const { JWT_SECRET, API_KEY, PORT = '0' } = process.env;
const WINDOW_MS = 120_000;

const http = createServer(async (request, response) => {
	if (request.url !== '/v1/publish' || request.headers.authorization !== `Bearer ${API_KEY}`) {
		response.writeHead(request.url === '/v1/publish' ? 401 : 404).end();
		return;
	}
	let text = '';
	for await (const piece of request)
		text += piece;
	const { rooms, event, data, id } = JSON.parse(text);
	io.to(rooms).emit(event, data);
	response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify({ id }));
});
const io = new Server(http, { connectionStateRecovery: { maxDisconnectionDuration: WINDOW_MS } });

io.use((socket, next) => {
	try {
		jwt.verify(socket.handshake.auth.token, JWT_SECRET, { algorithms: ['HS256'] });
		next();
	} catch {
		next(new Error('AUTH_TOKEN_INVALID'));
	}
});

io.on('connection', (socket) => {
	socket.on('room:join', ({ room }, ack) => {
		socket.join(room);
		ack({ ok: true });
	});
});

http.listen({ port: Number(PORT), host: '127.0.0.1', backlog: 4096 }, () => {
	process.stdout.write(`node: ready on http://127.0.0.1:${http.address().port}\n`);
});
