// mcpgwctl (master/control.c, worker/shelf_show.c, authd/show.c): every verb as
// text and as JSON, its exit status, and that no secret comes out of it.
import { createServer } from 'node:http';
import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import {
	freePort, full, later, ok, run, same, test, until,
} from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Browser, Client, isSignin, parseForm } from './lib/oauth.mjs';
import { Mcp, request } from './lib/mcp.mjs';
import { bin } from './lib/paths.mjs';
import { Sse } from './lib/sse.mjs';

const ROWS = 1000; // at most, of what can be many
const DROPS = 64;
// How the tool `a b` is called, by design 6.
const AB = `a_b_${createHash('sha256').update('a b').digest('hex')
    .slice(0, 6)}`;
const ESC = '\u001b[31m';

let gw;
const secrets = new Set();

// {status, out, err}; input goes to standard input.
function ctl(args, input) {
	const child = spawn(`${bin}/mcpgwctl`,
	    ['-s', gw.config.control, ...args],
	    { env: { PATH: '/usr/bin:/bin' }, stdio: 'pipe',
		...(gw.drop && { uid: 65534, gid: 65534 }) });
	const late = setTimeout(() => child.kill('SIGKILL'), 30_000);
	let out = '', err = '';
	child.stdout.setEncoding('utf8').on('data', (d) => { out += d; });
	child.stderr.setEncoding('utf8').on('data', (d) => { err += d; });
	child.stdin.on('error', () => {});
	child.stdin.end(input);
	return new Promise((done) => child.once('close', (code, sig) => {
		clearTimeout(late);
		done({ status: code ?? sig, out, err });
	}));
}

async function good(args, input) {
	const r = await ctl(args, input);
	same(r.status, 0, `${args.join(' ')}: ${r.out}${r.err}`);
	return r.out;
}

async function bad(status, args, says, input) {
	const r = await ctl(args, input);
	same(r.status, status, `${args.join(' ')}: ${r.out}${r.err}`);
	ok(says.test(r.err), `${args.join(' ')} says ${r.err}`);
	same(r.out, '', `${args.join(' ')}: standard output`);
}

const json = async (args, input) => JSON.parse(await good(['-j', ...args],
    input));

// The rows of a table, which must be the same in text and JSON; nothing of a
// row may be a secret or reach the terminal raw.
async function table(...args) {
	const rows = await json(['show', ...args]);
	ok(Array.isArray(rows), `show ${args}: no array`);
	const text = await good(['show', ...args]);
	const shown = JSON.stringify(rows) + text;
	for (const s of secrets)
		ok(!shown.includes(s), `show ${args}: a secret is shown`);
	ok(!/[^\n\x20-\x7e\u00a0-\uffff]/.test(text), `show ${args}: raw bytes`);
	if (rows.length > 0 && rows.length < 50)
		for (const k of Object.keys(rows[0]))
			ok(text.split('\n')[0].split(/ +/).includes(k),
			    `show ${args}: no heading ${k}`);
	return rows;
}

const recent = (t) => Number.isInteger(t) &&
    Math.abs(t - Date.now() / 1000) < 300;

// A backend with tools of every wrong kind, log levels and subscriptions.
async function odd() {
	const schema = { type: 'object' };
	const list = [
		{ name: 'fine', inputSchema: schema,
		    description: `${ESC}${'é'.repeat(60)}` },
		{ name: 'a b', inputSchema: schema },
		{ name: AB, inputSchema: schema },
		{ name: 'c d', inputSchema: schema },
		{ name: 'noschema' }, { inputSchema: schema }, 'text',
		{ name: '', inputSchema: schema },
		{ name: 'n'.repeat(600), inputSchema: schema },
		...Array.from({ length: 80 }, (_, i) => ({ name: `no${i}` })),
	];
	const answers = {
		initialize: (p) => ({ protocolVersion: p.protocolVersion,
		    serverInfo: { name: 'odd', version: '1' },
		    capabilities: { tools: {}, logging: {},
			resources: { subscribe: true } } }),
		'tools/list': () => ({ tools: list }),
		'resources/list': () => ({ resources: [1, 2].map((i) =>
		    ({ uri: `odd://${i}`, name: `r${i}` })) }),
		'resources/templates/list': () => ({ resourceTemplates: [] }),
		'tools/call': () => ({ content: [] }),
	};
	const server = createServer(async (req, res) => {
		let body = '';
		for await (const d of req)
			body += d;
		if (req.method !== 'POST')
			return res.writeHead(405).end();
		const m = JSON.parse(body);
		if (m.id === undefined)
			return res.writeHead(202).end();
		const session = m.method === 'initialize' ? randomUUID() :
		    undefined;
		if (session)
			secrets.add(session);
		res.writeHead(200, { 'content-type': 'application/json',
		    ...(session && { 'mcp-session-id': session }) });
		return res.end(JSON.stringify({ jsonrpc: '2.0', id: m.id,
		    result: (answers[m.method] ?? (() => ({})))(m.params) }));
	});
	const port = await freePort();
	await new Promise((done) => server.listen(port, '127.0.0.1', done));
	later(() => {
		server.closeAllConnections();
		server.close();
	});
	return { url: `http://127.0.0.1:${port}/mcp` };
}

