// Must be true 5: a revocation is in force on all workers when its call
// returns.
import http from 'node:http';
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { request } from './lib/mcp.mjs';

const GRANTS = 20;
const TRIES = 1000;
const CONNECTIONS = 16;

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

function attempt(gw, token, agent, seen) {
	return request(gw.url, { agent, body: PING, headers: {
		authorization: `Bearer ${token}`,
		'content-type': 'application/json',
		accept: 'application/json, text/event-stream',
	} }).then((r) => {
		seen.add(r.headers['x-mcpgw-worker']);
		return r.status;
	});
}

async function one(gw, how, total) {
	const c = await Client.signIn(gw);
	const token = c.tokens.access_token;
	const agents = Array.from({ length: CONNECTIONS }, () =>
	    new http.Agent({ keepAlive: true, maxSockets: 1 }));
	const before = new Set();
	// Every connection has used the token, so every worker has its proof.
	for (let i = 0; i < 3; i++)
		for (const status of await Promise.all(agents.map((a) =>
		    attempt(gw, token, a, before))))
			ok(status !== 401, 'the token should work');
	same(before.size, 2, 'workers seen');
	await how(c);
	const after = new Set();
	let accepted = 0;
	const loop = async (agent, n) => {
		for (let i = 0; i < n; i++) {
			accepted += await attempt(gw, token, agent, after) !== 401;
			total.n++;
		}
	};
	await Promise.all([...agents.map((a) =>
	    loop(a, TRIES * 0.9 / CONNECTIONS)),
	    loop(false, TRIES * 0.1)]);
	for (const a of agents)
		a.destroy();
	same(accepted, 0, `accepted of ${total.n}`);
	same(after.size, 2, 'workers seen');
	const r = await c.refresh(c.tokens.refresh_token);
	same([r.status, r.body.error], [400, 'invalid_grant'], 'refresh');
}

run('revoke', async () => {
	const gw = await Gateway.start();
	const total = { n: 0 };
	const ways = {
		'its refresh token': async (c) =>
		    same(await c.revoke(c.tokens.refresh_token), 200, 'revoke'),
		'mcpgwctl client delete': async (c) => {
			const r = await gw.ctl('client', 'delete', c.id);
			same(r.status, 0, r.out + r.err);
		},
	};
	for (const [name, how] of Object.entries(ways))
		await test(`MBT-5 revoked by ${name}`, async () => {
			for (let i = 0; i < GRANTS / 2; i++)
				await one(gw, how, total);
		}, { timeout: 180_000 });
	await test('MBT-5 an access token alone', async () => {
		const c = await Client.signIn(gw);
		same(await c.revoke(c.tokens.access_token), 200, 'revoke');
		const seen = new Set();
		for (let i = 0; i < 200; i++)
			same(await attempt(gw, c.tokens.access_token, false, seen),
			    401, 'status');
		same(seen.size, 2, 'workers seen');
	});
	await test('MBT-5 20,000 tries in all', async () =>
	    ok(total.n >= 19_000, `${total.n}`));
	console.log(`# revocation: ${total.n} tries, 0 accepted`);
	await test('nothing is left after SIGTERM', () => gw.stop());
});
