// SPDX-License-Identifier: Apache-2.0
/*
 * A real Apache Kafka (KRaft: broker and controller in one process, no ZooKeeper) of the jars that tests/kafka/jars.txt names, with folder
 * and ports of its own, small and quick: short sessions, no waiting at the first join. Names of topics are fixed by the profiles, so tests that share a broker
 * need profiles of their own.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { freePorts, hasEnded, runChild, scratch, signal, startChild, stopChild } from './children.mjs';
import { REPO, TESTS } from './paths.mjs';
import { Hopeless, Inbox, waitFor, within } from './wait.mjs';

const { Kafka, logLevel, Partitioners } = kafkajs;
const JARS = process.env.ROOMWIRE_KAFKA_JARS || join(REPO, 'build', 'kafka');
const JAVA = ['-Xmx192m', '-Xms64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto', '-cp', `${JARS}/*`];

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1';

/* `__consumer_offsets` has one partition, so that groups are there at once. */
function properties({ port, controllerPort, folder }, more) {
	const settings = {
		'process.roles': 'broker,controller',
		'node.id': 1,
		'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
		listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
		'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
		'controller.listener.names': 'CONTROLLER',
		'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
		'log.dirs': join(folder, 'data'),
		'num.partitions': 1,
		'num.network.threads': 2,
		'num.io.threads': 2,
		'offsets.topic.replication.factor': 1,
		'offsets.topic.num.partitions': 1,
		'transaction.state.log.replication.factor': 1,
		'transaction.state.log.min.isr': 1,
		'transaction.state.log.num.partitions': 1,
		'group.initial.rebalance.delay.ms': 0,
		'group.min.session.timeout.ms': 500,
		'log.segment.delete.delay.ms': 100,
		'file.delete.delay.ms': 100,
		'controlled.shutdown.enable': false,
		'broker.session.timeout.ms': 1000, /* a broker that comes back waits until its former life is over */
		'broker.heartbeat.interval.ms': 200,
		'log.cleaner.enable': false,
		...more,
	};
	return Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join('');
}

export class KafkaBroker {
	#broker = null;
	#output = '';
	#clients = [];

	constructor({ folder, port, controllerPort }) {
		Object.assign(this, { folder, port, controllerPort });
		this.url = `127.0.0.1:${port}`;
	}

	/* An instance of its own, running. */
	static async create(more = {}) {
		const fetched = await runChild(join(TESTS, 'kafka', 'fetch.sh'), [JARS], { env: process.env, deadlineMs: 600_000 });
		if (fetched.code !== 0)
			throw new Error(fetched.stderr);
		const [port, controllerPort] = await freePorts(2);
		const server = new KafkaBroker({ folder: scratch('kafka'), port, controllerPort });
		mkdirSync(join(server.folder, 'data'));
		writeFileSync(join(server.folder, 'server.properties'), properties(server, more));
		await server.format();
		await server.start();
		return server;
	}

	async format() {
		const args = [...JAVA, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', `--cluster-id=${randomBytes(16).toString('base64url')}`, '-c', join(this.folder, 'server.properties')];
		const { code, stdout, stderr } = await runChild('java', args, { env: this.#env, cwd: this.folder, deadlineMs: 60_000 });
		if (code !== 0)
			throw new Error(`kafka-storage format: ${stderr}${stdout}`);
	}

	get #env() {
		return { PATH: process.env.PATH, HOME: this.folder, LANG: 'C.UTF-8' };
	}

	get pid() {
		return this.#broker.pid;
	}

	/* The same port and folder each time: what was written is there again. */
	async start() {
		const keep = (text) => { this.#output = (this.#output + text).slice(-8000); };
		this.#broker = startChild('java', [...JAVA, 'kafka.Kafka', join(this.folder, 'server.properties')],
			{ env: this.#env, cwd: this.folder, onOutput: keep });
		const answers = async () => {
			if (hasEnded(this.#broker))
				throw new Hopeless(`Kafka ended: ${this.#output}`);
			const admin = this.client().admin();
			try {
				await admin.connect();
				await admin.listTopics();
			} finally {
				await admin.disconnect().catch(() => {});
			}
			return true;
		};
		await waitFor(answers, { what: `Kafka on port ${this.port}`, deadlineMs: 120_000, everyMs: 100 });
	}

	async stop() {
		if (this.#broker)
			await stopChild(this.#broker, { deadlineMs: 40_000, what: 'Kafka' });
		this.#broker = null;
	}

	/* The broker dies as in a power cut. */
	async kill() {
		signal(this.#broker.pid, 'SIGKILL');
		await within(this.#broker.exited, { what: 'Kafka to be gone after SIGKILL' });
		this.#broker = null;
	}

	async destroy() {
		for (const one of this.#clients.splice(0))
			await one.disconnect().catch(() => {});
		await this.stop();
	}

	client() {
		return new Kafka({
			clientId: 'tests', brokers: [this.url], logLevel: logLevel.NOTHING,
			connectionTimeout: 2000, requestTimeout: 10_000, retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 30 },
		});
	}

	/* Runs work(admin). */
	async admin(work) {
		const admin = this.client().admin();
		await admin.connect();
		try {
			return await work(admin);
		} finally {
			await admin.disconnect();
		}
	}

	createTopic(topic, numPartitions = 1, configEntries = []) {
		return this.admin((admin) => admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }] }));
	}

	/* A connected producer: send(topic, [{key, value, partition, headers}]); values that are no text or Buffer go as JSON. */
	async producer() {
		const producer = this.client().producer({ createPartitioner: Partitioners.DefaultPartitioner, allowAutoTopicCreation: true });
		await producer.connect();
		this.#clients.push(producer);
		const bytes = (value) => (value === null || typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
		return {
			send: (topic, records) => producer.send({ topic, acks: -1, messages: records.map((one) => ({ ...one, value: bytes(one.value) })) }),
			close: () => producer.disconnect(),
		};
	}

	/* What arrives on a topic, from its beginning, as an inbox of {key, value, headers, partition, offset}. */
	async consume(topic) {
		const consumer = this.client().consumer({ groupId: `tests-${randomBytes(4).toString('hex')}`, sessionTimeout: 6000, allowAutoTopicCreation: true, maxWaitTimeInMs: 100 });
		await consumer.connect();
		this.#clients.push(consumer);
		await consumer.subscribe({ topic, fromBeginning: true });
		const inbox = new Inbox(`topic ${topic}`);
		const texts = (headers = {}) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, value?.toString()]));
		await consumer.run({
			eachMessage: async ({ partition, message }) => inbox.put({
				key: message.key?.toString() ?? null,
				value: message.value?.toString() ?? null,
				headers: texts(message.headers),
				partition,
				offset: Number(message.offset),
			}),
		});
		return inbox;
	}

	/* What a group has committed of a topic: {partition: offset}. */
	async committed(group, topic) {
		const [{ partitions }] = await this.admin((admin) => admin.fetchOffsets({ groupId: group, topics: [topic] }));
		return Object.fromEntries(partitions.map(({ partition, offset }) => [partition, Number(offset)]));
	}
}

/* Settings of a Roomwire on it that suit tests. */
export function kafkaEnv(broker) {
	return { KAFKA_BROKER_URL: broker.url, KAFKA_SESSION_MS: '1500' };
}
