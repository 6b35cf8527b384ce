// Connections to a worker of one's choice. All workers accept on one socket,
// so connections are made until one has landed there; the others are kept for
// whoever wants that worker next.
import http from 'node:http';
import { Readable } from 'node:stream';
import { freePort, later } from './harness.mjs';
import { request } from './mcp.mjs';

const FRESH = 8000; // ms; the gateway closes idle connections after 15 s

export class Pins {
	#spare = [];
	#turn = Promise.resolve();

	constructor(base) {
		this.base = base;
		later(() => this.close());
	}

	// {agent, worker} of one connection that has not been used for more
	// than the question who is there. want: the id of a worker, or a
	// function that takes one.
	get(want) {
		// One at a time: of many connections at once the worker that
		// happens to run takes nearly all.
		const got = this.#turn.then(() => this.#get(want));
		this.#turn = got.catch(() => {});
		return got;
	}

	// The ids of two workers.
	async two() {
		const one = await this.get();
		const two = await this.get((w) => w !== one.worker);
		one.agent.destroy();
		two.agent.destroy();
		return [one.worker, two.worker];
	}

	async #get(want) {
		const fits = typeof want === 'function' ? want :
		    (id) => want === undefined || id === want;
		for (let i = 0; i < 400; i++) {
			this.#expire();
			const at = this.#spare.findIndex((p) => fits(p.worker));
			if (at >= 0)
				return this.#spare.splice(at, 1)[0];
			this.#spare.push(await this.#connect());
		}
		throw new Error('no connection to that worker');
	}

	async #connect() {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const r = await request(`${this.base}/health`,
		    { method: 'GET', agent });
		return { agent, worker: r.headers['x-mcpgw-worker'],
		    at: Date.now() };
	}

	#expire() {
		const old = this.#spare.filter((p) => Date.now() - p.at > FRESH);
		for (const p of old)
			p.agent.destroy();
		this.#spare = this.#spare.filter((p) => !old.includes(p));
	}

	// Drops what is kept: a worker has been killed.
	close() {
		for (const p of this.#spare.splice(0))
			p.agent.destroy();
	}

	// A function that gives connections, each to another worker than the one
	// before.
	#others() {
		let last;
		return async () => {
			// Asked when its turn has come: another request may have
			// been before this one meanwhile.
			const pin = await this.get((w) => w !== last);
			last = pin.worker;
			return pin;
		};
	}

	// fetch() that sends each request to another worker than the one before.
	fetch(seen = []) {
		const other = this.#others();
		return async (url, init = {}) => {
			const pin = await other();
			seen.push({ worker: pin.worker, method: init.method ?? 'GET',
			    body: String(init.body ?? '') });
			return fetchOn(pin.agent, url, init);
		};
	}

	// The same for a program whose fetch() can not be given: the address of a
	// proxy on loopback that passes everything as it came.
	async proxy(seen = []) {
		const other = this.#others();
		const to = new URL(this.base);
		const server = http.createServer(async (req, res) => {
			const pin = await other().catch(() => undefined);
			if (pin === undefined || res.destroyed) {
				pin?.agent.destroy();
				res.destroy();
				return;
			}
			seen.push({ worker: pin.worker, method: req.method });
			const up = http.request({ host: to.hostname, port: to.port,
			    method: req.method, path: req.url, setHost: false,
			    headers: passed(req.rawHeaders), agent: pin.agent },
			(answer) => {
				res.writeHead(answer.statusCode,
				    passed(answer.rawHeaders));
				res.flushHeaders();
				answer.pipe(res);
				answer.on('error', () => res.destroy());
			});
			up.on('error', () => res.destroy());
			res.on('close', () => pin.agent.destroy());
			req.pipe(up);
		});
		const port = await freePort();
		await new Promise((r) => server.listen(port, '127.0.0.1', r));
		later(() => {
			server.closeAllConnections();
			return new Promise((r) => server.close(r));
		});
		return `http://127.0.0.1:${port}`;
	}
}

const hop = /^(connection|transfer-encoding|keep-alive)$/i;

// Headers as they came, but for those of the connection.
export const passed = (raw) => raw.filter((_, i) => !hop.test(raw[i - i % 2]));

// What fetch() does, on the connection of an agent.
export function fetchOn(agent, url, init) {
	return new Promise((resolve, reject) => {
		const headers = Object.fromEntries(new Headers(init.headers));
		const req = http.request(url, { method: init.method ?? 'GET',
		    headers, agent }, (res) => {
			const none = [204, 304].includes(res.statusCode) ||
			    init.method === 'HEAD';
			res.on('close', () => agent.destroy());
			if (none)
				res.resume();
			resolve(new Response(none ? null : Readable.toWeb(res), {
				status: res.statusCode,
				headers: Object.entries(res.headers).map(([k, v]) =>
				    [k, String(v)]),
			}));
		});
		init.signal?.addEventListener('abort', () => req.destroy(
		    new DOMException('aborted', 'AbortError')));
		req.on('error', reject);
		req.end(init.body ?? undefined);
	});
}
