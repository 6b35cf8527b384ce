// Must be true 5: a revocation is in force on all workers when its call
// returns.
import { rmSync } from 'node:fs';
import http from 'node:http';
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Client } from './lib/oauth.mjs';
import { Clock } from './lib/clock.mjs';
import { request } from './lib/mcp.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer } from './lib/sse.mjs';
import { Talker } from './lib/talker.mjs';

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

// Connections that have used the token, half of them to each worker: so both
// have its proof.
async function connections(gw, token) {
	const by = new Map();
	const enough = () => by.size === 2 &&
	    [...by.values()].every((l) => l.length >= CONNECTIONS / 2);
	for (let i = 0; i < 500 && !enough(); i++) {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		const seen = new Set();
		ok(await attempt(gw, token, agent, seen) !== 401,
		    'the token should work');
		const [worker] = seen;
		const list = by.get(worker) ?? [];
		by.set(worker, list);
		if (list.length < CONNECTIONS / 2)
			list.push(agent);
		else
			agent.destroy();
	}
	ok(enough(), `workers seen: ${[...by.keys()]}`);
	return [...by.values()].flat();
}

async function one(gw, how, total) {
	const c = await Client.signIn(gw);
	const token = c.tokens.access_token;
	const agents = await connections(gw, token);
	await how(c);
	const after = new Set();
	let accepted = 0;
	const loop = async (agent, n) => {
		for (let i = 0; i < n; i++) {
			accepted += await attempt(gw, token, agent, after) !== 401;
			total.n++;
		}
	};
	const each = Math.ceil(TRIES * 0.9 / CONNECTIONS);
	await Promise.all([...agents.map((a) => loop(a, each)),
	    loop(false, TRIES * 0.1)]);
	for (const a of agents)
		a.destroy();
	same(accepted, 0, `accepted of ${total.n}`);
	same(after.size, 2, 'workers seen');
	const r = await c.refresh(c.tokens.refresh_token);
	// The client itself may be gone.
	ok(['invalid_grant', 'invalid_client'].includes(r.body.error),
	    `refresh: ${r.status} ${r.body.error}`);
}

// A client with two grants, which comes back to its stream with the other: what
// it reads then ends with that one. On either worker.
async function streams(gw) {
	const pins = new Pins(gw.base);
	for (const worker of await pins.two()) {
		const c = await Client.signIn(gw);
		const first = c.tokens;
		const other = (await c.redeem(await c.code(gw.password))).body;
		const peer = await new Peer(gw.url, pins,
		    { token: first.access_token }).open();
		const old = await peer.get({ worker });
		await until('an event id', () => old.last !== undefined);
		old.close();
		peer.token = other.access_token;
		for (const at of await pins.two()) {
			const s = await peer.get({ worker: at, last: old.last });
			same([s.status, s.stream], [200, true], 'resumed');
			// Which is the newest is what the keeper hears last.
			await sleep(300);
			s.close();
		}
		const s = await peer.get({ worker, last: old.last });
		await sleep(300);
		same(s.ended, undefined, 'the newest stream');
		same(await c.revoke(first.refresh_token), 200, 'revoke the first');
		await sleep(300);
		same(s.ended, undefined, 'the stream of the other');
		same(await c.revoke(other.refresh_token), 200, 'revoke the other');
		await until('its end', () => s.ended !== undefined, 2000);
	}
}

const TTL = 6; // s
const exp = (token) => JSON.parse(Buffer.from(token.split('.')[1],
    'base64url')).exp * 1000;

// A GET stream lasts as long as the token by which it is read, on whichever
// worker, and goes on with the next; a call that has begun goes on.
async function expiry() {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: {
		auth: { access_token_ttl: `${TTL}s` },
		backends: { talk: { url: talker.url } },
		endpoints: { '/mcp': { backends: '*' },
		    '/open/mcp': { backends: '*', auth: 'none' } } } });
	const pins = new Pins(gw.base);
	const [a, b] = await pins.two();
	const c = await Client.signIn(gw);
	const peer = await new Peer(gw.url, pins,
	    { token: c.tokens.access_token }).open();
	const free = await (await new Peer(`${gw.base}/open/mcp`, pins).open())
	    .get();
	const until1 = async (s, token, what) => {
		await s.end();
		same(s.ended, 'clean', what);
		const late = Date.now() - exp(token);
		ok(late >= 0 && late < 3000, `${what}: ${late} ms late`);
	};
	const another = async () => {
		const r = await c.refresh(c.tokens.refresh_token);
		same(r.status, 200, 'refresh');
		c.tokens = r.body;
		peer.token = r.body.access_token;
		return peer.token;
	};
	const get = async (opts) => {
		const s = await peer.get(opts);
		same([s.status, s.stream], [200, true], 'GET');
		return s;
	};

	const one = await get({ worker: a });
	const call = await peer.start('talk_hold', { nonce: 'held' },
	    { worker: a });
	await until1(one, peer.token, 'the first');
	talker.held.get('held')();
	const m = await call.next((x) => x.id === call.rpcId, 'the answer');
	ok(m.result && !m.result.isError, JSON.stringify(m));
	same((await peer.get({ worker: a, last: one.last })).status, 401,
	    'with the same token');

	const older = await another();
	const two = await get({ worker: b, last: one.last });
	await sleep(TTL * 500);
	const newer = await another();
	const three = await get({ worker: a, last: one.last });
	await two.end();
	await sleep(exp(older) + 1500 - Date.now());
	same(three.ended, undefined, 'with a newer token');
	await until1(three, newer, 'the third');
	await another();
	const four = await get({ worker: b, last: one.last });
	await until1(four, peer.token, 'on another worker');
	same([two, three, four].map((s) => s.messages.length), [0, 0, 0],
	    'what they had to look at again');
	same(free.ended, undefined, 'without a sign-in');
	await gw.stop();
}

