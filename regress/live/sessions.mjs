// Must be true 2 of the whole sessions: SESS-1 to 5, ISO-2, cancelling from
// anywhere, and everything server-everything does, through the official SDKs
// with each request on another worker, as it is seen directly.
import { spawn } from 'node:child_process';
import { alike, clip, full, ok, run, same, sleep, test, until } from
    './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { everything } from './lib/backends.mjs';
import { Browser, Client, consent } from './lib/oauth.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { bin } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';
import { TASKS, cancelsHeard, connect, everythingSeen } from
    './lib/everything.mjs';
import { Peer, answer, asked, note } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';
import { tap } from './lib/tap.mjs';

// ---- session ids ----

async function unguessable(x) {
	const n = full ? 10_000 : 2000;
	const ids = new Set(), counts = new Array(256).fill(0);
	const init = JSON.stringify({ jsonrpc: '2.0', id: 1,
	    method: 'initialize', params: { protocolVersion: '2025-11-25',
	    capabilities: {}, clientInfo: { name: 'regress', version: '1' } } });
	const headers = new Mcp(x.url).headers();
	// Half of them of either worker.
	await Promise.all([x.a, x.b].map(async (worker) => {
		const { agent } = await x.pins.get(worker);
		for (let i = 0; i < n / 2; i++) {
			const r = await request(x.url,
			    { headers, body: init, agent });
			same(r.headers['x-mcpgw-worker'], worker, 'worker');
			const id = r.headers['mcp-session-id'];
			ok(/^[\x21-\x7e]{22,1024}$/.test(id), `id: ${id}`);
			ids.add(id);
			// Behind version and key id: the nonce of the seal and all
			// the rest, which is to look like noise.
			for (const c of Buffer.from(id, 'base64url').subarray(16))
				counts[c]++;
		}
		agent.destroy();
	}));
	same(ids.size, n, 'different ids');
	const total = counts.reduce((a, c) => a + c);
	const chi = counts.reduce((a, c) => a + (c - total / 256) ** 2 /
	    (total / 256), 0);
	// 255 degrees of freedom: beyond 360 once in 60,000.
	ok(chi < 360, `chi-squared ${chi.toFixed(0)} over ${total} bytes`);
}

async function noAuthority(gw, mcp) {
	for (const method of ['POST', 'GET', 'DELETE']) {
		const r = await request(gw.url, { method, headers: {
			...mcp.headers({ authorization: 'Bearer x' }) },
		    ...(method === 'POST' && { body: JSON.stringify({
			jsonrpc: '2.0', id: 1, method: 'ping' }) }) });
		same(r.status, 401, `${method} with a session, no token`);
	}
	same(await mcp.call('ping'), {}, 'the session');
}

async function tampered(gw, mcp) {
	const id = mcp.session;
	const flip = (at) => id.slice(0, at) +
	    (id[at] === 'A' ? 'B' : 'A') + id.slice(at + 1);
	const bad = ['x', id.slice(0, -1), id + 'A', flip(0), flip(5),
	    flip(30), flip(id.length - 5), id.toUpperCase(),
	    Buffer.alloc(64).toString('base64url'), '../x', 'A'.repeat(1500)];
	for (const session of bad) {
		const m = new Mcp(gw.url, { token: mcp.token });
		m.session = session;
		const r = await m.send({ jsonrpc: '2.0', id: 1, method: 'ping' });
		same(r.status, 404, `${clip(session, 40)}: ${r.text}`);
	}
}

// Somebody else, who knows the id: there is no such session for him.
async function otherUser(gw, mcp, token) {
	for (let i = 0; i < 6; i++)
		for (const method of ['POST', 'GET', 'DELETE']) {
			const r = await request(gw.url, { method, headers:
			    mcp.headers({ authorization: `Bearer ${token}`,
				accept: 'application/json, text/event-stream' }),
			    ...(method === 'POST' && { body: JSON.stringify({
				jsonrpc: '2.0', id: 1, method: 'ping' }) }) });
			same(r.status, 404, `${method}: ${r.text}`);
		}
	same(await mcp.call('ping'), {}, 'the owner\'s session');
	await mcp.tool('talk_echo', { nonce: 'x' });
}

