// Must be true 2: two workers, one session; a restart of everything.
import { ok, run, same, test } from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { everything, notes } from './lib/backends.mjs';
import { Client } from './lib/oauth.mjs';
import { Mcp } from './lib/mcp.mjs';
import { Pins } from './lib/pin.mjs';
import { tap } from './lib/tap.mjs';

const LISTS = [['tools/list', 'tools'], ['prompts/list', 'prompts'],
    ['resources/list', 'resources'],
    ['resources/templates/list', 'resourceTemplates']];

// Each request goes to another worker than the one before, on a connection of
// its own that has asked for nothing but the worker's id.
class Alternating extends Mcp {
	constructor(gw, token) {
		super(gw.url, { token });
		this.pins = new Pins(gw.base);
	}

	async #other() {
		const pin = await this.pins.get((w) => w !== this.last);
		this.last = pin.worker;
		return pin.agent;
	}

	async send(message, extra) {
		this.agent = await this.#other();
		try {
			return await super.send(message, extra);
		} finally {
			this.agent.destroy();
		}
	}

	// n calls of a tool at each worker, all at once.
	async both(n, name) {
		const agents = [];
		for (let i = 0; i < 2 * n; i++)
			agents.push(await this.#other());
		return Promise.all(agents.map(async (agent, i) => {
			const m = Object.assign(new Mcp(this.url,
			    { token: this.token, version: this.version, agent }),
			    { session: this.session });
			const r = await m.tool(name, {}, { id: `both ${i}` });
			agent.destroy();
			return r;
		}));
	}
}

// Every list as both workers give it: twice in a row, so that each is asked.
async function identical(mcp) {
	const first = {};
	for (const [method, key] of LISTS) {
		mcp.workers.clear();
		for (let i = 0; i < 12; i++) {
			const got = await mcp.list(method, key);
			ok(got.length > 0, `${method} is empty`);
			first[key] ??= got;
			same(got, first[key], `${method} the ${i + 1}. time`);
		}
		same(mcp.workers.size, 2, `workers that answered ${method}`);
	}
	return first;
}

// An odd number of calls in turn, so that each of them goes to both workers.
async function alternate(mcp) {
	mcp.workers.clear();
	for (let i = 0; i < 40; i++) {
		for (let k = 0; k < 2; k++) {
			const r = await mcp.tool('every_get-sum', { a: i, b: k });
			ok(r.content[0].text.endsWith(` is ${i + k}.`),
			    JSON.stringify(r));
		}
		const n = await mcp.tool('notes_list');
		ok(/Welcome/.test(n.content[0].text), JSON.stringify(n));
	}
	ok(mcp.workers.size === 2, `workers seen: ${[...mcp.workers]}`);
}

// A backend's sessions since a mark: those made for clients, and those in which
// something was called. The keeper makes some for itself, to ask for lists.
const marks = (taps) => taps.map((t) => [t.up.length, t.down.length]);
function upstream({ up, down }, [upMark, downMark]) {
	const keepers = new Set(up.filter(([m]) => /\/list$/.test(m.method))
	    .map(([, session]) => session));
	const made = down.slice(downMark)
	    .filter(([m, s]) => m.result?.protocolVersion && !keepers.has(s))
	    .map(([, session]) => session);
	const used = new Set(up.slice(upMark)
	    .filter(([m]) => /^(tools\/call|resources\/read)$/.test(m.method))
	    .map(([, session]) => session));
	return { made, used: [...used] };
}

// The session at each backend, of which there may be but one.
const oneEach = (taps, from) => taps.map((t, i) => {
	const { made, used } = upstream(t, from[i]);
	ok(made.length === 1 && made[0] !== undefined,
	    `${made.length} sessions were made at ${t.url}: ${made}`);
	same(used, made, 'sessions that were used');
	return made[0];
});

// A session at server-everything starts and stops its log lines in turn, and
// says which session it is.
const LOGS = 'every_toggle-simulated-logging';
const toggled = (r) => r.content[0].text
    .match(/^(Started|Stopped) .*for session ([\w-]+)/).slice(1);

