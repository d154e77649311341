// SPDX-License-Identifier: Apache-2.0
/* A real PostgreSQL on a private port and folder; one per run, and one of its own for a test that stops it. */
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { descendants, freePorts, hasEnded, runChild, scratch, signal, startChild, stopChild } from './children.mjs';
import { REPO } from './paths.mjs';
import { Hopeless, waitFor } from './wait.mjs';

const DEBIAN = '/usr/lib/postgresql';
const USER = 'roomwire';

function binFolder() {
	const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => b - a) : [];
	if (!versions.length)
		throw new Error(`no PostgreSQL below ${DEBIAN}: apt-get install postgresql`);
	return join(DEBIAN, versions[0], 'bin');
}

/* initdb and postgres refuse to run as root; Debian's package makes the user postgres. */
function serverUser() {
	if (process.getuid() !== 0)
		return null;
	const row = readFileSync('/etc/passwd', 'utf8').split('\n').find((line) => line.startsWith('postgres:'));
	const [name, , uid, gid] = (row ?? 'nobody:x:65534:65534').split(':');
	return { name, uid: Number(uid), gid: Number(gid) };
}

export class Postgres {
	#child = null;
	#output = '';
	#databases = 0;

	constructor({ port, password, folder = null }) {
		this.port = port;
		this.password = password;
		this.folder = folder;
	}

	/* An instance of its own, running. */
	static async create() {
		const [port] = await freePorts(1);
		const server = new Postgres({ port, password: randomBytes(12).toString('hex'), folder: scratch('postgres') });
		const user = serverUser();
		const secret = join(server.folder, 'password');
		writeFileSync(secret, server.password);
		if (user) {
			chownSync(server.folder, user.uid, user.gid);
			chownSync(secret, user.uid, user.gid);
		}
		chmodSync(server.folder, 0o700);
		server.user = user?.name;
		const made = await runChild(join(binFolder(), 'initdb'), [
			'-D', join(server.folder, 'data'), '-U', USER, '--pwfile', secret, '-A', 'scram-sha-256',
			'-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions',
		], { user: server.user, cwd: '/', deadlineMs: 60_000 });
		if (made.code !== 0)
			throw new Error(`initdb failed: ${made.stderr}`);
		await server.start();
		return server;
	}

	async start() {
		this.#child = startChild(join(binFolder(), 'postgres'), [
			'-D', join(this.folder, 'data'), '-p', String(this.port), '-c', 'listen_addresses=127.0.0.1',
			'-c', 'unix_socket_directories=', '-c', 'fsync=off', '-c', 'full_page_writes=off',
			'-c', 'max_connections=200', '-c', 'shared_buffers=16MB',
		], { user: this.user, cwd: '/', deathSignal: 'INT', onOutput: (text) => { this.#output += text; } });
		const answers = async () => {
			if (hasEnded(this.#child))
				throw new Hopeless(`postgres ended: ${this.#output.slice(-2000)}`);
			return this.query('postgres', 'select 1');
		};
		await waitFor(answers, { what: `PostgreSQL on port ${this.port}`, deadlineMs: 60_000 });
	}

	/* Fast shutdown: open connections are closed, the port refuses new ones. */
	async stop() {
		if (this.#child)
			await stopChild(this.#child, { with: 'SIGINT', what: 'PostgreSQL' });
		this.#child = null;
	}

	/* Freezes the whole server: connections stay open and nothing answers. */
	pause() {
		this.#signalAll('SIGSTOP');
	}

	resume() {
		this.#signalAll('SIGCONT');
	}

	#signalAll(name) {
		for (const pid of [this.#child.pid, ...descendants(this.#child.pid)])
			signal(pid, name);
	}

	urlOf(database) {
		return `postgres://${USER}:${this.password}@127.0.0.1:${this.port}/${database}`;
	}

	async query(database, text, values) {
		const client = new pg.Client({ connectionString: this.urlOf(database), connectionTimeoutMillis: 5000 });
		client.on('error', () => {});
		await client.connect();
		try {
			return (await client.query(text, values)).rows;
		} finally {
			await client.end();
		}
	}

	/* A database with the tables of profiles/NAME.sql; {url, query(text, values)}. */
	async createDatabase(profile) {
		const name = `${profile}_${process.pid}_${++this.#databases}`;
		await this.query('postgres', `create database ${name}`);
		await this.query(name, readFileSync(join(REPO, 'profiles', `${profile}.sql`), 'utf8'));
		return { url: this.urlOf(name), query: (text, values) => this.query(name, text, values) };
	}
}

const SHARED = 'ROOMWIRE_TEST_POSTGRES';
let shared = null;

/* The run's instance: the runner's if there is one, else this test file's. */
export function sharedPostgres() {
	shared ??= process.env[SHARED] ? new Postgres(JSON.parse(process.env[SHARED])) : Postgres.create();
	return shared;
}

export async function postgresForChildren() {
	const { port, password } = await sharedPostgres();
	return { [SHARED]: JSON.stringify({ port, password }) };
}

export async function stopSharedPostgres() {
	await (await shared)?.stop();
	shared = null;
}