async function refreshed(gw, client, mcp) {
	const before = await mcp.list('tools/list', 'tools');
	const peer = Object.assign(new Peer(gw.url, new Pins(gw.base)),
	    { token: mcp.token, session: mcp.session });
	const g = await peer.get();
	const r = await client.refresh(client.tokens.refresh_token);
	same(r.status, 200, JSON.stringify(r.body));
	ok(r.body.access_token !== mcp.token, 'a new token');
	const next = new Mcp(gw.url, { token: r.body.access_token });
	next.session = mcp.session;
	await until('both workers', async () => {
		same(await next.list('tools/list', 'tools'), before, 'tools');
		return next.workers.size === 2;
	});
	same(g.ended, undefined, 'its stream');
	g.close();
}

// A session is for the endpoint it was made at.
async function otherEndpoint(gw, mcp) {
	const m = new Mcp(`${gw.base}/talk/mcp`, { token: mcp.token });
	m.session = mcp.session;
	const r = await m.send({ jsonrpc: '2.0', id: 1, method: 'ping' });
	ok(r.status === 404 || r.status === 401, `${r.status} ${r.text}`);
}

// The token of a client of another user, who is made here.
async function stranger(gw, user) {
	const password = `the password of ${user}`;
	const child = spawn(`${bin}/mcpgwctl`, ['-s', gw.config.control, 'user',
	    'passwd', user], { stdio: ['pipe', 'ignore', 'ignore'],
	    ...(gw.drop && { uid: 65534, gid: 65534 }) });
	child.stdin.end(`${password}\n`);
	same(await new Promise((r) => child.once('close', r)), 0, 'user passwd');
	const c = await new Client(gw.base).register();
	const browser = new Browser(gw.base);
	const page = await consent(browser, await browser.get(c.authorizeUrl()),
	    password, { user });
	const r = await c.redeem(new URL(page.location).searchParams.get('code'));
	same(r.status, 200, JSON.stringify(r.body));
	return r.body.access_token;
}

// A client with a session, the upstream session behind it, and a GET stream
// that the backend feeds.
async function listening(x, token) {
	const peer = await new Peer(x.gw.url, x.pins, { token }).open();
	const nonce = fresh();
	await peer.tool('talk_echo', { nonce });
	const up = x.talker.sessionOf(nonce);
	const g = await peer.get({ worker: x.a });
	await until('the backend\'s stream', () => x.talker.heard.some(
	    ([m, id]) => m === 'GET' && id === up.id));
	return { peer, up, g };
}

const LOG = 'notifications/message';
const lines = (g) => g.messages.filter(note(LOG)).map((m) => m.params.data);

// SESS-5: ids that are not of this session replay nothing, whoever's they are.
async function foreignIds(x, token, tokens) {
	const { peer, up, g } = await listening(x, token);
	const nonce = fresh();
	const c = await peer.start('talk_steps', { nonce, n: 40, ms: 100 },
	    { worker: x.b, token: 'secret' });
	await c.next(note('notifications/progress'));
	await x.talker.log('error', 'secret', up);
	await g.next(note(LOG));
	const [w, stream] = g.last.split('.'), [v, call] = c.last.split('.');
	const real = [g.last, c.last, `${w}.${stream}.0`, `${v}.${call}.0`];
	const odd = [`${w}.1.0`, `${v}.1.0`, '1.1.1000000', '1000000', '-1',
	    '-1.-1.-1', `${w}.${stream}.-5`, '0', '', '\' OR 1=1 --',
	    '../../etc/passwd', '9'.repeat(60),
	    `${'9'.repeat(20)}.${'9'.repeat(20)}.1`, 'x'.repeat(3000)];
	for (const [who, other] of Object.entries(tokens))
		for (const worker of [x.a, x.b]) {
			const mallory = await new Peer(x.gw.url, x.pins,
			    { token: other }).open();
			await mallory.tool('talk_echo', {});
			for (const last of who === 'session' ?
			    [...real, ...odd] : real) {
				const m = await mallory.get({ worker, last });
				const what = `another ${who}: ${clip(last, 40)}`;
				same(m.status, 200, what);
				await sleep(20);
				same(m.messages.filter((s) => !/list_changed$/
				    .test(s.method)), [], `replayed, ${what}`);
				m.close();
			}
		}
	await x.talker.log('error', 'still mine', up);
	await g.next(note(LOG), 'the owner\'s line');
	same(lines(g), ['secret', 'still mine'], 'the owner\'s stream');
	const m = await c.next(answer(c.rpcId), 'the owner\'s answer');
	same(m.result.content[0].text, nonce, 'result');
	same(c.messages.filter(note('notifications/progress')).length, 40,
	    'the owner\'s progress');
	g.close();
}

