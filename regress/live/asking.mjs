// Whole sessions: what a client may use of a backend that comes later, what it
// is asked in its own revision, and what becomes of its answers and of what it
// takes back.
import {
	freePort, ok, run, same, test, until,
} from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { notes } from './lib/backends.mjs';
import { connect, sdks } from './lib/sdk.mjs';
import { Liar, http, json } from './fixture/liar.mjs';

const free = { '/mcp': { backends: '*', auth: 'none' } };

// ---- backends that come after the client ----

// Answers nothing until it is let go, then offers all there is.
async function mute() {
	const held = [];
	const answer = (x, result) => http(json(x.id, result), { headers:
	    [`Mcp-Session-Id: m${x.liar.next++}`] });
	const greet = (x) => answer(x, {
		protocolVersion: x.message.params.protocolVersion,
		capabilities: { tools: {}, prompts: {}, logging: {},
		    completions: {}, resources: { subscribe: true } },
		serverInfo: { name: 'mute', version: '1' } });
	const liar = await Liar.start({ tools: [], on: {
		'initialize': (x) => {
			held.push(x);
		},
		'prompts/list': (x) => answer(x, { prompts: [{ name: 'say',
		    arguments: [{ name: 'what' }] }] }),
		'resources/list': (x) => answer(x, { resources: [
		    { uri: 'mute://one', name: 'one' }] }),
		'resources/templates/list': (x) => answer(x,
		    { resourceTemplates: [] }),
		'resources/subscribe': (x) => answer(x, {}),
		'logging/setLevel': (x) => answer(x, {}),
		'completion/complete': (x) => answer(x, { completion: {
		    values: ['loud'] } }),
	} });
	return { liar, letGo() {
		liar.on.initialize = greet;
		for (const x of held)
			x.socket.write(greet(x));
	} };
}

// Capabilities are said once: SDK 2.x refuses what was not among them, 1.x
// leaves that to whoever uses it.
async function latecomers(kind) {
	const port = await freePort();
	const { liar, letGo } = await mute();
	const gw = await Gateway.make({ config: { endpoints: free, backends: {
		notes: { url: `http://127.0.0.1:${port}/mcp` },
		mute: { url: liar.url, timeout: '30s' } } } });
	await gw.start({ ready: false });
	const c = await connect(kind, gw.url);
	const { resources: can, ...caps } = c.getServerCapabilities();
	same(Object.keys(caps).sort(), ['completions', 'logging', 'prompts',
	    'tools'], 'announced');
	ok(can.subscribe, JSON.stringify(can));
	same(await c.listPrompts().then((r) => r.prompts), [],
	    'prompts before there is a backend');
	await notes({}, port);
	letGo();
	const prompts = await until('the prompts of both', async () => {
		const list = (await c.listPrompts()).prompts.map((p) => p.name);
		return list.some((n) => n.startsWith('notes_')) &&
		    list.includes('mute_say') && list;
	});
	const own = prompts.find((n) => n.startsWith('notes_'));
	ok((await c.getPrompt({ name: own, arguments: { id: '1', topic: 'milk' } }))
	    .messages.length > 0, own);
	const { resources } = await c.listResources();
	const [note] = resources.filter((r) => r.uri.startsWith('notes:'));
	ok((await c.readResource({ uri: note.uri })).contents.length > 0,
	    note.uri);
	same((await c.complete({ ref: { type: 'ref/prompt', name: 'mute_say' },
	    argument: { name: 'what', value: 'l' } })).completion.values, ['loud'],
	    'completion');
	await c.subscribeResource({ uri: 'mute://one' });
	await c.setLoggingLevel('error');
	ok(['resources/subscribe', 'logging/setLevel'].every((m) =>
	    liar.seen.some((s) => s.message?.method === m)), 'both have come');
	await c.close();
	// Nothing is said of what no backend has, once all have been seen.
	const silent = await Liar.start();
	gw.config.backends = { silent: { url: silent.url } };
	gw.write();
	await gw.reload();
	await until('only what there is', async () => {
		const d = await connect(kind, gw.url);
		const caps = Object.keys(d.getServerCapabilities());
		await d.close();
		return caps.join() === 'tools';
	});
	await gw.stop();
}

run('asking', async () => {
	await Promise.all(Object.keys(sdks).slice(0, 2).map((kind) =>
		test(`${kind}: prompts, resources, completion, logging of backends ` +
		    'that came after it', () => latecomers(kind))));
});