async function signIn(params) {
	const c = await Client.signIn(gw, params);
	secrets.add(c.tokens.access_token).add(c.tokens.refresh_token);
	return c;
}

const open = async (c) => {
	const mcp = await new Mcp(gw.url,
	    { token: c.tokens.access_token }).open();
	secrets.add(mcp.session);
	return mcp;
};

const accepted = async (token) => (await request(gw.url, {
	body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
	headers: { authorization: `Bearer ${token}`,
	    'content-type': 'application/json',
	    accept: 'application/json, text/event-stream' } })).status !== 401;

// ---- the cases ----

async function usage() {
	const wrong = [[], ['nonsense'], ['show'], ['show', 'nonsense'],
	    ['show', 'keys'], ['user'], ['client', 'delete'], ['status', 'x'],
	    ['client', 'delete', 'a', 'b'], ['token', 'revoke'], ['log'],
	    ['log', 'level'], ['reload', 'now'], ['show', 'workers', 'x'],
	    ['show', 'tokens', 'a', 'b'], ['-x', 'status'], ['-s']];
	for (const args of wrong)
		await bad(2, args, /usage: mcpgwctl/);
}

async function refusals() {
	for (const args of [['log', 'level', 'loud'], ['client', 'delete', 'no'],
	    ['token', 'revoke', 'A'.repeat(22)], ['token', 'revoke', 'a.b.c'],
	    ['show', 'sessions', 'no'], ['show', 'tools', 'no'],
	    ['show', 'clients', 'no']]) {
		await bad(1, args, /./);
		const r = await ctl(['-j', ...args]);
		same(r.status, 1, `-j ${args}`);
		const m = JSON.parse(r.out);
		ok(m.ok === false && m.message !== '', `-j ${args}: ${r.out}`);
	}
	await bad(1, ['token', 'revoke', '-'], /no token/, '\n');
	for (const n of [11, 512, 1001])
		await bad(1, ['user', 'passwd'], /password has 12 to 511 bytes/,
		    `${'x'.repeat(n)}\n`);
	await bad(1, ['user', 'passwd', 'no/name'], /name/,
	    'long enough a password\n');
	await bad(1, ['-s', '/nonexistent/socket', 'status'], /running/);
}

async function processes() {
	const rows = await json(['status']);
	const roles = rows.map((r) => r.role);
	for (const role of ['master', 'worker', 'keeper', 'resolver', 'authd'])
		ok(roles.includes(role), `status: no ${role}`);
	same(roles.filter((r) => r === 'worker').length, 2, 'workers');
	ok(rows.every((r) => Number.isInteger(r.pid) && r.state === 'ready' &&
	    Number.isInteger(r.uptime)), `status: ${JSON.stringify(rows)}`);
	ok(/^role +pid +worker/.test(await good(['status'])), 'status as text');
	const workers = await table('workers');
	same(workers.length, 2, 'show workers');
}

async function backends() {
	const rows = await table('backends');
	same(rows.map((r) => [r.backend, r.state]),
	    [['one', 'up'], ['two', 'up'], ['odd', 'up'], ['gone', 'down']],
	    'backends');
	same(rows.map((r) => r.asks), ['sampling,elicitation', 'roots', 'none',
	    'sampling,elicitation'], 'what they may ask for');
	ok(rows.slice(0, 3).every((r) => recent(r.seen)), 'seen');
	same(rows[3].seen, null, 'seen of what never was');
	ok(rows[3].error !== '', 'why it is down');
	ok(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/.test(
	    await good(['show', 'backends'])), 'a time as text');
}

