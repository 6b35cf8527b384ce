// Must be true 4 but for the deaths, and the questions of issue 3: GET streams,
// resumption, questions in and outside of calls, with every message on a worker of the
// test's choice. SSE-3 (legacy side).
import { alike, ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, asked, note } from './lib/sse.mjs';
import { Talker, questions } from './lib/talker.mjs';

const CAPS = { elicitation: { form: {}, url: {} }, sampling: { tools: {} },
    roots: { listChanged: true } };
const LOG = 'notifications/message';

const results = {
	form: { action: 'accept', content: { a: 'yes' } },
	url: { action: 'accept' },
	sampling: { role: 'assistant', model: 'm',
	    content: { type: 'text', text: 'said' } },
	tools: { role: 'assistant', model: 'm', stopReason: 'toolUse',
	    content: [{ type: 'tool_use', id: 'u1', name: 'dig',
		input: { deep: 1 } }] },
	roots: { roots: [{ uri: 'file:///r', name: 'r' }] },
};
const methods = Object.fromEntries(Object.entries(questions).map(
    ([mode, [make]]) => [mode, make('').method]));

let serial = 0;
const fresh = (what) => `${what}-${++serial}`;

// A session with its upstream session: {peer, up}.
async function session(x, caps = CAPS, opts = {}) {
	const peer = await new Peer(x.gw.url, x.pins, opts).open(caps);
	const nonce = fresh('open');
	await peer.tool('talk_echo', { nonce });
	return { peer, up: x.talker.sessionOf(nonce), nonce };
}

// Its GET stream, fed by the backend.
async function streaming(x, worker, s = undefined, opts = {}) {
	s ??= await session(x);
	const gets = x.talker.heard.filter(([m, id]) => m === 'GET' &&
	    id === s.up.id).length;
	const g = await s.peer.get({ worker, ...opts });
	same(g.status, 200, 'GET');
	await until('the backend\'s stream', () => x.talker.heard.filter(
	    ([m, id]) => m === 'GET' && id === s.up.id).length > gets);
	return { ...s, g };
}

const lines = (g) => g.messages.filter(note(LOG)).map((m) => m.params.data);
const say = (x, up, data) => x.talker.log('error', data, up);

// ---- GET streams ----

async function listChanged(x) {
	const { peer, g } = await streaming(x, x.a);
	const name = fresh('tool');
	await x.talker.add(name);
	await g.next(note('notifications/tools/list_changed'), 'list_changed');
	for (const worker of [x.a, x.b]) {
		const s = await peer.ask('tools/list', {}, { worker });
		const m = await s.next(answer(s.rpcId));
		ok(m.result.tools.some((t) => t.name === `talk_${name}`),
		    `not in the list of worker ${worker}`);
		const c = await peer.start(`talk_${name}`, {}, { worker });
		same((await c.next(answer(c.rpcId))).result.content[0].text, name,
		    'the new tool');
	}
	await sleep(1500);
	same(g.messages.filter((m) => /list_changed/.test(m.method)).length, 1,
	    'list_changed messages');
	g.close();
}

async function updates(x) {
	const one = await streaming(x, x.a), two = await streaming(x, x.b);
	const uri = 'talk://one';
	const sub = async (s, method, worker) => {
		const r = await s.peer.ask(method, { uri }, { worker });
		same((await r.next(answer(r.rpcId))).result, {}, method);
	};
	await sub(one, 'resources/subscribe', x.b);
	await sub(one, 'resources/subscribe', x.a);
	await x.talker.touch(uri);
	same((await one.g.next(note('notifications/resources/updated')))
	    .params, { uri }, 'updated');
	await x.talker.touch('talk://two');
	await sub(one, 'resources/unsubscribe', x.a);
	await until('the backend to know', () => !one.up.uris.has(uri));
	await x.talker.touch(uri);
	await say(x, one.up, 'mark');
	await one.g.next(note(LOG));
	const seen = (s) => s.g.messages.filter(
	    note('notifications/resources/updated')).length;
	same([seen(one), seen(two)], [1, 0], 'updates of both sessions');
	one.g.close();
	two.g.close();
}

