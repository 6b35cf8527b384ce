// ref/security.md 1.B and 1.C against the daemon, byte by byte: SMG-1..12,
// DNSR-1..5, HDR-1..5 and 8.
import { readFileSync, readdirSync } from 'node:fs';
import { Child, ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Browser, Client } from './lib/oauth.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { exchange, responses } from './lib/raw.mjs';
import { bin, top } from './lib/paths.mjs';

let gw, port, host;
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

const line = (first, rest = '') => `${first}\r\nHost: ${host}\r\n${rest}`;
const post = (rest) => line('POST /bare/mcp HTTP/1.1', rest);
const good = (path = '/health') => line(`GET ${path} HTTP/1.1`, '\r\n');

// The worker's source: what it names is what is tried.
const sources = () => readdirSync(`${top}/worker`)
    .filter((n) => /\.[ch]$/.test(n))
    .map((n) => readFileSync(`${top}/worker/${n}`, 'utf8')).join('\n');

// The routes of the table in worker/route.c: [path, class].
function routes() {
	const text = readFileSync(`${top}/worker/route.c`, 'utf8');
	const wk = text.match(/#define WK "([^"]+)"/)[1];
	const all = [...text.matchAll(
	    /^ {4}\{(WK )?"([^"]+)",[^,]+, CLASS_([A-Z]+)/gm)]
	    .map(([, w, path, c]) => [(w ? wk : '') + path, c.toLowerCase()]);
	for (const c of ['open', 'public', 'browser'])
		ok(all.some((r) => r[1] === c), `no route of class ${c}`);
	same(all.length, text.match(/^ {4}\{(WK )?"/gm).length, 'routes');
	return all;
}

// Names of headers that the worker reads or writes, in lower case.
function headerNames() {
	const text = sources();
	const names = new Set();
	for (const re of [/\bIS\("([a-z-]+)", HDR_/g,
	    /"([A-Z][A-Za-z0-9]*(?:-[A-Z][A-Za-z0-9]*)+)(?:: [^"]*)?"/g,
	    /reply_header\(\s*rq, "([A-Za-z0-9-]+)"/g,
	    /\badd\(dst, size, &n, "([A-Za-z0-9-]+)"/g])
		for (const [, name] of text.matchAll(re))
			names.add(name.toLowerCase());
	for (const n of ['authorization', 'x-forwarded-for', 'mcp-session-id',
	    'x-mcpgw-worker', 'set-cookie', 'vary', 'last-event-id'])
		ok(names.has(n), `the source no longer names ${n}`);
	return names;
}

let cases = 0;

// One answer of one of these statuses, and the connection is closed.
async function closes(bytes, what, statuses = [400], opts = {}) {
	cases++;
	const r = await exchange(port, bytes, opts);
	const all = responses(r.bytes);
	ok(all.length === 1, `${what}: ${all.length} answers: ${
	    JSON.stringify(r.bytes.slice(0, 300))}`);
	ok(statuses.includes(all[0].status), `${what}: ${all[0].status}`);
	ok(r.closed, `${what}: not closed`);
	return all[0];
}

async function answers(bytes, want, what, opts = {}) {
	const r = await exchange(port, bytes, opts);
	const all = responses(r.bytes);
	same(all.map((a) => a.status), want, what);
	return all;
}

async function smuggling() {
	await test('SMG-1 Content-Length and Transfer-Encoding', async () => {
		await closes(post('Content-Length: 5\r\nTransfer-Encoding: ' +
		    'chunked\r\n\r\n0\r\n\r\nX'), 'CL, TE');
		await closes(post('Transfer-Encoding: chunked\r\n' +
		    'Content-Length: 5\r\n\r\n0\r\n\r\nX'), 'TE, CL');
	});
	await test('SMG-2 two Content-Lengths', async () => {
		for (const h of ['Content-Length: 5\r\nContent-Length: 5',
		    'Content-Length: 5\r\nContent-Length: 6',
		    'Content-Length: 5, 5',
		    'Content-Length: \r\nContent-Length: 43'])
			await closes(post(`${h}\r\n\r\nabcde`), h);
	});
	await test('SMG-3 Content-Length values', async () => {
		// RFC 9110 5.5 takes blanks after a value off. Of this value
		// they are refused: not every proxy in front of us does.
		for (const v of ['', '+5', '-48', '0x10', '1_0', '5 5', '1Z',
		    '99999999999999999999', '5,', '\x0b5', '5\x0c', '5.0', '١',
		    '5 ', '5\t', '5 \t '])
			await closes(post(`Content-Length: ${v}\r\n\r\nabcde`),
			    JSON.stringify(v));
		// 010 is ten.
		const body = `${PING}`.padEnd(10);
		await answers([post('Content-Length: 010\r\nContent-Type: ' +
		    `application/json\r\n\r\n${body.slice(0, 10)}`), good()],
		    [400, 200], '010');
	});
	await test('SMG-4 Transfer-Encoding values', async () => {
		for (const v of [',chunked', 'chunked,', 'chunked, chunked',
		    'xchunked', 'identity', 'gzip, chunked', '\x0bchunked',
		    '\xa0chunked\xa0', 'chunked\x00', '"chunked"', 'chunked;x=1',
		    ''])
			await closes(post(`Transfer-Encoding: ${v}\r\n\r\n` +
			    '0\r\n\r\n'), JSON.stringify(v), [400, 501]);
		await closes(post('Transfer-Encoding: chunked\r\n' +
		    'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'), 'two');
		await closes(post('Transfer-Encoding: chunked\r\n' +
		    'Transfer-Encoding: identity\r\n\r\n0\r\n\r\n'), 'two kinds',
		    [400, 501]);
		await closes(line('POST /bare/mcp HTTP/1.0',
		    'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n'), 'HTTP/1.0');
	});
	await test('SMG-5 chunk sizes and ends', async () => {
		const te = post('Transfer-Encoding: chunked\r\n\r\n');
		for (const c of ['0_2e\r\n', '0x5\r\nabcde\r\n', '+5\r\nabcde\r\n',
		    '-0x0\r\n\r\n', ' 5\r\nabcde\r\n', '5\r\r;a\nabcde',
		    '5;a=b\r\rX\r\n', '\r\nabcde', '12345678901234567\r\nabcde',
		    '5\nabcde\n0\n\n', '5\r\nabcdeX\r\n0\r\n\r\n',
		    '5\r\nabcde0\r\n\r\n', '0\r\nX:POST / HTTP/1.1\n\r\n\r\n',
		    'g\r\n', '5 \r\nabcde\r\n0\r\n\r\n\x00',
		    'fffffffffffffff0\r\n'])
			await closes([te, c], JSON.stringify(c), [400, 413]);
	});
	await test('SMG-6 header lines', async () => {
		for (const h of ['Content-Length : 5', '\tX: y', ' X: y', 'X y',
		    ': x', 'X: a\x00b', 'X: a\rb', 'X: a\nb', 'X\x80: y',
		    'X\x01: y', 'Content-Length\x85: 10', 'X: a\r\n folded',
		    'X: a\r\n\tfolded', 'X(: y', 'X\t: y', 'X: a\x7fb'])
			await closes(post(`${h}\r\n\r\n`), JSON.stringify(h));
		await closes(`POST /bare/mcp HTTP/1.1\r\n\tHost: ${host}\r\n\r\n`,
		    'tab in the first header');
	});
	await test('SMG-7 request lines', async () => {
		const h = `Host: ${host}\r\n\r\n`;
		for (const l of ['GET /\nHTTP/1.1\r\n', 'GET /health HTTP/1.32\r\n',
		    'GET /health HTTP/4294967295.255\r\n',
		    'GET  /health HTTP/1.1\r\n', 'GET /health  HTTP/1.1\r\n',
		    'GET /health\r\n', 'get /health HTTP/1.1\r\n',
		    'GET http://evil.example/health HTTP/1.1\r\n',
		    'GET /health HTTP/2.0\r\n', 'GET /health http/1.1\r\n',
		    'GET\t/health HTTP/1.1\r\n', ' GET /health HTTP/1.1\r\n',
		    'GET health HTTP/1.1\r\n', 'G\x00T /health HTTP/1.1\r\n',
		    'GET /he\x00lth HTTP/1.1\r\n', 'GET /h\xe9 HTTP/1.1\r\n',
		    'GET /health HTTP/1.1 \r\n', 'GET /health HTTP/1\r\n',
		    'CONNECT evil:443 HTTP/1.1\r\n'])
			await closes(l + h, JSON.stringify(l),
			    [400, 405, 421, 501, 505]);
	});
	await test('SMG-8 Host', async () => {
		for (const h of ['', `Host: ${host}\r\nHost: ${host}\r\n`,
		    'Host: \r\n', `Host: u@${host}\r\n`, `Host: ${host}/x\r\n`,
		    `Host: ${host}\x00\r\n`, `Host: ${host}, evil\r\n`,
		    `Host: ${host} evil\r\n`])
			await closes(`GET /mcp HTTP/1.1\r\n${h}\r\n`,
			    JSON.stringify(h));
	});
	await test('SMG-9 pipelining', async () => {
		await answers(good() + good(), [200, 200], 'two');
		const three = await answers(good() + line(
		    'GET /.well-known/oauth-authorization-server HTTP/1.1',
		    '\r\n') + good('/nothing'), [200, 200, 404], 'in order');
		ok(/issuer/.test(three[1].body), 'the second is the second');
		const r = await exchange(port, `${good()}GARBAGE\x00\r\n\r\n`);
		same(responses(r.bytes).map((a) => a.status), [200, 400],
		    'garbage');
		ok(r.closed, 'closed after garbage');
		await answers([good().slice(0, 9), good().slice(9, 30),
		    good().slice(30) + good().slice(0, 5), good().slice(5)],
		    [200, 200], 'in pieces');
	});
	await test('SMG-10 a body on GET, HEAD and DELETE', async () => {
		const body = 'GET /evil ';
		for (const m of ['GET', 'HEAD', 'DELETE']) {
			const r = await exchange(port, line(`${m} /health HTTP/1.1`,
			    `Content-Length: 10\r\n\r\n${body}`) + good());
			const n = (r.bytes.match(/HTTP\/1\.1 \d{3}/g) ?? []);
			ok(n.length === 2 && n[1].endsWith('200') ||
			    n.length === 1 && r.closed, `${m}: ${n} ${r.closed}`);
			ok(!/evil/.test(r.bytes), `${m}: the body became a request`);
		}
	});
	await test('SMG-11 Expect', async () => {
		const head = post(`Content-Length: ${PING.length}\r\n` +
		    'Content-Type: application/json\r\nExpect: 100-continue\r\n' +
		    '\r\n');
		const waits = await exchange(port, head);
		ok(/^HTTP\/1\.1 (100|4\d\d|417)/.test(waits.bytes),
		    `nothing sent: ${waits.bytes}`);
		const r = await exchange(port, [head, PING], { pause: 200 });
		const all = responses(r.bytes).map((a) => a.status);
		ok(all[0] === 100 && all.length === 2 || all[0] >= 400,
		    `${all}`);
		await answers(post('Content-Length: 2\r\nExpect: x\r\n\r\n{}'),
		    [417], 'Expect: x');
	});
	await test('SMG-12 Upgrade, Connection and trailers', async () => {
		await answers(line('GET /health HTTP/1.1', 'Connection: ' +
		    'Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n' +
		    'HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n'), [200], 'h2c');
		await answers(line('GET /mcp HTTP/1.1', 'Origin: ' +
		    'https://evil.example\r\nConnection: Origin\r\n\r\n'), [403],
		    'Connection does not remove Origin');
		const [first] = await answers(line('POST /mcp HTTP/1.1',
		    'Transfer-Encoding: chunked\r\nContent-Type: ' +
		    'application/json\r\nTrailer: Authorization\r\n\r\n2\r\n{}' +
		    `\r\n0\r\nAuthorization: Bearer ${gw.token}\r\n` +
		    'Content-Length: 99\r\n\r\n') + good(), [401, 200],
		    'a trailer is no header');
		ok(first.headers['www-authenticate'], 'challenge');
	});
	console.log(`# smuggling: ${cases} cases, 0 accepted-ambiguous`);
}

async function hosts() {
	await test('DNSR-1 foreign Host on every route but /health',
	    async () => {
		for (const p of ['/mcp', '/bare/mcp', '/nothing', ...routes()
		    .filter(([, c]) => c !== 'open').map(([path]) => path)])
			for (const h of ['evil.example', 'evil.example:80'])
				await answers(`GET ${p} HTTP/1.1\r\nHost: ${h}\r\n` +
				    'Connection: close\r\n\r\n', [421], `${p} ${h}`);
		await answers('GET /health HTTP/1.1\r\nHost: evil.example\r\n' +
		    'Connection: close\r\n\r\n', [200], '/health');
	});
	await test('DNSR-2, DNSR-3 Origin by class', async () => {
		for (const origin of ['https://evil.example', 'null',
		    'http://localhost.evil', 'https://claude.ai.evil',
		    'http://127.0.0.1@evil', '*']) {
			for (const method of ['POST', 'GET', 'OPTIONS']) {
				const r = await request(gw.url,
				    { method, headers: { origin } });
				same(r.status, 403, `${method} /mcp ${origin}`);
				same(r.headers['access-control-allow-origin'],
				    undefined, 'ACAO');
			}
			for (const p of ['/oauth/authorize', '/authorize'])
				same((await request(gw.base + p, { headers: { origin,
				    'content-type':
				    'application/x-www-form-urlencoded' } })).status,
				    403, `POST ${p} ${origin}`);
			const t = await request(`${gw.base}/oauth/token`,
			    { headers: { origin } });
			same(t.headers['access-control-allow-origin'], '*',
			    'token is public');
		}
		for (const origin of ['https://claude.ai', gw.base,
		    'http://localhost:6274', 'http://127.0.0.1:1']) {
			const r = await request(gw.url, { headers: { origin } });
			same(r.status, 401, origin);
			same(r.headers['access-control-allow-origin'], origin,
			    'echoed');
			ok(/origin/i.test(r.headers.vary ?? ''), 'Vary');
		}
	});
	await test('DNSR-4 near misses of our Host', async () => {
		for (const h of [`${host}.evil`, 'localhost.evil', '127.0.0.1.evil',
		    '[::2]', '127.0.0.2', '0.0.0.0', 'localhost.', '2130706433'])
			await closes(`GET /mcp HTTP/1.1\r\nHost: ${h}\r\n` +
			    'Connection: close\r\n\r\n', h, [400, 421]);
		for (const h of [host, 'localhost', '127.0.0.1:1', '[::1]:99'])
			await answers(`GET /mcp HTTP/1.1\r\nHost: ${h}\r\n` +
			    'Connection: close\r\n\r\n', [401], h);
	});
	await test('DNSR-5 CORS by class, on every route', cors);
	await test('DNSR-5 no CORS on the pages of the browser', noCors);
}

const acao = (r) => r.headers['access-control-allow-origin'];
const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS'];

async function cors() {
	const origin = 'https://anything.example';
	for (const [path, c] of [...routes(), ['/nothing', 'none'],
	    ['/.well-known/nothing', 'none']])
		for (const method of METHODS) {
			const r = await request(gw.base + path,
			    { method, headers: { origin } });
			const what = `${method} ${path} (${r.status})`;
			same(acao(r), c === 'public' ? '*' : undefined, what);
			same(r.headers['access-control-allow-credentials'],
			    undefined, what);
		}
	const pre = await request(gw.url, { method: 'OPTIONS', headers: {
		origin: 'https://claude.ai',
		'access-control-request-method': 'POST',
		'access-control-request-headers': 'authorization' } });
	same(pre.status, 204, 'preflight without a token');
	same(acao(pre), 'https://claude.ai', 'preflight');
	const expose = (await request(gw.url, { headers:
	    { origin: 'https://claude.ai' } }))
	    .headers['access-control-expose-headers'] ?? '';
	for (const h of ['WWW-Authenticate', 'Mcp-Session-Id'])
		ok(expose.toLowerCase().includes(h.toLowerCase()), expose);
}

// Whatever the Origin: none, our own, which gets as far as the page, one that
// may use /mcp, one on loopback, a foreign one.
async function noCors() {
	const c = await new Client(gw.base).register();
	const pages = routes().filter(([, k]) => k === 'browser')
	    .map(([path]) => path);
	ok(pages.includes('/authorize') && pages.includes('/oauth/authorize'),
	    `${pages}`);
	const statuses = new Map();
	for (const origin of [undefined, gw.base, 'https://claude.ai',
	    'http://localhost:6274', 'https://evil.example', 'null'])
		for (const path of pages)
			for (const method of METHODS) {
				const query = path.endsWith('authorize') ?
				    new URL(c.authorizeUrl()).search : '';
				const r = await request(gw.base + path + query, {
					method, headers: { ...(origin && { origin }),
					    'access-control-request-method': 'POST',
					    'content-type':
					    'application/x-www-form-urlencoded' },
					body: method === 'POST' ?
					    query.slice(1) : undefined });
				const got = Object.keys(r.headers).filter((h) =>
				    h.startsWith('access-control-'));
				same(got, [], `${method} ${path} ${origin}`);
				statuses.set(`${method} ${path} ${origin}`,
				    r.status);
			}
	const at = (method, origin) =>
	    statuses.get(`${method} /oauth/authorize ${origin}`);
	same([at('GET', undefined), at('GET', gw.base), at('POST', gw.base),
	    at('OPTIONS', gw.base)], [200, 200, 200, 405], 'our own');
	for (const origin of ['https://claude.ai', 'https://evil.example'])
		same(METHODS.map((m) => at(m, origin)), [403, 403, 403, 403],
		    origin);
}

// Names that a proxy, a provider or another gateway might mean something by.
const KNOWN = ['forwarded', 'x-forwarded-for', 'x-forwarded-proto',
    'x-forwarded-host', 'x-forwarded-uri', 'x-forwarded-user', 'x-real-ip',
    'x-user-id', 'x-user-name', 'x-auth-scope', 'x-original-url',
    'x-rewrite-url', 'x-http-method-override', 'x-api-key', 'x-api-token',
    'x-mcpgw-user', 'x-mcpgw-backend', 'mcp-init-host', 'remote-user',
    'proxy-authorization', 'x-backend-key', 'user-agent', 'via'];
// They make the request what it is, or are a matter of their own.
const FRAME = ['host', 'content-length', 'transfer-encoding', 'connection',
    'expect', 'origin', 'authorization', 'accept', 'content-type'];
// These are passed on: as they came, when they are what they should be.
const TRACE = ['traceparent', 'tracestate'];

// Every one of them, from the source and known: {name: value}, each value
// its own.
function strange() {
	const all = new Set([...headerNames(), ...KNOWN]);
	const names = [...all].filter((n) => ![...FRAME, ...TRACE].includes(n));
	ok(names.length > 40, `only ${names}`);
	return Object.fromEntries(names.map((n, i) => [n, `hdr3nonce${i}x`]));
}

async function internal(backend) {
	const all = strange();
	const body = JSON.stringify({ jsonrpc: '2.0', id: 1,
	    method: 'tools/list' });
	const evil = { 'x-user-id': 'owner', 'x-auth-scope': 'mcp:admin',
	    'x-forwarded-user': 'owner', 'remote-user': 'owner',
	    'x-forwarded-for': '127.0.0.1', 'x-http-method-override': 'OPTIONS',
	    'x-original-url': '/bare/mcp', 'x-rewrite-url': '/bare/mcp',
	    'x-mcpgw-backend': 'echo', 'sec-fetch-site': 'same-origin' };
	const json = { 'content-type': 'application/json',
	    accept: 'application/json, text/event-stream' };
	for (const headers of [{}, all, { ...all, ...evil }]) {
		const r = await request(gw.url,
		    { headers: { ...json, ...headers }, body });
		same([r.status, r.headers['www-authenticate']?.split(' ')[0]],
		    [401, 'Bearer'], `without a token: ${r.text}`);
	}
	const mcp = await new Mcp(gw.url, { token: gw.token }).open();
	const args = { nonce: 'hdr3' };
	for (const headers of [all, { ...all, ...evil }]) {
		const r = await mcp.tool('echo_echo', args, { headers: {
			...headers, 'mcp-session-id': mcp.session,
			'mcp-protocol-version': mcp.version } });
		same(JSON.parse(r.content[0].text), args, 'the answer');
	}
	const { seen } = await (await fetch(
	    backend.url.replace(/mcp$/, 'seen'))).json();
	const calls = seen.filter((s) => /"nonce":"hdr3"/.test(s.raw));
	same(calls.length, 2, 'calls the backend had');
	const told = JSON.stringify(seen);
	for (const [name, value] of Object.entries(all))
		ok(!told.includes(value), `the backend got ${name}`);
	// What it has is ours: by name, and once each.
	for (const s of calls) {
		const names = s.headers.filter((_, i) => i % 2 === 0)
		    .map((n) => n.toLowerCase()).sort();
		same(names, ['accept', 'content-length', 'content-type', 'host',
		    'mcp-protocol-version', 'mcp-session-id', 'user-agent',
		    'x-backend-key'], 'names of headers');
	}
	console.log(`# HDR-3: ${Object.keys(all).length} names of headers`);
}

// As many as there is room for, then 429: who is counted as one.
async function hops() {
	const g = await Gateway.start({ config: {
		trusted_proxies: ['127.0.0.1/32'],
		limits: { register_per_ip: '3/h' },
	} });
	const register = async (xff) => (await request(
	    `${g.base}/oauth/register`, {
		headers: { 'content-type': 'application/json',
		    ...(xff && { 'x-forwarded-for': xff }) },
		body: '{"redirect_uris":["https://c.example/cb"]}' })).status;
	const many = async (xff) => {
		const got = [];
		for (let i = 0; i < 5; i++)
			got.push(await register(xff(i)));
		return got;
	};
	const limited = [201, 201, 201, 429, 429];
	same(await many((i) => `198.51.100.${i}, 203.0.113.1`), limited,
	    'same last hop');
	same(await register('203.0.113.1, 198.51.100.9'), 201,
	    'another last hop');
	// What the client sends stays in a line of its own.
	same(await many((i) => [`198.51.100.${i}`, '203.0.113.2']), limited,
	    'two lines');
	same(await many((i) => `198.51.100.${i}, 203.0.113.3, 127.0.0.1`),
	    limited, 'two proxies');
	const unknown = [undefined, 'x', '127.0.0.1', '203.0.113.4, x', '::1'];
	same(await many((i) => unknown[i]), limited, 'nobody is named');
	await g.stop();
}

const INIT = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {},
	clientInfo: { name: 'regress', version: '1' } } });

// Behind a tunnel, where it has an address that everybody can ask for.
async function open(backend) {
	const name = 'mcp.example.net';
	const g = await Gateway.start({ config: { issuer: `https://${name}`,
		hosts: ['gw.lan'],
		backends: { echo: { url: backend.url } },
		endpoints: { '/mcp': { backends: '*' },
		    '/open/mcp': { backends: '*', auth: 'none' } } } });
	const meta = '/.well-known/oauth-protected-resource';
	const ask = async (path, headers, method = 'POST') => {
		const r = await request(g.base + path, { method, headers: {
			'content-type': 'application/json',
			accept: 'application/json, text/event-stream', ...headers },
			body: method === 'POST' ? INIT : undefined });
		delete r.headers.date;
		delete r.headers['x-mcpgw-worker'];
		return r;
	};
	const near = { localhost: {}, 'the address':
	    { host: `127.0.0.1:${g.port}` }, 'IPv6': { host: '[::1]' } };
	for (const [what, h] of Object.entries(near)) {
		same((await ask('/open/mcp', h)).status, 200, what);
		same((await ask(`${meta}/open/mcp`, h, 'GET')).status, 200, what);
	}
	const far = { 'the public name': { host: name }, 'a name of hosts':
	    { host: 'gw.lan' }, 'X-Forwarded-For':
	    { 'x-forwarded-for': '203.0.113.9' }, 'an empty X-Forwarded-For':
	    { 'x-forwarded-for': '' }, 'of loopback':
	    { 'x-forwarded-for': '127.0.0.1' }, Forwarded:
	    { forwarded: 'for=203.0.113.9' } };
	for (const [what, h] of Object.entries(far)) {
		for (const m of ['POST', 'GET', 'DELETE', 'OPTIONS', 'PUT'])
			same(await ask('/open/mcp', h, m),
			    await ask('/other/mcp', h, m), `${m}, ${what}`);
		same((await ask('/open/mcp', h)).status, 404, what);
		same(await ask(`${meta}/open/mcp`, h, 'GET'),
		    await ask(`${meta}/other/mcp`, h, 'GET'), what);
		same((await ask('/mcp', h)).status, 401, `/mcp, ${what}`);
	}
	await g.stop();
}

async function headers(backend) {
	await test('HDR-1 forwarded headers of strangers change nothing',
	    async () => {
		const path = `${gw.base}/.well-known/oauth-protected-resource/mcp`;
		const plain = await request(path, { method: 'GET' });
		const other = await request(path, { method: 'GET', headers: {
			'x-forwarded-for': '203.0.113.9',
			'x-forwarded-proto': 'https',
			'x-forwarded-host': 'evil.example', 'x-real-ip': '1.2.3.4',
			forwarded: 'for=1.2.3.4;host=evil.example;proto=https',
		} });
		same(other.text, plain.text, 'metadata');
		same(JSON.parse(plain.text).resource, gw.url, 'resource');
	});
	await test('HDR-2 of a trusted proxy only the last hop counts', hops);
	await test('without a sign-in only programs of this machine are served',
	    () => open(backend));
	await test('HDR-3 headers of ours have no effect and go nowhere',
	    () => internal(backend));
	await test('HDR-4 nothing of the client\'s goes upstream',
	    async () => {
		const c = await Client.signIn(gw);
		const token = c.tokens.access_token;
		const mcp = await new Mcp(gw.url, { token }).open();
		await mcp.tool('echo_echo', { nonce: 'hdr' }, { headers: {
			cookie: 'secret=cookie-value',
			'proxy-authorization': 'Basic cHJveHk6c2VjcmV0',
			'x-api-token': 'x-token-value',
			'x-user-id': 'root', 'x-auth-scope': 'mcp:admin',
			'x-mcpgw-worker': '1', 'x-forwarded-for': '1.2.3.4',
			forwarded: 'for=1.2.3.4',
			traceparent:
			    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
		} });
		const { seen } = await (await fetch(
		    backend.url.replace(/mcp$/, 'seen'))).json();
		const all = JSON.stringify(seen);
		for (const s of [token, token.split('.')[2], 'cookie-value',
		    'cHJveHk6', 'x-token-value', 'mcp:admin', '1.2.3.4',
		    mcp.session])
			ok(!all.includes(s), `the backend got ${s.slice(0, 20)}`);
		const last = seen.at(-1).headers;
		const at = last.findIndex((h) => /^traceparent$/i.test(h));
		ok(at >= 0 && /0af7651916cd43dd/.test(last[at + 1]),
		    'traceparent is passed on');
		const configured = last.findIndex((h) =>
		    /^x-backend-key$/i.test(h));
		same(last[configured + 1], 'configured-secret',
		    'the backend\'s own header');
	});
	await test('HDR-5 a configured header cannot be split', async () => {
		for (const v of ['a\r\nX-Evil: 1', 'a\nb', 'a\u0000b']) {
			const g = await Gateway.make({ config: { backends: { echo:
			    { url: backend.url, headers: { 'X-Key': v } } } } });
			const c = new Child('mcpgwd -n', `${bin}/mcpgwd`,
			    ['-n', '-f', g.conf, '-L', bin],
			    g.drop ? { uid: 65534, gid: 65534 } : {});
			const status = await c.exited;
			same(status, 1, `${JSON.stringify(v)}: ${c.output}`);
			ok(/mcpgwd\.conf:\d+: /.test(c.output), c.output);
		}
		const mcp = await new Mcp(`${gw.base}/bare/mcp`).open();
		const args = { nonce: 'a\r\nX-Evil: 1\u0000é' };
		const r = await mcp.tool('echo', args);
		same(JSON.parse(r.content[0].text), args, 'argument');
	});
	await test('HDR-8 response headers', async () => {
		const c = await new Client(gw.base).register();
		const page = await new Browser(gw.base).get(c.authorizeUrl());
		same(page.headers.get('cache-control'), 'no-store', 'sign-in');
		same(page.headers.get('referrer-policy'), 'same-origin',
		    'sign-in');
		for (const [method, p] of [['POST', '/oauth/token'],
		    ['POST', '/oauth/register'], ['POST', '/mcp'],
		    ['GET', '/health'], ['GET', '/nothing']]) {
			const r = await request(gw.base + p, { method });
			same(r.headers['x-content-type-options'], 'nosniff', p);
			same(r.headers.server, undefined, `Server of ${p}`);
			ok(!/html/.test(r.headers['content-type'] ?? ''), p);
		}
		const t = await request(`${gw.base}/oauth/token`);
		same(t.headers['cache-control'], 'no-store', 'token');
	});
	await test('a browser that opens /mcp sees the address, with 401',
	    async () => {
		const r = await request(gw.url, { method: 'GET', headers:
		    { accept: 'text/html,application/xhtml+xml' } });
		same(r.status, 401, 'status');
		ok(/^text\/html/.test(r.headers['content-type']), 'a page');
		ok(r.text.includes(gw.url), 'the address');
	});
}

run('http', async () => {
	const backend = await echo();
	gw = await Gateway.start({ config: {
		backends: { echo: { url: backend.url,
		    headers: { 'X-Backend-Key': 'configured-secret' } } },
		endpoints: {
			'/mcp': { backends: '*' },
			'/bare/mcp': { backends: ['echo'], prefix: 'none',
			    auth: 'none' },
		},
	} });
	gw.token = (await Client.signIn(gw)).tokens.access_token;
	port = gw.port;
	host = `localhost:${port}`;
	await smuggling();
	await hosts();
	await headers(backend);
	await test('the workers are the ones that started', async () =>
	    same(gw.pids('worker').length, 2, 'workers'));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
