// Must be true 3: every message that mcpgwd sends, to clients and to backends,
// is what the revision's schema says. The schemas are those of the official
// SDK; where there is a folder with REVISION.json of the specification, named by
// MCP_SCHEMA or beside the tree, those are checked too.
import { existsSync, readFileSync } from 'node:fs';
import Ajv from 'ajv';
import Ajv2020 from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { clip, ok, run, same, sleep, test } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { everything } from './lib/backends.mjs';
import { connect, everythingSeen } from './lib/everything.mjs';
import { Mcp, messages } from './lib/mcp.mjs';
import { tap } from './lib/tap.mjs';

const names = {
	'initialize': 'Initialize', 'ping': 'Ping', 'tools/list': 'ListTools',
	'tools/call': 'CallTool', 'prompts/list': 'ListPrompts',
	'prompts/get': 'GetPrompt', 'resources/list': 'ListResources',
	'resources/templates/list': 'ListResourceTemplates',
	'resources/read': 'ReadResource', 'resources/subscribe': 'Subscribe',
	'resources/unsubscribe': 'Unsubscribe',
	'completion/complete': 'Complete', 'logging/setLevel': 'SetLevel',
	'elicitation/create': 'Elicit', 'roots/list': 'ListRoots',
	'sampling/createMessage': 'CreateMessage',
};
const empty = ['ping', 'resources/subscribe', 'resources/unsubscribe',
    'logging/setLevel'];
const notes = {
	'initialized': 'Initialized', 'cancelled': 'Cancelled',
	'progress': 'Progress', 'message': 'LoggingMessage',
	'resources/updated': 'ResourceUpdated',
	'resources/list_changed': 'ResourceListChanged',
	'tools/list_changed': 'ToolListChanged',
	'prompts/list_changed': 'PromptListChanged',
	'roots/list_changed': 'RootsListChanged',
	'elicitation/complete': 'ElicitationComplete',
};

// What a message is called; asked: the method of the request that it answers.
function kind(m, asked) {
	if (m.method !== undefined)
		return m.id !== undefined ? `${names[m.method]}Request` :
		    `${notes[m.method.replace(/^notifications\//, '')]}Notification`;
	if (m.error !== undefined)
		return 'error';
	return empty.includes(asked) ? 'EmptyResult' : `${names[asked]}Result`;
}

const compiled = new Map();

// A function that says what is wrong by the specification's own schema.
function official(revision) {
	const dir = process.env.MCP_SCHEMA ??
	    new URL('../../../shared/ref/schema', import.meta.url).pathname;
	if (!existsSync(dir))
		return () => undefined;
	if (!compiled.has(revision)) {
		const schema = JSON.parse(readFileSync(`${dir}/${revision}.json`));
		const defs = schema.$defs ? '$defs' : 'definitions';
		const ajv = new (schema.$defs ? Ajv2020 : Ajv)({ strict: false });
		(formats.default ?? formats)(ajv);
		ajv.addSchema(schema, 'mcp');
		compiled.set(revision, (name, value) => {
			const fn = ajv.getSchema(`mcp#/${defs}/${name}`);
			if (fn === undefined)
				return `${revision} knows no ${name}`;
			return fn(value) ? undefined :
			    `${name}: ${ajv.errorsText(fn.errors)}`;
		});
	}
	return compiled.get(revision);
}

// An error with an HTTP status of its own may have no id: so the text of every
// revision, and the schema since 2025-11-25.
function framed(m, revision, status) {
	const bare = m.error !== undefined && m.id === undefined &&
	    status >= 400 && revision < '2025-11-25';
	return official(revision)('JSONRPCMessage', bare ? { ...m, id: 0 } : m);
}

function wrong(m, asked, revision, status) {
	const name = kind(m, asked);
	if (/undefined/.test(name))
		return `unknown: ${m.method ?? asked}`;
	const envelope = types.JSONRPCMessageSchema.safeParse(m);
	if (!envelope.success)
		return `envelope: ${envelope.error.message}`;
	const why = framed(m, revision, status);
	if (why !== undefined || name === 'error')
		return why;
	const value = m.method === undefined ? m.result : m;
	const schema = types[`${name}Schema`];
	const r = schema.safeParse(value);
	if (!r.success)
		return `${name}: ${r.error.message}`;
	return official(revision)(name, value);
}

// Both directions of a tap: sent are ours, heard the other side's.
function check(what, sent, heard, revisionOf) {
	const asked = new Map(heard.filter(([m]) => m.method !== undefined &&
	    m.id !== undefined).map(([m, s]) =>
	    [`${s} ${JSON.stringify(m.id)}`, m.method]));
	// initialize has no session yet when it is asked.
	for (const [m] of heard)
		if (m.method === 'initialize')
			asked.set(`init ${JSON.stringify(m.id)}`, m.method);
	const seen = {}, bad = [];
	for (const [m, s, status] of sent) {
		const method = m.result?.protocolVersion ? 'initialize' :
		    asked.get(`${s} ${JSON.stringify(m.id)}`);
		const name = kind(m, method);
		seen[name] = (seen[name] ?? 0) + 1;
		const why = wrong(m, method, revisionOf(s), status);
		if (why !== undefined)
			bad.push(`${why.replace(/\s+/g, ' ')}: ${
			    clip(JSON.stringify(m), 300)}`);
	}
	console.log(`# ${what}: ${sent.length} messages, ${JSON.stringify(seen)}`);
	same(bad.slice(0, 5), [], `${bad.length} wrong of ${sent.length}`);
	return seen;
}