// ---- the revision that is not served yet ----

const MODERN = '2026-07-28';
const CLAIM = 'io.modelcontextprotocol/protocolVersion';

// What makes a message one of it: [headers, _meta].
const claims = {
	header: [{ 'mcp-protocol-version': MODERN }],
	later: [{ 'mcp-protocol-version': '2027-01-01' }],
	meta: [{}, { [CLAIM]: MODERN }],
	both: [{ 'mcp-protocol-version': MODERN }, { [CLAIM]: MODERN }],
};

// SESS-4: it is refused alike with a session and an event id of ours and
// without, and neither is touched.
async function modern(x, token) {
	const { peer, up, g } = await listening(x, token);
	await x.talker.log('error', 'before', up);
	await g.next(note(LOG));
	const nonce = fresh(), stolen = fresh(), last = g.last;
	const c = peer.start('talk_wait', { nonce, ms: 3000 },
	    { worker: x.b, id: 'open' });
	await until('the call', () => x.talker.sessionOf(nonce));
	const before = x.talker.heard.length;
	const bare = new Peer(x.gw.url, x.pins, { token });
	const asks = [['server/discover', {}], ['tools/list', {}],
	    ['tools/call', { name: 'talk_echo', arguments: { nonce: stolen } }],
	    ['logging/setLevel', { level: 'debug' }],
	    ['resources/subscribe', { uri: 'talk://one' }], ['initialize', {
		protocolVersion: MODERN, capabilities: {},
		clientInfo: { name: 'regress', version: '1' } }]];
	const ids = [1, '1', 0, -7, 'x "y"', 'open'];
	for (const worker of [x.a, x.b])
		for (const [claim, [headers, _meta]] of Object.entries(claims))
			for (const [i, [method, params]] of asks.entries())
				for (const [who, more] of [[bare, {}],
				    [bare, { 'last-event-id': last }],
				    [peer, {}], [peer, { 'last-event-id': last }]]) {
					const s = await who.post({ jsonrpc: '2.0',
					    id: ids[i], method, params: { ...params,
						...(_meta && { _meta }) } }, { worker,
					    headers: { ...headers, ...more } });
					await s.end();
					const what = `${claim}, ${method}, ${
					    who === peer ? 'a session' : 'none'}, ${
					    JSON.stringify(more)}`;
					same([s.status, s.messages.map((m) => [m.id,
					    m.error?.code])],
					[400, [[ids[i], -32601]]], what);
					same([s.headers['mcp-session-id'], s.last,
					    s.stream], [undefined, undefined, false],
					`what is echoed: ${what}`);
				}
	for (const worker of [x.a, x.b]) {
		const { agent } = await x.pins.get(worker);
		for (const method of ['GET', 'HEAD', 'DELETE', 'POST']) {
			const r = await request(x.gw.url, { method, agent,
			    headers: peer.headers({ ...claims.header[0],
				accept: 'application/json, text/event-stream',
				'last-event-id': last }),
			    ...(method === 'POST' && { body: JSON.stringify({
				jsonrpc: '2.0', method: 'notifications/cancelled',
				params: { requestId: 'open' } }) }) });
			same([r.status, r.headers['mcp-session-id']],
			    [400, undefined], `${method}: ${r.text}`);
		}
		agent.destroy();
	}
	// The session is as it was.
	same(x.talker.heard.slice(before).filter(([, id]) => id === up.id), [],
	    'what the session\'s backend heard');
	same(x.talker.sessionOf(stolen), undefined, 'a call got through');
	same([[...up.uris], up.level], [[], undefined], 'its state');
	await x.talker.log('error', 'after', up);
	await g.next(note(LOG), 'a line');
	same([lines(g), g.ended], [['before', 'after'], undefined],
	    'its stream');
	for (const worker of [x.a, x.b]) {
		const p = await peer.ask('ping', {}, { worker });
		same((await p.next(answer(p.rpcId))).result, {}, 'ping');
	}
	const m = await (await c).next(answer('open'), 'the open call');
	same(m.result.content[0].text, nonce, 'its result');
	g.close();
}

// ---- calls ----

let serial = 0;
const fresh = () => `n${++serial}`;

