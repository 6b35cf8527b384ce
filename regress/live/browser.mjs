// Must be true 1: clients that know only the URL, a real browser, real
// servers.
import { chmodSync, writeFileSync, existsSync, readFileSync, mkdirSync } from
    'node:fs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from
    '@modelcontextprotocol/sdk/client/stdio.js';
import { later, ok, run, same, sleep, test, tmp, until } from
    './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { everything, notes } from './lib/backends.mjs';
import { allow, launch } from './lib/browser.mjs';
import { all, connect, sdks, signIn, steps } from './lib/sdk.mjs';
import { modules, node } from './lib/paths.mjs';

const TTL = 2000;

// What must be the same for a tool, whoever shows it.
const tool = (t, prefix = '') => ({ name: prefix + t.name, title: t.title,
    description: t.description, inputSchema: t.inputSchema,
    outputSchema: t.outputSchema, annotations: t.annotations });
const byName = (a, b) => a.name < b.name ? -1 : 1;

async function direct(kind, backends, capabilities) {
	const out = {};
	for (const [name, b] of Object.entries(backends)) {
		const c = await connect(kind, b.url, capabilities);
		await sleep(100); // server-everything adds tools when initialized
		out[name] = {
			tools: await all(c, 'listTools', 'tools'),
			prompts: await all(c, 'listPrompts', 'prompts'),
			resources: await all(c, 'listResources', 'resources'),
			templates: await all(c, 'listResourceTemplates',
			    'resourceTemplates'),
		};
		await c.close();
	}
	return out;
}

async function compareLists(client, seen) {
	const want = Object.entries(seen);
	const through = await all(client, 'listTools', 'tools');
	const names = through.map((t) => t.name);
	same(want.flatMap(([b, l]) => l.tools.map((t) => `${b}_${t.name}`))
	    .filter((n) => !names.includes(n)), [], 'tools missing');
	same(through.map((t) => tool(t)).sort(byName),
	    want.flatMap(([b, l]) => l.tools.map((t) => tool(t, `${b}_`)))
	    .sort(byName), 'tools');
	const prompts = await all(client, 'listPrompts', 'prompts');
	same(prompts.map((p) => p.name).sort(),
	    want.flatMap(([b, l]) => l.prompts.map((p) => `${b}_${p.name}`)).sort(),
	    'prompts');
	const resources = await all(client, 'listResources', 'resources');
	same(resources.length, want.flatMap(([, l]) => l.resources).length,
	    'number of resources');
	const templates = await all(client, 'listResourceTemplates',
	    'resourceTemplates');
	same(templates.length, want.flatMap(([, l]) => l.templates).length,
	    'number of templates');
	return resources;
}

async function use(client, resources) {
	const sum = await client.callTool({ name: 'every_get-sum',
	    arguments: { a: 20, b: 22 } });
	ok(/42/.test(sum.content[0].text), JSON.stringify(sum));
	const image = await client.callTool({ name: 'every_get-tiny-image',
	    arguments: {} });
	ok(image.content.some((c) => c.type === 'image' && c.data.length > 100),
	    'no image');
	const list = await client.callTool({ name: 'notes_list', arguments: {} });
	ok(/Welcome/.test(list.content[0].text), JSON.stringify(list));
	const prompt = await client.getPrompt({ name: 'notes_summarize',
	    arguments: { topic: 'milk' } });
	ok(/milk/.test(prompt.messages[0].content.text), JSON.stringify(prompt));
	await client.getPrompt({ name: 'every_simple-prompt' });
	const done = await client.complete({
		ref: { type: 'ref/prompt', name: 'notes_summarize' },
		argument: { name: 'topic', value: 'sh' },
	});
	same(done.completion.values, ['Shopping'], 'completion');
	// One resource of each backend.
	const kinds = new Map(resources.map((r) => [r.name, r]));
	const note = [...kinds.values()].find((r) => r.name === 'Shopping');
	ok(note, 'the note among the resources');
	const text = await client.readResource({ uri: note.uri });
	same(text.contents[0].text, 'milk, bread, coffee', 'note');
	const doc = resources.find((r) => /\.md$/.test(r.uri));
	ok(doc, 'a document of server-everything');
	const read = await client.readResource({ uri: doc.uri });
	ok(read.contents[0].text.length > 0, 'empty document');
}

function checkConsent({ consent, at }, client) {
	ok(consent.includes('regress <sdk>'), `client's name: ${consent}`);
	ok(/localhost|127\.0\.0\.1/.test(consent), `redirect host: ${consent}`);
	ok(new URL(at).searchParams.get('iss') === client.base,
	    `iss in ${at}`);
}