// One more than is remembered is refused, and not forgotten later.
async function tooMany(x) {
	const { peer } = await session(x);
	const ask = async (method, n, worker) => {
		const r = await peer.ask(method, { uri: `talk://many/${n}` },
		    { worker });
		return r.next(answer(r.rpcId));
	};
	for (let n = 0; n < 64; n++)
		same((await ask('resources/subscribe', n, n % 2 ? x.a : x.b))
		    .result, {}, `subscription ${n}`);
	for (const worker of [x.a, x.b])
		ok(/too many/.test((await ask('resources/subscribe', 64, worker))
		    .error.message), 'the 65th');
	same((await ask('resources/subscribe', 5, x.a)).result, {}, 'again');
	same((await ask('resources/unsubscribe', 7, x.a)).result, {}, 'one off');
	await until('room for another', async () =>
	    (await ask('resources/subscribe', 64, x.b)).result);
}

async function levels(x) {
	const { peer, up, g } = await streaming(x, x.a);
	const r = await peer.ask('logging/setLevel', { level: 'warning' },
	    { worker: x.b });
	same((await r.next(answer(r.rpcId))).result, {}, 'setLevel');
	same(up.level, 'warning', 'the level at the backend');
	await x.talker.log('info', 'too low', up);
	await x.talker.log('error', 'high enough', up);
	same((await g.next(note(LOG), 'the line')).params.data, 'high enough',
	    'the first line');
	same(lines(g), ['high enough'], 'lines');
	g.close();
}

async function outside(x, mode) {
	const { peer, up, g } = await streaming(x, x.a);
	const nonce = fresh('q');
	const got = x.talker.ask(up, mode, nonce);
	const q = await g.next(asked(methods[mode]), 'the question');
	ok(new RegExp(`^${x.a}\\.\\d+$`).test(q.id), `its id: ${q.id}`);
	same(q.params, questions[mode][0](nonce).params, 'params');
	same(await peer.say({ id: q.id, result: results[mode] },
	    { worker: x.b }), 202, 'the answer');
	alike(await got, results[mode], 'what the backend heard');
	g.close();
}

async function newest(x, first, second) {
	const s = await streaming(x, first);
	const g2 = await s.peer.get({ worker: second });
	await s.g.end();
	same(s.g.ended, 'clean', 'the end of the older');
	await until('the other to be fed', async () => {
		await say(x, s.up, 'for the newest');
		return lines(g2).length > 0;
	}, 5000, 200);
	same(lines(s.g), [], 'lines on the older');
	g2.close();
}

// ---- resumption ----

async function resumeGet(x, there) {
	const s = await streaming(x, x.a);
	await say(x, s.up, '1');
	await s.g.next(note(LOG));
	const last = s.g.last;
	s.g.close();
	await sleep(100);
	for (const n of ['2', '3', '4'])
		await say(x, s.up, n);
	const g = await s.peer.get({ worker: there, last });
	await until('what was missed', () => lines(g).length >= 3, 5000);
	await say(x, s.up, '5');
	await until('what follows', () => lines(g).length >= 4, 5000);
	await sleep(200);
	same(lines(g), ['2', '3', '4', '5'], 'lines');
	// And once more, from where that one was.
	const g2 = await s.peer.get({ worker: x.b, last: g.last });
	await g.end();
	await say(x, s.up, '6');
	await until('the next', () => lines(g2).length > 0, 5000);
	same(lines(g2), ['6'], 'lines of the third');
	g2.close();
}

// Whoever comes back to a stream that has been replaced, or given up, gets one
// that lives, and not the end of the old one again and again.
async function resumeReplaced(x) {
	const s = await streaming(x, x.a);
	await say(x, s.up, '1');
	await s.g.next(note(LOG));
	const g2 = await s.peer.get({ worker: x.a });
	await s.g.end();
	await sleep(2500);
	const g3 = await s.peer.get({ worker: x.a, last: s.g.last });
	await until('it to be fed', async () => {
		ok(g3.ended === undefined, `it ended: ${g3.ended}`);
		await say(x, s.up, 'on');
		return lines(g3).includes('on');
	}, 8000, 300);
	g2.close();
	g3.close();
}

const steps = (s) => s.messages.filter(note('notifications/progress'))
    .map((m) => m.params.message);

