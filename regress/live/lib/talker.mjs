// A backend on the official SDK in this process: tools that report progress,
// log, wait and ask; tools that appear; resources that change; and everything
// it has heard. What a test wants of it is a method.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from
    '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {
	CallToolRequestSchema, CreateMessageResultSchema,
	CreateMessageResultWithToolsSchema, ElicitResultSchema,
	EmptyResultSchema, ListPromptsRequestSchema, ListResourcesRequestSchema,
	ListResourceTemplatesRequestSchema,
	ListRootsResultSchema, ListToolsRequestSchema,
	ReadResourceRequestSchema, RootsListChangedNotificationSchema,
	SetLevelRequestSchema, SubscribeRequestSchema, UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { freePort, later, sleep } from './harness.mjs';

const text = (t) => ({ content: [{ type: 'text', text: t }] });

// Events of one session, for Last-Event-ID.
class Events {
	#all = [];

	async storeEvent(streamId, message) {
		const id = `${this.#all.length}-${randomUUID()}`;
		this.#all.push({ id, streamId, message });
		return id;
	}

	async replayEventsAfter(last, { send }) {
		const at = this.#all.findIndex((e) => e.id === last);
		if (at < 0)
			throw new Error('unknown event id');
		const { streamId } = this.#all[at];
		for (const e of this.#all.slice(at + 1))
			if (e.streamId === streamId && e.message.jsonrpc)
				await send(e.id, e.message);
		return streamId;
	}
}

// The requests a server can make, by mode.
export const questions = {
	form: [(n) => ({ method: 'elicitation/create', params: { message: n,
	    requestedSchema: { type: 'object',
		properties: { a: { type: 'string' } } } } }), ElicitResultSchema],
	url: [(n) => ({ method: 'elicitation/create', params: { mode: 'url',
	    message: n, url: 'http://127.0.0.1/x', elicitationId: `e-${n}` } }),
	ElicitResultSchema],
	sampling: [(n) => ({ method: 'sampling/createMessage', params: {
	    messages: [{ role: 'user', content: { type: 'text', text: n } }],
	    maxTokens: 10 } }), CreateMessageResultSchema],
	tools: [(n) => ({ method: 'sampling/createMessage', params: {
	    messages: [{ role: 'user', content: { type: 'text', text: n } }],
	    tools: [{ name: 'dig', inputSchema: { type: 'object' } }],
	    toolChoice: { mode: 'auto' }, maxTokens: 10 } }),
	CreateMessageResultWithToolsSchema],
	roots: [() => ({ method: 'roots/list', params: {} }),
	    ListRootsResultSchema],
};

export class Talker {
	// quiet: does not keep what it hears. watch: is called with each message
	// that comes, the method that it answers, and its revision.
	// prompts: names of them; without, it has no such capability.
	constructor({ names = [], resources = [], prompts, events = false,
	    quiet = false, watch } = {}) {
		this.resources = ['one', 'two', ...resources];
		this.prompts = prompts;
		this.quiet = quiet;
		this.watch = watch;
		this.callers = new Map(); // nonce: session that last called with it
		this.runs = new Map(); // nonce: how often it was called with it
		this.extra = [...names];
		this.events = events;
		this.sessions = new Map(); // id: session
		this.heard = []; // [what, session, …]
		this.moods = new Map(); // nonce: takes its question back
		this.held = new Map(); // nonce: ends the call
		this.cancelled = []; // nonces of calls that were cancelled
		this.slow = 0; // ms that a notification waits before it is read
		this.slowly = 0; // ms until a subscription is answered
		this.unknown = []; // [method, session] of what was answered 404
		this.broken = false; // no session can be begun
		this.streamless = false; // a GET is answered 404
		this.opened = undefined; // called when a GET stream begins
		this.wrote = undefined; // called with what goes onto one
	}

	static async start(opts) {
		const t = new Talker(opts);
		t.port = await freePort();
		t.url = `http://127.0.0.1:${t.port}/mcp`;
		later(() => t.stop());
		await t.listen();
		return t;
	}

	listen() {
		this.http = http.createServer((req, res) => {
			this.#handle(req, res).catch(() => res.destroy());
		});
		this.http.keepAliveTimeout = 60_000;
		return new Promise((r) =>
		    this.http.listen(this.port, '127.0.0.1', r));
	}

	// As if it had been killed: nothing is said to anybody, and every
	// session is forgotten.
	async stop() {
		const h = this.http;
		this.http = undefined;
		this.sessions.clear();
		if (h === undefined)
			return;
		h.closeAllConnections();
		await new Promise((r) => h.close(r));
	}

