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
import {
	all, compareContents, compareLists, connect, connectAgain, looked,
	observer, sdks, signIn, steps,
} from './lib/sdk.mjs';
import { modules, node } from './lib/paths.mjs';

const TTL = 2000;
const auth = { access_token_ttl: '2s', refresh_grace: '1s' };

// What server-everything shows only to clients that can do something.
const abilities = {
	'sampling and elicitation': { caps: { sampling: {}, elicitation: {} },
	    shows: ['trigger-sampling-request', 'trigger-elicitation-request'] },
	roots: { caps: { roots: {} }, shows: ['get-roots-list'] },
	'all abilities': { caps: { sampling: {}, roots: { listChanged: true },
	    elicitation: { form: {}, url: {} } },
	shows: ['trigger-sampling-request', 'trigger-elicitation-request',
	    'trigger-url-elicitation', 'get-roots-list'] },
};

async function direct(kind, backends, capabilities = {}) {
	const clients = {};
	for (const [name, b] of Object.entries(backends))
		clients[name] = await connect(kind, b.url, capabilities);
	// server-everything adds tools once it knows its client, this one last.
	await until('all tools of server-everything', async () =>
	    (await all(clients.every, 'listTools', 'tools')).some((t) =>
		t.name === 'simulate-research-query'));
	return looked(clients);
}

const leave = (seen) => Promise.all(Object.values(seen).map((d) =>
    d.client.close()));

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
	// Its stream ends with the token, so that it may be refreshed before the
	// call.
	const n = s.seen.length;
	await sleep(TTL + 300);
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
	await test(`${label}: lists and contents as seen directly`,
	    async () => {
		const seen = await direct(kind, backends);
		await compareLists(s.client, seen);
		const n = await compareContents(s.client, seen);
		ok(n >= 15, `only ${n} resources and prompts`);
		await leave(seen);
	});
	for (const [what, { caps, shows }] of Object.entries(abilities))
		await test(`${label}: lists for a client with ${what}`,
		    async () => {
			const seen = await direct(kind, backends, caps);
			const names = seen.every.tools.map((t) => t.name);
			same(shows.filter((t) => !names.includes(t)), [],
			    'the server does not tell such clients apart');
			const client = await connectAgain(kind, gw.url, s,
			    caps);
			await compareLists(client, seen);
			await client.close();
			await leave(seen);
		});
	await test(`${label}: tools, resources, prompts, completion`, async () =>
	    use(s.client, await all(s.client, 'listResources', 'resources')));
	await test(`${label}: silent refresh, three times`, async () => {
		let rotated = 0;
		for (let i = 0; i < 3; i++)
			rotated += await silentRefresh(s);
		ok(rotated > 0, 'the refresh token never rotated');
	});
}

// A gateway whose name is that of an observer before it.
async function observed(backends) {
	const gw = await Gateway.make({ config: { auth, backends } });
	const seen = await observer();
	seen.to = gw.base;
	gw.config.issuer = seen.url;
	gw.write();
	await gw.start();
	return { gw, observer: seen };
}

// mcp-remote opens $BROWSER, which writes the address down for us.
async function mcpRemote(url) {
	const dir = tmp();
	const urls = `${dir}/urls`;
	writeFileSync(`${dir}/xdg-open`, `#!/bin/sh\necho "$1" >>${urls}\n`);
	chmodSync(`${dir}/xdg-open`, 0o755);
	mkdirSync(`${dir}/home`);
	const transport = new StdioClientTransport({
		command: node, cwd: dir, stderr: 'pipe',
		args: [`${modules}/mcp-remote/dist/proxy.js`, url,
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
	const opened = () => existsSync(urls) ?
	    readFileSync(urls, 'utf8').trim().split('\n') : [];
	await until('mcp-remote to open the browser', () => opened().length > 0,
	    30_000).catch((e) => {
		throw new Error(`${e.message}: ${log.slice(-800)}`);
	});
	return { client, connected, opened };
}

// The token that was used last has run out; the call goes on with another.
async function remoteRefresh({ client, url, seen, i }) {
	const { bearer } = seen.findLast((s) => s.method === 'POST' &&
	    s.url === '/mcp' && s.status === 200);
	await sleep(TTL + 300);
	const old = await fetch(url, { method: 'POST',
	    headers: { authorization: bearer } });
	same([old.status, /invalid_token/.test(
	    old.headers.get('www-authenticate'))], [401, true], bearer);
	const n = seen.length;
	const r = await client.callTool({ name: 'every_echo',
	    arguments: { message: `hello ${i}` } });
	ok(r.content[0].text.includes(`hello ${i}`), JSON.stringify(r));
	const now = seen.slice(n);
	const fresh = now.findIndex((s) => s.url === '/oauth/token' &&
	    new URLSearchParams(s.body).get('grant_type') === 'refresh_token' &&
	    s.status === 200);
	const call = now.findIndex((s) => s.url === '/mcp' &&
	    s.body.includes('every_echo') && s.status === 200);
	ok(fresh >= 0 && call > fresh && now[call].bearer !== bearer,
	    `refreshed at ${fresh}, called at ${call}: ${now.map((s) =>
	    `${s.method} ${s.url} ${s.status}`).join(', ')}`);
}

// mcp-remote refreshes a token that has less than a minute before each request,
// and gives up after 20 of them in half a minute: few requests are made here.
async function remote(browser, backends, urls) {
	const { gw, observer: { url, seen } } = await observed(urls);
	const r = await mcpRemote(`${url}/mcp`);
	const { client } = r;
	await allow(browser, r.opened()[0], gw.password,
	    { name: 'mcp-remote', shot: true });
	await r.connected;
	steps(seen);
	const shown = await direct('SDK 1.x', backends);
	await compareLists(client, shown);
	const few = Object.fromEntries(Object.entries(shown).map(([n, d]) =>
	    [n, { client: d.client, resources: d.resources.slice(-1),
		resourceTemplates: [], prompts: d.prompts.slice(-1) }]));
	same(await compareContents(client, few), 4, 'resources and prompts');
	const list = await client.callTool({ name: 'notes_list',
	    arguments: {} });
	ok(/Welcome/.test(list.content[0].text), JSON.stringify(list));
	for (let i = 0; i < 2; i++)
		await remoteRefresh({ client, url: `${url}/mcp`, seen, i });
	same(r.opened().length, 1, 'times the browser was opened');
	await leave(shown);
	await client.close();
	await gw.stop();
}

run('browser', async () => {
	const backends = { every: await everything(),
	    notes: await notes({ PAGE: '2' }) };
	const urls = Object.fromEntries(Object.entries(backends).map(([n, b]) =>
	    [n, { url: b.url, declare: ['sampling', 'elicitation', 'roots'] }]));
	const browser = await launch();
	for (const mode of modes) {
		const gw = await Gateway.start({ mode,
		    config: { auth, backends: urls } });
		for (const kind of mode === 'root' || modes.length === 1 ?
		    Object.keys(sdks) : ['SDK 1.x'])
			await sdkClient(kind, gw, browser, backends, mode);
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
	await test('MBT-1 mcp-remote', () => remote(browser, backends, urls),
	    { timeout: 120_000 });
});
