// The four servers from npm as children behind one address: two clients on the
// official SDKs at once list everything and call every tool, and each sees
// what it sees of the same program when it runs that itself; and what
// server-everything asks reaches the client whose call caused it.
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import {
	alike, full, ok, root, run, same, test, until,
} from './lib/harness.mjs';
import { Gateway, modes } from './lib/gateway.mjs';
import { modules, node, npm } from './lib/paths.mjs';
import {
	all, compareContents, compareLists, connect, connectStdio, looked,
} from './lib/sdk.mjs';

const KINDS = ['SDK 1.x', 'SDK 2.x'];
const RUNS = 2;
const ROUNDS = 5; // of questions, while the other client has its own
const SHARED = ['every', 'files', 'memory', 'thinking'];
const ASKING = ['asking', 'rooted'];

const script = (name) =>
    `${modules}/@modelcontextprotocol/${name}/dist/index.js`;
const SERVERS = {
	every: [script('server-everything'), 'stdio'],
	files: [script('server-filesystem'), '$SHARE'],
	memory: [script('server-memory')],
	thinking: [script('server-sequential-thinking')],
	asking: [script('server-everything'), 'stdio'],
	rooted: [script('server-everything'), 'stdio'],
};
const DECLARED = { asking: ['sampling', 'elicitation'],
    rooted: ['sampling', 'elicitation', 'roots'] };
// Each its own, and none that another file which runs beside this one uses.
const USERS = ['daemon', 'bin', 'sys', 'proxy', 'www-data', '_apt'];

const MINE = { sampling: {}, elicitation: { form: {}, url: {} },
    roots: { listChanged: true } };
// What a server is told of MINE, by the backend it is: to a shared child
// nothing is declared.
const told = (backend) => Object.fromEntries(Object.entries(MINE)
    .filter(([c]) => DECLARED[backend]?.includes(c)));

// ---- the calls ----

const entity = (name) => ({ name, entityType: 'person',
    observations: ['counts', 'writes'] });
const thought = (n, more = {}) => ({ thought: `so ${n}`, thoughtNumber: n,
    totalThoughts: 3, nextThoughtNeeded: n < 3, ...more });

// Every tool with the arguments it is called with, in this order; w is who
// calls, dir a folder of his. `turn`: what one call leaves behind changes what
// the next is answered, whoever makes it, so that the clients take turns.
const everything = () => ({
	'echo': [{ message: 'héllo\u2028"\\' }, {}],
	'get-annotated-message': ['error', 'success', 'debug'].map((t) =>
	    ({ messageType: t, includeImage: true })),
	'get-env': [{}],
	'get-resource-links': [{ count: 4 }, { count: 99 }],
	'get-resource-reference': [{ resourceType: 'Text', resourceId: 2 },
	    { resourceType: 'Blob', resourceId: 3 }, { resourceId: -1 }],
	'get-structured-content': ['New York', 'Chicago', 'Los Angeles']
	    .map((location) => ({ location })),
	'get-sum': [{ a: 1e3, b: -0.5 }, { a: 'no' }],
	'get-tiny-image': [{}],
	'gzip-file-as-resource': ['resource', 'resourceLink'].map((outputType) =>
	    ({ name: 'x.gz', outputType,
		data: 'data:text/plain;base64,aGVsbG8=' })),
	'trigger-long-running-operation': [{ duration: 0.3, steps: 3 }],
	'simulate-research-query': [{ topic: 'tea' }],
});
const toggles = {
	'toggle-simulated-logging': [{}, {}],
	'toggle-subscriber-updates': [{}, {}],
};
const questions = (w) => ({
	'trigger-sampling-request': [{ prompt: `say ${w}`, maxTokens: 5 }],
	'trigger-elicitation-request': [{}],
	'trigger-url-elicitation': [
	    { url: `http://127.0.0.1/${w}`, message: w, elicitationId: w },
	    { url: `http://127.0.0.1/${w}`, message: w, elicitationId: w,
		errorPath: true }],
});

