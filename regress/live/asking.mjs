// Whole sessions: what a client may use of a backend that comes later, what it
// is asked in its own revision, and what becomes of its answers and of what it
// takes back.
import { CreateMessageResultSchema, ElicitResultSchema } from
    '@modelcontextprotocol/sdk/types.js';
import {
	freePort, ok, run, same, test, until,
} from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { notes } from './lib/backends.mjs';
import { connect, sdks } from './lib/sdk.mjs';
import { Pins } from './lib/pin.mjs';
import { wrong } from './lib/schema.mjs';
import { Peer, answer, asked } from './lib/sse.mjs';
import { Talker, questions } from './lib/talker.mjs';
import {
	Liar, end, event, good, http, json, sse,
} from './fixture/liar.mjs';

const free = { '/mcp': { backends: '*', auth: 'none' } };

// ---- backends that come after the client ----

// Answers nothing until it is let go, then offers all there is.
async function mute() {
	const held = [];
	const answer = (x, result) => http(json(x.id, result), { headers:
	    [`Mcp-Session-Id: m${x.liar.next++}`] });
	const greet = (x) => answer(x, {
		protocolVersion: x.message.params.protocolVersion,
		capabilities: { tools: {}, prompts: {}, logging: {},
		    completions: {}, resources: { subscribe: true } },
		serverInfo: { name: 'mute', version: '1' } });
	const liar = await Liar.start({ tools: [], on: {
		'initialize': (x) => {
			held.push(x);
		},
		'prompts/list': (x) => answer(x, { prompts: [{ name: 'say',
		    arguments: [{ name: 'what' }] }] }),
		'resources/list': (x) => answer(x, { resources: [
		    { uri: 'mute://one', name: 'one' }] }),
		'resources/templates/list': (x) => answer(x,
		    { resourceTemplates: [] }),
		'resources/subscribe': (x) => answer(x, {}),
		'logging/setLevel': (x) => answer(x, {}),
		'completion/complete': (x) => answer(x, { completion: {
		    values: ['loud'] } }),
	} });
	return { liar, letGo() {
		liar.on.initialize = greet;
		for (const x of held)
			x.socket.write(greet(x));
	} };
}

// Capabilities are said once: SDK 2.x refuses what was not among them, 1.x
// leaves that to whoever uses it.
async function latecomers(kind) {
	const port = await freePort();
	const { liar, letGo } = await mute();
	const gw = await Gateway.make({ config: { endpoints: free, backends: {
		notes: { url: `http://127.0.0.1:${port}/mcp` },
		mute: { url: liar.url, timeout: '30s' } } } });
	await gw.start({ ready: false });
	const c = await connect(kind, gw.url);
	const { resources: can, ...caps } = c.getServerCapabilities();
	same(Object.keys(caps).sort(), ['completions', 'logging', 'prompts',
	    'tools'], 'announced');
	ok(can.subscribe, JSON.stringify(can));
	same(await c.listPrompts().then((r) => r.prompts), [],
	    'prompts before there is a backend');
	await notes({}, port);
	letGo();
	const prompts = await until('the prompts of both', async () => {
		const list = (await c.listPrompts()).prompts.map((p) => p.name);
		return list.some((n) => n.startsWith('notes_')) &&
		    list.includes('mute_say') && list;
	});
	const own = prompts.find((n) => n.startsWith('notes_'));
	ok((await c.getPrompt({ name: own, arguments: { id: '1', topic: 'milk' } }))
	    .messages.length > 0, own);
	const { resources } = await c.listResources();
	const [note] = resources.filter((r) => r.uri.startsWith('notes:'));
	ok((await c.readResource({ uri: note.uri })).contents.length > 0,
	    note.uri);
	same((await c.complete({ ref: { type: 'ref/prompt', name: 'mute_say' },
	    argument: { name: 'what', value: 'l' } })).completion.values, ['loud'],
	    'completion');
	await c.subscribeResource({ uri: 'mute://one' });
	await c.setLoggingLevel('error');
	ok(['resources/subscribe', 'logging/setLevel'].every((m) =>
	    liar.seen.some((s) => s.message?.method === m)), 'both have come');
	await c.close();
	// Nothing is said of what no backend has, once all have been seen.
	const silent = await Liar.start();
	gw.config.backends = { silent: { url: silent.url } };
	gw.write();
	await gw.reload();
	await until('only what there is', async () => {
		const d = await connect(kind, gw.url);
		const caps = Object.keys(d.getServerCapabilities());
		await d.close();
		return caps.join() === 'tools';
	});
	await gw.stop();
}