// One access token alone (RFC 7009): what is read, or waited for, by it ends,
// and nothing else of its grant. here: the client comes back on the worker that
// has the stream, or on another.
async function oneToken(here) {
	const talker = await Talker.start({ quiet: true });
	const gw = await Gateway.start({ config: {
		backends: { talk: { url: talker.url } } } });
	const pins = new Pins(gw.base);
	const [a, b] = await pins.two();
	const c = await Client.signIn(gw);
	const tokens = [c.tokens.access_token];
	while (tokens.length < 3) {
		const r = await c.refresh(c.tokens.refresh_token);
		same(r.status, 200, 'refresh');
		tokens.push(r.body.access_token);
		c.tokens = r.body;
	}
	const peers = [], gets = [], calls = [];
	for (const [i, token] of tokens.entries()) {
		const p = await new Peer(gw.url, pins, { token }).open();
		peers.push(p);
		gets.push(await p.get({ worker: a }));
		same(gets[i].stream, true, 'GET');
		const call = await p.start('talk_steps', { nonce: 'x', n: 60,
		    ms: 200 }, { worker: a, token: 1 });
		await call.next((m) => m.method !== undefined, 'a step');
		calls.push(call);
	}
	// Both of the first are gone on with by the third token.
	peers[0].token = tokens[2];
	for (const list of [gets, calls]) {
		const { last } = list[0];
		list[0].close();
		list[0] = await peers[0].get({ worker: here ? a : b, last });
		same([list[0].status, list[0].stream], [200, true], 'resumed');
	}
	await sleep(300);
	const over = (list) => list.map((s) => s.ended !== undefined);
	same(await c.revoke(tokens[0]), 200, 'revoke the first');
	await sleep(500);
	same([...over(gets), ...over(calls)], Array(6).fill(false),
	    'what nobody reads by it');
	same(await c.revoke(tokens[1]), 200, 'revoke the second');
	await Promise.all([gets[1].end(2000), calls[1].end(2000)]);
	ok(/withdrawn/.test(JSON.stringify(calls[1].messages.at(-1))),
	    JSON.stringify(calls[1].messages.at(-1)));
	await sleep(300);
	same([...over(gets), ...over(calls)],
	    [false, true, false, false, true, false], 'of the second');
	same(await c.revoke(tokens[2]), 200, 'revoke the third');
	await Promise.all([...gets, ...calls].map((s) => s.end(2000)));
	same((await c.refresh(c.tokens.refresh_token)).status, 200, 'the grant');
	await gw.stop();
}

// A refresh token is stolen once. Who stole it gets the next one first and keeps
// still until its owner has got one, too; then he shows what he has.
async function thief(gw, show) {
	const owner = await Client.signIn(gw);
	const stolen = owner.tokens.refresh_token;
	const seen = new Set();
	const calls = async (t) =>
	    await attempt(gw, t.access_token, false, seen) !== 401;
	await sleep(1100);
	const his = (await owner.refresh(stolen)).body;
	await sleep(2100);
	const r = await owner.refresh(stolen);
	same(r.status, 200, 'what the owner gets');
	ok(await calls(r.body), 'and uses');
	await show(owner, his, calls);
	await until('the end of it', async () => !await calls(r.body), 2000);
	ok(!await calls(his), 'his access token');
	for (const t of [stolen, his.refresh_token, r.body.refresh_token])
		same((await owner.refresh(t)).status, 400, 'refresh');
}