async function resumePost(x, there, wait) {
	const { peer } = await session(x);
	const nonce = fresh('steps');
	const c = await peer.start('talk_steps', { nonce, n: 6, ms: 150 },
	    { worker: x.a, token: 'tok' });
	await until('two steps', () => steps(c).length >= 2);
	const last = c.last, before = steps(c);
	c.close();
	await sleep(wait);
	const g = await peer.get({ worker: there, last });
	same(g.status, 200, 'GET');
	const m = await g.next(answer(c.rpcId), 'the answer');
	same(m.result.content[0].text, nonce, 'result');
	await g.end();
	same(g.ended, 'clean', 'the end');
	same([...before, ...steps(g)],
	    [1, 2, 3, 4, 5, 6].map((i) => `${nonce}#${i}`), 'steps');
	ok(g.messages.every((p) => p.method === undefined ||
	    p.params.progressToken === 'tok'), 'the client\'s own token');
}

const changes = (g) => g.messages.filter((m) => m.id === undefined &&
    m.method !== LOG).map((m) => m.params?.uri ?? m.method).sort();
const anew = ['notifications/resources/list_changed',
    'notifications/tools/list_changed', 'talk://one'];

// More events than are kept: the client gets those that are left, and hears
// that it has to look again.
async function gap(x, there) {
	const s = await streaming(x, x.a);
	await (await s.peer.ask('resources/subscribe', { uri: 'talk://one' },
	    { worker: x.b })).end();
	await say(x, s.up, 'first');
	await s.g.next(note(LOG));
	const { last } = s.g;
	s.g.close();
	await sleep(200);
	for (let i = 0; i < 300; i++)
		await say(x, s.up, `n${i}`);
	await sleep(300);
	const g = await s.peer.get({ worker: there, last });
	await g.next((m) => m.params?.uri === 'talk://one');
	const got = lines(g);
	ok(got.length >= 250 && got.length < 300, `${got.length} lines`);
	same(got, Array.from({ length: got.length }, (_, i) =>
	    `n${300 - got.length + i}`), 'lines');
	same(changes(g), anew, 'what it hears of');
	await say(x, s.up, 'on');
	await g.next((m) => m.params?.data === 'on');
	g.close();
}

// A stream of a worker that is not there any more, and one that never was.
async function noStream(x) {
	const s = await session(x);
	await (await s.peer.ask('resources/subscribe', { uri: 'talk://one' }))
	    .end();
	for (const last of ['1.1.1', 'what']) {
		const { g } = await streaming(x, x.b, s, { last });
		await g.next((m) => m.params?.uri === 'talk://one');
		same(changes(g), anew, last);
		g.close();
	}
	const { g } = await streaming(x, x.b, s);
	await say(x, s.up, 'mark');
	await g.next(note(LOG));
	same(changes(g), [], 'without Last-Event-ID');
	g.close();
}

// A question that has gone from the log before the client came back is refused:
// the call does not wait for it.
async function drowned(x) {
	const { peer } = await session(x);
	const nonce = fresh('drown');
	const c = await peer.start('talk_drown', { nonce, n: 400 },
	    { worker: x.a, token: 'tok' });
	await until('a step', () => steps(c).length === 1);
	const { last } = c;
	c.close();
	await sleep(200);
	x.talker.held.get(nonce)();
	await sleep(1000);
	const g = await peer.get({ worker: x.b, last });
	const m = await g.next(answer(c.rpcId), 'the answer');
	ok(JSON.parse(m.result.content[0].text).got.refused,
	    m.result.content[0].text);
	const got = steps(g);
	same(got, Array.from({ length: got.length }, (_, i) =>
	    `${nonce}#${401 - got.length + i}`), 'steps');
	// Who may have seen it is told, too, that nobody waits for it.
	same(g.messages.filter(note('notifications/cancelled')).length, 1,
	    'taken back');
	ok(got.length >= 250 && g.messages.length === got.length + 2, 'messages');
}