async function cancel(x, there) {
	const peer = await new Peer(x.url, x.pins).open();
	for (const id of [7, '7', 'x y"z', -3]) {
		const nonce = fresh();
		// The head of the answer comes with its end.
		const c = peer.start('talk_wait', { nonce },
		    { worker: x.a, id, token: 'p' });
		// The same id in another session must not be touched.
		const peer2 = await new Peer(x.url, x.pins).open();
		const other = fresh();
		const c2 = peer2.start('talk_wait',
		    { nonce: other, ms: 900 }, { worker: x.a, id });
		await until('both calls', () => x.talker.sessionOf(nonce) &&
		    x.talker.sessionOf(other));
		same(await peer.say({ method: 'notifications/cancelled',
		    params: { requestId: id, reason: 'enough' } },
		{ worker: x[there] }), 202, 'cancelled');
		await until('the backend to hear', () =>
		    x.talker.cancelled.includes(nonce), 2000);
		await (await c).end();
		same((await c).messages, [], 'answers to a cancelled call');
		const m = await (await c2).next(answer(id), 'the other call');
		same(m.result.content[0].text, other, 'its result');
		ok(!x.talker.cancelled.includes(other), 'the other is cancelled');
	}
	// "7" and 7 are two ids.
	const n1 = fresh(), n2 = fresh();
	const c1 = peer.start('talk_wait', { nonce: n1, ms: 900 },
	    { worker: x.a, id: 7 });
	const c2 = peer.start('talk_wait', { nonce: n2, ms: 900 },
	    { worker: x.b, id: '7' });
	await until('both calls', () => x.talker.sessionOf(n1) &&
	    x.talker.sessionOf(n2));
	await peer.say({ method: 'notifications/cancelled',
	    params: { requestId: '7' } }, { worker: x[there] });
	same((await (await c1).next(answer(7))).result.content[0].text, n1, 'id 7');
	await (await c2).end();
	same((await c2).messages, [], 'id "7"');
	await until('the backend to hear', () =>
	    x.talker.cancelled.includes(n2), 2000);
	ok(!x.talker.cancelled.includes(n1), 'id 7 is cancelled');
}

// More cancels at once than a backend takes in a second do not keep the last of
// them for long.
async function manyCancels(x) {
	const peer = await new Peer(x.url, x.pins).open();
	const nonces = Array.from({ length: 120 }, fresh);
	const calls = nonces.map((nonce, id) => peer.start('talk_wait',
	    { nonce }, { worker: x.a, id }));
	await until('the calls', () => nonces.every((n) =>
	    x.talker.sessionOf(n)));
	const { agent } = await x.pins.get(x.a);
	x.talker.slow = 1000;
	try {
		for (const requestId of nonces.keys())
			same((await request(x.url, { agent, headers: peer.headers(),
			    body: JSON.stringify({ jsonrpc: '2.0',
				method: 'notifications/cancelled',
				params: { requestId } }) })).status, 202, 'said');
		await until('the backend to hear', () => nonces.every((n) =>
		    x.talker.cancelled.includes(n)), 5000).catch((e) => {
			throw new Error(`${e.message}: ${nonces.filter((n) =>
			    x.talker.cancelled.includes(n)).length} of 120`);
		});
	} finally {
		x.talker.slow = 0;
		agent.destroy();
	}
	for (const c of calls)
		same((await c).messages, [], 'answers');
}

// A call that says nothing for so long that its answer comes as a stream, to a
// client that takes one; comments of the stream then keep it open.
async function silence(x, ms) {
	const both = 'application/json, text/event-stream';
	await Promise.all([x.a, x.b].flatMap((worker) => [[both, true],
	    ['text/event-stream', true], ['text/event-stream, */*;q=0.1', true],
	    ['application/json', false]].map(async ([accept, stream]) => {
		const peer = await new Peer(x.url, x.pins).open();
		const nonce = fresh(), what = `Accept: ${accept}`;
		const t0 = performance.now();
		const passed = () => Math.round(performance.now() - t0);
		const s = await peer.start('talk_wait', { nonce, ms },
		    { worker, headers: { accept } });
		const head = passed();
		let raw = '';
		s.req.res.on('data', (d) => { raw += d; });
		same([s.status, s.stream, s.worker], [200, stream, worker], what);
		ok(stream ? head >= 4900 && head < 6400 : head >= ms - 100,
		    `${what}: its head came after ${head} ms`);
		const m = await s.next(answer(s.rpcId), what, ms);
		same(m.result?.content[0].text, nonce, what);
		ok(passed() >= ms - 100, `${what}: after ${passed()} ms`);
		await s.end();
		same([s.ended, s.messages.length], ['clean', 1], what);
		const comments = raw.match(/^:/gm)?.length ?? 0;
		ok(!stream || comments >= Math.floor((ms - 5000) / 16_000),
		    `${what}: ${comments} comments`);
		same(x.talker.runs.get(nonce), 1, `${what}: calls`);
	})));
}

