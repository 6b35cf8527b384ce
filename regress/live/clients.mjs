// Clients that misbehave, and slow ones that do not: those that ask and never
// read, heads that trickle, bodies and readers as slow as a bad line, tokens
// that have run out, calls open at the end, half-closed connections.
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { ok, run, same, sleep, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp, messages, request } from './lib/mcp.mjs';
import { exchange, responses } from './lib/raw.mjs';
import { Liar, end, event, good, http, sse } from './fixture/liar.mjs';

const MB = 1024 * 1024;
const ANY = 'application/json, text/event-stream';

const connect = (gw) => new Promise((done, fail) => {
	const s = net.connect({ port: gw.port, host: '127.0.0.1',
	    allowHalfOpen: true });
	s.once('connect', () => {
		s.off('error', fail);
		s.on('error', () => {});
		done(s);
	});
	s.once('error', fail);
});

// Text of n bytes in which no part is like another.
function long(n) {
	const parts = [];
	for (let i = 0; i * 8 < n; i++)
		parts.push(i.toString(36).padStart(8, '.'));
	return parts.join('').slice(0, n);
}

const open = (liar, config = {}) => Gateway.start({ config: {
	...config,
	...(liar && { backends: { liar: { url: liar.url } },
	    endpoints: { '/mcp': { backends: '*', auth: 'none' } } }),
} });

// The bytes of a call.
const post = (gw, mcp, message, { accept = ANY, headers = '' } = {}) => {
	const body = JSON.stringify(message);
	return `POST /mcp HTTP/1.1\r\nHost: localhost:${gw.port}\r\n` +
	    `Content-Type: application/json\r\nAccept: ${accept}\r\n` +
	    `Mcp-Session-Id: ${mcp.session}\r\n` +
	    `Mcp-Protocol-Version: ${mcp.version}\r\n${headers}` +
	    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
};

const called = (name, args, extra) => ({ jsonrpc: '2.0', id: 1,
    method: 'tools/call', params: { name, arguments: args, ...extra } });

const stopped = (name, gw) => test(`${name}: nothing is left after SIGTERM`,
    () => gw.stop());

// ---- many requests at once ----

const PATHS = ['/.well-known/oauth-authorization-server',
    '/.well-known/oauth-protected-resource/mcp', '/oauth/jwks'];

// n GETs of documents in an order that does not repeat soon: {bytes, want}.
async function burst(gw, n, { pad = 0, last = '' } = {}) {
	const docs = await Promise.all(PATHS.map((p) =>
	    request(gw.base + p, { method: 'GET' })));
	for (const [i, d] of docs.entries())
		same(d.status, 200, PATHS[i]);
	const filler = pad > 0 ? `X-Filler: ${'f'.repeat(pad)}\r\n` : '';
	const each = PATHS.map((p) => `GET ${p} HTTP/1.1\r\n` +
	    `Host: localhost:${gw.port}\r\n${filler}`);
	const parts = [], want = [];
	for (let i = 0, x = 1; i < n; i++) {
		x = (x * 1103515245 + 12345) % 2147483648;
		const k = (x >> 12) % PATHS.length;
		parts.push(each[k], i === n - 1 ? last : '', '\r\n');
		want.push(docs[k].text);
	}
	return { bytes: Buffer.from(parts.join('')), want };
}

function inOrder(bytes, want) {
	const all = responses(bytes);
	const wrong = all.findIndex((r, i) => r.status !== 200 ||
	    r.body !== want[i]);
	ok(wrong < 0, `answer ${wrong} of ${want.length} is not its own: ${
	    JSON.stringify(all[wrong])?.slice(0, 300)}`);
	same(all.length, want.length, 'answers');
}

// Everything until the end, at that many bytes a second: {bytes, closed}.
async function rest(s, { limit = 20_000, rate = Infinity } = {}) {
	const parts = [];
	let closed = false;
	const late = setTimeout(() => s.destroy(), limit);
	try {
		for await (const d of s) {
			parts.push(d);
			if (rate < Infinity)
				await sleep(d.length / rate * 1000);
		}
		closed = true;
	} catch {
		closed = false;
	}
	clearTimeout(late);
	s.destroy();
	return { bytes: Buffer.concat(parts).toString('latin1'), closed };
}

const memory = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8')
    .match(/^VmRSS:\s+(\d+) kB/m)[1]) * 1024;

