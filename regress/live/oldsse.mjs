// HTTP+SSE backends of 2024-11-05 (issue 3): behind the gateway a client sees
// what it sees directly, on whichever worker, and a backend that dies or whose
// stream is cut harms one call at most.
import http from 'node:http';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import {
	Child, alike, freePort, later, ok, root, run, same, sleep, test, until,
} from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { hook, live, node, npm } from './lib/paths.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, answer, asked, note } from './lib/sse.mjs';

const CLOCK = 'old://clock';
const CAPS = { elicitation: { form: {} }, sampling: {} };
const UPDATED = 'notifications/resources/updated';
const as = root ? { uid: 65534, gid: 65534 } : {};

async function backend(port) {
	const base = `http://127.0.0.1:${port}`;
	const child = new Child('oldsse', node,
	    ['--import', hook, `${live}/fixture/oldsse.mjs`], { cwd: '/', ...as,
		env: { PATH: '/usr/bin:/bin', HOME: '/nonexistent',
		    PORT: String(port), MCPGW_NPM: npm } });
	await until('the backend', () => fetch(`${base}/sessions`)
	    .then((r) => r.ok, () => false));
	return { child, base };
}

const post = (x, what) => fetch(`${x.old.base}${what}`, { method: 'POST' });
const streams = async (x) => Number(await (await fetch(
    `${x.old.base}/sessions`)).text());

async function direct(x) {
	const client = new Client({ name: 'regress', version: '1' });
	await client.connect(new SSEClientTransport(
	    new URL(`${x.old.base}/sse`)));
	const seen = {
		tools: (await client.listTools()).tools,
		resources: (await client.listResources()).resources,
		prompts: (await client.listPrompts()).prompts,
		read: await client.readResource({ uri: CLOCK }),
		prompt: await client.getPrompt({ name: 'p' }),
		echo: await client.callTool({ name: 'echo',
		    arguments: { a: 1 } }),
	};
	await client.close();
	return seen;
}

async function result(s) {
	const m = await s.next(answer(s.rpcId));
	ok(m.result, JSON.stringify(m));
	return m.result;
}

async function alikeEverywhere(x) {
	const want = await direct(x);
	const s = await new Peer(x.gw.url, x.pins).open();
	for (const worker of [x.a, x.b]) {
		const ask = async (method, params = {}) =>
		    result(await s.ask(method, params, { worker }));
		alike((await ask('tools/list')).tools, want.tools, 'tools');
		alike((await ask('resources/list')).resources, want.resources,
		    'resources');
		alike((await ask('prompts/list')).prompts, want.prompts, 'prompts');
		alike(await ask('resources/read', { uri: CLOCK }), want.read,
		    'resource');
		alike(await ask('prompts/get', { name: 'p' }), want.prompt,
		    'prompt');
		alike(await ask('tools/call', { name: 'echo',
		    arguments: { a: 1 } }), want.echo, 'echo');
	}
}

async function progress(x, worker) {
	const s = await new Peer(x.gw.url, x.pins).open();
	const c = await s.start('steps', { n: 4 }, { token: 'tok', worker });
	same((await result(c)).content[0].text, '4 steps', 'result');
	same(c.messages.filter(note('notifications/progress'))
	    .map((m) => [m.params.progressToken, m.params.progress]),
	[1, 2, 3, 4].map((i) => ['tok', i]), 'steps');
}

async function question(x, tool, method, reply, want) {
	const s = await new Peer(x.gw.url, x.pins).open(CAPS);
	for (const [on, back] of [[x.a, x.b], [x.b, x.b]]) {
		const c = await s.start(tool, { nonce: `n-${on}` },
		    { worker: on });
		const q = await c.next(asked(method), 'the question');
		ok(JSON.stringify(q.params).includes(`n-${on}`), 'its text');
		same(await s.say({ id: q.id, result: reply }, { worker: back }),
		    202, 'status');
		same((await result(c)).content[0].text, want, 'result');
	}
}

// Many calls of many sessions at once: each gets its own answer.
async function mixed(x) {
	const all = await Promise.all(Array.from({ length: 6 }, () =>
	    new Peer(x.gw.url, x.pins).open()));
	await Promise.all(all.flatMap((s, i) => Array.from({ length: 6 },
	    async (_, k) => {
		const nonce = `${i}.${k}`;
		const r = await s.tool('slow', { nonce, ms: Math.random() * 200 },
		    { id: k + 100 });
		same(r.content[0].text, nonce, 'nonce');
	})));
}

async function updates(x) {
	const s = await new Peer(x.gw.url, x.pins).open();
	await result(await s.start('echo', {}, { worker: x.a }));
	const g = await s.get({ worker: x.b });
	same(g.status, 200, 'GET');
	// The call was on one worker, the stream is with the other.
	await result(await s.ask('resources/subscribe', { uri: CLOCK },
	    { worker: x.a }));
	const seen = () => g.messages.filter(note(UPDATED)).length;
	await until('an update', async () => {
		await post(x, '/touch');
		await sleep(100);
		return seen() > 0;
	});
	const before = seen();
	await post(x, '/touch');
	await until('another', () => seen() > before);
	await sleep(300);
	same(seen(), before + 1, 'updates of one change');
	await result(await s.ask('resources/unsubscribe', { uri: CLOCK },
	    { worker: x.b }));
	await sleep(300);
	const after = seen();
	await post(x, '/touch');
	await sleep(300);
	same(seen(), after, 'after unsubscribe');
	g.close();
	return s;
}

