// SPDX-License-Identifier: Apache-2.0
/*
 * The bench profile on Socket.IO for Node, written as its documentation writes such a server: token checked in a
 * middleware, two events. WebSockets by ws, as socket.io brings it; no compression (its default).
 *
 * node node_server.mjs [--recovery]   with connectionStateRecovery; JWT_SECRET and PORT (default 0) by environment
 * Prints `node: ready on http://127.0.0.1:PORT PID` and ends when its standard input does.
 */
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import jwt from 'jsonwebtoken';
import { Server } from 'socket.io';

const { values } = parseArgs({ options: { recovery: { type: 'boolean', default: false } } });
const secret = process.env.JWT_SECRET;
if (!secret) {
	process.stderr.write('node_server: JWT_SECRET is not set; set it to what the tokens are signed with\n');
	process.exit(2);
}

const http = createServer();
const io = new Server(http, values.recovery ? { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } } : {});

io.use((socket, next) => {
	try {
		socket.data.user = jwt.verify(socket.handshake.auth.token, secret, { algorithms: ['HS256'] }).sub;
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
	socket.on('room:send', (message) => {
		if (socket.rooms.has(message.room))
			socket.to(message.room).emit('room:msg', message);
	});
});

http.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1', backlog: 4096 }, () => {
	process.stdout.write(`node: ready on http://127.0.0.1:${http.address().port} ${process.pid}\n`);
});
process.stdin.on('end', () => process.exit(0)).resume();