// The wall clock of these is ahead for some seconds, and is put right again.
async function wrongClock(programs, ahead) {
	const clock = new Clock(programs);
	const gw = await Gateway.make();
	await gw.start({ args: ['-L', clock.dir] });
	const c = await Client.signIn(gw), kept = await Client.signIn(gw);
	// What both workers say of these tokens.
	const says = async (...all) => {
		const seen = new Set(), said = all.map(() => new Set());
		for (let i = 0; i < 200 && (i < 12 || seen.size < 2); i++)
			for (const [n, t] of all.entries())
				said[n].add(await attempt(gw,
				    t.tokens.access_token, false, seen) !== 401);
		same(seen.size, 2, 'workers seen');
		return said.map((s) => [...s].join());
	};
	same(await says(c, kept), ['true', 'true'], 'before');
	same(await c.revoke(c.tokens.refresh_token), 200, 'revoke');
	same(await says(c, kept), ['false', 'true'], 'revoked');
	clock.ahead(0, ahead);
	await sleep(3000);
	same(await says(c, kept), ['false', 'false'], 'out of their time');
	clock.ahead(0, 0);
	await sleep(1500);
	const [revoked, other] = await says(c, kept);
	same(revoked, 'false', 'a revoked token after that');
	const next = await Client.signIn(gw);
	same(await says(next), ['true'], 'a new one');
	await gw.stop();
	return other;
}

// Tokens made while the clock was a year ahead are good then, and not after.
async function yearAhead() {
	const clock = new Clock(['worker', 'authd']);
	const gw = await Gateway.make();
	await gw.start({ args: ['-L', clock.dir] });
	const seen = new Set();
	const says = async (t) => {
		const said = new Set();
		for (let i = 0; i < 16; i++)
			said.add(await attempt(gw, t, false, seen) !== 401);
		return [...said].join();
	};
	clock.ahead(0, 365 * 86_400);
	await sleep(1100);
	const c = await Client.signIn(gw);
	const { access_token, refresh_token } = c.tokens;
	same(await says(access_token), 'true', 'while it is ahead');
	clock.ahead(0, 0);
	await sleep(1500);
	same(await says(access_token), 'false', 'after that');
	const r = await c.refresh(refresh_token);
	same(r.status, 200, 'refresh');
	same(await says(r.body.access_token), 'true', 'another');
	same(seen.size, 2, 'workers seen');
	ok(/clock: 1 grants are of a time still to come/.test(gw.output), 'log');
	await gw.stop();
}

// A signing key is taken away, and authd starts again: what it has signed is
// worth nothing in workers that have known it before.
async function keyGone(gw) {
	const keys = async () => JSON.parse((await request(`${gw.base}/oauth/jwks`,
	    { method: 'GET' })).text).keys.map((k) => k.kid);
	const c = await Client.signIn(gw);
	const seen = new Set();
	const accepted = async (t) => {
		const said = new Set();
		for (let i = 0; i < 16; i++)
			said.add(await attempt(gw, t, false, seen) !== 401);
		return [...said].join();
	};
	same(await accepted(c.tokens.access_token), 'true', 'before');
	const [old] = await keys();
	const workers = gw.workerIds();
	rmSync(`${gw.config.state}/keys/${old}.pem`);
	const [pid] = gw.pids('authd');
	process.kill(pid, 'SIGKILL');
	await until('another authd', () => gw.pids('authd').some((p) => p !== pid));
	await until('its end', async () =>
	    await accepted(c.tokens.access_token) === 'false', 5000);
	for (let i = 0; i < 16; i++) {
		const now = await keys();
		same([now.length, now.includes(old)], [1, false], 'keys');
	}
	const next = await Client.signIn(gw);
	same(await accepted(next.tokens.access_token), 'true', 'a new one');
	const r = await c.refresh(c.tokens.refresh_token);
	same([r.status, await accepted(r.body.access_token)], [200, 'true'],
	    'refresh');
	same(gw.workerIds(), workers, 'workers');
	same(seen.size, 2, 'workers seen');
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
	await test('a stream goes with the grant by which it is read', () =>
	    streams(gw));
	await test('a GET stream ends with the token by which it is read', expiry);
	for (const here of [true, false])
		await test(`what is read by one access token ends with it, ${
		    here ? 'on its worker' : 'by way of another'}`,
		() => oneToken(here));
	await test('a signing key that is taken away', () => keyGone(gw));
	await test('MBT-5 20,000 tries in all', async () =>
	    ok(total.n >= 20_000, `${total.n}`));
	const quick = await Gateway.start({ config:
	    { auth: { refresh_grace: '1s' } } });
	await test('a patient thief is known by his refresh token', () =>
	    thief(quick, async (c, his) => c.refresh(his.refresh_token)));
	await test('a patient thief is known by his access token', () =>
	    thief(quick, async (c, his, calls) => calls(his)));
	await quick.stop();
	await test('MBT-5 the clock of the workers is ahead for a while', async () =>
		// Those that authd has never seen expired are still good.
		same(await wrongClock(['worker'], 7200), 'true', 'another'));
	await test('MBT-5 the clock is ahead for a while', async () =>
		same(await wrongClock(['worker', 'authd'], 7200), 'false',
		    'another'));
	await test('MBT-5 tokens of a time when the clock was ahead', yearAhead);
	console.log(`# revocation: ${total.n} tries, 0 accepted`);
	await test('nothing is left after SIGTERM', () => gw.stop());
});
