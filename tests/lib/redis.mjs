// SPDX-License-Identifier: Apache-2.0
/*
 * A real redis-server as a plain process on a private port and folder. It starts in milliseconds: a test that wants one has its own.
 *
 *   const redis = await Redis.create();                      // running; redis.url, redis.port
 *   await redis.command('HGETALL', 'presence:7');            // replies: text, number, null, arrays; an error of the server throws
 *   const inbox = await redis.subscribe('socket.io#*');      // of {channel, payload, pattern}
 *   redis.pause(); redis.resume();                           // SIGSTOP, SIGCONT
 *   await redis.kill(); await redis.start();                 // on the same port; empty, unless created with {keep: true}
 *   await redis.destroy();
 */
import { createConnection } from 'node:net';
import { freePorts, hasEnded, scratch, signal, startChild, stopChild } from './children.mjs';
import { Hopeless, Inbox, waitFor, within } from './wait.mjs';

/* What stands at `at` in RESP2 bytes: {value, next}, or null when it is not whole yet. Errors of the server are values here. */
function parse(bytes, at, binary) {
	const end = bytes.indexOf('\r\n', at);
	if (end < 0)
		return null;
	const line = bytes.toString('utf8', at + 1, end);
	const size = Number(line);
	let next = end + 2;
	switch (String.fromCharCode(bytes[at])) {
	case '+':
		return { value: line, next };
	case '-':
		return { value: new Error(line), next };
	case ':':
		return { value: size, next };
	case '$': {
		if (size < 0)
			return { value: null, next };
		if (bytes.length < next + size + 2)
			return null;
		const body = bytes.subarray(next, next + size);
		return { value: binary ? Buffer.from(body) : body.toString(), next: next + size + 2 };
	}
	case '*': {
		if (size < 0)
			return { value: null, next };
		const items = [];
		while (items.length < size) {
			const item = parse(bytes, next, binary);
			if (!item)
				return null;
			items.push(item.value);
			({ next } = item);
		}
		return { value: items, next };
	}
	default:
		throw new Error(`no RESP2: ${bytes.toString('utf8', at, at + 40)}`);
	}
}

