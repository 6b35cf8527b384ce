// Must be true 2 of the whole sessions: server-everything as the Inspector's
// command line and mcp-remote see it through the gateway, compared with what
// they see of it directly.
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

const silent = (r) => r?.result?.progress === undefined ? r :
    { result: r.result.r };

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
	const open = `${gw.base}/bare/mcp`, held = `${gw.base}/held/mcp`;
	for (const args of questions)
		await test(`INSPECTOR ${args.slice(1).join(' ')}`, async () => {
			const [want, got] = await Promise.all([
				inspect(cli, beside.url, args), inspect(cli, open, args)]);
			alike(still(got), still(want), 'what it prints');
		});
	const { tokens } = await Client.signIn(gw, { resource: held });
	const bearer = `Authorization: Bearer ${tokens.access_token}`;
	await test('INSPECTOR with a token', async () => {
		const got = await inspect(cli, held, ['--method', 'tools/list',
		    '--header', bearer]);
		ok(got.tools.length > 5, `${got.tools.length} tools`);
	});
	for (const [what, url, args] of [['open', open, []],
	    ['with a token', held, ['--header', bearer]]])
		await test(`MCP-REMOTE ${what}: everything as seen directly`,
		    async () => {
			const direct = await remote(beside.url);
			const gated = await remote(url, args);
			await sleep(600);
			const [want, got] = await Promise.all([
				everythingSeen('SDK 1.x', direct),
				everythingSeen('SDK 1.x', gated)]);
			same(got.map((g) => g[0]), want.map((w) => w[0]), 'steps');
			for (const [i, [step, r, told]] of want.entries()) {
				// mcp-remote drops progress that comes in one piece with
				// the answer.
				alike(silent(got[i][1]), silent(r), `${step}: result`);
				alike(got[i][2], told, `${step}: asked and told`);
			}
		}, { timeout: 90_000 });
	// The clients of mcp-remote are still there, and come back for their
	// streams as long as somebody answers.
	await test('nothing is left after SIGTERM', () => gw.stop());
});