async function changed(x) {
	const s = await new Peer(x.gw.url, x.pins).open();
	const g = await s.get({ worker: x.a });
	await post(x, '/add?name=later');
	await g.next(note('notifications/tools/list_changed'), 'list_changed');
	const tools = (await result(await s.ask('tools/list', {},
	    { worker: x.b }))).tools;
	ok(tools.some((t) => t.name === 'later'), 'the new tool');
	g.close();
}

async function logs(x) {
	const s = await new Peer(x.gw.url, x.pins).open();
	await result(await s.ask('logging/setLevel', { level: 'debug' },
	    { worker: x.b }));
	const c = await s.start('log', { data: 'a line' }, { worker: x.a });
	await result(c);
	same(c.messages.filter(note('notifications/message'))
	    .map((m) => m.params.data), ['a line'], 'lines');
}

async function ended(x) {
	const before = await streams(x);
	const s = await new Peer(x.gw.url, x.pins).open();
	for (const worker of [x.a, x.b])
		await result(await s.start('echo', {}, { worker }));
	same(await streams(x), before + 2, 'one stream a worker');
	const ids = [];
	for (let i = 0; i < 2; i++)
		for (const worker of [x.a, x.b])
			ids.push((await result(await s.start('session', {},
			    { worker }))).content[0].text);
	same([ids[0] === ids[2], ids[1] === ids[3], ids[0] !== ids[1]],
	    [true, true, true], 'the same session each time');
	ok(await s.close() < 300, 'DELETE');
	await until('the streams to be closed',
	    async () => await streams(x) === before);
}

async function cut(x) {
	const s = await new Peer(x.gw.url, x.pins).open();
	const c = await s.start('slow', { ms: 20_000, nonce: 'x' },
	    { worker: x.a });
	await sleep(300);
	await post(x, '/cut');
	const r = await result(c);
	same(r.isError, true, JSON.stringify(r));
	ok(/The server "old" closed/.test(r.content[0].text),
	    r.content[0].text);
	for (const worker of [x.a, x.b])
		same((await result(await s.start('echo', { n: 1 }, { worker })))
		    .content[0].text, '{"n":1}', 'afterwards');
}

async function killed(x) {
	const s = await new Peer(x.gw.url, x.pins).open();
	const c = await s.start('slow', { ms: 20_000, nonce: 'x' },
	    { worker: x.b });
	await sleep(300);
	await x.old.child.stop(0);
	same((await result(c)).isError, true, 'the call');
	const down = await result(await s.start('echo', {}, { worker: x.b }));
	same(down.isError, true, 'a call while it is down');
	x.old = await backend(x.port);
	for (const worker of [x.a, x.b])
		await until('the backend through the gateway', async () => {
			const r = await result(await s.start('echo', { k: 1 },
			    { worker }));
			return r.content[0].text === '{"k":1}';
		});
}

// Backends that name another's address, or none.
async function liar(write, why) {
	const heard = [];
	const server = http.createServer((req, res) => {
		heard.push(`${req.method} ${req.url}`);
		if (req.method !== 'GET')
			return res.writeHead(405).end();
		res.writeHead(200, { 'content-type': 'text/event-stream' });
		return write(res);
	});
	const port = await freePort();
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => { server.closeAllConnections(); server.close(); });
	const gw = await Gateway.make({ config: { workers: 1,
	    backends: { liar: { url: `http://127.0.0.1:${port}/sse` } },
	    endpoints: { '/mcp': { backends: '*', auth: 'none' } } } });
	await gw.start({ ready: false });
	const row = await until('the reason', async () => {
		const { out } = await gw.ctl('show', 'backends');
		return why.test(out) && out;
	}, 20_000);
	ok(!/ up /.test(row), row);
	ok(heard.every((h) => h === 'GET /sse' || h === 'POST /sse'),
	    heard.join(', '));
	await gw.stop();
}

run('oldsse', async () => {
	const x = { port: await freePort() };
	x.old = await backend(x.port);
	x.gw = await Gateway.start({ config: {
		backends: { old: { url: `${x.old.base}/sse`,
		    declare: ['sampling', 'elicitation'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none',
		    prefix: 'none' } },
	} });
	x.pins = new Pins(x.gw.base);
	[x.a, x.b] = x.gw.workerIds();
	await test('OLD lists and results as directly, on both workers', () =>
	    alikeEverywhere(x));
	await test('OLD progress under the client\'s token', async () => {
		for (const worker of [x.a, x.b])
			await progress(x, worker);
	});
	await test('OLD elicitation, answered on either worker', () => question(x,
	    'form', 'elicitation/create',
	    { action: 'accept', content: { a: 'yes' } },
	    '{"action":"accept","content":{"a":"yes"}}'));
	await test('OLD sampling, answered on either worker', () => question(x,
	    'sample', 'sampling/createMessage', { role: 'assistant', model: 'm',
	    content: { type: 'text', text: 'said' } }, 'said'));
	await test('OLD 36 calls of 6 sessions at once', () => mixed(x));
	await test('OLD log lines on the call\'s stream', () => logs(x));
	await test('OLD updates of a resource, once each', () => updates(x));
	await test('OLD list_changed', () => changed(x));
	await test('OLD one stream a worker, closed with the session', () =>
	    ended(x));
	await test('OLD its streams are cut', () => cut(x));
	await test('OLD it is killed in mid-stream and comes back', () =>
	    killed(x));
	await test('nothing is left after SIGTERM', () => x.gw.stop());
	await test('OLD an endpoint elsewhere is refused', () => liar((res) =>
	    res.write('event: endpoint\ndata: http://127.0.0.1:1/m\n\n'),
	/not MCP|405/));
	await test('OLD a stream without an endpoint is none', () => liar((res) =>
	    res.write('event: message\ndata: {}\n\n'), /not MCP|405/));
	await test('OLD a silent stream is given up', () => liar(() => {},
	    /not MCP|405/));
});
