// Event streams as they come, and a client that chooses its worker for every
// message.
import http from 'node:http';
import { Assertion, clip, later } from './harness.mjs';
import { Mcp } from './mcp.mjs';

// A response that is an event stream, or a JSON text (which becomes one
// message). events: {id, event, data, retry, json}.
export class Sse {
	constructor() {
		this.events = [];
		this.ended = undefined; // 'clean' or 'cut'
		this.taken = 0;
		this.text = '';
		this.waits = [];
	}

	// saw: is called with each message as it comes.
	static open(url, { method = 'GET', headers, body, agent, saw } = {}) {
		const s = new Sse();
		s.saw = saw;
		return new Promise((resolve, reject) => {
			s.req = http.request(url, { method, headers,
			    agent: agent ?? false }, (res) => {
				s.status = res.statusCode;
				s.headers = res.headers;
				s.worker = res.headers['x-mcpgw-worker'];
				s.stream = /^text\/event-stream/.test(
				    res.headers['content-type'] ?? '');
				res.setEncoding('utf8');
				res.on('data', (d) => s.#take(d));
				res.on('error', () => s.#over('cut'));
				res.on('end', () => s.#end(res.complete));
				res.on('close', () => s.#over('cut'));
				resolve(s);
			});
			s.req.on('error', (e) => {
				s.#over('cut');
				reject(e);
			});
			s.req.end(body);
			later(() => s.close());
		});
	}

	#take(d) {
		this.text += d;
		if (!this.stream)
			return;
		for (;;) {
			const m = this.text.match(/\r?\n\r?\n/);
			if (m === null)
				return;
			this.#event(this.text.slice(0, m.index));
			this.text = this.text.slice(m.index + m[0].length);
		}
	}

	#event(block) {
		const e = { data: [] };
		for (const line of block.split(/\r?\n/)) {
			if (line.startsWith(':') || line === '')
				continue;
			const at = line.indexOf(':');
			const key = at < 0 ? line : line.slice(0, at);
			const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '');
			if (key === 'data')
				e.data.push(value);
			else
				e[key] = value;
		}
		e.data = e.data.join('\n');
		if (e.id === undefined && e.data === '')
			return; // a comment
		if (e.data !== '')
			e.json = JSON.parse(e.data);
		this.#keep(e);
	}

	#keep(e) {
		this.events.push(e);
		if (e.json)
			this.saw?.(e.json, this);
		this.#wake();
	}

	#over(how) {
		this.ended ??= how;
		this.#wake();
	}

	#wake() {
		for (const w of this.waits.splice(0))
			w();
	}

	// Looks again whenever something has come: many wait at once, and asking
	// all the time would take what the others need.
	async #wait(what, fn, timeout) {
		for (const end = Date.now() + timeout;;) {
			const r = fn();
			if (r)
				return r;
			const left = end - Date.now();
			if (left <= 0)
				throw new Assertion(
				    `${what}: not within ${timeout} ms`);
			await new Promise((done) => {
				const timer = setTimeout(done, left);
				this.waits.push(() => {
					clearTimeout(timer);
					done();
				});
			});
		}
	}

	#end(complete) {
		this.#over(complete ? 'clean' : 'cut');
		if (!this.stream && this.text !== '')
			for (const json of [JSON.parse(this.text)].flat())
				this.#keep({ json });
	}

	get messages() {
		return this.events.filter((e) => e.json).map((e) => e.json);
	}

	get last() {
		return this.events.findLast((e) => e.id !== undefined)?.id;
	}

	// The first message, not yet handed out by this, that pred likes.
	async next(pred = () => true, what = 'a message', timeout = 10_000) {
		return this.#wait(what, () => {
			for (let i = this.taken; i < this.events.length; i++)
				if (this.events[i].json && pred(this.events[i].json)) {
					this.taken = i + 1;
					return this.events[i].json;
				}
			return undefined;
		}, timeout).catch((e) => {
			throw new Error(`${e.message}; ${this.ended ?? 'open'}, had ${
			    clip(JSON.stringify(this.messages), 600)}`);
		});
	}

	end(timeout = 10_000) {
		return this.#wait('the end of the stream', () => this.ended, timeout);
	}

	close() {
		this.#over('closed');
		this.req.destroy();
	}
}

export const note = (method) => (m) => m.method === method &&
    m.id === undefined;
export const asked = (method) => (m) => m.method === method &&
    m.id !== undefined;
export const answer = (id) => (m) => m.id === id && m.method === undefined;

// A client each of whose messages goes to a worker of its choice.
export class Peer extends Mcp {
	constructor(url, pins, opts) {
		super(url, opts);
		this.pins = pins;
	}

	async #on(worker, method, extra, body) {
		const pin = await this.pins.get(worker);
		this.workers.add(pin.worker);
		const s = await Sse.open(this.url, { method, agent: pin.agent,
		    headers: this.headers(extra), body });
		const done = setInterval(() => {
			if (s.ended) {
				clearInterval(done);
				pin.agent.destroy();
			}
		}, 100);
		return s;
	}

	post(message, { worker, headers } = {}) {
		return this.#on(worker, 'POST', headers, JSON.stringify(message));
	}

	ask(method, params, { id = this.next++, ...opts } = {}) {
		return this.post({ jsonrpc: '2.0', id, method, params }, opts)
		    .then((s) => Object.assign(s, { rpcId: id }));
	}

	start(name, args = {}, { token, ...opts } = {}) {
		return this.ask('tools/call', { name, arguments: args,
		    ...(token !== undefined && { _meta: { progressToken: token } }) },
		opts);
	}

	get({ worker, last } = {}) {
		return this.#on(worker, 'GET', { accept: 'text/event-stream',
		    ...(last !== undefined && { 'last-event-id': last }) });
	}

	// Answers a question, or sends a notification; the status.
	async say(message, opts) {
		const s = await this.post({ jsonrpc: '2.0', ...message }, opts);
		await s.end();
		return s.status;
	}
}
