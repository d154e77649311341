// SPDX-License-Identifier: Apache-2.0
/* Tokens as an application's login would sign them, and some that nobody should accept. */
import jwt from 'jsonwebtoken';

export const now = () => Math.floor(Date.now() / 1000);

/* HS256 over the claims; exp is in an hour unless the claims say (undefined leaves it out). */
export function sign(claims, secret, options = {}) {
	const payload = { exp: now() + 3600, ...claims };
	for (const name of Object.keys(payload)) {
		if (payload[name] === undefined)
			delete payload[name];
	}
	return jwt.sign(payload, secret, { algorithm: 'HS256', noTimestamp: true, ...options });
}

/* A token with another header over the signature of the original one. */
export function withHeader(token, header) {
	const [, payload, signature] = token.split('.');
	return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${payload}.${signature}`;
}
