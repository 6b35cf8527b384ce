// Batches: taken on 2025-03-26, which demands it, and refused on every other
// revision (JSON-8).
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { Liar, bad, end, event, http, json, sse, text } from
    './fixture/liar.mjs';

const call = (id, nonce) => ({ jsonrpc: '2.0', id, method: 'tools/call',
    params: { name: 'echo', arguments: { nonce } } });
const nonceOf = (m) => JSON.parse(m.result.content[0].text).nonce;

async function taken(url) {
	const mcp = await new Mcp(url, { version: '2025-03-26' }).open();
	same(mcp.version, '2025-03-26', 'revision');

	await test('calls, a list, a ping and a notification', async () => {
		const r = await mcp.send([call(1, 'one'), call('1', 'two'),
		    { jsonrpc: '2.0', id: 2, method: 'tools/list' },
		    { jsonrpc: '2.0', id: 3, method: 'ping' },
		    { jsonrpc: '2.0', method: 'notifications/cancelled',
			params: { requestId: 77 } }]);
		same(r.status, 200, r.text);
		const all = messages(r);
		same(all.length, 4, r.text);
		same(nonceOf(all.find((m) => m.id === 1)), 'one', 'number');
		same(nonceOf(all.find((m) => m.id === '1')), 'two', 'string');
		ok(all.find((m) => m.id === 2).result.tools.length > 0, 'list');
		same(all.find((m) => m.id === 3).result, {}, 'ping');
	});
	await test('only notifications: 202', async () => {
		const r = await mcp.send([{ jsonrpc: '2.0',
		    method: 'notifications/roots/list_changed' }]);
		same([r.status, r.text], [202, ''], 'answer');
	});
	await test('what is wrong with one costs only that one', async () => {
		const all = messages(await mcp.send([call(1, 'good'), 5,
		    [call(2, 'nested')],
		    { jsonrpc: '2.0', id: 3, method: 'initialize', params: {} },
		    { jsonrpc: '2.0', id: 4, method: 'nothing' }]));
		same(all.length, 5, JSON.stringify(all));
		same(nonceOf(all.find((m) => m.id === 1)), 'good', 'good');
		same(all.filter((m) => m.id === undefined).map((m) => m.error.code),
		    [-32600, -32600], 'no messages');
		same(all.find((m) => m.id === 3).error.code, -32600,
		    'initialize');
		same(all.find((m) => m.id === 4).error.code, -32601, 'nothing');
	});
	await test('100 calls are answered, 101 and none refused', async () => {
		const many = (n) => Array.from({ length: n },
		    (_, i) => call(i, `n${i}`));
		const all = messages(await mcp.send(many(100)));
		same(all.map((m) => [m.id, nonceOf(m)]).sort((a, b) =>
		    a[0] - b[0]), many(100).map((m) =>
		    [m.id, m.params.arguments.nonce]), 'answers');
		for (const n of [101, 0]) {
			const r = await mcp.send(many(n));
			same([r.status, messages(r)[0].error.code],
			    [400, -32600], `${n}`);
		}
	});
	await test('a client that goes away in the middle harms nobody',
	    async () => {
		await Promise.all(Array.from({ length: 10 }, () => {
			const stop = new AbortController();
			setTimeout(() => stop.abort(), 5);
			return fetch(url, { method: 'POST',
			    headers: mcp.headers(), signal: stop.signal,
			    body: JSON.stringify([call(1, 'a'), call(2, 'b')]),
			}).then((r) => r.text()).catch(() => {});
		}));
		same(nonceOf({ result: await mcp.tool('echo',
		    { nonce: 'after' }) }), 'after', 'after');
	});
}

// A backend that answers in arrays: the answer, what it says on the way, and an
// answer that nobody has asked for.
const note = (token, n) => ({ jsonrpc: '2.0',
    method: 'notifications/progress',
    params: { progressToken: token, progress: n, message: `step ${n}` } });

const arrays = (version) => Liar.start({ tools: ['plain', 'stream'].map((name) =>
    ({ name, inputSchema: { type: 'object' } })), on: {
	initialize: (x) => http(json(x.id, { protocolVersion: version,
	    capabilities: { tools: {} }, serverInfo: { name: 'a', version: '1' } }),
	{ headers: ['Mcp-Session-Id: a'] }),
	'tools/call': (x) => {
		const { name, arguments: { nonce }, _meta } = x.message.params;
		const token = _meta?.progressToken;
		const answer = JSON.parse(json(x.id, text(nonce)));
		const other = JSON.parse(bad('1.1'));
		const lists = [[note(token, 1), note(token, 2)],
			[other, note(token, 3), answer, note(token, 4)]];
		return name === 'plain' ? http(JSON.stringify(lists.flat())) :
		    sse + lists.map((l) => event(JSON.stringify(l))).join('') + end;
	},
} });

async function fromBackends(gw) {
	const mcp = await new Mcp(`${gw.base}/array/mcp`).open();
	for (const name of ['plain', 'stream'])
		await test(`JSON-8 a backend answers in arrays: ${name}`,
		    async () => {
			for (let i = 0; i < 5; i++) {
				const r = await mcp.send({ jsonrpc: '2.0', id: i,
				    method: 'tools/call', params: {
					name: `old_${name}`,
					arguments: { nonce: `n${i}` },
					_meta: { progressToken: 'mine' },
				    } });
				const got = messages(r);
				same(got.map((m) => m.params?.message ??
				    m.result.content[0].text),
				['step 1', 'step 2', 'step 3', `n${i}`], 'messages');
				ok(got.every((m) => m.method === undefined ||
				    m.params.progressToken === 'mine'), 'token');
			}
		});
	for (const name of ['plain', 'stream'])
		await test(`JSON-8 arrays of a revision without: ${name}`,
		    async () => {
			const r = await mcp.tool(`new_${name}`, { nonce: 'x' });
			ok(r.isError && /"new" /.test(r.content[0].text),
			    JSON.stringify(r));
		});
}

run('batch', async () => {
	const backend = await echo();
	const gw = await Gateway.start({ config: {
		backends: { echo: { url: backend.url },
		    old: { url: (await arrays('2025-03-26')).url },
		    new: { url: (await arrays('2025-11-25')).url } },
		endpoints: { '/bare/mcp': { backends: ['echo'], prefix: 'none',
		    auth: 'none' },
		'/array/mcp': { backends: ['old', 'new'], auth: 'none' } },
	} });
	const pids = gw.pids('worker');
	await taken(`${gw.base}/bare/mcp`);
	for (const version of ['2025-06-18', '2025-11-25'])
		await test(`JSON-8 ${version} takes none`, async () => {
			const mcp = await new Mcp(`${gw.base}/bare/mcp`,
			    { version }).open();
			const r = await mcp.send([call(1, 'x')]);
			same([r.status, messages(r)[0].error.code],
			    [400, -32600], r.text);
		});
	await fromBackends(gw);
	await test('both workers live', () =>
	    same(gw.pids('worker'), pids, 'workers'));
	await test('nothing is left after SIGTERM', () => gw.stop());
});