async function tools() {
	const rows = await table('tools');
	const find = (backend, tool) => rows.filter((r) =>
	    r.backend === backend && r.tool === tool);
	const [echo1] = find('one', 'echo');
	same([echo1.name, echo1.hidden, echo1.description],
	    ['one_echo', '', 'The tool echo'], 'one echo');
	same(find('one', 'slow')[0].hidden, 'denied by the config', 'slow');
	same(find('two', 'other')[0].hidden, 'not allowed by the config',
	    'other');
	const [echo2] = find('two', 'echo');
	same(echo2.name, 'two_echo', 'two echo');
	same(echo2.hidden, 'at /plain/mcp: a tool of backend one is called ' +
	    'echo, too', 'two echo');
	for (const name of ['a b', AB])
		same(find('odd', name).map((r) => [r.name, r.hidden]),
		    [[`odd_${AB}`, `another tool of this backend is called odd_${
			AB}, too`]], name);
	ok(/^odd_c_d_[0-9a-f]{6}$/.test(find('odd', 'c d')[0].name), 'c d');
	same(find('odd', 'fine')[0].hidden, '', 'fine');
	ok(/^.{10,60}$/u.test(find('odd', 'fine')[0].description),
	    'description');
	const left = rows.filter((r) => /^left out/.test(r.hidden));
	same(left.length, DROPS + 1, 'left out');
	ok(left.every((r) => r.backend === 'odd' && r.name === ''), 'whose');
	const has = (tool, why) => ok(left.some((r) => r.tool === tool &&
	    why.test(r.hidden)), `left out: ${tool} ${why}`);
	has('noschema', /inputSchema/);
	has('', /no name/);
	has('', /no object/);
	has('', /name is empty/);
	has('n'.repeat(64), /too long/);
	same(left.at(-1).hidden, 'left out: 21 more', 'the rest');
	// What is not hidden is what clients see.
	const c = await signIn();
	const mcp = await open(c);
	same((await mcp.list('tools/list', 'tools')).map((t) => t.name).sort(),
	    rows.filter((r) => r.hidden === '' || /^at /.test(r.hidden))
		.map((r) => r.name).sort(), 'what a client sees');
	same((await table('tools', 'two')).map((r) => r.tool),
	    ['echo', 'other'], 'show tools two');
	await mcp.close();
}

async function sessions() {
	const c = await signIn();
	const [a, b] = [await open(c), await open(c)];
	await a.tool('one_echo', { nonce: '1' });
	await a.tool('odd_fine');
	await a.call('logging/setLevel', { level: 'warning' });
	await a.call('resources/subscribe', { uri: 'odd://1' });
	await a.call('resources/subscribe', { uri: 'odd://2' });
	await b.tool('two_echo', { nonce: '1' });
	const stream = await Sse.open(gw.url, { headers: a.headers(
	    { accept: 'text/event-stream' }) });
	same(stream.status, 200, 'GET stream');
	const full_row = await until('the session', async () =>
	    (await table('sessions')).find((r) => r.subscriptions === 2 &&
		r.stream !== null));
	ok(/^[0-9a-f]{8}$/.test(full_row.session), full_row.session);
	same(full_row.backends.split(' ').sort(), ['odd', 'one'], 'backends');
	same(full_row.level, 'warning', 'level');
	same(String(full_row.stream), stream.worker, 'worker of the stream');
	ok(full_row.idle >= 0 && full_row.idle < 60, `idle ${full_row.idle}`);
	const two = await table('sessions', 'two');
	ok(two.length >= 1 && two.every((r) =>
	    r.backends.split(' ').includes('two')), 'show sessions two');
	ok(!two.some((r) => r.session === full_row.session), 'of two only');
	stream.close();
	await a.close();
	await until('it to be gone', async () => !(await table('sessions'))
	    .some((r) => r.session === full_row.session));
	await b.close();
}

