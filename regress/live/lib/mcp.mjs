// A bare MCP client: every request on a connection of its own unless told
// otherwise, worker ids collected, nothing hidden.
import http from 'node:http';
import { ok } from './harness.mjs';

export function request(url, { method = 'POST', headers = {}, body, agent,
    timeout = 30_000 } = {}) {
	return new Promise((resolve, reject) => {
		const req = http.request(url, { method, headers,
		    agent: agent ?? false, timeout }, (res) => {
			const parts = [];
			res.on('data', (d) => parts.push(d));
			res.on('end', () => resolve({ status: res.statusCode,
			    headers: res.headers,
			    text: Buffer.concat(parts).toString() }));
			res.on('error', reject);
			res.on('aborted', () => reject(new Error('cut off')));
		});
		req.on('timeout', () => req.destroy(
		    new Error(`no answer within ${timeout} ms`)));
		req.on('error', reject);
		req.end(body);
	});
}

// The JSON-RPC messages of an answer, whether JSON or SSE.
export function messages(res) {
	if (/^text\/event-stream/.test(res.headers['content-type'] ?? ''))
		return res.text.split(/\r?\n\r?\n/).map((e) => e.split(/\r?\n/)
		    .filter((l) => l.startsWith('data:'))
		    .map((l) => l.slice(5).replace(/^ /, '')).join('\n'))
		    .filter((d) => d !== '').map((d) => JSON.parse(d));
	return res.text === '' ? [] : [JSON.parse(res.text)].flat();
}

export class Mcp {
	constructor(url, { token, version = '2025-11-25', agent } = {}) {
		this.url = url;
		this.token = token;
		this.version = version;
		this.agent = agent;
		this.workers = new Set();
		this.next = 1;
	}

	headers(extra = {}) {
		return {
			'content-type': 'application/json',
			accept: 'application/json, text/event-stream',
			...(this.token && { authorization: `Bearer ${this.token}` }),
			...(this.session && { 'mcp-session-id': this.session,
			    'mcp-protocol-version': this.version }),
			...extra,
		};
	}

	async send(message, extra = {}) {
		const res = await request(this.url, {
			headers: this.headers(extra), agent: this.agent,
			body: typeof message === 'string' ? message :
			    JSON.stringify(message),
		});
		const id = res.headers['x-mcpgw-worker'];
		if (id !== undefined)
			this.workers.add(id);
		return res;
	}

	// The result of a call; a JSON-RPC error is thrown with its code.
	async call(method, params, { id = this.next++, headers } = {}) {
		const res = await this.send({ jsonrpc: '2.0', id, method,
		    ...(params && { params }) }, headers);
		if (res.status !== 200) {
			const e = new Error(`${method}: ${res.status} ${res.text}`);
			e.status = res.status;
			throw e;
		}
		const all = messages(res);
		const answer = all.find((m) => m.id === id &&
		    m.method === undefined);
		ok(answer, `${method}: no answer with id ${id}: ${res.text}`);
		if (answer.error) {
			const e = new Error(`${method}: ${JSON.stringify(answer.error)}`);
			e.code = answer.error.code;
			throw e;
		}
		return answer.result;
	}

	async notify(method, params) {
		const res = await this.send({ jsonrpc: '2.0', method,
		    ...(params && { params }) });
		ok(res.status === 202, `${method}: ${res.status} ${res.text}`);
	}

	async open(capabilities = {}) {
		const res = await this.send({ jsonrpc: '2.0', id: this.next++,
		    method: 'initialize', params: {
			protocolVersion: this.version, capabilities,
			clientInfo: { name: 'regress', version: '1' },
		    } });
		ok(res.status === 200, `initialize: ${res.status} ${res.text}`);
		const [answer] = messages(res);
		ok(answer.result, `initialize: ${res.text}`);
		this.session = res.headers['mcp-session-id'];
		this.version = answer.result.protocolVersion;
		this.server = answer.result;
		await this.notify('notifications/initialized');
		return this;
	}

	// All pages of a list.
	async list(method, key) {
		const all = [];
		let cursor;
		do {
			const page = await this.call(method, cursor && { cursor });
			all.push(...page[key]);
			cursor = page.nextCursor;
		} while (cursor !== undefined);
		return all;
	}

	tool(name, args = {}, opts) {
		return this.call('tools/call', { name, arguments: args }, opts);
	}

	async close() {
		const res = await request(this.url, { method: 'DELETE',
		    headers: this.headers() });
		return res.status;
	}
}