// The end of a session ends its calls, at the backend too.
async function sessionEnds(x) {
	const peer = await new Peer(x.url, x.pins).open();
	const nonces = [fresh(), fresh()];
	const calls = [];
	for (const [i, worker] of [x.a, x.b].entries())
		calls.push(peer.start('talk_wait', { nonce: nonces[i] },
		    { worker, token: i }));
	const g = await peer.get({ worker: x.a });
	await until('both calls', () => nonces.every((n) =>
	    x.talker.sessionOf(n)));
	const up = x.talker.sessionOf(nonces[0]);
	const status = await peer.close();
	ok(status === 200 || status === 204, `DELETE: ${status}`);
	for (const s of [g, ...await Promise.all(calls)]) {
		await s.end();
		same(s.ended, 'clean', 'a stream');
		ok(s.messages.every((m) => m.id === undefined ||
		    m.result?.isError), JSON.stringify(s.messages));
	}
	await until('the backend\'s session to end', () =>
	    x.talker.heard.some(([m, id]) => m === 'DELETE' && id === up.id) ||
	    !x.talker.sessions.has(up.id), 3000);
}

// ISO-2: the same progress tokens and ids everywhere.
async function tokens(x) {
	const peers = await Promise.all(Array.from({ length: 12 }, () =>
	    new Peer(x.url, x.pins).open()));
	await Promise.all(peers.map(async (peer, who) => {
		const kinds = [1, '1', 'tok', 0];
		const calls = await Promise.all(kinds.map((token, i) => {
			const nonce = `${who}/${i}`;
			return peer.start('talk_steps', { nonce, n: 5, ms: 20 },
			    { worker: x[who % 2 ? 'a' : 'b'], token, id: i });
		}));
		for (const [i, c] of calls.entries()) {
			await c.end();
			const want = [1, 2, 3, 4, 5].map((n) =>
			    [kinds[i], n, `${who}/${i}#${n}`]);
			same(c.messages.filter(note('notifications/progress'))
			    .map(({ params: p }) => [p.progressToken, p.progress,
				p.message]), want, 'progress');
			same(c.messages.filter((m) => m.id !== undefined).map((m) =>
			    [m.id, m.result.content[0].text]),
			    [[i, `${who}/${i}`]], 'answers');
		}
	}));
}

// ISO-2: subscriptions to the same URI, and questions.
async function subscriptions(x) {
	const uri = 'talk://two';
	const peers = [];
	for (let i = 0; i < 6; i++) {
		const peer = await new Peer(x.url, x.pins).open();
		const nonce = fresh();
		await peer.tool('talk_echo', { nonce });
		const up = x.talker.sessionOf(nonce);
		const g = await peer.get({ worker: x[i % 2 ? 'a' : 'b'] });
		if (i % 3 !== 0) {
			const s = await peer.ask('resources/subscribe', { uri },
			    { worker: x[i % 2 ? 'b' : 'a'] });
			same((await s.next(answer(s.rpcId))).result, {}, 'subscribe');
		}
		peers.push({ peer, up, g, want: i % 3 === 0 ? 0 : 2 });
	}
	await until('the streams', () => peers.every(({ up }) =>
	    x.talker.heard.some(([m, id]) => m === 'GET' && id === up.id)));
	await sleep(100);
	await x.talker.touch(uri);
	await x.talker.touch(uri);
	await sleep(500);
	same(peers.map(({ g }) => g.messages.filter(
	    note('notifications/resources/updated')).length),
	    peers.map((p) => p.want), 'updates');
	for (const { g } of peers)
		g.close();
}

