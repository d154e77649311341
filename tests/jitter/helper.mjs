// SPDX-License-Identifier: Apache-2.0
/* Processes of this test that answer questions: ask() on one side, serve() on the other. They end with their parent. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export class Helper {
	#child;
	#open = new Map();
	#asked = 0;

	/* file: a module of this folder, which calls serve() */
	constructor(file) {
		this.name = file;
		this.#child = fork(fileURLToPath(new URL(file, import.meta.url)), { serialization: 'advanced', execArgv: [] });
		this.#child.on('message', ({ id, result, error }) => {
			const { resolve, reject } = this.#open.get(id);
			this.#open.delete(id);
			if (error)
				reject(new Error(error));
			else
				resolve(result);
		});
		this.ended = new Promise((resolve) => this.#child.once('exit', (code, signal) => {
			for (const { reject } of this.#open.values())
				reject(new Error(`${file} ended (${signal ?? `exit ${code}`})`));
			this.#open.clear();
			resolve();
		}));
	}

	ask(what, args = {}) {
		const id = ++this.#asked;
		return new Promise((resolve, reject) => {
			this.#open.set(id, { resolve, reject });
			this.#child.send({ id, what, args }, (error) => error && reject(new Error(`${this.name}: ${error.message}`)));
		});
	}

	/* Ends it; what is unanswered fails. */
	stop() {
		if (this.#child.connected)
			this.#child.disconnect();
		return this.ended;
	}
}

/* answers: {what: function of args, its result or promise is the answer} */
export function serve(answers) {
	process.on('disconnect', () => process.exit(0));
	for (const name of ['SIGINT', 'SIGTERM'])
		process.on(name, () => {}); /* the parent says when */
	process.on('message', async ({ id, what, args }) => {
		try {
			process.send({ id, result: await answers[what](args) });
		} catch (error) {
			process.send({ id, error: error.stack });
		}
	});
}
