// SSE-1 to SSE-4 of the list of attacks, by their ids: what a backend writes
// into an event stream is framed anew, bounded, and for one client.
import { readFileSync } from 'node:fs';
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { connect } from './lib/everything.mjs';
import { request } from './lib/mcp.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, note } from './lib/sse.mjs';
import { Liar, POISON, chunk, end, event, good, http, json, sse, text,
} from './fixture/liar.mjs';

const MIB = 1024 * 1024;
const PROGRESS = note('notifications/progress');
const LOG = note('notifications/message');

// What would be events of its own if a line end were one.
const EVIL = `truth\r\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\r\n\r\n` +
    `event: endpoint\ndata: /${POISON}\n\n\rid: 7\r\rretry: 1\n\n\u2028\u0085x`;

const told = (method, params) => JSON.stringify({ jsonrpc: '2.0', method,
    params });
const progress = (x, message) => told('notifications/progress',
    { progressToken: x.token, progress: 1, message });

// The events of a stream as it came: fields that are ours, and nothing else.
function blocks(raw) {
	ok(!raw.includes('\r'), 'a CR');
	ok(raw.endsWith('\n\n'), 'the last event has no end');
	return raw.split('\n\n').slice(0, -1).map((block) => {
		const fields = block.split('\n').filter((l) => !l.startsWith(':'))
		    .map((l) => l.match(/^(id|event|data|retry): ?(.*)$/s));
		ok(fields.every((f) => f), `not a field: ${block}`);
		const of = (k) => fields.filter((f) => f[1] === k)
		    .map((f) => f[2]);
		same([of('id').length <= 1, of('event').every((e) =>
		    e === 'message')], [true, true], block);
		return of('data').join('\n');
	}).filter((d) => d !== '').map((d) => JSON.parse(d));
}

// A call whose answer is kept as text.
async function raw(x, worker, id) {
	const { agent } = await x.pins.get(worker);
	const r = await request(x.gw.url, { agent, headers: x.peer.headers(),
	    body: JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call',
		params: { name: 'liar_echo', _meta: { progressToken: 'p' } } }) });
	agent.destroy();
	return r.text;
}

const sessionOf = ({ lines }) => lines.find((l) =>
    /^mcp-session-id:/i.test(l))?.split(/: */)[1];

// The client's GET stream, and the backend's end of it: that of the session in
// which the client's calls come, as others have streams too.
async function streaming(x, peer, worker) {
	const nonce = String(Math.random());
	await peer.tool('liar_echo', { nonce });
	const session = sessionOf(x.liar.seen.find((s) =>
	    s.message?.params?.arguments?.nonce === nonce));
	const g = await peer.get({ worker });
	const socket = await until('the backend\'s stream', () =>
	    x.liar.seen.findLast((s) => s.method === 'GET' &&
	    sessionOf(s) === session && x.liar.gets.has(s.socket))?.socket);
	return { g, socket };
}

// While fn runs, calls of that tool are for it to answer.
async function answering(x, fn, body) {
	x.liar.on['tools/call'] = fn;
	try {
		return await body();
	} finally {
		delete x.liar.on['tools/call'];
	}
}

// SSE-1: lines that end in CR, values over many lines, other fields, names of
// events of another transport.
async function reframed(x) {
	const value = (id) => `{"jsonrpc":"2.0","id":${JSON.stringify(id)},` +
	    '"result":\n\n{"content":\r[{"type":"text",\n\n"text":"truth"}]}}';
	const lined = (s) => s.split(/\r\n|\r|\n/).map((l) => `data:${l}\r`)
	    .join('');
	await answering(x, ({ socket, id, token }) => {
		socket.write(sse + chunk(`event: endpoint\ndata: /${POISON}\n\n`) +
		    chunk(`: ${POISON}\r\rretry: 1\r\n\r\nid: ${POISON}\n\n`) +
		    chunk(`${lined(progress({ token }, 'one').replaceAll(',',
			',\n\n'))}\r`) +
		    chunk(`junk: ${POISON}\n${POISON}\ndata\n\n`) +
		    chunk(`id: 5\revent: message\r${lined(value(id))}\r`) + end);
	}, async () => {
		for (const worker of [x.a, x.b]) {
			const got = await raw(x, worker, 1);
			ok(!got.includes(POISON), got);
			same(blocks(got).map((m) => m.params?.message ??
			    [m.id, m.result.content[0].text]),
			    ['one', [1, 'truth']], 'messages');
		}
	});
}

// MiB of the larger worker.
const resident = (gw) => Math.max(...gw.pids('worker').map((pid) => Number(
    readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmRSS:\s+(\d+) kB/)[1])),
) / 1024;

