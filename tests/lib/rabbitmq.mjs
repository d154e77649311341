// SPDX-License-Identifier: Apache-2.0
/*
 * A real RabbitMQ (Debian's rabbitmq-server) as a plain process with folders, ports and a port mapper
 * (epmd) of its own. Names of exchanges and queues are fixed by the profiles, so tests that share one
 * broker each get a virtual host.
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import amqp from 'amqplib';
import { descendants, freePorts, hasEnded, runChild, scratch, signal, startChild, stopChild } from './children.mjs';
import { Hopeless, Inbox, waitFor, within } from './wait.mjs';

const DEBIAN = '/usr/lib/rabbitmq/lib';
const USER = 'roomwire';

function sbin(script) {
	const releases = existsSync(DEBIAN) ? readdirSync(DEBIAN).filter((name) => name.startsWith('rabbitmq_server-')) : [];
	if (!releases.length)
		throw new Error(`no RabbitMQ below ${DEBIAN}: apt-get install rabbitmq-server`);
	return join(DEBIAN, releases.sort().at(-1), 'sbin', script);
}

export class RabbitMq {
	#broker = null;
	#epmd = null;
	#output = '';

	constructor({ folder, port, distPort, epmdPort, password }) {
		Object.assign(this, { folder, port, distPort, epmdPort, password });
		this.node = `roomwire${port}@localhost`;
	}

	/* An instance of its own, running. */
	static async create() {
		const [port, distPort, epmdPort] = await freePorts(3);
		const password = randomBytes(12).toString('hex');
		const server = new RabbitMq({ folder: scratch('rabbitmq'), port, distPort, epmdPort, password });
		for (const name of ['mnesia', 'log', 'config'])
			mkdirSync(join(server.folder, name));
		writeFileSync(join(server.folder, 'enabled_plugins'), '[].\n');
		writeFileSync(join(server.folder, 'rabbitmq.conf'), [
			`listeners.tcp.1 = 127.0.0.1:${port}`,
			`default_user = ${USER}`,
			`default_pass = ${server.password}`,
			'loopback_users = none',
			'log.file.level = warning',
			'disk_free_limit.absolute = 1MB',
			'',
		].join('\n'));
		await server.start();
		return server;
	}

	get #env() {
		return {
			PATH: process.env.PATH,
			HOME: this.folder,
			LANG: 'C.UTF-8',
			ERL_EPMD_PORT: String(this.epmdPort),
			ERL_EPMD_ADDRESS: '127.0.0.1',
			RABBITMQ_NODENAME: this.node,
			RABBITMQ_NODE_PORT: String(this.port),
			RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
			RABBITMQ_DIST_PORT: String(this.distPort),
			RABBITMQ_MNESIA_BASE: join(this.folder, 'mnesia'),
			RABBITMQ_LOG_BASE: join(this.folder, 'log'),
			RABBITMQ_SCHEMA_DIR: join(this.folder, 'config'),
			RABBITMQ_GENERATED_CONFIG_DIR: join(this.folder, 'config'),
			RABBITMQ_CONFIG_FILE: join(this.folder, 'rabbitmq.conf'),
			RABBITMQ_ENABLED_PLUGINS_FILE: join(this.folder, 'enabled_plugins'),
			RABBITMQ_CONF_ENV_FILE: join(this.folder, 'no-such-file'),
			/* The script then becomes the broker instead of watching over it: one pid, one signal. */
			RUNNING_UNDER_SYSTEMD: 'true',
			RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
				'-start_epmd false +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}',
		};
	}

	/* The first start makes the node's files; later ones find their queues again. */
	async start() {
		const keep = (text) => { this.#output = (this.#output + text).slice(-8000); };
		this.#epmd ??= startChild('epmd', ['-port', String(this.epmdPort), '-address', '127.0.0.1'], {
			env: { PATH: process.env.PATH }, onOutput: keep,
		});
		this.#broker = startChild(sbin('rabbitmq-server'), [], { env: this.#env, cwd: this.folder, onOutput: keep });
		const answers = async () => {
			if (hasEnded(this.#broker))
				throw new Hopeless(`rabbitmq-server ended: ${this.#output}`);
			const connection = await amqp.connect(this.urlOf('/'));
			await connection.close();
			return true;
		};
		await waitFor(answers, { what: `RabbitMQ on port ${this.port}`, deadlineMs: 120_000, everyMs: 100 });
	}

	async stop() {
		if (this.#broker)
			await stopChild(this.#broker, { deadlineMs: 40_000, what: 'RabbitMQ' });
		this.#broker = null;
	}

	/* The broker dies as in a power cut; what was durable is there after start(). */
	async kill() {
		signal(this.#broker.pid, 'SIGKILL');
		await within(this.#broker.exited, { what: 'RabbitMQ to be gone after SIGKILL' });
		this.#broker = null;
	}

	/* It stands still, and goes on: its connections stay, and nobody is told. */
	freeze() {
		for (const pid of [this.#broker.pid, ...descendants(this.#broker.pid)])
			signal(pid, 'SIGSTOP');
	}

	thaw() {
		for (const pid of [this.#broker.pid, ...descendants(this.#broker.pid)])
			signal(pid, 'SIGCONT');
	}

	/* An Erlang expression at the broker; not by rabbitmqctl, which starts an Erlang of its own each time. */
	async evaluate(expression) {
		const script = 'printf "%s\\n" "$2" | exec erl_call -h "test$$" -address "localhost:$1" -e';
		const made = await runChild('sh', ['-c', script, 'sh', String(this.distPort), expression], { env: this.#env, cwd: this.folder });
		const value = made.stdout.trim().match(/^\{ok, (.*)\}$/s)?.[1];
		if (made.code !== 0 || value === undefined)
			throw new Error(`erl_call ${expression}: ${made.stderr}${made.stdout}`);
		return value;
	}

	/* Short of memory (on), or no more. */
	alarm(on) {
		return this.evaluate(`vm_memory_monitor:set_vm_memory_high_watermark(${on ? '1.0e-6' : '0.8'}), `
			+ 'timer:sleep(100), whereis(vm_memory_monitor) ! update, ok.');
	}

	/* Everything it held is gone; virtual hosts have to be made again (restore). */
	async wipe() {
		await this.stop();
		rmSync(join(this.folder, 'mnesia'), { recursive: true, force: true });
		mkdirSync(join(this.folder, 'mnesia'));
		await this.start();
	}

	async destroy() {
		await this.stop();
		if (this.#epmd)
			await stopChild(this.#epmd, { with: 'SIGKILL', what: 'epmd' });
		this.#epmd = null;
	}

	urlOf(vhost) {
		return `amqp://${USER}:${this.password}@127.0.0.1:${this.port}/${encodeURIComponent(vhost)}`;
	}

	/* A virtual host that nobody else uses. */
	async createVhost(name = `t${randomBytes(4).toString('hex')}`) {
		await this.evaluate(
			`ok = rabbit_vhost:add(<<"${name}">>, <<"test">>), `
			+ `ok = rabbit_auth_backend_internal:set_permissions(<<"${USER}">>, <<"${name}">>, `
			+ '<<".*">>, <<".*">>, <<".*">>, <<"test">>).');
		return new Vhost(this, name);
	}
}

/* A backend's view of one virtual host: publishes with confirms, reads queues. */
export class Vhost {
	#connection = null;
	#channel = null;

	constructor(server, name) {
		this.server = server;
		this.name = name;
		this.url = server.urlOf(name);
	}

	async channel() {
		if (!this.#channel) {
			this.#connection = await amqp.connect(this.url);
			this.#connection.on('error', () => {});
			this.#connection.on('close', () => { this.#channel = null; });
			this.#channel = await this.#connection.createConfirmChannel();
			this.#channel.on('error', () => {});
		}
		return this.#channel;
	}

	/* Publishes and returns when the broker has it. Body: text as it is, or an object as JSON. */
	async publish(exchange, key, body, { messageId, headers, ...more } = {}) {
		const channel = await this.channel();
		const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
		await new Promise((resolve, reject) => {
			const done = (error) => (error ? reject(error) : resolve());
			channel.publish(exchange, key, bytes, { persistent: true, messageId, headers, ...more }, done);
		});
	}

	/* {messages, consumers} of a queue; fails if there is none. Uses a connection of its own. */
	async queue(name) {
		return this.#apart(async (channel) => {
			const { messageCount, consumerCount } = await channel.checkQueue(name);
			return { messages: messageCount, consumers: consumerCount };
		});
	}

	/* Fails unless the exchange or queue exists and is declared exactly so. */
	assertSame(kind, ...declaration) {
		return this.#apart((channel) => channel[kind](...declaration));
	}

	/* Takes what arrives on a queue into an inbox of {key, body, headers, properties}. */
	async consume(name) {
		const channel = await this.channel();
		const inbox = new Inbox(`queue ${name}`);
		await channel.consume(name, (message) => message && inbox.put({
			key: message.fields.routingKey,
			body: message.content.toString(),
			headers: message.properties.headers,
			messageId: message.properties.messageId,
		}), { noAck: true });
		return inbox;
	}

	/* A failed check closes its channel, so each gets a connection that goes with it. */
	async #apart(work) {
		const connection = await amqp.connect(this.url);
		connection.on('error', () => {});
		try {
			const channel = await connection.createChannel();
			channel.on('error', () => {});
			return await work(channel);
		} finally {
			await connection.close().catch(() => {});
		}
	}

	async close() {
		await this.#connection?.close().catch(() => {});
		this.#channel = null;
	}
}

const SHARED = 'ROOMWIRE_TEST_RABBITMQ';
let shared = null;

/* The run's instance: the runner's if there is one, else this test file's. */
export function sharedRabbitMq() {
	shared ??= process.env[SHARED] ? new RabbitMq(JSON.parse(process.env[SHARED])) : RabbitMq.create();
	return shared;
}

export async function rabbitMqForChildren() {
	const { folder, port, distPort, epmdPort, password } = await sharedRabbitMq();
	return { [SHARED]: JSON.stringify({ folder, port, distPort, epmdPort, password }) };
}

export async function stopSharedRabbitMq() {
	await (await shared)?.destroy(); /* one that belongs to the runner is left alone: it was not started here */
	shared = null;
}
