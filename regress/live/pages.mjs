// Lists in pages: complete, each item once, from whichever worker; a cursor is
// of use in its own session and for its own list only.
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from
    '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Liar, http, json } from './fixture/liar.mjs';

const PAGE = 200; // of the backends
const tools = (n, size) => Array.from({ length: n }, (_, i) => ({
	name: `t${i}`, description: `tool ${i} `.padEnd(size, '.'),
	inputSchema: { type: 'object' } }));
const resources = (who) => Array.from({ length: 700 }, (_, i) => ({
	uri: `${who}://${i}`, name: `r${i}` }));

function pages(x, key, all) {
	const at = Number(x.message.params?.cursor ?? 0);
	return http(json(x.id, { [key]: all.slice(at, at + PAGE),
	    ...(at + PAGE < all.length && { nextCursor: `${at + PAGE}` }) }));
}

const backend = (all, who) => Liar.start({ tools: [], on: {
	initialize: (x) => http(json(x.id, { protocolVersion: '2025-11-25',
	    capabilities: { tools: {}, resources: {} },
	    serverInfo: { name: 'pages', version: '1' } }),
	{ headers: ['Mcp-Session-Id: one'] }),
	'tools/list': (x) => pages(x, 'tools', all),
	'resources/list': (x) => pages(x, 'resources', resources(who)),
	'resources/templates/list': (x) => http(json(x.id,
	    { resourceTemplates: [] })),
} });

// Every page, as [items of it].
async function walk(mcp, method, key) {
	const all = [];
	let cursor;
	do {
		const r = await mcp.call(method, cursor && { cursor });
		all.push(r[key]);
		cursor = r.nextCursor;
	} while (cursor !== undefined);
	return all;
}

const code = (p) => p.then(() => 0, (e) => e.code);

async function misused(mcp, other) {
	const { nextCursor } = await mcp.call('tools/list');
	ok(nextCursor.length < 200, nextCursor);
	for (const [why, cursor] of [['empty', ''], ['a number', '1000'],
	    ['changed', nextCursor.slice(0, -2) +
		(nextCursor.endsWith('AA') ? 'BB' : 'AA')],
	    ['cut', nextCursor.slice(0, -8)], ['long', 'A'.repeat(4000)],
	    ['a session id', mcp.session], ['no string', 7]])
		same(await code(mcp.call('tools/list', { cursor })), -32602, why);
	for (const method of ['resources/list', 'prompts/list',
	    'resources/templates/list'])
		same(await code(mcp.call(method, { cursor: nextCursor })), -32602,
		    method);
	for (let i = 0; i < 4; i++) {
		same(await code(other.call('tools/list', { cursor: nextCursor })),
		    -32602, 'in another session');
		same(await code(mcp.call('tools/list', { cursor: nextCursor })), 0,
		    'used again');
	}
}

run('pages', async () => {
	const all = { many: tools(900, 30), more: tools(900, 30),
	    large: tools(60, 50_000) };
	const backends = {};
	for (const [who, list] of Object.entries(all))
		backends[who] = { url: (await backend(list, who)).url };
	const gw = await Gateway.start({ config: {
		backends,
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const want = Object.entries(all).flatMap(([who, list]) =>
	    list.map((t) => `${who}_${t.name}`));
	for (const version of ['2025-11-25', '2025-06-18', '2025-03-26'])
		await test(`PAGE every tool once, in order (${version})`,
		    async () => {
			const mcp = await new Mcp(gw.url, { version }).open();
			for (let i = 0; i < 3 || mcp.workers.size < 2 && i < 50;
			    i++) {
				const got = await walk(mcp, 'tools/list', 'tools');
				same(got.flat().map((t) => t.name), want, 'tools');
				same(got[0].length, 1000, 'the first page');
				ok(got.length >= 4 && got.every((p) =>
				    JSON.stringify(p).length < 1_200_000),
				`pages of ${got.map((p) => p.length)}`);
			}
			same(mcp.workers.size, 2, 'workers');
		});
	await test('PAGE resources', async () => {
		const mcp = await new Mcp(gw.url).open();
		const got = await walk(mcp, 'resources/list', 'resources');
		same(got.flat(), Object.keys(all).flatMap(resources),
		    'resources');
		same(got.map((p) => p.length), [1000, 1000, 100], 'pages');
	});
	await test('PAGE a cursor is good for its session and list', async () =>
	    misused(await new Mcp(gw.url).open(), await new Mcp(gw.url).open()));
	await test('PAGE the SDK reads them all', async () => {
		const client = new Client({ name: 'regress', version: '1' });
		await client.connect(new StreamableHTTPClientTransport(
		    new URL(gw.url)));
		const names = [];
		let cursor;
		do {
			const r = await client.listTools({ cursor });
			names.push(...r.tools.map((t) => t.name));
			cursor = r.nextCursor;
		} while (cursor !== undefined);
		same(names, want, 'tools');
		await client.close();
	});
	await test('PAGE a cursor outlives a restart', async () => {
		const mcp = await new Mcp(gw.url).open();
		const { nextCursor } = await mcp.call('tools/list');
		await gw.restart();
		const { tools: next } = await mcp.call('tools/list',
		    { cursor: nextCursor });
		same(next[0].name, want[1000], 'the first of page two');
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
