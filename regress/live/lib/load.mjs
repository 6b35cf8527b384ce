// Clients that do something without a pause and note every answer that is not
// the right one.
import http from 'node:http';
import { sleep, until } from './harness.mjs';
import { Mcp } from './mcp.mjs';
import { Pins } from './pin.mjs';

// How often which failure came.
function count(list, name) {
	const n = {};
	for (const f of list)
		n[name(f)] = (n[name(f)] ?? 0) + 1;
	return JSON.stringify(n);
}

// Waits until answers came from so many workers.
const spread = (what, workers, n) => until(`answers to ${what} from ${
    n} workers`, () => workers.size >= n, 10_000);

// Calls of tools, each client on one connection.
export class Load {
	// tool(i, n): {name, args, check(result)}; fresh: a connection per call;
	// sessions: a session per call.
	constructor(url, token, { clients = 8, fresh = false, sessions = false,
	    tool }) {
		this.url = url;
		this.token = token;
		this.clients = clients;
		this.fresh = fresh;
		this.sessions = sessions;
		this.tool = tool;
		this.done = 0;
		this.inflight = 0;
		this.failures = [];
		this.workers = new Map(); // id: time last seen
		this.pace = 0;
	}

	async start() {
		const pins = new Pins(new URL(this.url).origin);
		let last;
		this.running = true;
		const all = [];
		for (let i = 0; i < this.clients; i++) {
			const mcp = await new Mcp(this.url,
			    { token: this.token }).open();
			if (!this.fresh) {
				// Half of them at each worker.
				const pin = await pins.get((w) => w !== last);
				last = pin.worker;
				mcp.agent = pin.agent;
			}
			all.push(mcp);
		}
		pins.close();
		this.loops = all.map((mcp, i) => this.#loop(mcp, i));
		return this;
	}

	async #call(mcp, t) {
		if (!this.sessions)
			return t.check(await mcp.tool(t.name, t.args));
		const one = await new Mcp(this.url, { token: this.token,
		    agent: mcp.agent }).open();
		t.check(await one.tool(t.name, t.args));
		for (const w of one.workers)
			mcp.workers.add(w);
	}

	async #loop(mcp, i) {
		let worker;
		for (let n = 0; this.running; n++) {
			const t = this.tool(i, n);
			const at = Date.now();
			this.inflight++;
			if (this.fresh)
				worker = undefined;
			try {
				mcp.workers.clear();
				await this.#call(mcp, t);
				this.done++;
				worker = [...mcp.workers].at(-1);
				for (const w of mcp.workers)
					this.workers.set(w, Date.now());
			} catch (e) {
				this.failures.push({ at, end: Date.now(), worker,
				    tool: t.name, why: e.message.slice(0, 300) });
				worker = undefined; // a new connection comes
				await sleep(20);
			}
			this.inflight--;
			if (this.pace > 0)
				await sleep(this.pace);
		}
		mcp.agent?.destroy();
	}

	spread(n = 2) {
		return spread('calls', this.workers, n);
	}

	async stop() {
		this.running = false;
		await Promise.all(this.loops);
	}

	// The failures, told apart by what failed how often.
	summary(list = this.failures) {
		return count(list, (f) => `${f.tool}: ${f.why}`);
	}
}

// Calls PREFIX_echo with a nonce and looks for it in the answer.
export const echoes = (...prefixes) => (i, n) => {
	const nonce = `${i}.${n}.${Math.random()}`;
	return { name: `${prefixes[n % prefixes.length]}_echo`, args: { nonce },
	    check: (r) => {
		if (r.isError || JSON.parse(r.content[0].text).nonce !== nonce)
			throw new Error(`wrong answer: ${JSON.stringify(r)}`);
	} };
};

// Anything else, done by several at a time. step(i, n) throws what was wrong;
// it may return the headers of an answer.
export class Work {
	constructor(name, step, { clients = 1, pace = 0 } = {}) {
		this.name = name;
		this.done = 0;
		this.open = 0;
		this.failures = [];
		this.workers = new Map();
		this.running = true;
		this.loops = Array.from({ length: clients },
		    (_, i) => this.#loop(step, i, pace));
	}

	async #loop(step, i, pace) {
		for (let n = 0; this.running; n++) {
			const at = Date.now();
			this.open++;
			try {
				const headers = await step(i, n);
				const id = headers?.get?.('x-mcpgw-worker') ??
				    headers?.['x-mcpgw-worker'];
				if (id)
					this.workers.set(id, Date.now());
				this.done++;
			} catch (e) {
				// fetch() hides what happened behind it.
				const why = `${e.message} ${e.cause?.message ?? ''}`;
				this.failures.push({ at, end: Date.now(),
				    why: why.slice(0, 300) });
				await sleep(20);
			}
			this.open--;
			await sleep(pace);
		}
	}

	spread(n = 2) {
		return spread(this.name, this.workers, n);
	}

	async stop() {
		this.running = false;
		await Promise.all(this.loops);
	}

	summary(list = this.failures) {
		return count(list, (f) => `${this.name}: ${f.why}`);
	}
}