	// As if it had been killed and were there again at once.
	forget() {
		this.sessions.clear();
		this.http.closeAllConnections();
	}

	async #handle(req, res) {
		const parts = [];
		for await (const p of req)
			parts.push(p);
		const id = req.headers['mcp-session-id'];
		const s = this.sessions.get(id);
		if (id !== undefined && s === undefined) {
			this.unknown.push([req.method, id]);
			res.writeHead(404).end();
			return;
		}
		if (this.streamless && req.method === 'GET') {
			this.#hear('GET', id);
			res.writeHead(404).end();
			return;
		}
		if (this.broken && id === undefined) {
			res.writeHead(500).end();
			return;
		}
		this.#hear(req.method, id);
		if (req.method === 'GET')
			this.#watchStream(s, res);
		if (req.method !== 'POST') {
			await s.transport.handleRequest(req, res);
			return;
		}
		const message = JSON.parse(Buffer.concat(parts));
		this.#hear('message', id, message);
		if (message.params?.arguments?.nonce !== undefined)
			this.callers.set(message.params.arguments.nonce, id);
		this.watch?.(message, s?.asked.get(message.id),
		    s?.revision ?? message.params.protocolVersion);
		if (message.id === undefined)
			await sleep(this.slow);
		const t = s?.transport ?? await this.#open();
		await t.handleRequest(req, res, message);
	}