// ---- what a backend does wrong ----

// Calls that it fails, messages of it that belong to nothing, for each lie.
const faults = {
	'echo': [0, 0], 'double-answer': [0, 0], 'unknown-request': [0, 0],
	'foreign-progress': [0, 4], 'wrong-id': [1, 1], 'error-is-text': [1, 1],
	'json-array': [1, 1], 'sse-rubbish': [1, 2], 'status-500': [1, 0],
	'forbidden': [1, 0], 'garbage': [1, 0], 'cut-in-event': [1, 0],
	'empty-stream': [1, 0], 'giant-json': [1, 0], 'hang': [1, 0],
};

async function counted() {
	const [liar, fine] = await Promise.all([Liar.start(), Liar.start()]);
	const gw = await Gateway.start({ config: { endpoints: free, backends: {
		liar: { url: liar.url, timeout: '1s' },
		fine: { url: fine.url } }, limits: { body: '1M' } } });
	const shown = async (name) => JSON.parse((await gw.ctl('-j', 'show',
	    'backends')).out).find((b) => b.backend === name);
	const peer = await new Peer(gw.url, new Pins(gw.base)).open();
	const call = async (lie, worker) => (await peer.start(`liar_${lie}`, {},
	    { worker })).end();
	const before = await shown('liar');
	same([before.failures, before.dropped, before.failed, before.error],
	    [0, 0, null, ''], 'before any call');
	const want = [0, 0];
	// Throws meanwhile, so that until() tells what it was at the end.
	const counts = async () => {
		const b = await shown('liar');
		same([b.failures, b.dropped], want, 'counts');
		return b;
	};
	await Promise.all(gw.workerIds().flatMap((w) => Object.entries(faults)
	    .map(async ([lie, [failures, dropped]]) => {
		want[0] += failures;
		want[1] += dropped;
		await call(lie, w);
	})));
	await until(`${want} of both workers`, counts, 3000);
	// Outside of calls: to the client's GET stream and to the keeper's.
	await peer.get();
	await until('both streams', () => liar.gets.size === 2);
	for (const s of liar.gets)
		s.write(event(json('nobody', {})) + event('{"jsonrpc":'));
	want[1] += 4;
	await until(`${want} with what came outside of calls`, counts, 3000);
	const now = Date.now() / 1000;
	for (const w of gw.workerIds()) {
		want[0]++;
		await call('status-500', w);
	}
	const b = await until(`${want} at last`, counts, 3000);
	same([b.state, b.error], ['up', 'answered HTTP status 500'], 'the last');
	ok(b.failed >= now - 1 && b.failed <= now + 3, `when: ${b.failed}`);
	const other = await shown('fine');
	same([other.failures, other.dropped, other.failed, other.error],
	    [0, 0, null, ''], 'the other backend');
	await gw.stop();
}

// ---- questions that an older revision knows otherwise, or not at all ----

const piece = (text) => ({ type: 'text', text });
const form = (a) => (n) => ({ method: 'elicitation/create', params: {
	message: n, requestedSchema: { type: 'object', properties: { a } } } });
const said = (content) => (n) => ({ method: 'sampling/createMessage', params: {
	messages: [{ role: 'user', content }], maxTokens: 10, systemPrompt: n } });
const titled = { type: 'string', oneOf: [{ const: 'r', title: 'Red' },
    { const: 'g', title: 'Green' }] };
// What is asked, and what clients before 2025-11-25 see; undefined: nothing.
const newer = {
	titled: [form(titled), ElicitResultSchema, form({ type: 'string',
	    enum: ['r', 'g'], enumNames: ['Red', 'Green'] })],
	many: [form({ type: 'array', items: { type: 'string',
	    enum: ['r', 'g'] } }), ElicitResultSchema],
	single: [said([piece('one')]), CreateMessageResultSchema,
	    said(piece('one'))],
	pieces: [said([piece('one'), piece('two')]), CreateMessageResultSchema],
};
const answers = {
	'elicitation/create': { action: 'accept', content: { a: 'r' } },
	'sampling/createMessage': { role: 'assistant', model: 'm',
	    content: piece('fine') },
};
const refusal = /can not be asked that in its protocol version/;

// Of a call's stream or of a GET stream: what comes is what it should be.
async function understood(peer, stream, make, nonce, shows) {
	const { method, params } = (shows ?? make)(nonce);
	const m = await stream.next(asked(method), method);
	same(m.params, params, method);
	same(wrong(m, undefined, peer.version), undefined, peer.version);
	same(await peer.say({ id: m.id, result: answers[method] }), 202, 'taken');
}

