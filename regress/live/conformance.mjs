// Must be true 3: the official conformance suite, first against the fixture
// directly, then through mcpgwd; judged by checks.json of each scenario.
import { readFileSync, readdirSync } from 'node:fs';
import { Child, freePort, ok, run, same, test, tmp, until } from
    './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { fixture } from './lib/backends.mjs';
import { Browser, Client, consent } from './lib/oauth.mjs';
import { modules, node } from './lib/paths.mjs';

const suite = `${modules}/@modelcontextprotocol/conformance/dist/index.js`;
const REVISION = '2025-11-25';

// What is built. Server-to-client requests, logging, subscriptions and the GET
// stream are not among it, so scenarios that need them are not asked for.
const SCENARIOS = [
	'server-initialize', 'server-session-lifecycle', 'ping',
	'completion-complete', 'tools-list', 'tools-call-simple-text',
	'tools-call-image', 'tools-call-audio', 'tools-call-embedded-resource',
	'tools-call-mixed-content', 'tools-call-error',
	'tools-call-with-progress', 'json-schema-2020-12',
	'server-sse-multiple-streams', 'resources-list', 'resources-read-text',
	'resources-read-binary', 'resources-templates-read', 'prompts-list',
	'prompts-get-simple', 'prompts-get-with-args',
	'prompts-get-embedded-resource', 'prompts-get-with-image',
	'dns-rebinding-protection',
];

// {scenario: [[check id, status], …]} of a run of the whole revision.
async function runSuite(url) {
	const out = tmp();
	const child = new Child('conformance', node, [suite, 'server', '--url',
	    url, '--requirements', REVISION, '-o', out],
	    { cwd: out, env: { PATH: '/usr/bin:/bin', HOME: out } });
	await child.exited;
	const found = {};
	for (const dir of readdirSync(out)) {
		const name = dir.replace(/^server-(.*?)-\d{4}-\d\d-\d\dT.*$/, '$1');
		const checks = JSON.parse(
		    readFileSync(`${out}/${dir}/checks.json`));
		found[name] = checks.map((c) => [c.id, c.status, c.errorMessage]);
	}
	ok(Object.keys(found).length >= SCENARIOS.length,
	    `only ${Object.keys(found).length} scenarios ran: ${
		child.output.slice(-600)}`);
	return found;
}

// A check that has nothing to object to says SUCCESS or INFO: INFO where a
// server may choose, such as between JSON and SSE.
const verdict = (checks) => checks.map(([id, status]) =>
    `${id}=${status === 'INFO' ? 'SUCCESS' : status}`).sort();
const bad = (checks) => checks.filter(([, s]) =>
    !['SUCCESS', 'INFO', 'SKIPPED'].includes(s));

async function server(gw, backend) {
	const direct = await runSuite(backend.url);
	await test('MBT-3 the fixture passes directly', async () => {
		for (const s of SCENARIOS)
			same(bad(direct[s] ?? [['missing', 'FAILURE']]), [], s);
	});
	const through = await runSuite(`http://127.0.0.1:${gw.port}/bare/mcp`);
	for (const s of SCENARIOS)
		await test(`MBT-3 ${s}`, async () => {
			ok(through[s], 'did not run');
			same(bad(through[s]), [], 'failed checks');
			same(verdict(through[s]), verdict(direct[s]), 'checks');
		});
}

// `conformance authorization` prints the address to open and waits for the
// code at its own callback. Both scenarios run in one process: the second
// needs what the first has found. Returns {scenario: checks}.
async function authorization(gw) {
	const port = await freePort();
	const c = await new Client(gw.base,
	    { redirect: `http://127.0.0.1:${port}/callback` }).register();
	const out = tmp();
	const child = new Child('authorization', node, [suite, 'authorization',
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
		backends: { fixture: { url: backend.url } },
		endpoints: {
			'/mcp': { backends: '*' },
			'/bare/mcp': { backends: ['fixture'], prefix: 'none',
			    auth: 'none' },
		},
	} });
	await server(gw, backend);
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
