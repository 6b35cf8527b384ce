// Clients of older revisions behind the gateway (issue 3, ref/protocol.md 3.2):
// lists and results hold what their revision knows, and nothing is lost that
// can be said in text.
import http from 'node:http';
import { randomUUID } from 'node:crypto';
import { freePort, later, ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';

const object = { type: 'object', properties: { a: { type: 'number' } } };
const icons = [{ src: 'data:image/png;base64,AA==' }];
const link = { type: 'resource_link', uri: 'x://1', name: 'one',
    annotations: { priority: 1 } };
const said = { type: 'text', text: 'said' };

// name: [outputSchema, result]
const tools = {
	plain: [undefined, { content: [said] }],
	object: [object, { content: [said], structuredContent: { a: 1 } }],
	quiet: [object, { content: [], structuredContent: { a: 1 } }],
	list: [{ type: 'array', items: { $ref: '#/$defs/n' },
	    $defs: { n: { type: 'number' } } },
	{ content: [], structuredContent: [1, 2] }],
	loose: [undefined, { content: [], structuredContent: 'text' }],
	link: [undefined, { content: [link] }],
};
const wrapped = { type: 'object', required: ['result'], properties: { result: {
    type: 'array', items: { $ref: '#/properties/result/$defs/n' },
    $defs: { n: { type: 'number' } } } } };
const definition = ([name, [outputSchema]]) => ({ name, title: 'T', icons,
    inputSchema: { type: 'object' }, execution: { taskSupport: 'optional' },
    ...(outputSchema && { outputSchema }),
    _meta: { ui: { resourceUri: 'ui://x/y' } } });

function answer({ method, params }) {
	switch (method) {
	case 'initialize':
		return { protocolVersion: '2025-11-25', serverInfo: { name: 's',
		    version: '1' }, capabilities: { tools: {}, prompts: {},
		    resources: {} } };
	case 'tools/list':
		return { tools: Object.entries(tools).map(definition) };
	case 'prompts/list':
		return { prompts: [{ name: 'p', icons }] };
	case 'resources/list':
		return { resources: [{ uri: 'x://1', name: 'one', icons }] };
	case 'resources/templates/list':
		return { resourceTemplates: [{ uriTemplate: 'x://{n}',
		    name: 'any', icons }] };
	case 'prompts/get':
		return { messages: [{ role: 'user', content: link }] };
	default:
		return tools[params.name][1];
	}
}

async function backend() {
	const port = await freePort();
	const server = http.createServer(async (req, res) => {
		const parts = [];
		for await (const p of req)
			parts.push(p);
		if (req.method !== 'POST')
			return res.writeHead(405).end();
		const m = JSON.parse(Buffer.concat(parts));
		if (m.id === undefined)
			return res.writeHead(202).end();
		const refused = m.params?.name === 'open';
		res.writeHead(200, { 'content-type': 'application/json',
		    'mcp-session-id': randomUUID() });
		return res.end(JSON.stringify({ jsonrpc: '2.0', id: m.id,
		    ...(refused ? { error: { code: -32042, message: 'sign in',
			data: { elicitations: [{ mode: 'url', message: 'm',
			    elicitationId: 'e', url: 'https://x.test/go' }] } } } :
		    { result: answer(m) }) }));
	});
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => { server.closeAllConnections(); server.close(); });
	return `http://127.0.0.1:${port}/mcp`;
}

const old = (v) => v < '2025-06-18';

async function lists(mcp, version) {
	const want = Object.entries(tools).map((t) => {
		const d = definition(t);
		if (d.outputSchema && d.outputSchema.type !== 'object')
			d.outputSchema = wrapped;
		if (version < '2025-11-25') {
			delete d.icons;
			delete d.execution;
		}
		if (old(version))
			delete d.outputSchema;
		return d;
	});
	const got = await mcp.list('tools/list', 'tools');
	for (const [i, w] of want.entries())
		for (const k of new Set([...Object.keys(w),
		    ...Object.keys(got[i])]))
			same(got[i][k] && JSON.stringify(sorted(got[i][k])),
			    w[k] && JSON.stringify(sorted(w[k])),
			    `${w.name}.${k}`);
	for (const [method, key] of [['prompts/list', 'prompts'],
	    ['resources/list', 'resources'],
	    ['resources/templates/list', 'resourceTemplates']])
		same((await mcp.list(method, key))[0].icons !== undefined,
		    version === '2025-11-25', `icons in ${method}`);
}

const sorted = (v) => v === null || typeof v !== 'object' ? v :
    Array.isArray(v) ? v.map(sorted) : Object.fromEntries(Object.entries(v)
	.sort(([a], [b]) => a < b ? -1 : 1).map(([k, w]) => [k, sorted(w)]));
const text = (t) => ({ type: 'text', text: t });

async function results(mcp, version) {
	const is = async (name, content, structuredContent) => {
		const r = await mcp.tool(name);
		same(r.content, content, `${name}: content`);
		same(r.structuredContent, structuredContent,
		    `${name}: structuredContent`);
	};
	await is('plain', [said]);
	await is('object', [said], old(version) ? undefined : { a: 1 });
	if (old(version))
		await is('quiet', [text('{"a":1}')]);
	else
		await is('quiet', [], { a: 1 });
	await is('list', [text('[1,2]')],
	    old(version) ? undefined : { result: [1, 2] });
	if (version < '2025-11-25')
		await is('loose', [text('"text"')],
		    old(version) ? undefined : { result: 'text' });
	const as = old(version) ? { type: 'text', text: link.uri,
	    annotations: link.annotations } : link;
	await is('link', [as]);
	same((await mcp.call('prompts/get', { name: 'p' })).messages[0].content,
	    as, 'prompt');
}

async function page(mcp, version) {
	const r = await mcp.tool('open').catch((e) => e);
	if (version === '2025-11-25') {
		same(r.code, -32042, r.message);
		return;
	}
	same(r.isError, true, JSON.stringify(r));
	ok(r.content[0].text.includes('https://x.test/go'), r.content[0].text);
}

run('project', async () => {
	tools.open = [undefined, {}];
	const url = await backend();
	const gw = await Gateway.start({ config: {
		backends: { a: { url }, b: { url } },
		endpoints: { '/mcp': { backends: ['a', 'b'], auth: 'none',
		    prefix: 'none' } },
	} });
	for (const version of ['2025-11-25', '2025-06-18', '2025-03-26']) {
		const mcp = await new Mcp(gw.url, { version }).open();
		await test(`PROJECT ${version} lists`, () => lists(mcp, version));
		await test(`PROJECT ${version} results`, () =>
		    results(mcp, version));
		await test(`PROJECT ${version} a page to open`, () =>
		    page(mcp, version));
	}
	await test('URI a resource of two backends is reported', async () => {
		const { out } = await gw.ctl('-j', 'show', 'tools');
		const row = out.split('\n').find((l) => l.includes('x://1'));
		ok(row && /"backend": ?"b"/.test(row) &&
		    /of backend a is served/.test(row), out.slice(-600));
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
