// Everything that server-everything can do, asked for by a client on one of the
// official SDKs, and what came of it.
import { z } from 'zod';
import { ok, same, sleep, until } from './harness.mjs';
import { all, sdks } from './sdk.mjs';

const ELICITED = { action: 'accept', content: { name: 'Ada', check: true,
    email: 'a@example.net', integer: 7, number: 2, firstLine: 'x',
    untitledSingleSelectEnum: 'Monica' } };

const capabilities = { sampling: {}, roots: { listChanged: true },
    elicitation: { form: {}, url: {} } };

// What a client is asked and told, by kind, in order.
function listen(kind, client) {
	const told = [];
	const roots = { roots: [{ uri: 'file:///home/ada', name: 'home' }] };
	const answers = {
		'elicitation/create': (p) => p.mode === 'url' ?
		    { action: 'accept' } : ELICITED,
		'sampling/createMessage': () => ({ role: 'assistant',
		    model: 'test', content: { type: 'text', text: 'sampled' } }),
		'roots/list': () => roots,
	};
	for (const [method, fn] of Object.entries(answers)) {
		const handler = (r) => {
			told.push([method, r.params ?? {}]);
			return fn(r.params ?? {});
		};
		if (kind === 'SDK 1.x')
			client.setRequestHandler(z.object({
				method: z.literal(method),
				params: z.any().optional() }), handler);
		else
			client.setRequestHandler(method, handler);
	}
	const hear = (n) => { told.push([n.method, n.params ?? {}]); };
	client.fallbackNotificationHandler = hear;
	return told;
}

export async function connectOver(kind, transport) {
	const client = new sdks[kind].Client({ name: 'regress', version: '1' },
	    { capabilities });
	const told = listen(kind, client);
	await client.connect(transport);
	return { client, told };
}

export const connect = (kind, url, fetch) => connectOver(kind,
    new sdks[kind].Transport(new URL(url), { fetch }));

