// SPDX-License-Identifier: Apache-2.0
/* Calls of the HTTP API, each answer held against the document that it serves. */
import assert from 'node:assert/strict';
import { Schemas } from './schema.mjs';

const fill = (path, names) => path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(names[name]));

export class Api {
	/* Reads the document; seen: "GET /v1/rooms 200" and so on of every answer so far. */
	static async of(rw) {
		const response = await fetch(`${rw.apiUrl}/v1/openapi.json`);
		assert.equal(response.status, 200);
		assert.equal(response.headers.get('content-type'), 'application/json');
		return new Api(rw, await response.json());
	}

	constructor(rw, doc) {
		Object.assign(this, { rw, doc, schemas: new Schemas(doc), seen: new Set() });
	}

	/* [{method, path, operation}] of the document. */
	get operations() {
		return Object.entries(this.doc.paths).flatMap(([path, item]) =>
			Object.entries(item).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })));
	}

	/*
	 * call('GET /v1/rooms/{room}', {path: {room}, query: {…}, body}): {status, json, headers}. query: an object, or text as it is to be sent; body: a
	 * value, or text or a Buffer.
	 */
	async call(what, { path = {}, query = {}, body, key = this.rw.apiKey, url = this.rw.apiUrl } = {}) {
		const [method, template] = what.split(' ');
		const text = typeof query === 'string' ? query : new URLSearchParams(query).toString().replaceAll('+', '%20');
		const response = await fetch(`${url}${fill(template, path)}${text && `?${text}`}`, {
			method,
			headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...(key && { authorization: `Bearer ${key}` }) },
			body: body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
			signal: AbortSignal.timeout(40_000),
		});
		const json = await response.json();
		this.#verify(method, template, response, json);
		return { status: response.status, json, headers: response.headers };
	}

	#verify(method, template, response, json) {
		const operation = this.doc.paths[template]?.[method.toLowerCase()];
		const { status } = response;
		if (!operation) { /* another method, or no call at all */
			assert.ok([401, 403, 404, 405].includes(status), `${method} ${template} is answered ${status}`);
			return;
		}
		const described = this.schemas.resolve(operation.responses[status]);
		assert.ok(described, `the document describes ${status} of ${method} ${template}`);
		assert.equal(response.headers.get('content-type'), 'application/json');
		const errors = this.schemas.check(json, described.content['application/json'].schema);
		assert.deepEqual(errors, [], `${method} ${template} ${status}: ${JSON.stringify(json).slice(0, 500)}`);
		for (const name of Object.keys(described.headers ?? {}))
			assert.ok(response.headers.has(name), `${status} of ${method} ${template} has the header ${name}`);
		this.seen.add(`${method} ${template} ${status}`);
	}

	/* Answered with this status: the JSON. */
	async expect(status, what, options) {
		const answer = await this.call(what, options);
		assert.equal(answer.status, status, `${what}: ${JSON.stringify(answer.json)}`);
		return answer.json;
	}

	/* All pages: the items of `list`, in order. */
	async pages(what, list, { query = {}, ...options } = {}) {
		const items = [];
		for (let cursor = null, first = true; first || cursor; first = false) {
			const page = await this.expect(200, what, { ...options, query: { ...query, ...(cursor && { cursor }) } });
			items.push(...page[list]);
			cursor = page.cursor;
		}
		return items;
	}
}
