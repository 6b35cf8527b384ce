// The same echo child on stdin and stdout behind mcpgwd and behind the gateways
// from npm.
import {
	answered, hold, launch, make, mcpgwd, npm, peers, stdio, stdioMode,
} from './parts.mjs';
import { compare, rate, turns } from './http.mjs';
import { pss, settled } from './proc.mjs';
import { median, row } from './table.mjs';

// Sessions of a peer have a child each.
const SESSIONS = { mcpgwd: 1000, peer: 50 };
const FURTHER = 9;
const STARTS = [[1, 3], [10, 3], [50, 1]];

const ours = (n, opts) => mcpgwd({ ...stdioMode, backends: stdio(n), ...opts });

async function other(name, pinned) {
	const gw = await npm(name, pinned);
	await answered([gw.url]);
	return gw;
}

async function calls() {
	const all = [await ours(1)];
	for (const name of peers)
		all.push(await other(name, true));
	const lists = await turns(all[0], all.slice(1), { clients: 32 });
	for (const [i, name] of peers.entries()) {
		// Whatever else had of our core makes the ratio smaller.
		rate(`stdio, calls per second, ${name}`, lists[i],
		    { must: 15, aim: 20, counts: true });
		compare(`stdio, CPU per call, ${name}`, lists[i], 'cpu',
		    { unit: 'us' });
		compare(`stdio, p99, ${name}`, lists[i], 'p99', { unit: 'us' });
	}
	for (const gw of all)
		await gw.stop();
}

// KiB of a gateway with one server, for each further server, and for each idle
// session with its stream; the children are in it.
async function memoryOf(one, more, sessions) {
	const first = await one();
	const memory = () => settled(() => pss(first.pid));
	const instance = await memory();
	const session = await hold(first, sessions,
	    async () => (await memory() - instance) / sessions);
	await first.stop();
	const all = await more();
	const used = await settled(() =>
	    all.reduce((n, gw) => n + pss(gw.pid), 0));
	for (const gw of all)
		await gw.stop();
	return { instance, session, further: (used - instance) / FURTHER };
}

const memoryOfOurs = () => memoryOf(() => ours(1, { pinned: false }),
    async () => [await ours(1 + FURTHER, { pinned: false })], SESSIONS.mcpgwd);

// Each serves one server, so a further one is a further gateway.
const memoryOfPeer = (name) => memoryOf(() => other(name, false), async () => {
	const all = [];
	for (let i = 0; i < 1 + FURTHER; i++)
		all.push(await other(name, false));
	return all;
}, SESSIONS.peer);

const parts = { instance: 'gateway with one server',
    further: 'each further server', session: 'each idle session' };

async function memory() {
	const own = await memoryOfOurs();
	for (const name of peers) {
		const its = await memoryOfPeer(name);
		for (const [key, what] of Object.entries(parts))
			row(`stdio, ${what}, ${name}`, { unit: 'KiB',
			    ours: own[key], peer: its[key],
			    ratio: own[key] / its[key] });
	}
}

// From the start of all until each has answered a call.
async function startOurs(n) {
	const backends = stdio(n);
	const endpoints = Object.fromEntries(Object.keys(backends).map((b) =>
	    [`/${b}/mcp`, { backends: [b], prefix: 'none', auth: 'none' }]));
	const config = { backends, endpoints };
	const gw = await make({ ...stdioMode, config });
	const t0 = process.hrtime.bigint();
	launch(gw);
	const ms = await answered(Object.keys(endpoints).map((path) =>
	    `127.0.0.1:${gw.port}${path}`), { t0, timeout: 120 });
	await gw.stop();
	return ms;
}

async function startPeers(name, n) {
	const t0 = process.hrtime.bigint();
	const all = await Promise.all(Array.from({ length: n }, () =>
	    npm(name, false)));
	const urls = all.map((gw) => gw.url);
	const ms = await answered(urls, { t0, timeout: 120 });
	await Promise.all(all.map((gw) => gw.stop()));
	return ms;
}

async function starts() {
	for (const [n, times] of STARTS) {
		const own = [];
		const its = peers.map(() => []);
		for (let i = 0; i < times; i++) {
			own.push(await startOurs(n));
			for (const [k, name] of peers.entries())
				its[k].push(await startPeers(name, n));
		}
		for (const [k, name] of peers.entries()) {
			const a = median(own), b = median(its[k]);
			row(`stdio, start of ${n}, ${name}`,
			    { unit: 'ms', ours: a, peer: b, ratio: a / b });
		}
	}
}

export async function againstNpm() {
	await calls();
	await memory();
	await starts();
}