// SSE-1: an event of more than 16 MiB, in one line or in many, is an error of
// its own call; the backend is not read any further for it.
async function tooLarge(x, bytes, worker, there) {
	const other = await new Peer(x.gw.url, x.pins).open();
	const before = resident(x.gw);
	let beside, read = 0, most = 0;
	await answering(x, (y) => {
		if (beside === undefined) {
			beside = y;
			return sse + event(progress(y, 'one'));
		}
		y.socket.write(sse);
		const more = (e) => {
			most = Math.max(most, resident(x.gw));
			if (!e && read < 100) {
				read++;
				y.socket.write(chunk(bytes), more);
			}
		};
		more();
		return undefined;
	}, async () => {
		const o = await other.start('liar_echo', {},
		    { worker: there, token: 'o' });
		const c = await x.peer.start('liar_echo', {},
		    { worker, token: 'p' });
		const m = await c.next(answer(c.rpcId), 'an error');
		ok(m.result?.isError && /"liar"/.test(m.result.content[0].text) &&
		    m.result.content[0].text.length < 200, JSON.stringify(m)
		    .slice(0, 300));
		same(c.messages.length, 1, 'messages');
		// Half of it may be in the buffers of the kernel.
		ok(read >= 16 && read < 40, `${read} MiB were read`);
		beside.socket.write(event(progress(beside, 'two')) +
		    event(good(beside.id, 'beside')) + end);
		same((await o.next(answer(o.rpcId))).result.content[0].text,
		    'beside', 'the other client\'s call');
		same(o.messages.filter(PROGRESS).map((n) => n.params.message),
		    ['one', 'two'], 'its progress');
	});
	console.log(`# ${read} MiB written, ${(most - before).toFixed(1)} MiB more`);
	ok(process.env.SANITIZE || most - before < 34,
	    `${most - before} MiB more in a worker`);
}

async function large(x) {
	const t = 'x'.repeat(15 * MIB);
	await answering(x, (y) => sse + event(progress(y, 'one')) +
	    event(json(y.id, text(t))) + end, async () => {
		const got = blocks(await raw(x, x.a, 1));
		same([got.length, got[1].result.content[0].text.length],
		    [2, t.length], 'an event of 15 MiB');
	});
}

// SSE-2: line ends in a text end no line, in an answer, in progress, and on a
// GET stream; to a reader of our own and to those of the SDKs.
async function escaped(x) {
	await answering(x, (y) => y.token === undefined ?
	    http(json(y.id, text(EVIL))) : sse + event(progress(y, EVIL)) +
	    event(json(y.id, text(EVIL))) + end, async () => {
		for (const worker of [x.a, x.b])
			same(blocks(await raw(x, worker, 1)).map((m) => [m.method,
			    m.params?.message ?? m.result.content[0].text]),
			    [['notifications/progress', EVIL], [undefined, EVIL]],
			    'events');
		for (const kind of ['SDK 1.x', 'SDK 2.x']) {
			const { client, told: heard } = await connect(kind, x.gw.url);
			const steps = [];
			const opts = { onprogress: (p) => steps.push(p.message) };
			const args = { name: 'liar_echo', arguments: {} };
			const r = await (kind === 'SDK 1.x' ?
			    client.callTool(args, undefined, opts) :
			    client.callTool(args, opts));
			same([r.content[0].text, steps], [EVIL, [EVIL]], kind);
			same(heard.filter(([m]) => !/list_changed/.test(m)), [],
			    'beside it');
			await client.close();
		}
	});
	const { g, socket } = await streaming(x, x.peer, x.a);
	socket.write(event(told('notifications/message',
	    { level: 'error', data: EVIL })));
	await g.next(LOG);
	same(g.messages.map((m) => m.params.data), [EVIL], 'the GET stream');
	g.close();
}

// SSE-3, of revisions with sessions: closing the stream is no cancel; what came
// meanwhile comes once to who asks for the rest, and a cancel ends it.
async function closed(x, worker, cancel) {
	let y;
	await answering(x, (call) => {
		y = call;
		return sse + event(progress(y, '1'));
	}, async () => {
		const c = await x.peer.start('liar_echo', {}, { worker: x.a,
		    token: 'p' });
		await c.next(PROGRESS);
		const { last } = c;
		c.close();
		await sleep(1100);
		const cancels = () => x.liar.seen.filter((s) =>
		    s.message?.method === 'notifications/cancelled' &&
		    s.message.params.requestId === y.id).length;
		same([cancels(), y.socket.destroyed], [0, false], 'cancelled');
		y.socket.write(event(progress(y, '2')));
		if (cancel) {
			same(await x.peer.say({ method: 'notifications/cancelled',
			    params: { requestId: c.rpcId } }, { worker }), 202, 'said');
			await until('the backend to hear', () => cancels() === 1,
			    1000);
		}
		if (!y.socket.destroyed)
			y.socket.write(event(progress(y, '3')) +
			    event(good(y.id)) + end);
		await sleep(50);
		const g = await x.peer.get({ worker, last });
		if (cancel) {
			await sleep(300);
			ok(!g.messages.some((m) => m.id !== undefined ||
			    m.params.message === '3'), 'after the cancel');
			g.close();
			return;
		}
		await g.next(answer(c.rpcId), 'the answer');
		same(g.messages.map((m) => m.params?.message ?? m.id),
		    ['2', '3', c.rpcId], 'the rest');
	});
}

