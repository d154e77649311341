// SPDX-License-Identifier: Apache-2.0
/* Who is online and which rooms are occupied, written to a broker: once per change, in order for each, debounced, and right whatever dies. */
import assert from 'node:assert/strict';
import { connect, Roomwire, scenario, useFixture, waitFor } from './harness.mjs';
import { signal } from './lib/children.mjs';
import { total, waitReplaced } from './lib/cluster.mjs';
import { comeBack, cut, fresh, member } from './lib/comeback.mjs';
import { KafkaBroker, kafkaEnv } from './lib/kafka.mjs';
import { AGENT, EXCHANGE } from './lib/opsdesk.mjs';
import { sharedRabbitMq } from './lib/rabbitmq.mjs';
import { Redis } from './lib/redis.mjs';

const GRACE = { PRESENCE_GRACE_SECONDS: '3' }; /* time enough to come back on any machine */
const fixture = useFixture(async (things) => {
	things.broker = await KafkaBroker.create();
	things.redis = await Redis.create();
	await things.broker.createTopic('bench.presence', 2);
	things.stream = await things.broker.consume('bench.presence');
	things.rw = await new Roomwire({
		profile: 'bench', edges: 2, routers: 2, ingests: 2,
		env: { ...kafkaEnv(things.broker), ...GRACE, PRESENCE_STREAM: 'kafka', REDIS_URL: things.redis.url, DRAIN_SECONDS: '2' },
	}).start();
});
const LIMIT = { timeout: 120_000 };

/* What was written of a user or room, without doubles of the same event (header id): at least once is the promise. */
function toldOf(key) {
	const told = fixture.stream.all.filter((one) => one.key === key);
	const once = new Map(told.map((one) => [one.headers.id, JSON.parse(one.value)]));
	return [...once.values()].map(({ type }) => type.replace(/^.*\./, ''));
}

const waitTold = (key, types, deadlineMs = 40_000) => waitFor(() => {
	const told = toldOf(key);
	if (told.length > types.length)
		throw new Error(`${key}: ${told}`);
	return JSON.stringify(told) === JSON.stringify(types);
}, { what: () => `${key} to be told as ${types}, not ${toldOf(key)}`, deadlineMs });

const roomKey = (room) => `/,${room}`;

scenario('a user is online with the first client and offline after the last, a room occupied and vacated; the record says who, what and when', LIMIT, async () => {
	const { rw, stream } = fixture;
	const [sub, room] = [fresh('somebody'), fresh('life')];
	const before = Date.now();
	const clients = [await member(rw, [room], { sub }), await member(rw, [room], { sub })];
	await waitTold(sub, ['online']);
	await waitTold(roomKey(room), ['occupied']);
	clients[0].socket.disconnect();
	await waitTold(sub, ['online']);
	clients[1].socket.disconnect();
	await waitTold(sub, ['online', 'offline']);
	await waitTold(roomKey(room), ['occupied', 'vacated']);
	const [online] = stream.all.filter(({ key }) => key === sub).map(({ value }) => JSON.parse(value));
	assert.deepEqual({ ...online, at: 0 }, { type: 'user.online', userId: sub, at: 0 });
	assert.ok(Date.parse(online.at) >= before - 1000 && Date.parse(online.at) <= Date.now());
	const [occupied] = stream.all.filter(({ key }) => key === roomKey(room)).map(({ value }) => JSON.parse(value));
	assert.deepEqual({ ...occupied, at: 0 }, { type: 'room.occupied', namespace: '/', room, at: 0 });
	assert.equal(stream.all.some(({ key }) => key === roomKey(clients[0].id ?? '')), false, "sockets' own rooms are nobody's business");
});

