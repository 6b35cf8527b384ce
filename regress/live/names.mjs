// SHAD-1/2/3 and URI-1: whatever backends call their tools and resources, the
// names shown are legal, stable and unique, and lead to whom they are of.
import { createHash } from 'node:crypto';
import { ok, run, same, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { Liar, chunk, http, json, text } from './fixture/liar.mjs';

const LEGAL = /^[A-Za-z0-9_-]{1,44}$/;
const tool = (name, description = `tool ${name}`) =>
    ({ name, description, inputSchema: { type: 'object' } });

const long = (head, tail) => head + 'x'.repeat(60) + tail;
const SAME_TAIL = 'the_very_same_tail_of_forty_characters_xx';

// What backend a calls its tools; what is dropped comes last.
const odd = ['search', 'b_search', '_search', 'a_search', '__', '-', 'x.y',
    'x/y', 'with space', 'x:y', 'seaгch', 'sea\u0280ch', 'a\u202eb', 'a\u200bb',
    'a\u{e0041}b', 'bell\u0007', 'q"uo\\te', '\n', 'ünï', '名前',
    'x'.repeat(44), long('a', 'end'), long('b', 'end'),
    `head1_${SAME_TAIL}`, `head2_${SAME_TAIL}`, 'y'.repeat(200)];

// Two long names with the same tail and the same six digits of their hash.
function collision() {
	const seen = new Map();
	for (let i = 0; ; i++) {
		const name = `${i}_${'t'.repeat(50)}`;
		const hash = createHash('sha256').update(name).digest('hex')
		    .slice(0, 6);
		if (seen.has(hash))
			return [seen.get(hash), name];
		seen.set(hash, name);
	}
}
const colliding = collision();
const dropped = ['', 'nul\u0000x', 'z'.repeat(10_000), ...colliding];
// Two definitions under one name hide each other; the same one again, as from a
// list whose pages repeat, is one tool.
const twice = [['twice', 'tool twice'], ['twice', 'tool twice, other'],
    ['again', 'tool again'], ['again', 'tool again']];

// The tools of a list by description, which passes unchanged.
const byText = async (mcp) => new Map((await mcp.list('tools/list', 'tools'))
    .map((t) => [t.description, t.name]));

// The name that the last call of a nonce had at a backend.
const calledAt = (liar, nonce) => liar.seen.findLast((s) =>
    s.message?.params?.arguments?.nonce === nonce)?.message.params.name;

async function eachCallable(mcp, liar, names) {
	const shown = await byText(mcp);
	for (const name of names) {
		const exposed = shown.get(`tool ${name}`);
		ok(exposed, `not shown: ${JSON.stringify(name)}`);
		const nonce = String(Math.random());
		const r = await mcp.tool(exposed, { nonce });
		ok(!r.isError, `${exposed}: ${JSON.stringify(r)}`);
		same(calledAt(liar, nonce), name, `who ${exposed} is`);
	}
	return shown;
}

async function refused(mcp, name, liars) {
	const calls = () => liars.map((l) => l.seen.filter((s) =>
	    s.message?.method === 'tools/call').length);
	const before = calls();
	const e = await mcp.tool(name, {}).then((r) => ({
		message: JSON.stringify(r) }), (x) => x);
	same(e.code, -32602, `${name}: ${e.message}`);
	same(calls(), before, `${name}: calls at the backends`);
}

// mcpgwctl says why it is not there.
async function told(gw, name) {
	const { out } = await gw.ctl('-j', 'show', 'tools');
	const said = out.split('\n').filter((l) => l.includes(`"${name}"`));
	ok(said.length > 0 && said.some((l) =>
	    /"(hidden|reason|error|why|state)": ?"[^"]{6,}"/.test(l)),
	    `no reason for ${name} in show tools: ${said}`);
}

async function tools(gw, a, b) {
	const mcp = await new Mcp(gw.url).open();
	const shown = await test('SHAD-2 every odd name is shown and callable',
	    () => eachCallable(mcp, a, odd));
	await test('SHAD-2 what is shown is legal and unique', async () => {
		const all = (await mcp.list('tools/list', 'tools'))
		    .map((t) => t.name).filter((n) => n !== 'a_twice');
		for (const n of all)
			ok(LEGAL.test(n), n);
		same(new Set(all).size, all.length, 'different names');
		// And only, of b; search, of b; again.
		same(all.length, odd.length + 3, 'tools');
		same(shown.get('tool b_search'), 'a_b_search', 'of a');
		same(shown.get('tool _search'), 'a__search', 'of a');
		const tail = shown.get(`tool ${long('a', 'end')}`);
		ok(/^a_x+end_[0-9a-f]{6}$/.test(tail) && tail.length === 44, tail);
	});
	await test('SHAD-1 the same name at two backends', async () => {
		for (const [prefix, liar, other] of [['a', a, b], ['b', b, a]]) {
			const nonce = `${prefix}${Math.random()}`;
			await mcp.tool(`${prefix}_search`, { nonce });
			same(calledAt(liar, nonce), 'search', prefix);
			same(calledAt(other, nonce), undefined, 'the other');
		}
	});
	await test('SHAD-2 what has no exposed name can not be called',
	    async () => {
		for (const name of ['search', 'liar_search', 'a', 'a_', '_search',
		    'A_search', 'a_x.y', 'a_with space', 'a_sea\u0280ch',
		    'a_nul', 'c_search', `a_${'z'.repeat(10_000)}`,
		    ` a_search`, 'a_search '])
			await refused(mcp, name, [a, b]);
	});
	await test('SHAD-3 two that collide are both hidden, and told',
	    async () => {
		const now = await byText(mcp);
		for (const n of dropped)
			ok(!now.has(`tool ${n}`), `${n.slice(0, 20)} is shown`);
		for (const n of colliding)
			await told(gw, n);
	});
	await test('SHAD-3 one name twice in a backend hides both', async () => {
		ok(!(await byText(mcp)).has('tool twice'), 'twice is shown');
		await told(gw, 'twice');
		await refused(mcp, 'a_twice', [a, b]);
		same((await byText(mcp)).get('tool again'), 'a_again', 'again');
	});
	await test('SHAD-3 no name changes as tools come and go', async () => {
		a.tools = [tool(long('c', 'end')), tool('x y'), ...a.tools.filter(
		    (t) => t.name !== 'with space' && t.name !== 'x/y')];
		for (const g of a.gets)
			g.write(chunk('data: {"jsonrpc":"2.0","method":' +
			    '"notifications/tools/list_changed"}\n\n'));
		const now = await until('the new list', async () => {
			const m = await byText(mcp);
			return m.has('tool x y') && m;
		});
		for (const [text, name] of shown)
			if (now.has(text))
				same(now.get(text), name, text);
		same(shown.size, now.size, 'tools');
		await eachCallable(mcp, a, ['x y', long('c', 'end'), 'search']);
	});
}

async function withoutPrefix(gw, a, b) {
	const mcp = await new Mcp(`${gw.base}/bare/mcp`).open();
	await test('SHAD-3 prefix none: the first backend is served',
	    async () => {
		const all = await mcp.list('tools/list', 'tools');
		same(all.filter((t) => t.name === 'search').length, 1, 'search');
		const nonce = String(Math.random());
		await mcp.tool('search', { nonce });
		same(calledAt(a, nonce), 'search', 'the first');
		same(calledAt(b, nonce), undefined, 'the later');
		await mcp.tool('only', { nonce });
		same(calledAt(b, nonce), 'only', 'what b alone has');
	});
	await test('SHAD-2 prefix none: legal names pass unchanged', async () => {
		const shown = await eachCallable(mcp, a, ['x.y', '-', '__',
		    long('a', 'end'), 'seaгch', 'x y']);
		for (const n of ['x.y', '-', '__', long('a', 'end')])
			same(shown.get(`tool ${n}`), n, n);
		for (const n of shown.values())
			ok(/^[A-Za-z0-9_.-]{1,128}$/.test(n), n);
	});
	await test('SHAD-3 /{backend}/mcp shows one backend', async () => {
		const one = await new Mcp(`${gw.base}/one/mcp`).open();
		same((await one.list('tools/list', 'tools')).map((t) => t.name),
		    ['b_search', 'b_only'], 'tools of b');
		await refused(one, 'a_search', [a, b]);
	});
}

// ---- resources ----

function library(name, uris, templates) {
	const read = [];
	return Liar.start({ tools: [], on: {
		initialize: (x) => http(json(x.id, {
			protocolVersion: '2025-11-25',
			capabilities: { resources: {}, tools: {}, prompts: {} },
			serverInfo: { name, version: '1' } }),
		    { headers: [`Mcp-Session-Id: ${name}`] }),
		'resources/list': (x) => http(json(x.id, { resources: uris.map(
		    (uri) => ({ uri, name: `${name} ${uri}` })) })),
		'resources/templates/list': (x) => http(json(x.id, {
			resourceTemplates: templates.map((uriTemplate) =>
			    ({ uriTemplate, name })) })),
		'resources/read': (x) => {
			read.push(x.message.params.uri);
			return http(json(x.id, { contents: [{
				uri: x.message.params.uri, text: name }] }));
		},
		// Says where to find more: on no list.
		'tools/list': (x) => http(json(x.id, { tools: [{ name: 'link',
		    inputSchema: { type: 'object' } }, { name: 'card',
		    inputSchema: { type: 'object' }, _meta: { ui: {
			resourceUri: `ui://${name}/unlisted` } } }] })),
		'tools/call': (x) => http(json(x.id, { content: [
			{ type: 'text', text: name },
			...x.message.params.arguments.uris.map((uri) => ({
			    type: 'resource_link', uri, name: uri })),
			{ type: 'resource', resource: {
			    uri: `in://${x.message.params.arguments.uris[0]}`,
			    text: name } },
		] })),
		'prompts/list': (x) => http(json(x.id, { prompts: [
		    { name: 'where' }] })),
		'prompts/get': (x) => http(json(x.id, { messages: [{
			role: 'user', content: { type: 'resource_link',
			    uri: `prompt://${name}`, name } }] })),
	} }).then((l) => Object.assign(l, { read }));
}

async function resources() {
	const a = await library('a', ['file:///a/x', 'same://x', 'ui://a/card'],
	    ['file:///a/{name}', 'deep://{+path}']);
	const b = await library('b', ['b://1', 'same://x'], ['b://{id}/z']);
	const gw = await Gateway.start({ config: {
		backends: { a: { url: a.url }, b: { url: b.url } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const mcp = await new Mcp(gw.url).open();
	// Who was asked for a URI, and the error's code.
	const ask = async (uri, client = mcp) => {
		const before = [a.read.length, b.read.length];
		const code = await client.call('resources/read', { uri })
		    .then(() => undefined, (e) => e.code);
		const who = (a.read.length > before[0] ? 'a' : '') +
		    (b.read.length > before[1] ? 'b' : '');
		if (who === 'a')
			same(a.read.at(-1), uri, 'as it came');
		return [who, code];
	};
	await test('URI-1 a resource is asked of its owner', async () => {
		for (const [uri, who] of [['file:///a/x', 'a'], ['b://1', 'b'],
		    ['file:///a/new', 'a'], ['b://17/z', 'b'],
		    ['deep://p/q/r', 'a'], ['ui://a/card', 'a'],
		    ['same://x', 'a']])
			same(await ask(uri), [who, undefined], uri);
	});
	await test('URI-1 what nobody owns is asked of nobody', async () => {
		for (const uri of ['file:///etc/passwd', 'file:///a/../etc/passwd',
		    'file:///a/%2e%2e/etc/passwd', 'file:///b/x', 'FILE:///a/x',
		    'b://1/../2', 'b://', '/etc/passwd', 'http://127.0.0.1/',
		    'b://1/2/z', ' file:///a/x', 'x'.repeat(4000), ''])
			same(await ask(uri), ['', -32002], uri.slice(0, 60));
	});
	// resource_link and embedded resources need be on no list. Whoever comes
	// at once, and on another worker, is led to their backend; and whoever
	// has not been told of them is not.
	await test('URI-1 a resource is named in an answer only', async () => {
		const other = await new Mcp(gw.url).open();
		mcp.workers.clear();
		for (let i = 0; i < 40; i++) {
			const who = i % 2 ? 'a' : 'b';
			const uris = [`https://found.example/${i}`, `b://x/${i}`];
			same(await ask(uris[0]), ['', -32002], 'before');
			await mcp.tool(`${who}_link`, { uris });
			for (const uri of [...uris, `in://${uris[0]}`]) {
				same(await ask(uri), [who, undefined], uri);
				same(await ask(uri, other), ['', -32002],
				    'another session');
			}
		}
		same(mcp.workers.size, 2, 'workers');
	});
	await test('URI-1 links do not move what is on a list', async () => {
		await mcp.tool('b_link', { uris: ['file:///a/x', 'deep://q'] });
		same(await ask('file:///a/x'), ['a', undefined], 'listed');
		await mcp.tool('a_link', { uris: ['https://first.example/'] });
		await mcp.tool('b_link', { uris: ['https://first.example/'] });
		same(await ask('https://first.example/'), ['a', undefined],
		    'the first to name it');
	});
	await test('URI-1 a resource is named in a prompt', async () => {
		same(await ask('prompt://b'), ['', -32002], 'before');
		await mcp.call('prompts/get', { name: 'b_where' });
		same(await ask('prompt://b'), ['b', undefined], 'after');
	});
	await test('URI-1 the page of a tool', async () => {
		for (const who of ['a', 'b'])
			same(await ask(`ui://${who}/unlisted`), [who, undefined],
			    who);
	});
	await test('URI-1 one URI of two backends is listed once', async () => {
		const all = await mcp.list('resources/list', 'resources');
		same(all.map((r) => r.uri), ['file:///a/x', 'same://x',
		    'ui://a/card', 'b://1'], 'resources');
		same(all[1].name, 'a same://x', 'the first');
	});
	await test('URI-1 nothing is left after SIGTERM', () => gw.stop());
}

run('names', async () => {
	const a = await Liar.start({ tools: [...[...odd, ...dropped].map((n) =>
	    tool(n)), ...twice.map(([n, text]) => tool(n, text))] });
	const b = await Liar.start({ tools: [tool('search', 'of b'),
	    tool('only', 'only b')] });
	const gw = await Gateway.start({ config: {
		backends: { a: { url: a.url }, b: { url: b.url } },
		endpoints: {
			'/mcp': { backends: '*', auth: 'none' },
			'/bare/mcp': { backends: ['a', 'b'], prefix: 'none',
			    auth: 'none' },
			'/one/mcp': { backends: ['b'], auth: 'none' },
		},
	} });
	await tools(gw, a, b);
	await withoutPrefix(gw, a, b);
	await test('nothing is left after SIGTERM', () => gw.stop());
	await resources();
});
