// Must be true 3: 64 clients of three revisions and two grants, at two backends
// that are alike, with the same ids, the same progress tokens and the same
// subscriptions: calls, questions of every kind, cancels, disconnects, resumes,
// updates, log lines and changed lists all at once. No message at the wrong
// client, none lost, none twice, and each is what its revision's schema says. ISO-1, ISO-2.
import { full, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp, messages, request } from './lib/mcp.mjs';
import { Client as Grant } from './lib/oauth.mjs';
import { Schemas } from './lib/schema.mjs';
import { Sse, answer, asked, note } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const CLIENTS = 64;
const LANES = 2;
const CALLS = Number(process.env.CALLS ?? (full ? 100_000 : 5000));
const VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'];
// What half of those who listen have subscribed to, each.
const SHARED = ['talk://one', 'talk://two'];

const PROGRESS = note('notifications/progress');
const LINE = note('notifications/message');
const QUESTION = asked('sampling/createMessage');
const UPDATE = note('notifications/resources/updated');
const CHANGED = note('notifications/tools/list_changed');

const toClients = new Schemas(), toBackend = new Schemas();

class Client extends Mcp {
	asked = new Map(); // id: method of a request of ours
	heard = []; // on the GET streams, in order
	got = new Set(); // of those, the lines and the URIs
	lines = 0; // that the backend was told to send
	asks = 0; // questions of the backend outside of calls
	uris = []; // of one update each