scenario('who is cut and comes back in time was never offline; who stays away is offline though it may still be recovered', LIMIT, async () => {
	const { rw } = fixture;
	const [sub, room] = [fresh('somebody'), fresh('life')];
	const client = await member(rw, [room], { sub });
	await waitTold(sub, ['online']);
	for (let round = 0; round < 3; round++) {
		await cut(client);
		assert.equal((await comeBack(client)).recovered, true);
	}
	await cut(client);
	await waitTold(sub, ['online', 'offline']);
	await waitTold(roomKey(room), ['occupied', 'vacated']);
	assert.equal((await comeBack(client)).recovered, true);
	await waitTold(sub, ['online', 'offline', 'online']);
	await waitTold(roomKey(room), ['occupied', 'vacated', 'occupied']);
});

scenario('while Kafka is away changes melt together, and what is so is told when it is back', LIMIT, async () => {
	const { rw, broker } = fixture;
	const [stays, goes, late] = [fresh('stays'), fresh('goes'), fresh('late')];
	const leaving = await member(rw, [], { sub: goes });
	await waitTold(goes, ['online']);
	signal(broker.pid, 'SIGSTOP');
	leaving.socket.disconnect();
	await member(rw, [], { sub: stays });
	for (let round = 0; round < 3; round++)
		(await member(rw, [], { sub: late })).socket.disconnect();
	await member(rw, [], { sub: late });
	await waitFor(async () => await total(rw, 'ingest', 'roomwire_presence_stream_pending') > 0, { what: 'changes to wait' });
	signal(broker.pid, 'SIGCONT');
	await waitTold(goes, ['online', 'offline']);
	await waitTold(stays, ['online']);
	await waitTold(late, ['online']);
});

for (const what of ['router', 'ingest', 'edge']) {
	scenario(`every ${what} is killed while users come and go: what was told last of each is what is so`, LIMIT, async () => {
		const { rw } = fixture;
		const names = Object.keys(rw.processes).filter((name) => name.startsWith(what));
		const subs = Array.from({ length: 12 }, (_, i) => fresh(`${what}${i}`));
		const clients = await Promise.all(subs.map((sub, i) => member(rw, [], { sub, reconnection: i % 2 === 0, reconnectionDelay: 20, reconnectionDelayMax: 50 })));
		await Promise.all(subs.map((sub) => waitTold(sub, ['online'])));
		const pids = names.map((name) => rw.processes[name].pid);
		for (const pid of pids)
			signal(pid, 'SIGKILL');
		for (const [i, client] of clients.entries())
			if (i % 2)
				client.socket.disconnect();
		await Promise.all(names.map((name, i) => waitReplaced(rw, name, pids[i])));
		await waitFor(() => clients.every((client, i) => i % 2 || client.socket.connected), { what: 'clients to be back', deadlineMs: 40_000 });
		for (const [i, sub] of subs.entries())
			await waitFor(() => toldOf(sub).at(-1) === (i % 2 ? 'offline' : 'online'), { what: () => `${sub} to be ${i % 2 ? 'offline' : 'online'}: ${toldOf(sub)}`, deadlineMs: 40_000 });
	});
}

scenario('to RabbitMQ: the profile\'s exchange, the type being the routing key; what no queue wants is no trouble', LIMIT, async (t) => {
	const vhost = await (await sharedRabbitMq()).createVhost();
	const rw = await new Roomwire({ profile: 'opsdesk', env: { RABBITMQ_URL: vhost.url, PRESENCE_STREAM: 'rabbitmq', ...GRACE } }).start();
	t.after(async () => {
		await vhost.close();
		await rw.stop();
	});
	await rw.waitReady('ingest');
	const channel = await vhost.channel();
	await channel.assertQueue('presence');
	await channel.bindQueue('presence', EXCHANGE, 'user.*');
	const inbox = await vhost.consume('presence');
	const client = await connect(rw.url, { token: rw.token(AGENT) });
	const next = async () => {
		const { key, body } = await inbox.take(() => true, { what: 'a change' });
		return [key, JSON.parse(body).userId];
	};
	assert.deepEqual(await next(), ['user.online', AGENT.sub]);
	client.socket.disconnect();
	assert.deepEqual(await next(), ['user.offline', AGENT.sub]);
	await waitFor(async () => await total(rw, 'ingest', 'roomwire_presence_stream_pending') === 0, { what: 'both to be confirmed' });
});