/* One connection. With `binary`, texts are Buffers. */
export class RedisClient {
	#socket;
	#bytes = Buffer.alloc(0);
	#waiting = [];
	#closed = null;
	#tellEnd;
	ended = new Promise((resolve) => { this.#tellEnd = resolve; });

	static async connect(port, { password = '', binary = false } = {}) {
		const client = new RedisClient();
		client.binary = binary;
		client.#socket = createConnection({ host: '127.0.0.1', port, noDelay: true });
		client.#socket.on('data', (bytes) => client.#take(bytes));
		client.#socket.on('error', (error) => client.#end(error));
		client.#socket.on('close', () => client.#end(new Error('Redis closed the connection')));
		await client.command(...(password ? ['AUTH', password] : ['PING'])); /* or the reason why not */
		return client;
	}

	#take(bytes) {
		this.#bytes = Buffer.concat([this.#bytes, bytes]);
		let found;
		while ((found = parse(this.#bytes, 0, this.binary)) !== null) {
			this.#bytes = this.#bytes.subarray(found.next);
			if (this.inbox && this.#isMessage(found.value))
				continue;
			const { resolve, reject } = this.#waiting.shift();
			if (found.value instanceof Error)
				reject(found.value);
			else
				resolve(found.value);
		}
	}

	#isMessage(value) {
		const [kind, ...rest] = Array.isArray(value) ? value : [];
		if (String(kind) === 'message')
			this.inbox.put({ channel: String(rest[0]), payload: rest[1], pattern: null });
		else if (String(kind) === 'pmessage')
			this.inbox.put({ channel: String(rest[1]), payload: rest[2], pattern: String(rest[0]) });
		else
			return false;
		return true;
	}

	#end(error) {
		this.#closed ??= error;
		for (const { reject } of this.#waiting.splice(0))
			reject(error);
		this.#tellEnd();
	}

	/* Arguments: texts, numbers, Buffers. Several may be under way. */
	command(...args) {
		if (this.#closed)
			return Promise.reject(this.#closed);
		const parts = [`*${args.length}\r\n`];
		for (const arg of args) {
			const body = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
			parts.push(`$${body.length}\r\n`, body, '\r\n');
		}
		const answer = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
		this.#socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
		return within(answer, { what: `Redis to answer ${args[0]}` });
	}

	close() {
		this.#end(new Error('closed'));
		this.#socket.destroy();
	}
}

export class Redis {
	#child = null;
	#output = '';
	#client = null;
	#subscribers = new Set();

	constructor({ folder, port, password, keep, args }) {
		Object.assign(this, { folder, port, password, keep, args });
	}

	/* An instance of its own, running. keep: data outlives stop() and kill(). args: more of redis-server's own. */
	static async create({ password = '', keep = false, args = [] } = {}) {
		const [port] = await freePorts(1);
		const server = new Redis({ folder: scratch('redis'), port, password, keep, args });
		await server.start();
		return server;
	}

	get url() {
		return `redis://${this.password ? `:${encodeURIComponent(this.password)}@` : ''}127.0.0.1:${this.port}`;
	}

	get pid() {
		return this.#child?.pid;
	}

	/* First and later starts: always the same port and folder. */
	async start() {
		this.#output = '';
		this.#child = startChild('redis-server', [
			'--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--daemonize', 'no', '--save', '',
			'--appendonly', this.keep ? 'yes' : 'no', '--appendfsync', 'always', '--requirepass', this.password, ...this.args,
		], {
			env: { PATH: process.env.PATH, LANG: 'C.UTF-8' },
			cwd: this.folder,
			onOutput: (text) => { this.#output = (this.#output + text).slice(-8000); },
		});
		const answers = async () => {
			if (hasEnded(this.#child))
				throw new Hopeless(`redis-server ended (apt-get install redis-server?): ${this.#output}`);
			const client = await RedisClient.connect(this.port, this);
			try {
				return await client.command('PING') === 'PONG';
			} finally {
				client.close();
			}
		};
		await waitFor(answers, { what: `Redis on port ${this.port}` });
	}

	async stop() {
		if (!this.#child)
			return;
		this.resume(); /* a stopped process ends only when it goes on */
		await stopChild(this.#child, { what: 'Redis' });
		this.#gone();
	}

	/* Dies without a word. */
	async kill() {
		signal(this.#child.pid, 'SIGKILL');
		await within(this.#child.exited, { what: 'Redis to be gone after SIGKILL' });
		this.#gone();
	}

	/* Accepts connections and reads nothing, until resume(). */
	pause() {
		signal(this.#child.pid, 'SIGSTOP');
	}

	resume() {
		signal(this.#child.pid, 'SIGCONT');
	}

	#gone() {
		this.#child = null;
		this.#client?.then((client) => client.close(), () => {});
		this.#client = null;
		for (const client of this.#subscribers)
			client.close();
		this.#subscribers.clear();
	}

	destroy() {
		return this.stop();
	}

	/* A connection of the caller's own. */
	connect({ binary = false } = {}) {
		return RedisClient.connect(this.port, { password: this.password, binary });
	}

	/* By one connection, made anew when it is gone. */
	async command(...args) {
		this.#client ??= this.#connectForCommands();
		return (await this.#client).command(...args);
	}

	#connectForCommands() {
		const forget = () => {
			if (this.#client === mine)
				this.#client = null;
		};
		const mine = this.connect().then((client) => {
			client.ended.then(forget);
			return client;
		});
		mine.catch(forget);
		return mine;
	}

	/* Takes what is published on a channel, or on channels like a pattern with * or ?, into an inbox; until the server ends. */
	async subscribe(channel, { binary = false } = {}) {
		const client = await this.connect({ binary });
		client.inbox = new Inbox(`channel ${channel}`);
		this.#subscribers.add(client);
		await client.command(/[*?]/.test(channel) ? 'PSUBSCRIBE' : 'SUBSCRIBE', channel);
		return client.inbox;
	}
}