	#watchStream(s, res) {
		const head = res.writeHead.bind(res), write = res.write.bind(res);
		res.writeHead = (status, ...more) => {
			s.listens = status === 200;
			if (s.listens)
				this.opened?.(s);
			return head(status, ...more);
		};
		res.write = (d, ...more) => {
			this.wrote?.(Buffer.from(d).toString());
			return write(d, ...more);
		};
	}

	#hear(...what) {
		if (!this.quiet)
			this.heard.push(what);
	}

	async #open() {
		const s = { uris: new Set(), touched: new Map(),
		    asked: new Map(), server: this.#server(() => s) };
		s.transport = new StreamableHTTPServerTransport({
			sessionIdGenerator: randomUUID,
			...(this.events && { eventStore: new Events(),
			    retryInterval: 100 }),
			onsessioninitialized: (id) => {
				s.id = id;
				this.sessions.set(id, s);
			},
		});
		s.transport.onclose = () => this.sessions.delete(s.id);
		const send = s.transport.send.bind(s.transport);
		s.transport.send = (m, opts) => {
			if (m.method !== undefined && m.id !== undefined)
				s.asked.set(m.id, m.method);
			s.revision ??= m.result?.protocolVersion;
			return send(m, opts);
		};
		await s.server.connect(s.transport);
		return s.transport;
	}

	#server(session) {
		const server = new Server({ name: 'talker', version: '1' }, {
			capabilities: { tools: { listChanged: true }, logging: {},
			    resources: { subscribe: true, listChanged: true },
			    ...(this.prompts && { prompts: {} }) },
		});
		const on = (schema, fn) => server.setRequestHandler(schema,
		    (r, x) => fn(r.params ?? {}, x));
		on(ListToolsRequestSchema, () => ({ tools: [...Object.keys(
		    this.#tools), ...this.extra].map((name) => ({ name,
		    inputSchema: { type: 'object' } })) }));
		on(CallToolRequestSchema, ({ name, arguments: args = {} }, x) => {
			const { nonce } = args;
			this.runs.set(nonce, (this.runs.get(nonce) ?? 0) + 1);
			return (this.#tools[name] ?? (() => text(name)))(args, x);
		});
		if (this.prompts)
			on(ListPromptsRequestSchema, () => ({ prompts:
			    this.prompts.map((name) => ({ name })) }));
		on(ListResourcesRequestSchema, () => ({ resources: this.resources
		    .map((n) => ({ uri: `talk://${n}`, name: n })) }));
		on(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [
		    { uriTemplate: 'talk://many/{n}', name: 'many' }] }));
		on(ReadResourceRequestSchema, ({ uri }) => ({ contents: [{ uri,
		    text: uri }] }));
		on(SubscribeRequestSchema, async ({ uri }) => {
			await sleep(this.slowly);
			session().uris.add(uri);
			this.heard.push(['subscribe', session().id, uri]);
			return {};
		});
		on(UnsubscribeRequestSchema, ({ uri }) => {
			session().uris.delete(uri);
			this.heard.push(['unsubscribe', session().id, uri]);
			return {};
		});
		on(SetLevelRequestSchema, ({ level }) => {
			session().level = level;
			return {};
		});
		server.setNotificationHandler(RootsListChangedNotificationSchema,
		    () => { this.heard.push(['roots', session().id]); });
		return server;
	}

	#tools = {
		echo: (args) => text(JSON.stringify(args)),
		// n progress messages, ms apart, each with the nonce.
		steps: async ({ nonce, n = 3, ms = 0 }, x) => {
			x.signal.addEventListener('abort', () =>
			    this.cancelled.push(nonce));
			for (let i = 1; i <= n; i++) {
				await this.#progress(x, i, n, `${nonce}#${i}`);
				await sleep(ms);
			}
			return text(nonce);
		},
		// Asks the client once, or n times.
		ask: async ({ nonce, mode = 'form', n = 1 }, x) => {
			const [make, schema] = questions[mode];
			const got = [];
			x.signal.addEventListener('abort', () =>
			    this.cancelled.push(nonce));
			for (let i = 1; i <= n; i++)
				got.push(await x.sendRequest(make(nonce), schema)
				    .catch((e) => ({ refused: e.message })));
			if (mode === 'url' && got.some((g) => g.action))
				await x.sendNotification({
				    method: 'notifications/elicitation/complete',
				    params: { elicitationId: `e-${nonce}` } });
			return text(JSON.stringify({ nonce, got }));
		},
		// Asks with a progress token, and says what it was told of.
		patient: async ({ nonce }, x) => {
			const told = [];
			const [make, schema] = questions.sampling;
			const got = await x.sendRequest(make(nonce), schema, {
				onprogress: (p) => told.push(p.message),
			});
			return text(JSON.stringify({ nonce, told, got }));
		},
		// Asks, and takes the question back when it has been told to.
		moody: async ({ nonce }, x) => {
			const [make, schema] = questions.form;
			const off = new AbortController();
			this.moods.set(nonce, () => off.abort('changed my mind'));
			const got = await x.sendRequest(make(nonce), schema,
			    { signal: off.signal }).catch(() => 'taken back');
			return text(JSON.stringify({ nonce, got }));
		},
		// Says something, waits until held.get(nonce) is called, asks, and
		// says n things more.
		drown: async ({ nonce, n }, x) => {
			await this.#progress(x, 0, n, `${nonce}#0`);
			await new Promise((go) => this.held.set(nonce, go));
			const [make, schema] = questions.form;
			const got = x.sendRequest(make(nonce), schema)
			    .catch((e) => ({ refused: e.message }));
			for (let i = 1; i <= n; i++)
				await this.#progress(x, i, n, `${nonce}#${i}`);
			return text(JSON.stringify({ nonce, got: await got }));
		},
		// Returns after ms unless it is cancelled.
		wait: ({ nonce, ms = 60_000 }, x) => new Promise((done) => {
			const timer = setTimeout(() => done(text(nonce)), ms);
			x.signal.addEventListener('abort', () => {
				clearTimeout(timer);
				this.cancelled.push(nonce);
				done(text('cancelled'));
			});
		}),
		// Returns when held.get(nonce) is called.
		hold: ({ nonce }) => new Promise((done) =>
		    this.held.set(nonce, () => done(text(nonce)))),
		log: async ({ nonce, level = 'info' }, x) => {
			await x.sendNotification({ method: 'notifications/message',
			    params: { level, data: nonce } });
			return text(nonce);
		},
	};

	#progress(x, progress, total, message) {
		const progressToken = x._meta?.progressToken;
		return progressToken === undefined ? undefined :
		    x.sendNotification({ method: 'notifications/progress',
		    params: { progressToken, progress, total, message } });
	}

	// ---- outside of any call, on the GET stream of a session ----

	async add(name) {
		this.extra.push(name);
		for (const s of this.sessions.values())
			await s.server.sendToolListChanged();
	}

	async touch(uri) {
		for (const s of this.sessions.values())
			if (s.uris.has(uri)) {
				s.touched.set(uri, (s.touched.get(uri) ?? 0) + 1);
				await s.server.sendResourceUpdated({ uri });
			}
	}

	async log(level, data, only) {
		for (const s of only ? [only] : this.sessions.values())
			await s.server.notification({
			    method: 'notifications/message',
			    params: { level, data } });
	}

	// The answer of a session's client.
	ask(session, mode, nonce) {
		const [make, schema] = questions[mode];
		return session.server.request(make(nonce), schema);
	}

	ping(session) {
		return session.server.request({ method: 'ping' },
		    EmptyResultSchema);
	}

	// The session in which a call with this nonce came last.
	sessionOf(nonce) {
		return this.sessions.get(this.callers.get(nonce));
	}
}
