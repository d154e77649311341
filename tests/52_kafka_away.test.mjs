// SPDX-License-Identifier: Apache-2.0
/* No broker is there when Roomwire starts: an outage that is told once, never a silent fallback; it ends in order all the same. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { connect, Roomwire, scenario, waitFor } from './harness.mjs';
import { freePorts } from './lib/children.mjs';

scenario('a broker that is not there: readiness and one line of the log tell, HTTP goes on, the end is in order', async () => {
	const [port] = await freePorts(1);
	let attempts = 0;
	const nobody = createServer((socket) => { /* counts who comes, and says nothing */
		attempts++;
		socket.on('error', () => {}).destroy();
	});
	const rw = new Roomwire({ profile: 'opsdesk', env: { KAFKA_BROKER_URL: `127.0.0.1:${port}`, DRAIN_SECONDS: '30' } });
	await rw.start();
	try {
		await rw.waitReady('ingest', 'kafka');
		await waitFor(async () => (await rw.ops('ingest', '/readyz')).json.failing.every(({ component }) => component === 'kafka'), { what: 'nothing else to fail' });
		assert.equal(await rw.metric('ingest', 'roomwire_kafka_partitions'), 0);
		const told = () => rw.log.split('\n').filter((line) => line.includes('no broker of KAFKA_BROKER_URL answers')).length;
		await waitFor(() => told() === 1, { what: 'the log to tell' });
		const client = await connect(rw.url, { token: rw.token({ sub: 'u-1', roles: ['agent'] }) });
		await rw.publish({ rooms: ['user:u-1'], event: 'hello', data: 1 });
		assert.equal(await client.next('hello'), 1);
		await once(nobody.listen(port, '127.0.0.1'), 'listening');
		await waitFor(() => attempts >= 3, { what: 'it to try again, and again' });
		assert.equal(told(), 1, 'told once');
	} finally {
		nobody.close();
		const began = Date.now();
		await rw.stop();
		assert.ok(Date.now() - began < 20_000, 'it does not wait for the broker');
	}
});