async function question(talker, peer, get, mode) {
	const [make, , shows] = newer[mode];
	const modern = peer.version === '2025-11-25';
	const lacks = !modern && shows === undefined ||
	    peer.version < '2025-06-18' && make('').method.startsWith('elicit');
	const nonce = `${mode} ${peer.version}`;
	const s = await peer.start('talk_ask', { nonce, mode });
	const wait = (stream) => understood(peer, stream, make, nonce,
	    modern ? make : shows);
	if (!lacks)
		await wait(s);
	const { result } = await s.next(answer(s.rpcId));
	const { got: [got] } = JSON.parse(result.content[0].text);
	ok(lacks ? /can not be asked that/.test(got.refused) :
	    got.refused === undefined, JSON.stringify(got));
	if (peer.version >= '2025-06-18')
		same(refusal.test(got.refused ?? ''), lacks, 'why');
	same(s.messages.filter((m) => m.method !== undefined).length,
	    lacks ? 0 : 1, 'questions on the stream');
	// The same outside of any call.
	const outside = talker.ask(talker.sessionOf(nonce), mode, nonce)
	    .then((r) => r, (e) => ({ refused: e.message }));
	if (!lacks)
		await wait(get);
	same((await outside).refused !== undefined, lacks, 'outside of a call');
}

async function revisions() {
	Object.assign(questions, newer);
	const talker = await Talker.start();
	const gw = await Gateway.start({ config: { endpoints: free, backends: {
		talk: { url: talker.url, declare: ['sampling', 'elicitation'] } } } });
	await Promise.all(['2024-11-05', '2025-03-26', '2025-06-18',
	    '2025-11-25'].map((version) => test(`questions to a client of ${
		version}`, async () => {
		const peer = await new Peer(gw.url, new Pins(gw.base),
		    { version }).open({ sampling: {}, elicitation: {} });
		await peer.tool('talk_echo', { nonce: version });
		const get = await peer.get();
		await until('its stream', () =>
		    talker.sessionOf(version).listens);
		for (const mode of Object.keys(newer))
			await question(talker, peer, get, mode);
	})));
	await gw.stop();
}

// ---- questions outside of calls that nobody answers ----

const ASKED = 16; // of one backend, open at once

async function unanswered() {
	const [talker, calm] = await Promise.all([Talker.start(),
	    Talker.start()]);
	const gw = await Gateway.start({ config: { endpoints: free, backends: {
		talk: { url: talker.url, declare: ['elicitation'], timeout: '1s',
		    max_time: '4s' },
		calm: { url: calm.url, declare: ['elicitation'] } } } });
	const peer = await new Peer(gw.url, new Pins(gw.base))
	    .open({ elicitation: {} });
	await peer.tool('talk_echo', { nonce: 'n' });
	await peer.tool('calm_echo', { nonce: 'n' });
	const get = await peer.get();
	await until('both streams', () => [talker, calm].every((t) =>
	    t.sessionOf('n').listens));
	const ask = (t, what) => t.ask(t.sessionOf('n'), 'form', what)
	    .catch((e) => e.message);
	const open = [];
	for (let i = 0; i < ASKED; i++)
		open.push(ask(talker, `${i}`));
	const ids = [];
	while (ids.length < ASKED)
		ids.push((await get.next(asked('elicitation/create'))).id);
	ok(/can not be asked that/.test(await ask(talker, 'one more')),
	    'one more than that');
	const answered = async (t, what) => {
		const said = ask(t, what);
		const m = await get.next(asked('elicitation/create'), what);
		same(m.params.message, what, 'asked');
		await peer.say({ id: m.id, result: answers['elicitation/create'] });
		same((await said).content, { a: 'r' }, what);
	};
	await answered(calm, 'another backend');
	for (const said of await Promise.all(open))
		ok(/has not answered in time/.test(said), said);
	const over = () => get.messages.filter((m) =>
	    m.method === 'notifications/cancelled').map((m) =>
	    m.params.requestId);
	await until('they are taken back', () => over().length === ASKED);
	same(over().sort(), ids.sort(), 'taken back');
	await answered(talker, 'later');
	await gw.stop();
}

// ---- what is said to backends while a call is open ----