async function grants() {
	const c = await signIn({ scope: 'mcp' });
	ok(await accepted(c.tokens.access_token), 'the token');
	const [row, ...more] = await table('tokens', c.id);
	same(more, [], 'one grant');
	same([row.user, row.client, row.name, row.scope, row.resource],
	    ['owner', c.id, 'regress', 'mcp', gw.url], 'the grant');
	ok(recent(row.created) && recent(row.used), 'times');
	ok(row.expires > row.created, 'expires');
	ok((await table('tokens', 'owner')).some((r) => r.grant === row.grant),
	    'by user');
	same(await table('tokens', 'nobody'), [], 'of nobody');
	ok((await table('tokens')).some((r) => r.grant === row.grant), 'all');

	const [client, ...others] = await table('clients', c.id);
	same(others, [], 'one client');
	same([client.client, client.name, client.redirects, client.auth,
	    client.grants], [c.id, 'regress', 'http://127.0.0.1', 'none', 1],
	    'the client');
	ok(recent(client.registered) && recent(client.used), 'times');
	const fresh = await new Client(gw.base).register({
		token_endpoint_auth_method: 'client_secret_basic',
		client_name: `evil ${ESC}name`, redirect_uris: [
		    'https://a.example/1', 'https://a.example/2',
		    'https://b.example/'] });
	secrets.add(fresh.secret);
	const [unused] = await table('clients', fresh.id);
	same([unused.redirects, unused.auth, unused.used, unused.grants],
	    ['https://a.example https://b.example', 'client_secret_basic',
		null, 0], 'a client that was never used');
	ok((await table('clients')).some((r) => r.client === fresh.id), 'all');
}

async function revocations() {
	const ways = {
		'by grant': async (c) => {
			const [g] = await table('tokens', c.id);
			return good(['token', 'revoke', g.grant]);
		},
		'by refresh token': (c) =>
		    good(['token', 'revoke', c.tokens.refresh_token]),
		'by refresh token on stdin': (c) => good(['token', 'revoke', '-'],
		    `${c.tokens.refresh_token}\n`),
		'by access token': (c) =>
		    good(['token', 'revoke', c.tokens.access_token]),
		'by access token on stdin': (c) => good(['token', 'revoke', '-'],
		    c.tokens.access_token),
		'with its client': (c) => good(['client', 'delete', c.id]),
	};
	for (const [name, way] of Object.entries(ways)) {
		const c = await signIn();
		ok(await accepted(c.tokens.access_token), name);
		ok(/\S/.test(await way(c)), `${name}: says nothing`);
		ok(!await accepted(c.tokens.access_token), `${name}: still accepted`);
		const left = await table('tokens', c.id);
		same(left.length, 0, `${name}: grants`);
		const r = await c.refresh(c.tokens.refresh_token);
		ok(r.status >= 400, `${name}: refresh`);
		if (/client/.test(name))
			await bad(1, ['show', 'clients', c.id], /no such client/);
	}
}

async function passwords() {
	// One try only: wrong ones make the next wait.
	const page = async (password) => {
		const c = await new Client(gw.base).register();
		const browser = new Browser(gw.base);
		let at = await browser.get(c.authorizeUrl());
		ok(isSignin(at), `no sign-in page: ${at.status}`);
		const go = parseForm(at.text).buttons.find((x) => x.name);
		at = await browser.submit(at, { user: 'owner', password,
		    ...(go && { [go.name]: go.value }) });
		return !isSignin(at);
	};
	const next = 'another long password';
	same(await page(gw.password), true, 'the password');
	const c = await signIn();
	const said = await json(['user', 'passwd'], `${next}\r\n`);
	same(said.ok, true, 'user passwd');
	// What it does not end, it says.
	ok(/show tokens owner.*token revoke/.test(said.message), said.message);
	ok(await accepted(c.tokens.access_token), 'what is connected');
	same(await page(gw.password), false, 'the old one');
	same(await page(next), true, 'the new one');
	secrets.add(next);
	await good(['user', 'passwd', 'alice'], 'the password of alice\n');
	await good(['user', 'passwd', 'owner'], gw.password);
	same(await page(gw.password), true, 'the first again');
}

async function levels() {
	const join = async () => {
		const before = gw.pids('worker');
		process.kill(before[0], 'SIGKILL');
		await until('the worker to be replaced', async () =>
		    (await json(['status'])).filter((r) => r.role === 'worker' &&
			r.state === 'ready' && r.pid !== before[0]).length === 2);
	};
	const joined = () => (gw.output.match(/has joined/g) ?? []).length;
	await good(['log', 'level', 'info']);
	const quiet = joined();
	await join();
	same(joined(), quiet, 'debug lines at level info');
	same((await json(['log', 'level', 'debug'])).ok, true, 'log level');
	await join();
	await until('a debug line', () => joined() > quiet);
	for (const level of ['error', 'warn', 'info'])
		await good(['log', 'level', level]);
}