async function priming(x) {
	for (const [version, primed] of [['2025-11-25', true],
	    ['2025-06-18', false], ['2025-03-26', false]]) {
		const s = await session(x, {}, { version });
		const { g } = await streaming(x, x.a, s);
		const c = await s.peer.start('talk_steps', { nonce: 'p', n: 1 },
		    { token: 1 });
		await c.end();
		await say(x, s.up, 'x');
		await g.next(note(LOG));
		for (const e of [g.events[0], c.events[0]]) {
			same(e.data === '', primed, `${version}: primed`);
			ok(e.id, `${version}: an id`);
			same(e.retry !== undefined, primed, `${version}: retry`);
		}
		g.close();
	}
}

// ---- questions in mid-call ----

async function asking(x, mode, n = 1) {
	const { peer } = await session(x);
	const nonce = fresh('ask');
	const c = await peer.start('talk_ask', { nonce, mode, n },
	    { worker: x.a });
	const q = await c.next(asked(methods[mode]), 'the question');
	return { peer, nonce, c, q };
}

const heard = (m) => JSON.parse(m.result.content[0].text).got;

async function inCall(x, mode) {
	const { peer, c, q, nonce } = await asking(x, mode, 3);
	same(q.params, questions[mode][0](nonce).params, 'params');
	const ids = [q.id];
	same(await peer.say({ id: q.id, result: results[mode] },
	    { worker: x.b }), 202, 'the answer');
	for (const worker of [x.a, x.b]) {
		const next = await c.next(asked(methods[mode]), 'the next');
		ids.push(next.id);
		await peer.say({ id: next.id, result: results[mode] }, { worker });
	}
	const m = await c.next(answer(c.rpcId), 'the result');
	alike(heard(m), [1, 2, 3].map(() => results[mode]), 'heard');
	same(new Set(ids).size, 3, 'ids');
	same(c.messages.filter(note('notifications/elicitation/complete'))
	    .map((p) => p.params.elicitationId),
	    mode === 'url' ? [`e-${nonce}`] : [], 'completions');
	await c.end();
	same(c.ended, 'clean', 'the end');
}

async function refusedByClient(x) {
	const { peer, c, q } = await asking(x, 'form');
	await peer.say({ id: q.id, error: { code: -1, message: 'not now' } },
	    { worker: x.b });
	const m = await c.next(answer(c.rpcId), 'the result');
	ok(/not now/.test(heard(m)[0].refused), JSON.stringify(m));
}

async function answeredTwice(x) {
	const { peer, c, q } = await asking(x, 'form', 2);
	await peer.say({ id: q.id, result: results.form }, { worker: x.b });
	const second = await c.next(asked(methods.form), 'the second');
	for (const worker of [x.a, x.b])
		same(await peer.say({ id: q.id, result: { action: 'cancel' } },
		    { worker }), 202, 'the same again');
	await sleep(100);
	await peer.say({ id: second.id, result: { action: 'decline' } },
	    { worker: x.b });
	same(heard(await c.next(answer(c.rpcId))),
	    [results.form, { action: 'decline' }], 'heard');
}

async function answeredByAnother(x) {
	const { peer, c, q } = await asking(x, 'form');
	const { peer: mallory } = await session(x);
	for (const worker of [x.a, x.b])
		for (const id of [q.id, q.id.replace(/\d+$/, (n) => `0${n}`),
		    1, '1', `${x.b}.1`, '0.0', '99999999999999999999999.1'])
			same(await mallory.say({ id,
			    result: { action: 'accept', content: { a: 'evil' } } },
			{ worker }), 202, 'another\'s answer');
	await sleep(100);
	same(c.messages.filter(answer(c.rpcId)), [], 'answered by another');
	await peer.say({ id: q.id, result: results.form }, { worker: x.b });
	same(heard(await c.next(answer(c.rpcId))), [results.form], 'heard');
}