async function unread() {
	const gw = await open(undefined, { workers: 1 });
	await test('40 MB of requests whose answers nobody reads', async () => {
		const { bytes, want } = await burst(gw, 50_000,
		    { pad: 760, last: 'Connection: close\r\n' });
		ok(bytes.length > 40 * MB, `${bytes.length} bytes`);
		const [worker] = gw.pids('worker');
		const before = memory(worker);
		const s = await connect(gw);
		s.write(bytes);
		let most = before;
		for (const t0 = Date.now(); Date.now() - t0 < 5000;) {
			most = Math.max(most, memory(worker));
			await sleep(50);
		}
		const grown = (most - before) / MB;
		console.log(`# unread answers: the worker grew by ${
		    grown.toFixed(1)} MB`);
		// Freed memory stays with the sanitizers for a while.
		ok(process.env.SANITIZE || grown < 8,
		    `the worker grew by ${grown.toFixed(1)} MB`);
		const r = await rest(s, { limit: 40_000 });
		inOrder(r.bytes, want);
		ok(r.closed, 'cut');
	});
	await stopped('unread', gw);
}

async function halfClosed(gw) {
	// The last ones must wait until what the kernel holds has been read;
	// how much that is, is its affair.
	await test('as many requests as fill the kernel, and a half-close',
	    async () => {
		const sizes = Array.from({ length: 16 }, (_, i) => 3000 + i * 500);
		const lost = [];
		await Promise.all(sizes.map(async (n) => {
			const { bytes, want } = await burst(gw, n);
			const s = await connect(gw);
			s.end(bytes);
			await sleep(1000);
			const r = await rest(s);
			const got = r.bytes.split('HTTP/1.1 200 ').length - 1;
			if (got < n)
				lost.push(`${n - got} of ${n}`);
			else
				inOrder(r.bytes, want);
		}));
		same(lost, [], 'answers lost');
	});
	const kinds = { 20: Infinity, 300: Infinity, 20_000: Infinity,
	    8000: 2 * MB };
	for (const [n, rate] of Object.entries(kinds))
		await test(`${n} requests and a half-close${
		    rate < Infinity ? ', read slowly' : ''}`, async () => {
			const { bytes, want } = await burst(gw, Number(n));
			const s = await connect(gw);
			s.end(bytes);
			await sleep(500);
			const r = await rest(s, { rate });
			inOrder(r.bytes, want);
			ok(r.closed, 'cut');
		});
}

// ---- heads ----

// Until it is closed: {ms, status}.
async function trickle(gw, first) {
	const s = await connect(gw);
	const parts = [];
	let ended = false;
	s.on('data', (d) => parts.push(d));
	for (const e of ['end', 'close'])
		s.once(e, () => { ended = true; });
	if (first !== '') {
		s.write(first);
		await sleep(300);
	}
	const skip = parts.length;
	const head = `${first.endsWith('G') ? '' : 'G'}ET /health HTTP/1.1\r\n`;
	const t0 = Date.now();
	for (let i = 0; !ended && Date.now() - t0 < 20_000; i++) {
		s.write(head[i]);
		for (let k = 0; !ended && k < 30; k++)
			await sleep(100);
	}
	const ms = Date.now() - t0;
	s.destroy();
	ok(ended, `still open after ${ms} ms`);
	return { ms, status: responses(Buffer.concat(parts.slice(skip))
	    .toString('latin1'))[0]?.status };
}

async function slowHead(gw) {
	const get = `GET /health HTTP/1.1\r\nHost: localhost:${gw.port}\r\n\r\n`;
	const starts = { 'on a new connection': '',
	    'after another request': get,
	    'behind another request': `${get}G` };
	await Promise.all(Object.entries(starts).map(([name, first]) =>
	    test(`a head of a byte in 3 s, ${name}`, async () => {
		const { ms, status } = await trickle(gw, first);
		ok(ms > 8000 && ms < 14_000, `closed after ${ms} ms`);
		ok(status === undefined || status === 408, `status ${status}`);
	})));
}

// ---- bodies ----

async function slowBody(liar) {
	const gw = await open(liar, { keepalive_timeout: '5s' });
	await test('a body of 60 KB at 3 KB/s', async () => {
		const mcp = await new Mcp(gw.url).open();
		const args = { a: long(60_000) };
		const bytes = post(gw, mcp, called('liar_echo', args),
		    { accept: 'application/json' });
		const pieces = bytes.match(/.{1,1500}/gs);
		const r = await exchange(gw.port, pieces,
		    { pause: 500, limit: 40_000, quiet: 3000 });
		const [answer] = responses(r.bytes);
		same(answer?.status, 200, `status (${r.bytes.slice(0, 200)})`);
		same(JSON.parse(JSON.parse(answer.body).result.content[0].text),
		    args, 'arguments');
	});
	await stopped('slow body', gw);
}

