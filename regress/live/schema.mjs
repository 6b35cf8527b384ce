// Must be true 3: every message that mcpgwd sends, to clients and to backends,
// is what the revision's schema says.
import { clip, ok, run, same, sleep, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { everything } from './lib/backends.mjs';
import { cancelsHeard, connect, everythingSeen } from
    './lib/everything.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { kind, wrong } from './lib/schema.mjs';
import { tap } from './lib/tap.mjs';

// Both directions of a tap: sent are ours, heard the other side's.
function check(what, sent, heard, revisionOf) {
	const asked = new Map(heard.filter(([m]) => m.method !== undefined &&
	    m.id !== undefined).map(([m, s]) =>
	    [`${s} ${JSON.stringify(m.id)}`, m.method]));
	// initialize has no session yet when it is asked.
	for (const [m] of heard)
		if (m.method === 'initialize')
			asked.set(`init ${JSON.stringify(m.id)}`, m.method);
	const seen = {}, bad = [];
	for (const [m, s, status] of sent) {
		const method = m.result?.protocolVersion ? 'initialize' :
		    asked.get(`${s} ${JSON.stringify(m.id)}`);
		const name = kind(m, method);
		seen[name] = (seen[name] ?? 0) + 1;
		const why = wrong(m, method, revisionOf(s), status);
		if (why !== undefined)
			bad.push(`${why.replace(/\s+/g, ' ')}: ${
			    clip(JSON.stringify(m), 300)}`);
	}
	console.log(`# ${what}: ${sent.length} messages, ${JSON.stringify(seen)}`);
	same(bad.slice(0, 5), [], `${bad.length} wrong of ${sent.length}`);
	return seen;
}

// What clients of a revision that knows less are not sent.
async function older(url) {
	for (const version of ['2025-03-26', '2025-06-18', '2025-11-25']) {
		const mcp = await new Mcp(url, { version }).open();
		same(mcp.version, version, 'negotiated');
		const old = version === '2025-03-26';
		const list = await mcp.list('tools/list', 'tools');
		const tool = list.find((t) =>
		    t.name === 'get-structured-content');
		await test(`SCHEMA ${version}: outputSchema and ` +
		    'structuredContent', async () => {
			const r = await mcp.tool('get-structured-content',
			    { location: 'New York' });
			same([tool.outputSchema !== undefined,
			    r.structuredContent !== undefined], [!old, !old],
			    'there');
			ok(r.content[0].type === 'text', JSON.stringify(r));
		});
		await test(`SCHEMA ${version}: resource_link`, async () => {
			const r = await mcp.tool('get-resource-links', { count: 2 });
			same(r.content.some((c) => c.type === 'resource_link'),
			    !old, JSON.stringify(r));
			if (old)
				ok(r.content.some((c) =>
				    /demo:\/\/resource/.test(c.text ?? '')),
				    'the link as text');
		});
		await mcp.list('prompts/list', 'prompts');
		const [resource] = await mcp.list('resources/list', 'resources');
		await mcp.call('resources/read', { uri: resource.uri });
		// Batches are of one revision only.
		await test(`SCHEMA ${version}: a batch`, async () => {
			const r = await mcp.send([1, 2].map((id) => ({ jsonrpc:
			    '2.0', id: `b${id}`, method: 'ping' })));
			if (!old) {
				same(r.status, 400, r.text);
				return;
			}
			same(r.status, 200, r.text);
			same(messages(r).map((m) => [m.id, m.result]).sort(),
			    [['b1', {}], ['b2', {}]], 'answers');
		});
		await test(`SCHEMA ${version}: errors`, async () => {
			const ping = { jsonrpc: '2.0', id: 'e', method: 'ping' };
			for (const [message, headers, status, id] of [
			    [{ ...ping, id: null }, {}, 400],
			    [{ ...ping, method: 7 }, {}, 400, 'e'],
			    [{ ...ping, method: 'no/such' }, {}, 200, 'e'],
			    [{ ...ping, method: 'tools/call' }, {}, 200, 'e'],
			    [ping, { 'mcp-session-id': 'unknown' }, 404, 'e']]) {
				const r = await mcp.send(message, headers);
				const what = JSON.stringify([message, headers]);
				same(r.status, status, what);
				const [m] = messages(r);
				ok(m.error && m.id === id, `${what}: ${r.text}`);
			}
		});
	}
}

run('schema', async () => {
	const every = await everything();
	const back = await tap(every.url);
	const gw = await Gateway.start({ config: {
		backends: { every: { url: back.url,
		    declare: ['sampling', 'elicitation', 'roots'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none',
		    prefix: 'none' } },
	} });
	const front = await tap(`http://127.0.0.1:${gw.port}/mcp`);
	const revisions = new Map();
	await Promise.all(['SDK 1.x', 'SDK 2.x'].map(async (sdk) => {
		const c = await connect(sdk, front.url);
		await everythingSeen(sdk, c);
		await c.client.close();
	}));
	await older(front.url);
	await sleep(300);
	for (const [m, s] of front.down)
		if (m.result?.protocolVersion)
			revisions.set(s, m.result.protocolVersion);
	await test('SCHEMA all that clients are sent', async () => {
		const seen = check('to clients', front.down, front.up, (s) =>
		    revisions.get(s) ?? '2025-11-25');
		for (const k of ['InitializeResult', 'CallToolResult',
		    'ProgressNotification', 'LoggingMessageNotification',
		    'ElicitRequest', 'CreateMessageRequest',
		    'ListRootsRequest', 'ResourceUpdatedNotification'])
			ok(seen[k] > 0, `no ${k}`);
	});
	await test('SCHEMA all that backends are sent', async () => {
		const seen = check('to backends', back.up, back.down, () =>
		    '2025-11-25');
		for (const k of ['InitializeRequest', 'InitializedNotification',
		    'CallToolRequest', 'CancelledNotification', 'ElicitResult',
		    'CreateMessageResult', 'ListRootsResult',
		    'SetLevelRequest', 'SubscribeRequest'])
			ok(seen[k] > 0, `no ${k}`);
		same(cancelsHeard(back.up), 2, 'calls cancelled');
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
