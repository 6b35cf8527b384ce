// What a backend offers depends on what is declared to it: the first list that
// a client of a new capability class gets is its own, though the backend takes
// its time to give it.
import http from 'node:http';
import { freePort, later, ok, run, same, sleep, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Mcp } from './lib/mcp.mjs';

const SLOW = 700; // ms for each list of a class other than the empty one

// A session is named after the capabilities that were declared in it.
async function backend() {
	const server = http.createServer(async (req, res) => {
		const parts = [];
		for await (const p of req)
			parts.push(p);
		if (req.method !== 'POST') {
			res.writeHead(405).end();
			return;
		}
		const m = JSON.parse(Buffer.concat(parts));
		const session = m.method === 'initialize' ?
		    `is-${Object.keys(m.params.capabilities).sort().join('-')}` :
		    req.headers['mcp-session-id'];
		if (m.id === undefined) {
			res.writeHead(202).end();
			return;
		}
		if (m.method === 'tools/list' && session !== 'is-')
			await sleep(SLOW);
		const name = session.replace(/\W/g, '_');
		const result = m.method === 'tools/call' ? {
			content: [{ type: 'text', text: m.params.name }],
		} : m.method === 'initialize' ? {
			protocolVersion: '2025-11-25', capabilities: { tools: {} },
			serverInfo: { name: 'classes', version: '1' },
		} : { tools: [{ name, inputSchema: { type: 'object' } }] };
		res.writeHead(200, { 'content-type': 'application/json',
		    'mcp-session-id': session });
		res.end(JSON.stringify({ jsonrpc: '2.0', id: m.id, result }));
	});
	const port = await freePort();
	await new Promise((r) => server.listen(port, '127.0.0.1', r));
	later(() => {
		server.closeAllConnections();
		server.close();
	});
	return { url: `http://127.0.0.1:${port}/mcp` };
}

run('classes', async () => {
	const { url } = await backend();
	const gw = await Gateway.start({ config: {
		backends: { b: { url,
		    declare: ['sampling', 'elicitation', 'roots'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	for (const caps of [['sampling'], ['elicitation'], ['roots'],
	    ['elicitation', 'sampling'], []])
		await test(`CLASS ${caps.join(' and ') || 'none'}`, async () => {
			// The keeper has long since looked at it for the others.
			await sleep(2300);
			const mcp = await new Mcp(gw.url).open(
			    Object.fromEntries(caps.map((c) => [c, {}])));
			const names = (await mcp.list('tools/list', 'tools'))
			    .map((t) => t.name);
			same(names, [`b_is_${caps.join('_')}`], 'tools');
		});
	// As one calls that knows the list from the gateway's life before.
	await test('CLASS a call before any list', async () => {
		const mcp = await new Mcp(gw.url).open({ elicitation: {},
		    roots: {} });
		const name = 'is_elicitation_roots';
		const r = await mcp.tool(`b_${name}`);
		same(r.content[0].text, name, 'the tool');
		const t0 = Date.now();
		const e = await mcp.tool('b_none').catch((x) => x);
		same(e.code, -32602, `a tool that is not: ${e}`);
		ok(Date.now() - t0 < 500, 'is known at once not to be');
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