async function silentRefresh(s) {
	const before = s.provider.saved.tokens;
	await sleep(TTL + 300);
	const n = s.seen.length;
	const r = await s.client.callTool({ name: 'notes_list', arguments: {} });
	ok(/Welcome/.test(r.content[0].text), 'call after expiry');
	const now = s.seen.slice(n);
	ok(now.some((x) => x.status === 401), 'the token should have expired');
	ok(now.some((x) => x.status === 200 &&
	    x.body.includes('grant_type=refresh_token')), 'refresh request');
	const after = s.provider.saved.tokens;
	ok(after.access_token !== before.access_token, 'same access token');
	return after.refresh_token !== before.refresh_token;
}

async function sdkClient(kind, gw, browser, backends, mode) {
	const host = kind === 'SDK 1.x' ? 'localhost' : '127.0.0.1';
	const label = `MBT-1 ${kind} (${mode})`;
	const s = await test(`${label}: nine steps`, async () => {
		const r = await signIn(kind, gw.url, async (url) => {
			const shot = kind === 'SDK 1.x';
			checkConsent(await allow(browser, url, gw.password,
			    { name: 'sdk', shot }), gw);
		}, { host });
		steps(r.seen);
		return r;
	});
	if (s === undefined)
		return;
	await test(`${label}: lists as seen directly`, async () =>
	    compareLists(s.client, await direct(kind, backends, {})));
	await test(`${label}: tools, resources, prompts, completion`, async () =>
	    use(s.client, await all(s.client, 'listResources', 'resources')));
	await test(`${label}: silent refresh, three times`, async () => {
		let rotated = 0;
		for (let i = 0; i < 3; i++)
			rotated += await silentRefresh(s);
		ok(rotated > 0, 'the refresh token never rotated');
	});
}

async function capabilities(kind, gw, browser, backends) {
	const caps = { sampling: {}, elicitation: {} };
	await test(`MBT-1 ${kind}: tools for a client with capabilities`,
	    async () => {
		const { client } = await signIn(kind, gw.url, (url) =>
		    allow(browser, url, gw.password), { capabilities: caps });
		await compareLists(client, await direct(kind, backends, caps));
	});
}

// mcp-remote opens $BROWSER, which writes the address down for us.
async function remote(gw, browser) {
	const dir = tmp();
	const urls = `${dir}/urls`;
	writeFileSync(`${dir}/xdg-open`, `#!/bin/sh\necho "$1" >>${urls}\n`);
	chmodSync(`${dir}/xdg-open`, 0o755);
	mkdirSync(`${dir}/home`);
	const transport = new StdioClientTransport({
		command: node, cwd: dir, stderr: 'pipe',
		args: [`${modules}/mcp-remote/dist/proxy.js`, gw.url,
		    '--transport', 'http-only'],
		env: { HOME: `${dir}/home`, BROWSER: `${dir}/xdg-open`,
		    MCP_REMOTE_CONFIG_DIR: `${dir}/home/auth`,
		    // no desktop file shall win over BROWSER
		    XDG_DATA_DIRS: dir, XDG_DATA_HOME: dir,
		    PATH: `${dir}:/usr/bin:/bin` },
	});
	let log = '';
	transport.stderr?.on('data', (d) => { log += d; });
	const client = new Client({ name: 'regress', version: '1' });
	later(() => client.close());
	const connected = client.connect(transport, { timeout: 60_000 });
	connected.catch(() => {});
	const url = await until('mcp-remote to open the browser', () =>
	    existsSync(urls) && readFileSync(urls, 'utf8').split('\n')[0],
	    30_000).catch((e) => {
		throw new Error(`${e.message}: ${log.slice(-800)}`);
	});
	await allow(browser, url, gw.password, { name: 'mcp-remote', shot: true });
	await connected;
	const tools = (await client.listTools()).tools.map((t) => t.name);
	ok(tools.includes('every_echo') && tools.includes('notes_add'),
	    `tools: ${tools}`);
	for (let i = 0; i < 2; i++) {
		const r = await client.callTool({ name: 'every_echo',
		    arguments: { message: `hello ${i}` } });
		ok(r.content[0].text.includes(`hello ${i}`), JSON.stringify(r));
		await sleep(TTL + 300);
	}
	await client.close();
}

run('browser', async () => {
	const backends = { every: await everything(),
	    notes: await notes({ PAGE: '2' }) };
	const browser = await launch();
	for (const mode of modes) {
		const gw = await Gateway.start({ mode, config: {
			auth: { access_token_ttl: '2s', refresh_grace: '1s' },
			backends: Object.fromEntries(Object.entries(backends)
			    .map(([n, b]) => [n, { url: b.url }])),
		} });
		for (const kind of mode === 'root' || modes.length === 1 ?
		    Object.keys(sdks) : ['SDK 1.x'])
			await sdkClient(kind, gw, browser, backends, mode);
		if (mode === modes[0]) {
			await capabilities('SDK 1.x', gw, browser, backends);
			await test('MBT-1 mcp-remote', () => remote(gw, browser),
			    { timeout: 120_000 });
		}
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
