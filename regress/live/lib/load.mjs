// Clients that call a tool without a pause, each on one connection, and note
// every answer that is not the right one.
import http from 'node:http';
import { Mcp } from './mcp.mjs';

export class Load {
	// tool(i): {name, args, check(result)}; fresh: a connection per call.
	constructor(url, token, { clients = 8, fresh = false, tool }) {
		this.url = url;
		this.token = token;
		this.clients = clients;
		this.fresh = fresh;
		this.tool = tool;
		this.done = 0;
		this.inflight = 0;
		this.failures = [];
		this.workers = new Map(); // id: time last seen
		this.pace = 0;
	}

	async start() {
		this.running = true;
		const all = [];
		for (let i = 0; i < this.clients; i++) {
			const mcp = await new Mcp(this.url,
			    { token: this.token }).open();
			all.push(mcp);
		}
		this.loops = all.map((mcp, i) => this.#loop(mcp, i));
		return this;
	}

	async #loop(mcp, i) {
		if (!this.fresh)
			mcp.agent = new http.Agent({ keepAlive: true,
			    maxSockets: 1 });
		let worker;
		for (let n = 0; this.running; n++) {
			const t = this.tool(i, n);
			const at = Date.now();
			this.inflight++;
			try {
				mcp.workers.clear();
				t.check(await mcp.tool(t.name, t.args));
				this.done++;
				[worker] = mcp.workers;
				this.workers.set(worker, Date.now());
			} catch (e) {
				this.failures.push({ at, end: Date.now(), worker,
				    tool: t.name, why: e.message.slice(0, 300) });
				worker = undefined; // a new connection comes
				await new Promise((r) => setTimeout(r, 20));
			}
			this.inflight--;
			if (this.pace > 0)
				await new Promise((r) => setTimeout(r, this.pace));
		}
		mcp.agent?.destroy();
	}

	async stop() {
		this.running = false;
		await Promise.all(this.loops);
	}

	// The failures, told apart by what failed how often.
	summary(list = this.failures) {
		const n = {};
		for (const f of list)
			n[`${f.tool}: ${f.why}`] = (n[`${f.tool}: ${f.why}`] ?? 0) + 1;
		return JSON.stringify(n);
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