// What clients of a revision that knows less are not sent.
async function older(url) {
	for (const version of ['2025-03-26', '2025-06-18', '2025-11-25']) {
		const mcp = await new Mcp(url, { version }).open();
		same(mcp.version, version, 'negotiated');
		const old = version === '2025-03-26';
		const list = await mcp.list('tools/list', 'tools');
		const tool = list.find((t) =>
		    t.name === 'get-structured-content');
		await test(`SCHEMA ${version}: outputSchema and ` +
		    'structuredContent', async () => {
			const r = await mcp.tool('get-structured-content',
			    { location: 'New York' });
			same([tool.outputSchema !== undefined,
			    r.structuredContent !== undefined], [!old, !old],
			    'there');
			ok(r.content[0].type === 'text', JSON.stringify(r));
		});
		await test(`SCHEMA ${version}: resource_link`, async () => {
			const r = await mcp.tool('get-resource-links', { count: 2 });
			same(r.content.some((c) => c.type === 'resource_link'),
			    !old, JSON.stringify(r));
			if (old)
				ok(r.content.some((c) =>
				    /demo:\/\/resource/.test(c.text ?? '')),
				    'the link as text');
		});
		await mcp.list('prompts/list', 'prompts');
		const [resource] = await mcp.list('resources/list', 'resources');
		await mcp.call('resources/read', { uri: resource.uri });
		// Batches are of one revision only.
		await test(`SCHEMA ${version}: a batch`, async () => {
			const r = await mcp.send([1, 2].map((id) => ({ jsonrpc:
			    '2.0', id: `b${id}`, method: 'ping' })));
			if (!old) {
				same(r.status, 400, r.text);
				return;
			}
			same(r.status, 200, r.text);
			same(messages(r).map((m) => [m.id, m.result]).sort(),
			    [['b1', {}], ['b2', {}]], 'answers');
		});
		await test(`SCHEMA ${version}: errors`, async () => {
			const ping = { jsonrpc: '2.0', id: 'e', method: 'ping' };
			for (const [message, headers, status, id] of [
			    [{ ...ping, id: null }, {}, 400],
			    [{ ...ping, method: 7 }, {}, 400, 'e'],
			    [{ ...ping, method: 'no/such' }, {}, 200, 'e'],
			    [{ ...ping, method: 'tools/call' }, {}, 200, 'e'],
			    [ping, { 'mcp-session-id': 'unknown' }, 404, 'e']]) {
				const r = await mcp.send(message, headers);
				const what = JSON.stringify([message, headers]);
				same(r.status, status, what);
				const [m] = messages(r);
				ok(m.error && m.id === id, `${what}: ${r.text}`);
			}
		});
	}
}

run('schema', async () => {
	const every = await everything();
	const back = await tap(every.url);
	const gw = await Gateway.start({ config: {
		backends: { every: { url: back.url,
		    declare: ['sampling', 'elicitation', 'roots'] } },
		endpoints: { '/mcp': { backends: '*', auth: 'none',
		    prefix: 'none' } },
	} });
	const front = await tap(`http://127.0.0.1:${gw.port}/mcp`);
	const revisions = new Map();
	await Promise.all(['SDK 1.x', 'SDK 2.x'].map(async (sdk) => {
		const c = await connect(sdk, front.url);
		await everythingSeen(sdk, c);
		await c.client.close();
	}));
	await older(front.url);
	await sleep(300);
	for (const [m, s] of front.down)
		if (m.result?.protocolVersion)
			revisions.set(s, m.result.protocolVersion);
	await test('SCHEMA all that clients are sent', async () => {
		const seen = check('to clients', front.down, front.up, (s) =>
		    revisions.get(s) ?? '2025-11-25');
		for (const k of ['InitializeResult', 'CallToolResult',
		    'ProgressNotification', 'LoggingMessageNotification',
		    'ElicitRequest', 'CreateMessageRequest',
		    'ListRootsRequest', 'ResourceUpdatedNotification'])
			ok(seen[k] > 0, `no ${k}`);
	});
	await test('SCHEMA all that backends are sent', async () => {
		const seen = check('to backends', back.up, back.down, () =>
		    '2025-11-25');
		for (const k of ['InitializeRequest', 'InitializedNotification',
		    'CallToolRequest', 'CancelledNotification', 'ElicitResult',
		    'CreateMessageResult', 'ListRootsResult',
		    'SetLevelRequest', 'SubscribeRequest'])
			ok(seen[k] > 0, `no ${k}`);
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
