// Must be true 3: 64 clients of three revisions with the same ids, the same
// progress tokens and the same subscriptions: calls, questions, cancels,
// disconnects, resumes, updates, log lines and changed lists all at once. No
// message at the wrong client, none lost, none twice, and each is what its
// revision's schema says. ISO-1, ISO-2.
import { full, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp, messages, request } from './lib/mcp.mjs';
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
const UPDATE = note('notifications/resources/updated');
const CHANGED = note('notifications/tools/list_changed');

const toClients = new Schemas(), toBackend = new Schemas();

class Client extends Mcp {
	asked = new Map(); // id: method of a request of ours
	heard = []; // on the GET streams, in order
	got = new Set(); // of those, the lines and the URIs
	lines = 0; // that the backend was told to send
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

	begin(id, token, name, args) {
		return this.open1('POST', {}, { jsonrpc: '2.0', id,
		    method: 'tools/call', params: { name: `talk_${name}`,
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
	    m.params.message === x.nonce), 'another\'s question');
}

const kinds = {
	async echo(x) {
		const s = await x.client.begin(x.id, x.token, 'echo',
		    { nonce: x.nonce });
		await s.end();
		judge(x, [s], 0, JSON.stringify({ nonce: x.nonce }));
	},
	async steps(x) {
		const s = await x.client.begin(x.id, x.token, 'steps',
		    { nonce: x.nonce, n: 4, ms: 2 });
		await s.end();
		judge(x, [s], 4, x.nonce);
		same(s.ended, 'clean', 'end');
	},
	async question(x) {
		const s = await x.client.begin(x.id, x.token, 'ask',
		    { nonce: x.nonce, n: 2 });
		const got = [];
		// The oldest revision has no such question.
		if (x.client.version === '2025-03-26') {
			await s.end();
			const [m] = s.messages.filter(answer(x.id));
			const r = JSON.parse(m.result.content[0].text);
			ok(r.got.every((g) => g.refused), JSON.stringify(m));
			judge(x, [s], 0, m.result.content[0].text);
			same(r.nonce, x.nonce, 'nonce');
			return;
		}
		for (let i = 0; i < 2; i++) {
			const q = await s.next(asked('elicitation/create'));
			same(q.params.message, x.nonce, 'question');
			const result = { action: 'accept',
			    content: { a: `${x.nonce}/${i}` } };
			got.push(result);
			await x.client.tell({ id: q.id, result });
		}
		await s.end();
		judge(x, [s], 0, JSON.stringify({ nonce: x.nonce, got }));
	},
	async cancel(x) {
		const begun = x.client.begin(x.id, x.token, 'steps',
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
		const s = await x.client.begin(x.id, x.token, 'steps',
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
		const s = await x.client.begin(x.id, x.token, 'steps',
		    { nonce: x.nonce, n: 5, ms: 3 });
		await s.next(PROGRESS);
		s.close();
		same(s.messages.filter(PROGRESS).filter((m) =>
		    !m.params.message.startsWith(`${x.nonce}#`)), [], 'foreign');
	},
};

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
	// One at a time: the newest stream wins.
	hop: ({ client }) => {
		const hopped = client.hopping.then(async () => {
			if (client.ear.last !== undefined)
				await client.listen();
		});
		client.hopping = hopped.catch(() => {});
		return hopped;
	},
};
const mix = ['echo', 'echo', 'echo', 'echo', 'steps', 'steps', 'question',
    'cancel', 'resume', 'leave'];
const ears = [...mix, 'lines', 'lines', 'update', 'update', 'hop', 'hop'];

// A client of one of the revisions; every second one listens.
async function client(gw, talker, who) {
	const version = VERSIONS[who % 3];
	const c = await new Client(gw.url, { version }).open(
	    version === '2025-03-26' ? {} : { elicitation: {} });
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
	same(c.heard.length, of(LINE).length + of(UPDATE).length +
	    of(CHANGED).length, 'messages');
	ok(c.ear.ended === undefined, `its stream: ${c.ear.ended}`);
}

run('mixed', async () => {
	const talker = await Talker.start({ quiet: true,
	    watch: (m, method, revision) => toBackend.look(m, method, revision) });
	const gw = await Gateway.start({ config: {
		limits: { streams_per_user: 0 },
		backends: { talk: { url: talker.url, declare: ['elicitation'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const clients = await Promise.all(Array.from({ length: CLIENTS },
	    (_, who) => client(gw, talker, who)));
	const listeners = clients.filter((c) => c.ear);
	const bad = {}, done = {};
	const nonces = [];
	let calls = 0, changes;
	await test(`ISO-1 ISO-2 ${CALLS} calls of ${CLIENTS} clients, mixed`,
	    async () => {
		let going = true;
		const lane = async (c, l) => {
			const of = c.ear ? ears : mix;
			for (let i = 0; calls < CALLS; i++) {
				const kind = of[Math.floor(Math.random() * of.length)];
				const x = { client: c, talker,
				    nonce: `${c.who}/${l}/${i}/${Math.random()}`,
				    id: i * LANES + l, token: l };
				if (kinds[kind]) {
					calls++;
					nonces.push(x.nonce);
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
		console.log(`# mixed: ${calls} calls, ${JSON.stringify(done)}`);
	}, { timeout: full ? 1_500_000 : 180_000 });
	await test('ISO-2 each call reached the backend once', async () => {
		await sleep(200);
		const counts = nonces.map((n) => talker.runs.get(n) ?? 0);
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
			    ...(v === '2025-03-26' ? [] : ['ElicitRequest'])])
				ok(toClients.seen[`${v} ${k}`] > 0, `no ${v} ${k}`);
	});
	await test('SCHEMA all that their backend was sent', async () => {
		console.log(`# to the backend: ${JSON.stringify(toBackend.seen)}`);
		toBackend.judge();
		for (const k of ['InitializeRequest', 'CallToolRequest',
		    'ElicitResult', 'CancelledNotification', 'SubscribeRequest',
		    'UnsubscribeRequest'])
			ok(toBackend.seen[`2025-11-25 ${k}`] > 0, `no ${k}`);
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
