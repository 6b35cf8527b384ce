// Must be true 1: the official conformance suite in two releases, first against
// the fixture directly, then through mcpgwd without and with authorization;
// judged by the checks of each scenario.
import http from 'node:http';
import { readFileSync, readdirSync } from 'node:fs';
import { Child, freePort, later, ok, root, run, same, test, tmp, until }
    from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { fixture } from './lib/backends.mjs';
import { Browser, Client, consent } from './lib/oauth.mjs';
import { hook, live, modules, node, npm } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';

const tree = new URL('../..', import.meta.url).pathname;

// By what a run of it is called: {suite, args, least: scenarios at least}.
const suites = {
	'alpha.12': {
		suite: `${modules}/@modelcontextprotocol/conformance/dist/index.js`,
		args: ['--requirements', '2025-11-25'], least: 33,
	},
	'0.1.16': {
		suite: `${modules}/conformance-latest/dist/index.js`,
		args: ['--suite', 'active'], least: 30,
	},
};

// What the suite runs and does not score, and we want to pass all the same.
const UNSCORED = ['server-session-lifecycle', 'json-schema-2020-12',
    'server-sse-polling'];

// {status, found: {scenario: [[check id, status, message], …]}} of a run.
async function runSuite({ suite, args, least }, url) {
	const out = tmp();
	const child = new Child('conformance', node, [suite, 'server', '--url',
	    url, ...args, '-o', out],
	    { cwd: out, env: { PATH: '/usr/bin:/bin', HOME: out } });
	const status = await child.exited;
	const found = {};
	for (const dir of readdirSync(out)) {
		const name = dir.replace(/^server-(.*?)-\d{4}-\d\d-\d\dT.*$/, '$1');
		const checks = JSON.parse(
		    readFileSync(`${out}/${dir}/checks.json`));
		found[name] = checks.map((c) => [c.id, c.status, c.errorMessage]);
	}
	ok(Object.keys(found).length >= least,
	    `only ${Object.keys(found).length} scenarios ran: ${
		child.output.slice(-600)}`);
	return { status, found };
}

// A check that has nothing to object to says SUCCESS or INFO: INFO where a
// server may choose, such as between JSON and SSE.
const verdict = (checks) => checks.map(([id, status]) =>
    `${id}=${status === 'INFO' ? 'SUCCESS' : status}`).sort();
const bad = (checks) => checks.filter(([, s]) =>
    !['SUCCESS', 'INFO', 'SKIPPED'].includes(s));

// On loopback, for a suite that knows no tokens: adds one, and passes Host,
// Origin and everything else as it came.
async function adder(to, token) {
	const { port } = new URL(to);
	const server = http.createServer((req, res) => {
		const headers = req.rawHeaders.filter((_, i, all) =>
		    all[i - i % 2].toLowerCase() !== 'connection');
		const up = http.request({ port, host: '127.0.0.1',
		    method: req.method, path: req.url, setHost: false,
		    headers: [...headers, 'Authorization', `Bearer ${token}`] },
		(answer) => {
			res.writeHead(answer.statusCode, answer.rawHeaders.filter(
			    (_, i, all) => !/^(connection|transfer-encoding)$/i
				.test(all[i - i % 2])));
			res.flushHeaders();
			answer.pipe(res);
		});
		up.on('error', () => res.destroy());
		res.on('close', () => up.destroy());
		req.pipe(up);
	});
	const own = await freePort();
	await new Promise((r) => server.listen(own, '127.0.0.1', r));
	later(() => {
		server.closeAllConnections();
		return new Promise((r) => server.close(r));
	});
	return `http://127.0.0.1:${own}`;
}

// Calls that each worker has served, by its id.
const served = async (gw) => Object.fromEntries(JSON.parse((await gw.ctl('-j',
    'show', 'workers')).out).map((w) => [w.worker, w.calls]));

async function compare(gw, name, how, direct, url, spread = true) {
	const through = await test(`MBT-1 ${name} ${how} runs`, async () => {
		const before = await served(gw);
		const r = await runSuite(suites[name], url);
		const after = await served(gw);
		// Where each request goes to another worker than the one before.
		const calls = Object.keys(before).map((w) => after[w] - before[w]);
		ok(!spread || (calls.length === 2 && calls.every((n) => n > 3)),
		    `calls of each worker: ${calls}`);
		console.log(`# ${name} ${how}: ${calls} calls of each worker`);
		same(r.status, 0, `exit status, with ${JSON.stringify(
		    Object.entries(r.found).filter(([, c]) => bad(c).length)
		    .map(([s, c]) => [s, bad(c)]))}`);
		return r;
	}, { timeout: 180_000 });
	for (const s of Object.keys(direct.found))
		await test(`MBT-1 ${name} ${how}: ${s}`, async () => {
			ok(through?.found[s], 'did not run');
			same(bad(through.found[s]), [], 'failed checks');
			same(verdict(through.found[s]), verdict(direct.found[s]),
			    'checks');
		});
}

