// Batches of 2025-03-26 whose parts have more to say than their answers: all of
// it comes on one event stream, and every answer is an event of its own.
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { messages } from './lib/mcp.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, asked, note } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

const PROGRESS = 'notifications/progress';
const LOG = 'notifications/message';

let serial = 0;
const call = (id, name, args = {}, token) => ({ jsonrpc: '2.0', id,
    method: 'tools/call', params: { name: `talk_${name}`,
	arguments: { nonce: `n${++serial}`, ...args },
	...(token !== undefined && { _meta: { progressToken: token } }) } });
const nonce = (c) => c.params.arguments.nonce;
const said = (m) => m.result.content[0].text;
const ping = (id) => ({ jsonrpc: '2.0', id, method: 'ping' });

const client = (x) => new Peer(x.gw.url, x.pins, { version: '2025-03-26' })
    .open({ sampling: {} });

// Each message once, and what belongs to a call before its answer.
function complete(s, calls) {
	const all = s.messages;
	for (const c of calls) {
		same(all.filter(answer(c.id)).length, 1, `answers to ${c.id}`);
		const token = c.params?._meta?.progressToken;
		if (token === undefined)
			continue;
		const mine = all.filter((m) => m.method === PROGRESS &&
		    m.params.progressToken === token);
		same(mine.map((m) => m.params.message), Array.from(
		    { length: c.params.arguments.n ?? 3 }, (_, i) =>
		    `${nonce(c)}#${i + 1}`), `progress of ${c.id}`);
		ok(all.lastIndexOf(mine.at(-1)) < all.findIndex(answer(c.id)),
		    `progress of ${c.id} after its answer`);
	}
	same(all.filter((m) => m.method === undefined).length, calls.length,
	    'answers');
}

// Two with progress, one that asks, one that logs, a list and a ping; the
// answer to the question is part of a batch that another worker takes.
async function everything(x, worker) {
	const peer = await client(x);
	const all = [call(1, 'steps', {}, 'one'), call('1', 'steps', {}, 1),
	    call(2, 'ask', { mode: 'sampling' }), call(3, 'log'),
	    { jsonrpc: '2.0', id: 4, method: 'tools/list' }, ping(5)];
	const s = await peer.post(all, { worker });
	ok(s.stream, `not a stream: ${s.text}`);
	const q = await s.next(asked('sampling/createMessage'));
	const r = await peer.post([{ jsonrpc: '2.0', id: q.id, result: {
	    role: 'assistant', model: 'm',
	    content: { type: 'text', text: 'yes' } } }],
	{ worker: worker === x.a ? x.b : x.a });
	await r.end();
	same([r.status, r.text], [202, ''], 'the answer to the question');
	same(await s.end(), 'clean', 'end');
	complete(s, all);
	const got = (id) => s.messages.find(answer(id));
	same(JSON.parse(said(got(2))).got[0].content.text, 'yes', 'asked');
	same(s.messages.filter(note(LOG)).map((m) => m.params.data),
	    [nonce(all[3])], 'log lines');
	ok(got(4).result.tools.some((t) => t.name === 'talk_echo'), 'list');
	same(got(5).result, {}, 'ping');
	same(new Set(s.events.map((e) => e.id)).size, s.events.length, 'ids');
}

// An answer does not wait for the others, and a call that is cancelled by way
// of another worker has none.
async function asReady(x) {
	const peer = await client(x);
	const held = call(2, 'hold'), off = call(3, 'wait');
	const all = [call(1, 'steps', {}, 'p'), held, off];
	const s = await peer.post(all, { worker: x.a });
	await s.next(answer(1));
	same(s.ended, undefined, 'end');
	same(await peer.say({ method: 'notifications/cancelled',
	    params: { requestId: 3 } }, { worker: x.b }), 202, 'cancel');
	await until('the backend to know', () =>
	    x.talker.cancelled.includes(nonce(off)));
	same(s.ended, undefined, 'end after the cancel');
	x.talker.held.get(nonce(held))();
	same(await s.end(), 'clean', 'end');
	complete(s, [all[0], held]);
}

