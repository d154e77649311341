// SPDX-License-Identifier: Apache-2.0
/*
 * Child processes and scratch folders that never outlive the tests: every child is stopped by its
 * pid, a killed parent takes its children along (parent-death signal), and an exit of this process
 * for whatever reason ends the whole process trees and removes the folders.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './wait.mjs';

const PIPES_MS = 2000; /* what an ended child has written is read by then */

const children = new Set();
let scratchRoot = null;

function statOf(pid) {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
		const [state, parent] = text.slice(text.lastIndexOf(')') + 2).split(' ');
		return { state, parent: Number(parent) };
	} catch {
		return null;
	}
}

/* Running or stopped; a zombie that nobody has waited for yet counts as gone. */
export function alive(pid) {
	const stat = statOf(pid);
	return stat !== null && stat.state !== 'Z' && stat.state !== 'X';
}

/* The pids of every process below this one. */
export function descendants(pid) {
	const parents = new Map();
	for (const name of readdirSync('/proc')) {
		if (/^\d+$/.test(name))
			parents.set(Number(name), statOf(name)?.parent);
	}
	const found = [pid];
	for (const one of found) {
		for (const [child, parent] of parents) {
			if (parent === one && !found.includes(child))
				found.push(child);
		}
	}
	return found.slice(1);
}

export function signal(pid, name) {
	try {
		return process.kill(pid, name);
	} catch (error) {
		if (error.code === 'ESRCH')
			return false;
		throw error;
	}
}

/*
 * Spawns a child; `user` runs it as that user (only root can), `onOutput(text)` gets what it prints.
 * The child has `exited`, a promise of {code, signal}.
 */
export function startChild(command, args, { env, cwd, user, deathSignal = 'TERM', onOutput, onError } = {}) {
	const wrap = ['--pdeathsig', deathSignal];
	if (user)
		wrap.push(`--reuid=${user}`, `--regid=${user}`, '--clear-groups');
	const child = spawn('setpriv', [...wrap, '--', command, ...args], {
		env, cwd, stdio: ['ignore', 'pipe', 'pipe'],
	});
	children.add(child);
	child.exited = new Promise((resolve) => {
		child.once('error', (error) => resolve({ code: null, signal: null, error }));
		child.once('close', (code, name) => resolve({ code, signal: name }));
		/* a grandchild that holds the pipes open must not hold up the tests */
		child.once('exit', (code, name) => setTimeout(resolve, PIPES_MS, { code, signal: name }).unref());
	});
	child.exited.then(() => children.delete(child));
	for (const [stream, take] of [[child.stdout, onOutput], [child.stderr, onError ?? onOutput]]) {
		stream.setEncoding('utf8');
		stream.on('data', (text) => take?.(text));
	}
	return child;
}

/* Runs a child to its end; returns {code, stdout, stderr}. */
export async function runChild(command, args, { deadlineMs = 30_000, ...options } = {}) {
	let stdout = '';
	let stderr = '';
	const child = startChild(command, args, {
		...options,
		onOutput: (text) => { stdout += text; },
		onError: (text) => { stderr += text; },
	});
	const { code, error } = await endOf(child, `${command} ${args.join(' ')} to end`, deadlineMs);
	if (error)
		throw error;
	return { code, stdout, stderr };
}

/* Exited, killed, or never started. */
export function hasEnded(child) {
	return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

async function endOf(child, what, deadlineMs) {
	await waitFor(() => hasEnded(child), { what, deadlineMs });
	return child.exited;
}

/* Asks a child to end, kills its tree when it does not, and returns its {code, signal}. */
export async function stopChild(child, { with: name = 'SIGTERM', deadlineMs = 20_000, what = 'a child' } = {}) {
	if (!children.has(child))
		return child.exited;
	signal(child.pid, name);
	try {
		return await endOf(child, `${what} to end after ${name}`, deadlineMs);
	} catch (error) {
		killTree(child.pid);
		throw error;
	}
}

function killTree(pid) {
	for (const one of [pid, ...descendants(pid)])
		signal(one, 'SIGKILL');
}

/* A new folder below this process's own one, which is removed on exit. */
export function scratch(name) {
	if (!scratchRoot) {
		const inRun = process.env.ROOMWIRE_TEST_DIR; /* short names below it: socket paths are limited */
		scratchRoot = folderForAll(inRun ? join(inRun, 'f-') : join(tmpdir(), 'roomwire-test-'));
	}
	return folderForAll(join(scratchRoot, `${name}-`));
}

/* Servers that run as users of their own pass through it. */
function folderForAll(prefix) {
	const folder = mkdtempSync(prefix);
	chmodSync(folder, 0o711);
	return folder;
}

const PORTS = { from: 10_000, to: 32_000 }; /* below those that the kernel gives to outgoing connections, which would take them from us */
const given = new Set();

/* Nobody listens on it, and no other test of this run was given it. */
async function claimPort(port) {
	if (given.has(port))
		return false;
	const server = createServer();
	const free = await new Promise((resolve) => {
		server.once('error', () => resolve(false));
		server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
	});
	if (!free)
		return false;
	if (process.env.ROOMWIRE_TEST_DIR) {
		try {
			writeFileSync(join(process.env.ROOMWIRE_TEST_DIR, `port-${port}`), '', { flag: 'wx' });
		} catch (error) {
			if (error.code === 'EEXIST')
				return false;
			throw error;
		}
	}
	given.add(port);
	return true;
}

/* As many ports as asked for that nobody listened on a moment ago. */
export async function freePorts(count) {
	const ports = [];
	while (ports.length < count) {
		const port = randomInt(PORTS.from, PORTS.to);
		if (await claimPort(port))
			ports.push(port);
	}
	return ports;
}

process.on('exit', () => {
	for (const child of children) {
		if (child.pid)
			killTree(child.pid);
	}
	if (scratchRoot)
		rmSync(scratchRoot, { recursive: true, force: true, maxRetries: 5 });
});
for (const [name, number] of [['SIGINT', 2], ['SIGTERM', 15]])
	process.on(name, () => process.exit(128 + number));