async function reloads() {
	const m = await json(['reload']);
	ok(m.ok === true && /generation 2/.test(m.message), JSON.stringify(m));
	ok(/generation 3/.test(await good(['reload'])), 'reload as text');
	gw.write('nonsense: 1\n');
	await bad(1, ['reload'], /nonsense/);
	const r = await ctl(['-j', 'reload']);
	same([r.status, JSON.parse(r.out).ok], [1, false], '-j reload');
	gw.write();
	const tools_now = await table('tools', 'one');
	ok(tools_now.some((t) => t.name === 'one_echo' && t.hidden === ''),
	    'tools after a reload');
}

async function inParallel(n, fn) {
	let left = n;
	await Promise.all(Array.from({ length: 16 }, async () => {
		while (left-- > 0)
			await fn();
	}));
}

// More than are shown: the last row says so, and a filter finds the others.
async function many() {
	const limit = async (verb, hint) => {
		const rows = await json(['show', verb]);
		same(rows.length, ROWS + 1, `show ${verb}`);
		same(Object.keys(rows.at(-1)), ['notice'], `show ${verb}`);
		ok(hint.test(rows.at(-1).notice), rows.at(-1).notice);
		ok(hint.test((await good(['show', verb])).trim().split('\n')
		    .at(-1)), `show ${verb} as text`);
		return rows.slice(0, -1);
	};
	let last;
	await inParallel(ROWS + 5, async () => {
		last = await new Client(gw.base).register();
	});
	await limit('clients', /name a client/);
	same((await table('clients', last.id)).length, 1, 'one of many');
	const c = await signIn();
	await inParallel(ROWS + 5, async () => {
		const mcp = await open(c);
		await mcp.call('logging/setLevel', { level: 'error' });
	});
	const rows = await limit('sessions', /name a backend/);
	ok(rows.every((r, i) => i === 0 || r.idle >= rows[i - 1].idle),
	    'the last used first');
	if (!full)
		return;
	const browser = new Browser(gw.base);
	const one = await new Client(gw.base).register();
	for (let i = 0; i < ROWS + 5; i++)
		await one.redeem(await one.code(gw.password, {}, browser));
	await limit('tokens', /name a client or a user/);
}

run('ctl', async () => {
	const b = { one: await echo(), odd: await odd(),
	    two: await echo({ TOOLS: 'echo,other' }) };
	for (const mode of modes) {
		secrets.clear();
		// The password comes by mcpgwctl.
		gw = await Gateway.make({ mode, config: {
			backends: {
				one: { url: b.one.url, tools: { deny: ['sl*'] } },
				two: { url: b.two.url, tools: { allow: ['echo'] },
				    declare: ['roots'] },
				odd: { url: b.odd.url, declare: [] },
				gone: { url: `http://127.0.0.1:${
				    await freePort()}/mcp` },
			}, endpoints: {
				'/mcp': { backends: '*' },
				'/plain/mcp': { backends: ['one', 'two'],
				    prefix: 'none' },
			} } });
		delete gw.config.auth;
		gw.write();
		gw.launch();
		secrets.add(gw.password);
		const name = (what) => `mcpgwctl (${mode}): ${what}`;
		await test(name('the first password'), async () => {
			await until('the backends', async () => {
				const r = await ctl(['-j', 'show', 'backends']);
				return r.status === 0 && JSON.parse(r.out)
				    .filter((x) => x.state === 'up').length === 3;
			});
			ok(/password/.test(await good(['user', 'passwd'],
			    `${gw.password}\n`)), 'user passwd');
			await signIn();
		});
		await test(name('wrong command lines end with 2'), usage);
		await test(name('what is refused ends with 1'), refusals);
		await test(name('status, show workers'), processes);
		await test(name('show backends'), backends);
		await test(name('show tools: why they are hidden'), tools);
		await test(name('show sessions'), sessions);
		await test(name('show clients, show tokens'), grants);
		await test(name('token revoke, client delete'), revocations);
		await test(name('user passwd'), passwords);
		await test(name('log level'), levels);
		await test(name('reload'), reloads);
		if (mode === modes[0])
			await test(name('more than 1000 rows'), many,
			    { timeout: full ? 300_000 : 120_000 });
		await test(name('nothing is left after SIGTERM'),
		    () => gw.stop());
	}
});
