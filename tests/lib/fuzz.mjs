// SPDX-License-Identifier: Apache-2.0
/* Seeded bytes that no decent client would send: HTTP requests, WebSocket upgrades and frames, bent. */
import { randomBytes } from 'node:crypto';

/* mulberry32: small, seeded, the same on every machine */
export class Random {
	#state;

	constructor(seed) {
		this.#state = seed >>> 0;
	}

	next() {
		this.#state = (this.#state + 0x6d2b79f5) >>> 0;
		let t = this.#state;
		t = Math.imul(t ^ (t >>> 15), t | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	}

	below(limit) {
		return Math.floor(this.next() * limit);
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	bytes(count) {
		return Buffer.from(Array.from({ length: count }, () => this.below(256)));
	}
}

export const newSeed = () => randomBytes(4).readUInt32LE();

const POLLING = '/socket.io/?EIO=4&transport=polling';
const WEBSOCKET = '/socket.io/?EIO=4&transport=websocket';

export function request(method, path, headers = [], body = '') {
	return Buffer.from([`${method} ${path} HTTP/1.1`, 'Host: fuzz.example', ...headers, '', body].join('\r\n'), 'latin1');
}

export const handshake = () => request('GET', POLLING);

export function post(sid, body) {
	return request('POST', `${POLLING}&sid=${sid}`, ['Content-Type: text/plain', `Content-Length: ${Buffer.byteLength(body)}`], body);
}

export function upgrade(extra = []) {
	return request('GET', WEBSOCKET, ['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
		'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', ...extra]);
}

/* A WebSocket frame; wrong in any way the options say. */
export function frame(payload, { opcode = 1, fin = true, reserved = 0, masked = true, length = payload.length } = {}) {
	const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
	const mask = masked ? 0x80 : 0;
	if (length < 126)
		head.push(mask | length);
	else if (length < 65536)
		head.push(mask | 126, length >> 8, length & 255);
	else
		head.push(mask | 127, 0, 0, 0, 0, (length >>> 24) & 255, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
	const key = masked ? [1, 2, 3, 4] : [];
	const body = Buffer.from(payload);
	if (masked)
		body.forEach((byte, at) => { body[at] = byte ^ key[at % 4]; });
	return Buffer.concat([Buffer.from([...head, ...key]), body]);
}

const PACKETS = ['40', '40/custom', '41', '42["message",1]', '421["message-with-ack","x"]', '451-["message",{"_placeholder":true,"num":0}]',
	'2probe', '3', '5', '1', '4', '42', '42[', '4/', '40{', '42["message"', '49', 'b4', '459999999-[]', '42["room:join",{"room":"r"}]', '\u0000', ''];

function mutate(random, bytes) {
	const out = Buffer.from(bytes);
	for (let i = random.below(6); i >= 0 && out.length; i--)
		out[random.below(out.length)] = random.below(256);
	const cut = random.below(4) ? out.length : random.below(out.length);
	return out.subarray(0, cut);
}

function frames(random) {
	const text = () => Buffer.from(random.pick(PACKETS));
	const makers = [
		() => frame(text()),
		() => frame(text(), { masked: false }),
		() => frame(text(), { reserved: 1 + random.below(7) }),
		() => frame(random.bytes(random.below(40)), { opcode: random.below(16) }),
		() => frame(text(), { opcode: 0 }),
		() => frame(text(), { fin: false }),
		() => frame(random.bytes(130), { opcode: 9 }),
		() => frame(random.bytes(1 + random.below(3)), { opcode: 8 }),
		() => frame(Buffer.from([0xc3, 0x28, 0xff]), {}),
		() => frame(Buffer.alloc(0), { length: 0xfffffff0 }),
		() => frame(Buffer.alloc(70000, 0x61)),
		() => mutate(random, frame(text())),
	];
	return Buffer.concat([frame(Buffer.from('40')), ...Array.from({ length: 1 + random.below(5) }, () => random.pick(makers)())]);
}

/* The bytes of one round, by kind; {kind, bytes}. */
const KINDS = {
	garbage: (random) => random.bytes(1 + random.below(400)),
	mutated: (random) => mutate(random, random.pick([handshake(), upgrade(), post('nobody', '40')])),
	pipelined: (random, sid) => Buffer.concat(Array.from({ length: 2 + random.below(5) }, () => random.pick([
		handshake(), post(sid, '40'), post('nobody', random.pick(PACKETS)), request('GET', '/nowhere'), request('POST', POLLING),
		upgrade(), request('OPTIONS', POLLING, ['Origin: http://x', 'Access-Control-Request-Method: POST']),
	]))),
	post: (random, sid) => post(sid, Array.from({ length: 1 + random.below(6) }, () => random.pick(PACKETS)).join('\x1e')),
	lengths: (random) => request('POST', `${POLLING}&sid=nobody`, random.pick([
		['Content-Length: -1'], ['Content-Length: 18446744073709551616'], ['Content-Length: 5', 'Content-Length: 6'],
		['Content-Length: 5', 'Transfer-Encoding: chunked'], ['Transfer-Encoding: chunked'], ['Transfer-Encoding: gzip'], ['Content-Length: 3x'],
	]), random.pick(['5\r\nhello\r\n0\r\n\r\n', 'zz\r\n', 'ffffffffffffffff\r\nx', '-5\r\n', ''])),
	headers: (random) => request(random.pick(['GET', 'G'.repeat(3000)]), random.pick([POLLING, `/${'x'.repeat(random.below(20000))}`]),
		Array.from({ length: random.below(300) }, (_, i) => `X-${i}: ${'y'.repeat(random.below(300))}`)),
	upgradeHeaders: (random) => upgrade(random.pick([['Sec-WebSocket-Version: 8'], ['Sec-WebSocket-Key: short'], ['Sec-WebSocket-Protocol: x'],
		['Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99'], ['Content-Length: 10'], ['Upgrade: h2c'], ['Host: again']])),
	upgradeTrailing: (random) => Buffer.concat([upgrade(), random.pick([handshake(), random.bytes(random.below(200)), upgrade()])]),
	frames: (random) => Buffer.concat([upgrade(), frames(random)]),
	truncated: (random) => {
		const whole = Buffer.concat([upgrade(), frames(random)]);
		return whole.subarray(0, random.below(whole.length));
	},
};
const NAMES = Object.keys(KINDS);

export function round(random, sid) {
	const kind = random.pick(NAMES);
	return { kind, bytes: KINDS[kind](random, sid) };
}

/* How the bytes go out: pieces written one after another. */
export function pieces(random, bytes) {
	const manner = random.below(10);
	if (manner < 6)
		return [bytes];
	if (manner === 6 && bytes.length < 600)
		return Array.from(bytes, (byte) => Buffer.from([byte]));
	const cuts = Array.from({ length: 1 + random.below(8) }, () => random.below(bytes.length + 1)).sort((a, b) => a - b);
	return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length)).filter((piece) => piece.length);
}