// ---- slow readers ----

// Whether these bytes are one whole answer.
function whole(parts, n) {
	const first = parts[0].toString('latin1');
	const length = first.match(/^content-length: *(\d+)/im);
	if (length)
		return n >= first.indexOf('\r\n\r\n') + 4 + Number(length[1]);
	return parts.at(-1).toString('latin1').endsWith('\r\n0\r\n\r\n');
}

// Sends, waits, and reads at that many bytes a second.
async function slowly(gw, bytes, { wait, rate }) {
	const s = await connect(gw);
	s.write(bytes);
	await sleep(wait);
	const parts = [];
	const late = setTimeout(() => s.destroy(), 40_000);
	let n = 0, complete = false;
	for await (const d of s) {
		parts.push(d);
		n += d.length;
		if (whole(parts, n)) {
			complete = true;
			break;
		}
		await sleep(d.length / rate * 1000);
	}
	clearTimeout(late);
	ok(complete, `cut after ${n} bytes`);
	return responses(Buffer.concat(parts).toString('latin1'))[0];
}

async function slowReaders() {
	const big = long(8 * MB);
	// Progress messages, their size, and the size of the answer behind them.
	const streams = [[1, 300_000, 4 * MB], [1, 6 * MB, 1000],
	    [40, 200_000, 300_000], [30_000, 200, 5000]];
	const said = (size, i) => `${i}:${big.slice(0, size)}`;
	const liar = await Liar.start({
		tools: ['big', 'stream'].map((name) => ({ name,
		    inputSchema: { type: 'object' } })),
		on: { 'tools/call': (x) => {
			if (x.message.params.name === 'big')
				return http(good(x.id, big));
			const [n, size, last] = x.message.params.arguments.stream;
			return sse + Array.from({ length: n }, (_, i) =>
			    event(JSON.stringify({ jsonrpc: '2.0',
				method: 'notifications/progress', params: {
				progressToken: x.token, progress: i + 1,
				message: said(size, i) } }))).join('') +
			    event(good(x.id, big.slice(0, last))) + end;
		} } });
	const gw = await open(liar, { keepalive_timeout: '2s' });
	const mcp = await new Mcp(gw.url).open();
	const answered = (r, all, want) => {
		same(r.status, 200, 'status');
		const answers = all.filter((m) => m.id === 1);
		same(answers.length, 1, 'answers');
		const text = answers[0].result.content[0].text;
		ok(text === want, `${text.length} bytes, not what was said`);
	};
	const accepts = { 'application/json': 'as JSON', [ANY]: 'as it likes' };
	await Promise.all([
		...Object.entries(accepts).map(([accept, how]) =>
		    test(`an answer of 8 MB ${how}, read slowly`, async () => {
			const r = await slowly(gw, post(gw, mcp,
			    called('liar_big', {}), { accept }),
			    { wait: 5000, rate: MB });
			answered(r, messages({ headers: r.headers, text: r.body }),
			    big);
		})),
		...streams.map(([n, size, last]) => test(`${last} bytes behind ${
		    n} progress messages of ${size} bytes, read slowly`,
		    async () => {
			const r = await slowly(gw, post(gw, mcp,
			    called('liar_stream', { stream: [n, size, last] },
				{ _meta: { progressToken: 'p' } })),
			    { wait: 2000, rate: MB });
			const all = messages({ headers: r.headers, text: r.body });
			answered(r, all, big.slice(0, last));
			const got = all.filter((m) =>
			    m.method === 'notifications/progress');
			same(got.length, n, 'progress messages');
			const wrong = got.findIndex((m, i) =>
			    m.params.message !== said(size, i));
			ok(wrong < 0, `progress message ${wrong} is another`);
		})),
	]);
	await stopped('slow readers', gw);
}

// ---- a token that has run out ----