	#look(m, status) {
		toClients.look(m, this.asked.get(m.id), this.version, status);
	}

	async send(message, extra) {
		this.asked.set(message.id, message.method);
		const res = await super.send(message, extra);
		for (const m of messages(res)) {
			this.version = m.result?.protocolVersion ?? this.version;
			this.#look(m, res.status);
		}
		return res;
	}

	open1(method, headers, message, heard) {
		if (message !== undefined)
			this.asked.set(message.id, message.method);
		return Sse.open(this.url, { method, headers: this.headers(headers),
		    body: message && JSON.stringify(message), saw: (m, s) => {
			this.#look(m, s.status);
			if (heard !== undefined) {
				heard.push(m);
				this.got.add(m.params?.data ?? m.params?.uri);
			}
		    } }).then((s) => {
			this.workers.add(s.worker);
			return s;
		});
	}

	// The GET stream, from where the one before was.
	async listen() {
		const last = this.ear?.last;
		this.ear?.close();
		this.ear = await this.open1('GET', { accept: 'text/event-stream',
		    ...(last !== undefined && { 'last-event-id': last }) },
		undefined, this.heard);
		same(this.ear.status, 200, 'GET');
	}

	begin({ id, token, at }, name, args) {
		return this.open1('POST', {}, { jsonrpc: '2.0', id,
		    method: 'tools/call', params: { name: `${at}_${name}`,
			arguments: args, _meta: { progressToken: token } } });
	}

	resume(last) {
		return this.open1('GET', { accept: 'text/event-stream',
		    'last-event-id': last });
	}

	async tell(message) {
		const r = await request(this.url, { headers: this.headers(),
		    body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
		same(r.status, 202, 'posted');
	}
}

// Whether a question, or what is said of one, is of a call.
const of = ({ method, params: p }, { nonce }) => method === 'roots/list' ||
    (p.message ?? p.messages?.[0].content.text) === nonce ||
    p.elicitationId === `e-${nonce}`;

// How a client declares that it takes questions, and how it answers each.
const takes = {
	'2025-03-26': { sampling: {}, roots: {} },
	'2025-06-18': { sampling: {}, roots: {}, elicitation: {} },
	'2025-11-25': { sampling: {}, roots: {},
	    elicitation: { form: {}, url: {} } },
};
const modes = {
	form: (n) => ({ action: 'accept', content: { a: n } }),
	url: () => ({ action: 'accept' }),
	sampling: (n) => ({ model: 'm', role: 'assistant',
	    content: { type: 'text', text: n } }),
	roots: (n) => ({ roots: [{ uri: `file:///${n}` }] }),
};
// Those that a revision does not know are asked for all the same.
const unknown = { '2025-03-26': ['form', 'url'], '2025-06-18': ['url'],
    '2025-11-25': [] };

// Everything a call's streams brought must be the call's own; n: of its
// progress messages; result: what its answer must say, undefined for none.
function judge(x, streams, n, result) {
	const all = streams.flatMap((s) => s.messages);
	const steps = all.filter(PROGRESS);
	const answers = all.filter((m) => m.method === undefined);
	same(steps.map((m) => [m.params.progressToken, m.params.message]),
	    Array.from({ length: n }, (_, i) => [x.token,
		`${x.nonce}#${i + 1}`]), 'progress');
	same(answers.map((m) => [m.id, m.result?.content?.[0].text]),
	    result === undefined ? [] : [[x.id, result]], 'answers');
	ok(all.every((m) => PROGRESS(m) || m.method === undefined ||
	    of(m, x)), 'another\'s question');
}

const kinds = {
	async echo(x) {
		const s = await x.client.begin(x, 'echo',
		    { nonce: x.nonce });
		await s.end();
		judge(x, [s], 0, JSON.stringify({ nonce: x.nonce }));
	},
	async steps(x) {
		const s = await x.client.begin(x, 'steps',
		    { nonce: x.nonce, n: 4, ms: 2 });
		await s.end();
		judge(x, [s], 4, x.nonce);
		same(s.ended, 'clean', 'end');
	},
	async question(x) {
		const mode = Object.keys(modes)[Math.floor(Math.random() * 4)];
		const s = await x.client.begin(x, 'ask',
		    { nonce: x.nonce, n: 2, mode });
		const got = [];
		if (unknown[x.client.version].includes(mode)) {
			await s.end();
			const [m] = s.messages.filter(answer(x.id));
			const r = JSON.parse(m.result.content[0].text);
			ok(r.got.every((g) => g.refused), JSON.stringify(m));
			judge(x, [s], 0, m.result.content[0].text);
			same(r.nonce, x.nonce, 'nonce');
			return;
		}
		for (let i = 0; i < 2; i++) {
			const q = await s.next((m) => m.method !== undefined &&
			    m.id !== undefined, 'a question');
			ok(of(q, x), `another's question: ${JSON.stringify(q)}`);
			const result = modes[mode](`${x.nonce}/${i}`);
			got.push(result);
			await x.client.tell({ id: q.id, result });
		}
		await s.end();
		judge(x, [s], 0, JSON.stringify({ nonce: x.nonce, got }));
		x.asked[mode] = (x.asked[mode] ?? 0) + 1;
	},
	async cancel(x) {
		const begun = x.client.begin(x, 'steps',
		    { nonce: x.nonce, n: 1, ms: 5000 });
		const s = await begun;
		await s.next(PROGRESS);
		await x.client.tell({ method: 'notifications/cancelled',
		    params: { requestId: x.id } });
		await s.end();
		judge(x, [s], 1, undefined);
		await until('the cancel at the backend', () =>
		    x.talker.cancelled.includes(x.nonce), 5000);
	},
	async resume(x) {
		const s = await x.client.begin(x, 'steps',
		    { nonce: x.nonce, n: 6, ms: 8 });
		await s.next(PROGRESS);
		s.close();
		const streams = [s];
		for (let i = 0; i < 2; i++) {
			// A stream that has nothing left to bring has no id.
			const r = await x.client.resume(streams.findLast((p) =>
			    p.last !== undefined).last);
			streams.push(r);
			if (i === 0) {
				await until('a message, or the end', () =>
				    r.messages.length > 0 || r.ended, 10_000, 5);
				r.close();
			} else
				await r.end();
		}
		// The first and the second may have had it all.
		judge(x, streams, 6, x.nonce);
	},
	async leave(x) {
		const s = await x.client.begin(x, 'steps',
		    { nonce: x.nonce, n: 5, ms: 3 });
		await s.next(PROGRESS);
		s.close();
		same(s.messages.filter(PROGRESS).filter((m) =>
		    !m.params.message.startsWith(`${x.nonce}#`)), [], 'foreign');
	},
};

// One at a time of those of a client: the newest stream wins.
function inTurn(client, fn) {
	const done = client.hopping.then(fn);
	client.hopping = done.catch(() => {});
	return done;
}

// Of those who listen, on their GET streams: no calls.
const heard = {
	async lines({ client, talker }) {
		for (let i = 0; i < 3; i++)
			await talker.log('error', `${client.who}:${++client.lines}`,
			    client.up);
		const last = `${client.who}:${client.lines}`;
		await until('the line', () => client.got.has(last), 10_000, 10);
	},
	async update({ client, talker }) {
		const uri = `talk://many/${client.who}-${client.uris.length}`;
		client.uris.push(uri);
		same(await client.call('resources/subscribe', { uri },
		    { id: `+${uri}` }), {}, 'subscribe');
		await talker.touch(uri);
		same(await client.call('resources/unsubscribe', { uri },
		    { id: `-${uri}` }), {}, 'unsubscribe');
		await talker.touch(uri);
		await until('the update', () => client.got.has(uri), 10_000, 10);
	},
	// Who has no stream can not be asked: not while he changes it.
	asks: ({ client, talker, nonce }) => inTurn(client, async () => {
		const got = talker.ask(client.up, 'sampling', nonce);
		client.asks++;
		const q = await until('the question', () => client.heard.findLast(
		    (m) => QUESTION(m) && of(m, { nonce })), 10_000, 10);
		const result = modes.sampling(nonce);
		await client.tell({ id: q.id, result });
		same(await got, result, 'what the backend was answered');
	}),
	hop: ({ client }) => inTurn(client, async () => {
		if (client.ear.last !== undefined)
			await client.listen();
	}),
};
const mix = ['echo', 'echo', 'echo', 'echo', 'steps', 'steps', 'question',
    'cancel', 'resume', 'leave'];
const ears = [...mix, 'lines', 'lines', 'update', 'update', 'asks',
    'hop', 'hop'];

// A client of one of the revisions; every second one listens.
async function client(gw, talker, grants, who) {
	const version = VERSIONS[who % 3], token = grants[(who >> 1) % 2];
	const c = await new Client(gw.url, { version, token })
	    .open(takes[version]);
	same(c.version, version, 'revision');
	c.who = who;
	if (who % 2 !== 0)
		return c;
	await c.tool('talk_echo', { nonce: `who ${who}` });
	c.up = talker.sessionOf(`who ${who}`);
	c.hopping = Promise.resolve();
	await c.listen();
	await until('the backend\'s stream', () => c.up.listens);
	c.shared = SHARED[(who / 2) % 2];
	await c.call('resources/subscribe', { uri: c.shared },
	    { id: 'subscribe' });
	return c;
}

// What those who listen have in common comes all the time.
async function background(talker, going) {
	let changes = 0;
	for (let i = 0; going(); i++) {
		if (i % 30 === 0)
			await talker.add(`new${++changes}`);
		await talker.touch(SHARED[i % 2]);
		await sleep(50);
	}
	await talker.add(`new${++changes}`);
	return changes;
}

// What a client has heard is all that was for it, once, and nothing else.
async function judgeEar(c, talker, changes) {
	const of = (pred) => c.heard.filter(pred);
	const told = () => of(UPDATE).map((m) => m.params.uri);
	const shared = () => told().filter((u) => SHARED.includes(u));
	await until('what is on its way', () => of(CHANGED).length > 0 &&
	    of(LINE).length >= c.lines &&
	    shared().length >= (c.up.touched.get(c.shared) ?? 0), 5000);
	same(of(LINE).map((m) => m.params.data), Array.from({ length: c.lines },
	    (_, i) => `${c.who}:${i + 1}`), 'lines');
	same(shared(), Array(c.up.touched.get(c.shared)).fill(c.shared),
	    'updates of what others have too');
	same(told().filter((u) => !SHARED.includes(u)).sort(),
	    [...c.uris].sort(), 'updates of its own');
	// Changes that come fast are told as one.
	ok(of(CHANGED).length <= changes, `${of(CHANGED).length} list_changed ` +
	    `of ${changes}`);
	same([of(QUESTION).length, new Set(of(QUESTION).map((m) => m.id)).size],
	    [c.asks, c.asks], 'questions');
	same(c.heard.length, of(LINE).length + of(UPDATE).length +
	    of(CHANGED).length + c.asks, 'messages');
	ok(c.ear.ended === undefined, `its stream: ${c.ear.ended}`);
}

run('mixed', async () => {
	const make = () => Talker.start({ quiet: true,
	    watch: (m, method, revision) => toBackend.look(m, method, revision) });
	const talker = await make(), talkers = { talk: talker, too: await make() };
	const declare = ['elicitation', 'sampling', 'roots'];
	const gw = await Gateway.start({ config: {
		limits: { streams_per_user: 0 },
		backends: Object.fromEntries(Object.entries(talkers).map(
		    ([name, { url }]) => [name, { url, declare }])),
	} });
	const grants = [];
	for (let i = 0; i < 2; i++)
		grants.push((await Grant.signIn(gw)).tokens.access_token);
	const clients = await Promise.all(Array.from({ length: CLIENTS },
	    (_, who) => client(gw, talker, grants, who)));
	const listeners = clients.filter((c) => c.ear);
	const bad = {}, done = {}, questions = {};
	const nonces = [];
	let calls = 0, changes;
	await test(`ISO-1 ISO-2 ${CALLS} calls of ${CLIENTS} clients, mixed`,
	    async () => {
		let going = true;
		const lane = async (c, l) => {
			const of = c.ear ? ears : mix;
			for (let i = 0; calls < CALLS; i++) {
				const kind = of[Math.floor(Math.random() * of.length)];
				const at = !kinds[kind] || Math.random() < 0.5 ?
				    'talk' : 'too';
				const x = { client: c, at, talker: talkers[at],
				    asked: questions,
				    nonce: `${c.who}/${l}/${i}/${Math.random()}`,
				    id: i * LANES + l, token: l };
				if (kinds[kind]) {
					calls++;
					nonces.push([at, x.nonce]);
				}
				try {
					await (kinds[kind] ?? heard[kind])(x);
					done[kind] = (done[kind] ?? 0) + 1;
				} catch (e) {
					const k = `${kind}: ${e.message.replace(
					    /[\d./]{6,}/g, 'N').slice(0, 160)}`;
					bad[k] = (bad[k] ?? 0) + 1;
				}
			}
		};
		const common = background(talker, () => going);
		await Promise.all(clients.flatMap((c) =>
		    Array.from({ length: LANES }, (_, l) => lane(c, l))));
		going = false;
		changes = await common;
		same(bad, {}, `failed of ${calls}`);
		for (const kind of Object.keys({ ...kinds, ...heard }))
			ok(done[kind] >= CALLS / 50, `${done[kind]} of ${kind}`);
		for (const mode of Object.keys(modes))
			ok(questions[mode] >= CALLS / 400,
			    `${questions[mode]} calls that asked: ${mode}`);
		console.log(`# mixed: ${calls} calls, ${JSON.stringify(done)}, ${
		    JSON.stringify(questions)}`);
	}, { timeout: full ? 1_500_000 : 180_000 });
	await test('ISO-2 each call reached the backend once', async () => {
		await sleep(200);
		const counts = nonces.map(([at, n]) =>
		    talkers[at].runs.get(n) ?? 0);
		same(counts.filter((n) => n !== 1).length, 0,
		    `not once, of ${counts.length}`);
	});
	await test('ISO-2 who listens has heard what was for him, once',
	    async () => {
		await until('the last change', async () => {
			for (const c of listeners)
				if (!(await c.list('tools/list', 'tools')).some((t) =>
				    t.name === `talk_new${changes}`))
					return false;
			return true;
		});
		await sleep(1200);
		for (const c of listeners)
			await judgeEar(c, talker, changes);
		const seen = new Set(clients.flatMap((c) => [...c.workers]));
		same(seen.size, 2, 'workers');
		const n = (pred) => listeners.reduce((all, c) => all +
		    c.heard.filter(pred).length, 0);
		console.log(`# mixed: ${listeners.length} listen: ${n(LINE)} lines, ${
		    n(UPDATE)} updates, ${n(CHANGED)} of ${changes} changes`);
		for (const c of listeners)
			c.ear.close();
	});
	await test('ISO-1 and nothing is left open', async () => {
		await until('the calls to end', async () => {
			const r = await gw.ctl('show', 'workers');
			return r.status === 0;
		});
		const one = await clients[0].tool('talk_echo', { nonce: 'last' });
		ok(!one.isError, JSON.stringify(one));
	});
	await test('SCHEMA all that the 64 were sent, by their revisions',
	    async () => {
		console.log(`# to clients: ${JSON.stringify(toClients.seen)}`);
		toClients.judge();
		for (const v of VERSIONS)
			for (const k of ['InitializeResult', 'CallToolResult',
			    'ProgressNotification', 'ResourceUpdatedNotification',
			    'LoggingMessageNotification', 'EmptyResult',
			    'ToolListChangedNotification',
			    'CreateMessageRequest', 'ListRootsRequest',
			    ...(v === '2025-03-26' ? [] : ['ElicitRequest'])])
				ok(toClients.seen[`${v} ${k}`] > 0, `no ${v} ${k}`);
	});
	await test('SCHEMA all that their backend was sent', async () => {
		console.log(`# to the backend: ${JSON.stringify(toBackend.seen)}`);
		toBackend.judge();
		for (const k of ['InitializeRequest', 'CallToolRequest',
		    'ElicitResult', 'CreateMessageResult', 'ListRootsResult',
		    'CancelledNotification', 'SubscribeRequest',
		    'UnsubscribeRequest'])
			ok(toBackend.seen[`2025-11-25 ${k}`] > 0, `no ${k}`);
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
