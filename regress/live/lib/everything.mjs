// Everything that server-everything can do, asked for by a client on one of the
// official SDKs, and what came of it.
import { z } from 'zod';
import { sleep, until } from './harness.mjs';
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
	for (const name of ['toggle-subscriber-updates',
	    'toggle-simulated-logging'])
		await tell(`${name} off`, () => client.callTool({ name,
		    arguments: {} }));
	await tell('unsubscribe', () => client.unsubscribeResource({ uri }));
	await tell('cancel', async () => {
		const stop = new AbortController();
		setTimeout(() => stop.abort(), 100);
		const p = { name: 'trigger-long-running-operation',
		    arguments: { duration: 5, steps: 5 } };
		const o = { signal: stop.signal };
		await (kind === 'SDK 1.x' ? client.callTool(p, undefined, o) :
		    client.callTool(p, o)).then(() => {
			throw new Error('not cancelled');
		}, () => 'cancelled');
		return 'cancelled';
	});
	return seen;
}