async function neverAnswered(x) {
	const { peer } = await session(x);
	const nonce = fresh('never'), t0 = Date.now();
	const c = await peer.start('short_ask', { nonce }, { worker: x.a });
	await c.next(asked(methods.form), 'the question');
	let calls = 0;
	while (!c.messages.some(answer(c.rpcId)) && Date.now() - t0 < 9000) {
		const r = await peer.tool(['talk_echo', 'short_echo'][calls % 2],
		    { nonce: 'other' });
		ok(!r.isError, JSON.stringify(r));
		calls++;
		await sleep(20);
	}
	const m = await c.next(answer(c.rpcId), 'an end', 100);
	ok(m.result.isError && /"short"/.test(m.result.content[0].text),
	    JSON.stringify(m));
	// Silence is no reason while a question is with the user: max_time is.
	const ms = Date.now() - t0;
	ok(ms >= 3900 && ms <= 5500, `after ${ms} ms`);
	await until('the backend to know', () =>
	    x.talker.cancelled.includes(nonce));
	ok(calls > 20, `${calls} calls meanwhile`);
}

// A client of these revisions that loses its connection has not cancelled.
async function clientGone(x) {
	const { peer, c, q, nonce } = await asking(x, 'form', 2);
	const last = c.last;
	c.close();
	await sleep(100);
	await peer.say({ id: q.id, result: results.form }, { worker: x.b });
	await sleep(200);
	const g = await peer.get({ worker: x.b, last });
	const second = await g.next(asked(methods.form), 'the second question');
	await peer.say({ id: second.id, result: results.form },
	    { worker: x.b });
	same(heard(await g.next(answer(c.rpcId))),
	    [results.form, results.form], 'heard');
	same(g.messages.filter(asked(methods.form)).length, 1, 'asked');
	await g.end();
	ok(!x.talker.cancelled.includes(nonce), 'cancelled');
}

async function undeclared(x) {
	const form = { elicitation: { form: {} } };
	for (const [caps, able, declared = caps, version] of [[{}, []],
	    [{ elicitation: {} }, ['form'], form],
	    [{ elicitation: { url: {} } }, ['url']],
	    [{ sampling: {} }, ['sampling']],
	    [{ sampling: { context: {} } }, ['sampling']],
	    [{ sampling: { tools: {}, context: {} } }, ['sampling', 'tools']],
	    [{ sampling: { tools: {} }, elicitation: { url: {} } },
		['sampling', 'form'], { sampling: {}, ...form }, '2025-06-18'],
	    [{ roots: {} }, ['roots']],
	    [{ roots: { listChanged: true } }, ['roots']]]) {
		const { peer, up } = await session(x, caps, { version });
		alike(up.server.getClientCapabilities(), declared,
		    'declared at the backend');
		for (const mode of Object.keys(questions)) {
			const c = await peer.start('talk_ask',
			    { nonce: fresh('u'), mode });
			const m = await c.next((p) => p.id !== undefined);
			same(m.method === methods[mode] || m.method !== undefined,
			    able.includes(mode), `${JSON.stringify(caps)}: ${mode}`);
			if (m.method !== undefined)
				await peer.say({ id: m.id, result: results[mode] });
			else
				ok(m.result && heard(m)[0].refused,
				    JSON.stringify(m));
			await c.end();
		}
	}
}

// The token of the backend is its own: another's may be the same.
async function patient(x, there) {
	const two = [];
	for (let i = 0; i < 2; i++) {
		const { peer } = await session(x);
		const nonce = fresh('patient');
		const c = await peer.start('talk_patient', { nonce },
		    { worker: x.a });
		const q = await c.next(asked(methods.sampling), 'the question');
		two.push({ peer, nonce, c, q });
	}
	ok(two[0].q.params._meta.progressToken !==
	    two[1].q.params._meta.progressToken, 'one token for both');
	for (const { peer, nonce, q } of two)
		for (let n = 1; n <= 12; n++)
			same(await peer.say({ method: 'notifications/progress',
			    params: { progressToken: q.params._meta.progressToken,
				progress: n, message: `${nonce}#${n}` } },
			{ worker: there }), 202, 'progress');
	// Whoever does not have the question tells nobody.
	await two[0].peer.say({ method: 'notifications/progress', params: {
	    progressToken: two[1].q.params._meta.progressToken, progress: 3,
	    message: 'foreign' } }, { worker: there });
	for (const { peer, nonce, c, q } of two) {
		await peer.say({ id: q.id, result: results.sampling },
		    { worker: there });
		const m = await c.next(answer(c.rpcId));
		same(JSON.parse(m.result.content[0].text).told,
		    Array.from({ length: 12 }, (_, i) => `${nonce}#${i + 1}`),
		    'told');
	}
}