// Both workers must share one upstream session of this client session, even if
// both need it first at the same time, or a server that keeps state per session
// would forget half of it.
async function oneUpstream(gw, token, taps) {
	const from = marks(taps);
	const mcp = await new Alternating(gw, token).open();
	mcp.workers.clear();
	const first = (await mcp.both(4, LOGS)).map(toggled);
	const [id] = oneEach(taps.slice(0, 1), from);
	same(first.sort(), ['Started', 'Stopped'].flatMap((what) =>
	    Array.from({ length: 4 }, () => [what, id])), 'at once');
	await mcp.both(4, 'notes_list');
	for (let i = 0; i < 6; i++)
		same(toggled(await mcp.tool(LOGS)),
		    [i % 2 === 0 ? 'Started' : 'Stopped', id],
		    `the ${i + 1}. time`);
	same(mcp.workers.size, 2, 'workers seen');
	oneEach(taps, from);
	// And another session has its own.
	const other = await new Alternating(gw, token).open();
	const [what, second] = toggled(await other.tool(LOGS));
	ok(what === 'Started' && second !== id, `${what} in ${second}`);
	same(toggled(await mcp.tool(LOGS)), ['Started', id], 'the first\'s');
	for (const m of [other, mcp])
		same(toggled(await m.tool(LOGS))[0], 'Stopped', 'log lines');
	same(upstream(taps[0], from[0]).made, [id, second], 'sessions made');
}

async function change(mcp) {
	const before = await mcp.tool('notes_add', { title: 't', text: 'x' });
	const id = before.structuredContent.id;
	mcp.workers.clear();
	for (let i = 0; i < 4; i++) {
		const r = await mcp.call('resources/read',
		    { uri: `notes://note/${id}` });
		same(r.contents[0].text, 'x', 'note');
	}
	same(mcp.workers.size, 2, 'workers seen');
}

run('workers', async () => {
	const backends = [await everything(), await notes({ PAGE: '2' })];
	for (const mode of modes) {
		const taps = [];
		for (const b of backends)
			taps.push(await tap(b.url));
		const gw = await Gateway.start({ mode, config: { backends: {
			every: { url: taps[0].url }, notes: { url: taps[1].url },
		} } });
		const c = await Client.signIn(gw);
		const token = c.tokens.access_token;
		const mcp = await new Alternating(gw, token).open();
		const from = marks(taps);
		const lists = await test(`MBT-2 (${mode}): the same lists from ` +
		    'both workers', () => identical(mcp));
		await test(`MBT-2 (${mode}): calls of one session alternate`,
		    async () => {
			await alternate(mcp);
			oneEach(taps, from);
		});
		await test(`MBT-2 (${mode}): so on connections as they come`,
		    async () => {
			const fresh = new Mcp(gw.url, { token });
			fresh.session = mcp.session;
			await alternate(fresh);
			oneEach(taps, from);
		});
		await test(`MBT-2 (${mode}): both workers share one upstream ` +
		    'session', () => oneUpstream(gw, token, taps));
		await test(`MBT-2 (${mode}): session, token and refresh token ` +
		    'survive a restart of everything', async () => {
			await gw.restart();
			// The upstream sessions were the keeper's, which has
			// gone: each is made anew, once.
			const again = marks(taps);
			mcp.pins.close();
			await alternate(mcp);
			oneEach(taps, again);
			same(await identical(mcp), lists, 'lists');
			const r = await c.refresh(c.tokens.refresh_token);
			same(r.status, 200, JSON.stringify(r.body));
			const next = new Mcp(gw.url,
			    { token: r.body.access_token });
			next.session = mcp.session;
			await next.tool('notes_list');
		});
		// Last, since a resource more is in the lists.
		await test(`MBT-2 (${mode}): a change is seen by both workers`,
		    () => change(mcp));
		await test(`MBT-2 (${mode}): an ended session is ended on both`,
		    async () => {
			const s = await new Mcp(gw.url, { token }).open();
			const status = await s.close();
			ok(status === 200 || status === 204, `DELETE: ${status}`);
			for (let i = 0; i < 20; i++) {
				const r = await s.send({ jsonrpc: '2.0', id: i,
				    method: 'ping' });
				same(r.status, 404, 'after DELETE');
			}
			same(s.workers.size, 2, 'workers seen');
		});
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