// The client goes in the middle, and comes back by the other worker: before
// the batch is over, and for the end of it afterwards.
async function back(x, late) {
	const peer = await client(x);
	const all = [call(1, 'steps', { n: 8, ms: 100 }, 'p'), call(2, 'hold'),
	    call(3, 'echo')];
	const first = await peer.post(all, { worker: x.a });
	await first.next((m) => m.params?.progress === 3);
	const last = first.last, had = first.messages.length;
	first.close();
	const finish = () => x.talker.held.get(nonce(all[1]))();
	if (late) {
		finish();
		await until('the calls to have run', () =>
		    x.talker.runs.get(nonce(all[0])) === 1);
		await sleep(1200);
	}
	const second = await peer.get({ worker: x.b, last });
	if (!late) {
		await second.next(answer(1));
		finish();
	}
	same(await second.end(), 'clean', 'end');
	complete({ messages: [...first.messages.slice(0, had),
	    ...second.messages] }, all);
	same(all.map((c) => x.talker.runs.get(nonce(c))), [1, 1, 1], 'runs');
}

// Nothing is lost on a client that does not read for a while, however much
// there is for it.
async function slow(x) {
	const peer = await client(x);
	const big = 'x'.repeat(150 * 1024);
	const all = Array.from({ length: 100 }, (_, i) => i % 10 === 0 ?
	    call(i, 'steps', { n: 5 }, `p${i}`) : call(i, 'echo', { big }));
	const s = await peer.post(all, { worker: x.b });
	s.req.res.pause();
	await until('all to have run', () => all.every((c) =>
	    x.talker.runs.has(nonce(c))));
	await sleep(500);
	s.req.res.resume();
	same(await s.end(), 'clean', 'end');
	complete(s, all);
	for (const c of all.filter((c) => c.params.arguments.big))
		same(JSON.parse(said(s.messages.find(answer(c.id)))).nonce,
		    nonce(c), 'whose');
}

// A client that takes no stream gets an array, and can not be asked.
async function jsonOnly(x) {
	const peer = await client(x);
	const all = [call(1, 'steps', {}, 'p'),
	    call(2, 'ask', { mode: 'sampling' }), ping(3)];
	const r = await peer.send(all, { accept: 'application/json' });
	const got = messages(r);
	same([r.headers['content-type'], got.map((m) => m.id).sort()],
	    ['application/json', [1, 2, 3]], r.text);
	ok(JSON.parse(said(got.find(answer(2)))).got[0].refused, 'refused');
}

// Five seconds without the last answer make a stream of what there is.
async function silence(x) {
	const peer = await client(x);
	const all = [call(1, 'hold'), ping(2)];
	const began = Date.now();
	const s = await peer.post(all, { worker: x.a });
	await s.next(answer(2));
	ok(Date.now() - began >= 4000, 'a stream at once');
	same([s.stream, s.ended], [true, undefined], 'a stream');
	x.talker.held.get(nonce(all[0]))();
	same(await s.end(), 'clean', 'end');
	complete(s, all);
}

// A part that can not be served now says so under its own id.
async function unserved(x) {
	const peer = await client(x);
	const [keeper] = x.gw.pids('keeper');
	process.kill(keeper, 'SIGSTOP');
	const answered = peer.post([{ jsonrpc: '2.0', id: 'level',
	    method: 'logging/setLevel', params: { level: 'error' } }, ping(2)],
	{ worker: x.a });
	await sleep(300);
	process.kill(keeper, 'SIGKILL');
	const s = await answered;
	await s.end();
	const got = s.messages;
	same([s.status, got.length], [200, 2], s.text);
	same(got.find(answer(2)).result, {}, 'ping');
	const { error } = got.find(answer('level'));
	ok(error?.code <= -32000 && error.message, JSON.stringify(error));
	await until('a new keeper', () => x.gw.pids('keeper')[0] > keeper);
}

run('batchstream', async () => {
	const talker = await Talker.start();
	const gw = await Gateway.start({ config: {
		backends: { talk: { url: talker.url } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } } } });
	const pins = new Pins(gw.base);
	const [a, b] = await pins.two();
	const x = { gw, talker, pins, a, b };
	const pids = gw.pids('worker');
	const long = test('silence makes a stream', () => silence(x));
	for (const worker of [a, b])
		await test(`progress, questions and log lines: ${
		    worker === a ? 'one' : 'other'} worker`, () =>
		    everything(x, worker));
	await test('answers come when they are ready, cancelled ones not', () =>
	    asReady(x));
	await test('a client comes back for the rest', () => back(x, false));
	await test('a client comes back for the end', () => back(x, true));
	await test('a client that does not read', () => slow(x));
	await test('a client that takes JSON only', () => jsonOnly(x));
	await long;
	await test('a part that can not be served', () => unserved(x));
	await test('both workers live', () =>
	    same(gw.pids('worker'), pids, 'workers'));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