const TABLE = {
	every: (w) => ({ each: everything(w), turn: toggles }),
	asking: (w) => ({ each: { ...everything(w), ...toggles,
	    ...questions(w) } }),
	rooted: (w) => ({ each: { ...everything(w), ...toggles,
	    ...questions(w), 'get-roots-list': [{}] } }),
	files: (w, dir) => ({ each: {
		create_directory: [{ path: dir }, { path: `${dir}/deep/er` },
		    { path: `${dir}/../../no` }],
		write_file: [{ path: `${dir}/a.txt`, content: `1 ${w}\n2\n3\n` },
		    { path: `${dir}/deep/b.png`, content: 'pixels' },
		    { path: '/etc/passwd', content: 'no' }],
		edit_file: [{ path: `${dir}/a.txt`, dryRun: true, edits: [
		    { oldText: '2', newText: 'zwei' }] },
		    { path: `${dir}/a.txt`, edits: [
		    { oldText: '2', newText: 'two' }] },
		    { path: `${dir}/a.txt`, edits: [
		    { oldText: 'not there', newText: 'x' }] }],
		read_file: [{ path: `${dir}/a.txt` }],
		read_text_file: [{ path: `${dir}/a.txt`, head: 2 },
		    { path: `${dir}/a.txt`, tail: 2 }, { path: '/etc/passwd' }],
		read_media_file: [{ path: `${dir}/deep/b.png` }],
		read_multiple_files: [{ paths: [`${dir}/a.txt`,
		    `${dir}/none.txt`] }],
		list_directory: [{ path: dir }],
		list_directory_with_sizes: [{ path: dir, sortBy: 'size' }],
		directory_tree: [{ path: dir }],
		search_files: [{ path: dir, pattern: '**/*.png' }],
		get_file_info: [{ path: `${dir}/a.txt` }, { path: dir }],
		move_file: [{ source: `${dir}/a.txt`,
		    destination: `${dir}/deep/c.txt` },
		    { source: `${dir}/a.txt`, destination: `${dir}/d.txt` }],
		list_allowed_directories: [{}],
	} }),
	memory: (w) => ({ turn: {
		create_entities: [{ entities: [entity(w), entity(`${w}-2`)] },
		    { entities: [{ name: 'incomplete' }] }],
		create_relations: [{ relations: [
		    { from: w, to: `${w}-2`, relationType: 'knows' }] }],
		add_observations: [{ observations: [
		    { entityName: w, contents: ['writes', `is ${w}`] }] },
		    { observations: [{ entityName: 'nobody', contents: [] }] }],
		search_nodes: [{ query: `is ${w}` }, { query: 'person' }],
		open_nodes: [{ names: [w, `${w}-2`, 'nobody'] }],
		read_graph: [{}],
		delete_observations: [{ deletions: [
		    { entityName: w, observations: ['counts'] }] }],
		delete_relations: [{ relations: [
		    { from: w, to: `${w}-2`, relationType: 'knows' }] }],
		delete_entities: [{ entityNames: [`${w}-2`] }],
	} }),
	thinking: (w) => ({ turn: {
		sequentialthinking: [thought(1), thought(2, { isRevision: true,
		    revisesThought: 1 }), thought(3, { branchFromThought: 1,
		    branchId: w }), { thought: 'no number' }],
	} }),
};

// ---- the servers ----

const place = (args, share) => args.map((a) => a === '$SHARE' ? share : a);
const state = (gw, name) => `${gw.config.state}-backends/${name}`;