// Tools that wait: for the answer to a question, or for the end.
async function waiting() {
	const open = new Map(); // id of a question: the call that asks it
	const liar = await Liar.start({ tools: ['wait', 'ask'].map((name) =>
	    ({ name, inputSchema: { type: 'object' } })) });
	liar.closes = 0; // connections that it closes as an answer comes
	liar.on['tools/call'] = (x) => {
		const { name, arguments: args } = x.message.params;
		if (name === 'wait')
			return sse;
		open.set(args.nonce, x);
		return sse + event(JSON.stringify({ jsonrpc: '2.0',
		    id: args.nonce, ...form({ type: 'string' })('?') }));
	};
	liar.on.answer = ({ socket, message }) => {
		if (liar.closes > 0) {
			liar.closes--;
			socket.destroy();
			return undefined;
		}
		const x = open.get(message.id);
		x.socket.write(event(good(x.id, JSON.stringify(message.result))) +
		    end);
		return http('', { status: '202 Accepted', type: null });
	};
	const gw = await Gateway.start({ config: { endpoints: free, backends: {
		liar: { url: liar.url, declare: ['elicitation'], timeout: '3s' },
	} } });
	const peer = await new Peer(gw.url, new Pins(gw.base))
	    .open({ elicitation: {} });
	const ids = gw.workerIds();
	return { liar, gw, peer,
	    pairs: ids.flatMap((a) => ids.map((b) => [a, b])) };
}

// Every answer comes, whichever of both workers it is given to.
async function lost({ liar, peer, pairs }) {
	const told = (nonce) => liar.seen.filter((s) => s.message?.id === nonce &&
	    s.message.method === undefined);
	const round = async (nonce, a, b, closes) => {
		const s = await peer.start('liar_ask', { nonce }, { worker: a });
		const m = await s.next(asked('elicitation/create'));
		liar.closes = closes;
		same(await peer.say({ id: m.id, result: { action: 'accept',
		    content: { a: nonce } } }, { worker: b }), 202, 'taken');
		const { result } = await s.next(answer(s.rpcId));
		return result;
	};
	for (const [a, b] of pairs) {
		const nonce = `q ${a} ${b}`;
		const r = await round(nonce, a, b, 1);
		same(JSON.parse(r.content[0].text), { action: 'accept',
		    content: { a: nonce } }, `${a} to ${b}`);
		same(told(nonce).map((s) => s.message.result.content.a),
		    [nonce, nonce], 'told');
	}
	// One that always closes is not asked for ever.
	const r = await round('never', ...pairs[0], 100);
	ok(r.isError && /in time/.test(r.content[0].text), JSON.stringify(r));
	same(told('never').filter((s) => s.message.result).length, 2,
	    'told in vain');
	liar.closes = 0;
}

// Whoever takes a call back says why, through whichever worker.
async function reasons({ liar, peer, pairs }) {
	const large = 'x'.repeat(20_000);
	for (const [a, b] of pairs)
		for (const reason of ['no "longer" wanted: \u00e9\n', '', undefined,
		    7, large]) {
			const n = liar.seen.length;
			const since = (method, like = () => true) =>
			    liar.seen.slice(n).map((s) => s.message)
				.find((m) => m?.method === method && like(m));
			// Its answer has no head before there is something to say.
			const id = peer.next++;
			const s = peer.start('liar_wait', {}, { worker: a, id })
			    .catch(() => {});
			const call = await until('the call',
			    () => since('tools/call'));
			same(await peer.say({ method: 'notifications/cancelled',
			    params: { requestId: id, reason } },
			{ worker: b }), 202, 'cancel');
			const m = await until('the cancel', () =>
			    since('notifications/cancelled', (c) =>
				c.params.requestId === call.id));
			same(m.params, { requestId: call.id,
			    ...(typeof reason === 'string' && reason !== large &&
			    { reason }) }, `${a} to ${b}`);
			await s;
		}
}

async function meanwhile() {
	const w = await waiting();
	await test('an answer whose connection ends is given once more',
	    () => lost(w));
	await test('the reason of a cancel goes to the backend', () => reasons(w));
	await w.gw.stop();
}

run('asking', async () => {
	await Promise.all([
		meanwhile(),
		revisions(),
		test('questions outside of calls end by max_time, and silence no ' +
		    'other backend', unanswered),
		test('what a backend does wrong is counted by both workers and ' +
		    'shown', counted),
		...Object.keys(sdks).slice(0, 2).map((kind) => test(
		    `${kind}: prompts, resources, completion, logging of ` +
		    'backends that came after it', () => latecomers(kind))),
	]);
});