// Half of the clients answer the others' questions too.
async function questions(x) {
	const caps = { elicitation: {} };
	const peers = await Promise.all(Array.from({ length: 8 }, () =>
	    new Peer(x.url, x.pins).open(caps)));
	const calls = await Promise.all(peers.map((p, i) =>
	    p.start('talk_ask', { nonce: `q${i}` },
		{ worker: x[i % 2 ? 'a' : 'b'], id: 5 })));
	const asks = await Promise.all(calls.map((c) =>
	    c.next(asked('elicitation/create'))));
	same(asks.map((q) => q.params.message), peers.map((_, i) => `q${i}`),
	    'questions');
	await Promise.all(peers.map((p, i) => Promise.all(asks.map((q, j) =>
	    i === j ? undefined : p.say({ id: q.id, result: {
		action: 'accept', content: { a: `from ${i}` } } })))));
	await Promise.all(peers.map((p, i) => p.say({ id: asks[i].id,
	    result: { action: 'accept', content: { a: `from ${i}` } } })));
	for (const [i, c] of calls.entries()) {
		const m = await c.next(answer(5));
		same(JSON.parse(m.result.content[0].text).got,
		    [{ action: 'accept', content: { a: `from ${i}` } }], 'heard');
	}
}

// ---- server-everything, directly and through ----

async function unknownTool(gw) {
	const mcp = await new Mcp(`${gw.base}/bare/mcp`).open();
	const e = await mcp.tool('no-such-tool').then(() => ({}), (x) => x);
	same(e.code, -32602, `${e.message}`);
}

function withoutTasks(seen) {
	return seen.map(([what, r, t]) => what === 'listTools' ?
	    [what, { result: r.result.filter((x) => !TASKS.includes(x.name)) },
		t] : [what, r, t]);
}

// How often what server-everything asks and says by no clock comes to a client.
const SAID = {
	'roots/list': 1, 'elicitation/create': 2, 'sampling/createMessage': 1,
	'Roots updated: 1 root(s) received from client': 1,
	'Received Subscribe Resource request for URI: URI': 1,
	'Received Unsubscribe Resource request: URI': 1,
};

function counted(told) {
	const n = {};
	for (const [method, p] of told) {
		const what = method === 'notifications/message' ?
		    p.data.replace(/demo:.*/, 'URI') :
		    method;
		if (!/^notifications|level[ -]message/i.test(what))
			n[what] = (n[what] ?? 0) + 1;
	}
	return n;
}

async function compared(kind, backend, back, gw) {
	const through = `${gw.base}/bare/mcp`;
	const seen = [];
	const [direct, gated] = await Promise.all([
		connect(kind, backend.url),
		connect(kind, through, new Pins(gw.base).fetch(seen)),
	]);
	// It asks for the roots some time after the handshake.
	for (const { client } of [direct, gated])
		await client.callTool({ name: 'echo',
		    arguments: { message: 'x' } });
	await sleep(600);
	const [want, got] = (await Promise.all([
		everythingSeen(kind, direct), everythingSeen(kind, gated),
	])).map(withoutTasks);
	for (const [i, [what, r, t]] of want.entries())
		await test(`EVERY ${kind}: ${what}`, async () => {
			same(got[i]?.[0], what, 'the step');
			alike(got[i][1], r, 'result');
			alike(got[i][2], t, 'asked and told');
		});
	await test(`EVERY ${kind}: no message was lost or invented`,
	    async () => {
		same(got.length, want.length, 'steps');
		// A session may have a resource of its own (x.gz), which can
		// be read and is in no shared list; and what the gateway
		// learns of a backend may come after the first list.
		const kinds = (told) => [...new Set(told.map(([m]) => m))]
		    .filter((m) => !/list_changed$/.test(m)).sort();
		same(kinds(gated.told), kinds(direct.told), 'kinds of messages');
		// Each as often as it is said. Directly some come twice, as
		// server-everything replays other streams with the one that
		// is asked for.
		alike(counted(gated.told), SAID, 'what was asked and said');
		const posts = seen.filter((s) => s.method === 'POST');
		ok(posts.length > 40, `${posts.length} POSTs`);
		same(new Set(posts.map((s) => s.worker)).size, 2, 'workers');
		for (let i = 1; i < seen.length; i++)
			ok(seen[i].worker !== seen[i - 1].worker,
			    'two requests on one worker in a row');
	});
	// Who closes at once takes back the message that says so.
	await test(`EVERY ${kind}: the backend heard of the cancelled call`, () =>
	    until('it', () => cancelsHeard(back.up) > 0, 2000));
	back.up.length = 0;
	await direct.client.close();
	await gated.client.close();
}

