// Calls to a server over HTTP: against nginx, which only passes them on, and
// against haproxy, which checks a token with each.
import { ok } from '../live/lib/harness.mjs';
import { Client } from '../live/lib/oauth.mjs';
import { haproxy, http, mcpgwd, measure, nginx, sinks } from './parts.mjs';
import { median, row } from './table.mjs';

// Below this the processor of the gateway waited for the load generator.
const BUSY = 0.95;

export const pairs = Number(process.env.PAIRS || 5);
export const seconds = Number(process.env.SECONDS_PER_RUN || 3);

const errors = [];

// Every answer of every run has been checked.
export async function run(gw, opts) {
	const r = await measure(gw, { seconds, ...opts });
	errors.push(r.errors);
	return r;
}

export function errorsRow() {
	if (errors.length > 0)
		row('errors, foreign or mismatched answers', { must: 0, aim: 0,
		    ours: errors.reduce((a, b) => a + b),
		    note: `${errors.length} runs` });
}

// Runs in turn, and for each peer the list of [ours, its] of one turn.
export async function turns(ours, others, opts) {
	const out = others.map(() => []);
	for (let i = 0; i < pairs; i++) {
		const own = await run(ours, opts);
		for (const [k, gw] of others.entries())
			out[k].push([own, await run(gw, opts)]);
	}
	return out;
}

// The medians of both sides, and of what the turns' ratios were.
export function compare(what, list, key, limits) {
	const side = (i) => median(list.map((p) => p[i][key]));
	row(what, { ours: side(0), peer: side(1), ...limits,
	    ratio: median(list.map(([a, b]) => a[key] / b[key])) });
}

export function rate(what, list, limits) {
	const busy = median(list.map(([a]) => a.busy));
	compare(what, list, 'rate', { more: true, unit: 'calls/s',
	    counts: busy > BUSY, ...limits,
	    note: `core ${Math.round(busy * 100)}% busy` });
}

export async function againstNginx() {
	const back = await sinks(1);
	const ours = await mcpgwd({ backends: http(back.urls) });
	const peer = await nginx(back.urls[0]);
	const turn = async (opts) => (await turns(ours, [peer], opts))[0];

	const few = await turn({ clients: 32 });
	compare('CPU per call, nginx', few, 'cpu',
	    { unit: 'us', must: 1.15, aim: 0.95 });
	rate('calls per second, nginx', few, { must: 0.85, aim: 1 });
	compare('p99, 32 connections, nginx', few, 'p99',
	    { unit: 'us', must: 1.25, aim: 1 });
	const many = await turn({ clients: 256 });
	compare('p99, 256 connections, nginx', many, 'p99',
	    { unit: 'us', must: 1.25, aim: 1 });
	compare('CPU per call, 256 connections, nginx', many, 'cpu',
	    { unit: 'us' });
	const large = await turn({ filler: 65_536 });
	compare('CPU per call with 64 KB, nginx', large, 'cpu',
	    { unit: 'us', must: 1.3, aim: 1.1 });
	const one = await turn({ clients: 1 });
	compare('p50, 1 connection, nginx', one, 'p50', { unit: 'us' });
	compare('p99, 1 connection, nginx', one, 'p99', { unit: 'us' });
	for (const part of [peer, ours, back])
		await part.stop();
}

export async function againstHaproxy() {
	const back = await sinks(1);
	const ours = await mcpgwd({ backends: http(back.urls),
	    config: { endpoints: undefined } });
	const { tokens } = await Client.signIn(ours.gw);
	ok(tokens.access_token.split('.').length === 3, 'the token is a JWT');
	ours.headers = [`Authorization: Bearer ${tokens.access_token}`];
	const peer = await haproxy(back.urls[0]);
	const [list] = await turns(ours, [peer], {});
	compare('CPU per call, both check a token, haproxy', list, 'cpu',
	    { unit: 'us', must: 0.75, aim: 0.6 });
	rate('calls per second, both check a token, haproxy', list);
	for (const part of [peer, ours, back])
		await part.stop();
}
