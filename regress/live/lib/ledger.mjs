// A stdio server, not a module: it writes down every call before it runs it,
// into $HOME/ledger, which outlives it. Tools: echo and slow.
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const send = (m) => process.stdout.write(
    `${JSON.stringify({ jsonrpc: '2.0', ...m })}\n`);

async function call({ arguments: { nonce = '', ms = 0 } = {} }) {
	appendFileSync(`${process.env.HOME}/ledger`, `${nonce}\n`);
	await new Promise((r) => setTimeout(r, ms));
	return { content: [{ type: 'text', text: nonce }] };
}

const answers = {
	initialize: () => ({ protocolVersion: '2025-11-25',
	    capabilities: { tools: {} },
	    serverInfo: { name: 'ledger', version: '1' } }),
	'tools/list': () => ({ tools: ['echo', 'slow'].map((name) =>
	    ({ name, inputSchema: { type: 'object' } })) }),
	'tools/call': call,
	ping: () => ({}),
};

createInterface({ input: process.stdin }).on('line', async (line) => {
	const m = JSON.parse(line);
	if (m.id === undefined || m.method === undefined)
		return;
	if (answers[m.method] === undefined)
		send({ id: m.id, error: { code: -32601, message: 'no method' } });
	else
		send({ id: m.id, result: await answers[m.method](m.params) });
}).on('close', () => process.exit(0));
