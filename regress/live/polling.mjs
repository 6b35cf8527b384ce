// A backend that ends the stream of a call early and is asked again for the
// rest (SSE polling): the call runs once whatever it then says, can be
// cancelled meanwhile, and what it says on its stream arrives.
import { ok, run, same, sleep, test, until } from './lib/harness.mjs';
import { Gateway } from './lib/gateway.mjs';
import { Pins } from './lib/pin.mjs';
import { Peer, note } from './lib/sse.mjs';
import { Liar, chunk, end, event, good, http, sse } from './fixture/liar.mjs';

const answers = {
	cut: () => sse + chunk('id: 1\ndata: \n\n') + end,
	gap: () => sse + chunk('id: 1\nretry: 4000\ndata: \n\n') + end,
	updated: (x) => sse + event(JSON.stringify({ jsonrpc: '2.0',
	    method: 'notifications/resources/updated',
	    params: { uri: 'x://1' } })) + event(good(x.id)) + end,
};

run('polling', async () => {
	const liar = await Liar.start({
		tools: Object.keys(answers).map((name) =>
		    ({ name, inputSchema: { type: 'object' } })),
		on: {
			'tools/call': (x) => answers[x.message.params.name](x),
			GET: () => http('', { status: '404 Not Found' }),
		},
	});
	const gw = await Gateway.start({ config: {
		backends: { liar: { url: liar.url, timeout: '20s' } },
		endpoints: { '/mcp': { backends: '*', auth: 'none' } },
	} });
	const pins = new Pins(gw.base);
	const { worker } = await pins.get();
	const called = (n) => liar.seen.filter((s) =>
	    s.message?.method === 'tools/call' &&
	    s.message.params.name === n).length;
	await test('POLL the rest is gone: the call has run once', async () => {
		const peer = await new Peer(gw.url, pins).open({});
		const c = await peer.start('liar_cut', {}, { worker });
		await c.end(15_000).catch(() => {});
		await sleep(1500);
		same(called('cut'), 1, 'calls at the backend');
	});
	await test('POLL a cancel between two streams', async () => {
		const peer = await new Peer(gw.url, pins).open({});
		const c = await peer.start('liar_gap', {}, { worker });
		await sleep(500);
		await peer.say({ method: 'notifications/cancelled',
		    params: { requestId: c.rpcId } }, { worker });
		await until('the backend to hear of it', () => liar.seen.some((s) =>
		    s.message?.method === 'notifications/cancelled'), 5000);
	});
	await test('POLL an update on the stream of a call', async () => {
		const peer = await new Peer(gw.url, pins).open({});
		const c = await peer.start('liar_updated', {}, { worker });
		await c.end();
		ok(c.messages.some(note('notifications/resources/updated')),
		    JSON.stringify(c.messages));
	});
	await test('nothing is left after SIGTERM', () => gw.stop());
});