async function gateway(mode) {
	const gw = await Gateway.make({ mode });
	const share = `${gw.dir}/share`;
	mkdirSync(share, { mode: 0o755 });
	const ids = Object.fromEntries(readFileSync('/etc/passwd', 'utf8')
	    .split('\n').map((l) => l.split(':')).map((f) => [f[0], f]));
	const [, , uid, gid] = ids[USERS[Object.keys(SERVERS).indexOf('files')]];
	if (root)
		chownSync(share, ...(gw.drop ? [65534, 65534] :
		    [Number(uid), Number(gid)]));
	gw.config.backends = Object.fromEntries(Object.entries(SERVERS).map(
	    ([name, args], n) => [name, {
		command: [node, ...place(args, share)],
		...(mode === 'root' && { user: USERS[n] }), processes: 0,
		stop_timeout: '1s',
		read: [npm], env: { HOME: '$STATE', ...(name === 'memory' && {
		    MEMORY_FILE_PATH: '$STATE/memory.jsonl' }) },
		...(name === 'files' && { write: [share] }),
		...(DECLARED[name] && { instance: 'session',
		    declare: DECLARED[name] }),
	    }]));
	gw.config.endpoints = {
		'/mcp': { backends: SHARED, auth: 'none' },
		'/asking/mcp': { backends: ['asking'], auth: 'none' },
		'/rooted/mcp': { backends: ['rooted'], auth: 'none' },
	};
	gw.write();
	await gw.start();
	return { gw, share };
}

// The same program under this client, with the environment, the folder and the
// umask that mcpgwd.conf(5) promises to a child.
function direct(gw, kind, name, share, memory) {
	const env = { HOME: state(gw, name), PATH: '/usr/local/bin:/usr/bin:/bin',
	    TMPDIR: `${state(gw, name)}/tmp`,
	    ...(name === 'memory' && { MEMORY_FILE_PATH: memory }) };
	return connectStdio(kind, { command: '/bin/sh', args: ['-c',
	    'umask 077; exec "$@"', 'sh', '/usr/bin/env', '-i',
	    ...Object.entries(env).map(([k, v]) => `${k}=${v}`), node,
	    ...place(SERVERS[name], share)], cwd: gw.dir }, told(name));
}

// ---- questions ----

const spec = (kind, method) => kind !== 'SDK 1.x' ? method :
    z.object({ method: z.literal(method), params: z.any().optional() });

// Answers with its own name, and keeps what it was asked.
function answers(kind, client, capabilities, who) {
	const asked = [];
	const on = (method, fn) => client.setRequestHandler(spec(kind, method),
	    (r) => {
		asked.push([method, r.params ?? {}]);
		return fn(r.params ?? {});
	    });
	if (capabilities.sampling)
		on('sampling/createMessage', () => ({ role: 'assistant',
		    model: `model of ${who}`,
		    content: { type: 'text', text: `sampled by ${who}` } }));
	if (capabilities.elicitation)
		on('elicitation/create', (p) => p.mode === 'url' ?
		    { action: 'accept' } : { action: 'accept',
		    content: { name: `elicited by ${who}`, check: true } });
	if (capabilities.roots)
		on('roots/list', () => ({ roots: [{ uri: `file:///home/${who}`,
		    name: `root of ${who}` }] }));
	return asked;
}

// ---- one call, here and there ----

const decoded = (base64) => Buffer.from(base64, 'base64').toString();

