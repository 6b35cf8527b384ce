// Must be true 2, ISO-1: 64 clients that use the same JSON-RPC ids at the same
// time never see one another's answers.
import http from 'node:http';
import { full, ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { echo } from './lib/backends.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';

const CLIENTS = 64;
const CALLS = Number(process.env.CALLS ?? (full ? 100_000 : 20_000));

run('iso', async () => {
	const a = await echo({ DELAY: '15' }), b = await echo({ DELAY: '3' });
	const gw = await Gateway.start({ config: {
		backends: { a: { url: a.url }, b: { url: b.url } },
	} });
	const grants = [];
	for (let i = 0; i < 4; i++)
		grants.push((await Client.signIn(gw)).tokens.access_token);
	const clients = await Promise.all(Array.from({ length: CLIENTS },
	    async (_, i) => {
		const mcp = await new Mcp(gw.url,
		    { token: grants[i % grants.length] }).open();
		// Half of them keep their connection, half never do.
		if (i % 2 === 0)
			mcp.agent = new http.Agent({ keepAlive: true,
			    maxSockets: 4 });
		return mcp;
	}));
	await test(`ISO-1: ${CALLS} calls, ${CLIENTS} clients, same ids`,
	    async () => {
		let foreign = 0, failed = 0, calls = 0;
		const one = async (mcp, who, id) => {
			const nonce = `${who}/${id}/${Math.random()}`;
			calls++;
			try {
				const r = await mcp.tool(id % 2 ? 'a_echo' : 'b_echo',
				    { nonce }, { id });
				foreign += JSON.parse(r.content[0].text).nonce !== nonce;
			} catch (e) {
				failed++;
				if (failed < 4)
					console.log(`# ${e.message.slice(0, 300)}`);
			}
		};
		await Promise.all(clients.map(async (mcp, who) => {
			// Two calls of a client are open at any time.
			for (let id = 1; id <= CALLS / CLIENTS + 1; id += 2)
				await Promise.all([one(mcp, who, id),
				    one(mcp, who, id + 1)]);
		}));
		same({ foreign, failed }, { foreign: 0, failed: 0 },
		    `of ${calls}`);
		ok(calls >= CALLS, `only ${calls} calls`);
		const seen = new Set(clients.flatMap((c) => [...c.workers]));
		same(seen.size, 2, 'workers seen');
	}, { timeout: full ? 900_000 : 300_000 });
	for (const c of clients)
		c.agent?.destroy();
	await test('nothing is left after SIGTERM', () => gw.stop());
});