// SSE-4: answers, progress and requests that are not the call's, on its stream
// and on a GET stream, reach neither client.
async function foreign(x, worker, there) {
	const thief = await new Peer(x.gw.url, x.pins).open();
	const victim = await new Peer(x.gw.url, x.pins).open();
	const t = await streaming(x, thief, worker);
	const v = await streaming(x, victim, there);
	const open = [];
	await answering(x, (y) => {
		open.push(y);
		return sse + event(progress(y, 'begin'));
	}, async () => {
		const a = await thief.start('liar_echo', {}, { worker, id: 1,
		    token: 't' });
		const b = await victim.start('liar_echo', {}, { worker: there,
		    id: 1, token: 'v' });
		const [mine, his] = open;
		const poison = { content: [{ type: 'text', text: POISON }] };
		const bad = [json(his.id, poison), json(`${his.id}0`, poison),
		    json('0.1', poison), json(1, poison), json(null, poison),
		    JSON.stringify({ jsonrpc: '2.0', id: his.id,
			error: { code: 1, message: POISON } }),
		    progress({ token: his.token }, POISON),
		    progress({ token: 'v' }, POISON), progress({ token: 't' },
			POISON),
		    told('notifications/cancelled', { requestId: his.id,
			reason: POISON }),
		    JSON.stringify({ jsonrpc: '2.0', id: 'q', method:
			'tools/invent', params: { x: POISON } })];
		for (const socket of [mine.socket, t.socket])
			socket.write(bad.map(event).join(''));
		// Its own answer is none on a stream that is not the call's.
		t.socket.write(event(json(mine.id, poison)));
		await sleep(200);
		mine.socket.write(event(good(mine.id, 'mine')) +
		    event(json(mine.id, poison)) + end);
		his.socket.write(event(good(his.id, 'his')) + end);
		await Promise.all([a.next(answer(1)), b.next(answer(1))]);
		await Promise.all([a.end(), b.end()]);
		await sleep(200);
		same([a, b].map((c) => c.messages.map((m) => m.params?.message ??
		    m.result.content[0].text)),
		    [['begin', 'mine'], ['begin', 'his']], 'messages');
		same([t.g, v.g].map((g) => [g.messages, g.ended]),
		    [[[], undefined], [[], undefined]], 'the GET streams');
		await until('its requests to be refused', () => x.liar.seen.filter(
		    (s) => s.message?.id === 'q' && s.message.error?.code ===
		    -32601).length >= 2);
	});
	t.g.close();
	v.g.close();
}

run('framing', async () => {
	const liar = await Liar.start();
	const gw = await Gateway.start({ config: {
		backends: { liar: { url: liar.url } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const pins = new Pins(gw.base);
	const [a, b] = await pins.two();
	const x = { gw, liar, pins, a, b,
	    peer: await new Peer(gw.url, pins).open() };
	await test('SSE-1 a stream is framed anew', () => reframed(x));
	const line = 'x'.repeat(MIB), lines = `data: ${line}\n`;
	await test('SSE-1 a line without end', () =>
	    tooLarge(x, line, x.a, x.b));
	await test('SSE-1 lines without end, the other call on the same worker',
	    () => tooLarge(x, lines, x.b, x.b));
	await test('SSE-1 what is not too large passes', () => large(x));
	await test('SSE-2 line ends in texts', () => escaped(x));
	for (const [where, worker] of [['the same', x.a], ['the other', x.b]]) {
		await test(`SSE-3 the stream is closed, the rest asked for at ${
		    where} worker`, () => closed(x, worker, false));
		await test(`SSE-3 the stream is closed, and a cancel at ${
		    where} worker`, () => closed(x, worker, true));
		await test(`SSE-4 what is another client's, at ${where} worker`,
		    () => foreign(x, worker, x.a));
	}
	await test('nothing is left after SIGTERM', () => gw.stop());
});