// Times of files; the clock in resources of server-everything and the ids that
// it draws.
const plain = (text) => text
    .replace(/"blob":"([^"]*)"/g, (all_, b) => /created at/.test(decoded(b)) ?
	`"blob":${JSON.stringify(decoded(b))}` : all_)
    .replace(/created at \d{1,2}:\d\d:\d\d( [AP]M)?/g, 'created at TIME')
    .replace(/(created|modified|accessed): [^\\"]+/g, '$1: TIME')
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'UUID');

async function outcome(kind, client, name, args) {
	const progress = [];
	const p = { name, arguments: args };
	const o = { onprogress: ({ progress: n, total }) =>
	    progress.push(`${n}/${total}`) };
	// The SDK knows that this tool runs as a task, and refuses by itself.
	const call = name.endsWith('simulate-research-query') ?
	    () => client.request({ method: 'tools/call', params: p },
		...(kind === 'SDK 1.x' ? [z.any()] : [])) :
	    () => client.callTool(p, ...(kind === 'SDK 1.x' ? [undefined] : []),
		o);
	try {
		return { result: await call(), progress };
	} catch (e) {
		return { code: e.code, message: e.message, data: e.data ?? null };
	}
}

// The order in a process's environment says nothing.
function lines(r) {
	const [c] = r.result.content;
	return { ...r, result: { content: [{ ...c, text: JSON.parse(c.text) }] } };
}

function compare(what, got, want) {
	const { progress: seen = [], ...rest } = got;
	const { progress: there = [], ...other } = want;
	if (what.endsWith('get-env {}'))
		alike(lines(rest), lines(other), what);
	else
		alike(rest, other, what);
	// The SDK drops progress that comes in one piece with the answer, so the
	// last may be missing from either.
	const n = Math.min(seen.length, there.length);
	same(seen.slice(0, n), there.slice(0, n), `${what}: progress`);
	ok(Math.abs(seen.length - there.length) <= 1,
	    `${what}: progress ${seen} instead of ${there}`);
}

// Whoever has the turn of a server's; by its name.
function turns() {
	const last = {};
	return (name, fn) => {
		const mine = (last[name] ?? Promise.resolve()).then(fn);
		last[name] = mine.catch(() => {});
		return mine;
	};
}

// ---- both clients ----

// {server, name, args} by the table, once the list is that of the table.
function calls(x, server, tools, from) {
	const { each = {}, turn = {} } = TABLE[server](x.who, from);
	same(tools.map((t) => t.name).sort(),
	    Object.keys({ ...each, ...turn }).sort(), `tools of ${server}`);
	const list = (rows, takesTurns) => Object.entries(rows).map(
	    ([name, args]) => ({ name, rows: args, takesTurns }));
	return [...list(each, false), ...list(turn, true)];
}

// One tool: every call of its row. Where it takes turns, the servers of the
// other client's comparison hear the same, and so remember the same.
async function tool(x, server, { name, rows, takesTurns }) {
	const here = rows.map((args) => JSON.parse(JSON.stringify(args)
	    .replaceAll(x.there, x.here)));
	const go = async () => {
		for (const [i, args] of rows.entries()) {
			const [got, ...wants] = await Promise.all([
			    outcome(x.kind, x.client, `${server}_${name}`,
				here[i]),
			    ...KINDS.filter((k) => takesTurns || k === x.kind)
				.map(async (k) => [k, await outcome(k,
				    x.direct[k].clients[server], name, args)])]);
			const [, want] = wants.find(([k]) => k === x.kind);
			const moved = JSON.parse(plain(JSON.stringify(got))
			    .replaceAll(x.here, x.there)
			    .replaceAll(`${server}_${name}`, name)
			    .replaceAll(x.hereMemory, x.thereMemory));
			compare(`${server}_${name} ${JSON.stringify(args)}`, moved,
			    JSON.parse(plain(JSON.stringify(want))));
		}
	};
	await (takesTurns ? x.turn(server, go) : go());
	return rows.length;
}

// What one client sees at one endpoint before anybody calls anything.
async function lists(x, servers) {
	const mine = await looked(Object.fromEntries(servers.map((s) =>
	    [s, x.direct[x.kind].clients[s]])));
	const listed = () => compareLists(x.client, mine).then(() => true);
	// What the calls of a run before have made the children announce, the
	// keeper looks at within two seconds; for a child that takes more than
	// one to start, as for clients of new capabilities, nobody waits.
	await (x.again || ASKING.includes(servers[0]) ?
	    until('the lists', listed, 8000, 200) : listed());
	ok(await compareContents(x.client, mine) >= 11, 'resources, prompts');
	return mine;
}

// Everything there by one client. Returns the number of calls.
async function use(x, servers, mine) {
	const n = await Promise.all(servers.map(async (server) => {
		let sum = 0;
		for (const row of calls(x, server, mine[server].tools,
		    `${x.there}/${x.who}`))
			sum += await tool(x, server, row);
		return sum;
	}));
	return n.reduce((a, b) => a + b, 0);
}

async function session(x, path) {
	const client = await connect(x.kind, `${x.gw.base}${path}`, MINE);
	return { ...x, client, asked: answers(x.kind, client, MINE, x.person) };
}

// The clients of one run, at once, each with the whole of the endpoint.
async function both(who, path, servers, more = async () => {}) {
	const xs = await Promise.all(who.map((x) => session(x, path)));
	const seen = await Promise.all(xs.map((x) => lists(x, servers)));
	const n = await Promise.all(xs.map((x, i) => use(x, servers, seen[i])));
	await more(xs);
	await Promise.all(xs.map(async (x) => {
		await x.client.transport?.terminateSession();
		await x.client.close();
	}));
	return n;
}

// What a shared child is told by one of them the other can read.
async function remembered(xs) {
	for (const x of xs) {
		const r = await x.client.callTool({ name: 'memory_read_graph',
		    arguments: {} });
		const names = r.structuredContent.entities.map((e) => e.name);
		ok(xs.every((y) => names.includes(y.who)), `${names}`);
	}
}

// Where the comparison has to take turns: calls of both clients are open in one
// child at the same time, and each is answered with what it has asked for.
async function atOnce(xs) {
	const N = 20;
	const call = (x, name, args) => x.client.callTool({ name,
	    arguments: args }).then((r) => r.structuredContent ??
	    JSON.parse(r.content[0].text));
	for (const x of xs)
		await call(x, 'memory_create_entities',
		    { entities: [entity(x.person)] });
	const open = xs.map(() => 0);
	const lengths = [];
	let together = 0;
	const during = async (i, fn) => {
		open[i]++;
		together += open.every((n) => n > 0);
		await fn();
		open[i]--;
	};
	await Promise.all(xs.flatMap((x, i) => Array.from({ length: N },
	    (_, n) => during(i, async () => {
		const t = await call(x, 'thinking_sequentialthinking', {
		    ...thought(n + 1), totalThoughts: 100 * (i + 1) });
		same([t.thoughtNumber, t.totalThoughts], [n + 1,
		    100 * (i + 1)], `a thought of ${x.person}`);
		lengths.push(t.thoughtHistoryLength);
		const { entities } = await call(x, 'memory_open_nodes',
		    { names: [x.person] });
		same(entities.map((e) => e.name), [x.person],
		    `a node of ${x.person}`);
	}))));
	ok(together >= N, `${together} calls beside the other's`);
	// One child has had them all.
	same(new Set(lengths).size, N * xs.length, 'lengths of one history');
	same(Math.max(...lengths) - Math.min(...lengths), N * xs.length - 1,
	    'from first to last');
}

// ROUNDS times all questions at once, from both; each client hears of its own
// only, and its calls get its own answers, whichever of them is over first.
async function asks(xs, server) {
	const ask = async ({ kind, client, person }, n) => {
		const own = `${person}-${n}`;
		const row = { ...questions(own),
		    ...(server === 'rooted' && { 'get-roots-list': [{}] }) };
		const said = await Promise.all(Object.entries(row).map(
		    async ([name, [args]]) => JSON.stringify(await outcome(kind,
			client, `${server}_${name}`, args))));
		const [sampled, elicited, url, roots] = said;
		ok(sampled.includes(`sampled by ${person}`), sampled);
		ok(elicited.includes(`elicited by ${person}`), elicited);
		ok(url.includes(`Elicitation ID: ${own}`), url);
		ok(server !== 'rooted' || roots.includes(`root of ${person}`),
		    roots);
	};
	for (const x of xs)
		x.asked.length = 0;
	for (let n = 0; n < ROUNDS; n++)
		await Promise.all(xs.map((x) => ask(x, n)));
	for (const { asked, person } of xs) {
		const of = (method, pred = () => true) => asked
		    .filter(([m, p]) => m === method && pred(p));
		const rounds = Array.from({ length: ROUNDS }, (_, n) =>
		    `${person}-${n}`);
		same(of('sampling/createMessage').map(([, p]) =>
		    p.messages[0].content.text.match(/say (.*)$/)[1]), rounds,
		    `prompts for ${person}`);
		same(of('elicitation/create', (p) => p.mode === 'url')
		    .map(([, p]) => p.elicitationId), rounds,
		    `addresses for ${person}`);
		same(of('elicitation/create', (p) => p.mode !== 'url').length,
		    ROUNDS, `forms for ${person}`);
	}
}

// The programs as each kind of client runs them.
async function directly(gw, share, servers) {
	const out = {};
	for (const [i, kind] of KINDS.entries()) {
		const there = `${gw.dir}/direct-${i}`;
		mkdirSync(there, { recursive: true });
		const memory = `${there}.jsonl`;
		const clients = Object.fromEntries(await Promise.all(servers.map(
		    async (name) => {
			const c = await direct(gw, kind, name, there, memory);
			answers(kind, c, told(name), 'one');
			return [name, c];
		    })));
		out[kind] = { clients, there, memory };
	}
	return out;
}

async function twice(gw, share, mode) {
	// What the shared children keep from the first time to the second,
	// these keep as well.
	const seen = await directly(gw, share, SHARED);
	const turn = turns();
	const xs = (n, programs) => KINDS.map((kind, i) => ({ gw, kind, turn,
	    direct: programs, here: share, there: programs[kind].there,
	    who: `${'ab'[i]}${n}`, person: 'one', again: n > 1,
	    hereMemory: `${state(gw, 'memory')}/memory.jsonl`,
	    thereMemory: programs[kind].memory }));
	// As another user nothing is new but the sandbox: once will do.
	for (let n = 1; n <= (full || mode === modes[0] ? RUNS : 1); n++) {
		await test(`STDIO every tool of four servers, two clients, ${
		    n} (${mode})`, async () => {
			const done = await both(xs(n, seen), '/mcp', SHARED,
			    remembered);
			ok(done.every((c) => c > 60), `${done} calls`);
		});
		for (const server of ASKING)
			await test(`STDIO every tool of server-everything told of ${
			    DECLARED[server].join(', ')}, ${n} (${mode})`,
			    async () => {
				const own = await directly(gw, share, [server]);
				await both(xs(n, own), `/${server}/mcp`, [server]);
			    });
	}
}

run('npmchild', async () => {
	for (const mode of modes) {
		const { gw, share } = await gateway(mode);
		await twice(gw, share, mode);
		await test(`STDIO two clients in one child at once (${mode})`,
		    async () => atOnce(await Promise.all(KINDS.map((kind, i) =>
			session({ gw, kind, person: ['ann', 'ben'][i] },
			    '/mcp')))));
		for (const server of ASKING)
			await test(`STDIO questions to two clients of ${server
			    } at once reach whom they are for (${mode})`,
			    async () => {
				const xs = await Promise.all(KINDS.map((kind, i) =>
				    session({ gw, kind, person: ['ann', 'ben'][i] },
					`/${server}/mcp`)));
				await Promise.all(xs.map((x) => until('tools',
				    async () => (await all(x.client, 'listTools',
					'tools')).some((t) =>
					/trigger-url/.test(t.name)), 8000, 200)));
				await asks(xs, server);
			    });
		await test(`nothing is left after SIGTERM (${mode})`,
		    () => gw.stop());
	}
});
