// Must be true 2 of the whole sessions: server-everything as the Inspector's
// command line and mcp-remote see it through the gateway, compared with what
// they see of it directly. Each of their requests goes to another worker than
// the one before.
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { StdioClientTransport } from
    '@modelcontextprotocol/sdk/client/stdio.js';
import { alike, later, ok, run, same, sleep, test, tmp } from
    './lib/harness.mjs';
import { everything } from './lib/backends.mjs';
import { connectOver, everythingSeen } from './lib/everything.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { modules, node } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';

// The command line reads the name of the package that it is a part of; so it
// is given one.
function inspector() {
	const dir = tmp();
	cpSync(`${modules}/@modelcontextprotocol/inspector-cli`, `${dir}/cli`,
	    { recursive: true });
	symlinkSync(modules, `${dir}/node_modules`);
	writeFileSync(`${dir}/package.json`, JSON.stringify({
	    name: '@modelcontextprotocol/inspector', version: '1.0.3',
	    type: 'module' }));
	return `${dir}/cli/build/cli.js`;
}

function inspect(cli, url, args) {
	return new Promise((done, fail) => {
		execFile(node, [cli, '--cli', url, '--transport', 'http', ...args],
		    { timeout: 30_000, maxBuffer: 1 << 24 }, (e, out, err) => {
			if (e)
				fail(new Error(`${args.join(' ')}: ${err || e.message}`));
			else
				done(JSON.parse(out));
		});
	});
}

const doc = 'demo://resource/static/document/features.md';
const questions = [
	['--method', 'tools/list'],
	['--method', 'tools/call', '--tool-name', 'echo',
	    '--tool-arg', 'message=hé "x"'],
	['--method', 'tools/call', '--tool-name', 'get-sum',
	    '--tool-arg', 'a=20', '--tool-arg', 'b=22'],
	['--method', 'tools/call', '--tool-name', 'get-tiny-image'],
	['--method', 'tools/call', '--tool-name', 'get-structured-content',
	    '--tool-arg', 'location=Chicago'],
	['--method', 'prompts/list'],
	['--method', 'prompts/get', '--prompt-name', 'args-prompt',
	    '--prompt-args', 'city=Oslo'],
	['--method', 'resources/list'],
	['--method', 'resources/read', '--uri', doc],
	['--method', 'resources/templates/list'],
	['--method', 'logging/setLevel', '--log-level', 'debug'],
];

// server-everything makes a page of some dynamic resources at random times.
const still = (v) => JSON.parse(JSON.stringify(v)
    .replace(/\d{1,2}:\d\d:\d\d( [AP]M)?/g, 'TIME'));

// The SDK forgets what to tell of progress when the answer comes, and takes up
// the answer before the progress that was read from stdin with it; so progress
// is compared as it came on stdin.
const silent = (r) => r?.result?.progress === undefined ? r :
    { result: r.result.r };

const told = ['elicitation/create', 'sampling/createMessage', 'roots/list',
    'notifications/message', 'notifications/resources/updated'];

// A list may change while the gateway still learns of a backend.
const kinds = (all) => [...new Set(all.map(([m]) => m))]
    .filter((m) => !/list_changed$/.test(m)).sort();

// What seen are: {worker, method} of requests, in their order.
function alternated(seen, least) {
	ok(seen.length >= least, `${seen.length} requests`);
	same(new Set(seen.map((s) => s.worker)).size, 2, 'workers');
	for (let i = 1; i < seen.length; i++)
		ok(seen[i].worker !== seen[i - 1].worker,
		    'two requests on one worker in a row');
}

async function remote(url, args = []) {
	const dir = tmp();
	mkdirSync(`${dir}/home`);
	const transport = new StdioClientTransport({
		command: node, cwd: dir, stderr: 'ignore',
		args: [`${modules}/mcp-remote/dist/proxy.js`, url,
		    '--transport', 'http-only', '--allow-http', ...args],
		env: { HOME: `${dir}/home`, PATH: '/usr/bin:/bin',
		    MCP_REMOTE_CONFIG_DIR: `${dir}/home/auth` },
	});
	const seen = await connectOver('SDK 1.x', transport);
	later(() => seen.client.close());
	seen.progress = [];
	const { onmessage } = transport;
	transport.onmessage = (m, ...rest) => {
		if (m.method === 'notifications/progress')
			seen.progress.push(m.params);
		return onmessage(m, ...rest);
	};
	return seen;
}

run('inspector', async () => {
	const cli = inspector();
	const every = await everything();
	const beside = await everything();
	const gw = await Gateway.start({ config: {
		backends: { every: { url: every.url,
		    declare: ['sampling', 'elicitation', 'roots'] } },
		endpoints: {
			'/mcp': { backends: '*' },
			'/bare/mcp': { backends: ['every'], auth: 'none',
			    prefix: 'none' },
			'/held/mcp': { backends: ['every'], prefix: 'none' },
		},
	} });
	const requests = [];
	const base = await new Pins(gw.base).proxy(requests);
	const open = `${base}/bare/mcp`, held = `${base}/held/mcp`;
	const { tokens } = await Client.signIn(gw,
	    { resource: `${gw.base}/held/mcp` });
	const bearer = `Authorization: Bearer ${tokens.access_token}`;
	for (const args of questions)
		await test(`INSPECTOR ${args.slice(1).join(' ')}`, async () => {
			requests.length = 0;
			const want = await inspect(cli, beside.url, args);
			alike(still(await inspect(cli, open, args)), still(want),
			    'what it prints');
			alike(still(await inspect(cli, held, [...args, '--header',
			    bearer])), still(want), 'what it prints with a token');
			alternated(requests, 6);
		});
	await test('INSPECTOR with a wrong token is refused', async () => {
		const why = await inspect(cli, held, ['--method', 'tools/list',
		    '--header', `${bearer}x`]).then(() => 'let in',
		    (e) => e.message);
		ok(/401|unauthorized|invalid_token/i.test(why), why);
	});
	for (const [what, url, args] of [['open', open, []],
	    ['with a token', held, ['--header', bearer]]])
		await test(`MCP-REMOTE ${what}: everything as seen directly`,
		    async () => {
			requests.length = 0;
			const direct = await remote(beside.url);
			const gated = await remote(url, args);
			await sleep(600);
			const [want, got] = await Promise.all([
				everythingSeen('SDK 1.x', direct),
				everythingSeen('SDK 1.x', gated)]);
			same(got.map((g) => g[0]), want.map((w) => w[0]), 'steps');
			for (const [i, [step, r, t]] of want.entries()) {
				alike(silent(got[i][1]), silent(r), `${step}: result`);
				alike(got[i][2], t, `${step}: asked and told`);
			}
			same(kinds(gated.told), kinds(direct.told),
			    'kinds of messages');
			for (const m of told)
				ok(kinds(gated.told).includes(m), `no ${m}`);
			same(direct.progress.length, 4, 'progress directly');
			alike(gated.progress, direct.progress, 'progress');
			alternated(requests, 40);
		}, { timeout: 90_000 });
	// The clients of mcp-remote are still there, and come back for their
	// streams as long as somebody answers.
	await test('nothing is left after SIGTERM', () => gw.stop());
});
