// SPDX-License-Identifier: Apache-2.0
/* The servers that are measured, and how each is started, found and ended. All of them on 127.0.0.1. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, closeSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';

const HERE = dirname(fileURLToPath(import.meta.url));
export const REPO = resolve(HERE, '../..');
const START_MS = 20_000;
const STOP_MS = 15_000;

/*
 * One row per server: title for the table, program and arguments, the line that says it serves, and which
 * processes are its own. need: the file that must be there, and what makes it.
 */
export function serverTable({ bin, programs, edges }) {
	const raw = join(programs, 'rawsend');
	const node = join(HERE, 'node_server.mjs');
	const oneProcess = (child) => [{ name: 'server', pid: child.pid }];
	return {
		roomwire: {
			title: 'Roomwire',
			need: [join(bin, 'roomwire'), 'make'],
			command: [join(bin, 'roomwire'), 'up', '--profile', 'bench', ...(edges > 1 ? ['--edges', String(edges)] : [])],
			ready: /^roomwire: ready on http:\/\/[^:\s]+:(\d+)/m,
			processes: roomwireProcesses,
		},
		node: {
			title: 'Socket.IO on Node',
			need: [join(HERE, 'node_modules/socket.io/package.json'), 'npm ci --prefix tests/bench'],
			command: [process.execPath, node],
			ready: /^node: ready on http:\/\/[^:\s]+:(\d+)/m,
			processes: oneProcess,
		},
		'node-recovery': {
			title: 'Socket.IO on Node, with recovery',
			need: [join(HERE, 'node_modules/socket.io/package.json'), 'npm ci --prefix tests/bench'],
			command: [process.execPath, node, '--recovery'],
			ready: /^node: ready on http:\/\/[^:\s]+:(\d+)/m,
			processes: oneProcess,
		},
		raw: {
			title: 'bare send()',
			need: [raw, 'make bench'],
			command: [raw],
			ready: /^raw: ready on http:\/\/[^:\s]+:(\d+)/m,
			processes: oneProcess,
		},
		'raw-coalesced': {
			title: 'bare send(), coalesced',
			need: [raw, 'make bench'],
			command: [raw, '--coalesce'],
			ready: /^raw: ready on http:\/\/[^:\s]+:(\d+)/m,
			processes: oneProcess,
		},
	};
}

/* `up` itself and every process that it named in an ops line; names lose their number: edge, router, … */
function roomwireProcesses(child, printed) {
	const latest = new Map([['up', child.pid]]);
	for (const [, name, pid] of printed.matchAll(/^roomwire: ops (\S+) (\d+) http:/gm))
		latest.set(name.replace(/^roomwire-/, ''), Number(pid));
	return [...latest].map(([name, pid]) => ({ name: name.replace(/[-.#]?\d+$/, ''), pid }));
}

/* Cores: the servers on the first, the generator on the last, so that neither takes time from the other. */
export const cores = { server: 0, generator: cpus().length - 1 };

/* The command with as many descriptors as allowed, tied to a core, and ended with us whatever ends us. */
export function wrapped(command, core) {
	const limit = 'ulimit -n "$(ulimit -Hn)"; exec "$@"';
	const tie = core === null ? [] : ['taskset', '-c', String(core)];
	return ['bash', ['-c', limit, 'bash', 'setpriv', '--pdeathsig', 'TERM', ...tie, ...command]];
}

export class Server {
	#child;
	#printed = '';

	constructor(row, { secret, pin, logFile }) {
		this.row = row;
		this.secret = secret;
		this.pin = pin;
		this.logFile = logFile;
	}

	/* Returns when clients are served: {port, processes: [{name, pid}]} */
	async start() {
		const log = openSync(this.logFile, 'w', 0o600);
		const [program, args] = wrapped(this.row.command, this.pin ? cores.server : null);
		this.#child = spawn(program, args, {
			cwd: REPO,
			env: {
				PATH: process.env.PATH, HOME: process.env.HOME,
				JWT_SECRET: this.secret, PORT: '0', DRAIN_SECONDS: '1',
			},
			stdio: ['pipe', 'pipe', log],
		});
		closeSync(log);
		this.#child.stdin.on('error', () => {});
		this.#child.stdout.setEncoding('utf8').on('data', (text) => { this.#printed += text; });
		let failure = null;
		this.#child.on('error', (error) => { failure = error; });
		for (const end = Date.now() + START_MS; !this.row.ready.test(this.#printed); await sleep(20)) {
			if (failure || this.#child.exitCode !== null || Date.now() > end)
				throw new Error(`${this.row.title} did not start (${failure?.message ?? `exit ${this.#child.exitCode}`}): ${this.tail()}`);
		}
		return {
			port: Number(this.#printed.match(this.row.ready)[1]),
			processes: this.row.processes(this.#child, this.#printed),
		};
	}

	/* True if it is as it was started: nothing died or was started again meanwhile */
	unchanged(processes) {
		const now = this.row.processes(this.#child, this.#printed);
		return this.#child.exitCode === null && JSON.stringify(now) === JSON.stringify(processes);
	}

	tail() {
		const log = existsSync(this.logFile) ? readFileSync(this.logFile, 'utf8') : '';
		return `${this.#printed}${log}`.split('\n').slice(-15).join('\n');
	}

	async stop() {
		const child = this.#child;
		if (!child || child.exitCode !== null || child.pid === undefined)
			return;
		const owned = this.row.processes(child, this.#printed).map(({ pid }) => pid);
		child.kill('SIGTERM');
		for (const end = Date.now() + STOP_MS; child.exitCode === null && child.signalCode === null; await sleep(20)) {
			if (Date.now() > end) {
				for (const pid of owned)
					kill(pid);
			}
		}
	}
}

function kill(pid) {
	try {
		process.kill(pid, 'SIGKILL');
	} catch {
		/* it ended meanwhile */
	}
}