async function expired(liar) {
	const gw = await Gateway.start({ config: {
		auth: { access_token_ttl: '2s' },
		backends: { liar: { url: liar.url } },
		endpoints: { '/mcp': { backends: '*' } },
	} });
	const c = await Client.signIn(gw);
	await sleep(3200);
	const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping',
	    params: { a: 'y'.repeat(70_000) } });
	const head = 'POST /mcp HTTP/1.1\r\n' +
	    `Host: localhost:${gw.port}\r\nContent-Type: application/json\r\n` +
	    `Accept: ${ANY}\r\n`;
	const length = `Content-Length: ${body.length}\r\n\r\n${body}`;
	const chunks = 'Transfer-Encoding: chunked\r\n\r\n' +
	    [...body.match(/.{1,5000}/gs), ''].map((d) =>
		`${d.length.toString(16)}\r\n${d}\r\n`).join('');
	const one = `Transfer-Encoding: chunked\r\n\r\n${
	    body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
	const token = `Authorization: Bearer ${c.tokens.access_token}\r\n`;
	const ways = {
		'a length': [head + token + length, true],
		'chunks': [head + token + chunks, true],
		'one chunk': [head + token + one, true],
		'a length and no token at all': [head + length, false],
	};
	for (const [name, [bytes, said]] of Object.entries(ways))
		await test(`an expired token, 70 KB by ${name}`, async () => {
			const r = await exchange(gw.port, bytes, { quiet: 1000 });
			const [answer] = responses(r.bytes);
			same(answer?.status, 401, 'status');
			const say = answer.headers['www-authenticate'] ?? '';
			ok(/^Bearer .*resource_metadata="/.test(say), say);
			same(/error="invalid_token"/.test(say), said, say);
		});
	await stopped('expired', gw);
}

// ---- the end while a call is open ----

async function openCalls() {
	const liar = await Liar.start({
		tools: ['hang', 'begun'].map((name) => ({ name,
		    inputSchema: { type: 'object' } })),
		on: { 'tools/call': (x) => x.message.params.name === 'hang' ?
		    undefined : sse + event(JSON.stringify({ jsonrpc: '2.0',
			method: 'notifications/progress', params: {
			progressToken: x.token, progress: 1 } })) } });
	const gw = await open(liar, { drain: '2s' });
	const mcp = await new Mcp(gw.url).open();
	const call = (accept, name = 'hang') => request(gw.url, {
	    headers: mcp.headers({ accept }), timeout: 20_000,
	    body: JSON.stringify(called(`liar_${name}`, {},
		{ _meta: { progressToken: 'p' } })) })
	    .then((r) => ({ ...r, at: Date.now() }), (e) => ({ error: e }));
	const json = call('application/json'), either = call(ANY);
	const stream = call(ANY, 'begun');
	await sleep(1000);
	const pids = gw.processes().map((p) => p.pid);
	const t0 = Date.now();
	gw.child.signal('SIGTERM');
	const failed = async (answer, type) => {
		const r = await answer;
		ok(!r.error, `no answer: ${r.error?.message}`);
		same(r.status, 200, `status (${r.text})`);
		ok(r.headers['content-type']?.startsWith(type),
		    `type ${r.headers['content-type']}`);
		const all = messages(r).filter((m) => m.id === 1);
		same(all.length, 1, `answers in ${JSON.stringify(r.text)}`);
		ok(all[0].result?.isError && /"liar"/.test(
		    all[0].result.content[0].text), r.text);
		const ms = r.at - t0;
		ok(ms > 1500 && ms < 6000, `after ${ms} ms`);
	};
	await test('SIGTERM: the open call of a client that takes only JSON',
	    () => failed(json, 'application/json'));
	await test('SIGTERM: the open call of a client that takes either',
	    () => failed(either, ''));
	await test('SIGTERM: the open call of a client whose stream has begun',
	    () => failed(stream, 'text/event-stream'));
	await test('SIGTERM: it ends after the drain', async () => {
		const status = await Promise.race([gw.child.exited,
		    sleep(8000).then(() => 'still there')]);
		same(status, 0, 'exit status');
		const ms = Date.now() - t0;
		ok(ms < 8000, `after ${ms} ms`);
		same(pids.filter((p) => gw.processes().some((q) => q.pid === p)),
		    [], 'left');
	});
}

run('clients', async () => {
	const liar = await Liar.start();
	await Promise.all([
		unread(),
		slowBody(liar),
		slowReaders(),
		expired(liar),
		openCalls(),
		(async () => {
			const gw = await open();
			await Promise.all([slowHead(gw), halfClosed(gw)]);
			await stopped('heads', gw);
		})(),
	]);
});