async function server(name, backend, gw, open, guarded) {
	const direct = await runSuite(suites[name], backend.url);
	await test(`MBT-1 ${name}: the fixture passes directly`, async () => {
		same(direct.status, 0, 'exit status');
		for (const [s, checks] of Object.entries(direct.found))
			same(bad(checks), [], s);
		for (const s of name === 'alpha.12' ? UNSCORED : [])
			ok(direct.found[s], `${s} did not run`);
	});
	await compare(gw, name, 'open', direct, `${open}/bare/mcp`);
	await compare(gw, name, 'with a token', direct, `${guarded}/guarded/mcp`);
	// A stdio server numbers no events: what is about them is not its own.
	const { 'server-sse-polling': _, ...found } = direct.found;
	await compare(gw, name, 'as a stdio child', { found },
	    `http://127.0.0.1:${gw.port}/child/mcp`, false);
}

// `conformance authorization` prints the address to open and waits for the
// code at its own callback. Both scenarios run in one process: the second
// needs what the first has found. Returns {scenario: checks}.
async function authorization(gw) {
	const port = await freePort();
	const c = await new Client(gw.base,
	    { redirect: `http://127.0.0.1:${port}/callback` }).register();
	const out = tmp();
	const child = new Child('authorization', node,
	    [suites['alpha.12'].suite, 'authorization',
	    '--url', gw.base, '--client-id', c.id, '-p', String(port), '-o', out],
	    { cwd: out, env: { PATH: '/usr/bin:/bin', HOME: out } });
	let opened = false;
	await until('the suite to finish', async () => {
		const url = child.output.match(
		    /https?:\/\/\S*\/authorize\?\S+/)?.[0];
		if (url && !opened) {
			opened = true;
			const b = new Browser(gw.base);
			const page = await consent(b, await b.get(url),
			    gw.password);
			same(page.status, 303, `consent: ${page.text}`);
			await (await fetch(page.location)).text();
		}
		return !child.alive;
	}, 45_000, 50).catch((e) => {
		throw new Error(`${e.message}: ${child.output.slice(-800)}`);
	});
	return Object.fromEntries(readdirSync(out).map((dir) =>
	    [dir, JSON.parse(readFileSync(`${out}/${dir}/checks.json`))]));
}

run('conformance', async () => {
	const backend = await fixture();
	const gw = await Gateway.start({ config: {
		backends: { fixture: { url: backend.url }, child: {
			command: [node, '--import', hook,
			    `${live}/fixture/everything.mjs`, 'stdio'],
			env: { MCPGW_NPM: npm }, read: [npm, tree],
			...(root && { user: 'games' }),
			instance: 'session', max_instances: 64,
			declare: ['sampling', 'elicitation', 'roots'],
		} },
		endpoints: {
			'/mcp': { backends: '*' },
			'/bare/mcp': { backends: ['fixture'], prefix: 'none',
			    auth: 'none' },
			'/guarded/mcp': { backends: ['fixture'], prefix: 'none' },
			'/child/mcp': { backends: ['child'], prefix: 'none',
			    auth: 'none' },
		},
	} });
	const resource = `${gw.base}/guarded/mcp`;
	const { tokens } = await Client.signIn(gw, { resource });
	const open = await new Pins(gw.base).proxy();
	const guarded = await adder(open, tokens.access_token);
	for (const name of Object.keys(suites))
		await server(name, backend, gw, open, guarded);
	const found = await test('conformance authorization runs',
	    () => authorization(gw));
	for (const s of ['authorization-server-metadata-endpoint',
	    'authorization-code-grant'])
		await test(`MBT-3 ${s}`, async () => {
			const [, checks] = Object.entries(found ?? {})
			    .find(([dir]) => dir.includes(s)) ?? [];
			ok(checks, `did not run: ${Object.keys(found ?? {})}`);
			// Its one warning is about client ID metadata
			// documents, which are not built.
			same(checks.filter((k) => k.status === 'FAILURE' ||
			    k.status === 'WARNING' && !/cimd/.test(k.id)).map(
			    (k) => [k.id, k.errorMessage]), [], 'checks');
			ok(checks.some((k) => k.status === 'SUCCESS'), 'no check');
		});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