// A client of an SDK hears of a tool that comes, once, and then lists it.
async function told(kind, x) {
	const { client, told: heard } = await connect(kind, x.url);
	const changes = () => heard.filter(([m]) =>
	    m === 'notifications/tools/list_changed').length;
	const names = async () => (await client.listTools()).tools
	    .map((t) => t.name);
	const nonce = fresh(), name = `new${nonce}`;
	await client.callTool({ name: 'talk_echo', arguments: { nonce } });
	await until('the stream of its session', () =>
	    x.talker.sessionOf(nonce)?.listens);
	ok(!(await names()).includes(`talk_${name}`), 'listed before it came');
	same(changes(), 0, 'list_changed before it came');
	await x.talker.add(name);
	await until('list_changed', () => changes() > 0);
	ok((await names()).includes(`talk_${name}`), 'not listed when told');
	const r = await client.callTool({ name: `talk_${name}`, arguments: {} });
	same(r.content[0].text, name, 'its answer');
	await sleep(300);
	same(changes(), 1, 'list_changed for one tool');
	await client.close();
}

run('sessions', async () => {
	const talker = await Talker.start(), every = await everything();
	// Of its own, as sessions are not quite apart in it.
	const beside = await everything(), back = await tap(every.url);
	const declare = ['sampling', 'elicitation', 'roots'];
	const gw = await Gateway.start({ config: {
		backends: {
			talk: { url: talker.url, declare },
			every: { url: back.url, declare },
		},
		endpoints: {
			'/mcp': { backends: '*' },
			'/talk/mcp': { backends: ['talk'] },
			'/free/mcp': { backends: ['talk'], auth: 'none' },
			'/bare/mcp': { backends: ['every'], auth: 'none',
			    prefix: 'none' },
		},
	} });
	const alice = await Client.signIn(gw), bob = await Client.signIn(gw);
	const carol = await stranger(gw, 'carol');
	const mcp = await new Mcp(gw.url,
	    { token: alice.tokens.access_token }).open();
	const pins = new Pins(gw.base);
	const [a, b] = await pins.two();
	const x = { gw, talker, pins, a, b, url: `${gw.base}/free/mcp` };
	// They wait while the rest goes on.
	const silent = Promise.all([6500, ...(full ? [22_000] : [])].map((ms) =>
	    test(`CALLS ${ms} ms of silence: a stream for who takes one`, () =>
		silence(x, ms))));
	await test(`SESS-1 ${full ? 10_000 : 2000} ids are noise`, () =>
	    unguessable(x));
	await test('SESS-1 an id is no token', () => noAuthority(gw, mcp));
	await test('SESS-1 no id but ours is taken', () => tampered(gw, mcp));
	await test('SESS-2 another client\'s token and this session', () =>
	    otherUser(gw, mcp, bob.tokens.access_token));
	await test('SESS-2 another user\'s token and this session', () =>
	    otherUser(gw, mcp, carol));
	await test('SESS-2 a session is for its endpoint', () =>
	    otherEndpoint(gw, mcp));
	await test('SESS-4 the revision that is not served, with a session and ' +
	    'without', () => modern(x, mcp.token));
	await test('SESS-5 event ids of others\' streams replay nothing', () =>
	    foreignIds(x, mcp.token, { session: mcp.token,
		client: bob.tokens.access_token, user: carol }));
	await test('SESS-3 a refresh in mid-session', () =>
	    refreshed(gw, alice, mcp));
	for (const [there, which] of [['a', 'the same'], ['b', 'the other']])
		await test(`CALLS a cancel on ${which} worker`, () =>
		    cancel(x, there));
	await test('CALLS a hundred cancels at once', () => manyCancels(x));
	await test('CALLS the end of a session ends them', () =>
	    sessionEnds(x));
	await test('ISO-2 progress tokens', () => tokens(x));
	await test('ISO-2 subscriptions', () => subscriptions(x));
	await test('ISO-2 questions', () => questions(x));
	await silent;
	for (const kind of process.env.NOSDK ? [] : ['SDK 1.x', 'SDK 2.x'])
		await test(`LIST ${kind} hears of a tool that comes`, () =>
		    told(kind, x));
	for (const kind of process.env.NOSDK ? [] : ['SDK 1.x', 'SDK 2.x'])
		await compared(kind, beside, back, gw);
	await test('EVERY a tool that does not exist', () => unknownTool(gw));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