async function takenBack(x) {
	const { peer } = await session(x);
	const nonce = fresh('moody');
	const c = await peer.start('talk_moody', { nonce }, { worker: x.a });
	const q = await c.next(asked(methods.form), 'the question');
	x.talker.moods.get(nonce)();
	const off = await c.next(note('notifications/cancelled'), 'the cancel');
	same(off.params.requestId, q.id, 'what is cancelled');
	ok(/changed my mind/.test(off.params.reason), off.params.reason);
	const m = await c.next(answer(c.rpcId));
	same(JSON.parse(m.result.content[0].text).got, 'taken back', 'result');
	// An answer that comes all the same is nobody's.
	same(await peer.say({ id: q.id, result: results.form },
	    { worker: x.b }), 202, 'late');
}

async function rootsChanged(x) {
	const { peer, up } = await session(x);
	for (const worker of [x.a, x.b])
		await peer.say({ method: 'notifications/roots/list_changed' },
		    { worker });
	await until('the backend to hear', () => x.talker.heard.filter(
	    ([what, id]) => what === 'roots' && id === up.id).length === 2);
}

async function pinged(x) {
	const { g, up } = await streaming(x, x.a);
	await x.talker.ping(up);
	same(g.messages, [], 'on the client\'s stream');
	g.close();
}

run('streams', async () => {
	const talker = await Talker.start();
	const declare = ['sampling', 'elicitation', 'roots'];
	const gw = await Gateway.start({ config: {
		backends: {
			talk: { url: talker.url, declare },
			short: { url: talker.url, declare, timeout: '2s',
			    max_time: '4s' },
		},
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const x = { gw, talker, pins: new Pins(gw.base) };
	[x.a, x.b] = await x.pins.two();
	await test('STREAM list_changed reaches the GET stream', () =>
	    listChanged(x));
	await test('STREAM updates of subscribed resources', () => updates(x));
	await test('STREAM more subscriptions than are kept', () => tooMany(x));
	await test('STREAM log lines from the level on', () => levels(x));
	for (const mode of Object.keys(questions))
		await test(`STREAM a question outside of a call: ${mode}`, () =>
		    outside(x, mode));
	await test('STREAM the newest GET wins, on another worker', () =>
	    newest(x, x.a, x.b));
	await test('STREAM the newest GET wins, on the same worker', () =>
	    newest(x, x.a, x.a));
	for (const [where, there] of [['the same', 'a'], ['the other', 'b']]) {
		await test(`RESUME a GET stream on ${where} worker`, () =>
		    resumeGet(x, x[there]));
		await test(`RESUME a call on ${where} worker`, () =>
		    resumePost(x, x[there], 50));
		await test(`RESUME a call that has ended on ${where} worker`, () =>
		    resumePost(x, x[there], 1200));
	}
	await test('RESUME a stream that was replaced', () =>
	    resumeReplaced(x));
	for (const where of ['a', 'b'])
		await test(`RESUME with a gap, worker ${where}`, () =>
		    gap(x, x[where]));
	await test('RESUME a stream that is not there', () => noStream(x));
	await test('RESUME a question that has gone', () => drowned(x));
	await test('RESUME priming events from 2025-11-25 on', () => priming(x));
	for (const mode of Object.keys(questions))
		await test(`ASK in a call, answered elsewhere: ${mode}`, () =>
		    inCall(x, mode));
	await test('ASK and the client refuses', () => refusedByClient(x));
	await test('ASK and the client answers twice', () => answeredTwice(x));
	await test('ASK and another session answers', () =>
	    answeredByAnother(x));
	await test('ASK and nobody answers', () => neverAnswered(x));
	await test('SSE-3 ASK and the client goes and comes back', () =>
	    clientGone(x));
	await test('ASK only what the client has declared', () => undeclared(x));
	await test('ASK changed roots are passed on', () => rootsChanged(x));
	for (const where of ['the same', 'another'])
		await test(`ASK progress of a question, from ${where} worker`, () =>
		    patient(x, where === 'the same' ? x.a : x.b));
	await test('ASK a question is taken back', () => takenBack(x));
	await test('ASK a backend\'s ping is answered here', () => pinged(x));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