// Random and changing parts of what server-everything says.
const plain = (v) => JSON.parse(JSON.stringify(v ?? null)
    .replace(/"blob":"([^"]*)"/g, (_, b) => `"blob":${JSON.stringify(
    Buffer.from(b, 'base64').toString())}`)
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
    'UUID').replace(/\d{1,2}:\d\d:\d\d( [AP]M)?/g, 'TIME')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replace(/\\"PORT\\": \\"\d+\\"/g, 'PORT'));

// Tools that only clients that speak tasks can use.
export const TASKS = ['simulate-research-query',
    'trigger-sampling-request-async', 'trigger-elicitation-request-async'];

// They say what they say later.
const TOGGLES = ['toggle-subscriber-updates', 'toggle-simulated-logging'];

// The arguments that each of its other tools is called with.
const calls = [
	['echo', { message: 'héllo\u2028"\\' }],
	['get-annotated-message', { messageType: 'error', includeImage: true }],
	['get-env', {}],
	['get-resource-links', { count: 3 }],
	['get-resource-reference', { resourceType: 'Text', resourceId: 2 }],
	['get-resource-reference', { resourceType: 'Blob', resourceId: 1 }],
	['get-structured-content', { location: 'New York' }],
	['get-sum', { a: 1e3, b: -0.5 }],
	['get-sum', { a: 'no' }],
	['get-tiny-image', {}],
	['gzip-file-as-resource', { name: 'x.gz', outputType: 'resource',
	    data: 'data:text/plain;base64,aGVsbG8=' }],
	['trigger-long-running-operation', { duration: 0.4, steps: 4 }],
	['trigger-elicitation-request', {}],
	['trigger-sampling-request', { prompt: 'say', maxTokens: 5 }],
	['get-roots-list', {}],
	['trigger-url-elicitation', { url: 'http://127.0.0.1/x',
	    message: 'open', elicitationId: 'e1' }],
	['trigger-url-elicitation', { url: 'http://127.0.0.1/x',
	    message: 'open', elicitationId: 'e2', errorPath: true }],
];

// Every tool that is listed is called, and no other is known of.
async function everyTool(client) {
	const listed = (await all(client, 'listTools', 'tools'))
	    .map((t) => t.name).filter((n) => !TASKS.includes(n));
	same([...listed].sort(), [...new Set(calls.map(([n]) => n)), ...TOGGLES]
	    .sort(), 'tools that there are calls for');
}

// A call that is cancelled after 100 ms, of 5 s: it ends then and not before.
async function cancelled(kind, client) {
	const stop = new AbortController(), begun = performance.now();
	const p = { name: 'trigger-long-running-operation',
	    arguments: { duration: 5, steps: 5 } };
	const o = { signal: stop.signal };
	setTimeout(() => stop.abort('enough'), 100);
	const r = await (kind === 'SDK 1.x' ? client.callTool(p, undefined, o) :
	    client.callTool(p, o)).then(() => 'an answer', (e) => e);
	const ms = Math.round(performance.now() - begun);
	ok(stop.signal.aborted && ms < 2000 && r !== 'an answer',
	    `the call to be cancelled ended after ${ms} ms: ${r}`);
	// A client that is closed at once takes back the message that says so.
	await sleep(100);
}

// Of the messages toward a backend, [message, session]: the calls of it, each
// told by its own number that it is cancelled.
export function cancelsHeard(up) {
	const begun = up.filter(([m]) => m.method === 'tools/call' &&
	    m.params.arguments?.duration === 5);
	const told = up.filter(([m]) => m.method === 'notifications/cancelled');
	same(told.map(([m, s]) => [s, m.params.requestId]).sort(),
	    begun.map(([m, s]) => [s, m.id]).sort(), 'cancelled');
	return told.length;
}

// Everything, as [what, how it went].
export async function everythingSeen(kind, { client, told }) {
	const seen = [];
	const tell = async (what, fn) => {
		const from = told.length;
		let r;
		try {
			r = { result: plain(await fn()) };
		} catch (e) {
			r = { code: e.code, data: plain(e.data) };
		}
		await sleep(30);
		// Log lines come when they like; what a call causes, with it.
		seen.push([what, r, plain(told.slice(from).filter(([m]) =>
		    /create|elicitation|sampling/.test(m)))]);
	};
	for (const [method, key] of [['listTools', 'tools'],
	    ['listPrompts', 'prompts'], ['listResources', 'resources'],
	    ['listResourceTemplates', 'resourceTemplates']])
		await tell(method, () => all(client, method, key));
	const resources = await all(client, 'listResources', 'resources');
	await tell('ping', () => client.ping());
	await everyTool(client);
	for (const [name, args] of calls)
		await tell(`${name} ${JSON.stringify(args)}`, async () => {
			const progress = [];
			const p = { name, arguments: args };
			const o = { onprogress: (n) => progress.push(n) };
			const r = await (kind === 'SDK 1.x' ?
			    client.callTool(p, undefined, o) :
			    client.callTool(p, o));
			return { r, progress };
		});
	for (const p of await all(client, 'listPrompts', 'prompts'))
		await tell(`prompt ${p.name}`, () => client.getPrompt({
			name: p.name, arguments: Object.fromEntries(
			    (p.arguments ?? []).map((a) => [a.name,
				/id$/i.test(a.name) ? '1' : /type/i.test(a.name) ?
				'Text' : 'Paris'])) }));
	for (const uri of [...resources.map((r) => r.uri),
	    'demo://resource/session/x.gz',
	    'demo://resource/dynamic/text/3', 'demo://resource/dynamic/blob/4',
	    'demo://resource/dynamic/text/nonsense', 'nowhere://x'])
		await tell(`read ${uri}`, () => client.readResource({ uri }));
	for (const [ref, name, value, context] of [
	    [{ type: 'ref/prompt', name: 'completable-prompt' }, 'department',
		'E'],
	    [{ type: 'ref/prompt', name: 'completable-prompt' }, 'name', '',
		{ arguments: { department: 'Sales' } }],
	    [{ type: 'ref/resource',
		uri: 'demo://resource/dynamic/text/{resourceId}' },
		'resourceId', '1']])
		await tell(`complete ${name}`, () => client.complete({ ref,
		    argument: { name, value }, ...(context && { context }) }));
	await tell('setLoggingLevel', () => client.setLoggingLevel('debug'));
	const uri = 'demo://resource/dynamic/text/1';
	await tell('subscribe', () => client.subscribeResource({ uri }));
	const mark = told.length;
	await tell('toggle-subscriber-updates', () => client.callTool({
		name: 'toggle-subscriber-updates', arguments: {} }));
	await tell('toggle-simulated-logging', () => client.callTool({
		name: 'toggle-simulated-logging', arguments: {} }));
	await tell('updates and log lines', async () => {
		await until('them', () => ['notifications/message',
		    'notifications/resources/updated'].every((m) =>
		    told.slice(mark).some(([n]) => n === m)), 12_000);
		return told.slice(mark).find(([n]) => /updated/.test(n));
	});
	for (const name of TOGGLES)
		await tell(`${name} off`, () => client.callTool({ name,
		    arguments: {} }));
	await tell('unsubscribe', () => client.unsubscribeResource({ uri }));
	await cancelled(kind, client);
	return seen;
}
